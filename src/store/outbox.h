/*
 * The outbox: what people are to be told, kept with the facts it is about until a receiver took it.
 *
 * 1. outbox_add() writes a notice, without a target yet, in the transaction of its fact.
 * 2. The daemon takes notices (outbox_new_notices()) and addresses each (outbox_address()): in one
 *    transaction it becomes one message a target, or nothing. outbox_trim() keeps to the limits.
 * 3. For each target the oldest waiting message (outbox_next()) is sent: outbox_begin() records the
 *    attempt before the first byte leaves, outbox_end() what came of it.
 * 4. After a crash outbox_recover() lets messages whose attempt has no recorded end wait again. So
 * a message is delivered at least once, and an attempt is never made twice.
 *
 * No URL and no secret is kept here. Times are UTC milliseconds; errors as in store/store.h.
 */
#ifndef PHANTOM_CI_STORE_OUTBOX_H
#define PHANTOM_CI_STORE_OUTBOX_H

#include "store/store.h"

enum {
    OUTBOX_MAX_NOTICES = 1000, /* without a target; the oldest give way (no daemon runs) */
    OUTBOX_MAX_WAITING = 1000, /* of one target; the oldest are given up */
    OUTBOX_MAX_OVER = 1000,    /* delivered and given up ones that are kept to look at */
    OUTBOX_TRIM_AT_ONCE = 200, /* by one call of outbox_trim() */
};

enum outbox_state {
    OUTBOX_NEW,
    OUTBOX_WAITING,
    OUTBOX_SENDING,
    OUTBOX_DELIVERED,
    OUTBOX_GIVEN_UP,
};
const char *outbox_state_name(enum outbox_state state); /* "given up", ... */
bool outbox_state_from_name(const char *name, enum outbox_state *state);

struct outbox_message {
    int64_t id;
    int64_t job; /* 0 = of no job */
    char *repo, *branch;
    char *kind;   /* as notice_kind_name() */
    char *body;   /* the notice as JSON */
    char *target; /* "discord", ...; "" = not addressed yet */
    enum outbox_state state;
    int attempts;
    int64_t created_ms;
    int64_t next_ms;     /* when the next attempt is due */
    int64_t finished_ms; /* delivered or given up; 0 = not yet */
    int status;          /* of the last answer's HTTP status; 0 = none */
    char *answer;        /* the last answer or error in words, or NULL */
};
void outbox_message_free(struct outbox_message *message);

struct outbox_notice {
    int64_t job;
    const char *repo, *branch, *kind, *body;
};
bool outbox_add(struct store *store, const struct outbox_notice *notice, int64_t now_ms,
                GError **error);

/* Notices without a target, oldest first, at most `limit`. */
GPtrArray *outbox_new_notices(struct store *store, unsigned limit, GError **error);

/* The notice becomes a waiting message of each target; of none: it is removed. */
bool outbox_address(struct store *store, int64_t id, const char *const *targets, int64_t now_ms,
                    GError **error);

/* Of what is beyond the limits the oldest: waiting messages of these targets are given up, those
 * that are over are dropped; a part of them, so that no call takes long. After some
 * outbox_address(), in the same transaction. */
bool outbox_trim(struct store *store, const char *const *targets, int64_t now_ms, GError **error);

/* Whether there are notices to address or messages that wait. */
bool outbox_has_work(struct store *store, bool *any, GError **error);

/* The oldest message that waits for this target, or NULL without error. */
struct outbox_message *outbox_next(struct store *store, const char *target, GError **error);

/* waiting -> sending, with one more attempt. *begun is false when it waits no longer. */
bool outbox_begin(struct store *store, int64_t id, bool *begun, GError **error);

struct outbox_result {
    enum outbox_state state; /* waiting (again at next_ms), delivered or given up */
    int64_t next_ms;
    int status;
    const char *answer;
};
/* The end of an attempt, or the verdict on a message that waits. */
bool outbox_end(struct store *store, int64_t id, const struct outbox_result *result, int64_t now_ms,
                GError **error);

/* Gives up messages that wait for this target, oldest first, at most OUTBOX_TRIM_AT_ONCE; *count of
 * them. */
bool outbox_give_up(struct store *store, const char *target, const char *why, int64_t now_ms,
                    int *count, GError **error);

/* sending -> waiting, of all. */
bool outbox_recover(struct store *store, int64_t now_ms, GError **error);

/* A message that is over (or waits) becomes due now, with its 24 hours anew. *changed is false for
 * one that is being sent. ERROR_NOT_FOUND. */
bool outbox_retry(struct store *store, int64_t id, int64_t now_ms, bool *changed, GError **error);

struct outbox_filter {
    bool has_state;
    enum outbox_state state;
    unsigned limit; /* newest first; 0 = all */
};
GPtrArray *outbox_list(struct store *store, const struct outbox_filter *filter, GError **error);

/* Messages that wait or are being sent, and those given up that nobody has asked to retry. */
bool outbox_count(struct store *store, int64_t *waiting, int64_t *given_up, GError **error);

/* The state of the newest earlier job of the branch that says something about the commit (success,
 * failed, error, timeout, interrupted, blocked), or NULL without error. */
bool store_job_previous_verdict(struct store *store, const struct job *job, char **state,
                                GError **error);

#endif
