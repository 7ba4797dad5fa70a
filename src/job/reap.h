/*
 * Everything that descends from this process: found, told to end, killed, and waited for until
 * nothing is left. On Linux the caller is a child subreaper (PR_SET_CHILD_SUBREAPER), so that
 * daemonised grandchildren come back to it.
 */
#ifndef PHANTOM_CI_JOB_REAP_H
#define PHANTOM_CI_JOB_REAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Makes this process the parent of its orphaned descendants. False where the system can't. */
bool reap_become_subreaper(void);

struct reap_report {
    unsigned count; /* different processes that were told to end */
    GString *names; /* of the first few, "sleep, sh"; NULL = not wanted */
};

/* The control groups (base/job_group.h) that all descendants to be killed are in; NULL = none. */
typedef const char *const *reap_groups;

/* Returns when this process has no child any more. SIGTERM first, for at most grace_ms (0: not at
 * all), then SIGKILL, to the groups and to each descendant, again and again, also to what is born
 * meanwhile. `report` may be NULL. Costs one system call when there is nothing. */
void reap_everything(int grace_ms, reap_groups groups, struct reap_report *report);

/* One signal to every descendant that exists now. */
void reap_signal_all(int signal_number);

/* What all descendants together take now. */
struct reap_usage {
    int64_t memory_bytes; /* resident; what several share counts for each of them */
    int64_t tasks;        /* processes and threads */
};
void reap_measure(struct reap_usage *usage);

/* The same memory with shared pages counted once, as far as this user may know (costs more). */
int64_t reap_measure_shared_bytes(void);

/* The processes and threads of this user on the whole machine. */
int64_t reap_count_tasks_of_user(void);

#endif
