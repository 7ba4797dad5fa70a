/*
 * Starting phantom_ci-job for a queued job.
 *
 * 1. launch_take_lock() takes the job's lock: whoever holds it is the only one that may start the
 *    job.
 * 2. launch_job() spawns phantom_ci-job with that lock as descriptor 3, the section as JSON on
 *    descriptor 0 (an unlinked file), and a minimal environment. It runs in a session of its own
 *    and survives its parent.
 * 3. The job itself turns queued into running (store_job_claim), so that a crash between the two
 *    steps leaves a queued job and nothing else.
 */
#ifndef PHANTOM_CI_DAEMON_LAUNCH_H
#define PHANTOM_CI_DAEMON_LAUNCH_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/paths.h"
#include "config/config.h"

#define DAEMON_ERROR (g_quark_from_static_string("phantom-ci-daemon"))

/* Exit codes of phantom_ci-job. */
enum {
    LAUNCH_EXIT_SUCCESS = 0,      /* final state success */
    LAUNCH_EXIT_NEGATIVE = 1,     /* any other final state */
    LAUNCH_EXIT_NOT_CLAIMED = 75, /* not queued any more, or another job of its branch is running */
};

/* A close-on-exec descriptor, or -1: ERROR_BUSY when the job is in somebody's hands already. */
int launch_take_lock(const struct paths *paths, int64_t job, GError **error);

enum launch_output {
    LAUNCH_OUTPUT_PREFIXED, /* "app#12 | line" on stdout, for the daemon */
    LAUNCH_OUTPUT_PLAIN,    /* the lines alone, for `phantom_ci run` */
    LAUNCH_OUTPUT_QUIET,    /* only in the log */
};

/* `repo` is a section of `config`. Returns the pid of phantom_ci-job's guard process, a child of
 * the caller, or -1. Takes nothing over: the caller closes its copy of lock_fd. */
pid_t launch_job(const struct paths *paths, const struct config *config,
                 const struct repo_config *repo, int64_t job, int lock_fd,
                 enum launch_output output, GError **error);

/* phantom_ci-job in the role of `phantom_ci sandbox`: `how` is explain, json or run, `command`
 * (NULL-terminated) what is run. Its pid, a child of the caller with the caller's output, or -1. */
pid_t launch_sandbox_trial(const struct paths *paths, const struct config *config,
                           const struct repo_config *repo, const char *how,
                           const char *const *command, GError **error);

#endif
