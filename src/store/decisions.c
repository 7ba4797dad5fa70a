/* Decisions about branches, and requests to the daemon. */
#include "store/store_internal.h"

enum { DECISIONS_KEPT = 20 };

void decision_free(struct decision *decision)
{
    if (decision) {
        g_free(decision->repo);
        g_free(decision->branch);
        g_free(decision->kind);
        g_free(decision->old_sha);
        g_free(decision->new_sha);
        g_free(decision->detail);
        g_free(decision);
    }
}

static void free_decision(void *decision)
{
    decision_free(decision);
}

static void *read_decision(sqlite3_stmt *row)
{
    struct decision *decision = g_new0(struct decision, 1);
    decision->repo = store_text(row, 0);
    decision->branch = store_text(row, 1);
    decision->at_ms = sqlite3_column_int64(row, 2);
    decision->kind = store_text(row, 3);
    decision->old_sha = store_text(row, 4);
    decision->new_sha = store_text(row, 5);
    decision->job = sqlite3_column_int64(row, 6);
    decision->detail = store_text(row, 7);
    return decision;
}

static bool put_decision(struct store *store, const struct decision *decision, GError **error)
{
    return store_write(
               store, error, NULL,
               "INSERT INTO decision(repo, branch, at, kind, old_sha, new_sha, job, detail) "
               "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
               "ssisssis", decision->repo, decision->branch, decision->at_ms, decision->kind,
               decision->old_sha, decision->new_sha, decision->job, decision->detail) &&
           store_write(store, error, NULL,
                       "DELETE FROM decision WHERE repo = ?1 AND branch = ?2 AND id <= "
                       "(SELECT id FROM decision WHERE repo = ?1 AND branch = ?2 "
                       "ORDER BY id DESC LIMIT 1 OFFSET ?3)",
                       "ssi", decision->repo, decision->branch, (int64_t)DECISIONS_KEPT);
}

bool store_decision_put(struct store *store, const struct decision *decision, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    return store_end(store, own, put_decision(store, decision, error), error);
}

GPtrArray *store_decisions(struct store *store, const char *repo, const char *branch,
                           unsigned limit, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT repo, branch, at, kind, old_sha, new_sha, job, detail "
                      "FROM decision WHERE repo = ?1 AND (?2 IS NULL OR branch = ?2) "
                      "ORDER BY id DESC LIMIT ?3",
                      "ssi", repo, branch, limit ? (int64_t)limit : (int64_t)-1),
        read_decision, free_decision);
}

bool store_request_poll(struct store *store, const char *repo, int64_t now_ms, GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT OR REPLACE INTO poll_request(repo, at) VALUES(?, ?)", "si",
                       repo ? repo : "", now_ms);
}

static void *read_name(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

static GPtrArray *list_requests(struct store *store, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error, "SELECT repo FROM poll_request ORDER BY at, repo", ""),
        read_name, g_free);
}

/* Lists and removes under the write lock, so that no request that comes in between is lost. */
static GPtrArray *take_requests(struct store *store, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return NULL;
    }
    g_autoptr(GPtrArray) names = list_requests(store, error);
    bool good = names && store_write(store, error, NULL, "DELETE FROM poll_request", "");
    return store_end(store, own, good, error) ? g_steal_pointer(&names) : NULL;
}

char **store_take_poll_requests(struct store *store, GError **error)
{
    g_autoptr(GPtrArray) names = list_requests(store, error);
    if (names && names->len > 0) {
        g_ptr_array_unref(names);
        names = take_requests(store, error);
    }
    if (!names) {
        return NULL;
    }
    g_ptr_array_set_free_func(names, NULL);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}
