/*
 * The HTTP client: several requests at once, each answered exactly once unless it is canceled.
 *
 * 1. http_new(), with the function that takes the answers.
 * 2. While http_has_room(): http_add(). Up to HTTP_ACTIVE_MAX requests are on their way, the others
 *    wait; the time that a request waits is part of its timeout.
 * 3. http_wait() in a loop: waits for the network and the caller's descriptors, and hands over the
 *    answers of what came to its end.
 *
 * libcurl is used so that nothing but the request's host (or the proxy of the environment) hears
 * of a request: no cookies, no .netrc, no redirect to another host, TLS always verified.
 */
#ifndef PHANTOM_CI_NET_HTTP_H
#define PHANTOM_CI_NET_HTTP_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>

#include "net/protocol.h"

enum {
    HTTP_ACTIVE_MAX = 16,
    HTTP_WAITING_MAX = 256,
    HTTP_WAITING_MAX_BYTES = 8 * 1024 * 1024,
};

struct http;

/* The answer is cleared by the caller of this function. */
typedef void http_answered(const struct net_answer *answer, void *user);

struct http *http_new(http_answered *answered, void *user, GError **error);
void http_free(struct http *http); /* without answers for what is left */

bool http_has_room(const struct http *http);
unsigned http_pending(const struct http *http);

/* Takes the contents of *request. There must be room. */
void http_add(struct http *http, struct net_request *request);

/* Drops the request with this id, if there is one; it is not answered. */
void http_cancel(struct http *http, const char *id);

/* Waits until something happens, at most timeout_ms (not negative), and deals with it. `fds` are
 * looked at as poll(2) would; their revents are set. */
bool http_wait(struct http *http, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error);

#endif
