#include "net/sockets.h"

#include <errno.h>
#include <string.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "base/error.h"
#include "base/fd.h"
#include "net/protocol.h"

enum { EVENTS_MAX = 64 };

struct sockets {
    int epoll_fd;    /* -1: there is none, and `watched` is polled */
    GArray *watched; /* of struct pollfd: the caller's are put behind them */
};

struct sockets *sockets_new(void)
{
    struct sockets *sockets = g_new0(struct sockets, 1);
    sockets->epoll_fd = -1;
#ifdef __linux__
    sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
#endif
    sockets->watched = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    return sockets;
}

void sockets_free(struct sockets *sockets)
{
    if (sockets) {
        fd_close(&sockets->epoll_fd);
        g_array_unref(sockets->watched);
        g_free(sockets);
    }
}

/* ---------------------------------------------------------------------------------------- epoll */

#ifdef __linux__
static void watch_with_epoll(const struct sockets *sockets, int fd, short events)
{
    struct epoll_event event = {.data.fd = fd};
    event.events = (events & POLLIN ? EPOLLIN : 0u) | (events & POLLOUT ? EPOLLOUT : 0u);
    if (events == 0) {
        epoll_ctl(sockets->epoll_fd, EPOLL_CTL_DEL, fd, &event);
    } else if (epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST) {
        epoll_ctl(sockets->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    }
}

static bool take_epoll_events(struct sockets *sockets, sockets_ready *ready, void *data,
                              GError **error)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(sockets->epoll_fd, events, EVENTS_MAX, 0);
    if (count < 0 && errno != EINTR) {
        return error_set_errno(error, NET_ERROR, errno, "cannot wait for sockets");
    }
    for (int i = 0; i < count; i++) {
        short what = (short)((events[i].events & EPOLLIN ? POLLIN : 0) |
                             (events[i].events & EPOLLOUT ? POLLOUT : 0) |
                             (events[i].events & EPOLLERR ? POLLERR : 0) |
                             (events[i].events & EPOLLHUP ? POLLHUP : 0));
        ready(events[i].data.fd, what, data);
    }
    return true;
}

static bool wait_with_epoll(struct sockets *sockets, struct pollfd *fds, unsigned count,
                            int timeout_ms, sockets_ready *ready, void *data, GError **error)
{
    struct pollfd all[SOCKETS_FDS_MAX + 1];
    memcpy(all, fds, count * sizeof(*fds));
    all[count] = (struct pollfd){.fd = sockets->epoll_fd, .events = POLLIN};
    int result = poll(all, count + 1, timeout_ms);
    if (result < 0 && errno != EINTR) {
        return error_set_errno(error, NET_ERROR, errno, "cannot wait");
    }
    for (unsigned i = 0; i < count; i++) {
        fds[i].revents = result > 0 ? all[i].revents : 0;
    }
    return result <= 0 || all[count].revents == 0 || take_epoll_events(sockets, ready, data, error);
}
#endif

/* ----------------------------------------------------------------------------------------- poll */

static void watch_with_poll(struct sockets *sockets, int fd, short events)
{
    const struct pollfd entry = {.fd = fd, .events = events};
    for (guint i = 0; i < sockets->watched->len; i++) {
        if (g_array_index(sockets->watched, struct pollfd, i).fd != fd) {
            continue;
        }
        if (events == 0) {
            g_array_remove_index_fast(sockets->watched, i);
        } else {
            g_array_index(sockets->watched, struct pollfd, i) = entry;
        }
        return;
    }
    if (events != 0) {
        g_array_append_val(sockets->watched, entry);
    }
}

static bool wait_with_poll(struct sockets *sockets, struct pollfd *fds, unsigned count,
                           int timeout_ms, sockets_ready *ready, void *data, GError **error)
{
    /* A copy: what is called below changes what is watched. */
    g_autoptr(GArray) all = g_array_copy(sockets->watched);
    guint sockets_count = all->len;
    g_array_append_vals(all, fds, count);
    int result = poll((struct pollfd *)(void *)all->data, all->len, timeout_ms);
    if (result < 0 && errno != EINTR) {
        return error_set_errno(error, NET_ERROR, errno, "cannot wait");
    }
    for (guint i = 0; i < count; i++) {
        fds[i].revents =
            result > 0 ? g_array_index(all, struct pollfd, sockets_count + i).revents : 0;
    }
    for (guint i = 0; result > 0 && i < sockets_count; i++) {
        const struct pollfd *entry = &g_array_index(all, struct pollfd, i);
        if (entry->revents != 0) {
            ready(entry->fd, entry->revents, data);
        }
    }
    return true;
}

/* ---------------------------------------------------------------------------------------------- */

void sockets_watch(struct sockets *sockets, int fd, short events)
{
#ifdef __linux__
    if (sockets->epoll_fd >= 0) {
        watch_with_epoll(sockets, fd, events);
        return;
    }
#endif
    watch_with_poll(sockets, fd, events);
}

bool sockets_wait(struct sockets *sockets, struct pollfd *fds, unsigned count, int timeout_ms,
                  sockets_ready *ready, void *data, GError **error)
{
    g_assert(count <= SOCKETS_FDS_MAX);
#ifdef __linux__
    if (sockets->epoll_fd >= 0) {
        return wait_with_epoll(sockets, fds, count, timeout_ms, ready, data, error);
    }
#endif
    return wait_with_poll(sockets, fds, count, timeout_ms, ready, data, error);
}
