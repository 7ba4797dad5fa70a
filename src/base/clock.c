#include "base/clock.h"

#include <glib.h>
#include <time.h>

static int64_t read_clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_offset_ms(void)
{
#ifdef PHANTOM_CI_FAULTS
    const char *path = g_getenv("PHANTOM_CI_TEST_CLOCK");
    g_autofree char *text = NULL;
    if (path && g_file_get_contents(path, &text, NULL, NULL)) {
        return g_ascii_strtoll(text, NULL, 10);
    }
#endif
    return 0;
}

int64_t clock_now_ms(void)
{
    return read_clock_ms(CLOCK_REALTIME) + clock_offset_ms();
}

int64_t clock_monotonic_ms(void)
{
    return read_clock_ms(CLOCK_MONOTONIC);
}

int64_t clock_left_ms(int64_t end_ms)
{
    int64_t left_ms = end_ms - clock_monotonic_ms();
    return MAX(left_ms, 0);
}

char *clock_format(int64_t utc_ms)
{
    if (utc_ms == 0) {
        return g_strdup("-");
    }
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm local;
    char text[64];
    if (!localtime_r(&seconds, &local) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local) == 0) {
        return g_strdup("-");
    }
    return g_strdup(text);
}

char *clock_format_relative(int64_t utc_ms, int64_t now_ms)
{
    if (utc_ms == 0) {
        return g_strdup("never");
    }
    int64_t away_s = (now_ms > utc_ms ? now_ms - utc_ms : utc_ms - now_ms) / 1000;
    static const struct {
        int64_t below_s, unit_s;
        const char *name;
    } steps[] = {
        {120, 1, "s"}, {2 * 3600, 60, "min"}, {2 * 86400, 3600, "h"}, {INT64_MAX, 86400, "d"}};
    unsigned i = 0;
    while (away_s >= steps[i].below_s) {
        i++;
    }
    int64_t count = away_s / steps[i].unit_s;
    if (utc_ms > now_ms) {
        return g_strdup_printf("in %" G_GINT64_FORMAT " %s", count, steps[i].name);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " %s ago", count, steps[i].name);
}
