/*
 * phantom_ci's end of the pipes to phantom_ci-net (see net/protocol.h).
 *
 * 1. net_client_new() starts nothing. The first net_client_send() starts phantom_ci-net; when that
 *    ended (idle, killed), the next one starts it again.
 * 2. net_client_add_fds(), poll(2), net_client_handle(), which calls back for each answer, and once
 *    when the process ended: then every request without an answer is lost, and whether it was sent
 *    is not known.
 * 3. net_client_free() ends the process.
 */
#ifndef PHANTOM_CI_DAEMON_NET_CLIENT_H
#define PHANTOM_CI_DAEMON_NET_CLIENT_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>

#include "net/protocol.h"

struct net_client;

struct net_client_events {
    void (*answered)(const struct net_answer *answer, void *data);
    /* `why` in words */
    void (*lost)(const char *why, void *data);
    void *data;
};

struct net_client *net_client_new(const struct net_client_events *events);
void net_client_free(struct net_client *client);

/* Never blocks. ERROR_LIMIT when too much waits to be written already. */
bool net_client_send(struct net_client *client, const struct net_request *request, GError **error);

void net_client_add_fds(struct net_client *client, GArray *pollfds);
void net_client_handle(struct net_client *client, const struct pollfd *fds, unsigned count);

/* Ends a process that does not answer; its requests are lost. */
void net_client_abandon(struct net_client *client);

#endif
