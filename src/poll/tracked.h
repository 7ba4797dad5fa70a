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
    char *known;          /* the digest of the refs that all sections have recorded; or NULL */
    int64_t changed_ms;   /* monotonic: when a look last had news; may lie before the start */
    int64_t begun_utc_ms; /* of the last look */
    unsigned failures;    /* in a row */
    bool seen_well;       /* at least one good look since the start */
    bool again;           /* asked for while a look was under way */
};

/* What a look has come to. */
struct tracked_answer {
    bool same;        /* nothing but what is known */
    GHashTable *refs; /* a good look's, unless `same`; NULL = it failed: */
    const GError *error;
    int64_t not_before_ms; /* monotonic: the server asked for a pause; 0 = it did not */
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

/* Tells every section what the look has come to; returns when the next one is due. */
int64_t tracked_tell_ended(struct tracked *tracked, const struct tracked_answer *answer,
                           const struct poller_callbacks *callbacks, int64_t now_ms);

/* The time between its looks as things are now. */
int64_t tracked_interval_ms(const struct tracked *tracked, int64_t now_ms);

#endif
