/*
 * One step: a program in a session of its own, its output taken as it comes, its end and the end of
 * everything that it started waited for.
 */
#ifndef PHANTOM_CI_JOB_STEP_H
#define PHANTOM_CI_JOB_STEP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/spawn.h"
#include "job/confined.h"
#include "job/echo.h"
#include "job/limits.h"

enum step_end {
    STEP_END_EXITED,      /* wait_status tells how */
    STEP_END_NOT_STARTED, /* failure tells why */
    STEP_END_TIMEOUT,
    STEP_END_IDLE,        /* no output for idle_ms */
    STEP_END_LIMIT,       /* `over` tells which */
    STEP_END_STOPPED,     /* should_stop() said so */
    STEP_END_SINK_FAILED, /* its output could not be kept; the sink's error is returned */
};

struct step_run {
    const char *const *argv;
    const char *const *envp;
    const char *directory;
    const struct confinement *confinement; /* NULL = a plain process */
    int64_t deadline_ms;                   /* monotonic */
    int64_t grace_ms;                      /* between SIGTERM and SIGKILL */
    int64_t idle_ms;                       /* 0 = it may be silent for ever */
    struct limits *limits;                 /* NULL = none */
    int stop_fd;                           /* readable: ask should_stop() */
    bool (*should_stop)(void *data);
    bool (*sink)(const char *bytes, size_t length, void *data, GError **error);
    void *data;
    struct echo *echo; /* pumped while the step runs; or NULL */
};

struct step_outcome {
    enum step_end end;
    int wait_status; /* of the leader, if it was started */
    struct spawn_failure failure;
    int64_t cpu_us; /* user and system time of everything that was waited for */
    int64_t max_rss_bytes;
    unsigned left_count; /* processes that were alive when the leader had ended, and were killed */
    char *left_names;    /* or NULL */
    int64_t memory_peak_bytes, pids_peak; /* of all processes together; 0 = unknown */
    char *over;  /* STEP_END_LIMIT, or what the step has left is too much: the limit, in words */
    char *cause; /* a limit that may have made the step fail, in words, or NULL */
};
void step_outcome_clear(struct step_outcome *outcome);

/* When it returns, nothing that the step started is alive. False with `error` only for
 * STEP_END_SINK_FAILED and for failures of the runner itself (no pipe, no process). */
bool step_run(const struct step_run *run, struct step_outcome *outcome, GError **error);

#endif
