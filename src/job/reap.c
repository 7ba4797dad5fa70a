#include "job/reap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/job_group.h"
#include "base/spawn.h"

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

enum { FIRST_PAUSE_US = 500, LONGEST_PAUSE_US = 50000, NAMES_SHOWN = 5, STAT_MAX_BYTES = 1024 };
enum { GROUP_PATIENCE_MS = 100, ROLLUP_MAX_BYTES = 64 * 1024 };

bool reap_become_subreaper(void)
{
#ifdef __linux__
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
#else
    return false;
#endif
}

struct process {
    pid_t pid, parent;
    unsigned long long start_time; /* with the pid, this names a process for ever */
    long threads, resident_pages;
    uid_t owner;
    char state;
    char name[32];
};

#ifdef __linux__

/* /proc/<pid>/stat, proc(5): the name is in parentheses and may hold any character, so it ends at
 * the last one. */
static bool read_process(pid_t pid, struct process *process)
{
    char path[64];
    char text[STAT_MAX_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? fd_read(fd, text, sizeof(text) - 1) : -1;
    if (length <= 0) {
        return false;
    }
    text[length] = '\0';
    struct stat status;
    char *open_at = strchr(text, '(');
    char *close_at = strrchr(text, ')');
    int parent = 0;
    if (!open_at || !close_at || fstat(fd, &status) != 0 ||
        sscanf(close_at + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu "
               "%*u %ld",
               &process->state, &parent, &process->threads, &process->start_time,
               &process->resident_pages) != 5) {
        return false;
    }
    process->owner = status.st_uid;
    process->pid = pid;
    process->parent = parent;
    *close_at = '\0';
    g_strlcpy(process->name, open_at + 1, sizeof(process->name));
    return true;
}

static GArray *list_all_processes(void)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct process));
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        struct process process;
        if (g_ascii_isdigit(entry->d_name[0]) &&
            read_process((pid_t)strtol(entry->d_name, NULL, 10), &process)) {
            g_array_append_val(all, process);
        }
    }
    if (directory) {
        closedir(directory);
    }
    return all;
}

/* Those whose chain of parents leads here; a parent always comes before its children. */
static GArray *list_descendants(void)
{
    g_autoptr(GArray) all = list_all_processes();
    GArray *found = g_array_new(FALSE, FALSE, sizeof(struct process));
    g_autoptr(GHashTable) family = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_hash_table_add(family, GINT_TO_POINTER((int)getpid()));
    bool grew = true;
    while (grew) {
        grew = false;
        for (unsigned i = 0; i < all->len; i++) {
            const struct process *process = &g_array_index(all, struct process, i);
            if (g_hash_table_contains(family, GINT_TO_POINTER((int)process->parent)) &&
                g_hash_table_add(family, GINT_TO_POINTER((int)process->pid))) {
                g_array_append_vals(found, process, 1);
                grew = true;
            }
        }
    }
    return found;
}

/* A direct child can't be recycled before this process waits for it. Of any other, the pidfd holds
 * it in place while its identity is asked again. */
static void signal_process(const struct process *process, int signal_number)
{
    g_assert(process->pid > 1);
    if (process->parent == getpid()) {
        kill(process->pid, signal_number);
        return;
    }
    auto_fd pidfd = spawn_open_pidfd(process->pid);
    struct process now;
    if (pidfd >= 0 && read_process(process->pid, &now) && now.start_time == process->start_time) {
        syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0);
    }
}

#else

static GArray *list_all_processes(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct process));
}

static GArray *list_descendants(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct process));
}

static void signal_process(const struct process *process, int signal_number)
{
    (void)process;
    (void)signal_number;
}

#endif

/* Waits for all that have ended; true while there are others. */
static bool collect_ended(void)
{
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0 || (ended < 0 && errno == EINTR)) {
    }
    return ended == 0;
}

static void count_new(struct reap_report *report, GHashTable *seen, const struct process *process)
{
    /* The pid alone will do: within one clean-up it is next to never used twice, and only a number
     * is at stake. */
    if (process->state == 'Z' || !g_hash_table_add(seen, GINT_TO_POINTER((int)process->pid))) {
        return;
    }
    report->count++;
    if (report->names && report->count <= NAMES_SHOWN) {
        g_string_append_printf(report->names, "%s%s", report->count > 1 ? ", " : "", process->name);
    } else if (report->names && report->count == NAMES_SHOWN + 1) {
        g_string_append(report->names, ", ...");
    }
}

void reap_signal_all(int signal_number)
{
    g_autoptr(GArray) descendants = list_descendants();
    for (unsigned i = 0; i < descendants->len; i++) {
        signal_process(&g_array_index(descendants, struct process, i), signal_number);
    }
}

/* All are stopped before any is killed: what is stopped can't fork while its siblings die. In the
 * groups that is the kernel's work, and the loop finds who is in none. */
static void kill_all(const GArray *descendants, reap_groups groups)
{
    if (groups) {
        job_group_kill(groups, GROUP_PATIENCE_MS);
    }
    for (unsigned i = 0; i < descendants->len; i++) {
        signal_process(&g_array_index(descendants, struct process, i), SIGSTOP);
    }
    for (unsigned i = 0; i < descendants->len; i++) {
        signal_process(&g_array_index(descendants, struct process, i), SIGKILL);
    }
}

void reap_everything(int grace_ms, reap_groups groups, struct reap_report *report)
{
    int64_t kill_at_ms = clock_monotonic_ms() + grace_ms;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_autoptr(GHashTable) told = g_hash_table_new(g_direct_hash, g_direct_equal);
    useconds_t pause_us = FIRST_PAUSE_US;
    while (collect_ended()) {
        g_autoptr(GArray) descendants = list_descendants();
        for (unsigned i = 0; report && i < descendants->len; i++) {
            count_new(report, seen, &g_array_index(descendants, struct process, i));
        }
        if (clock_monotonic_ms() >= kill_at_ms) {
            kill_all(descendants, groups);
        } else {
            for (unsigned i = 0; i < descendants->len; i++) {
                const struct process *process = &g_array_index(descendants, struct process, i);
                if (g_hash_table_add(told, GINT_TO_POINTER((int)process->pid))) {
                    signal_process(process, SIGTERM);
                    signal_process(process, SIGCONT);
                }
            }
        }
        usleep(pause_us);
        pause_us = MIN(pause_us * 2, LONGEST_PAUSE_US);
    }
}

void reap_measure(struct reap_usage *usage)
{
    g_autoptr(GArray) descendants = list_descendants();
    *usage = (struct reap_usage){0, 0};
    for (unsigned i = 0; i < descendants->len; i++) {
        const struct process *process = &g_array_index(descendants, struct process, i);
        if (process->state != 'Z') {
            usage->tasks += process->threads;
            usage->memory_bytes += (int64_t)process->resident_pages * sysconf(_SC_PAGESIZE);
        }
    }
}

/* "Pss:  123 kB" of /proc/<pid>/smaps_rollup (Linux 4.14), which only a user who may trace the
 * process can read; for another its resident pages stand. */
static int64_t proportional_bytes(const struct process *process)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", (int)process->pid);
    size_t length = 0;
    g_autofree char *text = file_read(path, ROLLUP_MAX_BYTES, &length, NULL);
    const char *line = text ? strstr(text, "\nPss:") : NULL;
    return line ? (int64_t)strtoll(line + strlen("\nPss:"), NULL, 10) * 1024
                : (int64_t)process->resident_pages * sysconf(_SC_PAGESIZE);
}

int64_t reap_measure_shared_bytes(void)
{
    g_autoptr(GArray) descendants = list_descendants();
    int64_t bytes = 0;
    for (unsigned i = 0; i < descendants->len; i++) {
        bytes += proportional_bytes(&g_array_index(descendants, struct process, i));
    }
    return bytes;
}

int64_t reap_count_tasks_of_user(void)
{
    g_autoptr(GArray) all = list_all_processes();
    int64_t tasks = 0;
    for (unsigned i = 0; i < all->len; i++) {
        const struct process *process = &g_array_index(all, struct process, i);
        tasks += process->owner == geteuid() ? process->threads : 0;
    }
    return tasks;
}
