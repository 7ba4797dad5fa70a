/*
 * Injected faults, in builds with -Dfaults=true only.
 * PHANTOM_CI_FAULT="store.commit:3:ENOSPC,git.fetch:1:KILL" makes the third call (`*`: every call)
 * of fault_point("store.commit") return ENOSPC, and the first of "git.fetch" kill the process with
 * SIGKILL.
 */
#ifndef PHANTOM_CI_BASE_FAULT_H
#define PHANTOM_CI_BASE_FAULT_H

#ifdef PHANTOM_CI_FAULTS
/* 0, or the errno that the caller must fail with. */
int fault_point(const char *name);
#else
static inline int fault_point(const char *name)
{
    (void)name;
    return 0;
}
#endif

#endif
