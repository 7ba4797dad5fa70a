/* Why a look failed, for people and for the outcome: from what ssh, or the server's command, wrote
 * to stderr. Each text is free of the repository's address; free with g_free(). */
#ifndef PHANTOM_CI_SSH_EXPLAIN_H
#define PHANTOM_CI_SSH_EXPLAIN_H

#include <glib.h>
#include <stdbool.h>

#include "net/look_protocol.h"
#include "ssh/address.h"
#include "ssh/talk.h"

/* ssh ended with this status of waitpid(2) without a connection. `url`: of any look that waited for
 * it, or NULL. NET_LOOK_USE_GIT: it is no ssh that can share connections as it is wanted here. */
char *explain_ssh(const char *words, int wait_status, const char *url,
                  enum net_look_outcome *outcome);

/* ssh could not be run. */
char *explain_spawn(const GError *error);

/* A conversation that came to its end without refs. `by_process`: ssh's own words and status are
 * in it. */
char *explain_talk(const struct talk *talk, bool by_process, const char *url,
                   enum net_look_outcome *outcome);

/* The connection ended under the look. `words`: ssh's, or NULL. */
char *explain_loss(const char *words);

#endif
