/*
 * The role of phantom_ci-net that looks at repositories over http and https: NET_LOOK and
 * NET_CANCEL in, NET_REFS and NET_LOOKED out (net/look_protocol.h), and NET_LOGIN from descriptor
 * NET_LOGIN_FD when that is a pipe. It is a process of its own, `phantom_ci-net --looks`: the bytes
 * of git servers are parsed where no webhook's secret is.
 *
 * Looks at one host share at most `maxConnections` connections (or streams of one, over HTTP/2),
 * which are kept for the next ones; hosts take turns; all together have at most LOOKS_AT_ONCE. A
 * look's time runs from its arrival.
 *
 * Only what was named before the confinement began can be read: the system's authorities, what
 * GIT_SSL_CAINFO and GIT_SSL_CAPATH name, and what --readable PATH names, which may repeat. The
 * supervisor names the values of sslCAInfo and sslCAPath so, and starts another helper when there
 * are new ones; what waits in this one it may send there again.
 */
#ifndef PHANTOM_CI_NET_LOOKS_H
#define PHANTOM_CI_NET_LOOKS_H

#include <glib.h>

#include "net/session.h"

enum {
    LOOKS_AT_ONCE = 512, /* fewer when the process may have few descriptors */
    LOOKS_MAX = 4096,    /* taken on; more wait in the pipe */
    LOOKS_MAX_BYTES = 16 * 1024 * 1024,
    LOOKS_INPUT_MAX_BYTES = NET_HEADER_BYTES + NET_LOOK_MAX_BYTES,
};

struct looks;

extern const struct session_role looks_role;

/* Before the confinement, and before any other descriptor is opened: limits of the process. Says
 * where logins come from: NET_LOGIN_FD if that is a pipe, else -1. */
int looks_prepare(void);

/* Answers are appended to `output`. */
struct looks *looks_new(GByteArray *output, int login_fd, GError **error);
void looks_free(struct looks *looks);

#endif
