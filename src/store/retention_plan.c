/* What goes and what stays; see retention.h. Pure. */
#include "store/retention.h"

/* What is known of a branch while its jobs pass by, newest first. */
struct progress {
    unsigned finished;
    bool seen, seen_push, seen_verdict;
};

struct planning {
    const struct retention_history *history;
    const struct retention_rules *rules;
    int64_t now_ms;
    GArray *branches;       /* of struct progress */
    GHashTable *referenced; /* &id of jobs that a kept one is a retry of */
    GArray *removals;       /* newest first */
    GArray *kept_logs;      /* of const struct retention_job *: logs that may go, newest first */
    int64_t kept_bytes;     /* of all logs that are there */
};

const char *retention_rule_name(enum retention_rule rule)
{
    static const char *const names[] = {[RETENTION_KEEP_FOR] = "keep_jobs_for",
                                        [RETENTION_KEEP_JOBS] = "keep_jobs",
                                        [RETENTION_KEEP_BYTES] = "keep_bytes"};
    return names[rule];
}

/* Whether one of the rules names the job; it may be protected all the same. */
static bool is_over(const struct planning *planning, const struct retention_job *job,
                    unsigned newer_finished, enum retention_rule *rule)
{
    const struct retention_rules *rules = planning->rules;
    if (rules->keep_for_ms > 0 && planning->now_ms - job->finished_ms > rules->keep_for_ms) {
        *rule = RETENTION_KEEP_FOR;
        return true;
    }
    *rule = RETENTION_KEEP_JOBS;
    return rules->keep_jobs > 0 && newer_finished >= rules->keep_jobs;
}

static void remove_job(struct planning *planning, const struct retention_job *job,
                       enum retention_rule rule)
{
    struct retention_removal removal = {job->id, rule, job->log_bytes};
    g_array_append_val(planning->removals, removal);
}

static void keep_job(struct planning *planning, const struct retention_job *job,
                     bool log_is_protected)
{
    if (job->retry_of > 0) {
        g_hash_table_add(planning->referenced, (gpointer)&job->retry_of);
    }
    if (job->log_is_dropped || job->log_bytes == 0) {
        return;
    }
    planning->kept_bytes += job->log_bytes;
    if (job->is_final && !log_is_protected) {
        g_array_append_val(planning->kept_logs, job);
    }
}

/* A retry has a higher number than what it is a retry of, so that whoever refers to a job has
 * passed by before it. */
static void judge(struct planning *planning, const struct retention_job *job)
{
    struct progress *branch = &g_array_index(planning->branches, struct progress, job->branch);
    const struct retention_branch *named =
        g_ptr_array_index(planning->history->branches, job->branch);
    bool is_newest = named->lives && !branch->seen;
    bool is_needed = is_newest || (named->lives && job->is_push && !branch->seen_push) ||
                     (named->lives && job->has_verdict && !branch->seen_verdict) ||
                     g_hash_table_contains(planning->referenced, &job->id);
    enum retention_rule rule;
    if (job->is_final && !is_needed && is_over(planning, job, branch->finished, &rule)) {
        remove_job(planning, job, rule);
    } else {
        keep_job(planning, job, is_newest);
    }
    branch->seen = true;
    branch->seen_push = branch->seen_push || job->is_push;
    branch->seen_verdict = branch->seen_verdict || job->has_verdict;
    branch->finished += job->is_final ? 1 : 0;
}

/* The oldest logs go until the others have room. */
static void judge_bytes(struct planning *planning)
{
    for (unsigned i = planning->kept_logs->len;
         i > 0 && planning->kept_bytes > planning->rules->keep_bytes; i--) {
        const struct retention_job *job =
            g_array_index(planning->kept_logs, const struct retention_job *, i - 1);
        planning->kept_bytes -= job->log_bytes;
        remove_job(planning, job, RETENTION_KEEP_BYTES);
    }
}

static int compare_removals(const void *left, const void *right)
{
    const struct retention_removal *a = left;
    const struct retention_removal *b = right;
    return a->job < b->job ? -1 : a->job > b->job;
}

GArray *retention_plan(const struct retention_history *history, const struct retention_rules *rules,
                       int64_t now_ms)
{
    struct planning planning = {
        .history = history,
        .rules = rules,
        .now_ms = now_ms,
        .branches = g_array_new(FALSE, TRUE, sizeof(struct progress)),
        .referenced = g_hash_table_new(g_int64_hash, g_int64_equal),
        .removals = g_array_new(FALSE, FALSE, sizeof(struct retention_removal)),
        .kept_logs = g_array_new(FALSE, FALSE, sizeof(const struct retention_job *)),
    };
    g_array_set_size(planning.branches, history->branches->len);
    for (unsigned i = 0; i < history->jobs->len; i++) {
        judge(&planning, &g_array_index(history->jobs, struct retention_job, i));
    }
    if (rules->keep_bytes > 0) {
        judge_bytes(&planning);
    }
    g_array_sort(planning.removals, compare_removals);
    g_array_unref(planning.branches);
    g_hash_table_unref(planning.referenced);
    g_array_unref(planning.kept_logs);
    return planning.removals;
}
