/*
 * Jobs that the store calls running although nobody holds their lock: their process died, and with
 * it everything it knew. They become `interrupted`, once, and are re-run only where the section
 * says so.
 */
#ifndef PHANTOM_CI_DAEMON_RECONCILE_H
#define PHANTOM_CI_DAEMON_RECONCILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "store/store.h"

/* One job. *interrupted says whether this call found it dead. Kills processes that the job left
 * (Linux: found by PHANTOM_CI_JOB_TOKEN in their environment), removes its temporary directory,
 * lock and control FIFO, marks its steps, and where `repo` (may be NULL) has on_interrupt = rerun,
 * queues it again with retry_of. */
bool reconcile_job(const struct paths *paths, struct store *store, const struct repo_config *repo,
                   int64_t job, bool *interrupted, GError **error);

/* Queues an interrupted job again where `repo` (may be NULL) has on_interrupt = rerun; joins an
 * open transaction. */
bool reconcile_rerun(struct store *store, const struct repo_config *repo, const struct job *job,
                     GError **error);

#endif
