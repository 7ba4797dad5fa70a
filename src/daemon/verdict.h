/* What an answer of a receiver means for the message. Pure. */
#ifndef PHANTOM_CI_DAEMON_VERDICT_H
#define PHANTOM_CI_DAEMON_VERDICT_H

#include <glib.h>
#include <stdint.h>

#include "net/protocol.h"
#include "store/outbox.h"

enum {
    DELIVERY_FIRST_RETRY_MS = 5 * 1000,
    DELIVERY_RETRY_CAP_MS = 30 * 60 * 1000,
    DELIVERY_GIVE_UP_MS = 24 * 60 * 60 * 1000, /* after the message was written */
    DELIVERY_WAIT_MAX_MS = 6 * 60 * 60 * 1000, /* the longest Retry-After that is obeyed */
};

struct verdict {
    enum outbox_state state; /* delivered, given up, or waiting */
    int64_t wait_ms;         /* waiting: until the next attempt */
    int64_t pause_ms;        /* of the receiver as a whole, whatever came of this message */
};

/* 2xx: delivered. 408, 425, 429, 5xx and every failure to reach the receiver: again, when it says
 * so itself or after 5 s, 10 s, 20 s ... 30 min, each varied by up to a fifth (`random` is 0 to 1).
 * Everything else would be refused again: given up. `attempts` counts this one. */
struct verdict verdict_on_answer(const struct net_answer *answer, int attempts, double random);

/* The wait after an attempt without an answer. */
int64_t verdict_backoff_ms(int attempts, double random);

#endif
