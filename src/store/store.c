#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "store/store_internal.h"

/* One page of the smallest size; SQLite takes a file of a single byte for an empty one. */
enum { SMALLEST_DATABASE = 512 };

enum { BUSY_LIMIT_MS = 30000, READER_BUSY_LIMIT_MS = 3000, BUSY_PAUSE_MAX_MS = 20 };

/* Asked by SQLite before each new try for a lock; random pauses, so that waiting processes spread
 * out. */
static int wait_for_lock(void *data, int tries)
{
    struct store *store = data;
    int64_t now_ms = clock_monotonic_ms();
    if (tries == 0) {
        store->busy_since_ms = now_ms;
    }
    if (now_ms - store->busy_since_ms >= store->busy_limit_ms) {
        return 0;
    }
    g_usleep(1000 * (gulong)g_random_int_range(1, MIN(tries + 2, BUSY_PAUSE_MAX_MS) + 1));
    return 1;
}

bool store_begin(struct store *store, GError **error)
{
    g_assert(!store->in_transaction);
    int fault = fault_point("store.begin");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "%s: cannot begin a transaction",
                               store->path);
    }
    /* IMMEDIATE: the write lock is taken here, where it can be waited for, not half-way. */
    if (!store_execute(store, error, store_prepare(store, error, "BEGIN IMMEDIATE", ""))) {
        return false;
    }
    store->in_transaction = true;
    store->undone = false;
    return true;
}

bool store_commit(struct store *store, GError **error)
{
    g_assert(store->in_transaction);
    int fault = fault_point("store.commit");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "%s: cannot commit", store->path);
    }
    if (!store_execute(store, error, store_prepare(store, error, "COMMIT", ""))) {
        return false;
    }
    store->in_transaction = false;
    return true;
}

void store_rollback(struct store *store)
{
    if (store->in_transaction) {
        store->in_transaction = false;
        /* SQLite has rolled back by itself after some failures (disk full). */
        if (!sqlite3_get_autocommit(store->database)) {
            store_execute(store, NULL, store_prepare(store, NULL, "ROLLBACK", ""));
        }
    }
}

bool store_begin_if_needed(struct store *store, bool *own, GError **error)
{
    *own = !store->in_transaction;
    return !*own || store_begin(store, error);
}

bool store_end(struct store *store, bool own, bool good, GError **error)
{
    if (!own) {
        return good;
    }
    good = good && store_commit(store, error);
    if (!good) {
        store_rollback(store);
    }
    return good;
}

static bool inspect_owner(const char *path, const struct stat *status, GError **error)
{
    if (S_ISREG(status->st_mode) && status->st_uid == geteuid() && !(status->st_mode & 0022)) {
        return true;
    }
    g_set_error(
        error, STORE_ERROR, ERROR_DENIED,
        "%s must be a regular file of user %u that nobody else may write (found: %s of user "
        "%u, mode %03o); run phantom_ci as its owner, mend the mode with chmod 600, or move "
        "it away",
        path, (unsigned)geteuid(), S_ISREG(status->st_mode) ? "a file" : "something else",
        (unsigned)status->st_uid, (unsigned)(status->st_mode & 0777));
    return false;
}

/* The size of a file of ours, 0 when it is absent. */
static bool inspect_file(const char *path, int64_t *size_bytes, GError **error)
{
    struct stat status;
    *size_bytes = 0;
    if (lstat(path, &status) < 0) {
        return errno == ENOENT || error_set_errno(error, STORE_ERROR, errno, "cannot use %s", path);
    }
    *size_bytes = status.st_size;
    return inspect_owner(path, &status, error);
}

/*
 * Looks at existing files before SQLite does, by lstat() alone: closing a descriptor of the
 * database would end the POSIX locks that another handle of this process holds on it.
 */
static bool inspect(const char *path, GError **error)
{
    static const char *const companions[] = {"-wal", "-shm", "-journal"};
    int64_t sizes[G_N_ELEMENTS(companions)];
    for (unsigned i = 0; i < G_N_ELEMENTS(companions); i++) {
        g_autofree char *companion = g_strconcat(path, companions[i], NULL);
        if (!inspect_file(companion, &sizes[i], error)) {
            return false;
        }
    }
    /* Seen after its log: a log with contents was preceded by a database with contents. SQLite
     * would delete such a log, and with it all that can still be saved. */
    int64_t database_size = 0;
    if (!inspect_file(path, &database_size, error)) {
        return false;
    }
    if (database_size == 0 && sizes[0] > 0) {
        g_set_error(
            error, STORE_ERROR, ERROR_INVALID,
            "%s is empty or missing, but its log %s-wal holds %" G_GINT64_FORMAT
            " bytes; restore the database from a backup, or move all three files (also -shm) "
            "away and start again",
            path, path, sizes[0]);
        return false;
    }
    if (database_size > 0 && database_size < SMALLEST_DATABASE) {
        g_set_error(
            error, STORE_ERROR, ERROR_INVALID,
            "%s has only %d bytes, which is no database; restore it from a backup, or move it "
            "away and start again",
            path, (int)database_size);
        return false;
    }
    return true;
}

/* Made here, so that it is private from its first moment; SQLite gives its log the same mode. */
static bool create_if_absent(const char *path, GError **error)
{
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 || errno == EEXIST ||
           error_set_errno(error, STORE_ERROR, errno, "cannot make the database %s", path);
}

static bool run_sql(struct store *store, const char *sql, GError **error)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ||
           store_fail(store, error, "open the database");
}

/* Settings of the connection; none of them writes. */
static bool configure(struct store *store, GError **error)
{
    static const char settings[] = "PRAGMA synchronous=FULL;"
                                   "PRAGMA foreign_keys=ON;"
                                   "PRAGMA trusted_schema=OFF;"
                                   "PRAGMA cell_size_check=ON;"
                                   "PRAGMA temp_store=MEMORY;"
                                   "PRAGMA cache_size=-256;"
                                   "PRAGMA mmap_size=0;"
                                   "PRAGMA wal_autocheckpoint=256;"
                                   "PRAGMA journal_size_limit=1048576;";
    sqlite3_extended_result_codes(store->database, 1);
    sqlite3_busy_handler(store->database, wait_for_lock, store);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return run_sql(store, settings, error);
}

/* The change to WAL is refused at once, without the busy handler, while another process makes it
 * too. */
static bool switch_to_wal(struct store *store, GError **error)
{
    for (int tries = 0;; tries++) {
        int result = sqlite3_exec(store->database, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
        if (result == SQLITE_OK) {
            return true;
        }
        if ((result & 0xff) != SQLITE_BUSY || !wait_for_lock(store, tries)) {
            return store_fail(store, error, "open the database");
        }
    }
}

/* Until a database has proved to be ours, closing it must not move its log into it either. */
static void keep_log_on_close(struct store *store, bool keep)
{
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, NULL);
}

/* SQLite refuses a link anywhere in the path; a link above the database is the user's own affair.
 */
static char *resolve_directory(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    char *resolved = realpath(directory, NULL);
    if (!resolved) {
        error_set_errno(error, STORE_ERROR, errno, "cannot use the directory %s", directory);
        return NULL;
    }
    char *full = g_build_filename(resolved, name, NULL);
    free(resolved);
    return full;
}

static bool open_database(struct store *store, const char *path, GError **error)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &store->database, flags, NULL) != SQLITE_OK) {
        return store_fail(store, error, "open the database");
    }
    keep_log_on_close(store, true);
    if (!configure(store, error) || !store_check_identity(store, error)) {
        return false;
    }
    keep_log_on_close(store, false);
    return switch_to_wal(store, error) && store_migrate(store, error);
}

static void finalize(void *statement)
{
    sqlite3_finalize(statement);
}

static struct store *store_new(const char *path, int busy_limit_ms)
{
    struct store *store = g_new0(struct store, 1);
    store->path = g_strdup(path);
    store->busy_limit_ms = busy_limit_ms;
    store->statements = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, finalize);
    return store;
}

struct store *store_open(const char *path, GError **error)
{
    int fault = fault_point("store.open");
    if (fault) {
        error_set_errno(error, STORE_ERROR, fault, "cannot open the database %s", path);
        return NULL;
    }
    g_autofree char *resolved = resolve_directory(path, error);
    if (!resolved || !inspect(resolved, error) || !create_if_absent(resolved, error)) {
        return NULL;
    }
    struct store *store = store_new(path, BUSY_LIMIT_MS);
    if (!open_database(store, resolved, error)) {
        store_close(store);
        return NULL;
    }
    return store;
}

static bool has_companion(const char *path, const char *suffix)
{
    g_autofree char *companion = g_strconcat(path, suffix, NULL);
    return access(companion, F_OK) == 0;
}

/* Without a log nobody has it open, and SQLite would make one, and its index, just to read. */
static bool open_to_read(struct store *store, const char *path, GError **error)
{
    bool is_at_rest = !has_companion(path, "-wal");
    if (!is_at_rest && !has_companion(path, "-shm")) {
        g_set_error(error, STORE_ERROR, ERROR_BUSY,
                    "%s has a log without its index, as a copy has: the next start of the daemon "
                    "takes it in",
                    path);
        return false;
    }
    g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE);
    g_autofree char *uri = g_strconcat("file:", escaped, is_at_rest ? "?immutable=1" : "", NULL);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(uri, &store->database, flags, NULL) != SQLITE_OK) {
        return store_fail(store, error, "open the database");
    }
    keep_log_on_close(store, true);
    return configure(store, error) && store_check_identity(store, error);
}

struct store *store_open_to_read(const char *path, GError **error)
{
    g_autofree char *resolved = resolve_directory(path, error);
    if (!resolved || !inspect(resolved, error)) {
        return NULL;
    }
    if (access(resolved, F_OK) < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot open the database %s", path);
        return NULL;
    }
    struct store *store = store_new(path, READER_BUSY_LIMIT_MS);
    if (!open_to_read(store, resolved, error)) {
        store_close(store);
        return NULL;
    }
    return store;
}

void store_release_memory(struct store *store)
{
    g_assert(!store->in_transaction);
    g_hash_table_remove_all(store->statements);
    sqlite3_db_release_memory(store->database);
}

void store_close(struct store *store)
{
    if (store) {
        store_rollback(store);
        g_hash_table_unref(store->statements);
        sqlite3_close(store->database);
        g_free(store->path);
        g_free(store);
    }
}

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

bool store_check(struct store *store, GError **error)
{
    void *row = NULL;
    if (!store_first(store, error, store_prepare(store, error, "PRAGMA quick_check(1)", ""),
                     read_text, &row)) {
        return false;
    }
    g_autofree char *finding = row;
    if (g_strcmp0(finding, "ok") != 0) {
        g_set_error(
            error, STORE_ERROR, ERROR_INVALID,
            "%s is damaged: %s; restore it from a backup, or move it away together with its "
            "-wal and -shm files and start again",
            store->path, finding ? finding : "no answer");
        return false;
    }
    return true;
}
