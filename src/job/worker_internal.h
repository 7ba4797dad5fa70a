/* What the phases of a job share. */
#ifndef PHANTOM_CI_JOB_WORKER_INTERNAL_H
#define PHANTOM_CI_JOB_WORKER_INTERNAL_H

#include <glib.h>
#include <stdbool.h>

#include "config/workflow.h"
#include "git/checkout.h"
#include "git/mirror.h"
#include "job/confined.h"
#include "job/echo.h"
#include "job/limits.h"
#include "job/secrets.h"
#include "job/worker.h"
#include "notify/tell.h"
#include "store/joblog.h"
#include "store/store.h"

struct worker {
    const struct worker_options *options;
    const struct repo_config *repo;
    struct store *store;
    struct job *job;
    int stop_fd;
    int64_t deadline_ms; /* of the job, monotonic */
    struct git_remote remote;
    struct git_limits limits;
    char *ref; /* full name of the branch or tag */
    char *keep_ref;
    struct mirror *mirror;
    struct checkout *checkout;
    struct workflow *workflow;
    struct joblog_writer *log;
    struct echo *echo;               /* or NULL */
    struct confinement *confinement; /* or NULL */
    struct limits *step_limits;      /* once there is a step */
    char *temporary;                 /* TMPDIR of the steps */
    struct secrets *secrets;         /* or NULL, and then so are the next two */
    struct mask_stream *masker;      /* of the output of the step that runs */
    GString *masked;                 /* scratch */
    enum job_stop stop;
    char *stop_reason;
    enum job_state state; /* the verdict, once a phase has given it */
    char *reason;
    enum job_block block;     /* with the state JOB_BLOCKED */
    char *pin;                /* goes with it, or NULL */
    struct step *failed_step; /* that ended the job, or NULL */
    struct tell_output failed_output;
};

/* The verdict: no further phase runs. Always false, for "return worker_end(...)". */
bool worker_end(struct worker *worker, enum job_state state, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Ends the job as a failed call of git, the store or the system asks for: a time limit, a stop, or
 * `error` with its message behind `what`. Always false. */
bool worker_end_by_error(struct worker *worker, const char *what, const GError *error);

/* The verdict that a rule refuses the job until a person approves it, with what
 * store_job_set_block() is to keep. Always false. */
bool worker_block(struct worker *worker, enum job_block block, const char *pin, const char *format,
                  ...) G_GNUC_PRINTF(4, 5);

/* Whether a person has approved what the rule refuses; notes who and when. False when the job has
 * its verdict, because that can't be found out. */
bool worker_is_approved(struct worker *worker, enum job_block block, const char *pin, bool *answer);

/* A git call was canceled because the stop descriptor became readable, but nobody asks to stop:
 * once more. */
bool worker_was_false_alarm(struct worker *worker, const GError *error);

/* A line of the runner itself in the job's log. */
void worker_note(struct worker *worker, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The text without the secrets of the steps, in the place of `text`, which is freed; NULL = NULL.
 */
char *worker_hide(const struct worker *worker, char *text);

/* Asks whether the job was told to stop; remembers why. */
bool worker_is_stopped(struct worker *worker);

/* The phases; false when the job has its verdict. */
bool phase_fetch(struct worker *worker);
bool phase_trust(struct worker *worker);
bool phase_approval(struct worker *worker);
bool phase_rules(struct worker *worker);
bool phase_announce(struct worker *worker);
bool phase_workflow(struct worker *worker);
bool phase_checkout(struct worker *worker);
bool phase_secrets(struct worker *worker);
bool phase_steps(struct worker *worker);

#endif
