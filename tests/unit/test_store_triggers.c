/* Tags, schedules, and what the path filter compares with. */
#include <string.h>

#include "store/retention.h"
#include "store_fixture.h"

static void enqueue__scheduled__supersedes_only_its_own_kind(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t by_hand = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    int64_t push = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    int64_t first = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_SCHEDULE);
    int64_t other = enqueue(store, "dev", SHA_A, NULL, JOB_TRIGGER_SCHEDULE);
    int64_t second = enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_SCHEDULE);
    g_assert_cmpint(state_of(store, by_hand), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(store, push), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(store, first), ==, JOB_SUPERSEDED);
    g_assert_cmpint(state_of(store, other), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(store, second), ==, JOB_QUEUED);
    int64_t next_push = enqueue(store, "main", SHA_C, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_cmpint(state_of(store, second), ==, JOB_QUEUED);
    g_assert_cmpint(state_of(store, push), ==, JOB_SUPERSEDED);
    g_assert_cmpint(state_of(store, next_push), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static void enqueue__tags__never_supersede_one_another(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    int64_t branch = enqueue(store, "v1", SHA_A, NULL, JOB_TRIGGER_PUSH);
    int64_t first = enqueue(store, "refs/tags/v1", SHA_A, NULL, JOB_TRIGGER_PUSH);
    int64_t second = enqueue(store, "refs/tags/v2", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(store, branch));
    g_assert_true(claim(store, second));
    g_assert_cmpint(state_of(store, first), ==, JOB_QUEUED);
    int64_t moved = enqueue(store, "refs/tags/v1", SHA_B, SHA_A, JOB_TRIGGER_PUSH);
    g_assert_cmpint(state_of(store, first), ==, JOB_SUPERSEDED);
    g_assert_cmpint(state_of(store, moved), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static void assert_last_run(struct store *store, int64_t before, int64_t job, const char *sha)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    int64_t number = -1;
    store_job_last_run(store, "app", "main", before, &number, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpint(number, ==, job);
    g_assert_cmpstr(found, ==, sha);
}

static int64_t ended(struct store *store, const char *sha, const char *previous,
                     enum job_trigger trigger, enum job_state state)
{
    int64_t id = enqueue(store, "main", sha, previous, trigger);
    g_assert_true(claim(store, id));
    g_assert_true(finish(store, id, state, NULL));
    return id;
}

static void last_run__only_verdicts_about_the_commit__count(void)
{
    static const enum job_state none[] = {JOB_ERROR,       JOB_TIMEOUT,    JOB_CANCELED,
                                          JOB_INTERRUPTED, JOB_SUPERSEDED, JOB_SKIPPED,
                                          JOB_BLOCKED};
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    assert_last_run(store, 1, 0, NULL);
    /* nothing has run yet: what the first push followed */
    ended(store, SHA_B, SHA_A, JOB_TRIGGER_PUSH, JOB_SKIPPED);
    int64_t second = ended(store, SHA_C, SHA_B, JOB_TRIGGER_PUSH, JOB_ERROR);
    assert_last_run(store, second, 0, SHA_A);
    assert_last_run(store, second + 1, 0, SHA_A);
    int64_t run = ended(store, SHA_B, NULL, JOB_TRIGGER_RUN, JOB_FAILED);
    for (unsigned i = 0; i < G_N_ELEMENTS(none); i++) {
        int64_t id = ended(store, SHA_D, SHA_B, JOB_TRIGGER_PUSH, none[i]);
        assert_last_run(store, id + 1, run, SHA_B);
    }
    /* a timeout in the steps is a verdict, one before them is none */
    int64_t late = enqueue(store, "main", SHA_C, SHA_B, JOB_TRIGGER_SCHEDULE);
    static const char *const argv[] = {"true", NULL};
    g_assert_true(store_step_start(store, late, 0, argv, 0, 1, NULL));
    g_assert_true(finish(store, late, JOB_TIMEOUT, NULL));
    assert_last_run(store, late + 1, late, SHA_C);
    assert_last_run(store, late, run, SHA_B);
    int64_t good = ended(store, SHA_A, SHA_B, JOB_TRIGGER_PUSH, JOB_SUCCESS);
    assert_last_run(store, good + 1, good, SHA_A);
    /* other branches are others */
    int64_t dev = enqueue(store, "dev", SHA_D, NULL, JOB_TRIGGER_RUN);
    g_assert_true(finish(store, dev, JOB_SUCCESS, NULL));
    assert_last_run(store, dev + 1, good, SHA_A);
    fixture_close(&fixture);
}

static void latest_of_tags__branches_and_other_repos__are_passed_over(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    g_assert_null(store_job_latest_of_tags(store, "app", NULL));
    int64_t tag = enqueue(store, "refs/tags/v1", SHA_A, NULL, JOB_TRIGGER_PUSH);
    enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    enqueue(store, "refs/heads/refs/tags/v2", SHA_A, NULL, JOB_TRIGGER_PUSH);
    struct job *job = store_job_latest_of_tags(store, "app", NULL);
    g_assert_cmpint(job->id, ==, tag);
    job_free(job);
    g_assert_null(store_job_latest_of_tags(store, "other", NULL));
    fixture_close(&fixture);
}

static void put(struct store *store, const char *repo, const char *name, int64_t gone_ms)
{
    struct branch branch = {.repo = (char *)repo,
                            .name = (char *)name,
                            .tip = (char *)SHA_A,
                            .seen_ms = 10,
                            .gone_ms = gone_ms};
    g_autoptr(GError) error = NULL;
    store_branch_put(store, &branch, &error);
    g_assert_no_error(error);
}

static char *list(GPtrArray *refs)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < refs->len; i++) {
        const struct branch *ref = g_ptr_array_index(refs, i);
        g_string_append_printf(text, "%s/%s%s ", ref->repo, ref->name, ref->gone_ms ? "-" : "");
    }
    g_ptr_array_unref(refs);
    return g_string_free(text, FALSE);
}

static void tags__put_and_removed__are_kept_apart_from_branches(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    put(store, "app", "v1", 0);
    put(store, "app", "refs/tags/v2", 0);
    put(store, "app", "refs/tags/v1", 0);
    put(store, "app", "refs/tags/v1", 7);
    put(store, "other", "refs/tags/v1", 0);
    put(store, "app", "refs/heads/refs/tags/v1", 0);
    g_autofree char *branches = list(store_branches(store, "app", NULL));
    g_autofree char *tags = list(store_tags(store, NULL, NULL));
    g_assert_cmpstr(branches, ==, "app/refs/heads/refs/tags/v1 app/v1 ");
    g_assert_cmpstr(tags, ==, "app/refs/tags/v1- app/refs/tags/v2 other/refs/tags/v1 ");
    int64_t count = -1;
    g_assert_true(store_count_tags(store, "app", &count, NULL));
    g_assert_cmpint(count, ==, 1);
    bool forgotten = false;
    g_assert_true(store_retention_forget_branch(store, "app", "refs/tags/v1", 7, &forgotten, NULL));
    g_assert_true(forgotten);
    g_assert_true(store_branch_remove(store, "app", "refs/tags/v2", NULL));
    g_autofree char *none = list(store_tags(store, "app", NULL));
    g_assert_cmpstr(none, ==, "");
    fixture_close(&fixture);
}

static void tag_selection__forgotten__takes_the_tags_along(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    char *selection = (char *)"unset";
    g_assert_true(store_repo_get_tag_selection(store, "app", &selection, NULL));
    g_assert_null(selection);
    g_assert_true(store_repo_put_selection(store, "app", "main", NULL));
    g_assert_true(store_repo_put_tag_selection(store, "app", "v*", NULL));
    put(store, "app", "refs/tags/v1", 0);
    put(store, "other", "refs/tags/v1", 0);
    g_assert_true(store_repo_get_tag_selection(store, "app", &selection, NULL));
    g_assert_cmpstr(selection, ==, "v*");
    g_free(selection);
    g_assert_true(store_repo_put_tag_selection(store, "app", NULL, NULL));
    g_assert_true(store_repo_get_tag_selection(store, "app", &selection, NULL));
    g_assert_null(selection);
    g_autofree char *tags = list(store_tags(store, NULL, NULL));
    g_assert_cmpstr(tags, ==, "other/refs/tags/v1 ");
    g_assert_true(store_repo_get_selection(store, "app", &selection, NULL));
    g_assert_cmpstr(selection, ==, "main");
    g_free(selection);
    fixture_close(&fixture);
}

static void schedules__put__are_listed_until_they_are_none(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    g_assert_true(store_repo_set_paused(store, "idle", true, NULL));
    g_assert_true(store_schedule_put(store, "b", "0 3 * * *", 5, NULL));
    g_assert_true(store_schedule_put(store, "a", "@daily", 6, NULL));
    g_assert_true(store_schedule_put(store, "b", "0 4 * * *", 7, NULL));
    g_autoptr(GPtrArray) two = store_schedules(store, NULL);
    g_assert_cmpuint(two->len, ==, 2);
    const struct repo_schedule *second = g_ptr_array_index(two, 1);
    g_assert_cmpstr(second->repo, ==, "b");
    g_assert_cmpstr(second->lines, ==, "0 4 * * *");
    g_assert_cmpint(second->done_ms, ==, 7);
    struct repo_schedule *one = NULL;
    g_assert_true(store_schedule_get(store, "a", &one, NULL));
    g_assert_cmpstr(one->lines, ==, "@daily");
    g_assert_cmpint(one->done_ms, ==, 6);
    repo_schedule_free(one);
    g_assert_true(store_schedule_get(store, "idle", &one, NULL));
    g_assert_null(one);
    g_assert_true(store_schedule_put(store, "b", NULL, 8, NULL));
    g_assert_true(store_repo_forget(store, "a", 1, NULL));
    g_autoptr(GPtrArray) none = store_schedules(store, NULL);
    g_assert_cmpuint(none->len, ==, 0);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/" #name, name)
    ADD(enqueue__scheduled__supersedes_only_its_own_kind);
    ADD(enqueue__tags__never_supersede_one_another);
    ADD(last_run__only_verdicts_about_the_commit__count);
    ADD(latest_of_tags__branches_and_other_repos__are_passed_over);
    ADD(tags__put_and_removed__are_kept_apart_from_branches);
    ADD(tag_selection__forgotten__takes_the_tags_along);
    ADD(schedules__put__are_listed_until_they_are_none);
    return g_test_run();
}
