/*
 * The pipes of phantom_ci-net: messages come on standard input, answers go to standard output. What
 * is done with them is the role's (net/messages.h, net/looks.h).
 *
 * 1. session_new(); what the role has to say it appends to session_output(), at any time.
 * 2. session_serve() with the role, until nothing is left to do.
 * 3. session_free().
 *
 * No more input is read while the role has no room or its answers are not taken; so the other side
 * waits at its pipe, and memory is bounded. What was read and written is overwritten.
 */
#ifndef PHANTOM_CI_NET_SESSION_H
#define PHANTOM_CI_NET_SESSION_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/protocol.h"

struct session_role {
    /* Takes one message that came; called only while there is room. False: it is broken or of a
     * type that this role does not take, and so is everything behind it. */
    bool (*take)(void *role, const struct net_message *message, GError **error);
    bool (*has_room)(const void *role);
    unsigned (*pending)(const void *role); /* messages that are not answered yet */
    /* Works until something happens, at most timeout_ms (not negative). `fds` are looked at as
     * poll(2) would; their revents are set. While answers_wait nothing new should be begun: those
     * that are there are not taken. */
    bool (*wait)(void *role, struct pollfd *fds, unsigned count, int64_t timeout_ms,
                 bool answers_wait, GError **error);
};

enum { SESSION_FDS = 2 }; /* that wait() is given at most */

struct session;

/* `input_max_bytes`: the longest message, with its header. */
struct session *session_new(size_t input_max_bytes);
void session_free(struct session *session);

GByteArray *session_output(struct session *session);

/* True at a good end: of the input, once everything is answered; after idle_ms with nothing to do;
 * when nobody reads the answers any more. */
bool session_serve(struct session *session, const struct session_role *calls, void *role,
                   int64_t idle_ms, GError **error);

#endif
