/*
 * A notice: one thing that happened and that somebody may want to hear of, before it is known who
 * hears of it and in which form.
 *
 * 1. Who lets it happen fills a struct notice (NOTICE_INIT, then copies of strings) and, for the
 *    end of a step's output, calls notice_set_tail() with the masks of the job.
 * 2. notify_wants() says whether the section's `notify` asks for it.
 * 3. notice_to_json() makes the row that is stored in the transaction in which it happened.
 * 4. notice_from_json(), notice_mask() with the secrets of `.env`, and message_format() for each
 *    target (notify/message.h).
 * 5. notice_clear() or, for one of notice_from_json(), notice_free().
 *
 * Which field belongs to which kind (others may be set, and are not shown):
 *
 *   all but TEST    repo, at_ms
 *   STARTED         job, branch, sha, subject, author, trigger, attempt
 *   STEP_FAILED     the same, step, command, exit_code or signal, reason, tail, duration_ms (of
 *                   the step); state "timeout" when it was stopped for its time
 *   FINISHED        the same as STARTED, state, reason, duration_ms (of the job); with step and
 *                   tail when no STEP_FAILED was sent for the step (`notify` is not "all")
 *   BLOCKED         the same as STARTED, reason
 *   INTERRUPTED     the same as STARTED, reason, duration_ms, step if it is known
 *   BRANCH_MISSING  branch, reason
 *   TEST            reason (what is said beside "it works"), or nothing
 */
#ifndef PHANTOM_CI_NOTIFY_NOTICE_H
#define PHANTOM_CI_NOTIFY_NOTICE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mask.h"
#include "config/config.h"

#define NOTICE_ERROR (g_quark_from_static_string("phantom-ci-notice"))

enum {
    NOTICE_TEXT_MAX_BYTES = 2048,      /* of each text but the tail */
    NOTICE_TAIL_MAX_BYTES = 16 * 1024, /* of the tail */
    NOTICE_JSON_MAX_BYTES = 128 * 1024,
};

enum notice_kind {
    NOTICE_STARTED,
    NOTICE_STEP_FAILED,
    NOTICE_FINISHED,
    NOTICE_BLOCKED,
    NOTICE_INTERRUPTED,
    NOTICE_BRANCH_MISSING,
    NOTICE_TEST
};
enum { NOTICE_KINDS = NOTICE_TEST + 1 };

/* "started" "step_failed" "finished" "blocked" "interrupted" "branch_missing" "test" */
const char *notice_kind_name(enum notice_kind kind);
bool notice_kind_from_name(const char *name, enum notice_kind *kind);

struct notice {
    enum notice_kind kind;
    int64_t job;                                  /* 0 = none */
    char *repo, *branch, *sha, *subject, *author; /* branch: a key of a branch or tag */
    char *trigger;                                /* a job_trigger_name(), or NULL */
    char *state;                                  /* a job_state_name(), or NULL */
    char *reason;                                 /* in words, or NULL */
    int attempt;                                  /* from 1; 0 = unknown */
    int64_t at_ms;
    int64_t duration_ms; /* -1 = unknown */
    bool has_step;
    uint64_t step;  /* its number in the workflow */
    char *command;  /* argv as a person would type it */
    int exit_code;  /* -1 = none */
    int signal;     /* 0 = none */
    char *tail;     /* the end of the output, or NULL */
    int64_t before; /* bytes of output that came before the tail */
};

#define NOTICE_INIT                                                                                \
    {                                                                                              \
        .duration_ms = -1, .exit_code = -1                                                         \
    }

/* Frees the texts and makes it NOTICE_INIT again. */
void notice_clear(struct notice *notice);
void notice_free(struct notice *notice);

/* Sets `tail` and `before` from the end of a step's output: `bytes` (any bytes, also NUL) is its
 * last part, before which lie `before` bytes more. The masks (NULL = none) are applied, it is made
 * readable (see notify/output.h), and then cut at the front to NOTICE_TAIL_MAX_BYTES, so that no
 * half of a secret stays. Give it more than that is kept: 64 KiB are enough, 1 MiB is no harm.
 * Output that is empty or blank gives NULL. */
void notice_set_tail(struct notice *notice, const char *bytes, size_t length, int64_t before,
                     const struct mask *mask);

/* Hides secrets in every text of the notice. */
void notice_mask(struct notice *notice, const struct mask *mask);

/* Always valid JSON of at most NOTICE_JSON_MAX_BYTES: a longer text is cut (at the front for the
 * tail, else at the end), and what is no printable UTF-8 is escaped as text_append_escaped() does;
 * a number beyond its range becomes the nearest in it.
 * Apart from that, what notice_from_json() reads is what was written. Free with g_free(). */
char *notice_to_json(const struct notice *notice);

/* ERROR_INVALID for what is no JSON object of ours: an unknown kind, a field of another type or
 * beyond its range, a missing repo, too many bytes. Unknown fields are skipped: a newer version may
 * have written them. */
struct notice *notice_from_json(const char *json, size_t length, GError **error);

/* True for a state that `changes` compares: green (success) or red (failed, error, timeout,
 * interrupted, blocked). What was canceled, superseded or skipped says nothing about the branch. */
bool notify_state_counts(const char *state);

/* Whether a section's `notify` asks for a notice:
 *
 *   all       everything, but the end of jobs that ran nothing (superseded, skipped)
 *   failures  one message for each job that ended red, and a missing branch
 *   changes   the same when the branch was not red before, the first success after that, and a
 *             missing branch
 *   none      nothing
 *
 * A test, which a person asked for, is always wanted. `state` is the job's (NULL for kinds without
 * one; BLOCKED and INTERRUPTED are red by themselves); previous_state is the last state of an
 * earlier job of the branch for which notify_state_counts() holds, or NULL: then a failure is a
 * change, and a success is none. */
bool notify_wants(enum notify_policy policy, enum notice_kind kind, const char *state,
                  const char *previous_state);

#endif
