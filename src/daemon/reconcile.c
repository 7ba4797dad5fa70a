#include "daemon/reconcile.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/job_group.h"
#include "base/job_token.h"
#include "base/lock.h"
#include "base/spawn.h"
#include "base/text.h"
#include "daemon/launch.h"
#include "notify/tell.h"

enum { GROUP_PATIENCE_MS = 5000 };

#ifdef __linux__
#include <sys/syscall.h>

enum { ENVIRONMENT_MAX_BYTES = 8 * 1024 * 1024, KILL_PASSES = 100 };

static bool has_token(const char *pid_name, const char *token)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/environ", pid_name);
    size_t length = 0;
    g_autofree char *bytes = file_read(path, ENVIRONMENT_MAX_BYTES, &length, NULL);
    for (size_t at = 0; bytes && at < length; at += strlen(bytes + at) + 1) {
        if (strcmp(bytes + at, token) == 0) {
            return true;
        }
    }
    return false;
}

/* By the control group, which a process can't leave without the right to write there, or by the
 * environment, which it can wipe. */
static bool is_of_job(const char *pid_name, const char *group, const char *token)
{
    return job_group_has_process(group, pid_name) || has_token(pid_name, token);
}

/* The pidfd is taken first and the marks read after it, so that a recycled pid is never hit. */
static bool kill_if_marked(const char *pid_name, const char *group, const char *token)
{
    long number = strtol(pid_name, NULL, 10);
    if (number <= 1 || number == getpid() || !is_of_job(pid_name, group, token)) {
        return false;
    }
    auto_fd pidfd = spawn_open_pidfd((pid_t)number);
    if (pidfd < 0 || !is_of_job(pid_name, group, token)) {
        return false;
    }
    return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}

/* The last of several nets: a guard and a worker that were killed in one instant leave their steps
 * to init, and only their control groups and their environment still tell whose they were. */
static void kill_leftovers(const struct paths *paths, int64_t job)
{
    g_autofree char *token = job_token(paths->state, job);
    g_autofree char *group = job_group_name(paths->state, job);
    /* What it was freezing when it died has to be thawed, so the groups come first. */
    job_group_end(paths, job, GROUP_PATIENCE_MS);
    bool found = true;
    for (unsigned pass = 0; found && pass < KILL_PASSES; pass++) {
        found = false;
        DIR *directory = opendir("/proc");
        const struct dirent *entry;
        while (directory && (entry = readdir(directory))) {
            if (g_ascii_isdigit(entry->d_name[0])) {
                found = kill_if_marked(entry->d_name, group, token) || found;
            }
        }
        if (directory) {
            closedir(directory);
        }
    }
}
#else
static void kill_leftovers(const struct paths *paths, int64_t job)
{
    (void)paths;
    (void)job;
}
#endif

static void remove_traces(const struct paths *paths, int64_t job)
{
    g_autofree char *temporary = paths_job_temporary(paths, job);
    g_autofree char *control = paths_job_control(paths, job);
    g_autofree char *lock = paths_job_lock(paths, job);
    g_autoptr(GError) error = NULL;
    if (!file_remove_tree_at_path(temporary, &error)) {
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job);
        event_print(EVENT_WARNING, "directory left", "job", id, "err", error->message, NULL);
    }
    job_group_end(paths, job, GROUP_PATIENCE_MS);
    unlink(control);
    unlink(lock);
}

bool reconcile_rerun(struct store *store, const struct repo_config *repo, const struct job *job,
                     GError **error)
{
    if (!repo || repo->on_interrupt != ON_INTERRUPT_RERUN) {
        return true;
    }
    struct job_request request = {.repo = job->repo,
                                  .branch = job->branch,
                                  .sha = job->sha,
                                  .previous_sha = job->previous_sha,
                                  .trigger = JOB_TRIGGER_RERUN,
                                  .priority = job->priority,
                                  .retry_of = job->id,
                                  .attempt = job->attempt + 1};
    int64_t rerun = 0;
    return store_job_enqueue(store, &request, clock_now_ms(), &rerun, NULL, error);
}

/* In one transaction: the job is interrupted, its steps too, and where asked it is queued again. */
static bool record_interruption(struct store *store, const struct repo_config *repo,
                                const struct job *job, bool *changed, GError **error)
{
    int64_t now_ms = clock_now_ms();
    if (!store_begin(store, error)) {
        return false;
    }
    bool good =
        store_steps_interrupt(store, job->id, now_ms, error) &&
        store_job_finish(store, job->id, JOB_INTERRUPTED,
                         "its process ended without a result (killed, or the machine went down)",
                         now_ms, changed, error);
    if (good && *changed) {
        good =
            reconcile_rerun(store, repo, job, error) &&
            tell_end(store, repo ? repo->notify : NOTIFY_NONE, job->id, NULL, NULL, now_ms, error);
    }
    good = good && store_commit(store, error);
    if (!good) {
        store_rollback(store);
    }
    return good;
}

bool reconcile_job(const struct paths *paths, struct store *store, const struct repo_config *repo,
                   int64_t id, bool *interrupted, GError **error)
{
    *interrupted = false;
    g_autoptr(GError) busy = NULL;
    auto_fd lock = launch_take_lock(paths, id, &busy);
    if (lock < 0) {
        if (error_has_code(busy, ERROR_BUSY)) {
            return true;
        }
        g_propagate_error(error, g_steal_pointer(&busy));
        return false;
    }
    struct job *job = store_job_get(store, id, error);
    if (!job) {
        return false;
    }
    bool good = true;
    if (job->state == JOB_RUNNING) {
        kill_leftovers(paths, id);
        good = record_interruption(store, repo, job, interrupted, error);
    }
    if (good && job->state != JOB_QUEUED) {
        remove_traces(paths, id);
    }
    job_free(job);
    return good;
}
