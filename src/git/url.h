/* Addresses of repositories: the grammar that is accepted, and the parts that decide. No I/O. */
#ifndef PHANTOM_CI_GIT_URL_H
#define PHANTOM_CI_GIT_URL_H

#include <glib.h>
#include <stdbool.h>

enum url_scheme { URL_HTTPS, URL_HTTP, URL_SSH, URL_FILE, URL_GIT };

struct url {
    enum url_scheme scheme;
    char *host; /* lower case; NULL for URL_FILE */
    char *port; /* digits, or NULL */
    char *user; /* or NULL */
    char *path;
};

#define GIT_ERROR (g_quark_from_static_string("phantom-ci-git"))

/* Accepts https:// http:// ssh:// git:// file:// URLs, [user@]host:path and absolute paths.
 * Refuses, each with its reason (ERROR_INVALID): a leading '-' (also of host, user or path),
 * control bytes, blanks, %0a and its like, transport helpers (ext::, fd::, anything with "::"), a
 * password in the URL, an empty host, relative paths, unknown schemes. */
bool url_parse(const char *text, struct url *url, GError **error);
void url_clear(struct url *url);

/* The URL for messages: without user information. Free with g_free(). */
char *url_for_display(const char *text);

/* What GIT_ALLOW_PROTOCOL must hold for this scheme: "https", "ssh", ... */
const char *url_scheme_protocol(enum url_scheme scheme);

/* git check-ref-format(1) rules for a branch (without refs/heads/) that a remote has. A leading '-'
 * is allowed: a push can make it, and only its full ref is ever given to git. */
bool url_remote_branch_is_valid(const char *branch, GError **error);

/* The same for a name that a person gives: no leading '-', which git's own commands refuse. */
bool url_branch_name_is_valid(const char *branch, GError **error);

#endif
