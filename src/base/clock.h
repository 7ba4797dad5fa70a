/* Time. Stored times are UTC milliseconds since 1970; intervals are measured on the monotonic
 * clock. */
#ifndef PHANTOM_CI_BASE_CLOCK_H
#define PHANTOM_CI_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_now_ms(void);
int64_t clock_monotonic_ms(void);

/* Until a time on the monotonic clock; 0 when it is past. MAX(end - clock_monotonic_ms(), 0) is
 * something else: it asks twice, and can be negative. */
int64_t clock_left_ms(int64_t end_ms);

/* How much clock_now_ms() is ahead of the system's clock: 0, but in builds with injected faults the
 * number of milliseconds in the file that PHANTOM_CI_TEST_CLOCK names. */
int64_t clock_offset_ms(void);

/* Local time, "2026-11-23 19:39:02"; "-" for 0. Free with g_free(). */
char *clock_format(int64_t utc_ms);

/* "12 s ago", "3 min ago", "in 40 s", "2 d ago" seen from now_ms; "never" for 0. Free with
 * g_free(). */
char *clock_format_relative(int64_t utc_ms, int64_t now_ms);

#endif
