/*
 * What kernels offer for watching a directory, behind one face, for poll/refwatch.c alone:
 * refwatch_inotify.c, refwatch_kqueue.c.
 */
#ifndef PHANTOM_CI_POLL_REFWATCH_KERNEL_H
#define PHANTOM_CI_POLL_REFWATCH_KERNEL_H

#include <glib.h>
#include <stdbool.h>

#if defined(__linux__)
#define REFWATCH_INOTIFY 1
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__) || \
    defined(__DragonFly__)
#define REFWATCH_KQUEUE 1
#endif

#define REFWATCH_ERROR (g_quark_from_static_string("phantom-ci-refwatch"))

enum kernel_watch_event_kind {
    KERNEL_WATCH_ENTRY,     /* something in the directory came, went or changed */
    KERNEL_WATCH_DIRECTORY, /* a directory came up in it */
    KERNEL_WATCH_GONE,     /* the directory itself; the watch has ended, and its id means nothing */
    KERNEL_WATCH_MOVED,    /* the directory itself; the watch goes on */
    KERNEL_WATCH_OVERFLOW, /* events were dropped, of any watch; no id */
};

struct kernel_watch_event {
    enum kernel_watch_event_kind kind;
    int id;
    const char *name; /* of the entry; NULL: not known, and it may be a new directory */
};

/* Non-blocking, close-on-exec, readable when there are events. -1 with `error`; -1 without one
 * where there is no such thing. */
int kernel_watch_open(GError **error);

/* Begins to watch a directory. `renames_only`: of its entries only those count that are renamed
 * into it. An id (the same one for the same directory, where the kernel knows it); -1 with
 * ERROR_NOT_FOUND, ERROR_LIMIT or others. */
int kernel_watch_add(int fd, const char *path, bool renames_only, GError **error);
void kernel_watch_remove(int fd, int id);

/* Takes what events there are, up to some number; poll(2) again for more. */
void kernel_watch_read(int fd, void (*tell)(const struct kernel_watch_event *event, void *data),
                       void *data);

#endif
