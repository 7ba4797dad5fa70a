/* The environment of a step: made from an allow-list, never inherited. */
#ifndef PHANTOM_CI_JOB_ENVIRONMENT_H
#define PHANTOM_CI_JOB_ENVIRONMENT_H

#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "job/secrets.h"
#include "store/store.h"

struct environment_source {
    const struct paths *paths;
    const struct repo_config *repo;
    const struct job *job;
    const char *workspace, *temporary;
    const char *const *inherited;  /* "K=V": this process's own, of which a few pass */
    const struct secrets *secrets; /* or NULL */
};

/* What it is told of its job, PHANTOM_CI_REPO and so on, set in a vector for g_strfreev(). */
char **environment_of_job(const struct job *job, char **environment);

/* "K=V" for the step of this number. `env` of the section wins, then the secrets. A vector for
 * g_strfreev(); wiped before, if it holds secrets. */
char **environment_for_step(const struct environment_source *source, uint64_t step);

#endif
