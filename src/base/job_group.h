/*
 * The control groups of a job's step, as far as they outlive its process: what they are called,
 * where they were made, and how everything in them is ended. Making them is sandbox/cgroup.h.
 *
 * 1. Before a step's groups are made, their directories are recorded in the job's file
 *    (paths_job_groups()), so that whoever finds the job dead finds them.
 * 2. The leader of the step joins them before it executes. What it starts is born in them: neither
 *    a double fork nor a new session nor an empty environment leads out.
 * 3. job_group_kill(), job_group_remove(); of a job that is dead, job_group_end() does both.
 *
 * Without control groups there is nothing recorded, and every function has nothing to do.
 */
#ifndef PHANTOM_CI_BASE_JOB_GROUP_H
#define PHANTOM_CI_BASE_JOB_GROUP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"

/* "phantom_ci-<16 hex digits>-<job>": the digits are those of job_token(), so that two
 * installations on one machine never meet. Free with g_free(). */
char *job_group_name(const char *state_directory, int64_t job);

/* `directories`: NULL-terminated. */
bool job_group_record(const struct paths *paths, int64_t job, const char *const *directories,
                      GError **error);

/* SIGKILL to everything in these directories (those of one step, NULL-terminated) and below them,
 * at once where the kernel can (cgroup.kill, or the freezer of version 1). Looks and kills until
 * nothing is left, at most patience_ms; false when something is. */
bool job_group_kill(const char *const *directories, int patience_ms);

/* Removes the directories with the groups that the step itself has made in them. False when one
 * stays, because a process in it does not end. */
bool job_group_remove(const char *const *directories);

/* Everything that a job's record names is killed and removed, then the record. Nothing that is not
 * a control group of that job is touched, whatever the record says. */
bool job_group_end(const struct paths *paths, int64_t job, int patience_ms);

/* Whether the process with this number is in a group of this name, as /proc says. */
bool job_group_has_process(const char *name, const char *pid_name);

/* Pure, of the text of /proc/<pid>/cgroup. */
bool job_group_is_in(const char *text, const char *name);

#endif
