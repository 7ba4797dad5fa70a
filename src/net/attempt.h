/* For tests of the confinement, in builds with -Dfaults=true: what an intruder in phantom_ci-net
 * would try. */
#ifndef PHANTOM_CI_NET_ATTEMPT_H
#define PHANTOM_CI_NET_ATTEMPT_H

enum { ATTEMPT_UNKNOWN = 255 };

#ifdef PHANTOM_CI_FAULTS
/* Does the act with this name once; `path` may be NULL. 0 = it worked, an errno = it was refused,
 * ATTEMPT_UNKNOWN = no such act. Those that replace the process never return. */
int attempt(const char *act, const char *path);
#else
static inline int attempt(const char *act, const char *path)
{
    (void)act;
    (void)path;
    return ATTEMPT_UNKNOWN;
}
#endif

#endif
