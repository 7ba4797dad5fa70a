/*
 * Which finished jobs and logs are kept, and the removal of the others.
 *
 * 1. store_retention_history() reads what the rules need to know of every job. The caller fills in
 *    which branches live and how much room each log takes.
 * 2. retention_plan() decides. Pure.
 * 3. store_retention_delete() and store_retention_drop_logs() carry it out, a few jobs a
 *    transaction; the log directories are removed by the caller after the commit. A crash between
 *    the two leaves a directory that nothing speaks of any more, which the next pass removes, and
 *    never a job whose log is missing without a word.
 *
 * Never removed: a queued or running job; of each branch that lives its newest job, its newest push
 * (what the next push follows) and its newest verdict (what "red again" is measured by); and any
 * job that a kept one is a retry of. Never without its log: the newest job of a branch that lives.
 */
#ifndef PHANTOM_CI_STORE_RETENTION_H
#define PHANTOM_CI_STORE_RETENTION_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct retention_rules {
    int64_t keep_for_ms; /* after the end of the job; 0 = for ever */
    unsigned keep_jobs;  /* finished ones of each branch, the newest; 0 = all */
    int64_t keep_bytes;  /* all logs together; the oldest logs go first; 0 = no limit */
};

struct retention_branch {
    char *repo, *name;
    bool lives; /* watched, and there on the remote; set by the caller */
};

struct retention_job {
    int64_t id, retry_of, finished_ms;
    int64_t log_bytes; /* of its log directory, 0 = none; set by the caller */
    unsigned branch;   /* index in the history's branches */
    bool is_final, is_push;
    bool has_verdict;    /* neither canceled nor superseded nor skipped */
    bool log_is_dropped; /* by an earlier pass, which may not have come to the directory */
};

struct retention_history {
    GArray *jobs;        /* of struct retention_job, newest first */
    GPtrArray *branches; /* of struct retention_branch * */
    int64_t last_id;     /* the highest that a job of this database ever had */
};
void retention_history_free(struct retention_history *history);

struct retention_history *store_retention_history(struct store *store, GError **error);

enum retention_rule { RETENTION_KEEP_FOR, RETENTION_KEEP_JOBS, RETENTION_KEEP_BYTES };
const char *retention_rule_name(enum retention_rule rule); /* the key of config.toml */

/* By the first two rules a job goes with everything of it, by the last one only its log. */
struct retention_removal {
    int64_t job;
    enum retention_rule rule;
    int64_t log_bytes;
};

/* Returns a GArray of struct retention_removal, oldest first. */
GArray *retention_plan(const struct retention_history *history, const struct retention_rules *rules,
                       int64_t now_ms);

/* How much one transaction takes on at most. */
enum { RETENTION_BITE_JOBS = 50, RETENTION_BITE_MS = 50 };

/* Removes the rows of the first jobs of the list, in one transaction; *taken says how many were
 * looked at (at least one), and those that are gone are added to `deleted` (GArray of int64_t). A
 * job that has been retried since the history was read (last_id) stays. */
bool store_retention_delete(struct store *store, const int64_t *jobs, unsigned count,
                            int64_t last_id, unsigned *taken, GArray *deleted, GError **error);

/* The same for logs: notes at the jobs that their logs were removed, and why (`text`). */
bool store_retention_drop_logs(struct store *store, const int64_t *jobs, unsigned count,
                               const char *text, int64_t now_ms, unsigned *taken, GError **error);

/* The text, when the job's log was dropped; *text is NULL when it was not. */
bool store_retention_dropped_log(struct store *store, int64_t job, char **text, GError **error);

/* Forgets a branch or a tag that has been gone since gone_ms, unless it has come back since or a
 * job of it is left. Should it ever come back, it is new. */
bool store_retention_forget_branch(struct store *store, const char *repo, const char *name,
                                   int64_t gone_ms, bool *forgotten, GError **error);

/* Decisions from before before_ms about branches that are known no more and have no job left: a
 * GArray of their int64_t numbers; and their removal, as store_retention_delete(). */
GArray *store_retention_stale_decisions(struct store *store, int64_t before_ms, GError **error);
bool store_retention_delete_decisions(struct store *store, const int64_t *decisions, unsigned count,
                                      unsigned *taken, GError **error);

/* Makes the database file smaller if at least a quarter of it and 4 MiB are unused; *freed_bytes is
 * 0 when they are not. Keeps other writers waiting meanwhile, so it gives up after limit_ms
 * (ERROR_LIMIT). The file's size in *size_bytes. */
bool store_compact(struct store *store, int limit_ms, int64_t *size_bytes, int64_t *freed_bytes,
                   GError **error);

#endif
