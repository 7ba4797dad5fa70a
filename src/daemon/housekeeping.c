#include "daemon/housekeeping.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/error.h"
#include "base/event.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/spawn.h"

/* When gc runs and how often the disk is looked at. */
struct pace {
    int64_t after_start_ms; /* at the earliest */
    int64_t after_job_ms;   /* so that the end of several jobs is one occasion */
    int64_t between_ms;     /* from the end of one gc to the next, at least */
    int64_t when_short_ms;  /* the same while the disk is short */
    int64_t at_least_ms;    /* also when no job has ended */
    int64_t disk_check_ms;  /* while jobs wait for the disk */
};

static const struct pace usual_pace = {
    .after_start_ms = 5 * 60 * 1000,
    .after_job_ms = 60 * 1000,
    .between_ms = 60 * 60 * 1000,
    .when_short_ms = 10 * 60 * 1000,
    .at_least_ms = 24 * 60 * 60 * 1000,
    .disk_check_ms = 30 * 1000,
};

struct housekeeping {
    const struct paths *paths;
    const struct config *config;
    struct pace pace;
    pid_t child;           /* a gc under way, or 0 */
    int64_t last_gc_ms;    /* monotonic, of the end of the last one; may lie before 0 */
    int64_t gc_due_ms;     /* monotonic */
    int64_t disk_check_ms; /* when the disk is looked at again; INT64_MAX = nobody waits for it */
};

/* Tests of the daemon cannot wait for minutes. */
static struct pace choose_pace(void)
{
#ifdef PHANTOM_CI_FAULTS
    const char *text = g_getenv("PHANTOM_CI_HOUSEKEEPING_MS");
    if (text) {
        int64_t ms = g_ascii_strtoll(text, NULL, 10);
        return (struct pace){ms, ms, ms, ms, 24 * 60 * 60 * (int64_t)1000, ms};
    }
#endif
    return usual_pace;
}

/* How long ago the last gc was, whoever ran it; at_least_ms when there was none. */
static int64_t age_of_last_gc(const struct housekeeping *housekeeping)
{
    g_autofree char *path = paths_gc_lock(housekeeping->paths);
    struct stat status;
    int64_t at_least_ms = housekeeping->pace.at_least_ms;
    if (lstat(path, &status) < 0) {
        return at_least_ms;
    }
    int64_t age_ms = clock_now_ms() - file_modified_ms(&status);
    return CLAMP(age_ms, 0, at_least_ms);
}

struct housekeeping *housekeeping_new(const struct paths *paths)
{
    struct housekeeping *housekeeping = g_new0(struct housekeeping, 1);
    int64_t now_ms = clock_monotonic_ms();
    housekeeping->paths = paths;
    housekeeping->pace = choose_pace();
    housekeeping->last_gc_ms = now_ms - age_of_last_gc(housekeeping);
    housekeeping->gc_due_ms = MAX(now_ms + housekeeping->pace.after_start_ms,
                                  housekeeping->last_gc_ms + housekeeping->pace.at_least_ms);
    housekeeping->disk_check_ms = INT64_MAX;
    return housekeeping;
}

void housekeeping_free(struct housekeeping *housekeeping)
{
    if (housekeeping) {
        if (housekeeping->child > 0) {
            kill(housekeeping->child, SIGTERM);
        }
        g_free(housekeeping);
    }
}

void housekeeping_set_config(struct housekeeping *housekeeping, const struct config *config)
{
    housekeeping->config = config;
}

void housekeeping_job_ended(struct housekeeping *housekeeping)
{
    int64_t due_ms = clock_monotonic_ms() + housekeeping->pace.after_job_ms;
    due_ms = MAX(due_ms, housekeeping->last_gc_ms + housekeeping->pace.between_ms);
    housekeeping->gc_due_ms = MIN(housekeeping->gc_due_ms, due_ms);
}

/* --------------------------------------------------------------- the disk */

/* Old things may make room. */
static void hurry(struct housekeeping *housekeeping)
{
    int64_t due_ms = clock_monotonic_ms();
    due_ms = MAX(due_ms, housekeeping->last_gc_ms + housekeeping->pace.when_short_ms);
    housekeeping->gc_due_ms = MIN(housekeeping->gc_due_ms, due_ms);
}

bool housekeeping_may_start(void *data, unsigned count)
{
    struct housekeeping *housekeeping = data;
    const char *const places[] = {housekeeping->paths->state, housekeeping->paths->cache, NULL};
    bool was_short = housekeeping->disk_check_ms != INT64_MAX;
    struct disk_shortage shortage;
    if (count == 0 && !was_short) {
        return true;
    }
    if (count > 0 && disk_find_shortage(places, housekeeping->config->min_free_bytes, &shortage)) {
        g_autofree char *reason = disk_describe_shortage(&shortage);
        if (!was_short) {
            event_print(EVENT_WARNING, "disk filled", "err", reason, "note",
                        "no job starts till there is room", NULL);
        }
        housekeeping->disk_check_ms = clock_monotonic_ms() + housekeeping->pace.disk_check_ms;
        hurry(housekeeping);
        return false;
    }
    if (was_short) {
        event_print(EVENT_NOTICE, "disk recovered", "note",
                    count > 0 ? "jobs start again" : "no job waits any more", NULL);
        housekeeping->disk_check_ms = INT64_MAX;
    }
    return true;
}

/* --------------------------------------------------------------------- gc */

/* This very program, also after an update has put another one in its place. */
static bool find_self(char **self, GError **error)
{
    static const char link[] = "/proc/self/exe";
    *self = g_file_read_link(link, NULL);
    if (!*self) {
        *self = libexec_find("phantom_ci", error);
        return *self != NULL;
    }
    if (access(*self, X_OK) != 0) {
        g_free(*self);
        *self = g_strdup(link);
    }
    return true;
}

static pid_t start_gc(const struct housekeeping *housekeeping, GError **error)
{
    const struct paths *paths = housekeeping->paths;
    g_autofree char *self = NULL;
    if (!find_self(&self, error)) {
        return -1;
    }
    const char *const argv[] = {self,          "gc",          "--quiet",    "--config-dir",
                                paths->config, "--state-dir", paths->state, "--cache-dir",
                                paths->cache,  NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.directory = "/";
    options.stdout_fd = SPAWN_FD_INHERIT;
    options.stderr_fd = SPAWN_FD_INHERIT;
    options.parent_death_signal = SIGTERM;
    return spawn_start(&options, NULL, error);
}

static void gc_ended(struct housekeeping *housekeeping)
{
    housekeeping->child = 0;
    housekeeping->last_gc_ms = clock_monotonic_ms();
    housekeeping->gc_due_ms = housekeeping->last_gc_ms + housekeeping->pace.at_least_ms;
}

bool housekeeping_run(struct housekeeping *housekeeping, int64_t now_ms)
{
    if (housekeeping->child == 0 && now_ms >= housekeeping->gc_due_ms) {
        g_autoptr(GError) error = NULL;
        pid_t child = start_gc(housekeeping, &error);
        if (child > 0) {
            housekeeping->child = child;
        } else {
            event_print(EVENT_WARNING, "gc failed", "err", error->message, NULL);
            gc_ended(housekeeping);
            housekeeping->gc_due_ms = now_ms + housekeeping->pace.between_ms;
        }
    }
    if (now_ms < housekeeping->disk_check_ms) {
        return false;
    }
    /* The gate moves it again, if it is asked. */
    housekeeping->disk_check_ms = now_ms + housekeeping->pace.disk_check_ms;
    return true;
}

bool housekeeping_children(struct housekeeping *housekeeping)
{
    int status = 0;
    if (housekeeping->child == 0 ||
        waitpid(housekeeping->child, &status, WNOHANG) != housekeeping->child) {
        return false;
    }
    gc_ended(housekeeping);
    bool has_told = WIFEXITED(status) && (WEXITSTATUS(status) == EXIT_CODE_OK ||
                                          WEXITSTATUS(status) == EXIT_CODE_NEGATIVE ||
                                          WEXITSTATUS(status) == EXIT_CODE_TRY_AGAIN);
    if (!has_told) {
        g_autofree char *how = spawn_format_status(status);
        event_print(EVENT_WARNING, "gc failed", "err", how, NULL);
    }
    return housekeeping->disk_check_ms != INT64_MAX;
}

int64_t housekeeping_next_due_ms(const struct housekeeping *housekeeping)
{
    int64_t gc_ms = housekeeping->child == 0 ? housekeeping->gc_due_ms : INT64_MAX;
    return MIN(gc_ms, housekeeping->disk_check_ms);
}
