/*
 * The poller: every remote of the configuration, looked at when it is due, many at once, none in
 * the way of another. Single-threaded and without a loop of its own.
 *
 * 1. poller_new(), poller_set_config() (again after every reload: remotes that stay keep their
 *    schedule).
 * 2. In each turn of the loop: poller_run() begins what is due and ends what took too long;
 *    poller_add_fds() before poll(2), poller_handle() after it; poller_next_due_ms() is the time to
 *    wait for.
 * 3. Each look's answer comes through the callbacks, once for every section that shares the remote.
 * 4. poller_stop() ends all looks; poller_free().
 *
 * A look that sees what the last one saw costs a few microseconds here: its answer is a digest, and
 * `seen` is not called.
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

struct poll_end {
    const GError *failure; /* NULL after a good look */
    unsigned failures;     /* in a row */
    int64_t next_ms;       /* UTC: when the next one is due */
    const char *road;      /* how it is looked at, for people: "http v2", "files, watched" */
    const char *learned; /* what to remember of the remote, for poll_memory.learned; "" = nothing */
    const char *moved_to; /* where the server says that the repository is now; "" = it does not */
    bool is_watched;      /* changes are noticed by themselves; a look is a safety net */
};

/* What is known of a section from before the daemon started. */
struct poll_memory {
    const char *learned; /* as poll_end.learned gave it, or NULL */
    int64_t changed_ms;  /* UTC: when a branch last moved; 0 = not known */
};

struct poller_callbacks {
    /* A look has begun. */
    void (*begun)(const struct poll_look *look, void *data);
    /* It saw something else than the last one: a table as git/refset.h has it. *news is set when it
     * was something new for the section. False with `error` when the answer could not be recorded:
     * the look counts as failed, and what it saw as unseen. */
    bool (*seen)(const struct poll_look *look, GHashTable *refs, bool *news, void *data,
                 GError **error);
    /* It is over. */
    void (*ended)(const struct poll_look *look, const struct poll_end *end, void *data);
    /* Asked once, for a remote that was not in the configuration before. */
    void (*recall)(const struct repo_config *repo, struct poll_memory *memory, void *data);
    void *data;
};

struct poller;
struct poller *poller_new(const struct poller_callbacks *callbacks);

/* `config` must live until the next call or poller_free(). */
void poller_set_config(struct poller *poller, const struct config *config);

/* Makes a section's remote (NULL: all) due now; one that is being looked at is looked at again
 * after that. Its answer is recorded even if it is the one of the last look. */
void poller_request(struct poller *poller, const char *repo);

void poller_run(struct poller *poller, int64_t now_ms);
/* INT64_MAX when there is nothing to wait for. */
int64_t poller_next_due_ms(const struct poller *poller, int64_t now_ms);
void poller_add_fds(struct poller *poller, GArray *pollfds);
void poller_handle(struct poller *poller, const struct pollfd *fds, unsigned count);

/* How late looks began within the last minutes, or wait to begin now, at worst; 0 = in time. */
int64_t poller_late_ms(const struct poller *poller, int64_t now_ms);

/* True when looks could begin and none has for long: something is wrong with this process. */
bool poller_is_stuck(const struct poller *poller, int64_t now_ms);

void poller_stop(struct poller *poller);
void poller_free(struct poller *poller);

#endif
