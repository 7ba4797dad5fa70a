/* Signals as a readable descriptor (self-pipe), for programs with a poll(2) loop. */
#ifndef PHANTOM_CI_DAEMON_SIGNALS_H
#define PHANTOM_CI_DAEMON_SIGNALS_H

#include <glib.h>
#include <stdbool.h>

struct signals {
    bool child;    /* SIGCHLD */
    bool reload;   /* SIGHUP */
    unsigned stop; /* SIGTERM, SIGINT: how many came */
    bool end_jobs; /* SIGQUIT: stop, and end the running jobs */
};

/* Installs the handlers and returns the descriptor to poll, or -1. Once a process. */
int signals_open(GError **error);

/* What came since the last call. */
struct signals signals_take(void);

#endif
