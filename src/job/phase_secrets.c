/* What the steps are given in confidence: read last, so that nothing else runs beside it. */
#include <string.h>

#include "job/environment.h"
#include "job/secrets.h"
#include "job/worker_internal.h"

bool phase_secrets(struct worker *worker)
{
    extern char **environ;
    if (!secrets_are_wanted(worker->repo)) {
        return true;
    }
    g_auto(GStrv) environment = environment_of_job(worker->job, g_strdupv(environ));
    const struct secrets_request request = {
        .repo = worker->repo,
        .envp = (const char *const *)environment,
        .deadline_ms = worker->deadline_ms,
        .cancel_fd = worker->stop_fd,
    };
    for (;;) {
        g_autoptr(GError) error = NULL;
        worker->secrets = secrets_load(&request, &error);
        if (worker->secrets) {
            break;
        }
        if (!worker_was_false_alarm(worker, error)) {
            return worker_end_by_error(worker, "no step was run, for the secrets can't be had",
                                       error);
        }
    }
    worker->masker = mask_stream_new(secrets_mask(worker->secrets));
    worker->masked = g_string_new(NULL);
    if (secrets_unhidden(worker->secrets)) {
        worker_note(worker,
                    "not hidden in the log, for being shorter than %d bytes: %s; what is no "
                    "secret belongs into env",
                    MASK_MIN_BYTES, secrets_unhidden(worker->secrets));
    }
    return true;
}

char *worker_hide(const struct worker *worker, char *text)
{
    if (!worker->secrets || !text) {
        return text;
    }
    char *hidden = mask_apply(secrets_mask(worker->secrets), text, strlen(text), NULL);
    mask_wipe(text);
    return hidden;
}
