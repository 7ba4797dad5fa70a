#include "store/original.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "store/backup_internal.h"

enum {
    ROWS_MAX = 100000,
    TEXT_MAX_BYTES = 4096,
    VALUE_MAX_BYTES = 64 * 1024 * 1024, /* its other columns held whole outputs */
    BUSY_TIMEOUT_MS = 5000,
};

static void free_tip(void *data)
{
    struct original_tip *tip = data;
    g_free(tip->path);
    g_free(tip->branch);
    g_free(tip->sha);
    g_free(tip);
}

static bool refuse(const char *path, const char *found, GError **error)
{
    g_set_error(error, STORE_ERROR, ERROR_INVALID,
                "%s is no database of the original phantom_ci: %s", path, found);
    return false;
}

/* What SQLite says, without the advice for a database of ours. */
static bool fail(struct store *store, GError **error)
{
    int code = sqlite3_extended_errcode(store->database);
    if ((code & 0xff) == SQLITE_BUSY) {
        g_set_error(error, STORE_ERROR, ERROR_BUSY,
                    "%s is locked; stop the original phantom_ci and try again", store->path);
        return false;
    }
    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN) {
        g_set_error(error, STORE_ERROR, ERROR_DENIED,
                    "%s can't be read: %s. If the original was killed while it wrote, start and "
                    "stop it once more",
                    store->path, sqlite3_errstr(code));
        return false;
    }
    return refuse(store->path, sqlite3_errmsg(store->database), error);
}

static struct store *open_read_only(const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    struct stat status;
    if (stat(path, &status) < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot read %s", path);
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        refuse(path, "it is not a regular file", error);
        return NULL;
    }
    struct store *store = backup_connect(path, SQLITE_OPEN_READONLY, &local);
    if (!store) {
        g_set_error(error, STORE_ERROR, local->code, "cannot read %s: %s", path, local->message);
        return NULL;
    }
    sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store->database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(store->database, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
    sqlite3_limit(store->database, SQLITE_LIMIT_ATTACHED, 0);
    return store;
}

static bool ask(struct store *store, const char *sql, int64_t *number, GError **error)
{
    g_autoptr(GError) local = NULL;
    return backup_ask_number(store, sql, number, &local) || fail(store, error);
}

#define HAS_COLUMN(name) "SELECT count(*) FROM pragma_table_info('jobs') WHERE name = '" name "'"

/* Which columns there are: *sql becomes the question that fits, or NULL when there is no answer. */
static bool choose_question(struct store *store, const char **sql, GError **error)
{
    int64_t tables = 0;
    int64_t has_repo = 0;
    int64_t has_branch = 0;
    int64_t has_sha = 0;
    *sql = NULL;
    if (!ask(store,
             "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'jobs' AND "
             "rootpage > 0",
             &tables, error) ||
        (tables == 1 && (!ask(store, HAS_COLUMN("repo"), &has_repo, error) ||
                         !ask(store, HAS_COLUMN("target_branch"), &has_branch, error) ||
                         !ask(store, HAS_COLUMN("sha"), &has_sha, error)))) {
        return false;
    }
    if (tables == 0) {
        return refuse(store->path, "it has no table \"jobs\"", error);
    }
    if (has_repo && has_sha) {
        *sql = has_branch
                   ? "SELECT repo, target_branch, sha FROM jobs NOT INDEXED ORDER BY rowid LIMIT ?"
                   : "SELECT repo, NULL, sha FROM jobs NOT INDEXED ORDER BY rowid LIMIT ?";
    }
    return true;
}

/* A text of ordinary length and characters; NULL otherwise. */
static char *read_value(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) != SQLITE_TEXT) {
        return NULL;
    }
    const char *text = (const char *)sqlite3_column_text(row, column);
    int length = sqlite3_column_bytes(row, column);
    bool good = text && length > 0 && length <= TEXT_MAX_BYTES && strlen(text) == (size_t)length &&
                g_utf8_validate(text, length, NULL);
    return good ? g_strdup(text) : NULL;
}

/* A row without a commit yet is no error of anybody's. */
static bool is_empty(sqlite3_stmt *row)
{
    int type = sqlite3_column_type(row, 2);
    return type == SQLITE_NULL || (type == SQLITE_TEXT && sqlite3_column_bytes(row, 2) == 0);
}

static void take_row(sqlite3_stmt *row, bool has_branch, GHashTable *newest, unsigned *ignored)
{
    struct original_tip *tip = g_new0(struct original_tip, 1);
    tip->path = read_value(row, 0);
    tip->branch = has_branch ? read_value(row, 1) : NULL;
    tip->sha = read_value(row, 2);
    if (!tip->path || (has_branch && !tip->branch) || !tip->sha || !text_is_object_id(tip->sha)) {
        *ignored += !is_empty(row);
        free_tip(tip);
        return;
    }
    /* A newline stands in no URL that is accepted. */
    g_hash_table_replace(newest, g_strconcat(tip->path, "\n", tip->branch ? tip->branch : "", NULL),
                         tip);
}

static int compare_tips(const void *left, const void *right)
{
    const struct original_tip *a = *(const struct original_tip *const *)left;
    const struct original_tip *b = *(const struct original_tip *const *)right;
    int by_path = strcmp(a->path, b->path);
    return by_path ? by_path : g_strcmp0(a->branch, b->branch);
}

static GPtrArray *read_rows(struct store *store, const char *sql, unsigned *ignored, GError **error)
{
    g_autoptr(GHashTable) newest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_tip);
    GPtrArray *tips = g_ptr_array_new_with_free_func(free_tip);
    g_autoptr(GError) local = NULL;
    sqlite3_stmt *statement =
        sql ? store_prepare(store, &local, sql, "i", (int64_t)ROWS_MAX) : NULL;
    bool has_branch = sql && strstr(sql, "target_branch");
    int more = statement || !sql ? 0 : -1;
    while (statement && (more = store_step(store, &local, statement)) == 1) {
        take_row(statement, has_branch, newest, ignored);
    }
    if (more < 0) {
        fail(store, error);
        g_ptr_array_unref(tips);
        return NULL;
    }
    GHashTableIter iterator;
    void *key = NULL;
    void *tip = NULL;
    g_hash_table_iter_init(&iterator, newest);
    while (g_hash_table_iter_next(&iterator, &key, &tip)) {
        g_ptr_array_add(tips, tip);
        g_hash_table_iter_steal(&iterator);
        g_free(key);
    }
    g_ptr_array_sort(tips, compare_tips);
    return tips;
}

GPtrArray *original_tips_load(const char *path, unsigned *ignored, GError **error)
{
    const char *sql = NULL;
    *ignored = 0;
    struct store *store = open_read_only(path, error);
    GPtrArray *tips =
        store && choose_question(store, &sql, error) ? read_rows(store, sql, ignored, error) : NULL;
    store_close(store);
    return tips;
}
