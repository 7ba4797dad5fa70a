#include <glib.h>

#include "base/clock.h"
#include "poll/tracked.h"

enum { INTERVAL_MS = 10000, LOOKS = 50 };

static char *targets[] = {(char *)"main", NULL};
static char *nothing[] = {NULL};

struct fixture {
    struct repo_config repo;
    GPtrArray *repos;
    struct config config;
    GHashTable *remotes;
    struct tracked *tracked;
    int64_t now_ms;
};

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){
        .repo = {.name = (char *)"app",
                 .url = (char *)"/srv/app.git",
                 .target_branches = targets,
                 .branch_exclusions = nothing,
                 .target_tags = nothing,
                 .poll_interval_ms = INTERVAL_MS},
        .repos = g_ptr_array_new(),
        .now_ms = clock_monotonic_ms(),
    };
    g_ptr_array_add(fixture->repos, &fixture->repo);
    fixture->config = (struct config){.repos = fixture->repos};
    fixture->remotes = remotes_from_config(&fixture->config);
    g_autoptr(GList) values = g_hash_table_get_values(fixture->remotes);
    fixture->tracked = tracked_new(values->data);
}

static void tear_down(struct fixture *fixture)
{
    tracked_free(fixture->tracked);
    g_hash_table_unref(fixture->remotes);
    g_ptr_array_unref(fixture->repos);
}

static void ended(const struct poll_look *look, const struct poll_end *end, void *data)
{
    (void)look;
    (void)end;
    (void)data;
}

/* A look that begins and ends so long after the beginning; the time from it to the next. */
static int64_t look(struct fixture *fixture, int64_t after_ms, const GError *error)
{
    const struct poller_callbacks callbacks = {.ended = ended};
    const struct look_answer answer = {.end = error ? LOOK_FAILED : LOOK_SAME, .error = error};
    int64_t at_ms = fixture->now_ms + after_ms;
    fixture->tracked->item.begun_ms = at_ms;
    return tracked_tell_ended(fixture->tracked, &answer, &callbacks, at_ms) - at_ms;
}

static unsigned count_multiples(struct fixture *fixture)
{
    unsigned count = 0;
    for (int64_t i = 0; i < LOOKS; i++) {
        int64_t after_ms = 77 * i;
        int64_t next_ms = fixture->now_ms + after_ms + look(fixture, after_ms, NULL);
        count += next_ms % INTERVAL_MS == 0 ? 1 : 0;
    }
    return count;
}

static void good_look__at_files__the_next_falls_on_a_multiple_of_the_interval(void)
{
    struct fixture fixture;
    set_up(&fixture);
    fixture.tracked->item.lane = LANE_FILES;
    g_assert_cmpuint(count_multiples(&fixture), ==, LOOKS);
    /* By another road they part. */
    fixture.tracked->item.lane = LANE_NET;
    g_assert_cmpuint(count_multiples(&fixture), <, LOOKS / 2);
    tear_down(&fixture);
}

/* What failed may be the recording, of which no watch tells. */
static void failed_look__watched_files__the_next_comes_after_the_interval_that_is_set(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = g_error_new_literal(g_quark_from_static_string("test"), 1, "no room");
    set_up(&fixture);
    fixture.tracked->item.lane = LANE_FILES;
    fixture.tracked->road.is_watched = true;
    for (unsigned failures = 1; failures <= 3; failures++) {
        int64_t wait_ms = look(&fixture, 0, error);
        int64_t most_ms = (int64_t)INTERVAL_MS << (failures - 1);
        g_assert_cmpint(wait_ms, <=, most_ms);
        g_assert_cmpint(wait_ms, >=, most_ms - most_ms / 5);
    }
    tear_down(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/poll_tracked/" #name, name)
    ADD(good_look__at_files__the_next_falls_on_a_multiple_of_the_interval);
    ADD(failed_look__watched_files__the_next_comes_after_the_interval_that_is_set);
    return g_test_run();
}
