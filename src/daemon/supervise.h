/*
 * The running jobs, as far as the daemon is concerned: its own children, and those of others (a
 * daemon before it, `phantom_ci run`), which it adopts by their lock files.
 *
 * 1. supervise_new(); supervise_adopt() at the start and whenever somebody else may have started a
 *    job.
 * 2. supervise_start_queued() when the queue or the free places changed.
 * 3. supervise_add_fds() / supervise_handle() around poll(2) for adopted jobs, supervise_children()
 *    after SIGCHLD, supervise_next_due_ms() for the time to wait.
 */
#ifndef PHANTOM_CI_DAEMON_SUPERVISE_H
#define PHANTOM_CI_DAEMON_SUPERVISE_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "daemon/launch.h"
#include "store/store.h"

struct supervise;
struct supervise *supervise_new(const struct paths *paths, struct store *store,
                                enum launch_output output);
void supervise_free(struct supervise *supervise);

/* `config` must live until the next call. */
void supervise_set_config(struct supervise *supervise, const struct config *config);

/* Asked before `count` jobs are started (also when there are none): false = not now, the caller of
 * supervise_start_queued() tries again later. */
typedef bool (*supervise_gate)(void *data, unsigned count);
void supervise_set_gate(struct supervise *supervise, supervise_gate gate, void *data);

/* Takes the jobs that the store calls running: those alive are watched, the dead are reconciled. */
void supervise_adopt(struct supervise *supervise);

/* Starts what may start. Trouble is reported as events and tried again later, never fatal. */
void supervise_start_queued(struct supervise *supervise);

/* After SIGCHLD: reaps ended children and records what became of their jobs. */
void supervise_children(struct supervise *supervise);

void supervise_add_fds(struct supervise *supervise, GArray *pollfds);
/* poll(2) reported adopted processes that ended, or supervise_next_due_ms() has come. `may_start`:
 * queued jobs may take the places that became free. */
void supervise_handle(struct supervise *supervise, const struct pollfd *fds, unsigned count,
                      bool may_start);
int64_t supervise_next_due_ms(const struct supervise *supervise);

unsigned supervise_count(const struct supervise *supervise);

/* True once after jobs ended. */
bool supervise_take_news(struct supervise *supervise);

/* Asks all running jobs to end, as interrupted. */
void supervise_kill_all(struct supervise *supervise);

/* One event for each job that goes on without this daemon. */
void supervise_leave_all(struct supervise *supervise);

#endif
