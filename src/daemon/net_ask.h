/* One request through a phantom_ci-net of its own, for commands that wait for the answer. */
#ifndef PHANTOM_CI_DAEMON_NET_ASK_H
#define PHANTOM_CI_DAEMON_NET_ASK_H

#include <glib.h>
#include <stdbool.h>

#include "net/protocol.h"

/* Waits for the request's own time limit and a moment more. False when phantom_ci-net could not be
 * started or ended without an answer; an answer is cleared with net_answer_clear(). */
bool net_ask(const struct net_request *request, struct net_answer *answer, GError **error);

#endif
