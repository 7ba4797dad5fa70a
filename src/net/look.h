/*
 * The life of one look: which questions are asked of the server, one after another, and what comes
 * of them (the answer of net/look_protocol.h).
 *
 * Roads: the ls-refs command of version 2 is sent at once. When the answer shows that this was not
 * understood (an empty body, another type, a 4xx), the capabilities are asked for, as git does
 * always: then the command follows, in the repository's object format, or all refs are there
 * already (version 0 and 1), or git must look. What was learned goes into the answer's road, and
 * what no longer holds is learned anew within the look. A command that was never understood there
 * and says that there are no refs is not believed alone.
 *
 * 1. look_new(). What look_is_for_git() is answered at once; the others wait, by their tickets.
 * 2. look_begin() gives a handle for libcurl. When that is done: look_done(). LOOK_NEXT_ASK means
 *    look_begin() again, at once; LOOK_NEXT_PUT_OFF later, when there is memory.
 * 3. After LOOK_NEXT_ANSWER, look_time_out() and the like: look_answer(). 4. look_free().
 */
#ifndef PHANTOM_CI_NET_LOOK_H
#define PHANTOM_CI_NET_LOOK_H

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/look_login.h"
#include "net/look_protocol.h"
#include "net/look_queue.h"
#include "net/look_setup.h"

enum {
    /* A look that has read more than this of an answer may have many refs in memory: only so many
     * are read at once, the others begin again later. */
    LOOK_SMALL_BYTES = 256 * 1024,
    LOOK_LARGE_AT_ONCE = 4,
    /* Fewer than so many bytes a second, on average over so many seconds, once an answer has begun:
     * the server drips, or is silent in the middle of it. */
    LOOK_LOW_SPEED_BYTES = 16,
    LOOK_LOW_SPEED_MS = 20 * 1000,
};

/* What all looks share. */
struct look_shared {
    struct look_setups *setups;
    struct look_logins *logins;
    unsigned large_left; /* of LOOK_LARGE_AT_ONCE */
};

struct look;

enum look_next { LOOK_NEXT_ASK, LOOK_NEXT_PUT_OFF, LOOK_NEXT_ANSWER };

/* Takes the contents of *request. NULL when its URL or its options break a rule: then *request is
 * as it was. */
struct look *look_new(struct net_look *request, struct look_shared *shared, int64_t now_ms,
                      GError **error);
void look_free(struct look *look);

const char *look_id(const struct look *look);
const char *look_origin(const struct look *look);
unsigned look_at_once(const struct look *look); /* how many of its host may be on their way */
size_t look_size_bytes(const struct look *look);
struct look_ticket *look_ticket(struct look *look);
GList *look_link(struct look *look); /* for the list of all; its data is the look */
struct look *look_of_handle(CURL *handle);

/* True when the options have what only git can do: it can be answered. */
bool look_is_for_git(struct look *look);

/* The handle to add, owned by the look; NULL when libcurl can't, with *code for look_fail(). */
CURL *look_begin(struct look *look, CURLcode *code);
/* The handle that was begun and is not done; NULL otherwise. */
CURL *look_handle(const struct look *look);
enum look_next look_done(struct look *look, CURLcode code);

/* It was put off, and there is memory now. */
void look_allow_large(struct look *look);
/* It has a part of the memory for large answers, which look_free() gives back. */
bool look_is_large(const struct look *look);

/* True when its time is up, or the server too slow. *next_ms is lowered to when to ask again. */
bool look_is_late(struct look *look, int64_t now_ms, int64_t *next_ms);
void look_time_out(struct look *look, int64_t now_ms);
void look_fail(struct look *look, CURLcode code);

/* The refs, if there are new ones, and what came of it. */
void look_answer(const struct look *look, GByteArray *out);

#endif
