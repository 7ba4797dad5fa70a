#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/text.h"
#include "base/units.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/confirm.h"
#include "commands/service_manager.h"
#include "commands/service_unit.h"

enum { LOCK_PATIENCE_MS = 90 * 1000 };

struct reset {
    struct command_context context;
    gboolean yes, kill_jobs, history;
    bool had_service, for_user; /* our own service ran, and is started again */
    int lock;                   /* the daemon's, or -1 */
    int gc_lock;                /* or -1 */
};

/* What is removed, by directory; NULL-terminated. Locks and FIFOs that others may hold stay. */
static const char *const cache_names[] = {"mirrors", "workspaces", "checkouts",
                                          "trash",   "tmp",        NULL};
/* Logs before the database that gives out their numbers, and its write-ahead log before it: a
 * database without one is older, a new one beside it would be damaged. */
static const char *const history_names[] = {"logs",         "jobs",         "looks",    "reserve",
                                            "state.db-wal", "state.db-shm", "state.db", NULL};

/* --------------------------------------------------------------------- asking */

static unsigned count_entries(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    DIR *entries = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;
    while (entries && (entry = readdir(entries))) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    if (entries) {
        closedir(entries);
    }
    return count;
}

static void print_plan(const struct reset *reset)
{
    const struct paths *paths = &reset->context.paths;
    g_autofree char *cache = text_escape(paths->cache);
    g_autofree char *state = text_escape(paths->state);
    printf("This removes from %s:\n  %u mirror files, %u workspaces, all that was set aside or is "
           "temporary\n",
           cache, count_entries(paths->cache, "mirrors"),
           count_entries(paths->cache, "workspaces"));
    if (reset->history) {
        printf("and from %s:\n  the history: database, %u logs, what is queued, and which commits "
               "were seen (the next look takes the present tips as new baselines)\n",
               state, count_entries(paths->state, "logs"));
    } else {
        printf("The history, what is queued and the configuration stay; the next job of each "
               "repository fetches it anew.\n");
    }
    printf("Running jobs are %s first.\n", reset->kill_jobs ? "ended" : "waited for");
}

/* -------------------------------------------------------------------- daemon */

/* Our own service lets go of the lock: with its jobs (--kill-jobs), or leaving them to be waited
 * for. */
static bool stop_service(struct reset *reset, GError **error)
{
    static const char *const stop[] = {"stop", SERVICE_NAME, NULL};
    static const char *const leave[] = {"kill", "--signal=SIGTERM", "--kill-who=main", SERVICE_NAME,
                                        NULL};
    printf("stopping the service\n");
    fflush(stdout);
    bool good = service_manager_run(reset->for_user, reset->kill_jobs ? stop : leave, NULL, error);
    if (!good && !reset->for_user && geteuid() != 0) {
        g_prefix_error(error, "it is root's to stop (nothing was removed; sudo systemctl stop "
                              "phantom_ci, run this again, sudo systemctl start phantom_ci): ");
    }
    return good;
}

static bool find_own_service(struct reset *reset)
{
    for (int for_user = 0; for_user < 2; for_user++) {
        pid_t pid = service_manager_main_pid(for_user == 1);
        if (pid > 0 && service_holds_lock(&reset->context.paths, pid)) {
            reset->for_user = for_user == 1;
            reset->had_service = true;
            return true;
        }
    }
    return false;
}

/* The daemon's lock, so that none starts while things go. -1, or an exit code. */
static int take_daemon_lock(struct reset *reset)
{
    g_autofree char *path = paths_daemon_lock(&reset->context.paths);
    g_autoptr(GError) error = NULL;
    reset->lock = lock_take(path, LOCK_EXCLUSIVE, &error);
    if (reset->lock < 0 && error_has_code(error, ERROR_BUSY) && find_own_service(reset)) {
        g_clear_error(&error);
        if (stop_service(reset, &error)) {
            reset->lock = lock_wait(path, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, &error);
        }
    } else if (reset->lock < 0 && error_has_code(error, ERROR_BUSY)) {
        return command_fail_text(EXIT_CODE_TRY_AGAIN,
                                 "a phantom_ci that is not our service is at work in %s; stop it "
                                 "and run this again",
                                 reset->context.paths.state);
    }
    return reset->lock >= 0 ? -1 : command_fail(error);
}

/* ---------------------------------------------------------------------- jobs */

static bool end_job(struct reset *reset, const struct job *job, GError **error)
{
    const struct paths *paths = &reset->context.paths;
    g_autofree char *lock = paths_job_lock(paths, job->id);
    enum cancel_outcome outcome;
    if (!lock_is_held(lock)) {
        return true; /* its processes are dead; the next daemon records that */
    }
    printf("%s job %" G_GINT64_FORMAT " of %s\n", reset->kill_jobs ? "ending" : "waiting for",
           job->id, job->repo);
    fflush(stdout);
    if (reset->kill_jobs) {
        if (!store_job_stop(reset->context.store, job->id, JOB_STOP_KILL,
                            "phantom_ci reset --kill-jobs", clock_now_ms(), &outcome, error)) {
            return false;
        }
        wake_job(paths, job->id);
    }
    auto_fd held = lock_wait(lock, LOCK_EXCLUSIVE, -1, error);
    return held >= 0;
}

static bool end_jobs(struct reset *reset, GError **error)
{
    struct job_filter filter = {.has_state = true, .state = JOB_RUNNING};
    g_autoptr(GPtrArray) jobs = store_jobs(reset->context.store, &filter, error);
    for (unsigned i = 0; jobs && i < jobs->len; i++) {
        if (!end_job(reset, g_ptr_array_index(jobs, i), error)) {
            return false;
        }
    }
    return jobs != NULL;
}

/* ------------------------------------------------------------------- removing */

static bool remove_names(const char *directory, const char *const *names, GError **error)
{
    auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ||
               error_set_errno(error, SERVICE_ERROR, errno, "cannot open %s", directory);
    }
    for (; *names; names++) {
        int fault = fault_point("reset.remove");
        if (fault) {
            return error_set_errno(error, SERVICE_ERROR, fault, "cannot remove %s", *names);
        }
        if (!file_remove_tree(fd, *names, error)) {
            g_prefix_error(error, "in %s: ", directory);
            return false;
        }
    }
    return true;
}

static bool remove_all(struct reset *reset, GError **error)
{
    const struct paths *paths = &reset->context.paths;
    g_clear_pointer(&reset->context.store, store_close);
    return remove_names(paths->cache, cache_names, error) &&
           (!reset->history ||
            (remove_names(paths->state, history_names, error) && paths_ensure(paths, error)));
}

static int start_again(struct reset *reset)
{
    static const char *const start[] = {"start", SERVICE_NAME, NULL};
    g_autoptr(GError) error = NULL;
    fd_close(&reset->lock);
    if (!reset->had_service) {
        return EXIT_CODE_OK;
    }
    if (!service_manager_run(reset->for_user, start, NULL, &error)) {
        return command_fail(error);
    }
    printf("the service runs again\n");
    return EXIT_CODE_OK;
}

static int carry_out(struct reset *reset)
{
    g_autoptr(GError) error = NULL;
    int code = take_daemon_lock(reset);
    if (code >= 0) {
        return code;
    }
    g_autofree char *gc_lock = paths_gc_lock(&reset->context.paths);
    reset->gc_lock = lock_wait(gc_lock, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, &error);
    bool good = reset->gc_lock >= 0 && end_jobs(reset, &error) && remove_all(reset, &error);
    fd_close(&reset->gc_lock);
    int failure = good ? EXIT_CODE_OK : command_fail(error);
    code = start_again(reset);
    if (good && code == EXIT_CODE_OK) {
        printf("reset%s\n", reset->history ? ", with the history" : "");
    }
    return good ? code : failure;
}

int command_reset(const struct command *command, int argc, char **argv)
{
    struct reset reset = {.lock = -1, .gc_lock = -1};
    const GOptionEntry entries[] = {
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &reset.yes, "do not ask", NULL},
        {"kill-jobs", 0, 0, G_OPTION_ARG_NONE, &reset.kill_jobs,
         "end running jobs instead of waiting for them", NULL},
        {"history", 0, 0, G_OPTION_ARG_NONE, &reset.history, "remove logs and database, too", NULL},
        G_OPTION_ENTRY_NULL,
    };
    bool exists = false;
    int code = command_parse(command, &reset.context, entries, 0, &argc, &argv, 0, 0);
    if (code < 0) {
        code = command_open_store(&reset.context, false, &exists);
    }
    if (code < 0 && !exists) {
        puts("nothing to remove: phantom_ci has not run here yet");
        code = EXIT_CODE_OK;
    }
    if (code < 0) {
        print_plan(&reset);
        code = reset.yes ? -1 : confirm("Reset?", "--yes resets without a question");
    }
    if (code < 0) {
        code = carry_out(&reset);
    }
    fd_close(&reset.lock);
    command_context_clear(&reset.context);
    return code;
}
