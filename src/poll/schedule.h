/*
 * When to look next. Pure: times go in, times come out, in milliseconds.
 *
 * The clock behind them is CLOCK_MONOTONIC: it knows no jumps, and on Linux it stands still while
 * the machine is suspended, so that after a resume looks fall due spread as they were, not all at
 * once.
 */
#ifndef PHANTOM_CI_POLL_SCHEDULE_H
#define PHANTOM_CI_POLL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SCHEDULE_BACKOFF_CAP_MS = 15 * 60 * 1000,
    SCHEDULE_WATCHED_MS = 15 * 60 * 1000,
    SCHEDULE_FIRST_APART_MS = 10,
    SCHEDULE_FIRST_APART_HERE_MS = 1, /* on this machine */
    SCHEDULE_SLACK_MAX_MS = 250,
};

/* The time from now to the first look at remote number `position` of `count` on one host: one after
 * the other, `apart_ms` apart, so that a handful begin at once; but all within the interval. */
int64_t schedule_first(unsigned position, unsigned count, int64_t apart_ms, int64_t interval_ms);

/* The time from the begin of a good look to that of the next one. After the `first` it is anywhere
 * in the interval, so that remotes that began together part; later looks keep a jitter of 5 %.
 * `random` is any number. */
int64_t schedule_after_success(int64_t interval_ms, bool first, uint32_t random);

/* The same for looks at files of this machine, which spare no server by being spread: all those of
 * one interval fall on the same moments, the multiples of it, so that one wake-up does for them.
 * From a twentieth of the interval to a twentieth more than it. */
int64_t schedule_together(int64_t begun_ms, int64_t interval_ms);

/* The time until the look after `failures` (>= 1) failed ones in a row: the interval doubled each
 * time, at most the larger of the interval and SCHEDULE_BACKOFF_CAP_MS, less up to 20 % of jitter.
 */
int64_t schedule_after_failure(int64_t interval_ms, unsigned failures, uint32_t random);

/* When the next look is due, `wait_ms` after the begin of the last one: but a look that took long
 * (a slow server, a hung one) is always followed by a pause of a quarter of the wait. */
int64_t schedule_due(int64_t begun_ms, int64_t ended_ms, int64_t wait_ms);

/* poll_interval = "auto": a twentieth of the time since something last changed, within the bounds.
 * What changed an hour ago is looked at every three minutes: the wait for a push is a small part of
 * the time without one. */
int64_t schedule_automatic(int64_t quiet_ms, int64_t least_ms, int64_t most_ms);

/* A repository whose files are watched tells of changes itself: its looks are a safety net. */
int64_t schedule_watched(int64_t interval_ms);

/* How much too early a look may begin, for the sake of fewer wake-ups. */
int64_t schedule_slack(int64_t interval_ms);

#endif
