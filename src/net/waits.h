/* What an answer's header says about when to come back: Retry-After (RFC 9110, 10.2.3) and the
 * rate limit headers that Discord documents. Strict: what does not fit the grammar is as if absent;
 * more than NET_WAIT_MAX_MS is cut to that. No I/O. */
#ifndef PHANTOM_CI_NET_WAITS_H
#define PHANTOM_CI_NET_WAITS_H

#include <stddef.h>
#include <stdint.h>

struct waits {
    int64_t retry_after_ms; /* -1 = none, as are the others */
    int64_t rate_remaining;
    int64_t rate_reset_ms;
};

#define WAITS_INIT                                                                                 \
    {                                                                                              \
        .retry_after_ms = -1, .rate_remaining = -1, .rate_reset_ms = -1                            \
    }

/* Takes one header line, "Name: value" with or without its line end. Of several Retry-After the
 * longest counts. A date is turned into the time from now_ms (UTC) until then, 0 when it is past.
 */
void waits_read(struct waits *waits, const char *line, size_t length, int64_t now_ms);

#endif
