/*
 * Looks through a helper process (phantom_ci-net, phantom_ci-ssh): many at once, answered in any
 * order. A helper that is killed, hangs or talks nonsense loses the looks that are under way there,
 * and nothing else: `lost` names each, to be made again. It is started anew when the next look
 * begins, at once after the first loss, and after growing pauses when it goes on like that.
 *
 * 1. helper_new() starts nothing. 2. helper_begin() each look, not before helper_ready_ms();
 * helper_add_fds(), poll(2), helper_handle(), which calls back. 3. helper_give_up() when looks are
 * not answered in time. 4. helper_free().
 */
#ifndef PHANTOM_CI_POLL_HELPER_H
#define PHANTOM_CI_POLL_HELPER_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/look_protocol.h"

struct helper;

/* All of it must live as long as the helper; see net/client.h. */
struct helper_setup {
    const char *program;
    const char *const *arguments;
    const char *const *environment;
    int (*pass_fd)(void *data);
    /* A look is over. `refs` (git/refset.h) when the outcome is NET_LOOK_REFS, else NULL. */
    void (*answered)(void *owner, const struct net_looked *looked, GHashTable *refs, void *data);
    /* Whether it was made is not known; `why` in words. Called for each look that was under way. */
    void (*lost)(void *owner, const char *why, void *data);
    void *data;
};

struct helper *helper_new(const struct helper_setup *setup);
void helper_free(struct helper *helper);

/* For the next start; what is under way is lost when they are others than before: a process that
 * runs is ended. Kept by the caller. */
void helper_set_arguments(struct helper *helper, const char *const *arguments);

/* When the next look may begin, monotonic; 0 = now. */
int64_t helper_ready_ms(const struct helper *helper);

/* `look` without its id. `owner` names it, one at a time. False: the helper can't be started, or
 * takes nothing more, or the look breaks a rule (ERROR_INVALID, ERROR_LIMIT). */
bool helper_begin(struct helper *helper, void *owner, const struct net_look *look, GError **error);
/* Without a word; nothing happens when there is none. */
void helper_drop(struct helper *helper, void *owner);

/* Ends the process, which has not answered in time: everything under way is lost. */
void helper_give_up(struct helper *helper);

void helper_add_fds(struct helper *helper, GArray *pollfds);
void helper_handle(struct helper *helper, const struct pollfd *fds, unsigned count);

#endif
