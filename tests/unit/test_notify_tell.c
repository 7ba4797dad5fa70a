/* Notices of jobs and branches: which, and what they say. */
#include <string.h>

#include "notify/notice.h"
#include "notify/tell.h"
#include "store/outbox.h"
#include "store_fixture.h"

/* The only notice in the outbox, which is then empty; NULL when there is none. */
static struct notice *take_notice(struct store *store)
{
    static const char *const nobody[] = {NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rows = outbox_new_notices(store, 10, NULL);
    g_assert_cmpuint(rows->len, <=, 1);
    if (rows->len == 0) {
        return NULL;
    }
    const struct outbox_message *row = g_ptr_array_index(rows, 0);
    struct notice *notice = notice_from_json(row->body, strlen(row->body), &error);
    g_assert_no_error(error);
    g_assert_cmpstr(row->kind, ==, notice_kind_name(notice->kind));
    g_assert_cmpstr(row->repo, ==, "app");
    g_assert_cmpint(row->job, ==, notice->job);
    g_assert_true(outbox_address(store, row->id, nobody, 1, NULL));
    return notice;
}

static int64_t run_job(struct store *store, enum job_state state, const char *reason)
{
    int64_t id = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(store, id));
    g_assert_true(store_job_describe(store, id, "a subject", "an author", NULL));
    g_assert_true(finish(store, id, state, reason));
    return id;
}

static const char *const argv[] = {"make", "a b", NULL};

static struct step failed_step(int64_t job)
{
    return (struct step){.job = job,
                         .number = 2,
                         .argv = (char **)(void *)argv,
                         .state = STEP_FAILED,
                         .exit_code = 3,
                         .reason = (char *)"exit 3",
                         .started_ms = 1000,
                         .finished_ms = 1500};
}

static void end__of_each_state__has_its_kind(void)
{
    static const struct {
        enum job_state state;
        enum notice_kind kind;
    } cases[] = {
        {JOB_SUCCESS, NOTICE_FINISHED},    {JOB_FAILED, NOTICE_FINISHED},
        {JOB_ERROR, NOTICE_FINISHED},      {JOB_TIMEOUT, NOTICE_FINISHED},
        {JOB_CANCELED, NOTICE_FINISHED},   {JOB_SKIPPED, NOTICE_FINISHED},
        {JOB_BLOCKED, NOTICE_BLOCKED},     {JOB_INTERRUPTED, NOTICE_INTERRUPTED},
        {JOB_SUPERSEDED, NOTICE_FINISHED},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        int64_t id = run_job(fixture.store, cases[i].state, "why");
        g_assert_true(tell_end(fixture.store, NOTIFY_ALL, id, NULL, NULL, 7000, NULL));
        struct notice *notice = take_notice(fixture.store);
        g_assert_cmpint(notice->kind, ==, cases[i].kind);
        g_assert_cmpint(notice->job, ==, id);
        g_assert_cmpstr(notice->state, ==, job_state_name(cases[i].state));
        g_assert_cmpstr(notice->reason, ==, "why");
        g_assert_cmpstr(notice->sha, ==, SHA_A);
        g_assert_cmpstr(notice->subject, ==, "a subject");
        g_assert_cmpstr(notice->author, ==, "an author");
        g_assert_cmpstr(notice->trigger, ==, "push");
        g_assert_cmpint(notice->duration_ms, ==, 1000);
        g_assert_cmpint(notice->at_ms, ==, 7000);
        notice_free(notice);
        fixture_close(&fixture);
    }
}

static void step_failed__all__is_told_by_itself_and_not_again_by_the_end(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = run_job(fixture.store, JOB_FAILED, "step 2 failed");
    struct step step = failed_step(id);
    const struct tell_output output = {"line 1\nline 2\n", 14, 100};
    g_assert_true(tell_step_failed(fixture.store, NOTIFY_ALL, &step, &output, 7000, NULL));
    struct notice *notice = take_notice(fixture.store);
    g_assert_cmpint(notice->kind, ==, NOTICE_STEP_FAILED);
    g_assert_true(notice->has_step);
    g_assert_cmpuint(notice->step, ==, 2);
    g_assert_cmpint(notice->exit_code, ==, 3);
    g_assert_cmpstr(notice->command, ==, "make 'a b'");
    g_assert_nonnull(strstr(notice->tail, "line 2"));
    g_assert_cmpint(notice->before, ==, 100);
    notice_free(notice);
    g_assert_true(tell_end(fixture.store, NOTIFY_ALL, id, &step, &output, 7000, NULL));
    notice = take_notice(fixture.store);
    g_assert_cmpint(notice->kind, ==, NOTICE_FINISHED);
    g_assert_false(notice->has_step);
    g_assert_null(notice->tail);
    notice_free(notice);
    fixture_close(&fixture);
}

static void step_failed__less_than_all__is_told_by_the_end(void)
{
    static const enum notify_policy policies[] = {NOTIFY_FAILURES, NOTIFY_CHANGES};
    for (unsigned i = 0; i < G_N_ELEMENTS(policies); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        int64_t id = run_job(fixture.store, JOB_FAILED, "step 2 failed");
        struct step step = failed_step(id);
        const struct tell_output output = {"line 1\nline 2\n", 14, 0};
        g_assert_true(tell_step_failed(fixture.store, policies[i], &step, &output, 7000, NULL));
        g_assert_null(take_notice(fixture.store));
        g_assert_true(tell_end(fixture.store, policies[i], id, &step, &output, 7000, NULL));
        struct notice *notice = take_notice(fixture.store);
        g_assert_true(notice->has_step);
        g_assert_nonnull(strstr(notice->tail, "line 2"));
        notice_free(notice);
        fixture_close(&fixture);
    }
}

static void none__whatever_happens__is_silent(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = run_job(fixture.store, JOB_FAILED, "step 2 failed");
    struct step step = failed_step(id);
    g_assert_true(tell_started(fixture.store, NOTIFY_NONE, id, 1, NULL));
    g_assert_true(tell_step_failed(fixture.store, NOTIFY_NONE, &step, NULL, 1, NULL));
    g_assert_true(tell_end(fixture.store, NOTIFY_NONE, id, &step, NULL, 1, NULL));
    g_assert_true(tell_branch_missing(fixture.store, NOTIFY_NONE, "app", "main", 1, NULL));
    g_assert_null(take_notice(fixture.store));
    fixture_close(&fixture);
}

static void started_and_missing__say_what_they_are_about(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = run_job(fixture.store, JOB_SUCCESS, NULL);
    g_assert_true(tell_started(fixture.store, NOTIFY_ALL, id, 5, NULL));
    struct notice *notice = take_notice(fixture.store);
    g_assert_cmpint(notice->kind, ==, NOTICE_STARTED);
    g_assert_cmpint(notice->attempt, ==, 1);
    notice_free(notice);
    g_assert_true(tell_branch_missing(fixture.store, NOTIFY_CHANGES, "app", "main", 6, NULL));
    notice = take_notice(fixture.store);
    g_assert_cmpint(notice->kind, ==, NOTICE_BRANCH_MISSING);
    g_assert_cmpstr(notice->branch, ==, "main");
    g_assert_cmpint(notice->job, ==, 0);
    notice_free(notice);
    fixture_close(&fixture);
}

static void job__that_is_gone__is_an_error(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_autoptr(GError) error = NULL;
    g_assert_false(tell_end(fixture.store, NOTIFY_ALL, 4711, NULL, NULL, 1, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    fixture_close(&fixture);
}

int main(int argc, char **argv_of_test)
{
    g_test_init(&argc, &argv_of_test, NULL);
#define ADD(name) g_test_add_func("/tell/" #name, name)
    ADD(end__of_each_state__has_its_kind);
    ADD(step_failed__all__is_told_by_itself_and_not_again_by_the_end);
    ADD(step_failed__less_than_all__is_told_by_the_end);
    ADD(none__whatever_happens__is_silent);
    ADD(started_and_missing__say_what_they_are_about);
    ADD(job__that_is_gone__is_an_error);
    return g_test_run();
}
