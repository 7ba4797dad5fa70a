/*
 * Makes looks, each by its road (poll/road.h): in the repository's files, through helper processes,
 * or with git. Internal to poll/.
 *
 * 1. roads_new() starts nothing. 2. roads_begin() each look; roads_add_fds(), poll(2),
 * roads_handle(), which calls back. 3. roads_end_overdue() when a look has taken too long;
 * roads_drop() ends one without a word. 4. roads_free() ends everything.
 */
#ifndef PHANTOM_CI_POLL_ROADS_H
#define PHANTOM_CI_POLL_ROADS_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "poll/tracked.h"

/* What a helper may take longer than the look's own time limit. */
enum { ROADS_HELPER_GRACE_MS = 5000 };

struct roads;

struct roads_events {
    /* A look has ended; also from within roads_begin(). */
    void (*over)(struct tracked *tracked, const struct look_answer *answer, void *data);
    /* The files of a watched remote have changed. */
    void (*changed)(struct tracked *tracked, void *data);
    /* What a look has been waiting for since its LOOK_AGAIN is there. */
    void (*ready)(struct tracked *tracked, void *data);
    void *data;
};
struct roads *roads_new(const struct roads_events *events);
void roads_free(struct roads *roads);

/* Asks for the user's git configuration if it is another one than before; true when it is, and all
 * roads are to be decided again (road_decide()). */
bool roads_refresh(struct roads *roads);

/* Once before the looks of a road that was decided. `host_at_once`: looks at one host. */
void roads_plan(struct roads *roads, struct tracked *tracked, unsigned host_at_once);

void roads_begin(struct roads *roads, struct tracked *tracked, enum agenda_lane lane,
                 int64_t timeout_ms);
void roads_drop(struct roads *roads, struct tracked *tracked);

/* When a look of this lane that began at `begun_ms` is overdue. */
int64_t roads_overdue_ms(enum agenda_lane lane, int64_t begun_ms, int64_t timeout_ms);
/* `tracked` is overdue: git is ended, a helper with all that is under way there. */
void roads_end_overdue(struct roads *roads, struct tracked *tracked);

/* The remote is gone, or its refs that are asked for are others: nothing of its files is known. */
void roads_forget_files(struct roads *roads, struct tracked *tracked);

/* Ends what has waited too long for others than servers; not after roads_next_due_ms(). */
void roads_run(struct roads *roads, int64_t now_ms);
int64_t roads_next_due_ms(const struct roads *roads);
void roads_add_fds(struct roads *roads, GArray *pollfds);
void roads_handle(struct roads *roads, const struct pollfd *fds, unsigned count);

#endif
