/*
 * Which look begins next. Pure: times go in, items come out; no look is made here.
 *
 * Everything to look at is an item with a time when it is due. Due items wait at their host; hosts
 * take turns, and within a host the item that has been due longest goes first, so that no host and
 * no item starves when not everything can begin in time. Two kinds of limits hold items back: those
 * of a host (looks at once, looks a minute, a pause that it asked for), and those of a lane, which
 * is what makes the look (a helper process, children that run git).
 *
 * 1. agenda_new(), agenda_set_limits(). 2. agenda_add() each item, agenda_put() says when it is
 * due. 3. agenda_next() in a loop until NULL: each item that it gives is under way until
 * agenda_end(); then agenda_put() again. 4. agenda_remove() items, agenda_free().
 *
 * All times are monotonic milliseconds. Each call costs O(log n).
 */
#ifndef PHANTOM_CI_POLL_AGENDA_H
#define PHANTOM_CI_POLL_AGENDA_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "poll/heap.h"

enum agenda_lane {
    LANE_FILES, /* at once, in this process: has no limits */
    LANE_NET,
    LANE_SSH,
    LANE_GIT,
    AGENDA_LANES
};

struct agenda_limits {
    struct {
        unsigned at_once; /* items under way that began less than patience_ms ago */
        unsigned at_most; /* items under way */
    } lanes[AGENDA_LANES];
    int64_t patience_ms;      /* one that hangs gives its place up, so that it starves nobody */
    unsigned host_at_once;    /* items of one host under way */
    unsigned host_per_minute; /* items of one host that begin; 0 = no limit */
};

enum agenda_state {
    AGENDA_RESTING,   /* not due at any time */
    AGENDA_SCHEDULED, /* due later */
    AGENDA_READY,     /* due, and waits for its turn */
    AGENDA_UNDER_WAY,
};

struct agenda_host;

/* Part of what is looked at. Zeroed before agenda_add(), read-only outside of agenda.c. */
struct agenda_item {
    struct heap_node due; /* due.at is when it is, or was, due */
    int64_t slack_ms;     /* it may begin so much early, together with others */
    int64_t begun_ms;     /* of the last look */
    struct agenda_host *host;
    GList host_link, ready_link, lane_link;
    enum agenda_lane lane;
    enum agenda_state state;
    bool is_young; /* under way for less than patience_ms */
};

struct agenda;
struct agenda *agenda_new(void);
/* Every item must have been removed. */
void agenda_free(struct agenda *agenda);
void agenda_set_limits(struct agenda *agenda, const struct agenda_limits *limits, int64_t now_ms);

/* `host`: items with the same text share its limits; NULL = it has none (this machine). */
void agenda_add(struct agenda *agenda, struct agenda_item *item, const char *host,
                enum agenda_lane lane);
void agenda_remove(struct agenda *agenda, struct agenda_item *item, int64_t now_ms);

/* (Re)schedules an item that is not under way. */
void agenda_put(struct agenda *agenda, struct agenda_item *item, int64_t due_ms, int64_t slack_ms,
                int64_t now_ms);

/* Not while it is under way; a scheduled item rests afterwards. */
void agenda_set_lane(struct agenda *agenda, struct agenda_item *item, enum agenda_lane lane,
                     int64_t now_ms);

/* The next item to begin now, which is under way from here on; NULL when none can. */
struct agenda_item *agenda_next(struct agenda *agenda, int64_t now_ms);
void agenda_end(struct agenda *agenda, struct agenda_item *item, int64_t now_ms);

/* No item of this item's host begins before `until_ms`. A later pause wins. */
void agenda_pause_host(struct agenda *agenda, const struct agenda_item *item, int64_t until_ms,
                       int64_t now_ms);

/* When agenda_next() may have something to give again, if nothing ends before: INT64_MAX = never
 * by itself. */
int64_t agenda_wake_ms(const struct agenda *agenda, int64_t now_ms);

/* The item of the lane that has been under way longest; NULL = none is. */
struct agenda_item *agenda_oldest(const struct agenda *agenda, enum agenda_lane lane);

/* How late items began within the last one to two minutes, or wait now, at worst. */
int64_t agenda_late_ms(const struct agenda *agenda, int64_t now_ms);

/* For how long something could have begun and nothing has: long only when the caller does not ask
 * any more, or when what is under way never ends. */
int64_t agenda_stuck_ms(const struct agenda *agenda, int64_t now_ms);

#endif
