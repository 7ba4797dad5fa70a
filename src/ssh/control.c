#include "ssh/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "ssh/mux.h"

enum { REQUEST = 1 };

#ifdef MSG_NOSIGNAL
enum { SEND_FLAGS = MSG_NOSIGNAL };
#else
enum { SEND_FLAGS = 0 }; /* SIGPIPE is ignored */
#endif

static bool set_connect_error(int errnum, GError **error)
{
    if (errnum == ENOENT || errnum == ECONNREFUSED) {
        g_set_error_literal(error, SSH_ERROR, ERROR_NOT_FOUND, "there is no ssh master");
    } else if (errnum == EAGAIN) {
        g_set_error_literal(error, SSH_ERROR, ERROR_BUSY, "the ssh master does not answer");
    } else {
        error_set_errno(error, SSH_ERROR, errnum, "cannot reach the ssh master");
    }
    return false;
}

static int open_socket(void)
{
#ifdef SOCK_CLOEXEC
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || !fd_set_nonblocking(fd, true, NULL))) {
        fd_close(&fd);
    }
    return fd;
#endif
}

int control_connect(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        set_connect_error(ENAMETOOLONG, error);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    auto_fd fd = open_socket();
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        set_connect_error(errno, error);
        return -1;
    }
    return g_steal_fd(&fd);
}

static bool send_bytes(int fd, const GByteArray *bytes, GError **error)
{
    ssize_t sent = send(fd, bytes->data, bytes->len, SEND_FLAGS);
    if (sent == (ssize_t)bytes->len) {
        return true;
    }
    return error_set_errno(error, SSH_ERROR, sent < 0 ? errno : EMSGSIZE,
                           "cannot write to the ssh master");
}

/* With a byte of its own, as OpenSSH's mm_receive_fd() takes it. */
static bool send_fd(int fd, int passed, GError **error)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof(control));
    char byte = '\0';
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof(int));
    return sendmsg(fd, &message, SEND_FLAGS) == 1 ||
           error_set_errno(error, SSH_ERROR, errno, "cannot pass a descriptor to the ssh master");
}

bool control_open_session(int fd, const char *command, const char *const *environment,
                          const int fds[3], GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    mux_append_hello(out);
    mux_append_new_session(out, REQUEST, command, environment);
    return send_bytes(fd, out, error) && send_fd(fd, fds[0], error) && send_fd(fd, fds[1], error) &&
           send_fd(fd, fds[2], error);
}

/* A master that finds the connection closed drops what it has not read of it. */
static void await_end(int fd)
{
    char bytes[256];
    int64_t end_ms = clock_monotonic_ms() + CONTROL_GOODBYE_MS;
    int64_t left_ms = CONTROL_GOODBYE_MS;
    ssize_t got = 1;
    while (left_ms > 0 && (got > 0 || (got < 0 && errno == EAGAIN))) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        poll(&entry, 1, (int)left_ms);
        got = fd_read(fd, bytes, sizeof(bytes));
        left_ms = end_ms - clock_monotonic_ms();
    }
}

void control_terminate(const char *path)
{
    auto_fd fd = control_connect(path, NULL);
    if (fd >= 0) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        mux_append_hello(out);
        mux_append_terminate(out, REQUEST);
        if (send_bytes(fd, out, NULL)) {
            await_end(fd);
        }
    }
}
