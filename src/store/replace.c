#include "store/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "store/backup_internal.h"

/* Of a smaller file SQLite would take the log for that of nothing, and delete it. */
enum { SMALLEST_DATABASE = 512 };

enum { BUSY_TIMEOUT_MS = 2000 };

struct replacement {
    char *path;            /* without links */
    struct store *present; /* NULL: absent or damaged */
    bool damaged;
};

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

/* One statement that gives a text, or none. */
static bool ask_text(struct store *store, sqlite3_stmt *statement, char **text, GError **error)
{
    void *row = NULL;
    bool good = store_first(store, error, statement, read_text, &row);
    *text = row;
    return good;
}

/*
 * Exclusive locking mode keeps every lock once taken, also while the journal mode changes. Leaving
 * WAL moves the log into the file and removes it. Until a database has proved to be ours, neither
 * happens, and its log is kept as it is.
 */
static bool take_out_of_use(struct store *store, GError **error)
{
    g_autofree char *locking = NULL;
    g_autofree char *changed = NULL;
    g_autofree char *mode = NULL;
    sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    bool good =
        store_check_identity(store, error) &&
        ask_text(store, store_prepare(store, error, "PRAGMA locking_mode=EXCLUSIVE", ""), &locking,
                 error) &&
        ask_text(store, store_prepare(store, error, "PRAGMA journal_mode=DELETE", ""), &changed,
                 error) &&
        store_execute(store, error, store_prepare(store, error, "BEGIN EXCLUSIVE", "")) &&
        ask_text(store, store_prepare(store, error, "PRAGMA journal_mode", ""), &mode, error);
    if (good && (g_strcmp0(changed, "delete") != 0 || g_strcmp0(mode, "delete") != 0)) {
        g_set_error(error, STORE_ERROR, ERROR_BUSY, "%s is in use", store->path);
        good = false;
    }
    return good;
}

static bool open_present(struct replacement *replacement, GError **error)
{
    g_autoptr(GError) local = NULL;
    struct store *store =
        backup_connect(replacement->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, &local);
    if (store && take_out_of_use(store, &local)) {
        replacement->present = store;
        return true;
    }
    store_close(store);
    /* Damage is what a restore is for. */
    replacement->damaged = error_has_code(local, ERROR_INVALID);
    if (error_has_code(local, ERROR_BUSY)) {
        g_set_error(error, STORE_ERROR, ERROR_BUSY,
                    "another phantom_ci command is using %s; try again when it has ended",
                    replacement->path);
    } else if (!replacement->damaged) {
        g_propagate_error(error, g_steal_pointer(&local));
    }
    return replacement->damaged;
}

struct replacement *replacement_begin(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    char *resolved = realpath(directory, NULL);
    struct stat status;
    if (!resolved) {
        error_set_errno(error, STORE_ERROR, errno, "cannot use the directory %s", directory);
        return NULL;
    }
    struct replacement *replacement = g_new0(struct replacement, 1);
    replacement->path = g_build_filename(resolved, name, NULL);
    free(resolved);
    bool good = true;
    if (lstat(replacement->path, &status) == 0) {
        replacement->damaged = !S_ISREG(status.st_mode) || status.st_size < SMALLEST_DATABASE;
        good = replacement->damaged || open_present(replacement, error);
    } else if (errno != ENOENT) {
        good = error_set_errno(error, STORE_ERROR, errno, "cannot use %s", replacement->path);
    }
    if (!good) {
        replacement_free(replacement);
        return NULL;
    }
    return replacement;
}

struct store *replacement_present(struct replacement *replacement)
{
    return replacement->present;
}

void replacement_free(struct replacement *replacement)
{
    if (replacement) {
        store_close(replacement->present);
        g_free(replacement->path);
        g_free(replacement);
    }
}

static bool sync_parent(const char *path, const char *point, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fault = fault_point(point);
    auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (!fault && fd >= 0 && fsync(fd) == 0) ||
           error_set_errno(error, STORE_ERROR, fault ? fault : errno, "cannot write %s", directory);
}

/* A second name for the present file; a copy where the file system knows no hard links. */
static bool keep_present(struct replacement *replacement, const char *kept, GError **error)
{
    struct store *store = replacement->present;
    if (!fault_point("restore.link") && link(replacement->path, kept) == 0) {
        return true;
    }
    return store_execute(store, error, store_prepare(store, error, "COMMIT", "")) &&
           store_execute(store, error, store_prepare(store, error, "VACUUM INTO ?", "s", kept)) &&
           store_execute(store, error, store_prepare(store, error, "BEGIN EXCLUSIVE", ""));
}

static const char *const pieces[] = {"", "-wal", "-journal", "-shm"};

/* The pieces of a database that can't be used any more; none of them may meet the fresh one. */
static bool set_aside(struct replacement *replacement, const char *kept, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *from = g_strconcat(replacement->path, pieces[i], NULL);
        g_autofree char *into = g_strconcat(kept, pieces[i], NULL);
        if (rename(from, into) < 0 && errno != ENOENT) {
            return error_set_errno(error, STORE_ERROR, errno, "cannot rename %s", from);
        }
    }
    return true;
}

/* As it was before. What can't be put back is told, for then something was changed after all. */
static void put_back(struct replacement *replacement, const char *kept, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *from = g_strconcat(kept, pieces[i], NULL);
        g_autofree char *into = g_strconcat(replacement->path, pieces[i], NULL);
        if (replacement->present && i == 0) {
            unlink(from); /* a second name or a copy; the first is where it was */
        } else if (!replacement->present && rename(from, into) < 0 && errno != ENOENT) {
            g_prefix_error(error, "%s has become %s: ", into, from);
        }
    }
}

bool replacement_finish(struct replacement *replacement, const char *fresh, const char *kept,
                        bool *finished, GError **error)
{
    *finished = false;
    if (!(replacement->present ? keep_present(replacement, kept, error)
                               : set_aside(replacement, kept, error)) ||
        !sync_parent(replacement->path, "restore.keep", error)) {
        put_back(replacement, kept, error);
        return false;
    }
    int fault = fault_point("restore.swap");
    if (fault || rename(fresh, replacement->path) < 0) {
        error_set_errno(error, STORE_ERROR, fault ? fault : errno, "cannot rename %s", fresh);
        put_back(replacement, kept, error);
        return false;
    }
    *finished = true;
    return sync_parent(replacement->path, "restore.sync", error);
}

static void *read_number(sqlite3_stmt *row)
{
    return g_memdup2(&(int64_t){sqlite3_column_int64(row, 0)}, sizeof(int64_t));
}

bool store_job_last_number(struct store *store, int64_t *number, GError **error)
{
    void *row = NULL;
    bool good = store_first(
        store, error,
        store_prepare(store, error, "SELECT seq FROM sqlite_sequence WHERE name = 'job'", ""),
        read_number, &row);
    g_autofree int64_t *found = row;
    *number = found ? *found : 0;
    return good;
}

static bool raise_number(struct store *store, int64_t number, GError **error)
{
    int changes = 0;
    return store_write(store, error, &changes,
                       "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'job'", "i",
                       number) &&
           (changes > 0 ||
            store_write(store, error, NULL,
                        "INSERT INTO sqlite_sequence(name, seq) VALUES('job', ?)", "i", number));
}

bool store_job_number_above(struct store *store, int64_t number, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    return store_end(store, own, raise_number(store, number, error), error);
}
