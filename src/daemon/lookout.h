/*
 * What becomes of looks: recorded in the database when there is news, and in state/looks for the
 * commands that tell of them.
 *
 * 1. lookout_new() opens the file. 2. lookout_set_config() before poller_set_config(), for the
 * poller asks what is remembered. 3. lookout_callbacks() are the poller's. 4. lookout_write() in
 * each turn of the loop, before it sleeps. 5. lookout_free().
 */
#ifndef PHANTOM_CI_DAEMON_LOOKOUT_H
#define PHANTOM_CI_DAEMON_LOOKOUT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "poll/poller.h"
#include "store/store.h"

struct lookout;
struct lookout *lookout_new(const struct paths *paths, struct store *store);
void lookout_free(struct lookout *lookout);
void lookout_set_config(struct lookout *lookout, const struct config *config);
struct poller_callbacks lookout_callbacks(struct lookout *lookout);

/* True once after a look has queued jobs, or stored notices. */
bool lookout_take_jobs(struct lookout *lookout);
bool lookout_take_notices(struct lookout *lookout);

/* `until_ms`: when the loop wakes by itself, monotonic; INT64_MAX = not by itself. */
void lookout_write(struct lookout *lookout, const struct poller *poller, int64_t until_ms);

#endif
