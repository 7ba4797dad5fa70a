/*
 * phantom_ci's end of the pipes to a helper process: phantom_ci-net, phantom_ci-ssh. Its messages
 * are those of net/protocol.h.
 *
 * 1. net_client_new() starts nothing. The first net_client_send() starts the program; when that
 *    ended (idle, killed), the next one starts it again.
 * 2. net_client_add_fds() writes what was sent, in one piece, and adds what is to be waited for;
 *    poll(2); net_client_handle() calls back for each message, and once when the process ended:
 *    then everything without an answer is lost, and whether it was done is not known.
 * 3. net_client_free() ends the process.
 *
 * Callbacks may send, but not abandon or free the client.
 */
#ifndef PHANTOM_CI_NET_CLIENT_H
#define PHANTOM_CI_NET_CLIENT_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>

#include "net/protocol.h"

struct net_client;

/* All of it must live as long as the client. */
struct net_client_setup {
    const char *program;          /* "phantom_ci-net", looked for as base/libexec.h says */
    const char *const *arguments; /* without argv[0]; NULL = none */
    /* the variables of this process that it gets; NULL = none */
    const char *const *environment;
    /* Called when it is to be started: a descriptor that it gets as number 3, and that is closed
     * here; or -1. NULL = none. */
    int (*pass_fd)(void *data);
    /* One message. False: it is none that can be, so the process is ended, and all is lost. */
    bool (*message)(const struct net_message *message, void *data);
    /* `why` in words. */
    void (*lost)(const char *why, void *data);
    void *data;
};

struct net_client *net_client_new(const struct net_client_setup *setup);
void net_client_free(struct net_client *client);

/* Starts the program if it is not running, and hands on encoded messages, which may hold secrets:
 * the client's copy is overwritten. Never blocks. ERROR_LIMIT when too much waits to be written
 * already. */
bool net_client_send(struct net_client *client, const GByteArray *messages, GError **error);

void net_client_add_fds(struct net_client *client, GArray *pollfds);
void net_client_handle(struct net_client *client, const struct pollfd *fds, unsigned count);

/* For the next start. */
void net_client_set_arguments(struct net_client *client, const char *const *arguments);

/* Ends the process if it runs; what it was sent is lost: "phantom_ci-net WHY". */
void net_client_abandon(struct net_client *client, const char *why);

#endif
