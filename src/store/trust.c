/* Signatures, refusals and approvals. */
#include <string.h>

#include "store/store_internal.h"

bool store_job_set_signer(struct store *store, int64_t id, const char *signer, const char *key,
                          GError **error)
{
    return store_write(store, error, NULL,
                       "UPDATE job SET signer = ?, signing_key = ? WHERE id = ?", "ssi", signer,
                       key, id);
}

bool store_job_set_block(struct store *store, int64_t id, enum job_block block, const char *pin,
                         GError **error)
{
    return store_write(store, error, NULL, "UPDATE job SET block = ?, pin = ? WHERE id = ?", "ssi",
                       job_block_name(block), pin, id);
}

void approval_free(struct approval *approval)
{
    if (approval) {
        g_free(approval->repo);
        g_free(approval->branch);
        g_free(approval->sha);
        g_free(approval->pin);
        g_free(approval->approver);
        g_free(approval->reason);
        g_free(approval);
    }
}

static void *read_approval(sqlite3_stmt *row)
{
    struct approval *approval = g_new0(struct approval, 1);
    approval->repo = store_text(row, 0);
    approval->branch = store_text(row, 1);
    approval->sha = store_text(row, 2);
    approval->block = job_block_from_name((const char *)sqlite3_column_text(row, 3));
    approval->pin = store_text(row, 4);
    approval->blocked_job = sqlite3_column_int64(row, 5);
    approval->job = sqlite3_column_int64(row, 6);
    approval->approver = store_text(row, 7);
    approval->at_ms = sqlite3_column_int64(row, 8);
    approval->reason = store_text(row, 9);
    return approval;
}

#define APPROVAL_COLUMNS                                                                           \
    "repo, branch, sha, block, pin, blocked_job, job, approver, at, reason FROM approval "

static bool find_one(struct store *store, sqlite3_stmt *statement, struct approval **approval,
                     GError **error)
{
    void *row = NULL;
    bool good = store_first(store, error, statement, read_approval, &row);
    *approval = row;
    return good;
}

struct approval *store_approval_find(struct store *store, const char *repo, const char *branch,
                                     enum job_block block, const char *sha, const char *pin,
                                     GError **error)
{
    struct approval *approval = NULL;
    find_one(store,
             store_prepare(store, error,
                           "SELECT " APPROVAL_COLUMNS
                           "WHERE repo = ?1 AND branch = ?2 AND block = ?3 AND (?4 IS NULL OR sha "
                           "= ?4) AND (?5 IS NULL OR pin = ?5) ORDER BY id DESC LIMIT 1",
                           "sssss", repo, branch, job_block_name(block), sha, pin),
             &approval, error);
    return approval;
}

static bool insert_approval(struct store *store, const struct job *job, const char *approver,
                            int64_t now_ms, int64_t id, GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO approval(repo, branch, sha, block, pin, blocked_job, job, "
                       "approver, at, reason) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       "sssssiisis", job->repo, job->branch, job->sha, job_block_name(job->block),
                       job->pin, job->id, id, approver, now_ms, job->reason);
}

static bool queue_approved(struct store *store, const struct job *job, const char *approver,
                           int priority, int64_t now_ms, int64_t *id, GError **error)
{
    const struct job_request request = {.repo = job->repo,
                                        .branch = job->branch,
                                        .sha = job->sha,
                                        .previous_sha = job->previous_sha,
                                        .trigger = JOB_TRIGGER_RETRY,
                                        .priority = priority,
                                        .retry_of = job->id,
                                        .attempt = job->attempt + 1};
    return store_job_enqueue(store, &request, now_ms, id, NULL, error) &&
           insert_approval(store, job, approver, now_ms, *id, error);
}

static bool approve(struct store *store, const struct job *job, const char *approver, int priority,
                    int64_t now_ms, int64_t *id, bool *is_new, GError **error)
{
    struct approval *before = NULL;
    if (job->state != JOB_BLOCKED || job->block == JOB_BLOCK_NONE) {
        g_set_error(error, STORE_ERROR, ERROR_INVALID,
                    "job %" G_GINT64_FORMAT " is %s; only a blocked job can be approved", job->id,
                    job_state_name(job->state));
        return false;
    }
    if (!find_one(store,
                  store_prepare(store, error, "SELECT " APPROVAL_COLUMNS "WHERE blocked_job = ?",
                                "i", job->id),
                  &before, error)) {
        return false;
    }
    *is_new = !before;
    *id = before ? before->job : 0;
    approval_free(before);
    return !*is_new || queue_approved(store, job, approver, priority, now_ms, id, error);
}

bool store_approve(struct store *store, int64_t blocked_job, const char *approver, int priority,
                   int64_t now_ms, int64_t *job, bool *is_new, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    struct job *blocked = store_job_get(store, blocked_job, error);
    bool good = blocked && approve(store, blocked, approver, priority, now_ms, job, is_new, error);
    job_free(blocked);
    return store_end(store, own, good, error);
}
