/* Questions about the database as a whole, for `phantom_ci doctor`. */
#include "base/clock.h"
#include "store/store_internal.h"

/* Instructions of SQLite's machine between two looks at the time. */
enum { STEPS_BETWEEN_LOOKS = 1000 };

static int is_over(void *data)
{
    const int64_t *end_ms = data;
    return clock_monotonic_ms() >= *end_ms;
}

bool store_check_within(struct store *store, int timeout_ms, GError **error)
{
    int64_t end_ms = clock_monotonic_ms() + timeout_ms;
    GError *failure = NULL;
    sqlite3_progress_handler(store->database, STEPS_BETWEEN_LOOKS, is_over, &end_ms);
    bool good = store_check(store, &failure);
    sqlite3_progress_handler(store->database, 0, NULL, NULL);
    if (!good && sqlite3_errcode(store->database) == SQLITE_INTERRUPT) {
        g_clear_error(&failure);
        g_set_error(&failure, STORE_ERROR, ERROR_LIMIT, "%s: the check did not end within %d s",
                    store->path, timeout_ms / 1000);
    }
    if (failure) {
        g_propagate_error(error, failure);
    }
    return good;
}

static void *read_number(sqlite3_stmt *row)
{
    int64_t *number = g_new(int64_t, 1);
    *number = sqlite3_column_int64(row, 0);
    return number;
}

bool store_newest_ms(struct store *store, int64_t *newest_ms, GError **error)
{
    void *row = NULL;
    *newest_ms = 0;
    if (!store_first(store, error,
                     store_prepare(store, error,
                                   "SELECT max(at) FROM ("
                                   "SELECT max(max(created, started, finished)) AS at FROM job "
                                   "UNION ALL SELECT max(max(started, finished)) FROM step "
                                   "UNION ALL SELECT max(max(seen, gone)) FROM branch "
                                   "UNION ALL SELECT max(at) FROM decision)",
                                   ""),
                     read_number, &row)) {
        return false;
    }
    g_autofree int64_t *number = row;
    *newest_ms = number ? *number : 0;
    return true;
}
