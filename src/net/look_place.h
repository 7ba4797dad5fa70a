/*
 * Where a look goes: the URL of a repository taken apart, the addresses below it that git's smart
 * HTTP knows (gitprotocol-http(5)), and what a redirect makes of it. Pure.
 */
#ifndef PHANTOM_CI_NET_LOOK_PLACE_H
#define PHANTOM_CI_NET_LOOK_PLACE_H

#include <glib.h>
#include <stdbool.h>

enum { LOOK_REDIRECTS_MAX = 5 };

struct look_place {
    char *base;       /* without user information, with a '/' at its end, as git makes it */
    char *origin;     /* "https://host:443": lower case, the port always there. What logins and
                         connections belong to */
    const char *path; /* in `base`: from the '/' behind host and port on */
    char *user;       /* or NULL */
};

/* A URL as git/url.h takes it, http or https. */
bool look_place_parse(const char *url, struct look_place *place, GError **error);
void look_place_clear(struct look_place *place);

/* The address as a person writes it: without the '/' that was put at its end. */
char *look_place_name(const struct look_place *place);

/* What is asked for below the base. */
enum look_question {
    LOOK_COMMAND,       /* POST git-upload-pack */
    LOOK_ADVERTISEMENT, /* GET info/refs?service=git-upload-pack */
};
char *look_place_address(const struct look_place *place, enum look_question question);

/* http.followRedirects of git-config(1). Its "initial" is LOOK_FOLLOW_ALL: each request of a look
 * is a first one. */
enum look_follow {
    LOOK_FOLLOW_HOST, /* to the same scheme, host and port, and from http to https of one host with
                         the default ports: nobody else hears of it */
    LOOK_FOLLOW_ALL,
    LOOK_FOLLOW_NONE,
};

enum look_redirect {
    LOOK_REDIRECT_GO,        /* *to is where */
    LOOK_REDIRECT_ELSEWHERE, /* *to is where, but it is not for us to go there */
    LOOK_REDIRECT_DOWNGRADE, /* the same: from https to http, which is never followed */
    LOOK_REDIRECT_NOWHERE,   /* no address of a repository: another scheme, a user name in it, or
                                without the end that was asked for (a page for people, say). *to is
                                cleared */
};

/* `target`: the absolute URL that the server named when it was asked `question` at `from`. As git
 * does, the end of the address must stay what was asked for, so that the new base is known. */
enum look_redirect look_place_redirect(const struct look_place *from, enum look_question question,
                                       const char *target, enum look_follow follow,
                                       struct look_place *to);

#endif
