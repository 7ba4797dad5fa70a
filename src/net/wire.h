/*
 * libcurl's multi interface, driven by its socket interface: nothing is scanned that nothing
 * happened to. Connections are kept and used again, by HTTP/2 for many transfers at once.
 *
 * 1. wire_new(). 2. wire_add() handles. 3. In a loop: wire_next_done() until it gives none, then
 * wire_wait(). 4. wire_free(), when no handle is in it any more.
 */
#ifndef PHANTOM_CI_NET_WIRE_H
#define PHANTOM_CI_NET_WIRE_H

#include <curl/curl.h>
#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    /* Connections without a transfer. One with TLS takes 43 KB (HTTP/1.1) or 77 KB (HTTP/2) of this
     * process, and a new one 2 ms: the one that waited longest makes room. */
    WIRE_IDLE_MAX = 128,
    /* While so many transfers run, what comes within a few milliseconds is worked on together: to
     * be woken for each answer, and the daemon after it, costs as much as the answer. */
    WIRE_TOGETHER_LEAST = 2,
    WIRE_TOGETHER_MS = 10,
};

struct wire;

struct wire *wire_new(GError **error);
void wire_free(struct wire *wire);

bool wire_add(struct wire *wire, CURL *handle);
void wire_remove(struct wire *wire, CURL *handle);

/* A handle that came to its end, and is no longer in; NULL without one. */
CURL *wire_next_done(struct wire *wire, CURLcode *code);

/* Lets what was added begin, waits at most timeout_ms for the network or `fds` (at most
 * SOCKETS_FDS_MAX), and works on what came. The revents of `fds` are set. */
bool wire_wait(struct wire *wire, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error);

#endif
