/*
 * What phantom_ci-job and phantom_ci-sandbox say to each other. phantom_ci-sandbox is the first
 * process of the sandbox (bubblewrap starts it as process 1 of the new pid namespace); it takes
 * away what only a process inside can (Landlock), runs the step, and is the parent of all that the
 * step leaves. libc alone: it is started for each step.
 *
 * 1. Started as `phantom_ci-sandbox [--scopes | --files] [--write PATH]... -- PROGRAM ARGUMENTS...`
 *    in the directory of the step, with its output as descriptor 1 and these descriptors:
 *    INSIDE_REPORT_FD to write reports into, INSIDE_CONTROL_FD to read one-byte orders from,
 *    INSIDE_ENVIRONMENT_FD with the step's environment ("K=V" with NUL behind each), so that
 *    neither bubblewrap nor this program has it as its own.
 * 2. It reports INSIDE_STARTED, or one of the failures and ends.
 * 3. On INSIDE_TERMINATE all processes inside get SIGTERM. At the end of the control pipe it ends
 * at once, and the kernel kills all that is left in the namespace.
 * 4. When the step's program has ended, what is left is told to end and, after a moment, killed;
 *    then INSIDE_ENDED. After INSIDE_TERMINATE it is waited for as long as it takes: then the one
 *    outside keeps the time.
 */
#ifndef PHANTOM_CI_SANDBOX_INSIDE_H
#define PHANTOM_CI_SANDBOX_INSIDE_H

#include <stdint.h>

enum { INSIDE_REPORT_FD = 3, INSIDE_CONTROL_FD = 4, INSIDE_ENVIRONMENT_FD = 5 };

enum { INSIDE_TERMINATE = 'T' };

enum inside_kind {
    INSIDE_STARTED = 1,  /* number: the Landlock version in force, 0 = none */
    INSIDE_NOT_CONFINED, /* number: errno; text: what could not be done */
    INSIDE_NOT_STARTED,  /* number: errno of fork(2) or of reading the environment */
    INSIDE_NOT_EXECUTED, /* number: errno of execve(2) */
    INSIDE_ENDED,        /* number: the wait status; left, text: what had to be killed */
};

/* Of one machine and one build; at most PIPE_BUF, so that it is written and read whole. */
struct inside_report {
    int32_t kind;
    int32_t number;
    uint32_t left;
    char text[116]; /* NUL-terminated */
};

#endif
