/*
 * The life of one job: claim, fetch, verify signatures, ask for approvals, check the rules, read
 * the workflow, check out, load the secrets, run the steps, record the result. See job_phases in
 * worker.c for the order.
 */
#ifndef PHANTOM_CI_JOB_WORKER_H
#define PHANTOM_CI_JOB_WORKER_H

#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"

enum worker_output { WORKER_OUTPUT_PREFIXED, WORKER_OUTPUT_PLAIN, WORKER_OUTPUT_QUIET };

struct worker_options {
    struct paths paths;
    struct repo_config *repo;
    int64_t job;
    enum worker_output output;
};

/* Returns the exit code of phantom_ci-job: 0 for success, 1 for any other final state, 75 when the
 * job was not to be had (not queued any more, or another job of its branch is running). */
int worker_run(const struct worker_options *options);

#endif
