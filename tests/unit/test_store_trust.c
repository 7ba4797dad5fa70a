/* Signers, refusals and approvals. */
#include "store_fixture.h"

/* A push job of the branch that a rule has refused. */
static int64_t blocked(struct fixture *fixture, const char *sha, const char *previous,
                       enum job_block block, const char *pin)
{
    int64_t id = enqueue(fixture->store, "main", sha, previous, JOB_TRIGGER_PUSH);
    g_assert_true(claim(fixture->store, id));
    g_assert_true(store_job_set_block(fixture->store, id, block, pin, NULL));
    g_assert_true(finish(fixture->store, id, JOB_BLOCKED, "because"));
    return id;
}

static int64_t approve(struct fixture *fixture, int64_t id, bool *is_new)
{
    int64_t job = 0;
    g_autoptr(GError) error = NULL;
    store_approve(fixture->store, id, "me (uid 1)", 3, 9000, &job, is_new, &error);
    g_assert_no_error(error);
    return job;
}

static bool is_approved(struct fixture *fixture, enum job_block block, const char *sha,
                        const char *pin)
{
    g_autoptr(GError) error = NULL;
    struct approval *found =
        store_approval_find(fixture->store, "app", "main", block, sha, pin, &error);
    g_assert_no_error(error);
    bool answer = found != NULL;
    approval_free(found);
    return answer;
}

static unsigned count_blocked(struct fixture *fixture, int64_t *last)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) jobs = store_jobs_blocked(fixture->store, &error);
    g_assert_no_error(error);
    const struct job *job = jobs->len > 0 ? g_ptr_array_index(jobs, jobs->len - 1) : NULL;
    *last = job ? job->id : 0;
    return jobs->len;
}

static void blocked__followed_on_its_branch__is_past(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t last = 0;
    g_assert_cmpuint(count_blocked(&fixture, &last), ==, 0);
    int64_t first = blocked(&fixture, SHA_A, NULL, JOB_BLOCK_SIGNATURE, NULL);
    g_assert_cmpuint(count_blocked(&fixture, &last), ==, 1);
    g_assert_cmpint(last, ==, first);
    int64_t second = blocked(&fixture, SHA_B, SHA_A, JOB_BLOCK_WORKFLOW, "pin");
    g_assert_cmpuint(count_blocked(&fixture, &last), ==, 1);
    g_assert_cmpint(last, ==, second);
    /* what happens on another branch says nothing about it */
    enqueue(fixture.store, "other", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_cmpuint(count_blocked(&fixture, &last), ==, 1);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_cmpuint(count_blocked(&fixture, &last), ==, 0);
    fixture_close(&fixture);
}

static void approve__blocked_job__queues_its_commit_once(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    bool is_new = false;
    int64_t first = blocked(&fixture, SHA_B, SHA_A, JOB_BLOCK_SIGNATURE, NULL);
    int64_t id = approve(&fixture, first, &is_new);
    g_assert_true(is_new);
    struct job *job = get_job(fixture.store, id);
    g_assert_cmpint(job->state, ==, JOB_QUEUED);
    g_assert_cmpint(job->trigger, ==, JOB_TRIGGER_RETRY);
    g_assert_cmpstr(job->sha, ==, SHA_B);
    g_assert_cmpstr(job->previous_sha, ==, SHA_A);
    g_assert_cmpint(job->retry_of, ==, first);
    g_assert_cmpint(job->attempt, ==, 2);
    g_assert_cmpint(job->priority, ==, 3);
    job_free(job);
    g_assert_cmpint(approve(&fixture, first, &is_new), ==, id);
    g_assert_false(is_new);
    const struct job_filter all = {.limit = 0};
    g_autoptr(GPtrArray) jobs = store_jobs(fixture.store, &all, NULL);
    g_assert_cmpuint(jobs->len, ==, 2);
    struct approval *found =
        store_approval_find(fixture.store, "app", "main", JOB_BLOCK_SIGNATURE, SHA_B, NULL, NULL);
    g_assert_cmpstr(found->approver, ==, "me (uid 1)");
    g_assert_cmpstr(found->reason, ==, "because");
    g_assert_cmpint(found->at_ms, ==, 9000);
    g_assert_cmpint(found->blocked_job, ==, first);
    g_assert_cmpint(found->job, ==, id);
    approval_free(found);
    fixture_close(&fixture);
}

static void approve__what_is_not_blocked__is_refused(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    bool is_new = false;
    int64_t job = 0;
    g_autoptr(GError) error = NULL;
    g_assert_false(store_approve(fixture.store, id, "me", 0, 1, &job, &is_new, &error));
    assert_code(&error, ERROR_INVALID);
    g_assert_true(claim(fixture.store, id));
    g_assert_true(finish(fixture.store, id, JOB_FAILED, "x"));
    g_assert_false(store_approve(fixture.store, id, "me", 0, 1, &job, &is_new, &error));
    assert_code(&error, ERROR_INVALID);
    g_assert_false(store_approve(fixture.store, id + 1, "me", 0, 1, &job, &is_new, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(is_approved(&fixture, JOB_BLOCK_SIGNATURE, SHA_A, NULL));
    fixture_close(&fixture);
}

static void approval__of_one_thing__is_for_no_other(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    bool is_new = false;
    approve(&fixture, blocked(&fixture, SHA_A, NULL, JOB_BLOCK_SIGNATURE, NULL), &is_new);
    approve(&fixture, blocked(&fixture, SHA_B, NULL, JOB_BLOCK_WORKFLOW, "p1"), &is_new);
    g_assert_true(is_approved(&fixture, JOB_BLOCK_SIGNATURE, SHA_A, NULL));
    g_assert_false(is_approved(&fixture, JOB_BLOCK_SIGNATURE, SHA_B, NULL));
    g_assert_false(is_approved(&fixture, JOB_BLOCK_REWIND, SHA_A, NULL));
    g_assert_true(is_approved(&fixture, JOB_BLOCK_WORKFLOW, NULL, "p1"));
    g_assert_false(is_approved(&fixture, JOB_BLOCK_WORKFLOW, NULL, "p2"));
    g_assert_null(
        store_approval_find(fixture.store, "app", "dev", JOB_BLOCK_SIGNATURE, SHA_A, NULL, NULL));
    g_assert_null(store_approval_find(fixture.store, "other", "main", JOB_BLOCK_SIGNATURE, SHA_A,
                                      NULL, NULL));
    /* a section that comes back under the same name may be another repository */
    g_assert_true(store_repo_forget(fixture.store, "app", 1, NULL));
    g_assert_false(is_approved(&fixture, JOB_BLOCK_SIGNATURE, SHA_A, NULL));
    fixture_close(&fixture);
}

static char *predecessor_of_next(struct fixture *fixture)
{
    int64_t id = enqueue(fixture->store, "main", SHA_C, SHA_B, JOB_TRIGGER_PUSH);
    struct job *job = get_job(fixture->store, id);
    char *previous = g_strdup(job->previous_sha);
    job_free(job);
    g_assert_true(claim(fixture->store, id));
    g_assert_true(finish(fixture->store, id, JOB_CANCELED, "x"));
    return previous;
}

/* After a refused push, the next one follows the commit before both; after it was approved and has
 * run, the next one follows it. */
static void enqueue__after_a_refusal__follows_what_has_run(void)
{
    for (unsigned has_run = 0; has_run < 2; has_run++) {
        struct fixture fixture;
        fixture_open(&fixture);
        bool is_new = false;
        int64_t id = blocked(&fixture, SHA_B, SHA_A, JOB_BLOCK_REWIND, NULL);
        int64_t job = approve(&fixture, id, &is_new);
        g_assert_true(claim(fixture.store, job));
        g_assert_true(finish(fixture.store, job, has_run ? JOB_SUCCESS : JOB_BLOCKED, NULL));
        g_autofree char *previous = predecessor_of_next(&fixture);
        g_assert_cmpstr(previous, ==, has_run ? SHA_B : SHA_A);
        fixture_close(&fixture);
    }
}

static void commits_run__of_a_repo__are_those_with_a_verdict(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    static const char *const shas[] = {SHA_A, SHA_B, SHA_C, SHA_D};
    static const enum job_state states[] = {JOB_SUCCESS, JOB_BLOCKED, JOB_FAILED, JOB_ERROR};
    int64_t id = 0;
    for (unsigned i = 0; i < 4; i++) {
        id = enqueue(fixture.store, i % 2 ? "dev" : "main", shas[i], NULL, JOB_TRIGGER_PUSH);
        g_assert_true(claim(fixture.store, id));
        g_assert_true(finish(fixture.store, id, states[i], NULL));
    }
    g_autoptr(GPtrArray) all = store_job_commits_run(fixture.store, "app", id + 1, 9, NULL);
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(all, 0), ==, SHA_C);
    g_assert_cmpstr(g_ptr_array_index(all, 1), ==, SHA_A);
    g_autoptr(GPtrArray) one = store_job_commits_run(fixture.store, "app", id + 1, 1, NULL);
    g_autoptr(GPtrArray) before = store_job_commits_run(fixture.store, "app", 1, 9, NULL);
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_cmpuint(before->len, ==, 0);
    fixture_close(&fixture);
}

static void signer__of_a_job__is_kept(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(store_job_set_signer(fixture.store, id, "ann", "SHA256:x", NULL));
    struct job *job = get_job(fixture.store, id);
    g_assert_cmpstr(job->signer, ==, "ann");
    g_assert_cmpstr(job->signing_key, ==, "SHA256:x");
    g_assert_cmpint(job->block, ==, JOB_BLOCK_NONE);
    g_assert_null(job->pin);
    job_free(job);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/trust/" #name, name)
    ADD(approve__blocked_job__queues_its_commit_once);
    ADD(approve__what_is_not_blocked__is_refused);
    ADD(approval__of_one_thing__is_for_no_other);
    ADD(enqueue__after_a_refusal__follows_what_has_run);
    ADD(commits_run__of_a_repo__are_those_with_a_verdict);
    ADD(signer__of_a_job__is_kept);
    ADD(blocked__followed_on_its_branch__is_past);
    return g_test_run();
}
