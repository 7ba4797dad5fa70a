#include "job/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

static volatile sig_atomic_t told_by_signal;
static int wake_fd = -1;

static void handle_signal(int number)
{
    (void)number;
    int saved_errno = errno;
    told_by_signal = 1;
    /* The FIFO is open for reading and writing here, so that this wakes our own poll(2). */
    ssize_t ignored = write(wake_fd, "s", 1);
    (void)ignored;
    errno = saved_errno;
}

int stop_open(const struct paths *paths, int64_t job, GError **error)
{
    g_autofree char *path = paths_job_control(paths, job);
    if (mkfifo(path, 0600) < 0 && errno != EEXIST) {
        error_set_errno(error, JOB_ERROR_DOMAIN, errno, "cannot make %s", path);
        return -1;
    }
    auto_fd fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode) ||
        status.st_uid != geteuid()) {
        error_set_errno(error, JOB_ERROR_DOMAIN, fd < 0 ? errno : EINVAL, "cannot use %s as a FIFO",
                        path);
        return -1;
    }
    wake_fd = fd;
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return g_steal_fd(&fd);
}

enum job_stop stop_check(int stop_fd, struct store *store, int64_t id, char **reason)
{
    char bytes[256];
    while (fd_read(stop_fd, bytes, sizeof(bytes)) > 0) {
    }
    struct job *job = store_job_get(store, id, NULL);
    enum job_stop stop = job ? job->stop : JOB_STOP_NONE;
    *reason = job ? g_steal_pointer(&job->stop_reason) : NULL;
    job_free(job);
    if (stop == JOB_STOP_NONE && told_by_signal) {
        *reason = g_strdup("phantom_ci-job was told to end by a signal");
        return JOB_STOP_KILL;
    }
    return stop;
}

void stop_remove(const struct paths *paths, int64_t job)
{
    g_autofree char *path = paths_job_control(paths, job);
    unlink(path);
}
