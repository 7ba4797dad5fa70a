/* The role of phantom_ci-net that delivers messages (webhooks): requests in, answers out, as
 * net/protocol.h has them. */
#ifndef PHANTOM_CI_NET_MESSAGES_H
#define PHANTOM_CI_NET_MESSAGES_H

#include <glib.h>

#include "net/session.h"

enum { MESSAGES_INPUT_MAX_BYTES = NET_HEADER_BYTES + NET_REQUEST_MAX_BYTES };

struct messages;

extern const struct session_role messages_role;

/* Answers are appended to `output`. */
struct messages *messages_new(GByteArray *output, GError **error);
void messages_free(struct messages *messages);

#endif
