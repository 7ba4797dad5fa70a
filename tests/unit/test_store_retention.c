/* Which jobs and logs go, and what the store says of them afterwards. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/outbox.h"
#include "store/retention.h"
#include "store_fixture.h"

enum { NOW = 1000000, DAY = 1000 };

/* ---- the plan ---- */

/* Jobs are added oldest first, as they come into the world. */
struct plan_fixture {
    struct retention_history history;
    struct retention_rules rules;
};

static void free_named(void *data)
{
    struct retention_branch *branch = data;
    g_free(branch->repo);
    g_free(branch->name);
    g_free(branch);
}

static void plan_open(struct plan_fixture *fixture)
{
    fixture->rules = (struct retention_rules){0, 0, 0};
    fixture->history.jobs = g_array_new(FALSE, TRUE, sizeof(struct retention_job));
    fixture->history.branches = g_ptr_array_new_with_free_func(free_named);
    fixture->history.last_id = 0;
}

static void plan_close(struct plan_fixture *fixture)
{
    g_array_unref(fixture->history.jobs);
    g_ptr_array_unref(fixture->history.branches);
}

static unsigned add_branch(struct plan_fixture *fixture, bool lives)
{
    struct retention_branch *branch = g_new0(struct retention_branch, 1);
    branch->repo = g_strdup("app");
    branch->name = g_strdup_printf("b%u", fixture->history.branches->len);
    branch->lives = lives;
    g_ptr_array_add(fixture->history.branches, branch);
    return fixture->history.branches->len - 1;
}

/* A finished push with a verdict and no log, which ended `age` ago. */
static struct retention_job *add_job(struct plan_fixture *fixture, unsigned branch, int64_t age)
{
    struct retention_job job = {.id = ++fixture->history.last_id,
                                .branch = branch,
                                .finished_ms = NOW - age,
                                .is_final = true,
                                .is_push = true,
                                .has_verdict = true};
    g_array_prepend_val(fixture->history.jobs, job);
    return &g_array_index(fixture->history.jobs, struct retention_job, 0);
}

/* "1:keep_jobs 3:keep_bytes", what goes in its order. */
static char *planned(const struct plan_fixture *fixture)
{
    g_autoptr(GArray) plan = retention_plan(&fixture->history, &fixture->rules, NOW);
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < plan->len; i++) {
        const struct retention_removal *removal = &g_array_index(plan, struct retention_removal, i);
        g_string_append_printf(text, "%s%d:%s", i ? " " : "", (int)removal->job,
                               retention_rule_name(removal->rule));
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void assert_planned(const struct plan_fixture *fixture, const char *expected)
{
    g_autofree char *found = planned(fixture);
    g_assert_cmpstr(found, ==, expected);
}

static void plan__no_rules__everything_stays(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, true);
    assert_planned(&fixture, "");
    for (int i = 0; i < 50; i++) {
        add_job(&fixture, branch, NOW)->log_bytes = INT64_MAX / 100;
    }
    assert_planned(&fixture, "");
    plan_close(&fixture);
}

static void plan__age__a_job_goes_one_millisecond_after_its_time(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, true);
    fixture.rules.keep_for_ms = DAY;
    add_job(&fixture, branch, DAY + 1);
    add_job(&fixture, branch, DAY);
    add_job(&fixture, branch, DAY - 1);
    add_job(&fixture, branch, -5000); /* the clock was set back since */
    assert_planned(&fixture, "1:keep_jobs_for");
    plan_close(&fixture);
}

static void plan__count__the_newest_finished_of_each_branch_stay(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned first = add_branch(&fixture, true);
    unsigned second = add_branch(&fixture, true);
    fixture.rules.keep_jobs = 2;
    add_job(&fixture, first, 40);
    add_job(&fixture, second, 40);
    add_job(&fixture, first, 30);
    add_job(&fixture, second, 30);
    add_job(&fixture, first, 20);
    assert_planned(&fixture, "1:keep_jobs");
    /* One that is not over counts for nothing. */
    struct retention_job *running = add_job(&fixture, second, 0);
    running->is_final = false;
    running->has_verdict = false;
    assert_planned(&fixture, "1:keep_jobs");
    fixture.rules.keep_jobs = 1;
    assert_planned(&fixture, "1:keep_jobs 2:keep_jobs 3:keep_jobs");
    plan_close(&fixture);
}

static void plan__unfinished__never_goes(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, false);
    fixture.rules = (struct retention_rules){1, 1, 1};
    for (int i = 0; i < 3; i++) {
        struct retention_job *job = add_job(&fixture, branch, NOW);
        job->is_final = false;
        job->has_verdict = false;
        job->log_bytes = 100;
    }
    assert_planned(&fixture, "");
    plan_close(&fixture);
}

static void plan__newest_of_a_living_branch__stays_however_old(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned alive = add_branch(&fixture, true);
    unsigned gone = add_branch(&fixture, false);
    fixture.rules = (struct retention_rules){DAY, 1, 1};
    add_job(&fixture, alive, 9 * DAY)->log_bytes = 100;
    add_job(&fixture, gone, 9 * DAY)->log_bytes = 100;
    assert_planned(&fixture, "2:keep_jobs_for");
    plan_close(&fixture);
}

static void plan__newest_push_and_verdict__stay_for_what_follows_them(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, true);
    fixture.rules.keep_for_ms = DAY;
    add_job(&fixture, branch, 9 * DAY);                      /* 1: an older verdict */
    add_job(&fixture, branch, 8 * DAY);                      /* 2: the newest verdict */
    add_job(&fixture, branch, 7 * DAY)->has_verdict = false; /* 3: an older superseded push */
    add_job(&fixture, branch, 6 * DAY)->has_verdict = false; /* 4: the newest push */
    struct retention_job *older = add_job(&fixture, branch, 5 * DAY); /* 5: run by hand, canceled */
    older->has_verdict = false;
    older->is_push = false;
    struct retention_job *newest = add_job(&fixture, branch, 4 * DAY); /* 6: the same */
    newest->has_verdict = false;
    newest->is_push = false;
    assert_planned(&fixture, "1:keep_jobs_for 3:keep_jobs_for 5:keep_jobs_for");
    plan_close(&fixture);
}

static void plan__retried__stays_as_long_as_its_retry(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, true);
    fixture.rules.keep_for_ms = DAY;
    add_job(&fixture, branch, 9 * DAY);               /* 1 */
    add_job(&fixture, branch, 9 * DAY)->retry_of = 1; /* 2 */
    add_job(&fixture, branch, 9 * DAY);               /* 3 */
    add_job(&fixture, branch, 9 * DAY)->retry_of = 3; /* 4: goes, and so does 3 */
    add_job(&fixture, branch, 0)->retry_of = 2;       /* 5 */
    add_job(&fixture, branch, 0);                     /* 6 */
    assert_planned(&fixture, "3:keep_jobs_for 4:keep_jobs_for");
    plan_close(&fixture);
}

static void plan__bytes__the_oldest_logs_go_till_the_others_fit(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned first = add_branch(&fixture, true);
    unsigned second = add_branch(&fixture, true);
    for (int i = 0; i < 3; i++) {
        add_job(&fixture, first, 100)->log_bytes = 10;  /* 1 3 5 */
        add_job(&fixture, second, 100)->log_bytes = 10; /* 2 4 6 */
    }
    fixture.rules.keep_bytes = 60;
    assert_planned(&fixture, "");
    fixture.rules.keep_bytes = 59;
    assert_planned(&fixture, "1:keep_bytes");
    fixture.rules.keep_bytes = 50;
    assert_planned(&fixture, "1:keep_bytes");
    fixture.rules.keep_bytes = 49;
    assert_planned(&fixture, "1:keep_bytes 2:keep_bytes");
    /* The newest log of each living branch stays, whatever the limit. */
    fixture.rules.keep_bytes = 1;
    assert_planned(&fixture, "1:keep_bytes 2:keep_bytes 3:keep_bytes 4:keep_bytes");
    plan_close(&fixture);
}

static void plan__bytes__what_goes_anyway_and_what_went_makes_room(void)
{
    struct plan_fixture fixture;
    plan_open(&fixture);
    unsigned branch = add_branch(&fixture, true);
    fixture.rules = (struct retention_rules){DAY, 0, 20};
    add_job(&fixture, branch, 2 * DAY)->log_bytes = 10;
    struct retention_job *dropped = add_job(&fixture, branch, 10);
    dropped->log_bytes = 10;
    dropped->log_is_dropped = true;
    add_job(&fixture, branch, 10)->log_bytes = 10;
    add_job(&fixture, branch, 10)->log_bytes = 0;
    add_job(&fixture, branch, 10)->log_bytes = 10;
    assert_planned(&fixture, "1:keep_jobs_for");
    fixture.rules.keep_bytes = 19;
    assert_planned(&fixture, "1:keep_jobs_for 3:keep_bytes");
    plan_close(&fixture);
}

/* ---- the store ---- */

static struct retention_history *read_history(struct store *store)
{
    g_autoptr(GError) error = NULL;
    struct retention_history *history = store_retention_history(store, &error);
    g_assert_no_error(error);
    return history;
}

static void history__jobs_of_all_kinds__are_told_newest_first(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t first = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(fixture.store, first));
    g_assert_true(finish(fixture.store, first, JOB_FAILED, "x"));
    int64_t second = enqueue(fixture.store, "main", SHA_B, SHA_A, JOB_TRIGGER_RUN);
    g_assert_true(finish(fixture.store, second, JOB_CANCELED, "x"));
    int64_t third = enqueue(fixture.store, "dev", SHA_C, NULL, JOB_TRIGGER_PUSH);
    struct retention_history *history = read_history(fixture.store);
    g_assert_cmpuint(history->jobs->len, ==, 3);
    g_assert_cmpuint(history->branches->len, ==, 2);
    g_assert_cmpint(history->last_id, ==, third);
    const struct retention_job *jobs = (const struct retention_job *)(void *)history->jobs->data;
    g_assert_cmpint(jobs[0].id, ==, third);
    g_assert_false(jobs[0].is_final);
    g_assert_cmpint(jobs[1].id, ==, second);
    g_assert_true(jobs[1].is_final && !jobs[1].is_push && !jobs[1].has_verdict);
    g_assert_cmpint(jobs[2].id, ==, first);
    g_assert_true(jobs[2].is_final && jobs[2].is_push && jobs[2].has_verdict);
    g_assert_cmpint(jobs[2].finished_ms, ==, 3000);
    g_assert_cmpuint(jobs[1].branch, ==, jobs[2].branch);
    const struct retention_branch *branch = g_ptr_array_index(history->branches, jobs[0].branch);
    g_assert_cmpstr(branch->repo, ==, "app");
    g_assert_cmpstr(branch->name, ==, "dev");
    retention_history_free(history);
    fixture_close(&fixture);
}

/* What a message "it is red again" is measured by must be what the plan takes for a verdict. */
static void history__each_final_state__is_a_verdict_or_not_as_for_messages(void)
{
    for (int state = 0; state <= JOB_BLOCKED; state++) {
        struct fixture fixture;
        if (!job_state_is_final((enum job_state)state)) {
            continue;
        }
        fixture_open(&fixture);
        int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
        g_assert_true(finish(fixture.store, id, (enum job_state)state, "x"));
        struct job next = {.id = id + 1, .repo = (char *)"app", .branch = (char *)"main"};
        g_autofree char *verdict = NULL;
        g_assert_true(store_job_previous_verdict(fixture.store, &next, &verdict, NULL));
        struct retention_history *history = read_history(fixture.store);
        const struct retention_job *job = &g_array_index(history->jobs, struct retention_job, 0);
        g_assert_true(job->has_verdict == (verdict != NULL));
        retention_history_free(history);
        fixture_close(&fixture);
    }
}

static int64_t add_finished(struct store *store)
{
    int64_t id = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_true(claim(store, id));
    g_assert_true(finish(store, id, JOB_SUCCESS, NULL));
    return id;
}

static bool exists(struct store *store, int64_t id)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(store, id, &error);
    bool found = job != NULL;
    job_free(job);
    if (!found) {
        g_assert_true(error_has_code(error, ERROR_NOT_FOUND));
    }
    return found;
}

static GArray *delete_jobs(struct store *store, const int64_t *jobs, unsigned count,
                           int64_t last_id, unsigned *taken)
{
    g_autoptr(GError) error = NULL;
    GArray *deleted = g_array_new(FALSE, FALSE, sizeof(int64_t));
    bool good = store_retention_delete(store, jobs, count, last_id, taken, deleted, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return deleted;
}

static void delete__a_job__takes_its_steps_and_notes_and_is_missed_with_a_reason(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t job = add_finished(store);
    int64_t other = add_finished(store);
    const char *const argv[] = {"true", NULL};
    g_assert_true(store_step_start(store, job, 0, argv, 0, 1, NULL));
    g_assert_true(store_note_add(store, job, 0, "a note", 1, NULL));
    unsigned taken = 0;
    g_autoptr(GArray) deleted = delete_jobs(store, &job, 1, other, &taken);
    g_assert_cmpuint(taken, ==, 1);
    g_assert_cmpuint(deleted->len, ==, 1);
    g_assert_true(exists(store, other));
    g_autoptr(GPtrArray) steps = store_steps(store, job, NULL);
    g_autoptr(GPtrArray) notes = store_notes(store, job, NULL);
    g_assert_cmpuint(steps->len, ==, 0);
    g_assert_cmpuint(notes->len, ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(store_job_get(store, job, &error));
    g_assert_nonnull(strstr(error->message, "any more: it was removed by retention"));
    g_clear_error(&error);
    g_assert_null(store_job_get(store, other + 1, &error));
    g_assert_null(strstr(error->message, "any more"));
    fixture_close(&fixture);
}

static void delete__queued_running_or_just_retried__stays(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t retried = add_finished(store);
    int64_t running = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    g_assert_true(claim(store, running));
    int64_t queued = enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_RUN);
    struct job_request request = {.repo = "app",
                                  .branch = "main",
                                  .sha = SHA_A,
                                  .trigger = JOB_TRIGGER_RETRY,
                                  .retry_of = retried};
    int64_t retry = 0;
    g_assert_true(store_job_enqueue(store, &request, 1, &retry, NULL, NULL));
    const int64_t jobs[] = {retried, running, queued};
    unsigned taken = 0;
    g_autoptr(GArray) deleted = delete_jobs(store, jobs, 3, queued, &taken);
    g_assert_cmpuint(taken, ==, 3);
    g_assert_cmpuint(deleted->len, ==, 0);
    g_assert_true(exists(store, retried) && exists(store, running) && exists(store, queued));
    fixture_close(&fixture);
}

static void delete__many__goes_in_bites(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t jobs[RETENTION_BITE_JOBS + 10];
    g_assert_true(store_begin(fixture.store, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
        jobs[i] = add_finished(fixture.store);
    }
    g_assert_true(store_commit(fixture.store, NULL));
    unsigned at = 0;
    unsigned bites = 0;
    while (at < G_N_ELEMENTS(jobs)) {
        unsigned taken = 0;
        g_autoptr(GArray) deleted =
            delete_jobs(fixture.store, jobs + at, (unsigned)G_N_ELEMENTS(jobs) - at,
                        jobs[G_N_ELEMENTS(jobs) - 1], &taken);
        g_assert_cmpuint(taken, >, 0);
        g_assert_cmpuint(taken, <=, RETENTION_BITE_JOBS);
        g_assert_cmpuint(deleted->len, ==, taken);
        at += taken;
        bites++;
    }
    g_assert_cmpuint(bites, >=, 2);
    struct retention_history *history = read_history(fixture.store);
    g_assert_cmpuint(history->jobs->len, ==, 0);
    g_assert_cmpint(history->last_id, ==, jobs[G_N_ELEMENTS(jobs) - 1]);
    retention_history_free(history);
    fixture_close(&fixture);
}

static void drop_logs__twice__is_said_once_with_the_first_reason(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = add_finished(fixture.store);
    int64_t other = add_finished(fixture.store);
    g_autofree char *text = NULL;
    g_assert_true(store_retention_dropped_log(fixture.store, job, &text, NULL));
    g_assert_null(text);
    const int64_t jobs[] = {job, other + 1};
    unsigned taken = 0;
    g_assert_true(store_retention_drop_logs(fixture.store, jobs, 2, "first", 10, &taken, NULL));
    g_assert_cmpuint(taken, ==, 2);
    g_assert_true(store_retention_drop_logs(fixture.store, jobs, 1, "second", 20, &taken, NULL));
    g_assert_true(store_retention_dropped_log(fixture.store, job, &text, NULL));
    g_assert_cmpstr(text, ==, "first");
    g_autoptr(GPtrArray) notes = store_notes(fixture.store, job, NULL);
    g_assert_cmpuint(notes->len, ==, 1);
    struct retention_history *history = read_history(fixture.store);
    const struct retention_job *read = (const struct retention_job *)(void *)history->jobs->data;
    g_assert_false(read[0].log_is_dropped);
    g_assert_true(read[1].log_is_dropped);
    retention_history_free(history);
    fixture_close(&fixture);
}

static void put_branch(struct store *store, const char *name, int64_t gone_ms)
{
    struct branch branch = {.repo = (char *)"app",
                            .name = (char *)name,
                            .tip = (char *)SHA_A,
                            .seen_ms = 1,
                            .gone_ms = gone_ms};
    g_assert_true(store_branch_put(store, &branch, NULL));
}

static bool forget(struct store *store, const char *name, int64_t gone_ms)
{
    g_autoptr(GError) error = NULL;
    bool forgotten = false;
    store_retention_forget_branch(store, "app", name, gone_ms, &forgotten, &error);
    g_assert_no_error(error);
    return forgotten;
}

static void forget_branch__back_again_or_with_a_job__stays(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    put_branch(store, "gone", 100);
    put_branch(store, "back", 0);
    put_branch(store, "again", 200);
    put_branch(store, "main", 100);
    int64_t job = add_finished(store);
    g_assert_false(forget(store, "back", 100));
    g_assert_false(forget(store, "back", 0));
    g_assert_false(forget(store, "again", 100));
    g_assert_false(forget(store, "main", 100));
    g_assert_true(forget(store, "gone", 100));
    g_assert_false(forget(store, "gone", 100));
    unsigned taken = 0;
    g_autoptr(GArray) deleted = delete_jobs(store, &job, 1, job, &taken);
    g_assert_true(forget(store, "main", 100));
    fixture_close(&fixture);
}

static void put_decision(struct store *store, const char *branch, int64_t at_ms)
{
    struct decision decision = {
        .repo = (char *)"app", .branch = (char *)branch, .at_ms = at_ms, .kind = (char *)"queued"};
    g_assert_true(store_decision_put(store, &decision, NULL));
}

static void stale_decisions__old_and_of_nothing_that_is_known__go(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    put_branch(store, "known", 0);
    add_finished(store); /* of main */
    for (int64_t at_ms = 98; at_ms <= 100; at_ms++) {
        put_decision(store, "known", at_ms);
        put_decision(store, "main", at_ms);
        put_decision(store, "old", at_ms);
    }
    g_autoptr(GArray) stale = store_retention_stale_decisions(store, 100, NULL);
    g_assert_cmpuint(stale->len, ==, 2);
    unsigned taken = 0;
    g_assert_true(store_retention_delete_decisions(
        store, (const int64_t *)(const void *)stale->data, stale->len, &taken, NULL));
    g_assert_cmpuint(taken, ==, 2);
    static const struct {
        const char *branch;
        unsigned left;
    } expected[] = {{"known", 3}, {"main", 3}, {"old", 1}};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autoptr(GPtrArray) left = store_decisions(store, "app", expected[i].branch, 0, NULL);
        g_assert_cmpuint(left->len, ==, expected[i].left);
    }
    fixture_close(&fixture);
}

#ifdef PHANTOM_CI_FAULTS
/* The deletion of a bite is all or nothing. */
static void delete__killed_at_the_commit__leaves_all_of_them(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t jobs[] = {add_finished(fixture.store), add_finished(fixture.store)};
    store_close(fixture.store);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        struct store *store = open_store(fixture.path);
        g_setenv("PHANTOM_CI_FAULT", "store.commit:1:KILL", TRUE);
        g_autoptr(GArray) deleted = g_array_new(FALSE, FALSE, sizeof(int64_t));
        unsigned taken = 0;
        store_retention_delete(store, jobs, 2, jobs[1], &taken, deleted, NULL);
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture.store = open_store(fixture.path);
    g_assert_true(exists(fixture.store, jobs[0]) && exists(fixture.store, jobs[1]));
    fixture_close(&fixture);
}

static void delete__disk_full_at_the_commit__is_an_error_and_nothing_is_deleted(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t job = add_finished(fixture.store);
    g_autoptr(GArray) deleted = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GError) error = NULL;
    unsigned taken = 0;
    g_setenv("PHANTOM_CI_FAULT", "store.commit:*:ENOSPC", TRUE);
    g_assert_false(store_retention_delete(fixture.store, &job, 1, job, &taken, deleted, &error));
    g_unsetenv("PHANTOM_CI_FAULT");
    assert_code(&error, ERROR_NO_SPACE);
    g_assert_cmpuint(deleted->len, ==, 0);
    g_assert_true(exists(fixture.store, job));
    fixture_close(&fixture);
}
#endif

static void compact__a_file_that_is_mostly_unused__gets_smaller_and_keeps_its_jobs(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t size = 0;
    int64_t freed = -1;
    int64_t stays = add_finished(store);
    int64_t job = add_finished(store);
    g_assert_true(store_compact(store, 10000, &size, &freed, NULL));
    g_assert_cmpint(freed, ==, 0);
    g_autofree char *text = g_strnfill(64 * 1024, 'x');
    g_assert_true(store_begin(store, NULL));
    for (int i = 0; i < 100; i++) {
        g_assert_true(store_note_add(store, job, 0, text, 1, NULL));
    }
    g_assert_true(store_commit(store, NULL));
    unsigned taken = 0;
    g_autoptr(GArray) deleted = delete_jobs(store, &job, 1, job, &taken);
    g_autoptr(GError) error = NULL;
    g_assert_true(store_compact(store, 10000, &size, &freed, &error));
    g_assert_no_error(error);
    g_assert_cmpint(freed, >, 6 * 1000 * 1000);
    g_assert_cmpint(size, <, 1000 * 1000);
    g_assert_true(exists(store, stays));
    g_assert_true(store_check(store, NULL));
    struct stat status;
    g_assert_cmpint(stat(fixture.path, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, size);
    /* The connection goes on to work. */
    g_assert_true(exists(store, add_finished(store)));
    fixture_close(&fixture);
}

static void compact__no_time__gives_up_and_changes_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t job = add_finished(store);
    g_autofree char *text = g_strnfill(64 * 1024, 'x');
    g_assert_true(store_begin(store, NULL));
    for (int i = 0; i < 200; i++) {
        g_assert_true(store_note_add(store, i % 2 ? job : add_finished(store), 0, text, 1, NULL));
    }
    g_assert_true(store_commit(store, NULL));
    unsigned taken = 0;
    g_autoptr(GArray) deleted = delete_jobs(store, &job, 1, job + 1000, &taken);
    int64_t size = 0;
    int64_t freed = -1;
    g_autoptr(GError) error = NULL;
    g_assert_false(store_compact(store, 0, &size, &freed, &error));
    assert_code(&error, ERROR_LIMIT);
    g_assert_cmpint(freed, ==, 0);
    g_assert_true(store_check(store, NULL));
    g_assert_true(exists(store, add_finished(store)));
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store_retention/" #name, name)
    ADD(plan__no_rules__everything_stays);
    ADD(plan__age__a_job_goes_one_millisecond_after_its_time);
    ADD(plan__count__the_newest_finished_of_each_branch_stay);
    ADD(plan__unfinished__never_goes);
    ADD(plan__newest_of_a_living_branch__stays_however_old);
    ADD(plan__newest_push_and_verdict__stay_for_what_follows_them);
    ADD(plan__retried__stays_as_long_as_its_retry);
    ADD(plan__bytes__the_oldest_logs_go_till_the_others_fit);
    ADD(plan__bytes__what_goes_anyway_and_what_went_makes_room);
    ADD(history__jobs_of_all_kinds__are_told_newest_first);
    ADD(history__each_final_state__is_a_verdict_or_not_as_for_messages);
    ADD(delete__a_job__takes_its_steps_and_notes_and_is_missed_with_a_reason);
    ADD(delete__queued_running_or_just_retried__stays);
    ADD(delete__many__goes_in_bites);
    ADD(drop_logs__twice__is_said_once_with_the_first_reason);
    ADD(forget_branch__back_again_or_with_a_job__stays);
    ADD(stale_decisions__old_and_of_nothing_that_is_known__go);
#ifdef PHANTOM_CI_FAULTS
    ADD(delete__killed_at_the_commit__leaves_all_of_them);
    ADD(delete__disk_full_at_the_commit__is_an_error_and_nothing_is_deleted);
#endif
    ADD(compact__a_file_that_is_mostly_unused__gets_smaller_and_keeps_its_jobs);
    ADD(compact__no_time__gives_up_and_changes_nothing);
#undef ADD
    return g_test_run();
}
