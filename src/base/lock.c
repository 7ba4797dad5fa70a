#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

enum { WAIT_STEP_US = 50 * 1000, OPEN_ATTEMPTS = 100 };

/* Whether `path` still names the file behind `fd`: it may have been removed between open and lock.
 */
static bool is_current(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

int lock_take(const char *path, enum lock_mode mode, GError **error)
{
    int operation = (mode == LOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB;
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            error_set_errno(error, BASE_ERROR, errno, "cannot open the lock file %s", path);
            return -1;
        }
        if (flock(fd, operation) < 0) {
            if (errno == EINTR) {
                continue;
            }
            error_set_errno(error, BASE_ERROR, errno, "cannot lock %s", path);
            return -1;
        }
        if (is_current(fd, path)) {
            return g_steal_fd(&fd);
        }
    }
    g_set_error(error, BASE_ERROR, ERROR_BUSY, "cannot lock %s: it is replaced again and again",
                path);
    return -1;
}

int lock_wait(const char *path, enum lock_mode mode, int timeout_ms, GError **error)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        g_autoptr(GError) local = NULL;
        int fd = lock_take(path, mode, &local);
        bool over = timeout_ms >= 0 && clock_monotonic_ms() >= deadline_ms;
        if (fd >= 0 || over || !error_has_code(local, ERROR_BUSY)) {
            if (local) {
                g_propagate_error(error, g_steal_pointer(&local));
            }
            return fd;
        }
        g_usleep(WAIT_STEP_US);
    }
}

bool lock_is_held(const char *path)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    /* A shared lock is refused exactly while somebody has it exclusively; it ends with `fd`. */
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}
