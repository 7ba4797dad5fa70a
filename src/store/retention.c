#include "store/retention.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/refkey.h"
#include "store/store_internal.h"

/* A note with this offset, which no other has, says that the log was dropped. */
#define DROPPED_LOG_OFFSET "-1"

enum { COMPACT_LEAST_BYTES = 4 * 1024 * 1024, COMPACT_PART = 4, COMPACT_CHECK_STEPS = 1000 };

static void free_branch(void *data)
{
    struct retention_branch *branch = data;
    g_free(branch->repo);
    g_free(branch->name);
    g_free(branch);
}

void retention_history_free(struct retention_history *history)
{
    if (history) {
        g_array_unref(history->jobs);
        g_ptr_array_unref(history->branches);
        g_free(history);
    }
}

/* Branch names hold no newline (git check-ref-format), so the pair is unambiguous. */
static unsigned intern_branch(struct retention_history *history, GHashTable *known,
                              const char *repo, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s\n%s", repo, name);
    gpointer index = NULL;
    if (g_hash_table_lookup_extended(known, key, NULL, &index)) {
        return GPOINTER_TO_UINT(index);
    }
    struct retention_branch *branch = g_new0(struct retention_branch, 1);
    branch->repo = g_strdup(repo);
    branch->name = g_strdup(name);
    unsigned number = history->branches->len;
    g_ptr_array_add(history->branches, branch);
    g_hash_table_insert(known, g_steal_pointer(&key), GUINT_TO_POINTER(number));
    return number;
}

/* The states that store_job_previous_verdict() knows. */
static bool is_verdict(enum job_state state)
{
    return state == JOB_SUCCESS || state == JOB_FAILED || state == JOB_ERROR ||
           state == JOB_TIMEOUT || state == JOB_INTERRUPTED || state == JOB_BLOCKED;
}

static const char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

static void add_job(struct retention_history *history, GHashTable *known, sqlite3_stmt *row)
{
    enum job_trigger trigger = JOB_TRIGGER_PUSH;
    enum job_state state = JOB_ERROR;
    job_trigger_from_name(column_text(row, 4), &trigger);
    job_state_from_name(column_text(row, 3), &state);
    struct retention_job job = {
        .id = sqlite3_column_int64(row, 0),
        .branch = intern_branch(history, known, column_text(row, 1), column_text(row, 2)),
        .is_final = job_state_is_final(state),
        .is_push = trigger == JOB_TRIGGER_PUSH,
        .has_verdict = is_verdict(state),
        .retry_of = sqlite3_column_int64(row, 5),
        .finished_ms = sqlite3_column_int64(row, 6),
        .log_is_dropped = sqlite3_column_int(row, 7) != 0,
    };
    history->last_id = MAX(history->last_id, job.id);
    g_array_append_val(history->jobs, job);
}

static bool read_jobs(struct store *store, struct retention_history *history, GError **error)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sqlite3_stmt *statement = store_prepare(
        store, error,
        "SELECT id, repo, branch, state, trigger, retry_of, finished, EXISTS(SELECT 1 FROM note "
        "WHERE note.job = job.id AND note.log_offset = " DROPPED_LOG_OFFSET ") "
        "FROM job ORDER BY id DESC",
        "");
    int more = statement ? 1 : -1;
    while (more == 1 && (more = store_step(store, error, statement)) == 1) {
        add_job(history, known, statement);
    }
    return more == 0;
}

static bool read_last_id(struct store *store, int64_t *last_id, GError **error)
{
    sqlite3_stmt *statement =
        store_prepare(store, error, "SELECT seq FROM sqlite_sequence WHERE name = 'job'", "");
    int more = statement ? store_step(store, error, statement) : -1;
    if (more == 1) {
        *last_id = MAX(*last_id, sqlite3_column_int64(statement, 0));
        sqlite3_reset(statement);
    }
    return more >= 0;
}

struct retention_history *store_retention_history(struct store *store, GError **error)
{
    struct retention_history *history = g_new0(struct retention_history, 1);
    history->jobs = g_array_new(FALSE, FALSE, sizeof(struct retention_job));
    history->branches = g_ptr_array_new_with_free_func(free_branch);
    if (!read_last_id(store, &history->last_id, error) || !read_jobs(store, history, error)) {
        retention_history_free(history);
        return NULL;
    }
    return history;
}

static bool delete_one(struct store *store, int64_t job, int64_t last_id, GArray *deleted,
                       GError **error)
{
    int changes = 0;
    bool good = store_write(store, error, &changes,
                            "DELETE FROM job WHERE id = ?1 AND state NOT IN ('queued', 'running') "
                            "AND NOT EXISTS (SELECT 1 FROM job AS later WHERE later.id > ?2 AND "
                            "later.retry_of = ?1)",
                            "ii", job, last_id);
    if (good && changes > 0) {
        g_array_append_val(deleted, job);
    }
    return good;
}

/* Whether the transaction has done enough, so that others get their turn. */
static bool is_full(unsigned taken, unsigned count, int64_t begun_ms)
{
    return taken == count || taken == RETENTION_BITE_JOBS ||
           clock_monotonic_ms() - begun_ms >= RETENTION_BITE_MS;
}

bool store_retention_delete(struct store *store, const int64_t *jobs, unsigned count,
                            int64_t last_id, unsigned *taken, GArray *deleted, GError **error)
{
    unsigned before = deleted->len;
    *taken = 0;
    if (count == 0) {
        return true;
    }
    if (!store_begin(store, error)) {
        return false;
    }
    int64_t begun_ms = clock_monotonic_ms();
    bool good = true;
    do {
        good = delete_one(store, jobs[*taken], last_id, deleted, error);
        (*taken)++;
    } while (good && !is_full(*taken, count, begun_ms));
    good = store_end(store, true, good, error);
    if (!good) {
        g_array_set_size(deleted, before);
    }
    return good;
}

static bool drop_one(struct store *store, int64_t job, const char *text, int64_t now_ms,
                     GError **error)
{
    return store_write(
        store, error, NULL,
        "INSERT INTO note(job, at, log_offset, text) SELECT ?1, ?2, " DROPPED_LOG_OFFSET ", ?3 "
        "WHERE EXISTS (SELECT 1 FROM job WHERE id = ?1) AND NOT EXISTS (SELECT 1 FROM note WHERE "
        "job = ?1 AND log_offset = " DROPPED_LOG_OFFSET ")",
        "iis", job, now_ms, text);
}

bool store_retention_drop_logs(struct store *store, const int64_t *jobs, unsigned count,
                               const char *text, int64_t now_ms, unsigned *taken, GError **error)
{
    *taken = 0;
    if (count == 0) {
        return true;
    }
    if (!store_begin(store, error)) {
        return false;
    }
    int64_t begun_ms = clock_monotonic_ms();
    bool good = true;
    do {
        good = drop_one(store, jobs[*taken], text, now_ms, error);
        (*taken)++;
    } while (good && !is_full(*taken, count, begun_ms));
    return store_end(store, true, good, error);
}

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

bool store_retention_dropped_log(struct store *store, int64_t job, char **text, GError **error)
{
    void *row = NULL;
    bool good = store_first(store, error,
                            store_prepare(store, error,
                                          "SELECT text FROM note WHERE job = ? AND "
                                          "log_offset = " DROPPED_LOG_OFFSET,
                                          "i", job),
                            read_text, &row);
    *text = row;
    return good;
}

/* --------------------------------------------------- branches, decisions */

#define IF_FORGETTABLE                                                                             \
    " WHERE repo = ?1 AND name = ?2 AND gone > 0 AND gone = ?3 AND NOT EXISTS (SELECT 1 FROM job " \
    "WHERE job.repo = ?1 AND job.branch = ?2)"

bool store_retention_forget_branch(struct store *store, const char *repo, const char *name,
                                   int64_t gone_ms, bool *forgotten, GError **error)
{
    int changes = 0;
    bool good = store_write(store, error, &changes,
                            refkey_tag(name) ? "DELETE FROM tag" IF_FORGETTABLE
                                             : "DELETE FROM branch" IF_FORGETTABLE,
                            "ssi", repo, name, gone_ms);
    *forgotten = good && changes > 0;
    return good;
}

GArray *store_retention_stale_decisions(struct store *store, int64_t before_ms, GError **error)
{
    GArray *decisions = g_array_new(FALSE, FALSE, sizeof(int64_t));
    sqlite3_stmt *statement = store_prepare(
        store, error,
        "SELECT id FROM decision WHERE at < ? AND NOT EXISTS (SELECT 1 FROM branch WHERE "
        "branch.repo = decision.repo AND branch.name = decision.branch) AND NOT EXISTS (SELECT 1 "
        "FROM job WHERE job.repo = decision.repo AND job.branch = decision.branch) ORDER BY id",
        "i", before_ms);
    int more = statement ? 1 : -1;
    while (more == 1 && (more = store_step(store, error, statement)) == 1) {
        int64_t decision = sqlite3_column_int64(statement, 0);
        g_array_append_val(decisions, decision);
    }
    if (more < 0) {
        g_clear_pointer(&decisions, g_array_unref);
    }
    return decisions;
}

bool store_retention_delete_decisions(struct store *store, const int64_t *decisions, unsigned count,
                                      unsigned *taken, GError **error)
{
    *taken = 0;
    if (count == 0) {
        return true;
    }
    if (!store_begin(store, error)) {
        return false;
    }
    int64_t begun_ms = clock_monotonic_ms();
    bool good = true;
    do {
        good = store_write(store, error, NULL, "DELETE FROM decision WHERE id = ?", "i",
                           decisions[*taken]);
        (*taken)++;
    } while (good && !is_full(*taken, count, begun_ms));
    return store_end(store, true, good, error);
}

/* ------------------------------------------------------------- compaction */

static bool read_number(struct store *store, const char *sql, int64_t *number, GError **error)
{
    sqlite3_stmt *statement = store_prepare(store, error, sql, "");
    int more = statement ? store_step(store, error, statement) : -1;
    if (more == 1) {
        *number = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return more >= 0;
}

static int is_late(void *data)
{
    const int64_t *deadline_ms = data;
    return clock_monotonic_ms() >= *deadline_ms;
}

/* The copy goes through a file, not through memory as other temporary things do. */
static bool vacuum(struct store *store, int limit_ms, GError **error)
{
    int fault = fault_point("gc.compact");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "%s: cannot compact", store->path);
    }
    int64_t deadline_ms = clock_monotonic_ms() + limit_ms;
    sqlite3_exec(store->database, "PRAGMA temp_store=FILE", NULL, NULL, NULL);
    sqlite3_progress_handler(store->database, COMPACT_CHECK_STEPS, is_late, &deadline_ms);
    int result = sqlite3_exec(store->database, "VACUUM", NULL, NULL, NULL);
    sqlite3_progress_handler(store->database, 0, NULL, NULL);
    if (result == SQLITE_INTERRUPT) {
        g_set_error(error, STORE_ERROR, ERROR_LIMIT,
                    "%s: compacting it was given up after %d s, for nobody can write meanwhile",
                    store->path, limit_ms / 1000);
    } else if (result != SQLITE_OK) {
        store_fail(store, error, "compact the database");
    }
    sqlite3_exec(store->database, "PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
    /* Moves the copy from the log into the file; a reader may put that off. */
    sqlite3_exec(store->database, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    return result == SQLITE_OK;
}

bool store_compact(struct store *store, int limit_ms, int64_t *size_bytes, int64_t *freed_bytes,
                   GError **error)
{
    int64_t page = 0;
    int64_t pages = 0;
    int64_t unused = 0;
    *size_bytes = 0;
    *freed_bytes = 0;
    if (!read_number(store, "PRAGMA page_size", &page, error) ||
        !read_number(store, "PRAGMA page_count", &pages, error) ||
        !read_number(store, "PRAGMA freelist_count", &unused, error)) {
        return false;
    }
    *size_bytes = page * pages;
    if (unused * page < COMPACT_LEAST_BYTES || unused < pages / COMPACT_PART) {
        return true;
    }
    if (!vacuum(store, limit_ms, error)) {
        return false;
    }
    int64_t left = 0;
    bool good = read_number(store, "PRAGMA page_count", &left, error);
    *freed_bytes = good ? (pages - left) * page : 0;
    *size_bytes = left * page;
    return good;
}
