/*
 * What the daemon does beside looks and jobs: old things are removed, and no job is started on a
 * disk that is nearly full.
 *
 * The removal is `phantom_ci gc --quiet` in a process of its own: to unlink a big tree blocks for
 * seconds, and a list of all jobs takes memory that the daemon would not give back. It runs some
 * minutes after the start, at most once an hour after jobs have ended, once a day in any case, and
 * when the disk becomes short.
 *
 * 1. housekeeping_new(), housekeeping_set_config().
 * 2. housekeeping_job_ended() when one did; housekeeping_may_start() is the gate of supervise.h.
 * 3. housekeeping_run() in each round of the loop, housekeeping_children() after SIGCHLD,
 *    housekeeping_next_due_ms() for the time to wait.
 * 4. housekeeping_free() ends a gc that is under way; the next one goes on where it was.
 */
#ifndef PHANTOM_CI_DAEMON_HOUSEKEEPING_H
#define PHANTOM_CI_DAEMON_HOUSEKEEPING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"

struct housekeeping;
struct housekeeping *housekeeping_new(const struct paths *paths);
void housekeeping_free(struct housekeeping *housekeeping);

/* `config` must live until the next call. */
void housekeeping_set_config(struct housekeeping *housekeeping, const struct config *config);

void housekeeping_job_ended(struct housekeeping *housekeeping);

/* Whether `count` jobs (may be 0: none waits) may start now. The first time that they may not, and
 * the first time that they may again, is an event. */
bool housekeeping_may_start(void *housekeeping, unsigned count);

/* Does what is due. True when jobs that wait for the disk should be tried again now. */
bool housekeeping_run(struct housekeeping *housekeeping, int64_t now_ms);

/* Reaps a gc that has ended; true when that may have made room for jobs that wait. */
bool housekeeping_children(struct housekeeping *housekeeping);

/* Monotonic; INT64_MAX = nothing. */
int64_t housekeeping_next_due_ms(const struct housekeeping *housekeeping);

#endif
