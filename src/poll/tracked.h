/* A remote as the poller keeps it: its schedule and what is known of it. Internal to poll/. */
#ifndef PHANTOM_CI_POLL_TRACKED_H
#define PHANTOM_CI_POLL_TRACKED_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "poll/agenda.h"
#include "poll/poller.h"
#include "poll/remote.h"
#include "poll/road.h"

struct tracked {
    struct agenda_item item;     /* the first member: an item of the agenda is its remote */
    const struct remote *remote; /* of the configuration in force */
    struct road road;
    char *known;              /* the digest of the refs that all sections have recorded; or NULL */
    int64_t changed_ms;       /* monotonic: when a look last had news; may lie before the start */
    int64_t begun_utc_ms;     /* of the last look */
    struct local_refs *files; /* what is known of its files; or NULL */
    int64_t watch_from_ms;    /* monotonic: when to try to watch them again */
    unsigned failures;        /* in a row */
    bool seen_well;           /* at least one good look since the start */
    bool again;               /* asked for while a look was under way */
};

enum look_end {
    LOOK_SAME,   /* nothing but what is known */
    LOOK_REFS,   /* `refs`, as git/refset.h has them */
    LOOK_FAILED, /* `error` */
    LOOK_AGAIN,  /* it has to be made again, perhaps by another road */
};

/* What a look has come to. */
struct look_answer {
    enum look_end end;
    GHashTable *refs;
    const GError *error;
    /* monotonic, of LOOK_FAILED and LOOK_AGAIN: no look at this remote before; 0 = no such time */
    int64_t not_before_ms;
    int64_t host_not_before_ms; /* the same for every remote of its host */
};

struct tracked *tracked_new(const struct remote *remote);
/* It is in no agenda any more. */
void tracked_free(struct tracked *tracked);

/* The next look's answer is told to the sections whatever it is. */
void tracked_forget_known(struct tracked *tracked);

/* Asks the sections for what they know from before the start. */
void tracked_recall(struct tracked *tracked, const struct poller_callbacks *callbacks,
                    int64_t now_ms);

void tracked_tell_begun(struct tracked *tracked, const struct poller_callbacks *callbacks);

/* Tells every section what the look has come to (not LOOK_AGAIN); returns when the next one is due.
 */
int64_t tracked_tell_ended(struct tracked *tracked, const struct look_answer *answer,
                           const struct poller_callbacks *callbacks, int64_t now_ms);

/* The time between its looks as things are now. */
int64_t tracked_interval_ms(const struct tracked *tracked, int64_t now_ms);

#endif
