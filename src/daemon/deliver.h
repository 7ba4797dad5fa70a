/*
 * Delivering messages: from the outbox through phantom_ci-net to the receivers of .env.
 *
 * One message at a time for each receiver, oldest first. What a receiver does (slow, dead, wrong)
 * holds up its own messages and nothing else. The URLs and secrets are read from .env when there is
 * something to send, and wiped after it.
 */
#ifndef PHANTOM_CI_DAEMON_DELIVER_H
#define PHANTOM_CI_DAEMON_DELIVER_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "store/store.h"

struct deliver;

/* Messages whose attempt was cut off by the end of the last daemon wait again. */
struct deliver *deliver_new(const struct paths *paths, struct store *store);
void deliver_free(struct deliver *deliver);

/* For notify = ...; the config is kept by the caller. */
void deliver_set_config(struct deliver *deliver, const struct config *config);

/* There may be something new in the outbox. */
void deliver_wake(struct deliver *deliver);

/* Addresses what is new and sends what is due. Cheap when nothing is. */
void deliver_run(struct deliver *deliver);

/* When deliver_run() has something to do next, monotonic; INT64_MAX = not before a wake. */
int64_t deliver_next_due_ms(const struct deliver *deliver);

/* True while attempts are under way. */
bool deliver_is_busy(const struct deliver *deliver);

void deliver_add_fds(struct deliver *deliver, GArray *pollfds);
void deliver_handle(struct deliver *deliver, const struct pollfd *fds, unsigned count);

#endif
