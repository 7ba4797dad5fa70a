#include "net/sockets.h"

#include <errno.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "base/error.h"
#include "base/fd.h"
#include "net/protocol.h"

enum { EVENTS_MAX = 64 };

/* What epoll was told of a descriptor, whose number is the index. */
struct entry {
    short told;      /* 0 = nothing */
    short wanted;    /* of a socket */
    bool is_known;   /* sockets_closed() will be said */
    bool is_callers; /* one of the caller's `fds` */
};

struct sockets {
    int epoll_fd; /* -1: there is none, and `watched` is polled */
    GArray *entries;
    int callers[SOCKETS_FDS_MAX]; /* that epoll knows; -1 = none */
    GArray *watched;              /* of struct pollfd */
};

struct sockets *sockets_new(void)
{
    struct sockets *sockets = g_new0(struct sockets, 1);
    sockets->epoll_fd = -1;
#ifdef __linux__
    sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
#endif
    sockets->entries = g_array_new(FALSE, TRUE, sizeof(struct entry));
    sockets->watched = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    for (unsigned i = 0; i < SOCKETS_FDS_MAX; i++) {
        sockets->callers[i] = -1;
    }
    return sockets;
}

void sockets_free(struct sockets *sockets)
{
    if (sockets) {
        fd_close(&sockets->epoll_fd);
        g_array_unref(sockets->entries);
        g_array_unref(sockets->watched);
        g_free(sockets);
    }
}

/* --------------------------------------------------------------------------------------- epoll */

#ifdef __linux__
static struct entry *entry_of(struct sockets *sockets, int fd)
{
    if ((guint)fd >= sockets->entries->len) {
        g_array_set_size(sockets->entries, (guint)fd + 1);
    }
    return &g_array_index(sockets->entries, struct entry, fd);
}

/* False: epoll can't wait for a descriptor of that kind (a regular file, /dev/null), for which
 * poll(2) says that it is always ready. */
static bool tell(struct sockets *sockets, int fd, short events)
{
    struct entry *entry = entry_of(sockets, fd);
    struct epoll_event event = {.data.fd = fd};
    event.events = (events & POLLIN ? EPOLLIN : 0u) | (events & POLLOUT ? EPOLLOUT : 0u);
    entry->told = events;
    /* Asked in this order, it does not matter what was known of the number. */
    return epoll_ctl(sockets->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 ||
           epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void untell(struct sockets *sockets, int fd)
{
    struct epoll_event event = {.data.fd = fd};
    struct entry *entry = entry_of(sockets, fd);
    if (entry->told != 0 || entry->is_callers) {
        epoll_ctl(sockets->epoll_fd, EPOLL_CTL_DEL, fd, &event);
    }
    entry->told = 0;
    entry->is_callers = false;
}

static void watch_with_epoll(struct sockets *sockets, int fd, short events)
{
    struct entry *entry = entry_of(sockets, fd);
    entry->wanted = events;
    if (events == 0 && !entry->is_known) {
        untell(sockets, fd);
    } else if (events != 0 && events != entry->told) {
        tell(sockets, fd, events);
    }
}

static bool is_among(const struct pollfd *fds, unsigned count, int fd)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i].fd == fd) {
            return true;
        }
    }
    return false;
}

/* Makes epoll know the caller's descriptors as they are wanted now; mostly as they were. True when
 * one of those that it can't know is ready. */
static bool tell_callers(struct sockets *sockets, struct pollfd *fds, unsigned count)
{
    bool is_ready = false;
    for (unsigned i = 0; i < SOCKETS_FDS_MAX; i++) {
        int old = sockets->callers[i];
        if (old >= 0 && !is_among(fds, count, old)) {
            untell(sockets, old);
        }
        sockets->callers[i] = i < count ? fds[i].fd : -1;
    }
    for (unsigned i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd < 0) {
            continue;
        }
        struct entry *entry = entry_of(sockets, fds[i].fd);
        bool is_new = !entry->is_callers;
        entry->is_callers = true;
        if ((is_new || entry->told != fds[i].events) && !tell(sockets, fds[i].fd, fds[i].events)) {
            entry->is_callers = false;
            fds[i].revents = fds[i].events;
            is_ready = is_ready || fds[i].events != 0;
        }
    }
    return is_ready;
}

static short poll_events(uint32_t events)
{
    return (short)((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0) |
                   (events & EPOLLERR ? POLLERR : 0) | (events & EPOLLHUP ? POLLHUP : 0));
}

static bool wait_with_epoll(struct sockets *sockets, struct pollfd *fds, unsigned count,
                            int timeout_ms, sockets_ready *ready, void *data, GError **error)
{
    struct epoll_event events[EVENTS_MAX];
    bool is_ready = tell_callers(sockets, fds, count);
    int found = epoll_wait(sockets->epoll_fd, events, EVENTS_MAX, is_ready ? 0 : timeout_ms);
    if (found < 0 && errno != EINTR) {
        return error_set_errno(error, NET_ERROR, errno, "cannot wait");
    }
    for (int i = 0; i < found; i++) {
        int fd = events[i].data.fd;
        const struct entry *entry = entry_of(sockets, fd);
        short what = poll_events(events[i].events);
        if (entry->is_callers) {
            for (unsigned k = 0; k < count; k++) {
                fds[k].revents = fds[k].fd == fd ? what : fds[k].revents;
            }
        } else if (entry->wanted != 0) {
            ready(fd, what, data);
        } else {
            untell(sockets, fd);
        }
    }
    return true;
}
#endif

/* ---------------------------------------------------------------------------------------- poll */

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

/* ------------------------------------------------------------------------------- which of them */

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

void sockets_opened(struct sockets *sockets, int fd)
{
#ifdef __linux__
    if (sockets->epoll_fd >= 0) {
        *entry_of(sockets, fd) = (struct entry){.is_known = true};
    }
#else
    (void)sockets;
    (void)fd;
#endif
}

void sockets_closed(struct sockets *sockets, int fd)
{
#ifdef __linux__
    if (sockets->epoll_fd >= 0) {
        /* close(2) takes it out of epoll's set, for there is no copy of the descriptor. */
        *entry_of(sockets, fd) = (struct entry){.told = 0};
    }
#else
    (void)sockets;
    (void)fd;
#endif
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
