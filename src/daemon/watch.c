#include "daemon/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "daemon/launch.h"

char *watch_fingerprint(const char *const *paths)
{
    GString *print = g_string_new(NULL);
    for (; *paths; paths++) {
        struct stat status;
        if (stat(*paths, &status) == 0) {
#ifdef __APPLE__
            const struct timespec *changed = &status.st_ctimespec;
#else
            const struct timespec *changed = &status.st_ctim;
#endif
            g_string_append_printf(print, "%ju %ju %jd.%09ld", (uintmax_t)status.st_dev,
                                   (uintmax_t)status.st_ino, (intmax_t)changed->tv_sec,
                                   changed->tv_nsec);
        }
        g_string_append_c(print, '\n');
    }
    return g_string_free(print, FALSE);
}

#ifdef __linux__
#include <sys/inotify.h>

struct watch {
    int fd;
    GHashTable *names; /* base names of the watched files */
};

static bool watch_directory_of(struct watch *watch, const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_hash_table_add(watch->names, g_path_get_basename(path));
    uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB;
    if (inotify_add_watch(watch->fd, directory, mask) < 0) {
        return error_set_errno(error, DAEMON_ERROR, errno, "cannot watch %s", directory);
    }
    return true;
}

struct watch *watch_open(const char *const *paths, GError **error)
{
    struct watch *watch = g_new0(struct watch, 1);
    watch->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    bool good = watch->fd >= 0;
    if (!good) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot watch the configuration");
    }
    for (; good && *paths; paths++) {
        char *target = realpath(*paths, NULL);
        good = watch_directory_of(watch, *paths, error) &&
               (!target || watch_directory_of(watch, target, error));
        free(target);
    }
    if (!good) {
        watch_close(watch);
        return NULL;
    }
    return watch;
}

int watch_fd(const struct watch *watch)
{
    return watch ? watch->fd : -1;
}

bool watch_take(struct watch *watch)
{
    _Alignas(struct inotify_event) char bytes[4096];
    bool ours = false;
    ssize_t length;
    while ((length = fd_read(watch->fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t at = 0; at < length;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
            ours = ours || (event->mask & IN_Q_OVERFLOW) ||
                   (event->len > 0 && g_hash_table_contains(watch->names, event->name));
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    return ours;
}

void watch_close(struct watch *watch)
{
    if (watch) {
        fd_close(&watch->fd);
        g_hash_table_unref(watch->names);
        g_free(watch);
    }
}

#else

struct watch *watch_open(const char *const *paths, GError **error)
{
    (void)paths;
    (void)error;
    return NULL;
}

int watch_fd(const struct watch *watch)
{
    (void)watch;
    return -1;
}

bool watch_take(struct watch *watch)
{
    (void)watch;
    return false;
}

void watch_close(struct watch *watch)
{
    (void)watch;
}

#endif
