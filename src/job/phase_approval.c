/* Whether a person has approved what runs of the commit as it is there: its workflow, unless the
 * steps are the host's, and what approve_paths names. */
#include "base/error.h"
#include "base/text.h"
#include "config/host_steps.h"
#include "config/pin.h"
#include "job/stop.h"
#include "job/worker_internal.h"

static char *compute(struct worker *worker, const char *path, const char *workflow, size_t length,
                     GError **error)
{
    const char *const *patterns = (const char *const *)worker->repo->approve_paths;
    g_autofree char *tree = NULL;
    size_t tree_length = 0;
    if (*patterns) {
        tree = mirror_read_tree(worker->mirror, worker->job->sha, &tree_length, error);
        if (!tree) {
            return NULL;
        }
    }
    struct pin *pin = pin_new(path, patterns);
    char *digest = pin_digest(pin, workflow, length, tree, tree_length);
    pin_free(pin);
    if (!digest) {
        g_set_error_literal(error, JOB_ERROR_DOMAIN, ERROR_SYSTEM,
                            "git ls-tree said what can't be understood");
    }
    return digest;
}

static bool refuse(struct worker *worker, const char *path, const char *digest)
{
    const struct job *job = worker->job;
    g_autoptr(GError) error = NULL;
    struct approval *before = store_approval_find(worker->store, job->repo, job->branch,
                                                  JOB_BLOCK_WORKFLOW, NULL, NULL, &error);
    if (error) {
        return worker_end_by_error(worker, "cannot look for approvals", error);
    }
    g_autofree char *how =
        before ? g_strdup_printf("has changed since %s was approved", text_short_id(before->sha))
               : g_strdup("has not been approved yet");
    approval_free(before);
    bool has_more = *worker->repo->approve_paths;
    return worker_block(worker, JOB_BLOCK_WORKFLOW, digest,
                        "%s%s%s %s; to see it, and run it all the same: phantom_ci approve "
                        "%" G_GINT64_FORMAT,
                        has_more ? "what approve_paths names" : "", has_more && path ? " or " : "",
                        path ? path : "", how, job->id);
}

/* `path` and `workflow` are NULL where the steps are the host's. */
static bool ask(struct worker *worker, const char *path, const char *workflow, size_t length)
{
    g_autoptr(GError) error = NULL;
    bool is_approved = false;
    g_autofree char *digest = compute(worker, path, workflow, length, &error);
    if (!digest) {
        return worker_end_by_error(worker, "cannot read what has to be approved", error);
    }
    return worker_is_approved(worker, JOB_BLOCK_WORKFLOW, digest, &is_approved) &&
           (is_approved || refuse(worker, path, digest));
}

bool phase_approval(struct worker *worker)
{
    const struct repo_config *repo = worker->repo;
    if (repo->workflow_approval == APPROVAL_NEVER) {
        return true;
    }
    if (host_steps_are_set(repo)) {
        return !*repo->approve_paths || ask(worker, NULL, NULL, 0);
    }
    g_autofree char *path = workflow_path_for_ref(worker->job->branch);
    if (!path) {
        return true; /* nothing will run, here and below */
    }
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *workflow = mirror_read_file(worker->mirror, worker->job->sha, path,
                                                 WORKFLOW_MAX_BYTES, &length, &error);
    if (!workflow && error_has_code(error, ERROR_NOT_FOUND)) {
        return true;
    }
    return workflow ? ask(worker, path, workflow, length)
                    : worker_end_by_error(worker, "cannot read what has to be approved", error);
}
