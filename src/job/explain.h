/* The end of a step in words. Pure. */
#ifndef PHANTOM_CI_JOB_EXPLAIN_H
#define PHANTOM_CI_JOB_EXPLAIN_H

#include "base/spawn.h"

/* "exit 127: command not found ..."; NULL for exit 0. Free with g_free(). */
char *explain_status(int wait_status);

/* Why a program could not be started. `path` is the PATH that was searched. Free with g_free(). */
char *explain_spawn_failure(const struct spawn_failure *failure, const char *program,
                            const char *path);

#endif
