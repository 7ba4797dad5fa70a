/* ssh host keys, for people: what a host offers, and what known_hosts says. */
#ifndef PHANTOM_CI_GIT_HOSTKEY_H
#define PHANTOM_CI_GIT_HOSTKEY_H

#include <glib.h>
#include <stdbool.h>

#include "git/url.h"

/* "ED25519 SHA256:..." lines that the host offers (ssh-keyscan, names resolved by `ssh -G`).
 * ERROR_REMOTE when it does not answer. Free with g_free(). */
char *hostkey_offered(const struct url *url, int timeout_ms, GError **error);

/* Whether known_hosts has any key of the host (ssh-keygen -F). */
bool hostkey_is_known(const struct url *url, bool *known, GError **error);

/* The keys that known_hosts has of the host, "ED25519 SHA256:..." lines (ssh-keygen -l -F); "" when
 * it has none. NULL on failure. Free with g_free(). */
char *hostkey_known(const struct url *url, GError **error);

/* The command that a person runs after having compared the fingerprints. Free with g_free(). */
char *hostkey_accept_command(const struct url *url);

/* SHA256 fingerprint of line `line` of a known_hosts file, "SHA256:..."; NULL when it can't be
 * read. */
char *hostkey_fingerprint_of_line(const char *known_hosts_file, unsigned line);

#endif
