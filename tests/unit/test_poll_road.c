#include <glib.h>
#include <string.h>

#include "poll/road.h"

static void decide(struct road *road, const char *url, bool by_git, const char *why_git)
{
    const struct remote remote = {.url = (char *)url, .by_git = by_git};
    struct git_plan plan = {.url = g_strdup(url), .why_git = g_strdup(why_git)};
    road_decide(road, &remote);
    g_assert_false(road->is_planned);
    road_plan(road, &plan);
    g_assert_true(road->is_planned);
}

static void check(const struct road *road, enum agenda_lane lane, const char *described,
                  int64_t now_ms)
{
    g_autofree char *text = road_describe(road);
    g_assert_cmpint(road_lane(road, now_ms), ==, lane);
    g_assert_cmpstr(text, ==, described);
}

static void decide__each_kind_of_address__has_its_lane_and_host(void)
{
    static const struct {
        const char *url;
        bool by_git;
        const char *why_git;
        enum agenda_lane lane;
        const char *host, *described;
    } cases[] = {
        {"https://Example.org/a.git", false, NULL, LANE_NET, "example.org:443", "http"},
        {"http://example.org:8080/a.git", false, NULL, LANE_NET, "example.org:8080", "http"},
        {"ssh://me@example.org/a.git", false, NULL, LANE_SSH, "example.org:22", "ssh"},
        {"me@example.org:a.git", false, NULL, LANE_SSH, "example.org:22", "ssh"},
        {"/srv/a.git", false, NULL, LANE_FILES, NULL, "files"},
        {"file:///srv/a.git", false, NULL, LANE_FILES, NULL, "files"},
        {"git://example.org/a.git", false, NULL, LANE_GIT, "example.org:9418", "git ls-remote"},
        {"https://example.org/a.git", true, NULL, LANE_GIT, "example.org:443", "git ls-remote"},
        {"https://example.org/a.git", false, "http.sslcert", LANE_GIT, "example.org:443",
         "git ls-remote (http.sslcert)"},
        {"no address", false, NULL, LANE_GIT, NULL, "git ls-remote"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct road road = {.lane = LANE_FILES};
        decide(&road, cases[i].url, cases[i].by_git, cases[i].why_git);
        check(&road, cases[i].lane, cases[i].described, 0);
        g_assert_cmpstr(road.host, ==, cases[i].host);
        road_release(&road);
    }
}

static void learned__survives_a_new_decision_and_a_restart(void)
{
    struct road road = {.lane = LANE_FILES};
    struct road next = {.lane = LANE_FILES};
    decide(&road, "https://example.org/a.git", false, NULL);
    road_went_well(&road, NET_ROAD_V0, "https://example.org/b.git");
    decide(&road, "https://example.org/a.git", false, NULL);
    check(&road, LANE_NET, "http v0", 0);
    g_assert_cmpstr(road.moved_to, ==, "https://example.org/b.git");
    decide(&next, "https://example.org/a.git", false, NULL);
    road_remember(&next, road_learned(&road), 0);
    check(&next, LANE_NET, "http v0", 0);
    road_remember(&next, NULL, 0);
    road_remember(&next, "nonsense", 0);
    check(&next, LANE_NET, "http v0", 0);
    road_release(&road);
    road_release(&next);
}

static void use_git_for_a_day__ends_after_it(void)
{
    struct road road = {.lane = LANE_FILES};
    struct road next = {.lane = LANE_FILES};
    decide(&road, "https://example.org/a.git", false, NULL);
    road_use_git_for_a_day(&road, "dumb", 1000);
    check(&road, LANE_GIT, "git ls-remote (dumb)", 1000);
    g_assert_cmpint(road_lane(&road, 1000 + ROAD_GIT_FOR_MS - 1), ==, LANE_GIT);
    g_assert_cmpint(road_lane(&road, 1000 + ROAD_GIT_FOR_MS), ==, LANE_NET);
    decide(&next, "https://example.org/a.git", false, NULL);
    road_remember(&next, road_learned(&road), 50);
    check(&next, LANE_GIT, "git ls-remote", 50);
    road_went_well(&road, NET_ROAD_V2, "");
    check(&road, LANE_NET, "http v2", 2000);
    road_release(&road);
    road_release(&next);
}

static void use_git_once__good_trial_is_remembered_and_others_are_not(void)
{
    struct road road = {.lane = LANE_FILES};
    decide(&road, "https://example.org/a.git", false, NULL);
    road_use_git(&road, ROAD_DETOUR_ONCE, "away");
    check(&road, LANE_GIT, "git ls-remote (away)", 10);
    road_git_ended(&road, true, 10);
    g_assert_cmpint(road_lane(&road, 10), ==, LANE_NET);
    road_use_git(&road, ROAD_DETOUR_TRIAL, "nonsense");
    road_git_ended(&road, false, 10);
    g_assert_cmpint(road_lane(&road, 10), ==, LANE_NET);
    road_use_git(&road, ROAD_DETOUR_TRIAL, "nonsense");
    road_git_ended(&road, true, 10);
    check(&road, LANE_GIT, "git ls-remote (nonsense)", 11);
    road_release(&road);
}

static void lost_helper__second_try_there_then_git_and_at_last_for_a_day(void)
{
    struct road road = {.lane = LANE_FILES};
    decide(&road, "https://example.org/a.git", false, NULL);
    for (unsigned i = 1; i < ROAD_LOSSES_MAX; i++) {
        road_lost_helper(&road, "killed", 10);
        g_assert_cmpint(road_lane(&road, 10), ==, i % ROAD_LOSSES_ONCE == 0 ? LANE_GIT : LANE_NET);
        if (road_lane(&road, 10) == LANE_GIT) {
            road_git_ended(&road, true, 10);
        }
    }
    road_lost_helper(&road, "killed", 10);
    g_assert_cmpint(road_lane(&road, 10 + ROAD_GIT_FOR_MS - 1), ==, LANE_GIT);
    road_release(&road);
}

static void files__watched_is_told(void)
{
    struct road road = {.lane = LANE_FILES};
    decide(&road, "/srv/a.git", false, NULL);
    road.is_watched = true;
    check(&road, LANE_FILES, "files, watched", 0);
    road_use_git(&road, ROAD_DETOUR_ONCE, "reftable");
    check(&road, LANE_GIT, "git ls-remote (reftable)", 0);
    road_git_ended(&road, true, 0);
    road_went_well(&road, NET_ROAD_UNKNOWN, "");
    check(&road, LANE_FILES, "files, watched", 0);
    g_assert_cmpstr(road_learned(&road), ==, "");
    road_release(&road);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/poll_road/" #name, name)
    ADD(decide__each_kind_of_address__has_its_lane_and_host);
    ADD(learned__survives_a_new_decision_and_a_restart);
    ADD(use_git_for_a_day__ends_after_it);
    ADD(use_git_once__good_trial_is_remembered_and_others_are_not);
    ADD(lost_helper__second_try_there_then_git_and_at_last_for_a_day);
    ADD(files__watched_is_told);
    return g_test_run();
}
