#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/give_back.h"
#include "base/lock.h"
#include "config/config.h"
#include "daemon/deliver.h"
#include "daemon/housekeeping.h"
#include "daemon/launch.h"
#include "daemon/lookout.h"
#include "daemon/sd_notify.h"
#include "daemon/signals.h"
#include "daemon/supervise.h"
#include "daemon/timetable.h"
#include "daemon/watch.h"
#include "poll/poller.h"
#include "store/reserve.h"
#include "store/store.h"

enum {
    RELOAD_DELAY_MS = 100,    /* an editor writes a file in several steps */
    KILL_PATIENCE_MS = 60000, /* how long jobs that were told to end are waited for */
    /* A killed daemon's lock lives on in a child of it that has not come to its exec yet. */
    LOCK_PATIENCE_MS = 2000,
};

struct daemon {
    const struct paths *paths;
    const struct daemon_options *options;
    int lock;
    int signal_fd;
    int wake_fd;
    struct store *store;
    struct config *config;
    struct poller *poller;
    struct supervise *supervise;
    struct deliver *deliver;
    bool was_sending;
    struct housekeeping *housekeeping;
    struct timetable *timetable;
    struct watch *watch;
    char *config_fingerprint; /* of the files as they were when they were last read */
    struct lookout *lookout;
    GArray *pollfds;
    bool jobs_to_start;
    int64_t reload_due_ms; /* INT64_MAX = no */
    int64_t watchdog_ms, watchdog_due_ms;
    bool draining, killing;
    int64_t drain_deadline_ms;
};

/* ------------------------------------------------------------ configuration */

static char *fingerprint_configuration(const struct daemon *daemon)
{
    g_autofree char *repo_toml = paths_repo_toml(daemon->paths);
    g_autofree char *config_toml = paths_config_toml(daemon->paths);
    const char *const files[] = {repo_toml, config_toml, NULL};
    return watch_fingerprint(files);
}

static void watch_configuration(struct daemon *daemon)
{
    g_autofree char *repo_toml = paths_repo_toml(daemon->paths);
    g_autofree char *config_toml = paths_config_toml(daemon->paths);
    g_autofree char *dotenv = paths_dotenv(daemon->paths);
    const char *const watched[] = {repo_toml, config_toml, dotenv, NULL};
    g_autoptr(GError) error = NULL;
    g_free(daemon->config_fingerprint);
    daemon->config_fingerprint = fingerprint_configuration(daemon);
    g_clear_pointer(&daemon->watch, watch_close);
    daemon->watch = watch_open(watched, &error);
    if (error) {
        event_print(EVENT_WARNING, "watch failed", "err", error->message, "note",
                    "send SIGHUP after a change of the configuration", NULL);
    }
}

/* A daemon that has nothing to do for hours keeps none of what its last work took. */
static void give_memory_back(struct daemon *daemon)
{
    store_release_memory(daemon->store);
#ifdef __GLIBC__
    malloc_trim(0);
    give_back_code();
#endif
}

static void use_config(struct daemon *daemon, struct config *config)
{
    struct config *old = daemon->config;
    daemon->config = config;
    lookout_set_config(daemon->lookout, config);
    poller_set_config(daemon->poller, config);
    supervise_set_config(daemon->supervise, config);
    deliver_set_config(daemon->deliver, config);
    housekeeping_set_config(daemon->housekeeping, config);
    timetable_set_config(daemon->timetable, config);
    config_free(old);
    daemon->jobs_to_start = true;
    give_memory_back(daemon); /* what the parsing took is not needed again for long */
}

static void reload(struct daemon *daemon)
{
    daemon->reload_due_ms = INT64_MAX;
    sd_notify_send("RELOADING=1");
    /* Watched anew first: an edit during the load is then seen again. */
    watch_configuration(daemon);
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = config_load(daemon->paths->config, diagnostics);
    if (config) {
        use_config(daemon, config);
        g_autofree char *count = g_strdup_printf("%u", config->repos->len);
        event_print(EVENT_INFO, "config reloaded", "repos", count, NULL);
    } else {
        g_autofree char *text = diagnostics_format(diagnostics);
        g_strchomp(text);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
            event_print(EVENT_ERROR, "config rejected", "err", *line, NULL);
        }
        event_print(EVENT_NOTICE, "config kept", "note", "the last good one stays in force", NULL);
    }
    diagnostics_free(diagnostics);
    daemon->jobs_to_start = true; /* may_start() has held them back */
    sd_notify_send("READY=1");
}

/* A job may be of a section, or was asked for after an edit, that the watch has not told of yet. */
static bool may_start(void *data, unsigned count)
{
    struct daemon *daemon = data;
    g_autofree char *present = fingerprint_configuration(daemon);
    if (strcmp(present, daemon->config_fingerprint) != 0) {
        daemon->reload_due_ms = clock_monotonic_ms();
        return false;
    }
    return housekeeping_may_start(daemon->housekeeping, count);
}

/* ------------------------------------------------------------------ start */

static int open_wake_fifo(const struct paths *paths, GError **error)
{
    g_autofree char *path = paths_wake_fifo(paths);
    if (mkfifo(path, 0600) < 0 && errno != EEXIST) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot make %s", path);
        return -1;
    }
    /* Read and write, so that it never reaches its end when a writer closes. */
    auto_fd fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot open %s", path);
        return -1;
    }
    if (!S_ISFIFO(status.st_mode) || status.st_uid != geteuid()) {
        g_set_error(error, DAEMON_ERROR, ERROR_DENIED,
                    "%s is not a FIFO of this user; remove it and start again", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

static bool open_state(struct daemon *daemon, GError **error)
{
    if (!paths_ensure(daemon->paths, error)) {
        return false;
    }
    if (g_mkdir_with_parents(daemon->paths->config, 0700) < 0) {
        return error_set_errno(error, DAEMON_ERROR, errno, "cannot make %s", daemon->paths->config);
    }
    g_autofree char *lock = paths_daemon_lock(daemon->paths);
    daemon->lock = lock_wait(lock, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, error);
    if (daemon->lock < 0) {
        g_prefix_error(error, "another phantom_ci is at work in %s: ", daemon->paths->state);
        return false;
    }
    g_autofree char *database = paths_database(daemon->paths);
    daemon->store = store_open(database, error);
    daemon->wake_fd = daemon->store ? open_wake_fifo(daemon->paths, error) : -1;
    daemon->signal_fd = daemon->wake_fd >= 0 ? signals_open(error) : -1;
    if (daemon->signal_fd < 0) {
        return false;
    }
    /* Without room for the reserve the daemon works all the same. */
    store_reserve_make(daemon->paths->state, NULL);
    return true;
}

static struct config *load_first_config(const struct paths *paths)
{
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = config_load(paths->config, diagnostics);
    if (!config) {
        g_autofree char *text = diagnostics_format(diagnostics);
        fputs(text, stderr);
    }
    diagnostics_free(diagnostics);
    return config;
}

static void tell_ready(struct daemon *daemon)
{
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_autofree char *count = g_strdup_printf("%u", daemon->config->repos->len);
    event_print(EVENT_INFO, "daemon started", "repos", count, "pid", pid, NULL);
    if (daemon->config->repos->len == 0) {
        event_print(EVENT_NOTICE, "daemon idle", "note",
                    "no repositories yet: phantom_ci add URL BRANCH", NULL);
    }
    sd_notify_send("READY=1");
    if (daemon->options->ready_fd >= 0) {
        int ready_fd = daemon->options->ready_fd;
        fd_write_all(ready_fd, "\n", 1, NULL);
        fd_close(&ready_fd);
    }
}

/* ------------------------------------------------------------------- loop */

static void take_wake(struct daemon *daemon)
{
    char bytes[256];
    while (fd_read(daemon->wake_fd, bytes, sizeof(bytes)) > 0) {
    }
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) repos = store_take_poll_requests(daemon->store, &error);
    if (!repos) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
    }
    for (char **repo = repos; repo && *repo && !daemon->draining; repo++) {
        poller_request(daemon->poller, **repo ? *repo : NULL);
    }
    supervise_adopt(daemon->supervise);
    deliver_wake(daemon->deliver);
    daemon->jobs_to_start = true;
}

static void begin_drain(struct daemon *daemon, unsigned signals, bool end_jobs)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!daemon->draining) {
        daemon->draining = true;
        sd_notify_send("STOPPING=1");
        event_print(EVENT_INFO, "daemon stopping", NULL);
        poller_stop(daemon->poller);
        daemon->drain_deadline_ms = now_ms + daemon->config->drain_timeout_ms;
        signals -= signals > 0 ? 1 : 0;
    }
    if ((signals > 0 || end_jobs || daemon->options->kill_jobs) && !daemon->killing) {
        daemon->killing = true;
        daemon->drain_deadline_ms = now_ms + KILL_PATIENCE_MS;
        supervise_kill_all(daemon->supervise);
    }
}

static bool is_over(const struct daemon *daemon)
{
    bool idle = supervise_count(daemon->supervise) == 0 && !deliver_is_busy(daemon->deliver);
    return daemon->draining && (idle || clock_monotonic_ms() >= daemon->drain_deadline_ms);
}

static void handle_signals(struct daemon *daemon)
{
    struct signals taken = signals_take();
    if (taken.child) {
        unsigned before = supervise_count(daemon->supervise);
        supervise_children(daemon->supervise);
        if (supervise_count(daemon->supervise) < before) {
            daemon->jobs_to_start = true;
            store_reserve_make(daemon->paths->state, NULL);
            housekeeping_job_ended(daemon->housekeeping);
        }
        daemon->jobs_to_start =
            housekeeping_children(daemon->housekeeping) || daemon->jobs_to_start;
    }
    if (taken.reload && !daemon->draining) {
        daemon->reload_due_ms = clock_monotonic_ms();
    }
    if (taken.stop > 0 || taken.end_jobs) {
        begin_drain(daemon, taken.stop, taken.end_jobs);
    }
}

/* Only a loop that begins looks as it should tells the service manager that it lives. */
static void feed_watchdog(struct daemon *daemon, int64_t now_ms)
{
    if (daemon->watchdog_ms > 0 && now_ms >= daemon->watchdog_due_ms) {
        daemon->watchdog_due_ms = now_ms + daemon->watchdog_ms;
        if (!poller_is_stuck(daemon->poller, now_ms)) {
            sd_notify_send("WATCHDOG=1");
        }
    }
}

static void take_news_of_looks(struct daemon *daemon)
{
    daemon->jobs_to_start = lookout_take_jobs(daemon->lookout) || daemon->jobs_to_start;
    if (lookout_take_notices(daemon->lookout)) {
        deliver_wake(daemon->deliver);
    }
}

static void do_what_is_due(struct daemon *daemon)
{
    int64_t now_ms = clock_monotonic_ms();
    feed_watchdog(daemon, now_ms);
    if (daemon->draining) {
        return;
    }
    if (now_ms >= daemon->reload_due_ms) {
        reload(daemon);
    }
    poller_run(daemon->poller, now_ms);
    take_news_of_looks(daemon);
    daemon->jobs_to_start = timetable_run(daemon->timetable) || daemon->jobs_to_start;
    if (housekeeping_run(daemon->housekeeping, now_ms) || daemon->jobs_to_start) {
        daemon->jobs_to_start = false;
        supervise_start_queued(daemon->supervise);
    }
    deliver_run(daemon->deliver);
}

/* When the loop has something to do by itself; INT64_MAX = never. */
static int64_t next_due_ms(const struct daemon *daemon, int64_t now_ms)
{
    int64_t due_ms = supervise_next_due_ms(daemon->supervise);
    if (daemon->draining) {
        due_ms = MIN(due_ms, daemon->drain_deadline_ms);
    } else {
        due_ms = MIN(due_ms, poller_next_due_ms(daemon->poller, now_ms));
        due_ms = MIN(due_ms, daemon->reload_due_ms);
        due_ms = MIN(due_ms, deliver_next_due_ms(daemon->deliver));
        due_ms = MIN(due_ms, housekeeping_next_due_ms(daemon->housekeeping));
        due_ms = MIN(due_ms, timetable_next_due_ms(daemon->timetable));
    }
    if (daemon->watchdog_ms > 0) {
        due_ms = MIN(due_ms, daemon->watchdog_due_ms);
    }
    return daemon->jobs_to_start && !daemon->draining ? now_ms : due_ms;
}

/* Looks are written down before a sleep that may be long. */
static int time_to_wait(struct daemon *daemon)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = next_due_ms(daemon, now_ms);
    lookout_write(daemon->lookout, daemon->poller, due_ms);
    return due_ms == INT64_MAX ? -1 : (int)CLAMP(due_ms - now_ms, 0, 24 * 3600 * 1000);
}

enum { SLOT_SIGNALS, SLOT_WAKE, SLOT_WATCH, SLOT_TIMETABLE, SLOT_COUNT };

static void wait_for_something(struct daemon *daemon)
{
    GArray *fds = daemon->pollfds;
    g_array_set_size(fds, 0);
    const int own[SLOT_COUNT] = {daemon->signal_fd, daemon->wake_fd, watch_fd(daemon->watch),
                                 timetable_fd(daemon->timetable)};
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct pollfd entry = {.fd = own[i], .events = POLLIN};
        g_array_append_val(fds, entry);
    }
    poller_add_fds(daemon->poller, fds);
    supervise_add_fds(daemon->supervise, fds);
    deliver_add_fds(daemon->deliver, fds);
    struct pollfd *entries = (struct pollfd *)(void *)fds->data;
    if (poll(entries, fds->len, time_to_wait(daemon)) < 0) {
        for (unsigned i = 0; i < fds->len; i++) {
            entries[i].revents = 0;
        }
        entries[SLOT_SIGNALS].revents = POLLIN;
    }
    if (!daemon->draining) {
        poller_handle(daemon->poller, entries, fds->len);
    }
    take_news_of_looks(daemon);
    if (entries[SLOT_WAKE].revents) {
        take_wake(daemon);
    }
    if (entries[SLOT_TIMETABLE].revents) {
        timetable_take(daemon->timetable);
    }
    if (entries[SLOT_WATCH].revents && watch_take(daemon->watch) && !daemon->draining) {
        daemon->reload_due_ms = clock_monotonic_ms() + RELOAD_DELAY_MS;
    }
    supervise_handle(daemon->supervise, entries, fds->len, !daemon->draining);
    deliver_handle(daemon->deliver, entries, fds->len);
    if (entries[SLOT_SIGNALS].revents) {
        handle_signals(daemon);
    }
    if (supervise_take_news(daemon->supervise)) {
        deliver_wake(daemon->deliver);
        give_memory_back(daemon);
    }
    bool is_sending = deliver_is_busy(daemon->deliver);
    if (daemon->was_sending && !is_sending) {
        give_memory_back(daemon);
    }
    daemon->was_sending = is_sending;
}

static void release(struct daemon *daemon)
{
    poller_free(daemon->poller);
    supervise_free(daemon->supervise);
    deliver_free(daemon->deliver);
    housekeeping_free(daemon->housekeeping);
    timetable_free(daemon->timetable);
    config_free(daemon->config);
    store_close(daemon->store);
    watch_close(daemon->watch);
    g_free(daemon->config_fingerprint);
    lookout_free(daemon->lookout);
    g_clear_pointer(&daemon->pollfds, g_array_unref);
    fd_close(&daemon->wake_fd);
    fd_close(&daemon->lock);
}

int daemon_main(const struct paths *paths, const struct daemon_options *options)
{
    struct daemon daemon = {.paths = paths,
                            .options = options,
                            .lock = -1,
                            .signal_fd = -1,
                            .wake_fd = -1,
                            .reload_due_ms = INT64_MAX,
                            .watchdog_ms = sd_notify_watchdog_ms()};
    g_autoptr(GError) error = NULL;
    if (!open_state(&daemon, &error)) {
        fprintf(stderr, "phantom_ci: %s\n", error->message);
        release(&daemon);
        return error_exit_code(error);
    }
    watch_configuration(&daemon);
    struct config *config = load_first_config(paths);
    if (!config) {
        release(&daemon);
        return EXIT_CODE_CONFIG;
    }
    daemon.lookout = lookout_new(paths, daemon.store);
    struct poller_callbacks callbacks = lookout_callbacks(daemon.lookout);
    daemon.pollfds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    daemon.poller = poller_new(&callbacks);
    daemon.supervise = supervise_new(paths, daemon.store,
                                     options->quiet ? LAUNCH_OUTPUT_QUIET : LAUNCH_OUTPUT_PREFIXED);
    daemon.deliver = deliver_new(paths, daemon.store);
    daemon.housekeeping = housekeeping_new(paths);
    daemon.timetable = timetable_new(daemon.store);
    supervise_set_gate(daemon.supervise, may_start, &daemon);
    use_config(&daemon, config);
    supervise_adopt(daemon.supervise);
    tell_ready(&daemon);
    take_wake(&daemon);
    while (!is_over(&daemon)) {
        do_what_is_due(&daemon);
        wait_for_something(&daemon);
    }
    supervise_leave_all(daemon.supervise);
    event_print(EVENT_INFO, "daemon stopped", NULL);
    release(&daemon);
    return EXIT_CODE_OK;
}
