#include "poll/refwatch_kernel.h"

#ifdef REFWATCH_KQUEUE

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include <sys/event.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

enum { EVENTS_AT_ONCE = 256 };

/* On macOS a descriptor that does not keep a volume from being unmounted. */
#ifndef O_EVTONLY
#define O_EVTONLY O_RDONLY
#endif

int kernel_watch_open(GError **error)
{
    int fd = kqueue();
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch files");
        fd_close(&fd);
    }
    return fd;
}

/* A watch costs a descriptor: half of them are left for everything else. */
static bool is_one_too_many(int fd)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd >= limit.rlim_cur / 2;
}

int kernel_watch_add(int fd, const char *path, bool renames_only, GError **error)
{
    /* The kernel tells that a directory changed, and no more. */
    (void)renames_only;
    auto_fd id = open(path, O_EVTONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if ((id < 0 && errno == EMFILE) || (id >= 0 && is_one_too_many(id))) {
        g_set_error(error, REFWATCH_ERROR, ERROR_LIMIT,
                    "cannot watch %s: too many files are open (raise the limit with ulimit -n)",
                    path);
        return -1;
    }
    struct kevent event;
    EV_SET(&event, (uintptr_t)id, EVFILT_VNODE, EV_ADD | EV_CLEAR,
           NOTE_WRITE | NOTE_EXTEND | NOTE_DELETE | NOTE_RENAME | NOTE_REVOKE, 0, NULL);
    if (id < 0 || kevent(fd, &event, 1, NULL, 0, NULL) < 0) {
        error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch %s", path);
        return -1;
    }
    return g_steal_fd(&id);
}

void kernel_watch_remove(int fd, int id)
{
    (void)fd;
    /* Its last descriptor takes the event filter with it. */
    close(id);
}

void kernel_watch_read(int fd, void (*tell)(const struct kernel_watch_event *event, void *data),
                       void *data)
{
    struct kevent events[EVENTS_AT_ONCE];
    const struct timespec now = {.tv_sec = 0};
    int count = kevent(fd, NULL, 0, events, EVENTS_AT_ONCE, &now);
    for (int i = 0; i < count; i++) {
        struct kernel_watch_event event = {.kind = KERNEL_WATCH_ENTRY, .id = (int)events[i].ident};
        if (events[i].fflags & (NOTE_DELETE | NOTE_REVOKE)) {
            event.kind = KERNEL_WATCH_GONE;
            close(event.id);
        } else if (events[i].fflags & NOTE_RENAME) {
            event.kind = KERNEL_WATCH_MOVED;
        }
        tell(&event, data);
    }
}

#elif !defined(REFWATCH_INOTIFY)

int kernel_watch_open(GError **error)
{
    (void)error;
    return -1;
}

int kernel_watch_add(int fd, const char *path, bool renames_only, GError **error)
{
    (void)fd, (void)path, (void)renames_only, (void)error;
    g_assert_not_reached();
}

void kernel_watch_remove(int fd, int id)
{
    (void)fd, (void)id;
}

void kernel_watch_read(int fd, void (*tell)(const struct kernel_watch_event *event, void *data),
                       void *data)
{
    (void)fd, (void)tell, (void)data;
}

#endif
