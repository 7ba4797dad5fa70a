/* The steps of the job: the host's own, else those of the commit's workflow. */
#include <string.h>

#include "base/error.h"
#include "config/host_steps.h"
#include "job/worker_internal.h"

enum { REASON_MAX_BYTES = 2000 };

static bool end_as_invalid(struct worker *worker, const struct diagnostics *diagnostics)
{
    g_autofree char *text = diagnostics_format(diagnostics);
    g_strchomp(text);
    if (strlen(text) > REASON_MAX_BYTES) {
        *(char *)g_utf8_find_prev_char(text, text + REASON_MAX_BYTES) = '\0';
    }
    return worker_end(worker, JOB_ERROR, "%s", text);
}

/* Nothing of the repository's own workflow is asked for. */
static bool take_host_steps(struct worker *worker, struct diagnostics *diagnostics)
{
    g_autofree char *origin = NULL;
    g_autoptr(GError) error = NULL;
    worker->workflow = host_steps_load(worker->repo, &origin, diagnostics, &error);
    if (error) {
        return worker_end_by_error(worker, "cannot use the steps of this machine", error);
    }
    worker_note(worker, "%s", origin);
    return worker->workflow || end_as_invalid(worker, diagnostics);
}

static bool take_workflow(struct worker *worker, struct diagnostics *diagnostics)
{
    g_autofree char *path = workflow_path_for_ref(worker->job->branch);
    if (!path) {
        return worker_end(worker, JOB_ERROR, "no workflow file can be named after the branch");
    }
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *bytes = mirror_read_file(worker->mirror, worker->job->sha, path,
                                              WORKFLOW_MAX_BYTES, &length, &error);
    if (!bytes && error_has_code(error, ERROR_NOT_FOUND)) {
        return worker_end(worker, JOB_SKIPPED, "the commit has no %s", path);
    }
    if (!bytes) {
        return worker_end_by_error(worker, "cannot use the workflow", error);
    }
    worker->workflow = workflow_parse(bytes, length, path, diagnostics);
    return worker->workflow || end_as_invalid(worker, diagnostics);
}

bool phase_workflow(struct worker *worker)
{
    struct diagnostics *diagnostics = diagnostics_new();
    bool good =
        (host_steps_are_set(worker->repo) ? take_host_steps : take_workflow)(worker, diagnostics);
    diagnostics_free(diagnostics);
    return good;
}
