/* What the tests of localrefs.c need and nobody else. */
#ifndef PHANTOM_CI_GIT_LOCALREFS_INTERNAL_H
#define PHANTOM_CI_GIT_LOCALREFS_INTERNAL_H

#include <stdint.h>

#include "git/localrefs.h"

/* How long a time stamp must have stood before it is believed; 0 believes it at once. */
void local_refs_set_settle_ms(struct local_refs *local, int64_t settle_ms);

#endif
