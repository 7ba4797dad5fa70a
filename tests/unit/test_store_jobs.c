/* The life of jobs: queue, claim, stop, finish; lists. */
#include <sqlite3.h>
#include <string.h>

#include "store/store_internal.h"
#include "store_fixture.h"

static void names__every_value__goes_there_and_back(void)
{
    enum job_state state;
    for (int i = JOB_QUEUED; i <= JOB_BLOCKED; i++) {
        g_assert_true(job_state_from_name(job_state_name((enum job_state)i), &state));
        g_assert_cmpint(state, ==, i);
        g_assert_cmpint(job_state_is_final(state), ==, i > JOB_RUNNING);
    }
    enum job_trigger trigger;
    for (int i = JOB_TRIGGER_PUSH; i <= JOB_TRIGGER_SCHEDULE; i++) {
        g_assert_true(job_trigger_from_name(job_trigger_name((enum job_trigger)i), &trigger));
        g_assert_cmpint(trigger, ==, i);
    }
    enum job_stop stop;
    for (int i = JOB_STOP_NONE; i <= JOB_STOP_KILL; i++) {
        g_assert_true(job_stop_from_name(job_stop_name((enum job_stop)i), &stop));
        g_assert_cmpint(stop, ==, i);
    }
    enum step_state step;
    for (int i = STEP_RUNNING; i <= STEP_ERROR; i++) {
        g_assert_true(step_state_from_name(step_state_name((enum step_state)i), &step));
        g_assert_cmpint(step, ==, i);
    }
    g_assert_false(job_state_from_name("Queued", &state));
    g_assert_false(job_trigger_from_name("", &trigger));
    g_assert_false(step_state_from_name("queued", &step));
}

static void enqueue__all_fields__are_read_back(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct job_request request = {.repo = "app",
                                  .branch = "feature/\xc3\xbc \xff",
                                  .sha = SHA_B,
                                  .previous_sha = SHA_A,
                                  .trigger = JOB_TRIGGER_RETRY,
                                  .priority = -3,
                                  .retry_of = 12,
                                  .attempt = 4};
    int64_t id = 0;
    unsigned superseded = 7;
    g_assert_true(store_job_enqueue(fixture.store, &request, 1234, &id, &superseded, NULL));
    g_assert_cmpint(id, ==, 1);
    g_assert_cmpuint(superseded, ==, 0);
    g_assert_true(store_job_describe(fixture.store, id, "a 'subject'", NULL, NULL));
    struct job *job = get_job(fixture.store, id);
    g_assert_cmpstr(job->repo, ==, "app");
    g_assert_cmpstr(job->branch, ==, request.branch);
    g_assert_cmpstr(job->sha, ==, SHA_B);
    g_assert_cmpstr(job->previous_sha, ==, SHA_A);
    g_assert_cmpstr(job->subject, ==, "a 'subject'");
    g_assert_null(job->author);
    g_assert_null(job->reason);
    g_assert_null(job->stop_reason);
    g_assert_cmpint(job->trigger, ==, JOB_TRIGGER_RETRY);
    g_assert_cmpint(job->state, ==, JOB_QUEUED);
    g_assert_cmpint(job->stop, ==, JOB_STOP_NONE);
    g_assert_cmpint(job->priority, ==, -3);
    g_assert_cmpint(job->retry_of, ==, 12);
    g_assert_cmpint(job->attempt, ==, 4);
    g_assert_cmpint(job->created_ms, ==, 1234);
    g_assert_cmpint(job->started_ms + job->finished_ms, ==, 0);
    job_free(job);
    fixture_close(&fixture);
}

/* O2, and the promise: each of 5 pushes is recorded, the newest alone is left to run. */
static void enqueue__five_pushes_while_busy__newest_stays_and_follows_the_first(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t busy = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(store, busy));
    int64_t other_branch = enqueue(store, "dev", SHA_A, NULL, JOB_TRIGGER_PUSH);
    int64_t ids[5];
    static const char *const shas[] = {SHA_B, SHA_C, SHA_D, SHA_A, SHA_B};
    const char *previous = SHA_A;
    for (unsigned i = 0; i < 5; i++) {
        struct job_request request = {.repo = "app",
                                      .branch = "main",
                                      .sha = shas[i],
                                      .previous_sha = previous,
                                      .trigger = JOB_TRIGGER_PUSH};
        unsigned superseded = 9;
        g_assert_true(store_job_enqueue(store, &request, 5000, &ids[i], &superseded, NULL));
        g_assert_cmpuint(superseded, ==, i > 0 ? 1 : 0);
        previous = shas[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        struct job *job = get_job(store, ids[i]);
        g_autofree char *newer = g_strdup_printf("(job %d)", (int)ids[i + 1]);
        g_assert_cmpint(job->state, ==, JOB_SUPERSEDED);
        g_assert_nonnull(strstr(job->reason, newer));
        g_assert_cmpint(job->finished_ms, ==, 5000);
        job_free(job);
    }
    struct job *newest = get_job(store, ids[4]);
    g_assert_cmpint(newest->state, ==, JOB_QUEUED);
    g_assert_cmpstr(newest->previous_sha, ==, SHA_A);
    job_free(newest);
    g_assert_cmpint(state_of(store, busy), ==, JOB_RUNNING);
    g_assert_cmpint(state_of(store, other_branch), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static char *previous_of_next_push(struct store *store)
{
    struct job *job = get_job(store, enqueue(store, "main", SHA_D, SHA_C, JOB_TRIGGER_PUSH));
    char *previous = g_strdup(job->previous_sha);
    job_free(job);
    return previous;
}

static void enqueue__after_a_finished_push__keeps_its_own_predecessor(void)
{
    static const enum job_state handled[] = {JOB_SUCCESS, JOB_FAILED,   JOB_ERROR,
                                             JOB_TIMEOUT, JOB_CANCELED, JOB_SKIPPED};
    for (unsigned i = 0; i < G_N_ELEMENTS(handled); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        int64_t id = enqueue(fixture.store, "main", SHA_C, SHA_A, JOB_TRIGGER_PUSH);
        g_assert_true(claim(fixture.store, id));
        g_assert_true(finish(fixture.store, id, handled[i], NULL));
        g_autofree char *previous = previous_of_next_push(fixture.store);
        g_assert_cmpstr(previous, ==, SHA_C);
        fixture_close(&fixture);
    }
}

static void enqueue__after_a_blocked_push__carries_its_predecessor(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_C, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_true(claim(fixture.store, id));
    g_assert_true(finish(fixture.store, id, JOB_BLOCKED, "rewind"));
    /* A retry of something else in between is no push. */
    enqueue(fixture.store, "main", SHA_B, SHA_B, JOB_TRIGGER_RETRY);
    g_autofree char *previous = previous_of_next_push(fixture.store);
    g_assert_cmpstr(previous, ==, SHA_A);
    fixture_close(&fixture);
}

static void enqueue__after_a_running_push_was_superseded__keeps_its_own_predecessor(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_C, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_true(claim(fixture.store, id));
    g_assert_true(finish(fixture.store, id, JOB_SUPERSEDED, NULL));
    g_autofree char *previous = previous_of_next_push(fixture.store);
    g_assert_cmpstr(previous, ==, SHA_C);
    fixture_close(&fixture);
}

static void enqueue__not_a_push__supersedes_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t push = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RETRY);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_ADD);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RERUN);
    g_assert_cmpint(state_of(fixture.store, push), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static void enqueue__push__leaves_what_a_person_asked_for(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t run = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    int64_t retry = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RETRY);
    int64_t rerun = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RERUN);
    enqueue(fixture.store, "main", SHA_B, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_cmpint(state_of(fixture.store, run), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(fixture.store, retry), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(fixture.store, rerun), ==, JOB_SUPERSEDED);
    fixture_close(&fixture);
}

static void enqueue__in_a_rolled_back_transaction__supersedes_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t first = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(store_begin(fixture.store, NULL));
    enqueue(fixture.store, "main", SHA_B, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_cmpint(state_of(fixture.store, first), ==, JOB_SUPERSEDED);
    store_rollback(fixture.store);
    g_assert_cmpint(state_of(fixture.store, first), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static void claim__branch_is_busy_or_job_is_not_queued__is_refused(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t first = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    int64_t second = enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_RUN);
    int64_t other = enqueue(store, "dev", SHA_B, NULL, JOB_TRIGGER_RUN);
    g_assert_true(claim(store, first));
    g_assert_false(claim(store, first));
    g_assert_false(claim(store, second));
    g_assert_true(claim(store, other));
    g_assert_true(finish(store, first, JOB_SUCCESS, NULL));
    g_assert_false(claim(store, first));
    g_assert_true(claim(store, second));
    struct job *job = get_job(store, second);
    g_assert_cmpint(job->started_ms, ==, 2000);
    job_free(job);
    fixture_close(&fixture);
}

static void absent_job__every_writer__is_not_found(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    g_autoptr(GError) error = NULL;
    bool flag = true;
    enum cancel_outcome outcome;
    static const char *const argv[] = {"true", NULL};
    struct step step = {.job = 99, .number = 0, .state = STEP_SUCCESS};
    g_assert_false(store_job_claim(store, 99, 1, &flag, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(flag);
    g_assert_false(store_job_describe(store, 99, "s", "a", &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(store_job_finish(store, 99, JOB_SUCCESS, NULL, 1, NULL, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(store_job_stop(store, 99, JOB_STOP_CANCEL, NULL, 1, &outcome, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(store_step_start(store, 99, 0, argv, 0, 1, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(store_step_finish(store, &step, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(store_note_add(store, 99, 0, "x", 1, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_null(store_job_get(store, 99, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    fixture_close(&fixture);
}

static void finish__second_time__changes_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_true(claim(fixture.store, id));
    g_assert_true(finish(fixture.store, id, JOB_FAILED, "step 1 failed"));
    g_assert_false(finish(fixture.store, id, JOB_SUCCESS, "no"));
    struct job *job = get_job(fixture.store, id);
    g_assert_cmpint(job->state, ==, JOB_FAILED);
    g_assert_cmpstr(job->reason, ==, "step 1 failed");
    g_assert_cmpint(job->finished_ms, ==, 3000);
    job_free(job);
    fixture_close(&fixture);
}

static enum cancel_outcome stop(struct store *store, int64_t id, enum job_stop kind,
                                const char *reason)
{
    g_autoptr(GError) error = NULL;
    enum cancel_outcome outcome = CANCEL_ALREADY_OVER;
    store_job_stop(store, id, kind, reason, 4000, &outcome, &error);
    g_assert_no_error(error);
    return outcome;
}

static void stop__queued_job__is_over_at_once(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t canceled = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    int64_t superseded = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_cmpint(stop(fixture.store, canceled, JOB_STOP_CANCEL, "by me"), ==, CANCEL_DONE);
    g_assert_cmpint(stop(fixture.store, canceled, JOB_STOP_KILL, "again"), ==, CANCEL_ALREADY_OVER);
    g_assert_cmpint(stop(fixture.store, superseded, JOB_STOP_SUPERSEDE, "x"), ==, CANCEL_DONE);
    g_assert_cmpint(state_of(fixture.store, superseded), ==, JOB_SUPERSEDED);
    struct job *job = get_job(fixture.store, canceled);
    g_assert_cmpint(job->state, ==, JOB_CANCELED);
    g_assert_cmpstr(job->reason, ==, "by me");
    g_assert_cmpint(job->finished_ms, ==, 4000);
    job_free(job);
    fixture_close(&fixture);
}

static void assert_stop(struct store *store, int64_t id, enum job_stop kind, const char *reason)
{
    struct job *job = get_job(store, id);
    g_assert_cmpint(job->state, ==, JOB_RUNNING);
    g_assert_cmpint(job->stop, ==, kind);
    g_assert_cmpstr(job->stop_reason, ==, reason);
    job_free(job);
}

static void stop__running_job__records_the_strongest_request_once(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t id = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_true(claim(store, id));
    g_assert_cmpint(stop(store, id, JOB_STOP_SUPERSEDE, "newer"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_SUPERSEDE, "newer");
    g_assert_cmpint(stop(store, id, JOB_STOP_SUPERSEDE, "still newer"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_SUPERSEDE, "newer");
    g_assert_cmpint(stop(store, id, JOB_STOP_CANCEL, "by me"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_CANCEL, "by me");
    g_assert_cmpint(stop(store, id, JOB_STOP_SUPERSEDE, "late"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_CANCEL, "by me");
    g_assert_cmpint(stop(store, id, JOB_STOP_KILL, "shutdown"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_KILL, "shutdown");
    g_assert_cmpint(stop(store, id, JOB_STOP_CANCEL, "late"), ==, CANCEL_ASKED);
    assert_stop(store, id, JOB_STOP_KILL, "shutdown");
    g_assert_true(finish(store, id, JOB_INTERRUPTED, "shutdown"));
    g_assert_cmpint(stop(store, id, JOB_STOP_KILL, "late"), ==, CANCEL_ALREADY_OVER);
    fixture_close(&fixture);
}

/* The ids of a list, "3 1 "; frees it. */
static char *ids_of(GPtrArray *jobs)
{
    g_assert_nonnull(jobs);
    GString *ids = g_string_new(NULL);
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_string_append_printf(ids, "%d ", (int)job->id);
    }
    g_ptr_array_unref(jobs);
    return g_string_free(ids, FALSE);
}

static void queued__priorities_and_pauses__decide_the_order(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    static const struct {
        const char *repo;
        int priority;
    } rows[] = {{"a", 0}, {"b", 5}, {"a", -1}, {"c", 5}, {"paused", 9}, {"d", 0}};
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct job_request request = {.repo = rows[i].repo,
                                      .branch = "main",
                                      .sha = SHA_A,
                                      .trigger = JOB_TRIGGER_RUN,
                                      .priority = rows[i].priority};
        int64_t id;
        g_assert_true(store_job_enqueue(fixture.store, &request, 1, &id, NULL, NULL));
    }
    g_assert_true(store_repo_set_paused(fixture.store, "paused", true, NULL));
    g_autofree char *paused = ids_of(store_jobs_queued(fixture.store, NULL));
    g_assert_cmpstr(paused, ==, "2 4 1 6 3 ");
    g_assert_true(store_repo_set_paused(fixture.store, "paused", false, NULL));
    g_assert_true(claim(fixture.store, 2));
    g_autofree char *all = ids_of(store_jobs_queued(fixture.store, NULL));
    g_assert_cmpstr(all, ==, "5 4 1 6 3 ");
    fixture_close(&fixture);
}

static void fill_for_lists(struct store *store)
{
    static const char *const rows[][3] = {{"app", "main", SHA_A},
                                          {"app", "feature/x", SHA_B},
                                          {"api-app", "main", SHA_C},
                                          {"100%_done", "main", SHA_D}};
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct job_request request = {.repo = rows[i][0],
                                      .branch = rows[i][1],
                                      .sha = rows[i][2],
                                      .trigger = JOB_TRIGGER_RUN};
        int64_t id;
        g_assert_true(store_job_enqueue(store, &request, 1, &id, NULL, NULL));
    }
    g_assert_true(claim(store, 1));
    g_assert_true(finish(store, 1, JOB_FAILED, NULL));
    g_assert_true(claim(store, 3));
}

static void list__each_filter__selects_newest_first(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill_for_lists(fixture.store);
    static const struct {
        struct job_filter filter;
        const char *expected;
    } cases[] = {
        {{.text = NULL}, "4 3 2 1 "},
        {{.limit = 2}, "4 3 "},
        {{.after_id = 2}, "4 3 "},
        {{.text = ""}, "4 3 2 1 "},
        {{.text = "app"}, "3 2 1 "},
        {{.text = "feature"}, "2 "},
        {{.text = "cccc"}, "3 "},
        {{.text = "%"}, "4 "},
        {{.text = "_"}, "4 "},
        {{.text = "failed"}, "1 "},
        {{.text = "fail"}, ""},
        {{.text = "'; DROP TABLE job; --"}, ""},
        {{.repo = "app"}, "2 1 "},
        {{.repo = "app", .branch = "main"}, "1 "},
        {{.branch = "main"}, "4 3 1 "},
        {{.has_state = true, .state = JOB_QUEUED}, "4 2 "},
        {{.has_state = true, .state = JOB_RUNNING}, "3 "},
        {{.has_state = true, .state = JOB_RUNNING, .repo = "app"}, ""},
        {{.has_state = true, .state = JOB_RUNNING, .repo = "api-app", .branch = "main"}, "3 "},
        {{.has_state = true, .state = JOB_FAILED}, "1 "},
        {{.has_state = true, .state = JOB_FAILED, .repo = "api-app"}, ""},
        {{.text = "app", .repo = "app", .limit = 1}, "2 "},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *ids = ids_of(store_jobs(fixture.store, &cases[i].filter, NULL));
        g_assert_cmpstr(ids, ==, cases[i].expected);
    }
    fixture_close(&fixture);
}

static void latest__repo_and_branch__or_absent(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill_for_lists(fixture.store);
    g_autoptr(GError) error = NULL;
    struct job *any = store_job_latest(fixture.store, "app", NULL, &error);
    struct job *main = store_job_latest(fixture.store, "app", "main", &error);
    g_assert_cmpint(any->id, ==, 2);
    g_assert_cmpint(main->id, ==, 1);
    g_assert_null(store_job_latest(fixture.store, "app", "nowhere", &error));
    g_assert_null(store_job_latest(fixture.store, "nobody", NULL, &error));
    g_assert_no_error(error);
    job_free(any);
    job_free(main);
    fixture_close(&fixture);
}

static void statements__of_the_daemon__never_scan_the_history(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    fill_for_lists(store);
    struct job_filter running = {.has_state = true, .state = JOB_RUNNING};
    struct job_filter of_repo = {.repo = "app"};
    struct job_filter of_branch = {.repo = "app", .branch = "main"};
    g_ptr_array_unref(store_jobs(store, &running, NULL));
    g_ptr_array_unref(store_jobs(store, &of_repo, NULL));
    g_ptr_array_unref(store_jobs(store, &of_branch, NULL));
    g_ptr_array_unref(store_jobs_queued(store, NULL));
    job_free(store_job_latest(store, "app", "main", NULL));
    job_free(store_job_latest(store, "app", NULL, NULL));
    job_free(store_job_latest_of_tags(store, "app", NULL));
    int64_t run = 0;
    g_autofree char *sha = NULL;
    g_assert_true(store_job_last_run(store, "app", "nowhere", 1, &run, &sha, NULL));
    enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_SCHEDULE);
    claim(store, enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_PUSH));
    GHashTableIter iterator;
    g_hash_table_iter_init(&iterator, store->statements);
    void *statement;
    unsigned plans = 0;
    while (g_hash_table_iter_next(&iterator, NULL, &statement)) {
        g_autofree char *sql = g_strconcat("EXPLAIN QUERY PLAN ", sqlite3_sql(statement), NULL);
        sqlite3_stmt *plan = NULL;
        g_assert_cmpint(sqlite3_prepare_v2(store->database, sql, -1, &plan, NULL), ==, SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(plan, 3);
            if (g_str_has_prefix(line, "SCAN job") && !strstr(line, "job_queued") &&
                !strstr(line, "job_running")) {
                g_error("%s: %s", line, sqlite3_sql(statement));
            }
            plans++;
        }
        sqlite3_finalize(plan);
    }
    g_assert_cmpuint(plans, >=, 10);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/" #name, name)
    ADD(names__every_value__goes_there_and_back);
    ADD(enqueue__all_fields__are_read_back);
    ADD(enqueue__five_pushes_while_busy__newest_stays_and_follows_the_first);
    ADD(enqueue__after_a_finished_push__keeps_its_own_predecessor);
    ADD(enqueue__after_a_blocked_push__carries_its_predecessor);
    ADD(enqueue__after_a_running_push_was_superseded__keeps_its_own_predecessor);
    ADD(enqueue__not_a_push__supersedes_nothing);
    ADD(enqueue__push__leaves_what_a_person_asked_for);
    ADD(enqueue__in_a_rolled_back_transaction__supersedes_nothing);
    ADD(claim__branch_is_busy_or_job_is_not_queued__is_refused);
    ADD(absent_job__every_writer__is_not_found);
    ADD(finish__second_time__changes_nothing);
    ADD(stop__queued_job__is_over_at_once);
    ADD(stop__running_job__records_the_strongest_request_once);
    ADD(queued__priorities_and_pauses__decide_the_order);
    ADD(list__each_filter__selects_newest_first);
    ADD(latest__repo_and_branch__or_absent);
    ADD(statements__of_the_daemon__never_scan_the_history);
    return g_test_run();
}
