#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/confirm.h"
#include "commands/service_manager.h"
#include "commands/service_unit.h"
#include "store/replace.h"

enum {
    LOCK_PATIENCE_MS = 90 * 1000,
    /* A killed daemon's lock lives on in a child of it that has not come to its exec yet. */
    GHOST_PATIENCE_MS = 5000,
    INTERRUPTION_CHECK_MS = 200,
};

struct reset {
    struct command_context context;
    gboolean yes, kill_jobs, history;
    bool had_service, for_user; /* our own service was told to stop, and is started again */
    bool removing;              /* the first removal has begun */
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
    fflush(stdout);
}

/* -------------------------------------------------------------- interruptions */

/* From the moment on at which the service is told to stop, Ctrl-C ends no more than the waiting:
 * the service is started again, and what was removed is told. */
static volatile sig_atomic_t interrupted;

static void note_interruption(int number)
{
    interrupted = number;
}

static void catch_interruptions(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = note_interruption, .sa_flags = SA_RESTART};
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct sigaction present;
        if (sigaction(numbers[i], NULL, &present) == 0 && present.sa_handler != SIG_IGN) {
            sigaction(numbers[i], &action, NULL);
        }
    }
}

static bool go_on(GError **error)
{
    if (interrupted) {
        g_set_error(error, SERVICE_ERROR, ERROR_CANCELED, "interrupted by %s",
                    spawn_signal_name(interrupted));
    }
    return !interrupted;
}

/* lock_wait() that an interruption ends; -1 = no other limit. */
static int wait_for_lock(const char *path, int64_t timeout_ms, GError **error)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        g_autoptr(GError) local = NULL;
        int fd = lock_wait(path, LOCK_EXCLUSIVE, INTERRUPTION_CHECK_MS, &local);
        if (fd >= 0 || (error_has_code(local, ERROR_BUSY) && !go_on(error))) {
            return fd;
        }
        if (!error_has_code(local, ERROR_BUSY) ||
            (timeout_ms >= 0 && clock_monotonic_ms() >= deadline_ms)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return -1;
        }
    }
}

/* -------------------------------------------------------------------- daemon */

/* How long a daemon that was told to stop may wait for its jobs, and a bit. */
static int64_t find_patience(struct reset *reset)
{
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = config_load(reset->context.paths.config, diagnostics);
    int64_t patience_ms = LOCK_PATIENCE_MS + (config ? config->drain_timeout_ms : 0);
    config_free(config);
    diagnostics_free(diagnostics);
    return patience_ms;
}

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
    /* Out of patience, not refused: it may end yet. */
    reset->had_service = good || error_has_code(*error, ERROR_LIMIT);
    if (!reset->had_service && !reset->for_user && geteuid() != 0) {
        g_prefix_error(error, "it is root's to stop (sudo systemctl stop phantom_ci, run this "
                              "again, sudo systemctl start phantom_ci): ");
    }
    return good;
}

static bool find_own_service(struct reset *reset)
{
    for (int for_user = 0; for_user < 2; for_user++) {
        pid_t pid = service_manager_main_pid(for_user == 1);
        if (pid > 0 && service_holds_lock(&reset->context.paths, pid)) {
            reset->for_user = for_user == 1;
            return true;
        }
    }
    return false;
}

static bool outwait_ghost(struct reset *reset, const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    reset->lock = wait_for_lock(path, GHOST_PATIENCE_MS, &local);
    if (error_has_code(local, ERROR_BUSY)) {
        g_set_error(error, SERVICE_ERROR, ERROR_BUSY,
                    "a phantom_ci that is not our service is at work in %s; stop it and run this "
                    "again",
                    reset->context.paths.state);
    } else if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
    }
    return reset->lock >= 0;
}

/* The daemon's lock, so that none starts while things go. */
static bool take_daemon_lock(struct reset *reset, GError **error)
{
    g_autofree char *path = paths_daemon_lock(&reset->context.paths);
    g_autoptr(GError) local = NULL;
    reset->lock = lock_take(path, LOCK_EXCLUSIVE, &local);
    if (reset->lock >= 0) {
        return true;
    }
    if (!error_has_code(local, ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    if (!find_own_service(reset)) {
        return outwait_ghost(reset, path, error);
    }
    if (!stop_service(reset, error)) {
        return false;
    }
    reset->lock = wait_for_lock(path, find_patience(reset), error);
    if (reset->lock < 0) {
        g_prefix_error(error, "the service was told to stop and is still at work: ");
    }
    return reset->lock >= 0;
}

/* Also after a failure: a reset leaves no service stopped without a word. */
static int start_again(struct reset *reset)
{
    static const char *const start[] = {"start", SERVICE_NAME, NULL};
    /* While it is still ending, systemd would take "start" for done. */
    static const char *const restart[] = {"restart", SERVICE_NAME, NULL};
    g_autoptr(GError) error = NULL;
    bool has_ended = reset->lock >= 0;
    fd_close(&reset->lock);
    if (!reset->had_service) {
        return EXIT_CODE_OK;
    }
    if (service_manager_run(reset->for_user, has_ended ? start : restart, NULL, &error)) {
        printf("the service runs again\n");
        return EXIT_CODE_OK;
    }
    int code = command_fail(error);
    fprintf(stderr, "phantom_ci: the service %s; start it with: systemctl %sstart phantom_ci\n",
            service_manager_main_pid(reset->for_user) > 0 ? "may stop yet" : "is stopped",
            reset->for_user ? "--user " : "");
    return code;
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
    auto_fd held = wait_for_lock(lock, -1, error);
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

static bool remove_names(struct reset *reset, const char *directory, const char *const *names,
                         GError **error)
{
    auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        g_set_error(error, SERVICE_ERROR, ERROR_DENIED,
                    "%s is not a directory (a link is not followed here); move it away", directory);
        return false;
    }
    if (fd < 0) {
        return errno == ENOENT ||
               error_set_errno(error, SERVICE_ERROR, errno, "cannot open %s", directory);
    }
    for (; *names; names++) {
        if (!go_on(error)) {
            return false;
        }
        reset->removing = true;
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

static bool remove_history(struct reset *reset, GError **error)
{
    const struct paths *paths = &reset->context.paths;
    g_autofree char *database = paths_database(paths);
    /* Nobody has it open, and nobody opens it till it is gone. */
    struct replacement *replacement = replacement_begin(database, error);
    bool good = replacement && remove_names(reset, paths->cache, cache_names, error) &&
                remove_names(reset, paths->state, history_names, error);
    replacement_free(replacement);
    return good && paths_ensure(paths, error);
}

static bool remove_all(struct reset *reset, GError **error)
{
    g_clear_pointer(&reset->context.store, store_close);
    return reset->history ? remove_history(reset, error)
                          : remove_names(reset, reset->context.paths.cache, cache_names, error);
}

/* Appends those of the names that are there. */
static void list_present(GString *list, const char *directory, const char *const *names)
{
    for (; *names; names++) {
        g_autofree char *path = g_build_filename(directory, *names, NULL);
        struct stat status;
        if (lstat(path, &status) == 0) {
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", *names);
        }
    }
}

static int fail(const struct reset *reset, const GError *error)
{
    const struct paths *paths = &reset->context.paths;
    g_autoptr(GString) present = g_string_new(NULL);
    int code = command_fail(error);
    list_present(present, paths->cache, cache_names);
    if (reset->history) {
        list_present(present, paths->state, history_names);
    }
    if (!reset->removing) {
        fputs("phantom_ci: nothing was removed\n", stderr);
    } else if (present->len > 0) {
        fprintf(stderr,
                "phantom_ci: still there, as a whole or in part: %s. The same command again "
                "removes the rest\n",
                present->str);
    }
    return code;
}

/* ------------------------------------------------------------------- carrying out */

static bool take_gc_lock(struct reset *reset, GError **error)
{
    g_autofree char *path = paths_gc_lock(&reset->context.paths);
    reset->gc_lock = wait_for_lock(path, LOCK_PATIENCE_MS, error);
    if (reset->gc_lock < 0) {
        g_prefix_error(error, "a gc or restore is at work: ");
    }
    return reset->gc_lock >= 0;
}

static int carry_out(struct reset *reset)
{
    g_autoptr(GError) error = NULL;
    catch_interruptions();
    bool good = take_daemon_lock(reset, &error) && take_gc_lock(reset, &error) &&
                end_jobs(reset, &error) && remove_all(reset, &error);
    fd_close(&reset->gc_lock);
    int failure = good ? EXIT_CODE_OK : fail(reset, error);
    int code = start_again(reset);
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
