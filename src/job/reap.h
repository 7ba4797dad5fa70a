/*
 * Everything that descends from this process: found, told to end, killed, and waited for until
 * nothing is left. On Linux the caller is a child subreaper (PR_SET_CHILD_SUBREAPER), so that
 * daemonised grandchildren come back to it.
 */
#ifndef PHANTOM_CI_JOB_REAP_H
#define PHANTOM_CI_JOB_REAP_H

#include <glib.h>
#include <stdbool.h>

/* Makes this process the parent of its orphaned descendants. False where the system can't. */
bool reap_become_subreaper(void);

struct reap_report {
    unsigned count; /* different processes that were told to end */
    GString *names; /* of the first few, "sleep, sh"; NULL = not wanted */
};

/* Returns when this process has no child any more. SIGTERM first, for at most grace_ms (0: not at
 * all), then SIGKILL, again and again, also to what is born meanwhile. `report` may be NULL. Costs
 * one system call when there is nothing. */
void reap_everything(int grace_ms, struct reap_report *report);

/* One signal to every descendant that exists now. */
void reap_signal_all(int signal_number);

#endif
