/*
 * What becomes of looks: recorded in the database when there is news, and in state/looks for the
 * commands that tell of them.
 *
 * 1. looks_new() opens the file. 2. looks_set_config() before poller_set_config(), for the poller
 * asks what is remembered. 3. looks_callbacks() are the poller's. 4. looks_write() in each turn of
 * the loop, before it sleeps. 5. looks_free().
 */
#ifndef PHANTOM_CI_DAEMON_LOOKS_H
#define PHANTOM_CI_DAEMON_LOOKS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "poll/poller.h"
#include "store/store.h"

struct looks;
struct looks *looks_new(const struct paths *paths, struct store *store);
void looks_free(struct looks *looks);
void looks_set_config(struct looks *looks, const struct config *config);
struct poller_callbacks looks_callbacks(struct looks *looks);

/* True once after a look has queued jobs, or stored notices. */
bool looks_take_jobs(struct looks *looks);
bool looks_take_notices(struct looks *looks);

/* `until_ms`: when the loop wakes by itself, monotonic; INT64_MAX = not by itself. */
void looks_write(struct looks *looks, const struct poller *poller, int64_t until_ms);

#endif
