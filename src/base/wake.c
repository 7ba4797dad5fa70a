#include "base/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static bool wake_fifo(const char *path)
{
    auto_fd fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode) ||
        status.st_uid != geteuid()) {
        return false;
    }
    /* A full FIFO has wakes enough in it. */
    return write(fd, "w", 1) == 1 || errno == EAGAIN;
}

bool wake_daemon(const struct paths *paths)
{
    g_autofree char *path = paths_wake_fifo(paths);
    return wake_fifo(path);
}

bool wake_job(const struct paths *paths, int64_t job)
{
    g_autofree char *path = paths_job_control(paths, job);
    return wake_fifo(path);
}
