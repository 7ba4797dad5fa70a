#include "poll/refwatch_kernel.h"

#ifdef REFWATCH_INOTIFY

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"

enum {
    BUFFER_BYTES = 16 * 1024,
    READS_AT_ONCE = 64, /* about 20,000 events: more than the kernel's queue holds */
};

int kernel_watch_open(GError **error)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 && errno == EMFILE) {
        g_set_error(error, REFWATCH_ERROR, ERROR_LIMIT,
                    "no watch of files is left for this user (fs.inotify.max_user_instances)");
    } else if (fd < 0) {
        error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch files");
    }
    return fd;
}

int kernel_watch_add(int fd, const char *path, bool renames_only, GError **error)
{
    uint32_t mask = IN_ONLYDIR | IN_MASK_ADD | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
    if (!renames_only) {
        mask |= IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM;
    }
    int fault = fault_point("refwatch.add");
    int id = fault == 0 ? inotify_add_watch(fd, path, mask) : -1;
    errno = fault != 0 ? fault : errno;
    if (id < 0 && errno == ENOSPC) {
        g_set_error(error, REFWATCH_ERROR, ERROR_LIMIT,
                    "cannot watch %s: this user may watch no more files and directories "
                    "(raise fs.inotify.max_user_watches with sysctl)",
                    path);
    } else if (id < 0) {
        error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch %s", path);
    }
    return id;
}

void kernel_watch_remove(int fd, int id)
{
    /* An IN_IGNORED of it still comes, with a number that is not given to another watch. */
    (void)inotify_rm_watch(fd, id);
}

static void tell_of(const struct inotify_event *event,
                    void (*tell)(const struct kernel_watch_event *event, void *data), void *data)
{
    struct kernel_watch_event told = {
        .kind = KERNEL_WATCH_ENTRY,
        .id = event->wd,
        .name = event->len > 0 ? event->name : NULL,
    };
    if (event->mask & IN_Q_OVERFLOW) {
        told.kind = KERNEL_WATCH_OVERFLOW;
    } else if (event->mask & IN_IGNORED) {
        /* after IN_DELETE_SELF and IN_UNMOUNT, too */
        told.kind = KERNEL_WATCH_GONE;
    } else if (event->mask & IN_MOVE_SELF) {
        told.kind = KERNEL_WATCH_MOVED;
    } else if (!told.name) {
        return;
    } else if ((event->mask & IN_ISDIR) && (event->mask & (IN_CREATE | IN_MOVED_TO))) {
        told.kind = KERNEL_WATCH_DIRECTORY;
    }
    tell(&told, data);
}

void kernel_watch_read(int fd, void (*tell)(const struct kernel_watch_event *event, void *data),
                       void *data)
{
    _Alignas(struct inotify_event) char bytes[BUFFER_BYTES];
    for (int reads = 0; reads < READS_AT_ONCE; reads++) {
        ssize_t got = fd_read(fd, bytes, sizeof(bytes));
        const struct inotify_event *event;
        for (ssize_t at = 0; at < got; at += (ssize_t)(sizeof(*event) + event->len)) {
            event = (const struct inotify_event *)(bytes + at);
            tell_of(event, tell, data);
        }
        if (got <= 0) {
            return;
        }
    }
}

#endif
