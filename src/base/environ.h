/* Environments of children, made from scratch: what is not named does not reach them. */
#ifndef PHANTOM_CI_BASE_ENVIRON_H
#define PHANTOM_CI_BASE_ENVIRON_H

#include <glib.h>

/* Adds "NAME=value" for each of `names` (NULL-terminated) that this process has. */
void environ_pick(GPtrArray *environment, const char *const *names);

/* What the sanitizers of a test build want to know; nothing in others. */
void environ_pick_sanitizers(GPtrArray *environment);

#endif
