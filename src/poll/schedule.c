#include "poll/schedule.h"

#include <glib.h>

/* A share of `whole`, from 0 to just below `whole`. */
static int64_t random_share(int64_t whole, uint32_t random)
{
    return (int64_t)((double)whole * ((double)random / ((double)UINT32_MAX + 1.0)));
}

int64_t schedule_first(unsigned position, unsigned count, int64_t apart_ms, int64_t interval_ms)
{
    int64_t spread_ms = MIN((int64_t)count * apart_ms, interval_ms);
    return count > 0 ? spread_ms * position / count : 0;
}

int64_t schedule_after_success(int64_t interval_ms, bool first, uint32_t random)
{
    if (first) {
        return interval_ms - random_share(interval_ms, random);
    }
    int64_t jitter = interval_ms / 20;
    return interval_ms - jitter + random_share(2 * jitter + 1, random);
}

int64_t schedule_together(int64_t begun_ms, int64_t interval_ms)
{
    int64_t next = (begun_ms + interval_ms / 20) / interval_ms + 1;
    return next * interval_ms - begun_ms;
}

int64_t schedule_after_failure(int64_t interval_ms, unsigned failures, uint32_t random)
{
    int64_t cap = MAX(interval_ms, SCHEDULE_BACKOFF_CAP_MS);
    int64_t wait = interval_ms;
    for (unsigned i = 1; i < failures && wait < cap; i++) {
        wait *= 2;
    }
    wait = MIN(wait, cap);
    return wait - random_share(wait / 5, random);
}

int64_t schedule_due(int64_t begun_ms, int64_t ended_ms, int64_t wait_ms)
{
    return MAX(begun_ms + wait_ms, ended_ms + wait_ms / 4);
}

int64_t schedule_automatic(int64_t quiet_ms, int64_t least_ms, int64_t most_ms)
{
    return CLAMP(quiet_ms / 20, least_ms, most_ms);
}

int64_t schedule_watched(int64_t interval_ms)
{
    return MAX(interval_ms, SCHEDULE_WATCHED_MS);
}

int64_t schedule_slack(int64_t interval_ms)
{
    return MIN(interval_ms / 100, SCHEDULE_SLACK_MAX_MS);
}
