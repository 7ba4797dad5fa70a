#include <stdio.h>

#include "base/clock.h"
#include "base/wake.h"
#include "commands/all.h"

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
        wake_job(&context->paths, id);
    }
    wake_daemon(&context->paths);
    printf(outcome == CANCEL_DONE ? "job %" G_GINT64_FORMAT " is canceled\n"
                                  : "job %" G_GINT64_FORMAT " is being canceled\n",
           id);
    return EXIT_CODE_OK;
}

int command_cancel(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    int code = command_parse_with_job(command, &context, 0, &argc, &argv, &id);
    if (code < 0) {
        code = cancel(&context, id);
    }
    command_context_clear(&context);
    return code;
}
