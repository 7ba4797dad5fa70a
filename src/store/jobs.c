#include "base/text.h"
#include "store/store_internal.h"

#define JOB_COLUMNS                                                                                \
    "id, repo, branch, sha, previous_sha, subject, author, trigger, state, reason, attempt, "      \
    "retry_of, "                                                                                   \
    "priority, created, started, finished, stop, stop_reason, signer, signing_key, block, pin"

void job_free(struct job *job)
{
    if (job) {
        g_free(job->repo);
        g_free(job->branch);
        g_free(job->sha);
        g_free(job->previous_sha);
        g_free(job->subject);
        g_free(job->author);
        g_free(job->reason);
        g_free(job->stop_reason);
        g_free(job->signer);
        g_free(job->signing_key);
        g_free(job->pin);
        g_free(job);
    }
}

static void *read_job(sqlite3_stmt *row)
{
    struct job *job = g_new0(struct job, 1);
    g_autofree char *trigger = store_text(row, 7);
    g_autofree char *state = store_text(row, 8);
    g_autofree char *stop = store_text(row, 16);
    job->id = sqlite3_column_int64(row, 0);
    job->repo = store_text(row, 1);
    job->branch = store_text(row, 2);
    job->sha = store_text(row, 3);
    job->previous_sha = store_text(row, 4);
    job->subject = store_text(row, 5);
    job->author = store_text(row, 6);
    /* A name that this version does not know can only be damage: such a job is over and not
     * startable. */
    job->trigger = JOB_TRIGGER_PUSH;
    job_trigger_from_name(trigger ? trigger : "", &job->trigger);
    job->state = JOB_ERROR;
    job_state_from_name(state ? state : "", &job->state);
    job->reason = store_text(row, 9);
    job->attempt = sqlite3_column_int(row, 10);
    job->retry_of = sqlite3_column_int64(row, 11);
    job->priority = sqlite3_column_int(row, 12);
    job->created_ms = sqlite3_column_int64(row, 13);
    job->started_ms = sqlite3_column_int64(row, 14);
    job->finished_ms = sqlite3_column_int64(row, 15);
    job->stop = JOB_STOP_NONE;
    job_stop_from_name(stop ? stop : "", &job->stop);
    job->stop_reason = store_text(row, 17);
    job->signer = store_text(row, 18);
    job->signing_key = store_text(row, 19);
    job->block = job_block_from_name((const char *)sqlite3_column_text(row, 20));
    job->pin = store_text(row, 21);
    return job;
}

static void free_job(void *job)
{
    job_free(job);
}

/* *job is NULL when there is no row. */
static bool read_one(struct store *store, GError **error, sqlite3_stmt *statement, struct job **job)
{
    void *row = NULL;
    bool good = store_first(store, error, statement, read_job, &row);
    *job = row;
    return good;
}

/* Numbers are never given twice, so one that this database has come to was a job's. */
static bool not_found(struct store *store, int64_t id, GError **error)
{
    sqlite3_stmt *statement = store_prepare(
        store, NULL, "SELECT 1 FROM sqlite_sequence WHERE name = 'job' AND seq >= ?", "i", id);
    bool existed = statement && id > 0 && store_step(store, NULL, statement) == 1;
    if (existed) {
        sqlite3_reset(statement);
    }
    g_set_error(error, STORE_ERROR, ERROR_NOT_FOUND, "there is no job %" G_GINT64_FORMAT "%s", id,
                existed ? " any more: it was removed by retention (keep_jobs_for, keep_jobs)" : "");
    return false;
}

struct job *store_job_get(struct store *store, int64_t id, GError **error)
{
    struct job *job = NULL;
    if (read_one(
            store, error,
            store_prepare(store, error, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?", "i", id),
            &job) &&
        !job) {
        not_found(store, id, error);
    }
    return job;
}

struct job *store_job_latest(struct store *store, const char *repo, const char *branch,
                             GError **error)
{
    struct job *job = NULL;
    sqlite3_stmt *statement =
        branch ? store_prepare(store, error,
                               "SELECT " JOB_COLUMNS " FROM job WHERE repo = ? AND branch = ? "
                               "ORDER BY id DESC LIMIT 1",
                               "ss", repo, branch)
               : store_prepare(store, error,
                               "SELECT " JOB_COLUMNS " FROM job WHERE repo = ? "
                               "ORDER BY id DESC LIMIT 1",
                               "s", repo);
    read_one(store, error, statement, &job);
    return job;
}

struct job *store_job_latest_of_tags(struct store *store, const char *repo, GError **error)
{
    struct job *job = NULL;
    read_one(store, error,
             store_prepare(store, error,
                           "SELECT " JOB_COLUMNS " FROM job INDEXED BY job_tag WHERE repo = ? AND "
                           "branch GLOB 'refs/tags/*' ORDER BY id DESC LIMIT 1",
                           "s", repo),
             &job);
    return job;
}

/* One question for each index that can answer it; the conditions beyond it are the same in all. */
#define JOB_CONDITIONS                                                                             \
    "(?1 IS NULL OR instr(repo, ?1) OR instr(branch, ?1) OR substr(sha, 1, length(?1)) = ?1 OR "   \
    "state = ?1) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR repo = ?3) AND "                \
    "(?4 IS NULL OR branch = ?4) AND id > ?5 ORDER BY id DESC LIMIT ?6"

static const char jobs_all[] = "SELECT " JOB_COLUMNS " FROM job WHERE " JOB_CONDITIONS;
static const char jobs_in_queue[] =
    "SELECT " JOB_COLUMNS
    " FROM job INDEXED BY job_queued WHERE state = 'queued' AND " JOB_CONDITIONS;
static const char jobs_running[] =
    "SELECT " JOB_COLUMNS
    " FROM job INDEXED BY job_running WHERE state = 'running' AND " JOB_CONDITIONS;
static const char jobs_of_repo[] =
    "SELECT " JOB_COLUMNS " FROM job WHERE repo = ?3 AND " JOB_CONDITIONS;
static const char jobs_of_branch[] =
    "SELECT " JOB_COLUMNS " FROM job WHERE repo = ?3 AND branch = ?4 AND " JOB_CONDITIONS;

GPtrArray *store_jobs(struct store *store, const struct job_filter *filter, GError **error)
{
    const char *sql = jobs_all;
    if (filter->has_state && !job_state_is_final(filter->state)) {
        sql = filter->state == JOB_QUEUED ? jobs_in_queue : jobs_running;
    } else if (filter->repo) {
        sql = filter->branch ? jobs_of_branch : jobs_of_repo;
    }
    sqlite3_stmt *statement = store_prepare(
        store, error, sql, "ssssii", filter->text,
        filter->has_state ? job_state_name(filter->state) : NULL, filter->repo, filter->branch,
        filter->after_id, filter->limit ? (int64_t)filter->limit : (int64_t)-1);
    return store_collect(store, error, statement, read_job, free_job);
}

GPtrArray *store_jobs_queued(struct store *store, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT " JOB_COLUMNS
                      " FROM job INDEXED BY job_queued WHERE state = 'queued' AND "
                      "NOT EXISTS (SELECT 1 FROM repo WHERE name = job.repo AND paused) "
                      "ORDER BY priority DESC, id",
                      ""),
        read_job, free_job);
}

GPtrArray *store_jobs_blocked(struct store *store, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(
            store, error,
            "SELECT " JOB_COLUMNS " FROM job WHERE state = 'blocked' AND NOT EXISTS "
            "(SELECT 1 FROM job AS later INDEXED BY job_branch WHERE later.repo = job.repo "
            "AND later.branch = job.branch AND later.id > job.id) ORDER BY id",
            ""),
        read_job, free_job);
}

/* Whether the commit of a blocked job has run after all, because a person approved it. */
static bool ran_later(struct store *store, const struct job *job, bool *answer, GError **error)
{
    int64_t run = 0;
    g_autofree char *sha = NULL;
    bool good = store_job_last_run(store, job->repo, job->branch, G_MAXINT64, &run, &sha, error);
    *answer = good && run > job->id && g_strcmp0(sha, job->sha) == 0;
    return good;
}

/*
 * What a push job of the branch follows. A commit that was never run because a newer one replaced
 * it, or because a rule refused it and nobody approved it, was not handled: the job after it still
 * follows the commit before it.
 */
static bool find_predecessor(struct store *store, const struct job_request *request,
                             char **previous, GError **error)
{
    struct job *latest = NULL;
    if (!read_one(store, error,
                  store_prepare(store, error,
                                "SELECT " JOB_COLUMNS " FROM job WHERE repo = ? AND branch = ? AND "
                                "trigger = 'push' ORDER BY id DESC LIMIT 1",
                                "ss", request->repo, request->branch),
                  &latest)) {
        return false;
    }
    bool good = true;
    bool has_run = false;
    if (latest && latest->state == JOB_BLOCKED) {
        good = ran_later(store, latest, &has_run, error);
    }
    bool unhandled =
        latest && (latest->state == JOB_QUEUED || (latest->state == JOB_BLOCKED && !has_run) ||
                   (latest->state == JOB_SUPERSEDED && latest->started_ms == 0));
    *previous = g_strdup(unhandled ? latest->previous_sha : request->previous_sha);
    job_free(latest);
    return good;
}

#define SUPERSEDE                                                                                  \
    "UPDATE job INDEXED BY job_queued SET state = 'superseded', reason = ?, finished = ? WHERE "   \
    "state = 'queued' AND repo = ? AND branch = ? AND id < ? AND "

static bool supersede_queued(struct store *store, const struct job_request *request, int64_t id,
                             int64_t now_ms, unsigned *superseded, GError **error)
{
    g_autofree char *reason = g_strdup_printf("superseded by %s (job %" G_GINT64_FORMAT ")",
                                              text_short_id(request->sha), id);
    int changes = 0;
    bool good = store_write(store, error, &changes,
                            request->trigger == JOB_TRIGGER_SCHEDULE
                                ? SUPERSEDE "trigger = 'schedule'"
                                : SUPERSEDE "trigger NOT IN ('run', 'retry', 'schedule')",
                            "sissi", reason, now_ms, request->repo, request->branch, id);
    *superseded = (unsigned)changes;
    return good;
}

static bool insert_job(struct store *store, const struct job_request *request, const char *previous,
                       int64_t now_ms, int64_t *id, GError **error)
{
    bool good =
        store_write(store, error, NULL,
                    "INSERT INTO job(repo, branch, sha, previous_sha, trigger, state, attempt, "
                    "retry_of, priority, created) VALUES(?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                    "sssssiiii", request->repo, request->branch, request->sha, previous,
                    job_trigger_name(request->trigger),
                    request->attempt ? (int64_t)request->attempt : (int64_t)1, request->retry_of,
                    (int64_t)request->priority, now_ms);
    *id = good ? sqlite3_last_insert_rowid(store->database) : 0;
    return good;
}

static bool enqueue(struct store *store, const struct job_request *request, int64_t now_ms,
                    int64_t *id, unsigned *superseded, GError **error)
{
    g_autofree char *followed = NULL;
    bool is_push = request->trigger == JOB_TRIGGER_PUSH;
    bool supersedes = is_push || request->trigger == JOB_TRIGGER_SCHEDULE;
    return (!is_push || find_predecessor(store, request, &followed, error)) &&
           insert_job(store, request, is_push ? followed : request->previous_sha, now_ms, id,
                      error) &&
           (!supersedes || supersede_queued(store, request, *id, now_ms, superseded, error));
}

bool store_job_enqueue(struct store *store, const struct job_request *request, int64_t now_ms,
                       int64_t *id, unsigned *superseded, GError **error)
{
    bool own = false;
    unsigned count = 0;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    bool good = enqueue(store, request, now_ms, id, &count, error);
    if (superseded) {
        *superseded = count;
    }
    return store_end(store, own, good, error);
}

/* A job that had no time left to begin has a timeout without steps. */
#define REALLY_RAN                                                                                 \
    "(state IN ('success', 'failed') OR (state = 'timeout' AND EXISTS (SELECT 1 FROM step WHERE "  \
    "step.job = job.id)))"

static void *read_sha(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

GPtrArray *store_job_commits_run(struct store *store, const char *repo, int64_t before_id,
                                 unsigned limit, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT sha FROM job WHERE repo = ? AND id < ? AND " REALLY_RAN
                      " ORDER BY id DESC LIMIT ?",
                      "sii", repo, before_id, (int64_t)limit),
        read_sha, g_free);
}

static void *read_run(sqlite3_stmt *row)
{
    struct job *job = g_new0(struct job, 1);
    job->id = sqlite3_column_int64(row, 0);
    job->sha = store_text(row, 1);
    return job;
}

bool store_job_last_run(struct store *store, const char *repo, const char *branch,
                        int64_t before_id, int64_t *job, char **sha, GError **error)
{
    void *found = NULL;
    *job = 0;
    *sha = NULL;
    bool good = store_first(
        store, error,
        store_prepare(
            store, error,
            "SELECT id, sha FROM job WHERE repo = ? AND branch = ? AND id < ? AND " REALLY_RAN
            " ORDER BY id DESC LIMIT 1",
            "ssi", repo, branch, before_id),
        read_run, &found);
    good = good && (found ||
                    store_first(store, error,
                                store_prepare(store, error,
                                              "SELECT 0, previous_sha FROM job WHERE repo = ? AND "
                                              "branch = ? AND trigger = 'push' ORDER BY id LIMIT 1",
                                              "ss", repo, branch),
                                read_run, &found));
    struct job *run = found;
    if (run) {
        *job = run->id;
        *sha = g_steal_pointer(&run->sha);
        job_free(run);
    }
    return good;
}

/* After an update that changed nothing: that is an answer for a job that exists. */
static bool settle(struct store *store, int64_t id, int changes, bool *changed, GError **error)
{
    if (changed) {
        *changed = changes > 0;
    }
    if (changes > 0) {
        return true;
    }
    struct job *job = store_job_get(store, id, error);
    bool exists = job != NULL;
    job_free(job);
    return exists;
}

bool store_job_claim(struct store *store, int64_t id, int64_t now_ms, bool *claimed, GError **error)
{
    int changes = 0;
    return store_write(store, error, &changes,
                       "UPDATE job SET state = 'running', started = ?1 WHERE id = ?2 AND "
                       "state = 'queued' AND NOT EXISTS (SELECT 1 FROM job AS other "
                       "INDEXED BY job_running WHERE "
                       "other.state = 'running' AND other.repo = job.repo AND "
                       "other.branch = job.branch)",
                       "ii", now_ms, id) &&
           settle(store, id, changes, claimed, error);
}

bool store_job_describe(struct store *store, int64_t id, const char *subject, const char *author,
                        GError **error)
{
    int changes = 0;
    return store_write(store, error, &changes,
                       "UPDATE job SET subject = ?, author = ? WHERE id = ?", "ssi", subject,
                       author, id) &&
           settle(store, id, changes, NULL, error);
}

bool store_job_finish(struct store *store, int64_t id, enum job_state state, const char *reason,
                      int64_t now_ms, bool *changed, GError **error)
{
    g_assert(job_state_is_final(state));
    int changes = 0;
    return store_write(store, error, &changes,
                       "UPDATE job SET state = ?, reason = ?, finished = ? WHERE id = ? AND "
                       "state IN ('queued', 'running')",
                       "ssii", job_state_name(state), reason, now_ms, id) &&
           settle(store, id, changes, changed, error);
}

/* Of a running job: a request of the same or a lesser kind than the one recorded changes nothing.
 */
static bool ask_stop(struct store *store, const struct job *job, enum job_stop stop,
                     const char *reason, GError **error)
{
    static const int weight[] = {
        [JOB_STOP_NONE] = 0, [JOB_STOP_SUPERSEDE] = 1, [JOB_STOP_CANCEL] = 2, [JOB_STOP_KILL] = 3};
    return weight[stop] <= weight[job->stop] ||
           store_write(store, error, NULL, "UPDATE job SET stop = ?, stop_reason = ? WHERE id = ?",
                       "ssi", job_stop_name(stop), reason, job->id);
}

static bool stop_job(struct store *store, const struct job *job, enum job_stop stop,
                     const char *reason, int64_t now_ms, enum cancel_outcome *outcome,
                     GError **error)
{
    if (job_state_is_final(job->state)) {
        *outcome = CANCEL_ALREADY_OVER;
        return true;
    }
    if (job->state == JOB_RUNNING) {
        *outcome = CANCEL_ASKED;
        return ask_stop(store, job, stop, reason, error);
    }
    *outcome = CANCEL_DONE;
    return store_job_finish(store, job->id,
                            stop == JOB_STOP_SUPERSEDE ? JOB_SUPERSEDED : JOB_CANCELED, reason,
                            now_ms, NULL, error);
}

bool store_job_stop(struct store *store, int64_t id, enum job_stop stop, const char *reason,
                    int64_t now_ms, enum cancel_outcome *outcome, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    struct job *job = store_job_get(store, id, error);
    bool good = job && stop_job(store, job, stop, reason, now_ms, outcome, error);
    job_free(job);
    return store_end(store, own, good, error);
}
