#include "base/job_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/job_token.h"
#include "base/spawn.h"

enum {
    RECORD_MAX_BYTES = 64 * 1024,
    PROCS_MAX_BYTES = 16 * 1024 * 1024,
    MEMBERSHIP_MAX_BYTES = 64 * 1024,
    SUBGROUPS_MAX = 10000,
    FREEZE_PATIENCE_MS = 500,
    FIRST_PAUSE_US = 200,
    LONGEST_PAUSE_US = 20000,
};

char *job_group_name(const char *state_directory, int64_t job)
{
    g_autofree char *token = job_token(state_directory, job);
    return g_strconcat("phantom_ci-", strchr(token, '=') + 1, NULL);
}

bool job_group_record(const struct paths *paths, int64_t job, const char *const *directories,
                      GError **error)
{
    g_autofree char *path = paths_job_groups(paths, job);
    g_autofree char *lines = g_strjoinv("\n", (char **)directories);
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return (fd >= 0 || error_set_errno(error, BASE_ERROR, errno, "cannot write %s", path)) &&
           fd_write_all(fd, lines, strlen(lines), error);
}

bool job_group_is_in(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += length) {
        char behind = at[length];
        if (at > text && at[-1] == '/' && (behind == '/' || behind == '\n' || behind == '\0')) {
            return true;
        }
    }
    return false;
}

#ifdef __linux__

bool job_group_has_process(const char *name, const char *pid_name)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cgroup", pid_name);
    size_t length = 0;
    g_autofree char *text = file_read(path, MEMBERSHIP_MAX_BYTES, &length, NULL);
    return text && job_group_is_in(text, name);
}

static bool write_file(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static char *read_file(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    size_t length = 0;
    return file_read(path, PROCS_MAX_BYTES, &length, NULL);
}

/* The directory and the groups below it, a parent always before its children. */
static GPtrArray *list_groups(const char *directory)
{
    GPtrArray *groups = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(groups, g_strdup(directory));
    for (unsigned i = 0; i < groups->len; i++) {
        const char *path = g_ptr_array_index(groups, i);
        DIR *listing = opendir(path);
        const struct dirent *entry;
        while (listing && groups->len < SUBGROUPS_MAX && (entry = readdir(listing))) {
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
                g_ptr_array_add(groups, g_build_filename(path, entry->d_name, NULL));
            }
        }
        if (listing) {
            closedir(listing);
        }
    }
    return groups;
}

/* The pidfd is taken first and the membership read after it, so that a recycled pid is never hit.
 */
static void kill_member(const char *pid_name, const char *name)
{
    long number = strtol(pid_name, NULL, 10);
    auto_fd pidfd = number > 1 && number != getpid() ? spawn_open_pidfd((pid_t)number) : -1;
    if (pidfd >= 0 && job_group_has_process(name, pid_name)) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
}

/* The numbers of those in the group or below it, one a line. */
static GString *list_members(const char *directory)
{
    GString *pids = g_string_new(NULL);
    g_autoptr(GPtrArray) groups = list_groups(directory);
    for (unsigned i = 0; i < groups->len; i++) {
        g_autofree char *text = read_file(g_ptr_array_index(groups, i), "cgroup.procs");
        g_string_append(pids, text ? text : "");
    }
    return pids;
}

static void kill_members(const char *directory)
{
    g_autofree char *name = g_path_get_basename(directory);
    g_autoptr(GString) members = list_members(directory);
    g_auto(GStrv) pids = g_strsplit(members->str, "\n", -1);
    for (char **pid = pids; *pid; pid++) {
        if (**pid) {
            kill_member(*pid, name);
        }
    }
}

static bool have_members(const char *const *directories)
{
    for (; *directories; directories++) {
        g_autoptr(GString) members = list_members(*directories);
        if (members->len > 0) {
            return true;
        }
    }
    return false;
}

/* What is frozen can't fork while its siblings die; it dies when it is thawed. */
static void freeze(const char *directory)
{
    int64_t end_ms = clock_monotonic_ms() + FREEZE_PATIENCE_MS;
    useconds_t pause_us = FIRST_PAUSE_US;
    if (!write_file(directory, "freezer.state", "FROZEN")) {
        return;
    }
    while (clock_monotonic_ms() < end_ms) {
        g_autofree char *state = read_file(directory, "freezer.state");
        if (!state || g_str_has_prefix(state, "FROZEN")) {
            return;
        }
        usleep(pause_us);
        pause_us = MIN(pause_us * 2, LONGEST_PAUSE_US);
    }
}

static void kill_once(const char *const *directories)
{
    for (const char *const *directory = directories; *directory; directory++) {
        freeze(*directory);
    }
    for (const char *const *directory = directories; *directory; directory++) {
        write_file(*directory, "cgroup.kill", "1"); /* version 2, Linux 5.14 */
        kill_members(*directory);
    }
    for (const char *const *directory = directories; *directory; directory++) {
        write_file(*directory, "freezer.state", "THAWED");
    }
}

bool job_group_kill(const char *const *directories, int patience_ms)
{
    int64_t end_ms = clock_monotonic_ms() + patience_ms;
    useconds_t pause_us = FIRST_PAUSE_US;
    while (have_members(directories)) {
        kill_once(directories);
        if (clock_monotonic_ms() >= end_ms) {
            return !have_members(directories);
        }
        usleep(pause_us);
        pause_us = MIN(pause_us * 2, LONGEST_PAUSE_US);
    }
    return true;
}

bool job_group_remove(const char *const *directories)
{
    bool good = true;
    for (; *directories; directories++) {
        g_autoptr(GPtrArray) groups = list_groups(*directories);
        for (unsigned i = groups->len; i > 0; i--) {
            rmdir(g_ptr_array_index(groups, i - 1));
        }
        good = access(*directories, F_OK) != 0 && good;
    }
    return good;
}

/* A line of the record that is what it should be. */
static bool is_group(const char *path, const char *name)
{
    struct statfs status;
    g_autofree char *base = g_path_get_basename(path);
    return *path == '/' && strcmp(base, name) == 0 && statfs(path, &status) == 0 &&
           (status.f_type == CGROUP_SUPER_MAGIC || status.f_type == CGROUP2_SUPER_MAGIC);
}

bool job_group_end(const struct paths *paths, int64_t job, int patience_ms)
{
    g_autofree char *record = paths_job_groups(paths, job);
    g_autofree char *name = job_group_name(paths->state, job);
    size_t length = 0;
    g_autofree char *text = file_read(record, RECORD_MAX_BYTES, &length, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    for (char **line = lines; *line; line++) {
        if (is_group(*line, name)) {
            g_ptr_array_add(groups, *line);
        }
    }
    g_ptr_array_add(groups, NULL);
    const char *const *directories = (const char *const *)groups->pdata;
    bool good = job_group_kill(directories, patience_ms) && job_group_remove(directories);
    if (good) {
        unlink(record);
    }
    return good;
}

#else

bool job_group_has_process(const char *name, const char *pid_name)
{
    (void)name;
    (void)pid_name;
    return false;
}

bool job_group_kill(const char *const *directories, int patience_ms)
{
    (void)patience_ms;
    return *directories == NULL;
}

bool job_group_remove(const char *const *directories)
{
    return *directories == NULL;
}

bool job_group_end(const struct paths *paths, int64_t job, int patience_ms)
{
    (void)paths;
    (void)job;
    (void)patience_ms;
    return true;
}

#endif
