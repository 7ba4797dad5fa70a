#include "poll/schedule.h"

#include <glib.h>

/* A share of `whole`, from 0 to just below `whole`. */
static int64_t random_share(int64_t whole, uint32_t random)
{
    return (int64_t)((double)whole * ((double)random / ((double)UINT32_MAX + 1.0)));
}

int64_t schedule_after_success(int64_t interval_ms, int first, uint32_t random)
{
    if (first) {
        return interval_ms / 2 + random_share(interval_ms - interval_ms / 2, random);
    }
    int64_t jitter = interval_ms / 20;
    return interval_ms - jitter + random_share(2 * jitter + 1, random);
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
