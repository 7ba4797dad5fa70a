/*
 * The store: one SQLite database (WAL, synchronous=FULL) that holds every fact which must survive:
 * branch tips, jobs, steps, decisions, requests. The only place with SQL.
 *
 * 1. store_open() makes or migrates the database; many processes may have it open.
 * 2. Single questions are functions. What must happen together is put between store_begin() and
 *    store_commit(); store_rollback() after a failure. A transaction is BEGIN IMMEDIATE.
 * 3. store_close().
 *
 * All functions fail with ERROR_NO_SPACE when the disk is full, ERROR_BUSY when another process
 * held the write lock for 30 s, ERROR_NOT_FOUND when a job that must exist does not, else
 * ERROR_SYSTEM. Strings in structs are owned by the struct. Times are UTC milliseconds.
 */
#ifndef PHANTOM_CI_STORE_STORE_H
#define PHANTOM_CI_STORE_STORE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_ERROR (g_quark_from_static_string("phantom-ci-store"))

struct store;

/* Opens or creates the database (0600) and brings its schema up to date in one transaction. A
 * database made by a newer version is ERROR_INVALID and stays untouched. */
struct store *store_open(const char *path, GError **error);
/* Opens an existing database and changes nothing at all: no schema is brought up to date, no file
 * made or removed. An older schema is accepted: see store_schema(). A database that nobody had open
 * is read without locks; a reader that finds it damaged opens it once more before believing that.
 * ERROR_NOT_FOUND when there is none. */
struct store *store_open_to_read(const char *path, GError **error);
void store_close(struct store *store);

/* Gives back what only makes the next question faster (statements, pages). Outside of transactions.
 */
void store_release_memory(struct store *store);

bool store_begin(struct store *store, GError **error);
bool store_commit(struct store *store, GError **error);
void store_rollback(struct store *store); /* no-op outside a transaction */

/* PRAGMA quick_check; ERROR_INVALID with the first finding. */
bool store_check(struct store *store, GError **error);

/* The same, given up after `timeout_ms` with ERROR_LIMIT. */
bool store_check_within(struct store *store, int timeout_ms, GError **error);

/* The number of the database's schema, and of the one that this version works with. */
bool store_schema(struct store *store, int64_t *found, int64_t *known, GError **error);

/* The latest time that any row of jobs, steps, branches and decisions tells; 0 = none. */
bool store_newest_ms(struct store *store, int64_t *newest_ms, GError **error);

/* ------------------------------------------------------------------ jobs */

enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_SUCCESS,
    JOB_FAILED, /* a step failed */
    JOB_ERROR,  /* no fault of a step: fetch, workflow, disk, ... */
    JOB_TIMEOUT,
    JOB_CANCELED,
    JOB_INTERRUPTED, /* its process died */
    JOB_SUPERSEDED,  /* a newer commit replaced it */
    JOB_SKIPPED,     /* the commit has no workflow for the branch */
    JOB_BLOCKED,     /* a rule refused it; a person may approve it */
};
const char *job_state_name(enum job_state state);
bool job_state_from_name(const char *name, enum job_state *state);
bool job_state_is_final(enum job_state state); /* all but queued and running */

enum job_trigger {
    JOB_TRIGGER_PUSH,
    JOB_TRIGGER_RUN,
    JOB_TRIGGER_RETRY,
    JOB_TRIGGER_ADD,
    JOB_TRIGGER_RERUN,
    JOB_TRIGGER_SCHEDULE
};
/* "push" "run" "retry" "add" "rerun" "schedule" */
const char *job_trigger_name(enum job_trigger trigger);
bool job_trigger_from_name(const char *name, enum job_trigger *trigger);

/* Which rule refused a blocked job. "rewind" "signature" "workflow" */
enum job_block { JOB_BLOCK_NONE, JOB_BLOCK_REWIND, JOB_BLOCK_SIGNATURE, JOB_BLOCK_WORKFLOW };
const char *job_block_name(enum job_block block); /* NULL for none */

enum job_stop { JOB_STOP_NONE, JOB_STOP_CANCEL, JOB_STOP_SUPERSEDE, JOB_STOP_KILL };

/* `branch` is a key of a branch or a tag (base/refkey.h), here and in everything below. */
struct job {
    int64_t id;
    char *repo, *branch, *sha;
    char *previous_sha;     /* the tip that was handled before, or NULL */
    char *subject, *author; /* NULL until the commit was fetched */
    enum job_trigger trigger;
    enum job_state state;
    char *reason;     /* in words, or NULL */
    int attempt;      /* 1 for the first */
    int64_t retry_of; /* 0 = none */
    int priority;
    int64_t created_ms, started_ms, finished_ms; /* 0 = not yet */
    enum job_stop stop;                          /* asked of a running job */
    char *stop_reason;
    char *signer, *signing_key; /* whose verified signature the commit bears, or NULL */
    enum job_block block;       /* of a blocked job */
    char *pin;                  /* digest of what would be approved with its workflow, or NULL */
};
void job_free(struct job *job);

struct job_request {
    const char *repo, *branch, *sha, *previous_sha;
    enum job_trigger trigger;
    int priority;
    int64_t retry_of;
    int attempt; /* 0 = 1 */
};

/* Inserts a queued job. For JOB_TRIGGER_PUSH, in the same transaction (its own if none is open):
 * the queued jobs of that repo and branch become JOB_SUPERSEDED with a reason that names the new
 * commit and job, and when the newest earlier push job of the branch is superseded so or blocked,
 * its previous_sha is carried over in place of request->previous_sha. What a person asked for by
 * hand (run, retry) or a schedule is not superseded. A job of JOB_TRIGGER_SCHEDULE supersedes the
 * queued ones of that trigger, repo and branch. `superseded` may be NULL. */
bool store_job_enqueue(struct store *store, const struct job_request *request, int64_t now_ms,
                       int64_t *id, unsigned *superseded, GError **error);

/* queued -> running, if the job is still queued and no other job of its repo and branch is running.
 */
bool store_job_claim(struct store *store, int64_t id, int64_t now_ms, bool *claimed,
                     GError **error);

bool store_job_describe(struct store *store, int64_t id, const char *subject, const char *author,
                        GError **error);

/* running (or queued) -> a final state. *changed is false, and nothing is written, when the job
 * already had a final state. `changed` may be NULL. */
bool store_job_finish(struct store *store, int64_t id, enum job_state state, const char *reason,
                      int64_t now_ms, bool *changed, GError **error);

enum cancel_outcome { CANCEL_DONE, CANCEL_ASKED, CANCEL_ALREADY_OVER };
/* A queued job becomes canceled (or superseded) at once; of a running one the stop is asked (the
 * caller wakes its process through its control FIFO). Idempotent. ERROR_NOT_FOUND. */
bool store_job_stop(struct store *store, int64_t id, enum job_stop stop, const char *reason,
                    int64_t now_ms, enum cancel_outcome *outcome, GError **error);

/* ERROR_NOT_FOUND when absent. */
struct job *store_job_get(struct store *store, int64_t id, GError **error);

struct job_filter {
    /* substring of repo or branch, prefix of sha, or a state's name; NULL = all */
    const char *text;
    const char *repo, *branch; /* exact; NULL = all */
    bool has_state;
    enum job_state state;
    int64_t after_id; /* only jobs with a larger id; 0 = all */
    unsigned limit;   /* newest first; 0 = all */
};
GPtrArray *store_jobs(struct store *store, const struct job_filter *filter, GError **error);

/* Queued jobs of repos that are not paused, by priority (high first), then id. */
GPtrArray *store_jobs_queued(struct store *store, GError **error);

/* The blocked jobs that are the newest of their repo and branch, oldest first. */
GPtrArray *store_jobs_blocked(struct store *store, GError **error);

/* The newest job of a branch (any branch of the repo when branch is NULL), or NULL without error.
 */
struct job *store_job_latest(struct store *store, const char *repo, const char *branch,
                             GError **error);

/* The newest job of a tag of the repo, or NULL without error. */
struct job *store_job_latest_of_tags(struct store *store, const char *repo, GError **error);

/* The commit that the last job of the branch before job `before_id` has really run: to success, to
 * failure, or into its timeout; what ended otherwise did not come to a verdict about its commit.
 * Without one *job is 0 and *sha is what the oldest push followed, which may be NULL. Free with
 * g_free(). */
bool store_job_last_run(struct store *store, const char *repo, const char *branch,
                        int64_t before_id, int64_t *job, char **sha, GError **error);

/* The commits that the repo's jobs before `before_id` have run as store_job_last_run() says, newest
 * first, at most `limit`; of g_free() strings. */
GPtrArray *store_job_commits_run(struct store *store, const char *repo, int64_t before_id,
                                 unsigned limit, GError **error);

/* ------------------------------------------------------------------ trust */

bool store_job_set_signer(struct store *store, int64_t id, const char *signer, const char *key,
                          GError **error);

/* Why the job is about to end as blocked; `pin` may be NULL. */
bool store_job_set_block(struct store *store, int64_t id, enum job_block block, const char *pin,
                         GError **error);

/* What a person has allowed: this commit on this branch, as far as the rule `block` goes. */
struct approval {
    char *repo, *branch, *sha;
    enum job_block block;
    char *pin;                /* or NULL */
    int64_t blocked_job, job; /* the one that was refused, and the one that ran in its place */
    char *approver;
    int64_t at_ms;
    char *reason; /* of the refusal */
};
void approval_free(struct approval *approval);

/* Queues a job in place of a blocked one and records the approval, in one transaction. A job that
 * was approved before gives the job queued then, with *is_new false. ERROR_INVALID for a job that
 * is not blocked. */
bool store_approve(struct store *store, int64_t blocked_job, const char *approver, int priority,
                   int64_t now_ms, int64_t *job, bool *is_new, GError **error);

/* The newest approval of the branch for that rule, and if not NULL for that commit and that pin;
 * NULL without error when there is none. */
struct approval *store_approval_find(struct store *store, const char *repo, const char *branch,
                                     enum job_block block, const char *sha, const char *pin,
                                     GError **error);

/* ----------------------------------------------------------------- steps */

enum step_state {
    STEP_RUNNING,
    STEP_SUCCESS,
    STEP_FAILED,
    STEP_TIMEOUT,
    STEP_CANCELED,
    STEP_INTERRUPTED,
    STEP_ERROR
};
const char *step_state_name(enum step_state state);
bool step_state_from_name(const char *name, enum step_state *state);

struct step {
    int64_t job;
    uint64_t number;
    char **argv;
    enum step_state state;
    int exit_code; /* -1 = none */
    int signal;    /* 0 = none */
    char *reason;  /* in words when it did not succeed, or NULL */
    int64_t started_ms, finished_ms;
    int64_t cpu_us;                 /* of all processes */
    int64_t max_rss_bytes;          /* of the greatest process; 0 = unknown */
    int64_t memory_peak_bytes;      /* of all at one time, with what files they had in memory */
    int64_t pids_peak;              /* processes and threads at one time; both 0 = unknown */
    int64_t log_offset, log_length; /* in the job's output; length -1 while running */
};
void step_free(struct step *step);

bool store_step_start(struct store *store, int64_t job, uint64_t number, const char *const *argv,
                      int64_t log_offset, int64_t now_ms, GError **error);
/* Everything of `step` but argv, started_ms and log_offset is written. */
bool store_step_finish(struct store *store, const struct step *step, GError **error);
GPtrArray *store_steps(struct store *store, int64_t job, GError **error);

/* Marks running steps of a lost job as interrupted. */
bool store_steps_interrupt(struct store *store, int64_t job, int64_t now_ms, GError **error);

/* Notes: what the runner itself has to say inside a job's log ("left 2 processes, killed"). */
struct note {
    int64_t at_ms, log_offset;
    char *text;
};
void note_free(struct note *note);
bool store_note_add(struct store *store, int64_t job, int64_t log_offset, const char *text,
                    int64_t now_ms, GError **error);
GPtrArray *store_notes(struct store *store, int64_t job, GError **error);

/* -------------------------------------------------------- repos, branches */

struct branch {
    char *repo, *name; /* the key of a branch or a tag */
    char *tip;         /* the last one seen; NULL for a target that was never seen */
    int64_t seen_ms;   /* when the tip was first seen */
    int64_t gone_ms;   /* since when the branch is missing on the remote; 0 = it is there */
};
void branch_free(struct branch *branch);

/* Branches of a repo, or of all repos when NULL, by repo and name; without tags. */
GPtrArray *store_branches(struct store *store, const char *repo, GError **error);
/* The same for tags, of which there may be a hundred thousand. */
GPtrArray *store_tags(struct store *store, const char *repo, GError **error);
bool store_count_tags(struct store *store, const char *repo, int64_t *count, GError **error);
/* By their keys, branches and tags are kept apart. */
bool store_branch_put(struct store *store, const struct branch *branch, GError **error);
/* Forgets a branch that the section no longer asks for; its jobs and decisions stay. */
bool store_branch_remove(struct store *store, const char *repo, const char *name, GError **error);

/* The selection string under which the repo was last looked at (see repo_config_selection()), or
 * NULL. */
bool store_repo_get_selection(struct store *store, const char *repo, char **selection,
                              GError **error);
bool store_repo_put_selection(struct store *store, const char *repo, const char *selection,
                              GError **error);

/* The same for the selection of tags (see repo_config_tag_selection()). NULL forgets it with all
 * tags. */
bool store_repo_get_tag_selection(struct store *store, const char *repo, char **selection,
                                  GError **error);
bool store_repo_put_tag_selection(struct store *store, const char *repo, const char *selection,
                                  GError **error);

/* Schedules: which lines were reckoned with, and up to when they have been carried out. */
struct repo_schedule {
    char *repo, *lines;
    int64_t done_ms;
};
void repo_schedule_free(struct repo_schedule *schedule);
GPtrArray *store_schedules(struct store *store, GError **error);
/* *schedule is NULL when the repo has none. */
bool store_schedule_get(struct store *store, const char *repo, struct repo_schedule **schedule,
                        GError **error);
/* `lines` NULL: the repo has none any more. */
bool store_schedule_put(struct store *store, const char *repo, const char *lines, int64_t done_ms,
                        GError **error);

bool store_repo_set_paused(struct store *store, const char *repo, bool paused, GError **error);
bool store_repo_is_paused(struct store *store, const char *repo, bool *paused, GError **error);

/* Removes a repo's branches, tags, selections, schedule, decisions, requests and approvals; its
 * jobs stay as history. Queued jobs of it are canceled. */
bool store_repo_forget(struct store *store, const char *repo, int64_t now_ms, GError **error);

/* ------------------------------------------------------ decisions, requests */

struct decision {
    char *repo, *branch;
    int64_t at_ms;
    char *kind; /* "baseline" "queued" "superseded" "gone" "returned" "missing" "blocked" ... */
    char *old_sha, *new_sha; /* or NULL */
    int64_t job;             /* 0 = none */
    char *detail;            /* one sentence */
};
void decision_free(struct decision *decision);
bool store_decision_put(struct store *store, const struct decision *decision, GError **error);
/* The last 20 decisions of each branch are kept. Newest first; branch NULL = all of the repo. */
GPtrArray *store_decisions(struct store *store, const char *repo, const char *branch,
                           unsigned limit, GError **error);

/* "Look now" requests of `phantom_ci poll`; NULL repo = all. Taking them removes them. Returns
 * names
 * ("" = all), NULL on failure; empty and without a write when there is none. */
bool store_request_poll(struct store *store, const char *repo, int64_t now_ms, GError **error);
char **store_take_poll_requests(struct store *store, GError **error);

#endif
