#include "base/refkey.h"
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

GPtrArray *store_tags(struct store *store, const char *repo, GError **error)
{
    sqlite3_stmt *statement =
        repo ? store_prepare(store, error,
                             "SELECT " BRANCH_COLUMNS " FROM tag WHERE repo = ? ORDER BY name", "s",
                             repo)
             : store_prepare(store, error, "SELECT " BRANCH_COLUMNS " FROM tag ORDER BY repo, name",
                             "");
    return store_collect(store, error, statement, read_branch, free_branch);
}

static void *read_number(sqlite3_stmt *row)
{
    int64_t *number = g_new(int64_t, 1);
    *number = sqlite3_column_int64(row, 0);
    return number;
}

bool store_count_tags(struct store *store, const char *repo, int64_t *count, GError **error)
{
    void *row = NULL;
    bool good = store_first(store, error,
                            store_prepare(store, error,
                                          "SELECT count(*) FROM tag WHERE repo = ? AND gone = 0",
                                          "s", repo),
                            read_number, &row);
    *count = row ? *(int64_t *)row : 0;
    g_free(row);
    return good;
}

#define PUT_VALUES                                                                                 \
    "(repo, name, tip, seen, gone) VALUES(?, ?, ?, ?, ?) ON CONFLICT(repo, name) DO UPDATE SET "   \
    "tip = excluded.tip, seen = excluded.seen, gone = excluded.gone"

bool store_branch_put(struct store *store, const struct branch *branch, GError **error)
{
    return store_write(
        store, error, NULL,
        refkey_tag(branch->name) ? "INSERT INTO tag" PUT_VALUES : "INSERT INTO branch" PUT_VALUES,
        "sssii", branch->repo, branch->name, branch->tip, branch->seen_ms, branch->gone_ms);
}

bool store_branch_remove(struct store *store, const char *repo, const char *name, GError **error)
{
    return store_write(store, error, NULL,
                       refkey_tag(name) ? "DELETE FROM tag WHERE repo = ? AND name = ?"
                                        : "DELETE FROM branch WHERE repo = ? AND name = ?",
                       "ss", repo, name);
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

bool store_repo_get_tag_selection(struct store *store, const char *repo, char **selection,
                                  GError **error)
{
    void *text = NULL;
    bool good = store_first(
        store, error,
        store_prepare(store, error, "SELECT tag_selection FROM repo WHERE name = ?", "s", repo),
        read_text, &text);
    *selection = text;
    return good;
}

bool store_repo_put_tag_selection(struct store *store, const char *repo, const char *selection,
                                  GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO repo(name, tag_selection) VALUES(?, ?) ON CONFLICT(name) DO "
                       "UPDATE SET tag_selection = excluded.tag_selection",
                       "ss", repo, selection) &&
           (selection ||
            store_write(store, error, NULL, "DELETE FROM tag WHERE repo = ?", "s", repo));
}

void repo_schedule_free(struct repo_schedule *schedule)
{
    if (schedule) {
        g_free(schedule->repo);
        g_free(schedule->lines);
        g_free(schedule);
    }
}

static void free_schedule(void *schedule)
{
    repo_schedule_free(schedule);
}

static void *read_schedule(sqlite3_stmt *row)
{
    struct repo_schedule *schedule = g_new0(struct repo_schedule, 1);
    schedule->repo = store_text(row, 0);
    schedule->lines = store_text(row, 1);
    schedule->done_ms = sqlite3_column_int64(row, 2);
    return schedule;
}

GPtrArray *store_schedules(struct store *store, GError **error)
{
    return store_collect(store, error,
                         store_prepare(store, error,
                                       "SELECT name, schedule, scheduled FROM repo WHERE schedule "
                                       "IS NOT NULL ORDER BY name",
                                       ""),
                         read_schedule, free_schedule);
}

bool store_schedule_get(struct store *store, const char *repo, struct repo_schedule **schedule,
                        GError **error)
{
    void *row = NULL;
    bool good = store_first(store, error,
                            store_prepare(store, error,
                                          "SELECT name, schedule, scheduled FROM repo WHERE name = "
                                          "? AND schedule IS NOT NULL",
                                          "s", repo),
                            read_schedule, &row);
    *schedule = row;
    return good;
}

bool store_schedule_put(struct store *store, const char *repo, const char *lines, int64_t done_ms,
                        GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO repo(name, schedule, scheduled) VALUES(?, ?, ?) ON "
                       "CONFLICT(name) DO UPDATE SET schedule = excluded.schedule, scheduled = "
                       "excluded.scheduled",
                       "ssi", repo, lines, lines ? done_ms : (int64_t)0);
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
           store_write(store, error, NULL, "DELETE FROM tag WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM decision WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM poll_request WHERE repo = ?", "s", repo) &&
           store_write(store, error, NULL, "DELETE FROM approval WHERE repo = ?", "s", repo) &&
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
