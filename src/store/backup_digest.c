#include <string.h>

#include "store/backup_internal.h"

enum { JOB_DIGITS_MAX = 18, SEGMENT_DIGITS = 20 };

static void finalize(void *statement)
{
    sqlite3_finalize(statement);
}

struct store *backup_connect(const char *path, int flags, GError **error)
{
    struct store *store = g_new0(struct store, 1);
    store->path = g_strdup(path);
    store->statements = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, finalize);
    if (sqlite3_open_v2(path, &store->database, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        store_fail(store, error, "open the backup");
        store_close(store);
        return NULL;
    }
    return store;
}

static bool all_digits(const char *text, size_t least, size_t most)
{
    size_t length = strspn(text, "0123456789");
    return text[length] == '\0' && length >= least && length <= most;
}

bool backup_is_log_file(const char *name)
{
    return strcmp(name, "output") == 0 || strcmp(name, "times") == 0 ||
           (g_str_has_prefix(name, "output.") &&
            all_digits(name + strlen("output."), SEGMENT_DIGITS, SEGMENT_DIGITS));
}

bool backup_parse_log_name(const char *path, char **job, const char **name)
{
    if (!g_str_has_prefix(path, "logs/")) {
        return false;
    }
    const char *begin = path + strlen("logs/");
    const char *slash = strchr(begin, '/');
    g_autofree char *number = slash ? g_strndup(begin, (size_t)(slash - begin)) : NULL;
    if (!number || *number == '0' || !all_digits(number, 1, JOB_DIGITS_MAX) ||
        !backup_is_log_file(slash + 1)) {
        return false;
    }
    *job = g_steal_pointer(&number);
    *name = slash + 1;
    return true;
}

static void add_bytes(GChecksum *digest, char type, const void *bytes, size_t length)
{
    guint64 size = GUINT64_TO_LE((guint64)length);
    g_checksum_update(digest, (const guchar *)&type, 1);
    g_checksum_update(digest, (const guchar *)&size, sizeof(size));
    if (length > 0) {
        g_checksum_update(digest, bytes, (gssize)length);
    }
}

static void add_value(GChecksum *digest, sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    if (type == SQLITE_INTEGER) {
        gint64 number = GINT64_TO_LE((gint64)sqlite3_column_int64(row, column));
        add_bytes(digest, 'i', &number, sizeof(number));
    } else if (type == SQLITE_NULL) {
        add_bytes(digest, 'n', NULL, 0);
    } else {
        /* Text and blobs as they are; a real number, of which we have none, as its text. */
        const void *bytes = type == SQLITE_BLOB ? sqlite3_column_blob(row, column)
                                                : (const void *)sqlite3_column_text(row, column);
        add_bytes(digest, type == SQLITE_BLOB ? 'b' : 't', bytes,
                  (size_t)sqlite3_column_bytes(row, column));
    }
}

static bool add_rows(struct store *store, GChecksum *digest, const char *sql, GError **error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK) {
        return store_fail(store, error, "read a table");
    }
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        int columns = sqlite3_column_count(statement);
        add_bytes(digest, 'r', NULL, 0);
        for (int i = 0; i < columns; i++) {
            add_value(digest, statement, i);
        }
    }
    bool good = result == SQLITE_DONE || store_fail(store, error, "read a table");
    sqlite3_finalize(statement);
    return good;
}

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

char *backup_digest(struct store *store, GError **error)
{
    g_autoptr(GPtrArray) tables = store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name != "
                      "'backup_meta' ORDER BY name",
                      ""),
        read_text, g_free);
    g_autoptr(GChecksum) digest = g_checksum_new(G_CHECKSUM_SHA256);
    bool good =
        tables &&
        add_rows(store, digest,
                 "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY "
                 "type, name",
                 error) &&
        add_rows(store, digest, "SELECT user_version FROM pragma_user_version", error) &&
        add_rows(store, digest,
                 "SELECT key, value FROM backup_meta WHERE key != 'sha256' ORDER BY key", error);
    for (unsigned i = 0; good && i < tables->len; i++) {
        const char *name = g_ptr_array_index(tables, i);
        add_bytes(digest, 'T', name, strlen(name));
        /* In the order of the table itself: an index could hold other values when it is damaged. */
        char *sql = sqlite3_mprintf("SELECT * FROM \"%w\" NOT INDEXED", name);
        good = add_rows(store, digest, sql, error);
        sqlite3_free(sql);
    }
    return good ? g_strdup(g_checksum_get_string(digest)) : NULL;
}

bool backup_ask_number(struct store *store, const char *sql, int64_t *number, GError **error)
{
    sqlite3_stmt *statement = NULL;
    *number = 0;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK) {
        return store_fail(store, error, "read it");
    }
    bool good = sqlite3_step(statement) == SQLITE_ROW;
    if (good) {
        *number = sqlite3_column_int64(statement, 0);
    } else {
        store_fail(store, error, "read it");
    }
    sqlite3_finalize(statement);
    return good;
}
