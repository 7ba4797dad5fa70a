#include "ssh/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "ssh/control.h"
#include "ssh/mux.h"

enum {
    /* ssh binds a name with '.' and 16 random characters behind it first, and renames that. */
    SSH_SUFFIX = 17,
    NUMBER_DIGITS = 10,
    ATTEMPTS = 10,
};

static const char prefix[] = "phantom_ci-ssh.";
static const char pattern[] = "phantom_ci-ssh.XXXXXX";

struct place {
    char *path;
    int fd; /* holds the lock */
};

/* --------------------------------------------------------------------------- where it can lie */

static bool path_fits(const char *parent)
{
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
    return strlen(parent) + 1 + strlen(pattern) + 1 + NUMBER_DIGITS + SSH_SUFFIX < room;
}

/* ssh replaces ${NAME} in the path of its socket, which can't be quoted. */
static bool is_usable(const char *parent)
{
    struct stat status;
    return parent && parent[0] == '/' && path_fits(parent) && !strstr(parent, "${") &&
           stat(parent, &status) == 0 && S_ISDIR(status.st_mode) &&
           (status.st_uid == geteuid() || status.st_uid == 0) &&
           (!(status.st_mode & (S_IWGRP | S_IWOTH)) || status.st_mode & S_ISVTX);
}

/* ------------------------------------------------------------------------------ what is left */

/* Opens a directory of ours and takes its lock; -1 when it is none, or its owner is alive. */
static int open_locked(int parent_fd, const char *name)
{
    struct stat status;
    auto_fd fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_uid != geteuid() ||
        (status.st_mode & 0777) != 0700 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Sockets are all that was ever made in it. A master that listens there has survived the process
 * that it served. */
static void remove_sockets(int fd, const char *path)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    if (!directory) {
        fd_close(&copy);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        struct stat status;
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(status.st_mode)) {
            g_autofree char *socket_path = g_build_filename(path, entry->d_name, NULL);
            control_terminate(socket_path);
            unlinkat(fd, entry->d_name, 0);
        }
    }
    closedir(directory);
}

static void remove_leftover(const char *parent, int parent_fd, const char *name)
{
    auto_fd fd = open_locked(parent_fd, name);
    if (fd >= 0) {
        g_autofree char *path = g_build_filename(parent, name, NULL);
        remove_sockets(fd, path);
        unlinkat(parent_fd, name, AT_REMOVEDIR);
    }
}

static void remove_leftovers(const char *parent)
{
    int parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = parent_fd >= 0 ? fdopendir(parent_fd) : NULL;
    if (!directory) {
        fd_close(&parent_fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (g_str_has_prefix(entry->d_name, prefix) && strlen(entry->d_name) == strlen(pattern)) {
            remove_leftover(parent, parent_fd, entry->d_name);
        }
    }
    closedir(directory);
}

/* ---------------------------------------------------------------------------------------- life */

/* Between the making and the lock another process may take it for a leftover and remove it. */
static bool is_still_there(const char *path, int fd)
{
    struct stat by_path, by_fd;
    return lstat(path, &by_path) == 0 && fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
           by_path.st_ino == by_fd.st_ino;
}

static struct place *open_in(const char *parent)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        g_autofree char *path = g_build_filename(parent, pattern, NULL);
        if (!mkdtemp(path)) {
            return NULL;
        }
        auto_fd fd = open_locked(AT_FDCWD, path);
        if (fd >= 0 && is_still_there(path, fd)) {
            struct place *place = g_new0(struct place, 1);
            place->path = g_steal_pointer(&path);
            place->fd = g_steal_fd(&fd);
            return place;
        }
    }
    return NULL;
}

struct place *place_open(GError **error)
{
    const char *const parents[] = {g_getenv("XDG_RUNTIME_DIR"), g_getenv("TMPDIR"), "/tmp"};
    for (unsigned i = 0; i < G_N_ELEMENTS(parents); i++) {
        if (is_usable(parents[i]) && fault_point("ssh.place") == 0) {
            remove_leftovers(parents[i]);
            struct place *place = open_in(parents[i]);
            if (place) {
                return place;
            }
        }
    }
    g_set_error_literal(error, SSH_ERROR, ERROR_DENIED,
                        "no private directory for sockets can be made in XDG_RUNTIME_DIR, TMPDIR "
                        "or /tmp: each look makes an ssh connection of its own");
    return NULL;
}

void place_close(struct place *place)
{
    if (place) {
        remove_sockets(place->fd, place->path);
        rmdir(place->path);
        fd_close(&place->fd);
        g_free(place->path);
        g_free(place);
    }
}

char *place_socket(const struct place *place, unsigned number)
{
    return g_strdup_printf("%s/%u", place->path, number);
}

void place_remove_socket(const struct place *place, unsigned number)
{
    char name[NUMBER_DIGITS + 1];
    g_snprintf(name, sizeof(name), "%u", number);
    unlinkat(place->fd, name, 0);
}
