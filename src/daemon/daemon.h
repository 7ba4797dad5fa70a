/*
 * The supervisor: `phantom_ci` without a command. It looks at the remotes when they are due,
 * records what it saw, starts phantom_ci-job processes, and notes how they end. It runs nothing of
 * a repository itself.
 */
#ifndef PHANTOM_CI_DAEMON_DAEMON_H
#define PHANTOM_CI_DAEMON_DAEMON_H

#include <stdbool.h>

#include "base/paths.h"

struct daemon_options {
    bool quiet;     /* job output goes to the logs alone */
    bool kill_jobs; /* a stop ends the running jobs instead of leaving them to the next daemon */
    int ready_fd;   /* gets one byte when the daemon is ready, and is closed; -1 = none */
};

/* Runs until SIGTERM or SIGINT. Returns the exit code (enum exit_code): 75 when another daemon has
 * the state directory, 78 when the configuration is invalid. */
int daemon_main(const struct paths *paths, const struct daemon_options *options);

#endif
