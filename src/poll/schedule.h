/* When to look next. Pure: times go in, times come out, on the monotonic clock in milliseconds. */
#ifndef PHANTOM_CI_POLL_SCHEDULE_H
#define PHANTOM_CI_POLL_SCHEDULE_H

#include <stdint.h>

enum { SCHEDULE_BACKOFF_CAP_MS = 15 * 60 * 1000 };

/* The time until the look after a good one. `first` spreads remotes that all began together over
 * the second half of the interval; later looks keep a jitter of 5 %. `random` is any number. */
int64_t schedule_after_success(int64_t interval_ms, int first, uint32_t random);

/* The time until the look after `failures` (>= 1) failed ones in a row: the interval doubled each
 * time, at most the larger of the interval and SCHEDULE_BACKOFF_CAP_MS, less up to 20 % of jitter.
 */
int64_t schedule_after_failure(int64_t interval_ms, unsigned failures, uint32_t random);

#endif
