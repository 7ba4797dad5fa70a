#include "job/guard.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/job_group.h"
#include "job/reap.h"
#include "job/stop.h"

enum { GROUP_PATIENCE_MS = 1000 };

static volatile sig_atomic_t worker_pid;

static void forward_signal(int number)
{
    int saved_errno = errno;
    if (worker_pid > 1) {
        kill((pid_t)worker_pid, number);
    }
    errno = saved_errno;
}

static void forward_signals(void)
{
    struct sigaction action = {.sa_handler = forward_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* For those who adopt the job; without room for it they look at the lock from time to time. */
static void write_pids(int lock_fd, pid_t guard, pid_t worker)
{
    char text[64];
    int length = snprintf(text, sizeof(text), "%d %d\n", (int)guard, (int)worker);
    ssize_t ignored = pwrite(lock_fd, text, (size_t)length, 0);
    (void)ignored;
}

/* Everything of the job that is left goes: processes, temporary files, and where the worker came to
 * its end, the traces that tell others that the job is alive. */
static void clean_up(const struct paths *paths, int64_t job, bool worker_came_to_its_end)
{
    g_autofree char *temporary = paths_job_temporary(paths, job);
    g_autofree char *lock = paths_job_lock(paths, job);
    job_group_end(paths, job, GROUP_PATIENCE_MS);
    reap_everything(0, NULL, NULL);
    file_remove_tree_at_path(temporary, NULL);
    if (worker_came_to_its_end) {
        stop_remove(paths, job);
        unlink(lock);
    }
}

void guard_fork(const struct paths *paths, int64_t job, int lock_fd)
{
    reap_become_subreaper();
    pid_t guard = getpid();
    pid_t worker = fork();
    if (worker < 0) {
        perror("phantom_ci-job: cannot fork");
        exit(GUARD_EXIT_WORKER_DIED);
    }
    if (worker == 0) {
        setsid();
        reap_become_subreaper();
        write_pids(lock_fd, guard, getpid());
        return;
    }
    worker_pid = worker;
    forward_signals();
    int status = 0;
    while (waitpid(worker, &status, 0) < 0 && errno == EINTR) {
    }
    worker_pid = 0;
    clean_up(paths, job, WIFEXITED(status));
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : GUARD_EXIT_WORKER_DIED);
}
