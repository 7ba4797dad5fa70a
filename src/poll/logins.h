/*
 * Logins for looks over http: conversations with phantom_ci-credential, which asks the user's
 * credential helpers of git and hands user name and password to phantom_ci-net by a pipe of their
 * own. Nothing of them passes through this process.
 *
 * For all remotes that would get the same login there is one conversation at a time. The login is
 * first tried with one of them, so that a wrong one is not sent a thousand times: the others wait.
 *
 * 1. logins_new(). 2. logins_open_pipe() whenever phantom_ci-net starts. 3. When a look's outcome
 * is NET_LOOK_LOGIN or NET_LOOK_LOGIN_REFUSED: logins_ask(); `settled` says what to do. When it is
 * a good one: logins_worked(); any other: logins_drop(). 4. logins_add_fds(), poll(2),
 * logins_handle(); logins_run() not after logins_next_due_ms(). 5. logins_free().
 */
#ifndef PHANTOM_CI_POLL_LOGINS_H
#define PHANTOM_CI_POLL_LOGINS_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

enum { LOGINS_AT_ONCE = 8 };

struct logins;

struct logins_events {
    /* `why` is NULL: phantom_ci-net has a login, look again. Else there is none that works, and
     * `why` tells in words. May be called from within logins_ask(). */
    void (*settled)(void *owner, const char *why, void *data);
    void *data;
};
struct logins *logins_new(const struct logins_events *events);
void logins_free(struct logins *logins);

/* The end for reading of a new pipe, for phantom_ci-net as NET_LOGIN_FD; the caller closes it. -1
 * when there can be none: there will be no logins. What waits for a login is to look again. */
int logins_open_pipe(struct logins *logins);

/* False when so many conversations are under way that this one must come later. */
bool logins_have_room(const struct logins *logins, const char *key);

/* The look of `owner` wants a login for `url`, or had one that was `refused`. `key`: the same text
 * for all addresses that get the same login. */
void logins_ask(struct logins *logins, void *owner, const char *key, const char *url, bool refused);
void logins_worked(struct logins *logins, void *owner);
void logins_drop(struct logins *logins, void *owner);

void logins_run(struct logins *logins, int64_t now_ms);
int64_t logins_next_due_ms(const struct logins *logins);
void logins_add_fds(struct logins *logins, GArray *pollfds);
void logins_handle(struct logins *logins, const struct pollfd *fds, unsigned count);

#endif
