/*
 * The user names and passwords that looks may use, for as long as this process lives. All of it is
 * secret: overwritten when it goes, handed to nobody but libcurl, and for no address but those
 * below its prefix: the same scheme, host and port, and a path that begins with its parts.
 */
#ifndef PHANTOM_CI_NET_LOOK_LOGIN_H
#define PHANTOM_CI_NET_LOOK_LOGIN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/look_place.h"
#include "net/look_protocol.h"

enum { LOOK_LOGINS_MAX = 1024 }; /* one more takes the place of the oldest */

struct look_logins;

struct look_login {
    uint64_t number; /* never the same again, and never 0 */
    char *user, *password;
};

struct look_logins *look_logins_new(void);
void look_logins_free(struct look_logins *logins);

/* Keeps a copy, in the place of one with the same prefix and user; an empty user and password take
 * out all with this prefix. */
bool look_logins_set(struct look_logins *logins, const struct net_login *login, GError **error);

/* The one for this place, NULL without one: the longest prefix decides, then the newest. A user in
 * the place's URL must be the login's. Valid until the next call that changes the table. */
const struct look_login *look_logins_find(const struct look_logins *logins,
                                          const struct look_place *place);

/* False: it was gone already. */
bool look_logins_forget(struct look_logins *logins, uint64_t number);

#endif
