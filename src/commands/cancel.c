#include <stdio.h>

#include "base/clock.h"
#include "commands/all.h"
#include "daemon/launch.h"

static int cancel(struct command_context *context, int64_t id)
{
    g_autoptr(GError) error = NULL;
    enum cancel_outcome outcome;
    if (!store_job_stop(context->store, id, JOB_STOP_CANCEL, "canceled by phantom_ci cancel",
                        clock_now_ms(), &outcome, &error)) {
        return command_fail(error);
    }
    if (outcome == CANCEL_ALREADY_OVER) {
        struct job *job = store_job_get(context->store, id, &error);
        printf("job %" G_GINT64_FORMAT " is over already: %s\n", id,
               job ? job_state_name(job->state) : "unknown");
        job_free(job);
        return EXIT_CODE_NEGATIVE;
    }
    if (outcome == CANCEL_ASKED) {
        launch_wake_job(&context->paths, id);
    }
    launch_wake_daemon(&context->paths);
    printf(outcome == CANCEL_DONE ? "job %" G_GINT64_FORMAT " is canceled\n"
                                  : "job %" G_GINT64_FORMAT " is being canceled\n",
           id);
    return EXIT_CODE_OK;
}

int command_cancel(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    bool exists = false;
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, 1);
    if (code < 0 && !command_parse_job(argv[1], &id)) {
        code = command_fail_text(EXIT_CODE_USAGE,
                                 "a job is named by its number (see: phantom_ci jobs)");
    }
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0) {
        code = exists ? cancel(&context, id)
                      : command_fail_text(EXIT_CODE_NOT_FOUND, "there is no job %" G_GINT64_FORMAT,
                                          id);
    }
    command_context_clear(&context);
    return code;
}
