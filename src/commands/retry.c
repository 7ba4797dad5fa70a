#include <stdio.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "commands/all.h"
#include "daemon/launch.h"

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
    launch_wake_daemon(&context->paths);
    printf("job %" G_GINT64_FORMAT " queued: %s of %s %s, a retry of job %" G_GINT64_FORMAT "\n",
           id, text_short_id(job->sha), job->repo, job->branch, job->id);
    g_autofree char *lock = paths_daemon_lock(&context->paths);
    if (!lock_is_held(lock)) {
        fprintf(stderr, "phantom_ci: no daemon is running; the job waits for one\n");
    }
    return EXIT_CODE_OK;
}

int command_retry(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    bool exists = false;
    g_autoptr(GError) error = NULL;
    struct job *job = NULL;
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, 1);
    if (code < 0 && !command_parse_job(argv[1], &id)) {
        code = command_fail_text(EXIT_CODE_USAGE,
                                 "a job is named by its number (see: phantom_ci jobs)");
    }
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0) {
        job = exists ? store_job_get(context.store, id, &error) : NULL;
        if (job) {
            code = enqueue_again(&context, job);
        } else if (error) {
            code = command_fail(error);
        } else {
            code = command_fail_text(EXIT_CODE_NOT_FOUND, "there is no job %" G_GINT64_FORMAT, id);
        }
    }
    job_free(job);
    command_context_clear(&context);
    return code;
}
