/*
 * `phantom_ci sandbox`: what the sandbox of a section is, and a command tried in it. The same code
 * as for a job's steps, without a job: nothing is fetched, checked out or recorded.
 */
#ifndef PHANTOM_CI_JOB_TRY_SANDBOX_H
#define PHANTOM_CI_JOB_TRY_SANDBOX_H

#include "base/paths.h"
#include "config/config.h"

enum try_sandbox { TRY_SANDBOX_EXPLAIN, TRY_SANDBOX_JSON, TRY_SANDBOX_RUN };

/* Prints, or runs `argv` with its output on standard output; in the workspace of the section's
 * first branch, which is not prepared. Returns the exit code: of a command its own (128 + n for a
 * signal, 127 when it could not be executed), else enum exit_code. */
int try_sandbox(const struct paths *paths, const struct repo_config *repo, enum try_sandbox how,
                const char *const *argv);

#endif
