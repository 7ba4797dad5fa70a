/*
 * libcurl handles that are set up once and used for look after look: those with the same options
 * (net/look_options.h) share a setup, whatever their hosts.
 *
 * 1. look_setups_new(). 2. look_setups_get() for each look, look_setups_put() at its end.
 * 3. look_setup_take() a handle for a look, look_setup_give() it back.
 * 4. look_setups_free(), when every setup was put back.
 */
#ifndef PHANTOM_CI_NET_LOOK_SETUP_H
#define PHANTOM_CI_NET_LOOK_SETUP_H

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>

#include "net/look_options.h"
#include "net/look_place.h"

enum {
    LOOK_CONNECT_TIMEOUT_MS = 15 * 1000,
    LOOK_CA_CACHE_S = 60 * 60, /* a changed file of authorities counts after this time */
    LOOK_SETUPS_KEPT = 256,    /* that no look has */
    LOOK_HANDLES_KEPT = 64,    /* that no look has, of all setups together */
};

struct look_setups;
struct look_setup;

struct look_setups *look_setups_new(void);
void look_setups_free(struct look_setups *setups);

/* NULL when the options break a rule (ERROR_INVALID). */
struct look_setup *look_setups_get(struct look_setups *setups, const char *options, GError **error);
void look_setups_put(struct look_setups *setups, struct look_setup *setup);

const struct look_options *look_setup_options(const struct look_setup *setup);

/* The headers to ask with; `own`: to the URL's own scheme, host and port. */
struct curl_slist *look_setup_headers(const struct look_setup *setup, enum look_question question,
                                      bool own);

/* Everything is set but the address and what depends on it, the question, the login and the owner.
 * NULL with *code when libcurl can't. */
CURL *look_setup_take(struct look_setups *setups, struct look_setup *setup, CURLcode *code);
void look_setup_give(struct look_setups *setups, struct look_setup *setup, CURL *handle);

#endif
