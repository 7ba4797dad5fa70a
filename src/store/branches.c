#include "store/store_internal.h"

void branch_free(struct branch *branch)
{
    if (branch) {
        g_free(branch->repo);
        g_free(branch->name);
        g_free(branch->tip);
        g_free(branch);
    }
}

static void free_branch(void *branch)
{
    branch_free(branch);
}

static void *read_branch(sqlite3_stmt *row)
{
    struct branch *branch = g_new0(struct branch, 1);
    branch->repo = store_text(row, 0);
    branch->name = store_text(row, 1);
    branch->tip = store_text(row, 2);
    branch->seen_ms = sqlite3_column_int64(row, 3);
    branch->gone_ms = sqlite3_column_int64(row, 4);
    return branch;
}

#define BRANCH_COLUMNS "repo, name, tip, seen, gone"

GPtrArray *store_branches(struct store *store, const char *repo, GError **error)
{
    sqlite3_stmt *statement =
        repo ? store_prepare(store, error,
                             "SELECT " BRANCH_COLUMNS " FROM branch WHERE repo = ? ORDER BY name",
                             "s", repo)
             : store_prepare(store, error,
                             "SELECT " BRANCH_COLUMNS " FROM branch ORDER BY repo, name", "");
    return store_collect(store, error, statement, read_branch, free_branch);
}

bool store_branch_put(struct store *store, const struct branch *branch, GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO branch(repo, name, tip, seen, gone) VALUES(?, ?, ?, ?, ?) "
                       "ON CONFLICT(repo, name) DO UPDATE SET tip = excluded.tip, "
                       "seen = excluded.seen, gone = excluded.gone",
                       "sssii", branch->repo, branch->name, branch->tip, branch->seen_ms,
                       branch->gone_ms);
}

bool store_branch_remove(struct store *store, const char *repo, const char *name, GError **error)
{
    return store_write(store, error, NULL, "DELETE FROM branch WHERE repo = ? AND name = ?", "ss",
                       repo, name);
}

static void *read_text(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

bool store_repo_get_selection(struct store *store, const char *repo, char **selection,
                              GError **error)
{
    void *text = NULL;
    bool good = store_first(
        store, error,
        store_prepare(store, error, "SELECT selection FROM repo WHERE name = ?", "s", repo),
        read_text, &text);
    *selection = text;
    return good;
}

bool store_repo_put_selection(struct store *store, const char *repo, const char *selection,
                              GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO repo(name, selection) VALUES(?, ?) ON CONFLICT(name) DO "
                       "UPDATE SET selection = excluded.selection",
                       "ss", repo, selection);
}

bool store_repo_set_paused(struct store *store, const char *repo, bool paused, GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO repo(name, paused) VALUES(?, ?) ON CONFLICT(name) DO "
                       "UPDATE SET paused = excluded.paused",
                       "si", repo, (int64_t)paused);
}

bool store_repo_is_paused(struct store *store, const char *repo, bool *paused, GError **error)
{
    void *text = NULL;
    bool good = store_first(
        store, error,
        store_prepare(store, error, "SELECT name FROM repo WHERE name = ? AND paused", "s", repo),
        read_text, &text);
    *paused = text != NULL;
    g_free(text);
    return good;
}

static bool forget(struct store *store, const char *repo, int64_t now_ms, GError **error)
{
    return store_write(store, error, NULL, "DELETE FROM branch WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM decision WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM poll_request WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM repo WHERE name = ?", "s", repo) &&
           store_write(
               store, error, NULL,
               "UPDATE job INDEXED BY job_queued SET state = 'canceled', finished = ?, reason = "
               "'the repository was removed' WHERE repo = ? AND state = 'queued'",
               "is", now_ms, repo);
}

bool store_repo_forget(struct store *store, const char *repo, int64_t now_ms, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    return store_end(store, own, forget(store, repo, now_ms, error), error);
}
