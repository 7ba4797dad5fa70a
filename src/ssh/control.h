/* The control socket of an ssh master: all that touches a socket in this program. Nothing but
 * control_terminate() waits: what a fresh socket has no room for is a failure. */
#ifndef PHANTOM_CI_SSH_CONTROL_H
#define PHANTOM_CI_SSH_CONTROL_H

#include <glib.h>
#include <stdbool.h>

/* A connection that does not block, or -1. ERROR_NOT_FOUND: there is no such socket, or nobody
 * behind it; ERROR_BUSY: the master takes no more, for it hangs. */
int control_connect(const char *path, GError **error);

/* Asks for a session (ssh/mux.h) on a new connection, and passes descriptors for its stdin, stdout
 * and stderr, which stay open here. */
bool control_open_session(int fd, const char *command, const char *const *environment,
                          const int fds[3], GError **error);

/* Ends the master at `path`, if there is one; waits for that, at most CONTROL_GOODBYE_MS. */
enum { CONTROL_GOODBYE_MS = 500 };
void control_terminate(const char *path);

#endif
