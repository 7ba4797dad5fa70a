/*
 * The secrets of a section: variables for its steps that are in the memory of the job's worker, in
 * the environment of the steps, and nowhere else.
 *
 * 1. secrets_load() reads `env_file` and runs `secret_command`: once a job, when its steps are
 * about to run. From then on this process can't be dumped, and neither it nor what it starts writes
 * a core.
 * 2. secrets_add() puts them into the environment of a step; secrets_mask() hides them in what the
 *    step writes and in what is said of the job.
 * 3. secrets_free() wipes them.
 */
#ifndef PHANTOM_CI_JOB_SECRETS_H
#define PHANTOM_CI_JOB_SECRETS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mask.h"
#include "config/config.h"

struct secrets;

struct secrets_request {
    const struct repo_config *repo;
    const char *const *envp; /* of secret_command */
    int64_t deadline_ms;     /* monotonic */
    int cancel_fd;           /* readable: ERROR_CANCELED; -1 = none */
};

/* True for a section that has any. */
bool secrets_are_wanted(const struct repo_config *repo);

/* NULL with what is wrong, the place and the mend, and nothing of a value: ERROR_INVALID, for the
 * command ERROR_LIMIT, ERROR_CANCELED or what the system said. */
struct secrets *secrets_load(const struct secrets_request *request, GError **error);
void secrets_free(struct secrets *secrets);

/* The variables whose values are too short to be hidden, "A, B", or NULL. */
const char *secrets_unhidden(const struct secrets *secrets);

/* Hides all values in all their forms (base/mask_forms.h). */
const struct mask *secrets_mask(const struct secrets *secrets);

/* Sets them in `environment`, a vector for g_strfreev(), in the place of what has their names; but
 * not those that are set in `stronger` ("K=V"). NULL secrets: nothing. */
char **secrets_add(const struct secrets *secrets, char **environment, char *const *stronger);

#endif
