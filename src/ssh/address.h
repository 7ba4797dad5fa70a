/*
 * Where a look over ssh goes, as git takes its address apart: what is handed to ssh(1), and the
 * command that the server is to run. Pure.
 */
#ifndef PHANTOM_CI_SSH_ADDRESS_H
#define PHANTOM_CI_SSH_ADDRESS_H

#include <glib.h>
#include <stdbool.h>

struct ssh_address {
    char *destination; /* "[user@]host" in the user's own spelling: it may be an alias */
    char *port;        /* digits, or NULL = what ssh's configuration says */
    char *key_path;    /* of a private key that alone is to be used, or NULL */
    char *command;     /* "git-upload-pack 'path'" */
    char *connection;  /* the same text for addresses that can share a connection */
};

/* `url`: ssh://... or [user@]host:path, as git/url.h takes them. `options`: lines of "name=value"
 * (NET_LOOK's), of which there is one: key=PATH. ERROR_INVALID. */
bool ssh_address_parse(const char *url, const char *options, struct ssh_address *address,
                       GError **error);

/* Fine for a zeroed struct, and twice. */
void ssh_address_clear(struct ssh_address *address);

#endif
