/*
 * What a job may take (memory_max, pids_max, cpu_max, disk_max, nice of its section), how that is
 * kept to here, and what it took.
 *
 * memory_max and pids_max are kept to by the kernel where control groups can be had
 * (sandbox/cgroup.h); elsewhere the processes are looked at several times a second, which ends a
 * step that goes on taking, but not before it has taken. cpu_max needs control groups. disk_max is
 * measured by a walk, a bite at a time, and a single file can't grow beyond it. What is not kept to
 * by the kernel is told in a note of the job: a limit that was asked for is never silently none.
 *
 * 1. limits_new() once a job.
 * 2. For each step: limits_begin(), the leader is started with what it gives; limits_look() until
 *    then and then, as limits_next_look_ms() asks; when the leader has ended, everything is ended
 *    with limits_groups(), and then limits_end().
 * 3. limits_free().
 */
#ifndef PHANTOM_CI_JOB_LIMITS_H
#define PHANTOM_CI_JOB_LIMITS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"
#include "base/spawn.h"
#include "config/config.h"
#include "job/reap.h"

struct limits;

/* `workspace` and `temporary` are what disk_max is about. `in_sandbox`: each step has the processes
 * of its sandbox besides its own, which do not count. */
struct limits *limits_new(const struct repo_config *repo, const struct paths *paths, int64_t job,
                          const char *workspace, const char *temporary, bool in_sandbox);
void limits_free(struct limits *limits);

/* Makes the groups of a step and fills `spawn` for its leader. What can't be had is a matter of the
 * note. `spawn` is good until limits_end(). */
void limits_begin(struct limits *limits, struct spawn_limits *spawn);

/* The leader could not join its groups: from now on the job has none, and `spawn` is filled anew.
 * False when there were none to join. */
bool limits_give_groups_up(struct limits *limits, struct spawn_limits *spawn);

/* What is not kept to by the kernel, once after the first limits_begin(); NULL = nothing to tell.
 * Free with g_free(). */
char *limits_take_note(struct limits *limits);

/* A limit that the running step is over, in words ("disk_max is 1.0 GiB, ..."), or NULL. Free with
 * g_free(). */
char *limits_look(struct limits *limits, int64_t now_ms);
int64_t limits_next_look_ms(const struct limits *limits); /* INT64_MAX = never */

/* The groups of the step, for reap_everything(); NULL when there are none. */
reap_groups limits_groups(const struct limits *limits);

struct limits_end {
    int64_t memory_peak_bytes, pids_peak; /* 0 = unknown */
    int64_t cpu_us;                       /* -1 = unknown */
    char *cause;                          /* which limit made a step fail, or NULL */
    char *over; /* what the step has left is over disk_max, or NULL: it failed, whatever it says */
};
void limits_end_clear(struct limits_end *end);

/* When nothing of the step is alive any more. */
void limits_end(struct limits *limits, struct limits_end *end);

#endif
