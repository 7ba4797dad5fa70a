/* A schedule, with a time zone (first byte) and a moment (the next four), against every minute. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "poll/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 5, LOOK_AHEAD_MIN = 3000 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_asked_for(const struct cron *cron, int64_t utc_s)
{
    time_t time = (time_t)utc_s;
    struct tm tm;
    require(localtime_r(&time, &tm) != NULL);
    bool day = cron->days >> tm.tm_mday & 1;
    bool weekday = cron->weekdays >> tm.tm_wday & 1;
    return (cron->minutes >> tm.tm_min & 1) && (cron->hours >> tm.tm_hour & 1) &&
           (cron->months >> (tm.tm_mon + 1) & 1) &&
           (cron->either_day ? day || weekday : day && weekday);
}

static long offset_at(int64_t utc_s)
{
    time_t time = (time_t)utc_s;
    struct tm tm;
    require(localtime_r(&time, &tm) != NULL);
    return tm.tm_gmtoff;
}

/* Far from a change of the clocks the next time is the next minute that fits. */
static void compare(const struct cron *cron, int64_t after_s, int64_t next_s)
{
    long offset = offset_at(after_s);
    int64_t minute_s = after_s - after_s % 60 + 60;
    for (unsigned i = 0; i < LOOK_AHEAD_MIN; i++, minute_s += 60) {
        if (offset_at(minute_s + 86400) != offset || offset_at(minute_s - 86400) != offset ||
            offset_at(minute_s) != offset)
            return;
        if (is_asked_for(cron, minute_s)) {
            require(next_s == minute_s);
            return;
        }
        require(next_s != minute_s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const zones[] = {"UTC0",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                        "IST-5:30",
                                        "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                        "EET-2EEST,M3.5.0/0,M10.5.0/0",
                                        "<-12>12",
                                        "<+14>-14"};
    if (size < HEAD)
        return 0;
    struct cron cron;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strndup((const char *)data + HEAD, size - HEAD);
    bool good = cron_parse(text, &cron, &error);
    require(good == (error == NULL));
    if (!good)
        return 0;
    g_setenv("TZ", zones[data[0] % G_N_ELEMENTS(zones)], TRUE);
    tzset();
    uint32_t from;
    memcpy(&from, data + 1, sizeof(from));
    int64_t time_s = (int64_t)from + 2 * 86400;
    for (unsigned i = 0; i < 4; i++) {
        int64_t next_ms = cron_next(&cron, time_s * 1000);
        require(next_ms > time_s * 1000 && next_ms != INT64_MAX && next_ms % 60000 == 0);
        compare(&cron, time_s, next_ms / 1000);
        time_s = next_ms / 1000;
        /* asked again a moment before, it is the same */
        require(cron_next(&cron, next_ms - 1) == next_ms);
    }
    return 0;
}
