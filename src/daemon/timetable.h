/*
 * The schedules of sections: when they are due, and the jobs that they queue. A schedule runs the
 * tip of each branch that its section watches, as the last good look recorded it.
 *
 * What has been carried out is a fact in the store, up to which moment, and is written in the
 * transaction that queues the jobs: a crash neither doubles a run nor loses it. What was due while
 * nobody was there (no daemon, a suspended machine) is made up for once. A clock that is set back
 * repeats nothing.
 *
 * 1. timetable_new(), timetable_set_config() (again after every load).
 * 2. In each turn of the loop timetable_run(). To wait for: timetable_fd() becomes readable when
 *    something falls due or the clock was set, and then timetable_take() is called; -1 where the
 *    system has no such thing. timetable_next_due_ms() is for what is left.
 * 3. timetable_free().
 */
#ifndef PHANTOM_CI_DAEMON_TIMETABLE_H
#define PHANTOM_CI_DAEMON_TIMETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "store/store.h"

struct timetable;
struct timetable *timetable_new(struct store *store);
void timetable_free(struct timetable *timetable);

/* `config` must live until the next call. A section's schedule that is new, or has changed, counts
 * from now on. */
void timetable_set_config(struct timetable *timetable, const struct config *config);

/* Does what is due. True when jobs were queued. */
bool timetable_run(struct timetable *timetable);

int timetable_fd(const struct timetable *timetable);
void timetable_take(struct timetable *timetable);

/* Monotonic; INT64_MAX = nothing. */
int64_t timetable_next_due_ms(const struct timetable *timetable);

/* How the store knows a section's schedule. Free with g_free(). */
char *timetable_lines(const struct repo_config *repo);

/* When it is due next (UTC), having been carried out up to done_ms; INT64_MAX = never. */
int64_t timetable_next_ms(const struct repo_config *repo, int64_t done_ms);

#endif
