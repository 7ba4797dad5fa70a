/*
 * A plan as a call of bubblewrap, bwrap(1), which makes namespaces and mounts, also for an ordinary
 * user, and starts phantom_ci-sandbox as the first process inside.
 *
 * 1. bubblewrap_find() once a job. 2. bubblewrap_call_new() for each step, with the descriptors
 * that bwrap reads (the filter, made-up files). 3. Start it with those as descriptors from
 * BUBBLEWRAP_FIRST_FD on, in this order, behind the three of sandbox/inside.h. 4.
 * bubblewrap_call_free().
 */
#ifndef PHANTOM_CI_SANDBOX_BUBBLEWRAP_H
#define PHANTOM_CI_SANDBOX_BUBBLEWRAP_H

#include <glib.h>

#include "sandbox/plan.h"

enum { BUBBLEWRAP_FIRST_FD = 6, BUBBLEWRAP_MAX_FDS = 5 };

/* abilities_find_bubblewrap(), where ERROR_NOT_FOUND says how to install it. */
char *bubblewrap_find(GError **error);

struct bubblewrap_call {
    char **argv; /* with the program of the step and its arguments at the end */
    int fds[BUBBLEWRAP_MAX_FDS];
    int fd_count;
};

struct bubblewrap_call *bubblewrap_call_new(const char *bwrap, const struct sandbox_policy *policy,
                                            const GPtrArray *plan, const char *const *step_argv,
                                            GError **error);
void bubblewrap_call_free(struct bubblewrap_call *call);

/* What bwrap has written to its standard error, as one line for people with the mend where it is
 * known. Free with g_free(). */
char *bubblewrap_explain(const char *stderr_text);

#endif
