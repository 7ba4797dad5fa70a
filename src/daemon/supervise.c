#include "daemon/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/refkey.h"
#include "base/spawn.h"
#include "base/wake.h"
#include "daemon/queue.h"
#include "daemon/reconcile.h"
#include "notify/tell.h"

enum {
    LOCK_CHECK_MS =
        500,         /* how often the lock of a job is looked at whose processes are not known */
    RETRY_MS = 5000, /* after a failure to start or to record */
    MAX_START_FAILURES = 5,
    LOCK_FILE_MAX_BYTES = 256,
};

struct running_job {
    int64_t id;
    char *repo, *branch;
    pid_t child;          /* of ours, or 0 when adopted */
    int pidfd;            /* of an adopted job's guard, or -1 */
    int fd_at;            /* in the poll set, or -1 */
    int64_t check_due_ms; /* adopted: when to look at its lock again; INT64_MAX = the pidfd tells */
};

struct start_failure {
    int64_t id;
    unsigned count;
    int64_t next_try_ms;
};

struct supervise {
    const struct paths *paths;
    struct store *store;
    const struct config *config;
    enum launch_output output;
    supervise_gate gate; /* or NULL */
    void *gate_data;
    GHashTable *jobs;           /* &id -> struct running_job * */
    GHashTable *start_failures; /* &id -> struct start_failure * */
    bool has_news;              /* a job ended */
    int64_t retry_due_ms;       /* when queued or lost jobs are tried again; INT64_MAX = no need */
};

static void running_job_free(void *data)
{
    struct running_job *job = data;
    g_free(job->repo);
    g_free(job->branch);
    fd_close(&job->pidfd);
    g_free(job);
}

struct supervise *supervise_new(const struct paths *paths, struct store *store,
                                enum launch_output output)
{
    struct supervise *supervise = g_new0(struct supervise, 1);
    supervise->paths = paths;
    supervise->store = store;
    supervise->output = output;
    supervise->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, running_job_free);
    supervise->start_failures = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    supervise->retry_due_ms = INT64_MAX;
    return supervise;
}

void supervise_free(struct supervise *supervise)
{
    if (supervise) {
        g_hash_table_unref(supervise->jobs);
        g_hash_table_unref(supervise->start_failures);
        g_free(supervise);
    }
}

void supervise_set_config(struct supervise *supervise, const struct config *config)
{
    supervise->config = config;
}

void supervise_set_gate(struct supervise *supervise, supervise_gate gate, void *data)
{
    supervise->gate = gate;
    supervise->gate_data = data;
}

unsigned supervise_count(const struct supervise *supervise)
{
    return g_hash_table_size(supervise->jobs);
}

static void try_again_later(struct supervise *supervise)
{
    int64_t due_ms = clock_monotonic_ms() + RETRY_MS;
    supervise->retry_due_ms = MIN(supervise->retry_due_ms, due_ms);
}

static void print_job_event(enum event_level level, const char *what, const struct job *job,
                            const char *error)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job->id);
    bool over = job_state_is_final(job->state);
    g_autofree char *elapsed =
        over && job->started_ms
            ? g_strdup_printf("%" G_GINT64_FORMAT, job->finished_ms - job->started_ms)
            : NULL;
    event_print(level, what, "job", id, "repo", job->repo, "branch", refkey_branch(job->branch),
                "tag", refkey_tag(job->branch), "sha", job->sha, "state",
                over ? job_state_name(job->state) : NULL, "ms", elapsed, "reason",
                over ? job->reason : NULL, "err", error, NULL);
}

static struct running_job *add_running(struct supervise *supervise, const struct job *job,
                                       pid_t child)
{
    struct running_job *running = g_new0(struct running_job, 1);
    running->id = job->id;
    running->repo = g_strdup(job->repo);
    running->branch = g_strdup(job->branch);
    running->child = child;
    running->pidfd = -1;
    running->fd_at = -1;
    running->check_due_ms = INT64_MAX;
    g_hash_table_replace(supervise->jobs, &running->id, running);
    return running;
}

/* A descriptor that tells when the adopted job ends: of its guard, else of its worker. */
static void watch_adopted(struct supervise *supervise, struct running_job *running)
{
    g_autofree char *path = paths_job_lock(supervise->paths, running->id);
    size_t length = 0;
    g_autofree char *text = file_read(path, LOCK_FILE_MAX_BYTES, &length, NULL);
    int guard = 0;
    int worker = 0;
    fd_close(&running->pidfd);
    if (text && sscanf(text, "%d %d", &guard, &worker) >= 1) {
        running->pidfd = guard > 1 ? spawn_open_pidfd(guard) : -1;
        if (running->pidfd < 0 && worker > 1) {
            running->pidfd = spawn_open_pidfd(worker);
        }
    }
    running->check_due_ms = running->pidfd >= 0 ? INT64_MAX : clock_monotonic_ms() + LOCK_CHECK_MS;
}

/* The process of a job is over, or was never one: what does the store say? */
static void settle(struct supervise *supervise, int64_t id)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(supervise->store, id, &error);
    if (job && job->state == JOB_RUNNING) {
        bool interrupted = false;
        if (!reconcile_job(supervise->paths, supervise->store,
                           config_find_repo(supervise->config, job->repo), id, &interrupted,
                           &error)) {
            print_job_event(EVENT_ERROR, "job unsettled", job, error->message);
            try_again_later(supervise);
        }
        g_clear_pointer(&job, job_free);
        job = store_job_get(supervise->store, id, NULL);
    } else if (job && job->state == JOB_INTERRUPTED &&
               !reconcile_rerun(supervise->store, config_find_repo(supervise->config, job->repo),
                                job, &error)) {
        print_job_event(EVENT_ERROR, "rerun failed", job, error->message);
    }
    if (job && job_state_is_final(job->state)) {
        supervise->has_news = true;
        g_hash_table_remove(supervise->start_failures, &id);
        enum event_level level = job->state == JOB_SUCCESS ? EVENT_INFO : EVENT_WARNING;
        print_job_event(level, "job finished", job, NULL);
    }
    job_free(job);
}

static void adopt_one(struct supervise *supervise, const struct job *job)
{
    if (g_hash_table_contains(supervise->jobs, &job->id)) {
        return;
    }
    g_autofree char *lock = paths_job_lock(supervise->paths, job->id);
    if (lock_is_held(lock)) {
        watch_adopted(supervise, add_running(supervise, job, 0));
        print_job_event(EVENT_INFO, "job adopted", job, NULL);
    } else {
        settle(supervise, job->id);
    }
}

void supervise_adopt(struct supervise *supervise)
{
    struct job_filter filter = {.has_state = true, .state = JOB_RUNNING};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) jobs = store_jobs(supervise->store, &filter, &error);
    if (!jobs) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
        try_again_later(supervise);
        return;
    }
    for (unsigned i = 0; i < jobs->len; i++) {
        adopt_one(supervise, g_ptr_array_index(jobs, i));
    }
}

static bool record_end(struct supervise *supervise, const struct job *job, enum job_state state,
                       const char *reason, GError **error)
{
    const struct repo_config *repo = config_find_repo(supervise->config, job->repo);
    int64_t now_ms = clock_now_ms();
    bool changed = false;
    bool good =
        store_begin(supervise->store, error) &&
        store_job_finish(supervise->store, job->id, state, reason, now_ms, &changed, error) &&
        (!changed || tell_end(supervise->store, repo ? repo->notify : NOTIFY_NONE, job->id, NULL,
                              NULL, now_ms, error)) &&
        store_commit(supervise->store, error);
    if (!good) {
        store_rollback(supervise->store);
    }
    return good;
}

static void give_up(struct supervise *supervise, const struct job *job, enum job_state state,
                    const char *reason)
{
    g_autoptr(GError) error = NULL;
    if (!record_end(supervise, job, state, reason, &error)) {
        print_job_event(EVENT_ERROR, "job unsettled", job, error->message);
        try_again_later(supervise);
        return;
    }
    settle(supervise, job->id);
}

/* True when the job has failed to start too often to go on trying. */
static bool count_start_failure(struct supervise *supervise, int64_t id)
{
    struct start_failure *failure = g_hash_table_lookup(supervise->start_failures, &id);
    if (!failure) {
        failure = g_new0(struct start_failure, 1);
        failure->id = id;
        g_hash_table_insert(supervise->start_failures, &failure->id, failure);
    }
    failure->count++;
    failure->next_try_ms = clock_monotonic_ms() + RETRY_MS;
    return failure->count >= MAX_START_FAILURES;
}

static bool may_try_now(const struct supervise *supervise, int64_t id)
{
    const struct start_failure *failure = g_hash_table_lookup(supervise->start_failures, &id);
    return !failure || failure->next_try_ms <= clock_monotonic_ms();
}

static void start_one(struct supervise *supervise, const struct job *job)
{
    const struct repo_config *repo = config_find_repo(supervise->config, job->repo);
    if (!repo) {
        give_up(supervise, job, JOB_CANCELED, "Repo.toml has no such section any more");
        return;
    }
    g_autoptr(GError) error = NULL;
    auto_fd lock = launch_take_lock(supervise->paths, job->id, &error);
    if (lock < 0 && error_has_code(error, ERROR_BUSY)) {
        /* `phantom_ci run` holds it and is about to start it. */
        watch_adopted(supervise, add_running(supervise, job, 0));
        return;
    }
    pid_t child = lock < 0 ? -1
                           : launch_job(supervise->paths, supervise->config, repo, job->id, lock,
                                        supervise->output, &error);
    if (child > 0) {
        add_running(supervise, job, child);
        print_job_event(EVENT_INFO, "job started", job, NULL);
        return;
    }
    print_job_event(EVENT_ERROR, "job start failed", job, error->message);
    if (!error_has_code(error, ERROR_NO_SPACE) && count_start_failure(supervise, job->id)) {
        give_up(supervise, job, JOB_ERROR, error->message);
    } else {
        try_again_later(supervise);
    }
}

static GArray *list_running(const struct supervise *supervise)
{
    GArray *running = g_array_new(FALSE, FALSE, sizeof(struct queue_job));
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct running_job *job = value;
        struct queue_job entry = {job->id, job->repo, job->branch};
        g_array_append_val(running, entry);
    }
    return running;
}

static const struct job *find_job(const GPtrArray *jobs, int64_t id)
{
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        if (job->id == id) {
            return job;
        }
    }
    return NULL;
}

void supervise_start_queued(struct supervise *supervise)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) jobs = store_jobs_queued(supervise->store, &error);
    if (!jobs) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
        try_again_later(supervise);
        return;
    }
    g_autoptr(GArray) queued = g_array_new(FALSE, FALSE, sizeof(struct queue_job));
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        struct queue_job entry = {job->id, job->repo, job->branch};
        if (may_try_now(supervise, job->id)) {
            g_array_append_val(queued, entry);
        }
    }
    g_autoptr(GArray) running = list_running(supervise);
    g_autoptr(GArray) picked = queue_pick(queued, running, supervise->config->max_jobs);
    if (supervise->gate && !supervise->gate(supervise->gate_data, picked->len)) {
        return;
    }
    for (unsigned i = 0; i < picked->len; i++) {
        int64_t id = g_array_index(picked, int64_t, i);
        if (!g_hash_table_contains(supervise->jobs, &id)) {
            start_one(supervise, find_job(jobs, id));
        }
    }
}

/* A child of ours ended. Still queued: it found that it could not run now, or died before it began.
 */
static void child_ended(struct supervise *supervise, int64_t id, int wait_status)
{
    g_hash_table_remove(supervise->jobs, &id);
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(supervise->store, id, &error);
    if (job && job->state == JOB_QUEUED) {
        bool not_claimed =
            WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == LAUNCH_EXIT_NOT_CLAIMED;
        g_autofree char *status = spawn_format_status(wait_status);
        g_autofree char *reason =
            g_strdup_printf("phantom_ci-job ended before it began: %s", status);
        if (!not_claimed) {
            print_job_event(EVENT_ERROR, "job start failed", job, reason);
        }
        supervise_adopt(supervise);
        if (!not_claimed && count_start_failure(supervise, id)) {
            give_up(supervise, job, JOB_ERROR, reason);
        } else {
            try_again_later(supervise);
        }
    } else if (job && job->state == JOB_RUNNING) {
        /* Its guard is gone; its worker may be alive, and then still holds the lock. */
        adopt_one(supervise, job);
    } else {
        settle(supervise, id);
    }
    job_free(job);
}

void supervise_children(struct supervise *supervise)
{
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GArray) statuses = g_array_new(FALSE, FALSE, sizeof(int));
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct running_job *job = value;
        int status = 0;
        if (job->child > 0 && waitpid(job->child, &status, WNOHANG) == job->child) {
            g_array_append_val(ended, job->id);
            g_array_append_val(statuses, status);
        }
    }
    for (unsigned i = 0; i < ended->len; i++) {
        child_ended(supervise, g_array_index(ended, int64_t, i), g_array_index(statuses, int, i));
    }
}

void supervise_add_fds(struct supervise *supervise, GArray *pollfds)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct running_job *job = value;
        job->fd_at = -1;
        if (job->pidfd >= 0) {
            struct pollfd entry = {.fd = job->pidfd, .events = POLLIN};
            job->fd_at = (int)pollfds->len;
            g_array_append_val(pollfds, entry);
        }
    }
}

/* Adopted jobs whose process ended or whose lock is to be looked at. */
static GArray *list_suspects(const struct supervise *supervise, const struct pollfd *fds,
                             unsigned count)
{
    GArray *suspects = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int64_t now_ms = clock_monotonic_ms();
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct running_job *job = value;
        bool signalled = job->fd_at >= 0 && (unsigned)job->fd_at < count && fds[job->fd_at].revents;
        if (!job->child && (signalled || job->check_due_ms <= now_ms)) {
            g_array_append_val(suspects, job->id);
        }
    }
    return suspects;
}

void supervise_handle(struct supervise *supervise, const struct pollfd *fds, unsigned count,
                      bool may_start)
{
    g_autoptr(GArray) suspects = list_suspects(supervise, fds, count);
    for (unsigned i = 0; i < suspects->len; i++) {
        int64_t id = g_array_index(suspects, int64_t, i);
        g_autofree char *lock = paths_job_lock(supervise->paths, id);
        if (lock_is_held(lock)) {
            watch_adopted(supervise, g_hash_table_lookup(supervise->jobs, &id));
        } else {
            g_hash_table_remove(supervise->jobs, &id);
            settle(supervise, id);
        }
    }
    bool retry = supervise->retry_due_ms <= clock_monotonic_ms();
    if (retry) {
        supervise->retry_due_ms = INT64_MAX;
        supervise_adopt(supervise);
    }
    if (may_start && (retry || suspects->len > 0)) {
        supervise_start_queued(supervise);
    }
}

int64_t supervise_next_due_ms(const struct supervise *supervise)
{
    int64_t next_ms = supervise->retry_due_ms;
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        next_ms = MIN(next_ms, ((const struct running_job *)value)->check_due_ms);
    }
    return next_ms;
}

bool supervise_take_news(struct supervise *supervise)
{
    bool has_news = supervise->has_news;
    supervise->has_news = false;
    return has_news;
}

void supervise_kill_all(struct supervise *supervise)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct running_job *job = value;
        enum cancel_outcome outcome;
        g_autoptr(GError) error = NULL;
        if (!store_job_stop(supervise->store, job->id, JOB_STOP_KILL, "phantom_ci was told to stop",
                            clock_now_ms(), &outcome, &error)) {
            event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
        }
        wake_job(supervise->paths, job->id);
    }
}

void supervise_leave_all(struct supervise *supervise)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, supervise->jobs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct running_job *job = value;
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job->id);
        event_print(EVENT_NOTICE, "job left running", "job", id, "repo", job->repo, "branch",
                    refkey_branch(job->branch), "tag", refkey_tag(job->branch), "note",
                    "the next phantom_ci adopts it", NULL);
    }
}
