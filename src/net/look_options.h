/*
 * What of the user's git configuration counts for a look (NET_LOOK's options), and of the
 * environment as git reads it. Lines of "name=value"; all of it may be secret. Pure, but for
 * look_environment_load().
 *
 *   proxy=URL                     http.proxy; empty = none, whatever the environment says. Without
 *                                 it libcurl reads http_proxy and the like itself, as in git
 *   noProxy=LIST                  hosts that need no proxy
 *   sslCAInfo=FILE                http.sslCAInfo, sslCAPath=DIRECTORY: to be readable, these were
 *                                 named with --readable when the process began (net/looks.h)
 *   sslVerify=true|false          http.sslVerify
 *   followRedirects=true|false|initial
 *                                 http.followRedirects. Without it: to the same host only
 *   userAgent=TEXT                http.userAgent
 *   maxConnections=N              looks on their way to one host at once (1 to 64, else 16)
 *   extraHeader=NAME: VALUE       http.extraHeader; may repeat. Sent to the URL's own scheme, host
 *                                 and port only
 *
 * Of the environment GIT_SSL_CAINFO, GIT_SSL_CAPATH, GIT_SSL_NO_VERIFY and GIT_HTTP_USER_AGENT
 * stand above the configuration, as in git. Client certificates (GIT_SSL_CERT) and headers that
 * libcurl makes itself are git's to deal with.
 */
#ifndef PHANTOM_CI_NET_LOOK_OPTIONS_H
#define PHANTOM_CI_NET_LOOK_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

#include "net/look_place.h"

enum { LOOK_AT_ONCE_DEFAULT = 16, LOOK_AT_ONCE_MAX = 64 };

struct look_environment {
    const char *ca_info, *ca_path, *user_agent; /* of the environment itself; NULL = not set */
    bool no_verify;
    bool has_client_certificate;
};

void look_environment_load(struct look_environment *environment);

struct look_options {
    char *proxy, *no_proxy; /* NULL = not said */
    char *ca_info, *ca_path;
    char *user_agent;
    bool verify;
    enum look_follow follow;
    unsigned at_once;
    GPtrArray *headers;          /* of char *, "Name: value" */
    bool has_authorization;      /* one of them is it */
    bool has_own_framing;        /* one of them is none that can be sent by hand here */
    bool has_client_certificate; /* git's to deal with, over https */
};

/* ERROR_INVALID names the line's option, never its value. */
bool look_options_parse(const char *text, const struct look_environment *environment,
                        struct look_options *options, GError **error);

/* Overwrites and frees. Fine for a zeroed struct, and twice. */
void look_options_clear(struct look_options *options);

#endif
