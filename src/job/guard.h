/*
 * The guard of a job: the parent of its worker, which does nothing until the worker has ended, and
 * then makes sure that nothing of the job is left. Both hold the job's lock, so it is free only
 * when all is over.
 */
#ifndef PHANTOM_CI_JOB_GUARD_H
#define PHANTOM_CI_JOB_GUARD_H

#include "base/paths.h"

enum { GUARD_EXIT_WORKER_DIED = 70 };

/* Forks. Returns in the worker; in the guard it ends the process with the worker's exit code, or
 * with GUARD_EXIT_WORKER_DIED when a signal ended it (then the store still says running, and
 * whoever comes next finds the lock free). `lock_fd` gets "GUARD WORKER\n", the two pids. */
void guard_fork(const struct paths *paths, int64_t job, int lock_fd);

#endif
