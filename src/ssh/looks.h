/* The role of phantom_ci-ssh (net/session.h): looks in, refs out, as net/look_protocol.h has them.
 */
#ifndef PHANTOM_CI_SSH_LOOKS_H
#define PHANTOM_CI_SSH_LOOKS_H

#include <glib.h>

#include "net/session.h"

enum {
    LOOKS_INPUT_MAX_BYTES = NET_HEADER_BYTES + NET_LOOK_MAX_BYTES,
    LOOKS_MAX = 1024, /* not answered yet; further ones wait in the pipe */
};

struct looks;

extern const struct session_role looks_role;

/* Answers are appended to `output`. */
struct looks *looks_new(GByteArray *output, GError **error);

/* Ends all that it started. */
void looks_free(struct looks *looks);

#endif
