/* The environment of a step: made from an allow-list, never inherited. */
#ifndef PHANTOM_CI_JOB_ENVIRONMENT_H
#define PHANTOM_CI_JOB_ENVIRONMENT_H

#include <stdint.h>

#include "base/paths.h"
#include "config/config.h"
#include "store/store.h"

struct environment_source {
    const struct paths *paths;
    const struct repo_config *repo;
    const struct job *job;
    const char *workspace, *temporary;
    const char *const *inherited; /* "K=V": this process's own, of which a few pass */
};

/* "K=V" for the step of this number; `env` of the section wins. Free with g_strfreev(). */
char **environment_for_step(const struct environment_source *source, uint64_t step);

#endif
