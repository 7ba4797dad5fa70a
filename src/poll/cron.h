/*
 * Times of a schedule, as crontab(5) writes them: "minute hour day month weekday", in local time
 * (tzset(3)). Pure but for the time zone.
 *
 * Each field is '*' or a list, with commas, of numbers, ranges (1-5) and steps (0-30/10, * /10
 * without the blank); months and weekdays may be named (JAN, mon), and 7 is Sunday, too. When both
 * day and weekday are restricted (neither begins with '*'), one of them is enough. Or one of
 * @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly.
 *
 * When the clocks change: a time that the night leaves out comes at once after the gap, and a time
 * that it has twice comes the first time. Only a schedule of every hour (all 24 in the hour field)
 * just goes on by the clock: what the night leaves out is left out, and what it has twice comes
 * twice, so that it keeps its distances.
 */
#ifndef PHANTOM_CI_POLL_CRON_H
#define PHANTOM_CI_POLL_CRON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define CRON_ERROR (g_quark_from_static_string("phantom-ci-cron"))

struct cron {
    /* one bit for each number that is asked for */
    uint64_t minutes;  /* 0 to 59 */
    uint32_t hours;    /* 0 to 23 */
    uint32_t days;     /* 1 to 31 */
    uint32_t months;   /* 1 to 12 */
    uint32_t weekdays; /* 0 (Sunday) to 6 */
    bool either_day;   /* a day or a weekday is enough */
};

/* ERROR_INVALID says which field and what is wrong with it. A day that never comes (30 February) is
 * refused, too. */
bool cron_parse(const char *text, struct cron *cron, GError **error);

/* The first time after `after_ms`, both UTC milliseconds; INT64_MAX when there is none before the
 * year 9999. */
int64_t cron_next(const struct cron *cron, int64_t after_ms);

#endif
