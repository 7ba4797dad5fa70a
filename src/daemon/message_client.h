/* phantom_ci-net as the deliverer of messages: how it is started, and how it is asked. */
#ifndef PHANTOM_CI_DAEMON_MESSAGE_CLIENT_H
#define PHANTOM_CI_DAEMON_MESSAGE_CLIENT_H

#include <glib.h>
#include <stdbool.h>

#include "net/client.h"

struct message_client_events {
    void (*answered)(const struct net_answer *answer, void *data);
    /* The process ended: every request without an answer is lost; `why` in words. */
    void (*lost)(const char *why, void *data);
    void *data;
};

/* `events` must live as long as the client. Free with net_client_free(). */
struct net_client *message_client_new(const struct message_client_events *events);

/* As net_client_send(). */
bool message_client_send(struct net_client *client, const struct net_request *request,
                         GError **error);

#endif
