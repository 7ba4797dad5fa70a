/* What the daemon has left behind or keeps up now: its lock, the database, jobs, looks, files. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/units.h"
#include "commands/doctor.h"
#include "daemon/look_status.h"
#include "poll/schedule.h"
#include "store/outbox.h"

enum {
    DATABASE_CHECK_MS = 20 * 1000,
    CLOCK_TOLERANCE_MS = 60 * 1000,
    OVERDUE_MS = 10 * 60 * 1000, /* beyond a job's own timeout */
    STALE_LOOK_MS = 10 * 60 * 1000,
    STALE_LOOK_INTERVALS = 10,
    LINES_MAX = 20, /* of one kind */
};

/* ---------------------------------------------------------------- database */

static void report_database_error(struct doctor *doctor, const char *path, const GError *error)
{
    g_autofree char *quoted = g_shell_quote(path);
    g_autofree char *mend = NULL;
    enum doctor_status status = DOCTOR_FAIL;
    if (error_has_code(error, ERROR_DENIED)) {
        mend = g_strdup_printf("run phantom_ci as its owner, or: chmod 600 %s", quoted);
    } else if (error_has_code(error, ERROR_BUSY) || error_has_code(error, ERROR_LIMIT)) {
        status = DOCTOR_WARN;
        mend = g_strdup("try again when less goes on");
    } else {
        mend = g_strdup_printf("restore it from a backup, or move it away together with %s-wal and "
                               "%s-shm and start again",
                               path, path);
    }
    doctor_add(doctor, status, "database", path, mend, "%s", error->message);
}

static bool open_and_check(struct doctor *doctor, const char *path, GError **error)
{
    doctor->context->store = store_open_to_read(path, error);
    return doctor->context->store &&
           store_check_within(doctor->context->store,
                              MAX(doctor_time_left_ms(doctor, DATABASE_CHECK_MS), 1000), error);
}

/* True when there is a database whose rows can be read. */
static bool check_database(struct doctor *doctor)
{
    g_autofree char *path = paths_database(&doctor->context->paths);
    g_autoptr(GError) error = NULL;
    doctor_look_at(doctor, path);
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        doctor_add(doctor, DOCTOR_INFO, "database", path, NULL,
                   "not there yet: nothing has run here");
        return false;
    }
    bool good = open_and_check(doctor, path, &error);
    if (!good && error_has_code(error, ERROR_INVALID)) {
        /* Read without locks while nobody had it open; somebody may have begun to write. */
        g_clear_error(&error);
        g_clear_pointer(&doctor->context->store, store_close);
        good = open_and_check(doctor, path, &error);
    }
    if (!good) {
        report_database_error(doctor, path, error);
        return false;
    }
    int64_t found = 0;
    int64_t known = 0;
    if (!store_schema(doctor->context->store, &found, &known, &error)) {
        report_database_error(doctor, path, error);
        return false;
    }
    bool is_old = found < known;
    doctor_add(doctor, DOCTOR_OK, "database", path, NULL, "sound, schema %" G_GINT64_FORMAT "%s",
               found, is_old ? ", which the next start brings up to date" : "");
    return !is_old;
}

/* Times of the future were written before the clock was set back: order and schedules suffer. */
static void check_times(struct doctor *doctor)
{
    int64_t newest_ms = 0;
    int64_t now_ms = clock_now_ms();
    g_autoptr(GError) error = NULL;
    if (!store_newest_ms(doctor->context->store, &newest_ms, &error)) {
        doctor_add(doctor, DOCTOR_FAIL, "clock", "newest record", "try again", "%s",
                   error->message);
        return;
    }
    if (newest_ms <= now_ms + CLOCK_TOLERANCE_MS) {
        return;
    }
    g_autofree char *newest = clock_format(newest_ms);
    g_autofree char *now = clock_format(now_ms);
    doctor_add(doctor, DOCTOR_FAIL, "clock", "newest record",
               "set the clock right: timedatectl set-ntp true; if it is right now, it was wrong "
               "before, and this passes with time",
               "the database holds the time %s, and now it is %s: the clock was set back", newest,
               now);
}

/* -------------------------------------------------------------------- jobs */

static void check_running_job(struct doctor *doctor, const struct job *job)
{
    g_autofree char *lock = paths_job_lock(&doctor->context->paths, job->id);
    g_autofree char *subject =
        g_strdup_printf("job %" G_GINT64_FORMAT " of %s", job->id, job->repo);
    g_autofree char *cancel = g_strdup_printf("phantom_ci cancel %" G_GINT64_FORMAT, job->id);
    if (!lock_is_held(lock)) {
        struct job *again = store_job_get(doctor->context->store, job->id, NULL);
        bool still = again && again->state == JOB_RUNNING;
        job_free(again);
        if (still) {
            doctor_add(doctor, DOCTOR_WARN, "jobs", subject,
                       doctor->daemon_runs ? "phantom_ci poll wakes the daemon, which records it"
                                           : "start the daemon",
                       "is recorded as running, but its process is gone%s",
                       doctor->daemon_runs ? ""
                                           : ": the next start of the daemon records it as "
                                             "interrupted");
        }
        return;
    }
    const struct repo_config *repo =
        doctor->context->config ? config_find_repo(doctor->context->config, job->repo) : NULL;
    int64_t ran_ms = clock_now_ms() - job->started_ms;
    if (repo && ran_ms > repo->timeout_ms + OVERDUE_MS) {
        g_autofree char *ran = units_format_elapsed(ran_ms);
        g_autofree char *timeout = units_format_duration(repo->timeout_ms);
        doctor_add(doctor, DOCTOR_WARN, "jobs", subject, cancel,
                   "has been running for %s, and its timeout is %s", ran, timeout);
    }
}

static GPtrArray *jobs_in_state(struct doctor *doctor, enum job_state state)
{
    struct job_filter filter = {.has_state = true, .state = state};
    g_autoptr(GError) error = NULL;
    GPtrArray *jobs = store_jobs(doctor->context->store, &filter, &error);
    if (!jobs) {
        doctor_add(doctor, DOCTOR_FAIL, "jobs", "database", "try again", "%s", error->message);
    }
    return jobs;
}

static void check_jobs(struct doctor *doctor)
{
    g_autoptr(GPtrArray) running = jobs_in_state(doctor, JOB_RUNNING);
    g_autoptr(GPtrArray) queued = running ? jobs_in_state(doctor, JOB_QUEUED) : NULL;
    if (!queued) {
        return;
    }
    for (unsigned i = 0; i < running->len && i < LINES_MAX; i++) {
        check_running_job(doctor, g_ptr_array_index(running, i));
    }
    bool waits = queued->len > 0 && !doctor->daemon_runs;
    doctor_add(doctor, waits ? DOCTOR_WARN : DOCTOR_OK, "jobs", "all",
               waits ? "start the daemon: phantom_ci" : NULL, "%u queued, %u running%s",
               queued->len, running->len, waits ? "; no daemon runs that would start them" : "");
}

static void check_messages(struct doctor *doctor)
{
    int64_t waiting = 0;
    int64_t given_up = 0;
    g_autoptr(GError) error = NULL;
    if (!outbox_count(doctor->context->store, &waiting, &given_up, &error)) {
        doctor_add(doctor, DOCTOR_FAIL, "messages", "database", "try again", "%s", error->message);
    } else if (given_up > 0) {
        doctor_add(doctor, DOCTOR_WARN, "messages", "all",
                   "phantom_ci notify list --state given-up, then phantom_ci notify retry ID",
                   "%" G_GINT64_FORMAT " given up, %" G_GINT64_FORMAT " waiting", given_up,
                   waiting);
    } else if (waiting > 0) {
        doctor_add(doctor, DOCTOR_INFO, "messages", "all", NULL,
                   "%" G_GINT64_FORMAT " waiting to be delivered", waiting);
    }
}

/* ------------------------------------------------------------------- looks */

static void check_paused(struct doctor *doctor, const struct repo_config *repo)
{
    bool paused = false;
    if (!store_repo_is_paused(doctor->context->store, repo->name, &paused, NULL) || !paused) {
        return;
    }
    g_autofree char *quoted = g_shell_quote(repo->name);
    g_autofree char *mend = g_strdup_printf("phantom_ci resume %s", quoted);
    doctor_add(doctor, DOCTOR_INFO, "paused", repo->name, mend,
               "is paused: pushes are recorded, and no job is started");
}

static void check_look(struct doctor *doctor, const struct repo_config *repo,
                       const struct look_status *look)
{
    int64_t now_ms = clock_now_ms();
    g_autofree char *ago = clock_format_relative(look ? look->last_ok_ms : 0, now_ms);
    g_autofree char *mend =
        g_strdup_printf("phantom_ci repo %s, and the line of the remote below", repo->name);
    int64_t interval_ms = repo->poll_interval_ms == POLL_INTERVAL_AUTO ? repo->poll_interval_max_ms
                                                                       : repo->poll_interval_ms;
    interval_ms = look && look->is_watched ? schedule_watched(interval_ms) : interval_ms;
    int64_t stale_ms = MAX(STALE_LOOK_MS, STALE_LOOK_INTERVALS * interval_ms);
    if (!doctor->daemon_runs) {
        doctor_add(doctor, DOCTOR_INFO, "looks", repo->name, NULL,
                   "last success: %s; nobody looks now", ago);
    } else if (look && look->error) {
        doctor_add(doctor, DOCTOR_WARN, "looks", repo->name, mend,
                   "last success: %s; %u failed since: %s", ago, look->failures, look->error);
    } else if (look && look->last_ok_ms > 0 && now_ms - look->last_ok_ms > stale_ms) {
        doctor_add(doctor, DOCTOR_WARN, "looks", repo->name,
                   "see what the daemon does: journalctl -u phantom_ci, or restart it",
                   "last success: %s, which is long for its poll_interval", ago);
    } else {
        doctor_add(doctor, DOCTOR_OK, "looks", repo->name, NULL, "last success: %s", ago);
    }
}

static void check_repos(struct doctor *doctor, bool has_rows)
{
    const struct config *config = doctor->context->config;
    g_autofree char *path = paths_look_status(&doctor->context->paths);
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) looks = look_status_read(path, NULL, &error);
    if (!looks) {
        g_autofree char *quoted = g_shell_quote(path);
        g_autofree char *mend = g_strdup_printf("move it away: mv %s %s.old", quoted, quoted);
        doctor_add(doctor, DOCTOR_WARN, "looks", path, mend, "%s", error->message);
    }
    for (unsigned i = 0; config && i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (!doctor_is_asked_for(doctor, repo->name)) {
            continue;
        }
        if (looks) {
            check_look(doctor, repo, g_hash_table_lookup(looks, repo->name));
        }
        if (has_rows) {
            check_paused(doctor, repo);
        }
    }
}

/* ------------------------------------------------------------------- files */

static void check_daemon(struct doctor *doctor)
{
    const struct paths *paths = &doctor->context->paths;
    g_autofree char *lock = paths_daemon_lock(paths);
    doctor_look_at(doctor, lock);
    doctor->daemon_runs = lock_is_held(lock);
    if (doctor->daemon_runs) {
        doctor_add(doctor, DOCTOR_OK, "daemon", paths->state, NULL, "is running");
    } else {
        doctor_add(doctor, DOCTOR_WARN, "daemon", paths->state,
                   "run phantom_ci in the foreground, or phantom_ci configure service",
                   "is not running: nothing is looked at");
    }
    g_autofree char *fifo = paths_wake_fifo(paths);
    struct stat status;
    if (lstat(fifo, &status) == 0 && (!S_ISFIFO(status.st_mode) || status.st_uid != geteuid())) {
        g_autofree char *quoted = g_shell_quote(fifo);
        g_autofree char *mend =
            g_strdup_printf("remove it: rm %s, and start the daemon again", quoted);
        doctor_add(doctor, DOCTOR_FAIL, "daemon", fifo, mend,
                   "is not a FIFO of this user: commands can't wake the daemon");
    }
}

/* The entries of cache/<name> that are not in use, -1 when it can't be read. */
static int count_entries(struct doctor *doctor, const char *name, bool of_jobs)
{
    const struct paths *paths = &doctor->context->paths;
    g_autofree char *path = g_build_filename(paths->cache, name, NULL);
    DIR *directory = opendir(path);
    int count = directory || errno == ENOENT ? 0 : -1;
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        int64_t job = 0;
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (of_jobs && command_parse_job(entry->d_name, &job)) {
            g_autofree char *lock = paths_job_lock(paths, job);
            count += lock_is_held(lock) ? 0 : 1;
        } else {
            count++;
        }
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

static void check_leftovers(struct doctor *doctor)
{
    static const struct {
        const char *name, *what;
        bool of_jobs;
    } places[] = {
        {"trash", "set aside and could not be removed (files of another user?)", false},
        {"tmp", "temporary directories of jobs that are over", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path =
            g_build_filename(doctor->context->paths.cache, places[i].name, NULL);
        doctor_look_at(doctor, path);
        int count = count_entries(doctor, places[i].name, places[i].of_jobs);
        if (count > 0) {
            g_autofree char *quoted = g_shell_quote(path);
            g_autofree char *mend =
                g_strdup_printf("while no job runs, as root: rm -rf --one-file-system %s", quoted);
            doctor_add(doctor, DOCTOR_WARN, "leftovers", path, mend, "%d: %s", count,
                       places[i].what);
        } else if (count < 0) {
            doctor_add(doctor, DOCTOR_WARN, "leftovers", path, "make it readable for this user",
                       "can't be read: %s", g_strerror(errno));
        }
    }
}

void doctor_check_state(struct doctor *doctor)
{
    check_daemon(doctor);
    bool has_rows = check_database(doctor);
    if (has_rows) {
        check_times(doctor);
        check_jobs(doctor);
        check_messages(doctor);
    }
    check_repos(doctor, has_rows);
    check_leftovers(doctor);
}
