/*
 * git's credentials, as gitcredentials(7) and git-credential(1) have them: what `git credential`
 * prints and reads. All of it is secret. Pure.
 */
#ifndef PHANTOM_CI_GIT_CREDENTIAL_H
#define PHANTOM_CI_GIT_CREDENTIAL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum { GIT_CREDENTIAL_MAX_BYTES = 16 * 1024 };

struct git_credential {
    char *protocol, *host; /* "https", "example.org:8443" */
    char *path;            /* or NULL: it is for all of the host */
    char *username, *password;
};

/* What `git credential fill` prints. ERROR_INVALID when it is not of that form, or when one of
 * protocol, host, username and password is missing; no byte of it stands in the message. */
bool git_credential_parse(const char *text, size_t length, struct git_credential *credential,
                          GError **error);

/* For the standard input of `git credential approve` and `reject`. */
char *git_credential_format(const struct git_credential *credential);

/* "https://example.org:8443/", with its path when it has one. */
char *git_credential_prefix(const struct git_credential *credential);

/* Overwrites and frees. Fine for a zeroed struct, and twice. */
void git_credential_clear(struct git_credential *credential);

#endif
