#include "notify/tell.h"

#include <string.h>

#include "base/text.h"
#include "notify/notice.h"
#include "store/outbox.h"

/* What every notice of a job says. */
static void describe_job(struct notice *notice, const struct job *job, int64_t now_ms)
{
    notice->job = job->id;
    notice->repo = g_strdup(job->repo);
    notice->branch = g_strdup(job->branch);
    notice->sha = g_strdup(job->sha);
    notice->subject = g_strdup(job->subject);
    notice->author = g_strdup(job->author);
    notice->trigger = g_strdup(job_trigger_name(job->trigger));
    notice->attempt = job->attempt;
    notice->at_ms = now_ms;
}

static void describe_step(struct notice *notice, const struct step *step,
                          const struct tell_output *output)
{
    notice->has_step = true;
    notice->step = step->number;
    notice->command = text_join_words(step->argv);
    notice->exit_code = step->exit_code;
    notice->signal = step->signal;
    if (output && output->bytes) {
        notice_set_tail(notice, output->bytes, output->length, output->before, NULL);
    }
}

/* Adds the notice and frees what is in it. */
static bool add(struct store *store, struct notice *notice, GError **error)
{
    g_autofree char *body = notice_to_json(notice);
    const struct outbox_notice row = {
        .job = notice->job,
        .repo = notice->repo,
        .branch = notice->branch,
        .kind = notice_kind_name(notice->kind),
        .body = body,
    };
    bool good = outbox_add(store, &row, notice->at_ms, error);
    notice_clear(notice);
    return good;
}

bool tell_started(struct store *store, enum notify_policy policy, int64_t id, int64_t now_ms,
                  GError **error)
{
    struct job *job = policy == NOTIFY_NONE ? NULL : store_job_get(store, id, error);
    if (!job) {
        return policy == NOTIFY_NONE;
    }
    struct notice notice = NOTICE_INIT;
    notice.kind = NOTICE_STARTED;
    describe_job(&notice, job, now_ms);
    job_free(job);
    return add(store, &notice, error);
}

bool tell_step_failed(struct store *store, enum notify_policy policy, const struct step *step,
                      const struct tell_output *output, int64_t now_ms, GError **error)
{
    /* Where less than all is asked for, the end of the job tells it. */
    bool is_told = policy == NOTIFY_ALL;
    struct job *job = is_told ? store_job_get(store, step->job, error) : NULL;
    if (!job) {
        return !is_told;
    }
    struct notice notice = NOTICE_INIT;
    notice.kind = NOTICE_STEP_FAILED;
    describe_job(&notice, job, now_ms);
    describe_step(&notice, step, output);
    notice.state = step->state == STEP_TIMEOUT ? g_strdup(job_state_name(JOB_TIMEOUT)) : NULL;
    notice.reason = g_strdup(step->reason);
    notice.duration_ms = step->finished_ms - step->started_ms;
    job_free(job);
    return add(store, &notice, error);
}

static enum notice_kind kind_of_end(enum job_state state)
{
    return state == JOB_BLOCKED       ? NOTICE_BLOCKED
           : state == JOB_INTERRUPTED ? NOTICE_INTERRUPTED
                                      : NOTICE_FINISHED;
}

bool tell_end(struct store *store, enum notify_policy policy, int64_t id, const struct step *failed,
              const struct tell_output *output, int64_t now_ms, GError **error)
{
    struct job *job = policy == NOTIFY_NONE ? NULL : store_job_get(store, id, error);
    if (!job) {
        return policy == NOTIFY_NONE;
    }
    struct notice notice = NOTICE_INIT;
    notice.kind = kind_of_end(job->state);
    describe_job(&notice, job, now_ms);
    notice.state = g_strdup(job_state_name(job->state));
    notice.reason = g_strdup(job->reason);
    notice.duration_ms = job->started_ms ? job->finished_ms - job->started_ms : -1;
    if (failed && policy != NOTIFY_ALL) {
        describe_step(&notice, failed, output);
    }
    job_free(job);
    return add(store, &notice, error);
}

bool tell_branch_missing(struct store *store, enum notify_policy policy, const char *repo,
                         const char *branch, int64_t now_ms, GError **error)
{
    if (policy == NOTIFY_NONE) {
        return true;
    }
    struct notice notice = NOTICE_INIT;
    notice.kind = NOTICE_BRANCH_MISSING;
    notice.repo = g_strdup(repo);
    notice.branch = g_strdup(branch);
    notice.at_ms = now_ms;
    notice.reason = g_strdup("the remote does not have it; nothing runs in its place");
    return add(store, &notice, error);
}
