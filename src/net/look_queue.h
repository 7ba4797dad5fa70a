/*
 * Whose turn it is: looks wait by host, the hosts take turns, and neither one host nor all together
 * have more than their number on their way at once. Pure: it knows tickets, not looks.
 *
 * 1. look_queue_new(). 2. look_queue_push() each ticket; look_queue_pop() as long as it gives one:
 * that one runs. 3. look_queue_leave() when it ran, or wherever it is.
 * 4. look_queue_free(), once no ticket is in it.
 */
#ifndef PHANTOM_CI_NET_LOOK_QUEUE_H
#define PHANTOM_CI_NET_LOOK_QUEUE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct look_queue;
struct look_host;

enum look_turn { LOOK_TURN_NONE, LOOK_TURN_WAITS, LOOK_TURN_RUNS, LOOK_TURN_PUT_OFF };

/* Part of what waits; zeroed at first. */
struct look_ticket {
    struct look_host *host;
    enum look_turn turn;
    unsigned at_once; /* as many of the host as may run together with this one */
    bool is_rare;     /* set by look_queue_push(): nobody came to this host for LOOK_RARE_MS */
    GList link;       /* link.data: whatever the caller put there */
};

enum {
    /* Longer than servers commonly keep a connection for whose next request they wait. */
    LOOK_RARE_MS = 90 * 1000,
    LOOK_HOSTS_KEPT = 1024, /* hosts remembered when nothing is going on there */
};

struct look_queue *look_queue_new(unsigned at_once);
void look_queue_free(struct look_queue *queue);

void look_queue_push(struct look_queue *queue, struct look_ticket *ticket, const char *origin,
                     unsigned at_once, int64_t now_ms);

/* One that runs makes room for others, until it is called back: then it comes before the others of
 * its host. */
void look_queue_put_off(struct look_queue *queue, struct look_ticket *ticket);
void look_queue_call_back(struct look_queue *queue, struct look_ticket *ticket);

/* NULL: none waits, or none may run now. */
struct look_ticket *look_queue_pop(struct look_queue *queue);

/* Takes it out, wherever it is; nothing is done when it is not in. */
void look_queue_leave(struct look_queue *queue, struct look_ticket *ticket);

unsigned look_queue_running(const struct look_queue *queue);
unsigned look_queue_waiting(const struct look_queue *queue);

#endif
