/* Addresses and libcurl's failures, in words that hold no secret: of a URL its scheme, host and
 * port at most. */
#ifndef PHANTOM_CI_NET_EXPLAIN_H
#define PHANTOM_CI_NET_EXPLAIN_H

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>

#include "net/protocol.h"

/* "https://host:8443", the port only when it is not the scheme's own; escaped. "the address" when
 * the URL has no host that libcurl understands. Free with g_free(). */
char *explain_origin(const char *url);

/* Scheme, host and port are the same, and neither the scheme is another nor `other` brings a user
 * or password of its own. */
bool explain_same_origin(const char *url, const char *other);

/* What kind of failure a libcurl code (not CURLE_OK) is. */
enum net_outcome explain_outcome(CURLcode code);

/* One line about a failed transfer on `handle` to `url`. `detail` is libcurl's error buffer, of
 * which only the words about certificates are used. Free with g_free(). */
char *explain_failure(CURL *handle, CURLcode code, const char *url, const char *detail);

/* `text` made fit for an answer's error: one line of valid UTF-8 within the limit, and nothing of
 * the URL's user, password, path, query or fragment in it; if there would be, libcurl's own words
 * for `code` instead. Frees `text`; free the answer with g_free(). */
char *explain_harmless(char *text, CURLcode code, const char *url);

#endif
