/*
 * How a running job is told to end: through the store (who, why), after a byte in its control FIFO
 * or a SIGTERM. One descriptor becomes readable for both; it also cancels git commands (struct
 * git_limits).
 */
#ifndef PHANTOM_CI_JOB_STOP_H
#define PHANTOM_CI_JOB_STOP_H

#include <glib.h>
#include <stdbool.h>

#include "base/paths.h"
#include "store/store.h"

#define JOB_ERROR_DOMAIN (g_quark_from_static_string("phantom-ci-job"))

/* Makes and opens the job's control FIFO and handles SIGTERM and SIGINT. Once a process. The
 * descriptor, or -1. */
int stop_open(const struct paths *paths, int64_t job, GError **error);

/* Takes what came; the stop that is asked now, with its reason (may be NULL; free with g_free()).
 */
enum job_stop stop_check(int stop_fd, struct store *store, int64_t job, char **reason);

/* Removes the FIFO. */
void stop_remove(const struct paths *paths, int64_t job);

#endif
