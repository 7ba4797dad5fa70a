/* How ssh(1) is called: the user's configuration counts but for what an unattended program must not
 * have; the environment is made from scratch. */
#ifndef PHANTOM_CI_SSH_COMMAND_H
#define PHANTOM_CI_SSH_COMMAND_H

#include <glib.h>

#include "ssh/address.h"

/* What the server is asked for in an environment variable (gitprotocol-v2(5)). Without an AcceptEnv
 * for it, the server answers as of version 0. */
#define SSH_GIT_PROTOCOL "GIT_PROTOCOL=version=2"

/* A connection that others use by way of its control socket. Free with g_strfreev(). */
char **ssh_master_argv(const struct ssh_address *address, const char *control_path);

/* One session: through the master at `control_path`, or NULL: over a connection of its own. */
char **ssh_session_argv(const struct ssh_address *address, const char *control_path);

/* For both. */
char **ssh_environment(void);

#endif
