#include "poll/cron.h"

#include <string.h>
#include <time.h>

#include "base/error.h"

/* Zones as rules, so that no data base of zones is needed: the clocks of 2026. */
#define UTC       "UTC0"
#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define KOLKATA   "IST-5:30"
#define SYDNEY    "AEST-10AEDT,M10.1.0,M4.1.0/3"
#define BEIRUT    "EET-2EEST,M3.5.0/0,M10.5.0/0"

static void set_zone(const char *zone)
{
    g_setenv("TZ", zone, TRUE);
    tzset();
}

static int64_t parse_time(const char *text)
{
    g_autofree char *iso = g_strconcat(text, ":00Z", NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(iso, NULL);
    g_assert_nonnull(time);
    return g_date_time_to_unix(time) * 1000;
}

/* The times (UTC) that come one after the other, from the first one after `after`. */
static void assert_times(const char *zone, const char *text, const char *after,
                         const char *const *expected)
{
    struct cron cron;
    GError *error = NULL;
    set_zone(zone);
    cron_parse(text, &cron, &error);
    g_assert_no_error(error);
    int64_t time_ms = parse_time(after);
    for (; *expected; expected++) {
        time_ms = cron_next(&cron, time_ms);
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(time_ms / 1000);
        g_autofree char *found = g_date_time_format(time, "%Y-%m-%dT%H:%M");
        if (strcmp(found, *expected) != 0)
            g_error("%s in %s: %s instead of %s", text, zone, found, *expected);
        g_assert_cmpint(time_ms % 60000, ==, 0);
    }
}

#define TIMES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void next__ordinary_days__is_the_next_that_fits(void)
{
    assert_times(UTC, "0 3 * * *", "2026-11-28T03:00",
                 TIMES("2026-11-29T03:00", "2026-11-30T03:00"));
    assert_times(UTC, "0 3 * * *", "2026-11-28T02:59", TIMES("2026-11-28T03:00"));
    assert_times(UTC, "*/20 8-9 * * *", "2026-11-28T08:20",
                 TIMES("2026-11-28T08:40", "2026-11-28T09:00", "2026-11-28T09:20",
                       "2026-11-28T09:40", "2026-11-29T08:00"));
    assert_times(UTC, "* * * * *", "2026-12-31T23:59", TIMES("2027-01-01T00:00"));
    assert_times(UTC, "5,10-12,50-59/5 0 * * *", "2026-11-28T00:00",
                 TIMES("2026-11-28T00:05", "2026-11-28T00:10", "2026-11-28T00:11",
                       "2026-11-28T00:12", "2026-11-28T00:50", "2026-11-28T00:55",
                       "2026-11-29T00:05"));
    /* 2026-11-27 is a Friday; India is five hours and a half ahead */
    assert_times(KOLKATA, "0 9 * * MON-FRI", "2026-11-27T04:00",
                 TIMES("2026-11-30T03:30", "2026-12-01T03:30"));
    assert_times(NEW_YORK, "0 22 * * 5", "2026-11-27T00:00",
                 TIMES("2026-11-28T03:00", "2026-12-05T03:00"));
}

static void next__sub_second_and_early_times__are_not_given_twice(void)
{
    struct cron cron;
    set_zone(UTC);
    g_assert_true(cron_parse("0 3 * * *", &cron, NULL));
    int64_t three = parse_time("2026-11-28T03:00");
    g_assert_cmpint(cron_next(&cron, three - 1), ==, three);
    g_assert_cmpint(cron_next(&cron, three), ==, three + 86400000);
    g_assert_cmpint(cron_next(&cron, three + 1), ==, three + 86400000);
    g_assert_cmpint(cron_next(&cron, three + 999), ==, three + 86400000);
    g_assert_cmpint(cron_next(&cron, 0), ==, 3 * 3600000);
    g_assert_cmpint(cron_next(&cron, -5), ==, 3 * 3600000);
    g_assert_cmpint(cron_next(&cron, INT64_MAX), ==, INT64_MAX);
    g_assert_cmpint(cron_next(&cron, INT64_MIN), ==, 3 * 3600000);
}

static void next__day_and_weekday__either_when_both_are_restricted(void)
{
    /* the 13th, and Fridays */
    assert_times(UTC, "0 0 13 * FRI", "2026-11-06T00:00",
                 TIMES("2026-11-13T00:00", "2026-11-20T00:00", "2026-11-27T00:00",
                       "2026-12-04T00:00", "2026-12-11T00:00", "2026-12-13T00:00"));
    /* the days 1, 14 and 27, but only Fridays: a field that begins with a star restricts nothing */
    assert_times(UTC, "0 0 */13 * FRI", "2026-11-06T00:00",
                 TIMES("2026-11-27T00:00", "2027-01-01T00:00"));
    assert_times(UTC, "0 0 1-7 * */7", "2026-11-28T00:00",
                 TIMES("2026-12-06T00:00", "2027-01-03T00:00"));
    assert_times(UTC, "0 0 * * 7", "2026-11-28T00:00", TIMES("2026-11-29T00:00"));
    assert_times(UTC, "0 0 * * sat-sun", "2026-11-28T00:00",
                 TIMES("2026-11-29T00:00", "2026-12-05T00:00"));
}

static void next__rare_days__are_found_years_ahead(void)
{
    assert_times(UTC, "0 0 29 2 *", "2026-01-01T00:00",
                 TIMES("2028-02-29T00:00", "2032-02-29T00:00"));
    assert_times(UTC, "0 0 29 2 *", "2096-02-29T00:00", TIMES("2104-02-29T00:00"));
    /* 29 February on a Monday: days that begin with a star are an "and" */
    assert_times(UTC, "0 0 */28 2 mon", "2016-03-01T00:00",
                 TIMES("2021-02-01T00:00", "2027-02-01T00:00", "2038-02-01T00:00",
                       "2044-02-01T00:00", "2044-02-29T00:00"));
    assert_times(UTC, "59 23 31 dec *", "2026-12-31T23:59", TIMES("2027-12-31T23:59"));
    assert_times(UTC, "0 0 31 * *", "2026-01-31T00:00",
                 TIMES("2026-03-31T00:00", "2026-05-31T00:00", "2026-07-31T00:00"));
}

static void next__time_that_the_night_leaves_out__comes_at_once_after_the_gap(void)
{
    /* 29 March: two o'clock is three o'clock, at 1:00 UTC */
    assert_times(BERLIN, "30 2 * * *", "2026-03-28T01:30",
                 TIMES("2026-03-29T01:00", "2026-03-30T00:30"));
    assert_times(BERLIN, "0,30 2 * * *", "2026-03-28T12:00",
                 TIMES("2026-03-29T01:00", "2026-03-30T00:00", "2026-03-30T00:30"));
    assert_times(BERLIN, "0 3 * * *", "2026-03-28T12:00", TIMES("2026-03-29T01:00"));
    assert_times(BERLIN, "0 2-3 * * *", "2026-03-28T12:00",
                 TIMES("2026-03-29T01:00", "2026-03-30T00:00"));
    assert_times(NEW_YORK, "15 2 * * *", "2026-03-08T00:00",
                 TIMES("2026-03-08T07:00", "2026-03-09T06:15"));
    /* half an hour: 2:00 is 2:30 */
    assert_times(LORD_HOWE, "15 2 * * *", "2026-10-03T00:00",
                 TIMES("2026-10-03T15:30", "2026-10-04T15:15"));
    assert_times(LORD_HOWE, "45 2 * * *", "2026-10-03T00:00", TIMES("2026-10-03T15:45"));
    assert_times(SYDNEY, "30 2 * * *", "2026-10-03T00:00",
                 TIMES("2026-10-03T16:00", "2026-10-04T15:30"));
    /* midnight itself */
    assert_times(BEIRUT, "@daily", "2026-03-28T00:00",
                 TIMES("2026-03-28T22:00", "2026-03-29T21:00"));
}

static void next__time_that_the_night_has_twice__comes_the_first_time_only(void)
{
    /* 25 October: three o'clock is two o'clock, at 1:00 UTC */
    assert_times(BERLIN, "30 2 * * *", "2026-10-24T12:00",
                 TIMES("2026-10-25T00:30", "2026-10-26T01:30"));
    assert_times(BERLIN, "30 2 * * *", "2026-10-25T00:45", TIMES("2026-10-26T01:30"));
    assert_times(BERLIN, "0 2,3 * * *", "2026-10-24T12:00",
                 TIMES("2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"));
    assert_times(NEW_YORK, "30 1 * * *", "2026-11-01T00:00",
                 TIMES("2026-11-01T05:30", "2026-11-02T06:30"));
    assert_times(LORD_HOWE, "45 1 * * *", "2026-04-04T00:00",
                 TIMES("2026-04-04T14:45", "2026-04-05T15:15"));
    assert_times(LORD_HOWE, "15 1 * * *", "2026-04-04T00:00", TIMES("2026-04-04T14:15"));
    assert_times(SYDNEY, "30 2 * * *", "2026-04-04T00:00",
                 TIMES("2026-04-04T15:30", "2026-04-05T16:30"));
    assert_times(BEIRUT, "30 23 * * *", "2026-10-24T00:00",
                 TIMES("2026-10-24T20:30", "2026-10-25T21:30"));
    assert_times(BEIRUT, "@daily", "2026-10-24T00:00",
                 TIMES("2026-10-24T22:00", "2026-10-25T22:00"));
}

static void next__every_hour__goes_on_by_the_clock(void)
{
    assert_times(BERLIN, "30 * * * *", "2026-03-28T23:45",
                 TIMES("2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"));
    assert_times(BERLIN, "30 * * * *", "2026-10-24T23:45",
                 TIMES("2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"));
    assert_times(BERLIN, "*/20 0-23 * * *", "2026-10-25T00:10",
                 TIMES("2026-10-25T00:20", "2026-10-25T00:40", "2026-10-25T01:00",
                       "2026-10-25T01:20", "2026-10-25T01:40", "2026-10-25T02:00"));
    assert_times(LORD_HOWE, "@hourly", "2026-10-03T14:00",
                 TIMES("2026-10-03T14:30", "2026-10-03T16:00", "2026-10-03T17:00"));
    assert_times(LORD_HOWE, "45 * * * *", "2026-04-04T14:00",
                 TIMES("2026-04-04T14:45", "2026-04-04T15:15", "2026-04-04T16:15"));
}

/* What the rules say is what the data base of zones says, where there is one. */
static void next__named_zones__agree_with_their_rules(void)
{
    static const struct {
        const char *name, *rule;
    } zones[] = {{"Europe/Berlin", BERLIN},          {"America/New_York", NEW_YORK},
                 {"Australia/Lord_Howe", LORD_HOWE}, {"Asia/Kolkata", KOLKATA},
                 {"Australia/Sydney", SYDNEY},       {"UTC", UTC}};
    static const char *const texts[] = {"30 2 * * *", "45 1 * * *", "*/15 * * * *", "0 0 1 * mon"};
    for (unsigned i = 0; i < G_N_ELEMENTS(zones); i++) {
        g_autofree char *path = g_strconcat("/usr/share/zoneinfo/", zones[i].name, NULL);
        for (unsigned j = 0; g_file_test(path, G_FILE_TEST_EXISTS) && j < G_N_ELEMENTS(texts);
             j++) {
            struct cron cron;
            g_assert_true(cron_parse(texts[j], &cron, NULL));
            int64_t after_ms = parse_time("2026-01-01T00:00");
            while (after_ms < parse_time("2026-12-31T00:00")) {
                set_zone(zones[i].rule);
                int64_t by_rule_ms = cron_next(&cron, after_ms);
                set_zone(zones[i].name);
                g_assert_cmpint(cron_next(&cron, after_ms), ==, by_rule_ms);
                after_ms = MAX(by_rule_ms, after_ms + 7200000);
            }
        }
    }
    /* a whole day was left out: Samoa went from one side of the date line to the other */
    if (g_file_test("/usr/share/zoneinfo/Pacific/Apia", G_FILE_TEST_EXISTS)) {
        assert_times("Pacific/Apia", "30 12 30 12 *", "2011-12-01T00:00",
                     TIMES("2011-12-30T10:00", "2012-12-29T22:30"));
    }
}

static void parse__what_is_no_schedule__is_refused_with_its_field(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "found 0 fields"},
        {"   ", "found 0 fields"},
        {"3", "found 1 field where five"},
        {"0 0 3 * * *", "found 6 fields"},
        {"60 * * * *", "the minute \"60\" is no number from 0 to 59"},
        {"-1 * * * *", "the minute \"-1\""},
        {"* 24 * * *", "the hour \"24\" is no number from 0 to 23"},
        {"* * 0 * *", "the day \"0\" is no number from 1 to 31"},
        {"* * 32 * *", "the day \"32\""},
        {"* * * 13 *", "the month \"13\" is no number from 1 to 12 and no name such as feb"},
        {"* * * * 8", "the weekday \"8\" is no number from 0 to 7 and no name such as mon"},
        {"* * * * monday", "the weekday \"monday\" is not understood"},
        {"1,,2 * * * *", "has a comma with nothing beside it"},
        {"1, * * * *", "has a comma"},
        {"*/0 * * * *", "has a step that is not from 1 to 59"},
        {"*/60 * * * *", "has a step"},
        {"*/ * * * *", "has a step"},
        {"5/10 * * * *", "has a step, but no range"},
        {"1-99 * * * *", "the minute \"1-99\" is no number"},
        {"1- * * * *", "the minute \"1-\""},
        {"* 22-2 * * *", "ends before it begins: write it as two ranges"},
        {"1-2-3 * * * *", "is not understood"},
        {"*5 * * * *", "is not understood"},
        {"** * * * *", "is not understood"},
        {"99999999999999999999 * * * *", "the minute"},
        {"? * * * *", "the minute \"?\""},
        {"* * L * *", "the day \"L\""},
        {"0 0 30 2 *", "no month that it names has the day \"30\""},
        {"0 0 31 4,6,9,11 *", "no month"},
        {"@reboot", "\"@reboot\" is none of @yearly"},
        {"@daily * * * *", "the minute \"@daily\""},
        {"\x1b[31m * * * *", "the minute \"\\x1b[31m\""},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct cron cron;
        g_autoptr(GError) error = NULL;
        g_assert_false(cron_parse(cases[i].text, &cron, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        if (!strstr(error->message, cases[i].words))
            g_error("\"%s\": %s", cases[i].text, error->message);
    }
}

static void parse__ways_to_write_it__mean_the_same(void)
{
    static const char *const same[][2] = {
        {"@daily", "0 0 * * *"},
        {"@midnight", " 0\t0  * * * "},
        {"@Weekly", "0 0 * * 7"},
        {"@monthly", "00 00 1 * *"},
        {"@yearly", "0 0 1 JAN *"},
        {"@annually", "0 0 1 1-1 *"},
        {"@hourly", "0 */1 * * *"},
        {"*/15 * * * *", "0-59/15 * * * *"},
        {"0 0 * * mon,WED,5", "0 0 * * 1,3,5"},
        {"0 0 * jan-mar/2 *", "0 0 * 1,3 *"},
        {"0 0 * * 5-7", "0 0 * * fri,sat,sun"},
        {"0 0 * * 0-7", "0 0 * * 0-6"},
    };
    set_zone(UTC);
    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++) {
        struct cron first, second;
        g_assert_true(cron_parse(same[i][0], &first, NULL));
        g_assert_true(cron_parse(same[i][1], &second, NULL));
        g_assert_cmpint(first.minutes, ==, second.minutes);
        g_assert_cmpint(first.hours, ==, second.hours);
        g_assert_cmpint(first.days, ==, second.days);
        g_assert_cmpint(first.months, ==, second.months);
        g_assert_cmpint(first.weekdays, ==, second.weekdays);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poll_cron/next__ordinary_days__is_the_next_that_fits",
                    next__ordinary_days__is_the_next_that_fits);
    g_test_add_func("/poll_cron/next__sub_second_and_early_times__are_not_given_twice",
                    next__sub_second_and_early_times__are_not_given_twice);
    g_test_add_func("/poll_cron/next__day_and_weekday__either_when_both_are_restricted",
                    next__day_and_weekday__either_when_both_are_restricted);
    g_test_add_func("/poll_cron/next__rare_days__are_found_years_ahead",
                    next__rare_days__are_found_years_ahead);
    g_test_add_func("/poll_cron/next__time_that_the_night_leaves_out__comes_at_once_after_the_gap",
                    next__time_that_the_night_leaves_out__comes_at_once_after_the_gap);
    g_test_add_func("/poll_cron/next__time_that_the_night_has_twice__comes_the_first_time_only",
                    next__time_that_the_night_has_twice__comes_the_first_time_only);
    g_test_add_func("/poll_cron/next__every_hour__goes_on_by_the_clock",
                    next__every_hour__goes_on_by_the_clock);
    g_test_add_func("/poll_cron/next__named_zones__agree_with_their_rules",
                    next__named_zones__agree_with_their_rules);
    g_test_add_func("/poll_cron/parse__what_is_no_schedule__is_refused_with_its_field",
                    parse__what_is_no_schedule__is_refused_with_its_field);
    g_test_add_func("/poll_cron/parse__ways_to_write_it__mean_the_same",
                    parse__ways_to_write_it__mean_the_same);
    return g_test_run();
}
