/* Statements: prepared once, bound, stepped, and reset at once, so that no read transaction stays
 * open. */
#include <errno.h>
#include <stdarg.h>

#include "base/fault.h"
#include "store/store_internal.h"

static enum error_code code_from_sqlite(int code, int system_errno)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return ERROR_NO_SPACE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (system_errno == ENOSPC || system_errno == EDQUOT) {
            return ERROR_NO_SPACE;
        }
        return system_errno == EACCES || system_errno == EPERM ? ERROR_DENIED : ERROR_SYSTEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERROR_INVALID;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERROR_DENIED;
    default:
        /* The only constraint that a caller can break: a step or note of a job that is not there.
         */
        return code == SQLITE_CONSTRAINT_FOREIGNKEY ? ERROR_NOT_FOUND : ERROR_SYSTEM;
    }
}

static const char *advice(enum error_code code)
{
    if (code == ERROR_INVALID) {
        return "; this is no usable database of phantom_ci: restore it from a backup, or move it "
               "away "
               "together with its -wal and -shm files (its list of jobs is then lost, the logs "
               "stay), "
               "and start again";
    }
    return code == ERROR_NO_SPACE ? "; free some space on that disk" : "";
}

bool store_fail(struct store *store, GError **error, const char *doing)
{
    int code = sqlite3_extended_errcode(store->database);
    enum error_code ours = code_from_sqlite(code, sqlite3_system_errno(store->database));
    if (store->in_transaction && sqlite3_get_autocommit(store->database)) {
        store->undone = true;
        store->undone_code = ours;
    }
    g_set_error(error, STORE_ERROR, (int)ours, "%s: cannot %s: %s%s", store->path, doing,
                sqlite3_errmsg(store->database), advice(ours));
    return false;
}

static int bind_next(sqlite3_stmt *statement, int position, char type, va_list *arguments)
{
    if (type == 's') {
        return sqlite3_bind_text(statement, position, va_arg(*arguments, const char *), -1,
                                 SQLITE_TRANSIENT);
    }
    if (type == 'i') {
        return sqlite3_bind_int64(statement, position, va_arg(*arguments, int64_t));
    }
    g_assert(type == 'b');
    const void *bytes = va_arg(*arguments, const void *);
    size_t length = va_arg(*arguments, size_t);
    /* A NULL pointer would bind NULL, not the empty value. */
    return sqlite3_bind_blob64(statement, position, bytes ? bytes : "", length, SQLITE_TRANSIENT);
}

static sqlite3_stmt *prepare(struct store *store, GError **error, const char *sql)
{
    sqlite3_stmt *statement = g_hash_table_lookup(store->statements, sql);
    if (!statement) {
        if (sqlite3_prepare_v3(store->database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                               NULL) != SQLITE_OK) {
            store_fail(store, error, "ask the database");
            return NULL;
        }
        g_hash_table_insert(store->statements, (void *)sql, statement);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

static sqlite3_stmt *prepare_bound(struct store *store, GError **error, const char *sql,
                                   const char *types, va_list *arguments)
{
    sqlite3_stmt *statement = prepare(store, error, sql);
    for (int i = 0; statement && types[i]; i++) {
        if (bind_next(statement, i + 1, types[i], arguments) != SQLITE_OK) {
            store_fail(store, error, "pass a value to the database");
            return NULL;
        }
    }
    return statement;
}

sqlite3_stmt *store_prepare(struct store *store, GError **error, const char *sql, const char *types,
                            ...)
{
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(store, error, sql, types, &arguments);
    va_end(arguments);
    return statement;
}

int store_step(struct store *store, GError **error, sqlite3_stmt *statement)
{
    if (store->in_transaction && store->undone) {
        /* Outside its transaction a statement would be written on its own. */
        g_set_error(error, STORE_ERROR, (int)store->undone_code,
                    "%s: an earlier failure has undone the transaction", store->path);
        sqlite3_reset(statement);
        return -1;
    }
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        return 1;
    }
    if (result != SQLITE_DONE) {
        store_fail(store, error, "use the database");
    }
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

bool store_execute(struct store *store, GError **error, sqlite3_stmt *statement)
{
    return statement && store_step(store, error, statement) == 0;
}

bool store_first(struct store *store, GError **error, sqlite3_stmt *statement,
                 void *(*read)(sqlite3_stmt *), void **row)
{
    *row = NULL;
    int more = statement ? store_step(store, error, statement) : -1;
    if (more == 1) {
        *row = read(statement);
        sqlite3_reset(statement);
    }
    return more >= 0;
}

GPtrArray *store_collect(struct store *store, GError **error, sqlite3_stmt *statement,
                         void *(*read)(sqlite3_stmt *), GDestroyNotify free_row)
{
    int fault = statement ? fault_point("store.read") : 0;
    if (fault) {
        error_set_errno(error, STORE_ERROR, fault, "%s: cannot read", store->path);
    }
    if (!statement || fault) {
        return NULL;
    }
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_row);
    int more;
    while ((more = store_step(store, error, statement)) == 1) {
        g_ptr_array_add(rows, read(statement));
    }
    return more == 0 ? g_steal_pointer(&rows) : NULL;
}

char *store_text(sqlite3_stmt *statement, int column)
{
    return g_strdup((const char *)sqlite3_column_text(statement, column));
}

int store_changes(const struct store *store)
{
    return sqlite3_changes(store->database);
}

bool store_write(struct store *store, GError **error, int *changes, const char *sql,
                 const char *types, ...)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = prepare_bound(store, error, sql, types, &arguments);
    va_end(arguments);
    bool good = store_execute(store, error, statement);
    if (changes) {
        *changes = good ? store_changes(store) : 0;
    }
    return store_end(store, own, good, error);
}
