/* Steps, notes, branches, repos, decisions, requests. */
#include <string.h>

#include "store_fixture.h"

static void steps__argv_of_any_bytes__survives(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    static const char *const plain[] = {"make", "", "-j", "a\nb", NULL};
    static const char *const foreign[] = {"\xff\xfe", "\xc3\x28", "\"'\\$(id)", NULL};
    static const char *const none[] = {NULL};
    static const char *const *const all[] = {none, foreign, plain};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        g_assert_true(store_step_start(fixture.store, job, i, all[i], (int64_t)i * 10, 50, NULL));
    }
    g_autoptr(GPtrArray) steps = store_steps(fixture.store, job, NULL);
    g_assert_cmpuint(steps->len, ==, G_N_ELEMENTS(all));
    for (unsigned i = 0; i < steps->len; i++) {
        const struct step *step = g_ptr_array_index(steps, i);
        g_assert_cmpuint(step->number, ==, i);
        g_assert_true(g_strv_equal((const char *const *)step->argv, all[i]));
        g_assert_cmpint(step->state, ==, STEP_RUNNING);
        g_assert_cmpint(step->exit_code, ==, -1);
        g_assert_cmpint(step->log_offset, ==, (int64_t)i * 10);
        g_assert_cmpint(step->log_length, ==, -1);
        g_assert_cmpint(step->started_ms, ==, 50);
    }
    fixture_close(&fixture);
}

static void steps__finish__writes_all_but_what_the_start_wrote(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    static const char *const argv[] = {"true", NULL};
    g_assert_true(store_step_start(fixture.store, job, 10, argv, 7, 50, NULL));
    g_assert_true(store_step_start(fixture.store, job, 2, argv, 0, 40, NULL));
    struct step written = {.job = job,
                           .number = 10,
                           .state = STEP_FAILED,
                           .exit_code = 3,
                           .signal = 9,
                           .reason = (char *)"exit 3",
                           .started_ms = 1,
                           .finished_ms = 60,
                           .cpu_us = 123,
                           .max_rss_bytes = 456,
                           .log_offset = 1,
                           .log_length = 9};
    g_assert_true(store_step_finish(fixture.store, &written, NULL));
    g_autoptr(GPtrArray) steps = store_steps(fixture.store, job, NULL);
    g_assert_cmpuint(steps->len, ==, 2);
    const struct step *step = g_ptr_array_index(steps, 1);
    g_assert_cmpuint(step->number, ==, 10);
    g_assert_cmpint(step->state, ==, STEP_FAILED);
    g_assert_cmpint(step->exit_code, ==, 3);
    g_assert_cmpint(step->signal, ==, 9);
    g_assert_cmpstr(step->reason, ==, "exit 3");
    g_assert_cmpint(step->started_ms, ==, 50);
    g_assert_cmpint(step->finished_ms, ==, 60);
    g_assert_cmpint(step->cpu_us, ==, 123);
    g_assert_cmpint(step->max_rss_bytes, ==, 456);
    g_assert_cmpint(step->log_offset, ==, 7);
    g_assert_cmpint(step->log_length, ==, 9);
    fixture_close(&fixture);
}

static void steps__interrupt__touches_running_ones_of_that_job_only(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    int64_t other = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    static const char *const argv[] = {"true", NULL};
    g_assert_true(store_step_start(fixture.store, job, 0, argv, 0, 1, NULL));
    g_assert_true(store_step_start(fixture.store, job, 1, argv, 0, 1, NULL));
    g_assert_true(store_step_start(fixture.store, other, 0, argv, 0, 1, NULL));
    struct step done = {.job = job, .number = 0, .state = STEP_SUCCESS};
    g_assert_true(store_step_finish(fixture.store, &done, NULL));
    g_assert_true(store_steps_interrupt(fixture.store, job, 99, NULL));
    g_autoptr(GPtrArray) steps = store_steps(fixture.store, job, NULL);
    g_autoptr(GPtrArray) others = store_steps(fixture.store, other, NULL);
    const struct step *first = g_ptr_array_index(steps, 0);
    const struct step *second = g_ptr_array_index(steps, 1);
    const struct step *untouched = g_ptr_array_index(others, 0);
    g_assert_cmpint(first->state, ==, STEP_SUCCESS);
    g_assert_cmpint(second->state, ==, STEP_INTERRUPTED);
    g_assert_cmpint(second->finished_ms, ==, 99);
    g_assert_cmpint(untouched->state, ==, STEP_RUNNING);
    fixture_close(&fixture);
}

static void notes__added__come_back_in_order(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_true(store_note_add(fixture.store, job, 5, "first", 10, NULL));
    g_assert_true(store_note_add(fixture.store, job, 3, "second", 9, NULL));
    g_autoptr(GPtrArray) notes = store_notes(fixture.store, job, NULL);
    g_assert_cmpuint(notes->len, ==, 2);
    const struct note *first = g_ptr_array_index(notes, 0);
    const struct note *second = g_ptr_array_index(notes, 1);
    g_assert_cmpstr(first->text, ==, "first");
    g_assert_cmpint(first->log_offset, ==, 5);
    g_assert_cmpint(first->at_ms, ==, 10);
    g_assert_cmpstr(second->text, ==, "second");
    fixture_close(&fixture);
}

static void put_branch(struct store *store, const char *repo, const char *name, const char *tip,
                       int64_t gone_ms)
{
    struct branch branch = {.repo = (char *)repo,
                            .name = (char *)name,
                            .tip = (char *)tip,
                            .seen_ms = 10,
                            .gone_ms = gone_ms};
    g_assert_true(store_branch_put(store, &branch, NULL));
}

static char *format_branches(struct store *store, const char *repo)
{
    g_autoptr(GPtrArray) branches = store_branches(store, repo, NULL);
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        g_string_append_printf(text, "%s/%s=%s@%d-%d ", branch->repo, branch->name,
                               branch->tip ? branch->tip : "?", (int)branch->seen_ms,
                               (int)branch->gone_ms);
    }
    return g_string_free(text, FALSE);
}

static void branches__put_and_removed__are_listed_by_name(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    put_branch(fixture.store, "b", "main", "1", 0);
    put_branch(fixture.store, "a", "z", "2", 0);
    put_branch(fixture.store, "a", "main", NULL, 5);
    put_branch(fixture.store, "a", "z", "3", 7);
    g_autofree char *all = format_branches(fixture.store, NULL);
    g_assert_cmpstr(all, ==, "a/main=?@10-5 a/z=3@10-7 b/main=1@10-0 ");
    g_assert_true(store_branch_remove(fixture.store, "a", "main", NULL));
    g_assert_true(store_branch_remove(fixture.store, "a", "absent", NULL));
    g_autofree char *one = format_branches(fixture.store, "a");
    g_assert_cmpstr(one, ==, "a/z=3@10-7 ");
    fixture_close(&fixture);
}

static void repo__selection_and_pause__are_independent(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    char *selection = (char *)"unset";
    bool paused = true;
    g_assert_true(store_repo_get_selection(store, "app", &selection, NULL));
    g_assert_null(selection);
    g_assert_true(store_repo_is_paused(store, "app", &paused, NULL));
    g_assert_false(paused);
    g_assert_true(store_repo_set_paused(store, "app", true, NULL));
    g_assert_true(store_repo_get_selection(store, "app", &selection, NULL));
    g_assert_null(selection);
    g_assert_true(store_repo_put_selection(store, "app", "main,dev", NULL));
    g_assert_true(store_repo_put_selection(store, "app", "main", NULL));
    g_assert_true(store_repo_get_selection(store, "app", &selection, NULL));
    g_assert_cmpstr(selection, ==, "main");
    g_free(selection);
    g_assert_true(store_repo_is_paused(store, "app", &paused, NULL));
    g_assert_true(paused);
    fixture_close(&fixture);
}

static void put_decision(struct store *store, const char *branch, int64_t at_ms)
{
    struct decision decision = {.repo = (char *)"app",
                                .branch = (char *)branch,
                                .at_ms = at_ms,
                                .kind = (char *)"queued",
                                .old_sha = NULL,
                                .new_sha = (char *)SHA_A,
                                .job = 4,
                                .detail = (char *)"queued job 4"};
    g_assert_true(store_decision_put(store, &decision, NULL));
}

static void decisions__many__keep_the_last_twenty_of_each_branch(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    put_decision(fixture.store, "dev", 1);
    for (int i = 0; i < 30; i++) {
        put_decision(fixture.store, "main", 100 + i);
    }
    g_autoptr(GPtrArray) main = store_decisions(fixture.store, "app", "main", 0, NULL);
    g_autoptr(GPtrArray) all = store_decisions(fixture.store, "app", NULL, 0, NULL);
    g_autoptr(GPtrArray) some = store_decisions(fixture.store, "app", NULL, 3, NULL);
    g_assert_cmpuint(main->len, ==, 20);
    g_assert_cmpuint(all->len, ==, 21);
    g_assert_cmpuint(some->len, ==, 3);
    const struct decision *newest = g_ptr_array_index(main, 0);
    const struct decision *oldest = g_ptr_array_index(main, 19);
    g_assert_cmpint(newest->at_ms, ==, 129);
    g_assert_cmpint(oldest->at_ms, ==, 110);
    g_assert_cmpstr(newest->kind, ==, "queued");
    g_assert_null(newest->old_sha);
    g_assert_cmpstr(newest->new_sha, ==, SHA_A);
    g_assert_cmpint(newest->job, ==, 4);
    g_assert_cmpstr(newest->detail, ==, "queued job 4");
    fixture_close(&fixture);
}

static void requests__taken__are_gone(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_auto(GStrv) none = store_take_poll_requests(fixture.store, NULL);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    g_assert_true(store_request_poll(fixture.store, "b", 1, NULL));
    g_assert_true(store_request_poll(fixture.store, NULL, 2, NULL));
    g_assert_true(store_request_poll(fixture.store, "a", 3, NULL));
    g_assert_true(store_request_poll(fixture.store, "b", 4, NULL));
    g_auto(GStrv) taken = store_take_poll_requests(fixture.store, NULL);
    static const char *const expected[] = {"", "a", "b", NULL};
    g_assert_true(g_strv_equal((const char *const *)taken, expected));
    g_auto(GStrv) again = store_take_poll_requests(fixture.store, NULL);
    g_assert_cmpuint(g_strv_length(again), ==, 0);
    fixture_close(&fixture);
}

static void forget__repo__keeps_its_jobs_and_other_repos(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t done = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(finish(store, done, JOB_SUCCESS, NULL));
    int64_t queued = enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_PUSH);
    put_branch(store, "app", "main", "1", 0);
    put_branch(store, "other", "main", "1", 0);
    put_decision(store, "main", 1);
    g_assert_true(store_repo_set_paused(store, "app", true, NULL));
    g_assert_true(store_request_poll(store, "app", 1, NULL));
    g_assert_true(store_repo_forget(store, "app", 77, NULL));
    struct job *job = get_job(store, queued);
    g_assert_cmpint(job->state, ==, JOB_CANCELED);
    g_assert_cmpint(job->finished_ms, ==, 77);
    g_assert_nonnull(job->reason);
    job_free(job);
    g_assert_cmpint(state_of(store, done), ==, JOB_SUCCESS);
    g_autofree char *branches = format_branches(store, NULL);
    g_assert_cmpstr(branches, ==, "other/main=1@10-0 ");
    g_autoptr(GPtrArray) decisions = store_decisions(store, "app", NULL, 0, NULL);
    g_assert_cmpuint(decisions->len, ==, 0);
    g_auto(GStrv) requests = store_take_poll_requests(store, NULL);
    g_assert_cmpuint(g_strv_length(requests), ==, 0);
    bool paused = true;
    g_assert_true(store_repo_is_paused(store, "app", &paused, NULL));
    g_assert_false(paused);
    fixture_close(&fixture);
}

static void read_everything(struct store *store)
{
    struct job_filter all = {.text = "a", .limit = 50};
    g_ptr_array_unref(store_jobs(store, &all, NULL));
    g_ptr_array_unref(store_jobs_queued(store, NULL));
    g_ptr_array_unref(store_steps(store, 1, NULL));
    g_ptr_array_unref(store_notes(store, 1, NULL));
    g_ptr_array_unref(store_branches(store, NULL, NULL));
    g_ptr_array_unref(store_decisions(store, "app", "main", 1, NULL));
    g_strfreev(store_take_poll_requests(store, NULL));
    job_free(store_job_latest(store, "app", NULL, NULL));
    job_free(get_job(store, 1));
    char *selection = NULL;
    bool paused;
    g_assert_true(store_repo_get_selection(store, "app", &selection, NULL));
    g_assert_true(store_repo_is_paused(store, "app", &paused, NULL));
    g_free(selection);
}

static void reads__a_thousand__leave_database_and_log_as_they_were(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    put_branch(fixture.store, "app", "main", SHA_A, 0);
    put_decision(fixture.store, "main", 1);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    g_autoptr(GBytes) database_before = contents(fixture.path);
    g_autoptr(GBytes) log_before = contents(log);
    for (int i = 0; i < 1000; i++) {
        read_everything(fixture.store);
    }
    bool changed = true;
    g_assert_true(store_job_finish(fixture.store, 1, JOB_CANCELED, NULL, 1, NULL, NULL));
    g_autoptr(GBytes) log_written = contents(log);
    g_assert_true(store_job_finish(fixture.store, 1, JOB_SUCCESS, NULL, 1, &changed, NULL));
    g_assert_false(changed);
    g_autoptr(GBytes) database_after = contents(fixture.path);
    g_autoptr(GBytes) log_after = contents(log);
    g_assert_true(g_bytes_equal(database_before, database_after));
    g_assert_false(g_bytes_equal(log_before, log_written));
    g_assert_true(g_bytes_equal(log_written, log_after));
    gsize prefix = g_bytes_get_size(log_before);
    g_assert_cmpmem(g_bytes_get_data(log_before, NULL), prefix, g_bytes_get_data(log_after, NULL),
                    prefix);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/" #name, name)
    ADD(steps__argv_of_any_bytes__survives);
    ADD(steps__finish__writes_all_but_what_the_start_wrote);
    ADD(steps__interrupt__touches_running_ones_of_that_job_only);
    ADD(notes__added__come_back_in_order);
    ADD(branches__put_and_removed__are_listed_by_name);
    ADD(repo__selection_and_pause__are_independent);
    ADD(decisions__many__keep_the_last_twenty_of_each_branch);
    ADD(requests__taken__are_gone);
    ADD(forget__repo__keeps_its_jobs_and_other_repos);
    ADD(reads__a_thousand__leave_database_and_log_as_they_were);
    return g_test_run();
}
