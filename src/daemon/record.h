/*
 * What a look saw, made a durable fact: branch tips, queued jobs and decisions in one transaction.
 * Without news nothing is written.
 */
#ifndef PHANTOM_CI_DAEMON_RECORD_H
#define PHANTOM_CI_DAEMON_RECORD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "store/store.h"

/* `refs`: a table as git/refset.h has it; what the section does not ask for counts for nothing.
 * *queued is set when a job may now be ready to start, *told when there may be a new notice in the
 * outbox. The events are printed after the commit. */
bool record_look(const struct paths *paths, struct store *store, const struct repo_config *repo,
                 GHashTable *refs, int64_t now_ms, bool *queued, bool *told, GError **error);

#endif
