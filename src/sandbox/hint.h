/*
 * What a sandbox may have to do with the failure of a step, guessed from what the step wrote: error
 * messages of libc name the path and the reason. A guess, and worded as one: a step can write what
 * it likes. Pure.
 */
#ifndef PHANTOM_CI_SANDBOX_HINT_H
#define PHANTOM_CI_SANDBOX_HINT_H

#include <glib.h>

#include "sandbox/plan.h"

/* The last denial that `output` tells of and the plan explains, as one line without control
 * characters that names the path and the key that allows it; NULL when there is none. Free with
 * g_free(). */
char *sandbox_hint(const struct sandbox_policy *policy, const GPtrArray *plan, const char *output,
                   size_t length);

#endif
