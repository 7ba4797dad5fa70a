/*
 * One authenticated connection to a server: an ssh(1) process that does nothing but share it by way
 * of its control socket ("ssh -M -N").
 *
 * 1. connection_new(). 2. ready() is called once sessions can be had; ended() once the process is
 * gone, before or after that, and then connection_words() tell why. 3. connection_close() ends it
 * politely: ended() follows. 4. connection_free(): in ended(), or at any time before it, which
 * kills the process.
 */
#ifndef PHANTOM_CI_SSH_CONNECTION_H
#define PHANTOM_CI_SSH_CONNECTION_H

#include <glib.h>
#include <stdbool.h>

#include "ssh/address.h"
#include "ssh/loop.h"
#include "ssh/place.h"

enum {
    CONNECTION_START_MS = 60 * 1000, /* names, proxies, keys, logins: then it is killed */
    CONNECTION_CLOSE_MS = 2 * 1000,
};

enum connection_state {
    CONNECTION_STARTING,
    CONNECTION_READY,
    CONNECTION_CLOSING,
    CONNECTION_GONE
};

struct connection_events {
    void (*ready)(void *data);
    void (*ended)(void *data);
    void *data;
};

struct connection;

/* `number`: of a socket in `place` that no other connection uses. */
struct connection *connection_new(struct loop *loop, const struct place *place, unsigned number,
                                  const struct ssh_address *address,
                                  const struct connection_events *events, GError **error);
void connection_close(struct connection *connection);
void connection_free(struct connection *connection);

enum connection_state connection_state(const struct connection *connection);
const char *connection_path(const struct connection *connection);

/* The last that ssh wrote to stderr. */
const char *connection_words(const struct connection *connection);

/* How it ended, as of waitpid(2). */
int connection_status(const struct connection *connection);

#endif
