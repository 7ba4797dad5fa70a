#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"

void fd_close(int *fd)
{
    if (*fd >= 0) {
        /* Not repeated on EINTR: Linux has closed it by then, and the number may be somebody
         * else's. */
        close(*fd);
        *fd = -1;
    }
}

void fd_cleanup(int *fd)
{
    int saved_errno = errno;
    fd_close(fd);
    errno = saved_errno;
}

static bool make_pipe(int ends[2], int flags, GError **error)
{
#ifdef __linux__
    bool made = pipe2(ends, O_CLOEXEC | flags) == 0;
#else
    bool made = pipe(ends) == 0;
    for (int i = 0; made && i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, flags);
    }
#endif
    if (!made) {
        ends[0] = -1;
        ends[1] = -1;
        return error_set_errno(error, BASE_ERROR, errno, "cannot make a pipe");
    }
    return true;
}

bool fd_pipe(int ends[2], GError **error)
{
    return make_pipe(ends, 0, error);
}

bool fd_pipe_nonblocking(int ends[2], GError **error)
{
    return make_pipe(ends, O_NONBLOCK, error);
}

bool fd_set_nonblocking(int fd, bool nonblocking, GError **error)
{
    int flags = fcntl(fd, F_GETFL);
    int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags < 0 || fcntl(fd, F_SETFL, wanted) < 0) {
        return error_set_errno(error, BASE_ERROR, errno, "cannot set up a descriptor");
    }
    return true;
}

bool fd_write_all(int fd, const void *bytes, size_t length, GError **error)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return error_set_errno(error, BASE_ERROR, errno, "cannot write");
        }
        at += written;
        length -= (size_t)written;
    }
    return true;
}

ssize_t fd_read(int fd, void *bytes, size_t size)
{
    ssize_t length;
    do {
        length = read(fd, bytes, size);
    } while (length < 0 && errno == EINTR);
    return length;
}

int fd_waiting_bytes(int fd)
{
    int count = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}

char *fd_read_to_end(int fd, size_t limit_bytes, size_t *length, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    guint8 chunk[16384];
    ssize_t got;
    while ((got = fd_read(fd, chunk, sizeof(chunk))) > 0) {
        if (all->len + (size_t)got > limit_bytes) {
            g_set_error(error, BASE_ERROR, ERROR_LIMIT, "more than %zu bytes", limit_bytes);
            return NULL;
        }
        g_byte_array_append(all, chunk, (guint)got);
    }
    if (got < 0) {
        error_set_errno(error, BASE_ERROR, errno, "cannot read");
        return NULL;
    }
    *length = all->len;
    g_byte_array_append(all, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&all), FALSE);
}
