/*
 * The poller: every remote of the configuration, looked at when it is due, many at once, none in
 * the way of another. Single-threaded and without a loop of its own.
 *
 * 1. poller_new(), poller_set_config() (again after every reload: remotes that stay keep their
 *    schedule).
 * 2. In each turn of the loop: poller_run() starts what is due and ends what took too long;
 *    poller_add_fds() before poll(2), poller_handle() after it; poller_next_due_ms() is the time to
 *    wait for.
 * 3. Each look's answer comes through the report callback, once for every section that shares the
 *    remote.
 * 4. poller_stop() ends all looks; poller_free().
 */
#ifndef PHANTOM_CI_POLL_POLLER_H
#define PHANTOM_CI_POLL_POLLER_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct poll_look {
    const struct repo_config *repo;
    int64_t begun_ms; /* UTC */
};

struct poller_callbacks {
    /* A look has begun. */
    void (*begun)(const struct poll_look *look, void *data);
    /* It ended well: a table as git/refset.h has it, of what all sections of the remote ask for.
     * False with `error` when the answer could not be recorded: the look counts as failed. */
    bool (*seen)(const struct poll_look *look, GHashTable *refs, void *data, GError **error);
    /* It is over; the next one is due at next_ms (UTC). `failure` is NULL after a good one. */
    void (*ended)(const struct poll_look *look, unsigned failures, int64_t next_ms,
                  const GError *failure, void *data);
    void *data;
};

struct poller;
struct poller *poller_new(const struct poller_callbacks *callbacks);

/* `config` must live until the next call or poller_free(). */
void poller_set_config(struct poller *poller, const struct config *config);

/* Makes a section's remote (NULL: all) due now; one that is being looked at is looked at again
 * after that. */
void poller_request(struct poller *poller, const char *repo);

void poller_run(struct poller *poller, int64_t now_ms);
/* INT64_MAX when there is nothing to wait for. */
int64_t poller_next_due_ms(const struct poller *poller, int64_t now_ms);
void poller_add_fds(struct poller *poller, GArray *pollfds);
void poller_handle(struct poller *poller, const struct pollfd *fds, unsigned count, int64_t now_ms);

/* How late the most overdue look is that has not begun, in milliseconds; 0 = none. */
int64_t poller_lateness_ms(const struct poller *poller, int64_t now_ms);

void poller_stop(struct poller *poller);
void poller_free(struct poller *poller);

#endif
