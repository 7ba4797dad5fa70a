/* Schedules against a store and a clock that the test sets. */
#include <glib.h>

/* The clock that the test sets is there with injected faults only. */
#ifdef PHANTOM_CI_FAULTS
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/timetable.h"
#include "store_fixture.h"

struct site {
    struct fixture fixture;
    char *clock; /* the file that says how far the clock is ahead */
    struct config config;
    struct repo_config repo;
    struct timetable *timetable;
};

static char *main_and_release[] = {(char *)"main", (char *)"release/*", NULL};
static char *nothing[] = {NULL};
static char *at_three[] = {(char *)"0 3 * * *", NULL};
static char *at_four[] = {(char *)"0 4 * * *", NULL};

static int64_t parse_time(const char *text)
{
    g_autofree char *iso = g_strconcat(text, ":00Z", NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(iso, NULL);
    return g_date_time_to_unix(time) * 1000;
}

static void set_clock(struct site *site, const char *text)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    g_autofree char *offset =
        g_strdup_printf("%" G_GINT64_FORMAT, parse_time(text) - (int64_t)now.tv_sec * 1000);
    g_assert_true(g_file_set_contents(site->clock, offset, -1, NULL));
}

static void put_branch(struct site *site, const char *name, const char *tip, int64_t gone_ms)
{
    struct branch branch = {.repo = (char *)"app",
                            .name = (char *)name,
                            .tip = (char *)tip,
                            .seen_ms = 10,
                            .gone_ms = gone_ms};
    g_assert_true(store_branch_put(site->fixture.store, &branch, NULL));
}

/* A daemon that starts. */
static void start(struct site *site, char **schedule)
{
    timetable_free(site->timetable);
    site->repo.schedule = schedule;
    site->timetable = timetable_new(site->fixture.store);
    timetable_set_config(site->timetable, &site->config);
}

/* It was two o'clock when the schedule of three o'clock was first read. */
static void site_init(struct site *site)
{
    *site = (struct site){.timetable = NULL};
    fixture_open(&site->fixture);
    site->clock = g_build_filename(site->fixture.directory, "clock", NULL);
    g_setenv("PHANTOM_CI_TEST_CLOCK", site->clock, TRUE);
    g_setenv("TZ", "UTC0", TRUE);
    site->repo = (struct repo_config){.name = (char *)"app",
                                      .url = (char *)"/srv/app",
                                      .target_branches = main_and_release,
                                      .branch_exclusions = nothing,
                                      .target_tags = nothing};
    site->config.repos = g_ptr_array_new();
    g_ptr_array_add(site->config.repos, &site->repo);
    put_branch(site, "main", SHA_A, 0);
    set_clock(site, "2026-11-28T02:00");
    start(site, at_three);
    g_assert_false(timetable_run(site->timetable));
}

static void site_clear(struct site *site)
{
    timetable_free(site->timetable);
    g_ptr_array_unref(site->config.repos);
    g_unsetenv("PHANTOM_CI_TEST_CLOCK");
    g_free(site->clock);
    fixture_close(&site->fixture);
}

static unsigned run_at(struct site *site, const char *text)
{
    struct job_filter queued = {.has_state = true, .state = JOB_QUEUED};
    set_clock(site, text);
    bool ran = timetable_run(site->timetable);
    g_assert_false(timetable_run(site->timetable));
    g_autoptr(GPtrArray) jobs = store_jobs(site->fixture.store, &queued, NULL);
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_assert_cmpint(job->trigger, ==, JOB_TRIGGER_SCHEDULE);
        finish(site->fixture.store, job->id, JOB_CANCELED, NULL);
    }
    g_assert_cmpint(ran, ==, jobs->len > 0);
    return jobs->len;
}

static void run__each_night__is_once_each(void)
{
    struct site site;
    site_init(&site);
    g_assert_cmpuint(run_at(&site, "2026-11-28T02:59"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:01"), ==, 0);
    start(&site, at_three);
    g_assert_cmpuint(run_at(&site, "2026-11-28T23:59"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-29T03:00"), ==, 1);
    struct job *job = get_job(site.fixture.store, 2);
    g_assert_cmpstr(job->branch, ==, "main");
    g_assert_cmpstr(job->sha, ==, SHA_A);
    job_free(job);
    g_autoptr(GPtrArray) decisions = store_decisions(site.fixture.store, "app", "main", 1, NULL);
    const struct decision *decision = g_ptr_array_index(decisions, 0);
    g_assert_cmpstr(decision->detail, ==,
                    "its schedule was due on 2026-11-29 03:00:00: job 2 was queued for its tip");
    site_clear(&site);
}

static void run__missed_nights__are_made_up_for_once(void)
{
    struct site site;
    site_init(&site);
    /* asleep */
    g_assert_cmpuint(run_at(&site, "2026-12-03T12:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2026-12-03T12:05"), ==, 0);
    g_autoptr(GPtrArray) decisions = store_decisions(site.fixture.store, "app", "main", 1, NULL);
    g_assert_nonnull(strstr(((struct decision *)g_ptr_array_index(decisions, 0))->detail,
                            "was due on 2026-11-28 03:00:00, which could not be met"));
    /* no daemon */
    set_clock(&site, "2026-12-09T01:00");
    start(&site, at_three);
    g_assert_cmpuint(run_at(&site, "2026-12-09T01:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2026-12-09T03:00"), ==, 1);
    site_clear(&site);
}

static void run__clock_set_back__repeats_nothing(void)
{
    struct site site;
    site_init(&site);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2026-11-28T02:30"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 0);
    start(&site, at_three);
    g_assert_cmpuint(run_at(&site, "2026-11-27T23:00"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:10"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-29T03:00"), ==, 1);
    site_clear(&site);
}

/* Years ahead for a moment: what that reached does not silence the years. */
static void run__clock_was_far_ahead__goes_on_from_the_right_time(void)
{
    struct site site;
    site_init(&site);
    g_assert_cmpuint(run_at(&site, "2036-01-01T00:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2026-11-28T02:30"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 1);
    g_assert_cmpuint(run_at(&site, "2036-01-01T00:00"), ==, 1);
    set_clock(&site, "2026-11-29T02:30");
    start(&site, at_three);
    g_assert_cmpuint(run_at(&site, "2026-11-29T02:30"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-29T03:00"), ==, 1);
    site_clear(&site);
}

static void config__changed_or_new_schedule__counts_from_now(void)
{
    struct site site;
    site_init(&site);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 1);
    set_clock(&site, "2026-11-28T12:00");
    start(&site, at_four);
    g_assert_cmpuint(run_at(&site, "2026-11-28T12:00"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-29T04:00"), ==, 1);
    /* taken out, and put in again much later */
    start(&site, nothing);
    g_assert_cmpuint(run_at(&site, "2026-11-30T04:00"), ==, 0);
    g_assert_cmpint(timetable_next_due_ms(site.timetable), ==, INT64_MAX);
    g_autoptr(GPtrArray) none = store_schedules(site.fixture.store, NULL);
    g_assert_cmpuint(none->len, ==, 0);
    set_clock(&site, "2026-12-10T12:00");
    start(&site, at_four);
    g_assert_cmpuint(run_at(&site, "2026-12-10T12:00"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-12-11T04:00"), ==, 1);
    site_clear(&site);
}

static void run__branches__are_those_that_are_watched_and_there(void)
{
    struct site site;
    site_init(&site);
    put_branch(&site, "release/1", SHA_B, 0);
    put_branch(&site, "release/2", SHA_B, 77);
    put_branch(&site, "release/3", NULL, 77);
    put_branch(&site, "other", SHA_B, 0);
    put_branch(&site, "refs/tags/v1", SHA_B, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 2);
    struct job *job = get_job(site.fixture.store, 2);
    g_assert_cmpstr(job->branch, ==, "release/1");
    g_assert_cmpstr(job->sha, ==, SHA_B);
    job_free(job);
    site_clear(&site);
}

static void run__nothing_is_known__is_done_all_the_same(void)
{
    struct site site;
    site_init(&site);
    g_assert_true(store_branch_remove(site.fixture.store, "app", "main", NULL));
    set_clock(&site, "2026-11-28T03:00");
    timetable_run(site.timetable);
    put_branch(&site, "main", SHA_A, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T04:00"), ==, 0);
    site_clear(&site);
}

static void run__time_zone_changed_meanwhile__counts(void)
{
    struct site site;
    site_init(&site);
    /* three o'clock is eight o'clock UTC now */
    g_setenv("TZ", "EST5", TRUE);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:00"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T07:59"), ==, 0);
    g_assert_cmpuint(run_at(&site, "2026-11-28T08:00"), ==, 1);
    site_clear(&site);
}

static void run__store_fails__is_tried_again_and_not_lost(void)
{
    struct site site;
    site_init(&site);
    g_setenv("PHANTOM_CI_FAULT", "schedule.commit:*:ENOSPC", TRUE);
    set_clock(&site, "2026-11-28T03:00");
    g_assert_false(timetable_run(site.timetable));
    g_unsetenv("PHANTOM_CI_FAULT");
    int64_t wait_ms = timetable_next_due_ms(site.timetable) - clock_monotonic_ms();
    g_assert_cmpint(wait_ms, <=, 5000);
    start(&site, at_three);
    g_assert_cmpuint(run_at(&site, "2026-11-28T03:01"), ==, 1);
    site_clear(&site);
}

#ifdef __linux__
/* Nobody asks: the descriptor says when. */
static void timer__due__wakes(void)
{
    struct site site;
    site_init(&site);
    /* 59.5 s past the minute before it */
    g_autofree char *text = NULL;
    set_clock(&site, "2026-11-28T02:59");
    g_assert_true(g_file_get_contents(site.clock, &text, NULL, NULL));
    g_autofree char *later =
        g_strdup_printf("%" G_GINT64_FORMAT, g_ascii_strtoll(text, NULL, 10) + 59000);
    g_assert_true(g_file_set_contents(site.clock, later, -1, NULL));
    start(&site, at_three);
    g_assert_false(timetable_run(site.timetable) &&
                   clock_now_ms() < parse_time("2026-11-28T03:00"));
    struct pollfd item = {.fd = timetable_fd(site.timetable), .events = POLLIN};
    struct job_filter queued = {.has_state = true, .state = JOB_QUEUED};
    g_autoptr(GPtrArray) early = store_jobs(site.fixture.store, &queued, NULL);
    if (early->len == 0) {
        g_assert_cmpint(item.fd, >=, 0);
        g_assert_cmpint(timetable_next_due_ms(site.timetable), ==, INT64_MAX);
        g_assert_cmpint(poll(&item, 1, 60000), ==, 1);
        timetable_take(site.timetable);
        g_assert_true(timetable_run(site.timetable));
    }
    item.revents = 0;
    g_assert_cmpint(poll(&item, 1, 0), ==, 0);
    site_clear(&site);
}
#endif

#endif /* PHANTOM_CI_FAULTS */

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef PHANTOM_CI_FAULTS
#define ADD(name) g_test_add_func("/daemon_timetable/" #name, name)
    ADD(run__each_night__is_once_each);
    ADD(run__missed_nights__are_made_up_for_once);
    ADD(run__clock_set_back__repeats_nothing);
    ADD(run__clock_was_far_ahead__goes_on_from_the_right_time);
    ADD(config__changed_or_new_schedule__counts_from_now);
    ADD(run__branches__are_those_that_are_watched_and_there);
    ADD(run__nothing_is_known__is_done_all_the_same);
    ADD(run__time_zone_changed_meanwhile__counts);
    ADD(run__store_fails__is_tried_again_and_not_lost);
#ifdef __linux__
    ADD(timer__due__wakes);
#endif
#endif
    return g_test_run();
}
