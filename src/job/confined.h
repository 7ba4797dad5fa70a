/*
 * Steps in a sandbox: what the section asks for, as a policy for sandbox/, and the start and the
 * end of a step in it. A step without a sandbox never comes here.
 *
 * 1. confinement_new() once a job, when the workspace is there: whether the level can be had at all
 *    is known then.
 * 2. confined_start() for each step; confined_terminate() at a time limit or a stop; when the
 * leader (bubblewrap) has ended, confined_finish() tells how the step did.
 * 3. confinement_free().
 */
#ifndef PHANTOM_CI_JOB_CONFINED_H
#define PHANTOM_CI_JOB_CONFINED_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/paths.h"
#include "base/spawn.h"
#include "config/config.h"

struct confinement;

/* The section's sandbox; *confinement is NULL and true is returned for sandbox = "off". False with
 * what is missing and the mend when the level can't be had: no step may run then. */
bool confinement_new(const struct repo_config *repo, const struct paths *paths,
                     const char *workspace, const char *temporary, struct confinement **confinement,
                     GError **error);
void confinement_free(struct confinement *confinement);

/* What a job should be told of it: "..." or NULL. Static. */
const char *confinement_note(const struct confinement *confinement);

/* What it does, for people; free with g_free(). */
char *confinement_describe(const struct confinement *confinement);
/* The same as an array of objects; an empty one for NULL. */
json_t *confinement_to_json(const struct confinement *confinement);

/* The environment of a step as the sandbox changes it; takes and gives a vector for g_strfreev().
 */
char **confinement_environment(const struct confinement *confinement, char **environment);

/* Of a failed step with this output: what the sandbox may have to do with it and which key would
 * allow it, or NULL. One line; free with g_free(). */
char *confinement_hint(const struct confinement *confinement, const char *output, size_t length);

struct confined {
    int report_fd, control_fd, trouble_fd; /* -1 = closed */
};
#define CONFINED_INIT                                                                              \
    {                                                                                              \
        .report_fd = -1, .control_fd = -1, .trouble_fd = -1                                        \
    }

/* Returns the leader once the step's program runs; -1 with `error`, and with `failure` set to
 * SPAWN_STAGE_EXEC when it was the program that could not be executed, to SPAWN_STAGE_LIMITS when
 * it was `limits`. */
pid_t confined_start(const struct confinement *confinement, const char *const *argv,
                     const char *const *envp, int output_fd, int64_t deadline_ms,
                     const struct spawn_limits *limits, struct confined *confined,
                     struct spawn_failure *failure, GError **error);

/* SIGTERM to everything inside. */
void confined_terminate(struct confined *confined);

struct confined_end {
    int wait_status;  /* of the step's program, as far as it is known; else of the leader */
    unsigned left;    /* processes that had to be ended after the program */
    char *left_names; /* or NULL */
};

/* After the leader was reaped with `leader_status`. Closes everything. */
void confined_finish(struct confined *confined, int leader_status, struct confined_end *end);
void confined_release(struct confined *confined);

#endif
