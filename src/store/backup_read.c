#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "store/backup_internal.h"

enum {
    HEADER_BYTES = 100,
    WRITE_VERSION_AT = 18,              /* 1 = no write-ahead log (SQLite file format, 1.3) */
    VALUE_MAX_BYTES = 16 * 1024 * 1024, /* no value of ours comes near */
    FILE_MAX_BYTES = 64 * 1024 * 1024,  /* of one that is read as a whole */
};

struct backup {
    struct store *store;
    char *name;
    struct backup_facts facts;
    int64_t version; /* of the schema */
};

static bool refuse(const struct backup *backup, GError **error, const char *found)
{
    g_autofree char *shown = text_escape(found);
    g_set_error(error, STORE_ERROR, ERROR_INVALID,
                "%s is no usable backup: %s; nothing was changed, take another backup",
                backup->name, shown);
    return false;
}

/* What SQLite says of a foreign file is no advice about the live database. */
static bool fail(const struct backup *backup, GError **error)
{
    int code = sqlite3_extended_errcode(backup->store->database);
    g_autoptr(GError) local = NULL;
    store_fail(backup->store, &local, "read it");
    if (error_has_code(local, ERROR_NO_SPACE) || error_has_code(local, ERROR_DENIED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    return refuse(backup, error, sqlite3_errstr(code));
}

static bool has_header(const char *path)
{
    unsigned char header[HEADER_BYTES];
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && fd_read(fd, header, sizeof(header)) == HEADER_BYTES &&
           memcmp(header, "SQLite format 3", sizeof("SQLite format 3")) == 0 &&
           header[WRITE_VERSION_AT] == 1 && header[WRITE_VERSION_AT + 1] == 1;
}

/* The file's bytes are foreign: nothing in its schema may act, and no value may be huge. */
static bool defend(struct backup *backup, GError **error)
{
    sqlite3 *database = backup->store->database;
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
    sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 2); /* VACUUM INTO needs one */
    return sqlite3_exec(database,
                        "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
                        "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;",
                        NULL, NULL, NULL) == SQLITE_OK ||
           fail(backup, error);
}

static bool ask(struct backup *backup, const char *sql, int64_t *number, GError **error)
{
    g_autoptr(GError) local = NULL;
    return backup_ask_number(backup->store, sql, number, &local) || fail(backup, error);
}

static bool check_identity(struct backup *backup, GError **error)
{
    int64_t application = 0;
    if (!ask(backup, "PRAGMA application_id", &application, error) ||
        !ask(backup, "PRAGMA user_version", &backup->version, error)) {
        return false;
    }
    if (application != BACKUP_APPLICATION_ID || backup->version <= 0) {
        return refuse(backup, error, "it is a database that `phantom_ci backup` did not make");
    }
    if (backup->version > (int64_t)store_schema_version()) {
        g_set_error(error, STORE_ERROR, ERROR_INVALID,
                    "%s was made by a newer phantom_ci (schema %d, this one knows %d); update "
                    "phantom_ci",
                    backup->name, (int)backup->version, (int)store_schema_version());
        return false;
    }
    return true;
}

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

/* One line an object: what it is, its name, and the text that made it. */
static GPtrArray *read_schema(struct store *store, GError **error)
{
    return store_collect(store, error,
                         store_prepare(store, error,
                                       "SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM "
                                       "sqlite_schema ORDER BY 1",
                                       ""),
                         read_text, g_free);
}

static bool is_own_object(const char *line)
{
    static const char *const own[] = {
        ("table backup_file " BACKUP_FILE_TABLE), ("table backup_meta " BACKUP_META_TABLE),
        "index sqlite_autoindex_backup_file_1 ", "index sqlite_autoindex_backup_meta_1 "};
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
        if (g_strcmp0(line, own[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Tables and indexes alone; the backup's own ones must be there, and are taken out of `lines`. */
static bool check_objects(struct backup *backup, GPtrArray *lines, GError **error)
{
    int64_t virtual = 0;
    unsigned own = 0;
    if (!ask(backup,
             "SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR rootpage "
             "IS NULL OR rootpage <= 0",
             &virtual, error)) {
        return false;
    }
    if (virtual != 0) {
        return refuse(backup, error, "its schema holds a trigger, a view or a virtual table");
    }
    for (unsigned i = 0; i < lines->len;) {
        if (is_own_object(g_ptr_array_index(lines, i))) {
            g_ptr_array_remove_index(lines, i);
            own++;
        } else {
            i++;
        }
    }
    return own == 4 || refuse(backup, error, "it has no list of files");
}

/* What this version itself would make, in memory. */
static GPtrArray *expected_schema(GError **error)
{
    struct store *fresh = backup_connect(":memory:", SQLITE_OPEN_READWRITE, error);
    GPtrArray *lines = fresh && store_migrate(fresh, error) ? read_schema(fresh, error) : NULL;
    store_close(fresh);
    return lines;
}

static bool same_lines(const GPtrArray *left, const GPtrArray *right)
{
    if (left->len != right->len) {
        return false;
    }
    for (unsigned i = 0; i < left->len; i++) {
        if (g_strcmp0(g_ptr_array_index(left, i), g_ptr_array_index(right, i)) != 0) {
            return false;
        }
    }
    return true;
}

static bool check_schema(struct backup *backup, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GPtrArray) found = read_schema(backup->store, &local);
    if (!found) {
        return fail(backup, error);
    }
    if (!check_objects(backup, found, error)) {
        return false;
    }
    /* An older schema is compared when it has been brought up to date. */
    if (backup->version < (int64_t)store_schema_version()) {
        return true;
    }
    g_autoptr(GPtrArray) expected = expected_schema(error);
    if (!expected) {
        return false;
    }
    return same_lines(found, expected) ||
           refuse(backup, error, "its tables are not those of phantom_ci");
}

static bool check_integrity(struct backup *backup, GError **error)
{
    void *row = NULL;
    g_autoptr(GError) local = NULL;
    if (!store_first(backup->store, &local,
                     store_prepare(backup->store, &local, "PRAGMA integrity_check(1)", ""),
                     read_text, &row)) {
        return fail(backup, error);
    }
    g_autofree char *finding = row;
    return g_strcmp0(finding, "ok") == 0 ||
           refuse(backup, error, finding ? finding : "it can't be checked");
}

/* NULL when the key is absent. */
static bool find_meta(struct backup *backup, const char *key, char **value, GError **error)
{
    void *row = NULL;
    g_autoptr(GError) local = NULL;
    bool good = store_first(backup->store, &local,
                            store_prepare(backup->store, &local,
                                          "SELECT value FROM backup_meta WHERE key = ?", "s", key),
                            read_text, &row);
    *value = row;
    return good || fail(backup, error);
}

static bool get_number(struct backup *backup, const char *key, int64_t *number, GError **error)
{
    g_autofree char *text = NULL;
    if (!find_meta(backup, key, &text, error)) {
        return false;
    }
    gint64 value = 0;
    if (!text || !g_ascii_string_to_signed(text, 10, 0, G_MAXINT64, &value, NULL)) {
        return refuse(backup, error, "what it says about itself is not complete");
    }
    *number = value;
    return true;
}

static bool check_digest(struct backup *backup, GError **error)
{
    g_autofree char *expected = NULL;
    g_autoptr(GError) local = NULL;
    if (!find_meta(backup, "sha256", &expected, error)) {
        return false;
    }
    g_autofree char *found = backup_digest(backup->store, &local);
    if (!found) {
        return fail(backup, error);
    }
    return g_strcmp0(found, expected) == 0 ||
           refuse(backup, error, "its contents are not those that were written (SHA-256 differs)");
}

static bool read_facts(struct backup *backup, GError **error)
{
    int64_t format = 0;
    int64_t has_logs = 0;
    struct backup_facts *facts = &backup->facts;
    if (!get_number(backup, "format", &format, error)) {
        return false;
    }
    if (format != BACKUP_FORMAT) {
        return refuse(backup, error, "its form is that of another version of phantom_ci");
    }
    bool good = get_number(backup, "created", &facts->created_ms, error) &&
                get_number(backup, "logs", &has_logs, error) &&
                get_number(backup, "log_jobs", &facts->log_jobs, error) &&
                get_number(backup, "log_bytes", &facts->log_bytes, error) &&
                find_meta(backup, "version", &facts->version, error) &&
                ask(backup, "SELECT count(*) FROM job", &facts->jobs, error) &&
                ask(backup, "SELECT count(*) FROM repo", &facts->repos, error);
    facts->has_logs = has_logs != 0;
    return good;
}

static bool is_known_file(const char *name)
{
    g_autofree char *job = NULL;
    const char *file = NULL;
    return strcmp(name, "Repo.toml") == 0 || strcmp(name, "config.toml") == 0 ||
           strcmp(name, ".env") == 0 || backup_parse_log_name(name, &job, &file);
}

/* Only names that backup_writer gives, with pieces from 0 on, each full but the last. */
static bool check_files(struct backup *backup, GError **error)
{
    int64_t odd = 0;
    g_autoptr(GError) local = NULL;
    g_autoptr(GPtrArray) names = store_collect(
        backup->store, &local,
        store_prepare(backup->store, &local, "SELECT DISTINCT name FROM backup_file", ""),
        read_text, g_free);
    if (!names) {
        return fail(backup, error);
    }
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (!name || !is_known_file(name)) {
            return refuse(backup, error, "it holds a file that belongs into no backup");
        }
    }
    g_autofree char *sql = g_strdup_printf(
        "SELECT count(*) FROM (SELECT count(*) AS n, max(piece) AS last, min(piece) AS first, "
        "sum(length(content) != %d) AS short, max(length(content)) AS longest FROM backup_file "
        "GROUP BY name) WHERE first != 0 OR last != n - 1 OR short > 1 OR longest > %d",
        (int)BACKUP_PIECE_BYTES, (int)BACKUP_PIECE_BYTES);
    if (!ask(backup, sql, &odd, error)) {
        return false;
    }
    return odd == 0 || refuse(backup, error, "a file in it is not complete");
}

struct backup *backup_open(const char *path, const char *name, GError **error)
{
    struct backup *backup = g_new0(struct backup, 1);
    backup->name = g_strdup(name);
    if (!has_header(path)) {
        refuse(backup, error, "it is not the file that `phantom_ci backup` makes");
        backup_close(backup);
        return NULL;
    }
    backup->store = backup_connect(path, SQLITE_OPEN_READWRITE, error);
    bool good = backup->store && defend(backup, error) && check_identity(backup, error) &&
                check_schema(backup, error) && check_integrity(backup, error) &&
                check_digest(backup, error) && read_facts(backup, error) &&
                check_files(backup, error);
    if (!good) {
        backup_close(backup);
        return NULL;
    }
    return backup;
}

void backup_close(struct backup *backup)
{
    if (backup) {
        store_close(backup->store);
        backup_facts_clear(&backup->facts);
        g_free(backup->name);
        g_free(backup);
    }
}

const struct backup_facts *backup_get_facts(const struct backup *backup)
{
    return &backup->facts;
}

char *backup_find_file(struct backup *backup, const char *name, size_t *length, unsigned *mode,
                       GError **error)
{
    sqlite3_stmt *statement = store_prepare(
        backup->store, error, "SELECT content, mode FROM backup_file WHERE name = ? ORDER BY piece",
        "s", name);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    bool found = false;
    int more = -1;
    while (statement && (more = store_step(backup->store, error, statement)) == 1) {
        found = true;
        *mode = (unsigned)sqlite3_column_int(statement, 1) & 0777;
        g_byte_array_append(bytes, sqlite3_column_blob(statement, 0),
                            (guint)sqlite3_column_bytes(statement, 0));
        if (bytes->len > FILE_MAX_BYTES) {
            sqlite3_reset(statement);
            refuse(backup, error, "a file in it is too large");
            return NULL;
        }
    }
    if (more != 0 || !found) {
        return NULL;
    }
    *length = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

/* ------------------------------------------------------------------ logs */

static bool sync_directory(const char *path, GError **error)
{
    auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return (fd >= 0 && fsync(fd) == 0) ||
           error_set_errno(error, STORE_ERROR, errno, "cannot write %s", path);
}

static bool write_piece(const char *directory, sqlite3_stmt *row, GError **error)
{
    g_autofree char *job = NULL;
    const char *file = NULL;
    if (!backup_parse_log_name((const char *)sqlite3_column_text(row, 0), &job, &file)) {
        return true;
    }
    g_autofree char *of_job = g_build_filename(directory, job, NULL);
    g_autofree char *path = g_build_filename(of_job, file, NULL);
    if (mkdir(of_job, 0700) < 0 && errno != EEXIST) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot make %s", of_job);
    }
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot write %s", path);
    }
    if (!fd_write_all(fd, sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2),
                      error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    return fsync(fd) == 0 || error_set_errno(error, STORE_ERROR, errno, "cannot write %s", path);
}

bool backup_extract_logs(struct backup *backup, const char *directory, GError **error)
{
    sqlite3_stmt *statement =
        store_prepare(backup->store, error,
                      "SELECT name, piece, content FROM backup_file WHERE name GLOB 'logs/*' ORDER "
                      "BY name, piece",
                      "");
    int more = -1;
    while (statement && (more = store_step(backup->store, error, statement)) == 1) {
        if (!write_piece(directory, statement, error)) {
            sqlite3_reset(statement);
            return false;
        }
    }
    return more == 0 && sync_directory(directory, error);
}

/* -------------------------------------------------------------- database */

/* The backup's own tables go, with the secrets that they hold; the rest is written anew, so that
 * nothing of them is left in free pages. */
static bool strip(struct backup *backup, const char *path, GError **error)
{
    struct store *store = backup->store;
    g_autofree char *mark = NULL;
    int64_t application = 0;
    struct store *fresh = backup_connect(":memory:", SQLITE_OPEN_READWRITE, error);
    bool good = fresh && store_migrate(fresh, error) &&
                backup_ask_number(fresh, "PRAGMA application_id", &application, error);
    store_close(fresh);
    if (!good) {
        return false;
    }
    mark = g_strdup_printf("DROP TABLE backup_file; DROP TABLE backup_meta; PRAGMA "
                           "application_id=%d;",
                           (int)application);
    if (sqlite3_exec(store->database, mark, NULL, NULL, NULL) != SQLITE_OK) {
        return fail(backup, error);
    }
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot make %s", path);
    }
    fd_close(&fd);
    return store_execute(store, error, store_prepare(store, error, "VACUUM INTO ?", "s", path));
}

static bool check_result(struct backup *backup, struct store *store, GError **error)
{
    g_autoptr(GPtrArray) found = read_schema(store, error);
    g_autoptr(GPtrArray) expected = found ? expected_schema(error) : NULL;
    if (!expected) {
        return false;
    }
    return same_lines(found, expected) ||
           refuse(backup, error, "its tables are not those of phantom_ci");
}

bool backup_make_database(struct backup *backup, const char *path, GError **error)
{
    if (!strip(backup, path, error)) {
        return false;
    }
    struct store *store = store_open(path, error);
    bool good = store && check_result(backup, store, error);
    store_close(store);
    return good;
}
