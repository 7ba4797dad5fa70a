/* The machine: who runs this, its clock, its disks, its limits. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/units.h"
#include "commands/doctor.h"
#include "commands/doctor_filesystem.h"

/* The year of this version's sources: no clock that is right shows an earlier one. */
enum { YEAR_OF_SOURCES = 2025 };

static void check_user(struct doctor *doctor)
{
    if (geteuid() == 0) {
        doctor_add(doctor, DOCTOR_WARN, "user", "root",
                   "use a user of its own: useradd --system --create-home ci",
                   "jobs run as root: whoever may push may do anything on this machine");
    } else {
        g_autofree char *user = g_strdup_printf("user %u", (unsigned)geteuid());
        doctor_add(doctor, DOCTOR_OK, "user", user, NULL, "not root");
    }
    static const char *const signs[] = {"/.dockerenv", "/run/.containerenv",
                                        "/run/systemd/container"};
    for (unsigned i = 0; i < G_N_ELEMENTS(signs); i++) {
        if (access(signs[i], F_OK) == 0) {
            doctor_add(doctor, DOCTOR_INFO, "container", signs[i], NULL,
                       "this is a container: limits and abilities are what its runtime gives");
            return;
        }
    }
}

static void check_clock(struct doctor *doctor)
{
    static const char mend[] = "set the clock, and let it be kept: timedatectl set-ntp true";
    int64_t now_ms = clock_now_ms();
    int64_t first = clock_monotonic_ms();
    int64_t second = clock_monotonic_ms();
    g_autofree char *shown = clock_format(now_ms);
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    bool readable = gmtime_r(&seconds, &utc) != NULL;
    if (!readable || utc.tm_year + 1900 < YEAR_OF_SOURCES) {
        doctor_add(doctor, DOCTOR_FAIL, "clock", shown, mend,
                   "the clock is wrong: it is %d at least; TLS and the order of jobs suffer",
                   YEAR_OF_SOURCES);
    } else if (first <= 0 || second < first) {
        doctor_add(doctor, DOCTOR_FAIL, "clock", shown, "see dmesg for the clock source",
                   "the monotonic clock does not work, so that no time limit would");
    } else {
        doctor_add(doctor, DOCTOR_OK, "clock", shown, NULL, "plausible");
    }
}

/* ------------------------------------------------------------------- disk */

static bool stat_nearest(const char *path, struct statvfs *status)
{
    g_autofree char *at = g_strdup(path);
    while (statvfs(at, status) < 0) {
        if (errno != ENOENT || strcmp(at, "/") == 0 || strcmp(at, ".") == 0) {
            return false;
        }
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
    return true;
}

/* What the daemon holds to before it starts a job; a configuration with errors has the default. */
static int64_t least_free(const struct doctor *doctor, uint64_t all_bytes)
{
    const struct config *config = doctor->context->config;
    return disk_least_free(config ? config->min_free_bytes : DISK_MIN_FREE_DEFAULT,
                           (int64_t)all_bytes);
}

static void check_disk(struct doctor *doctor, const char *path)
{
    static const enum doctor_status statuses[] = {[DOCTOR_ROOM_ENOUGH] = DOCTOR_OK,
                                                  [DOCTOR_ROOM_LOW] = DOCTOR_WARN,
                                                  [DOCTOR_ROOM_NONE] = DOCTOR_FAIL};
    struct statvfs status;
    doctor_look_at(doctor, path);
    if (!stat_nearest(path, &status)) {
        doctor_add(doctor, DOCTOR_WARN, "disk", path, "make it accessible for this user",
                   "its file system can't be asked: %s", g_strerror(errno));
        return;
    }
    uint64_t free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    uint64_t all_bytes = (uint64_t)status.f_blocks * status.f_frsize;
    enum doctor_room bytes = doctor_judge_bytes(free_bytes, all_bytes);
    enum doctor_room inodes = doctor_judge_inodes(status.f_favail, status.f_files);
    bool jobs_wait = all_bytes > 0 && (int64_t)free_bytes < least_free(doctor, all_bytes);
    enum doctor_room worst = jobs_wait ? DOCTOR_ROOM_NONE : MAX(bytes, inodes);
    g_autofree char *free_text = units_format_size((int64_t)free_bytes);
    g_autofree char *all_text = units_format_size((int64_t)all_bytes);
    doctor_add(doctor, statuses[worst], "disk", path,
               worst == DOCTOR_ROOM_ENOUGH
                   ? NULL
                   : "free some room: phantom_ci gc, shorter keep_jobs_for and keep_bytes in "
                     "config.toml, or whatever else fills the disk",
               "%s of %s free, %" G_GUINT64_FORMAT " inodes free%s", free_text, all_text,
               (uint64_t)status.f_favail,
               jobs_wait                     ? ": less than min_free, so that no job starts"
               : worst == DOCTOR_ROOM_ENOUGH ? ""
               : bytes < inodes              ? ": too few inodes"
                                             : ": little room");
}

static void check_disks(struct doctor *doctor)
{
    const struct paths *paths = &doctor->context->paths;
    struct statvfs state;
    struct statvfs cache;
    check_disk(doctor, paths->state);
    bool same = stat_nearest(paths->state, &state) && stat_nearest(paths->cache, &cache) &&
                state.f_fsid == cache.f_fsid && state.f_blocks == cache.f_blocks;
    if (!same) {
        check_disk(doctor, paths->cache);
    }
}

/* ----------------------------------------------------------------- limits */

static void check_limit(struct doctor *doctor, const char *name, int resource, uint64_t needed,
                        const char *mend)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) {
        return;
    }
    if (limit.rlim_cur == RLIM_INFINITY) {
        doctor_add(doctor, DOCTOR_OK, "limits", name, NULL, "unlimited");
    } else if (limit.rlim_cur < needed) {
        doctor_add(doctor, DOCTOR_WARN, "limits", name, mend,
                   "%" G_GUINT64_FORMAT " are allowed; with max_jobs and max_looks as they are, "
                   "%" G_GUINT64_FORMAT " may be wanted",
                   (uint64_t)limit.rlim_cur, needed);
    } else {
        doctor_add(doctor, DOCTOR_OK, "limits", name, NULL,
                   "%" G_GUINT64_FORMAT " are allowed, %" G_GUINT64_FORMAT " may be wanted",
                   (uint64_t)limit.rlim_cur, needed);
    }
}

static void check_limits(struct doctor *doctor)
{
    /* The defaults, when the configuration can't be loaded. */
    const struct config *config = doctor->context->config;
    uint64_t jobs = config ? config->max_jobs : g_get_num_processors();
    uint64_t looks = config ? config->max_looks : 16;
    /* A look: two pipes, a pidfd. A job: lock, log pipe, pidfd. Beside them the database and logs.
     */
    check_limit(doctor, "open files", RLIMIT_NOFILE, 64 + 4 * looks + 8 * jobs,
                "raise it: LimitNOFILE= in the unit, or ulimit -n");
    /* A look: git, its helper, ssh. A job: guard, worker, and a build with a few processes. */
    check_limit(doctor, "processes", RLIMIT_NPROC, 32 + 4 * looks + 32 * jobs,
                "raise it: LimitNPROC= in the unit, or ulimit -u");
#ifdef __linux__
    static const char oom[] = "/proc/self/oom_score_adj";
    if (access(oom, W_OK) == 0) {
        doctor_add(doctor, DOCTOR_OK, "limits", oom, NULL, "can be set");
    } else {
        doctor_add(doctor, DOCTOR_INFO, "limits", oom, NULL,
                   "can't be set: when memory runs out, the kernel may choose the daemon before "
                   "the jobs");
    }
#endif
}

void doctor_check_host(struct doctor *doctor)
{
    check_user(doctor);
    check_clock(doctor);
}

void doctor_check_resources(struct doctor *doctor)
{
    check_disks(doctor);
    check_limits(doctor);
}
