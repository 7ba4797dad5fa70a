/* Messages as requests to phantom_ci-net, and its answers in words; for the daemon and for `notify
 * test`. */
#ifndef PHANTOM_CI_DAEMON_MESSAGE_REQUEST_H
#define PHANTOM_CI_DAEMON_MESSAGE_REQUEST_H

#include <glib.h>
#include <stdbool.h>

#include "net/protocol.h"
#include "notify/notice.h"
#include "notify/target.h"

enum { MESSAGE_REQUEST_TIMEOUT_MS = 30 * 1000 };

/* The secrets of all `targets` are hidden in the notice, which is changed by that. The request is
 * cleared with net_request_clear(). */
bool message_request_init(struct net_request *request, const char *id, const char *idempotency_key,
                          const GPtrArray *targets, const struct target *target,
                          struct notice *notice, GError **error);

/* "HTTP 404: Unknown Webhook", on one line, short, without the secrets of `targets` that the
 * receiver may have echoed; without targets (NULL) nothing of what it said is shown. Free with
 * g_free(). */
char *message_answer_describe(const struct net_answer *answer, const GPtrArray *targets);

#endif
