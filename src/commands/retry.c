#include <stdio.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/show.h"

static int enqueue_again(struct command_context *context, const struct job *job)
{
    const struct repo_config *repo = command_find_repo(context, job->repo);
    if (!repo) {
        return EXIT_CODE_NOT_FOUND;
    }
    if (!job_state_is_final(job->state)) {
        return command_fail_text(EXIT_CODE_NEGATIVE, "job %" G_GINT64_FORMAT " is still %s",
                                 job->id, job_state_name(job->state));
    }
    struct job_request request = {.repo = job->repo,
                                  .branch = job->branch,
                                  .sha = job->sha,
                                  .previous_sha = job->previous_sha,
                                  .trigger = JOB_TRIGGER_RETRY,
                                  .priority = repo->priority,
                                  .retry_of = job->id,
                                  .attempt = job->attempt + 1};
    int64_t id = 0;
    g_autoptr(GError) error = NULL;
    if (!store_job_enqueue(context->store, &request, clock_now_ms(), &id, NULL, &error)) {
        return command_fail(error);
    }
    wake_daemon(&context->paths);
    g_autofree char *ref = show_ref(job->branch);
    printf("job %" G_GINT64_FORMAT " queued: %s of %s %s, a retry of job %" G_GINT64_FORMAT "\n",
           id, text_short_id(job->sha), job->repo, ref, job->id);
    g_autofree char *lock = paths_daemon_lock(&context->paths);
    if (!lock_is_held(lock)) {
        fprintf(stderr, "phantom_ci: no daemon is running; the job waits for one\n");
    }
    return EXIT_CODE_OK;
}

static int retry(struct command_context *context, int64_t id)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(context->store, id, &error);
    if (!job) {
        return command_fail(error);
    }
    int code = enqueue_again(context, job);
    job_free(job);
    return code;
}

int command_retry(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    int code = command_parse_with_job(command, &context, 0, &argc, &argv, &id);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = retry(&context, id);
    }
    command_context_clear(&context);
    return code;
}
