#include <glib.h>
#include <string.h>

#include "poll/detect.h"
#include "poll/remote.h"
#include "poll/schedule.h"

static void schedule_first__few_remotes__at_once(void)
{
    g_assert_cmpint(schedule_first(0, 1, 10, 60000), ==, 0);
    g_assert_cmpint(schedule_first(0, 20, 10, 60000), ==, 0);
    g_assert_cmpint(schedule_first(19, 20, 10, 60000), ==, 190);
}

static void schedule_first__thousands__spread_over_the_interval(void)
{
    g_assert_cmpint(schedule_first(0, 100000, 10, 60000), ==, 0);
    g_assert_cmpint(schedule_first(50000, 100000, 10, 60000), ==, 30000);
    g_assert_cmpint(schedule_first(99999, 100000, 10, 60000), <, 60000);
    g_assert_cmpint(schedule_first(99999, 100000, 10, 60000), >, 59990);
}

static void schedule_success__first_look__anywhere_in_the_interval(void)
{
    g_assert_cmpint(schedule_after_success(60000, true, 0), ==, 60000);
    g_assert_cmpint(schedule_after_success(60000, true, UINT32_MAX / 2 + 1), ==, 30000);
    g_assert_cmpint(schedule_after_success(60000, true, UINT32_MAX), >, 0);
    g_assert_cmpint(schedule_after_success(60000, true, UINT32_MAX), <=, 1);
}

static void schedule_success__later_looks__within_five_percent(void)
{
    g_assert_cmpint(schedule_after_success(60000, false, 0), ==, 57000);
    g_assert_cmpint(schedule_after_success(60000, false, UINT32_MAX), ==, 63000);
    g_assert_cmpint(schedule_after_success(10, false, UINT32_MAX), ==, 10);
}

static void schedule_failure__in_a_row__doubles_up_to_the_cap(void)
{
    g_assert_cmpint(schedule_after_failure(60000, 1, 0), ==, 60000);
    g_assert_cmpint(schedule_after_failure(60000, 2, 0), ==, 120000);
    g_assert_cmpint(schedule_after_failure(60000, 4, 0), ==, 480000);
    g_assert_cmpint(schedule_after_failure(60000, 5, 0), ==, SCHEDULE_BACKOFF_CAP_MS);
    g_assert_cmpint(schedule_after_failure(60000, 4000000000U, 0), ==, SCHEDULE_BACKOFF_CAP_MS);
    g_assert_cmpint(schedule_after_failure(60000, 1, UINT32_MAX), >=, 48000);
}

static void schedule_failure__interval_beyond_the_cap__stays_the_interval(void)
{
    g_assert_cmpint(schedule_after_failure(86400000, 9, 0), ==, 86400000);
}

static void schedule_due__counts_from_the_begin_but_leaves_a_pause(void)
{
    g_assert_cmpint(schedule_due(1000, 1200, 60000), ==, 61000);
    g_assert_cmpint(schedule_due(1000, 60900, 60000), ==, 75900);
    g_assert_cmpint(schedule_due(1000, 31000, 1000), ==, 31250);
}

static void schedule_automatic__follows_the_quiet_time_within_bounds(void)
{
    const int64_t minute = 60000;
    g_assert_cmpint(schedule_automatic(0, 15000, 15 * minute), ==, 15000);
    g_assert_cmpint(schedule_automatic(5 * minute, 15000, 15 * minute), ==, 15000);
    g_assert_cmpint(schedule_automatic(60 * minute, 15000, 15 * minute), ==, 3 * minute);
    g_assert_cmpint(schedule_automatic(24 * 60 * minute, 15000, 15 * minute), ==, 15 * minute);
    g_assert_cmpint(schedule_automatic(INT64_MAX, 15000, 15 * minute), ==, 15 * minute);
    g_assert_cmpint(schedule_automatic(60 * minute, 5000, 5000), ==, 5000);
}

static void schedule_watched__is_a_safety_net(void)
{
    g_assert_cmpint(schedule_watched(1000), ==, SCHEDULE_WATCHED_MS);
    g_assert_cmpint(schedule_watched(2 * SCHEDULE_WATCHED_MS), ==, 2 * SCHEDULE_WATCHED_MS);
}

static void schedule_slack__is_a_hundredth_and_never_long(void)
{
    g_assert_cmpint(schedule_slack(50), ==, 0);
    g_assert_cmpint(schedule_slack(10000), ==, 100);
    g_assert_cmpint(schedule_slack(86400000), ==, SCHEDULE_SLACK_MAX_MS);
}

static void schedule_together__any_begin__falls_on_a_multiple_of_the_interval(void)
{
    static const int64_t intervals_ms[] = {50, 1000, 60000, 86400000};
    for (size_t i = 0; i < G_N_ELEMENTS(intervals_ms); i++) {
        int64_t interval_ms = intervals_ms[i];
        for (int64_t share = 0; share < 50; share++) {
            int64_t begun_ms = 7 * interval_ms + share * interval_ms / 50;
            int64_t wait_ms = schedule_together(begun_ms, interval_ms);
            g_assert_cmpint((begun_ms + wait_ms) % interval_ms, ==, 0);
            g_assert_cmpint(wait_ms, >=, interval_ms / 20);
            g_assert_cmpint(wait_ms, <=, interval_ms + interval_ms / 20);
        }
        /* One that began in time, or as much too early as it may, stays with the others. */
        int64_t early_ms = 7 * interval_ms - schedule_slack(interval_ms);
        g_assert_cmpint(schedule_together(7 * interval_ms, interval_ms), ==, interval_ms);
        g_assert_cmpint(early_ms + schedule_together(early_ms, interval_ms), ==, 8 * interval_ms);
    }
}

static char *main_only[] = {(char *)"main", NULL};
static char *main_and_release[] = {(char *)"main", (char *)"release/*", NULL};
static char *nothing[] = {NULL};

static struct repo_config repo_with(char **targets, char **exclusions)
{
    return (struct repo_config){.name = (char *)"app",
                                .url = (char *)"/srv/app.git",
                                .target_branches = targets,
                                .branch_exclusions = exclusions,
                                .target_tags = nothing};
}

static char *describe(const GPtrArray *events)
{
    static const char *const names[] = {"baseline", "created", "moved",   "gone",
                                        "returned", "missing", "unwanted"};
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < events->len; i++) {
        const struct ref_event *event = g_ptr_array_index(events, i);
        g_string_append_printf(text, "%s%s %s>%s", i ? ";" : "", names[event->kind],
                               event->old_tip ? event->old_tip : "",
                               event->new_tip ? event->new_tip : "");
    }
    return g_string_free(text, FALSE);
}

/* One known branch "main" (none when `tip` is "absent") against one look; the events as text. */
static char *judge(char **targets, const char *tip, bool gone, const char *seen,
                   bool selection_changed)
{
    struct repo_config repo = repo_with(targets, nothing);
    g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(struct known_ref));
    g_autoptr(GHashTable) refs = g_hash_table_new(g_str_hash, g_str_equal);
    if (!tip || strcmp(tip, "absent") != 0) {
        struct known_ref branch = {"main", tip, gone};
        g_array_append_val(known, branch);
    }
    if (seen) {
        g_hash_table_insert(refs, (char *)"refs/heads/main", (char *)seen);
    }
    g_autoptr(GPtrArray) events = detect_changes(&repo, known, refs, selection_changed);
    return describe(events);
}

static void detect__every_situation__has_its_verdict(void)
{
    static const struct {
        const char *tip;
        bool gone;
        const char *seen;
        bool selection_changed;
        const char *expected;
    } cases[] = {
        {"absent", false, "a", true, "baseline >a"},
        {"absent", false, "a", false, "created >a"},
        {"absent", false, NULL, true, "missing >"},
        {"absent", false, NULL, false, "missing >"},
        {"a", false, "a", false, ""},
        {"a", false, "a", true, ""},
        {"a", false, "b", false, "moved a>b"},
        {"a", false, "b", true, "moved a>b"},
        {"a", false, NULL, false, "gone a>"},
        {"a", true, NULL, false, ""},
        {"a", true, "a", false, "returned a>a"},
        {"a", true, "b", false, "moved a>b"},
        {NULL, true, NULL, false, ""},
        {NULL, true, "a", false, "created >a"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *verdict = judge(main_only, cases[i].tip, cases[i].gone, cases[i].seen,
                                         cases[i].selection_changed);
        g_assert_cmpstr(verdict, ==, cases[i].expected);
    }
}

static void detect__known_branch_no_longer_asked_for__is_unwanted(void)
{
    char *only_dev[] = {(char *)"dev", NULL};
    g_autofree char *verdict = judge(only_dev, "a", false, "b", true);
    g_assert_cmpstr(verdict, ==, "missing >;unwanted a>");
}

static void detect__glob_targets__new_branches_run_and_absent_ones_are_not_missing(void)
{
    char *exclusions[] = {(char *)"release/old*", NULL};
    struct repo_config repo = repo_with(main_and_release, exclusions);
    g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(struct known_ref));
    struct known_ref main_branch = {"main", "a", false};
    g_array_append_val(known, main_branch);
    g_autoptr(GHashTable) refs = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(refs, (char *)"refs/heads/main", (char *)"a");
    g_hash_table_insert(refs, (char *)"refs/heads/release/1/x", (char *)"b");
    g_hash_table_insert(refs, (char *)"refs/heads/release/old1", (char *)"c");
    g_hash_table_insert(refs, (char *)"refs/heads/other", (char *)"d");
    g_autoptr(GPtrArray) events = detect_changes(&repo, known, refs, false);
    g_assert_cmpuint(events->len, ==, 1);
    const struct ref_event *event = g_ptr_array_index(events, 0);
    g_assert_cmpint(event->kind, ==, REF_CREATED);
    g_assert_cmpstr(event->key, ==, "release/1/x");
    g_assert_cmpstr(event->new_tip, ==, "b");
}

/* Tags against one look: what the section asks for among them, and nothing of branches. */
static void detect_tags__every_situation__has_its_verdict(void)
{
    static const struct {
        const char *key, *tip;
        bool gone;
        const char *ref, *seen;
        bool selection_changed;
        const char *expected;
    } cases[] = {
        {NULL, NULL, false, "refs/tags/v1", "a", true, "baseline >a"},
        {NULL, NULL, false, "refs/tags/v1", "a", false, "created >a"},
        {NULL, NULL, false, "refs/tags/latest", "a", false, "created >a"},
        {NULL, NULL, false, "refs/tags/x", "a", false, ""},
        {NULL, NULL, false, "refs/heads/v1", "a", false, ""},
        {NULL, NULL, false, "refs/heads/refs/tags/v1", "a", false, ""},
        {NULL, NULL, false, NULL, NULL, true, ""},
        {"refs/tags/v1", "a", false, "refs/tags/v1", "a", true, ""},
        {"refs/tags/v1", "a", false, "refs/tags/v1", "b", false, "moved a>b"},
        {"refs/tags/v1", "a", false, "refs/heads/v1", "a", false, "gone a>"},
        {"refs/tags/v1", "a", true, NULL, NULL, false, ""},
        {"refs/tags/v1", "a", true, "refs/tags/v1", "a", false, "returned a>a"},
        {"refs/tags/v1", "a", true, "refs/tags/v1", "b", false, "moved a>b"},
        {"refs/tags/x", "a", false, "refs/tags/x", "a", true, "unwanted a>"},
    };
    char *tags[] = {(char *)"v*", (char *)"latest", NULL};
    struct repo_config repo = repo_with(main_only, nothing);
    repo.target_tags = tags;
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(struct known_ref));
        g_autoptr(GHashTable) refs = g_hash_table_new(g_str_hash, g_str_equal);
        if (cases[i].key) {
            struct known_ref tag = {cases[i].key, cases[i].tip, cases[i].gone};
            g_array_append_val(known, tag);
        }
        if (cases[i].ref) {
            g_hash_table_insert(refs, (char *)cases[i].ref, (char *)cases[i].seen);
        }
        g_autoptr(GPtrArray) events =
            detect_tag_changes(&repo, known, refs, cases[i].selection_changed);
        g_autofree char *verdict = describe(events);
        g_assert_cmpstr(verdict, ==, cases[i].expected);
    }
}

/* Sections of one URL share a look, which asks for what any of them wants. */
static void remote__sections_of_one_url__ask_for_all_their_refs_once(void)
{
    char *tags[] = {(char *)"v*", (char *)"main", NULL};
    struct repo_config first = repo_with(main_and_release, nothing);
    struct repo_config second = repo_with(nothing, nothing);
    struct repo_config third = repo_with(main_only, nothing);
    first.target_tags = second.target_tags = tags;
    g_autoptr(GPtrArray) repos = g_ptr_array_new();
    g_ptr_array_add(repos, &first);
    g_ptr_array_add(repos, &second);
    g_ptr_array_add(repos, &third);
    const struct config config = {.repos = repos};
    g_autoptr(GHashTable) remotes = remotes_from_config(&config);
    g_assert_cmpuint(g_hash_table_size(remotes), ==, 1);
    g_autoptr(GList) values = g_hash_table_get_values(remotes);
    const struct remote *remote = values->data;
    g_autofree char *wanted = g_strjoinv(" ", remote->wanted);
    g_assert_cmpstr(wanted, ==,
                    "refs/heads/main refs/heads/release/* refs/tags/v* refs/tags/main "
                    "refs/heads/*");
}

/* Its short name looks like a tag's full one. */
static void detect__branch_named_like_a_tag__is_a_branch_of_its_own(void)
{
    struct repo_config repo = repo_with(nothing, nothing);
    g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(struct known_ref));
    g_autoptr(GHashTable) refs = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(refs, (char *)"refs/heads/refs/tags/v1", (char *)"a");
    g_hash_table_insert(refs, (char *)"refs/tags/v1", (char *)"b");
    g_autoptr(GPtrArray) events = detect_changes(&repo, known, refs, false);
    g_assert_cmpuint(events->len, ==, 1);
    const struct ref_event *event = g_ptr_array_index(events, 0);
    g_assert_cmpint(event->kind, ==, REF_CREATED);
    g_assert_cmpstr(event->key, ==, "refs/heads/refs/tags/v1");
    g_assert_cmpstr(event->new_tip, ==, "a");
    struct known_ref branch = {event->key, "a", false};
    g_array_append_val(known, branch);
    g_autoptr(GPtrArray) none = detect_changes(&repo, known, refs, false);
    g_assert_cmpuint(none->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poll/schedule_first__few_remotes__at_once",
                    schedule_first__few_remotes__at_once);
    g_test_add_func("/poll/schedule_first__thousands__spread_over_the_interval",
                    schedule_first__thousands__spread_over_the_interval);
    g_test_add_func("/poll/schedule_success__first_look__anywhere_in_the_interval",
                    schedule_success__first_look__anywhere_in_the_interval);
    g_test_add_func("/poll/schedule_success__later_looks__within_five_percent",
                    schedule_success__later_looks__within_five_percent);
    g_test_add_func("/poll/schedule_failure__in_a_row__doubles_up_to_the_cap",
                    schedule_failure__in_a_row__doubles_up_to_the_cap);
    g_test_add_func("/poll/schedule_failure__interval_beyond_the_cap__stays_the_interval",
                    schedule_failure__interval_beyond_the_cap__stays_the_interval);
    g_test_add_func("/poll/schedule_due__counts_from_the_begin_but_leaves_a_pause",
                    schedule_due__counts_from_the_begin_but_leaves_a_pause);
    g_test_add_func("/poll/schedule_automatic__follows_the_quiet_time_within_bounds",
                    schedule_automatic__follows_the_quiet_time_within_bounds);
    g_test_add_func("/poll/schedule_watched__is_a_safety_net", schedule_watched__is_a_safety_net);
    g_test_add_func("/poll/schedule_slack__is_a_hundredth_and_never_long",
                    schedule_slack__is_a_hundredth_and_never_long);
    g_test_add_func("/poll/schedule_together__any_begin__falls_on_a_multiple_of_the_interval",
                    schedule_together__any_begin__falls_on_a_multiple_of_the_interval);
    g_test_add_func("/poll/detect__every_situation__has_its_verdict",
                    detect__every_situation__has_its_verdict);
    g_test_add_func("/poll/detect__known_branch_no_longer_asked_for__is_unwanted",
                    detect__known_branch_no_longer_asked_for__is_unwanted);
    g_test_add_func("/poll/detect__glob_targets__new_branches_run_and_absent_ones_are_not_missing",
                    detect__glob_targets__new_branches_run_and_absent_ones_are_not_missing);
    g_test_add_func("/poll/detect_tags__every_situation__has_its_verdict",
                    detect_tags__every_situation__has_its_verdict);
    g_test_add_func("/poll/remote__sections_of_one_url__ask_for_all_their_refs_once",
                    remote__sections_of_one_url__ask_for_all_their_refs_once);
    g_test_add_func("/poll/detect__branch_named_like_a_tag__is_a_branch_of_its_own",
                    detect__branch_named_like_a_tag__is_a_branch_of_its_own);
    return g_test_run();
}
