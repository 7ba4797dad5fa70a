/* Whether the commit may be trusted: asked before anything in it is read. */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "git/verify.h"
#include "job/ledger.h"
#include "job/worker_internal.h"

/* How many of the commits that ran last in the section count as seen, besides the branch's own. */
enum { SEEN_COMMITS = 64 };

static bool write_signer(void *data, GError **error)
{
    const struct worker *worker = data;
    return store_job_set_signer(worker->store, worker->job->id, worker->job->signer,
                                worker->job->signing_key, error);
}

static bool record_signer(struct worker *worker, struct verify_result *result)
{
    g_autoptr(GError) error = NULL;
    worker->job->signer = g_steal_pointer(&result->signer);
    worker->job->signing_key = g_steal_pointer(&result->key);
    return ledger_insist(&worker->options->paths, worker->store, write_signer, worker, &error) ||
           worker_end_by_error(worker, "cannot record who signed the commit", error);
}

/* What does not come with this commit: whatever has run before, here or on another branch, and what
 * the branch was at when it was first seen. */
static char **find_bases(const struct worker *worker, GError **error)
{
    const struct job *job = worker->job;
    int64_t run = 0;
    char *own = NULL;
    if (!store_job_last_run(worker->store, job->repo, job->branch, job->id, &run, &own, error)) {
        return NULL;
    }
    GPtrArray *bases =
        store_job_commits_run(worker->store, job->repo, job->id, SEEN_COMMITS, error);
    if (!bases) {
        g_free(own);
        return NULL;
    }
    if (own) {
        g_ptr_array_add(bases, own);
    }
    g_ptr_array_set_free_func(bases, NULL);
    g_ptr_array_add(bases, NULL);
    return (char **)g_ptr_array_free(bases, FALSE);
}

static bool verify(struct worker *worker, const char *directory, struct verify_result *result,
                   GError **error)
{
    const struct repo_config *repo = worker->repo;
    const struct verify_rules rules = {.allowed_signers = repo->allowed_signers,
                                       .allowed_gpg_keys =
                                           (const char *const *)repo->allowed_gpg_keys,
                                       .gpg_keyring = repo->gpg_keyring};
    g_auto(GStrv) bases = NULL;
    if (repo->verify == VERIFY_CHOICE_RANGE) {
        bases = find_bases(worker, error);
        if (!bases) {
            return false;
        }
    }
    struct verifier *verifier =
        verifier_new(worker->mirror, &rules, directory, &worker->limits, error);
    bool good = verifier && verifier_check(verifier, worker->job->sha, (const char *const *)bases,
                                           result, error);
    verifier_free(verifier);
    return good;
}

/* In a directory of its own among the job's temporary files, which goes before any step runs. */
static bool verify_in_private(struct worker *worker, struct verify_result *result, GError **error)
{
    g_autofree char *directory = g_build_filename(worker->temporary, "keys", NULL);
    bool good = file_remove_tree_at_path(worker->temporary, error) &&
                file_ensure_private_directory(directory, error) &&
                verify(worker, directory, result, error);
    return file_remove_tree_at_path(worker->temporary, good ? error : NULL) && good;
}

bool worker_is_approved(struct worker *worker, enum job_block block, const char *pin, bool *answer)
{
    const struct job *job = worker->job;
    g_autoptr(GError) error = NULL;
    struct approval *approval =
        store_approval_find(worker->store, job->repo, job->branch, block,
                            block == JOB_BLOCK_WORKFLOW ? NULL : job->sha, pin, &error);
    if (error) {
        return worker_end_by_error(worker, "cannot look for approvals", error);
    }
    *answer = approval != NULL;
    /* That of a workflow is for every commit that has it. */
    if (approval && block != JOB_BLOCK_WORKFLOW) {
        g_autofree char *time = clock_format(approval->at_ms);
        worker_note(worker, "approved by %s on %s, in place of job %" G_GINT64_FORMAT,
                    approval->approver, time, approval->blocked_job);
    }
    approval_free(approval);
    return true;
}

static bool refuse(struct worker *worker, const char *reason)
{
    bool is_approved = false;
    if (worker->repo->strict_signatures) {
        return worker_block(worker, JOB_BLOCK_SIGNATURE, NULL,
                            "%s; strict_signatures = true, so that nobody can approve it", reason);
    }
    if (!worker_is_approved(worker, JOB_BLOCK_SIGNATURE, NULL, &is_approved)) {
        return false;
    }
    if (is_approved) {
        worker_note(worker, "%s", reason);
        return true;
    }
    return worker_block(worker, JOB_BLOCK_SIGNATURE, NULL,
                        "%s; to run it all the same: phantom_ci approve %" G_GINT64_FORMAT, reason,
                        worker->job->id);
}

bool phase_trust(struct worker *worker)
{
    struct verify_result result = {.good = false};
    g_autoptr(GError) error = NULL;
    if (!repo_config_wants_signatures(worker->repo)) {
        return true;
    }
    while (!verify_in_private(worker, &result, &error)) {
        verify_result_clear(&result);
        if (!worker_was_false_alarm(worker, error)) {
            return worker_end_by_error(worker, "cannot verify the commit's signature", error);
        }
        g_clear_error(&error);
    }
    bool good = result.good ? record_signer(worker, &result) : refuse(worker, result.reason);
    verify_result_clear(&result);
    return good;
}
