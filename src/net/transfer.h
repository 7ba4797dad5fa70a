/*
 * One request on its way: a libcurl handle, what came back so far, and the answer made of it.
 *
 * 1. transfer_new() takes the request; its time begins.
 * 2. transfer_begin() sets the handle up; the caller adds it to a multi handle.
 * 3. When libcurl says it is done: transfer_follow() is true when the server sent it on to another
 *    address of the same scheme, host and port (307 and 308 only, which keep the method); the
 *    caller then adds the handle again. Else transfer_answer() says what came of it.
 *
 * An answer counts from its complete head on: whatever happens to its body, the server has taken
 * the request, and sending it again would be a second message.
 */
#ifndef PHANTOM_CI_NET_TRANSFER_H
#define PHANTOM_CI_NET_TRANSFER_H

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/protocol.h"

enum {
    TRANSFER_CONNECT_TIMEOUT_MS = 15 * 1000,
    TRANSFER_LOW_SPEED_BYTES = 16, /* fewer than this in a second, on average over ... */
    TRANSFER_LOW_SPEED_S = 20,     /* ... so many seconds: the other side drips, or is silent */
    TRANSFER_HEAD_MAX_BYTES = 64 * 1024,
    TRANSFER_BODY_MAX_BYTES = 64 * 1024, /* then the connection is closed */
    TRANSFER_REDIRECTS_MAX = 3,
};

struct transfer;

/* Takes the contents of *request, which is left cleared. */
struct transfer *transfer_new(struct net_request *request, int64_t now_ms);
void transfer_free(struct transfer *transfer);

const char *transfer_id(const struct transfer *transfer);
size_t transfer_size_bytes(const struct transfer *transfer);
int64_t transfer_deadline_ms(const struct transfer *transfer); /* on the monotonic clock */

/* The handle to add, whose private pointer is the transfer; owned by it. NULL when libcurl can't
 * (memory, a URL that it does not take); transfer_answer() then says why, with the code that was
 * set in *code. */
CURL *transfer_begin(struct transfer *transfer, int64_t now_ms, CURLcode *code);

/* The handle of a begun transfer, NULL before. */
CURL *transfer_handle(const struct transfer *transfer);

/* True: the handle is set to the new address and may be added again. */
bool transfer_follow(struct transfer *transfer, CURLcode code, int64_t now_ms);

/* Fills *answer, which the caller clears. */
void transfer_answer(const struct transfer *transfer, CURLcode code, struct net_answer *answer);

#endif
