/* file_remove_tree(): see file.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

/*
 * The tree is taken apart without recursion and with two descriptors, however deep it is:
 * everything in the top directory that is not a directory is unlinked; a directory is emptied by
 * unlinking its files and by moving its subdirectories up into the top directory, under new names;
 * then it is removed. This goes on until the top directory is empty. A mount point is an obstacle:
 * a step that ran as root may have mounted the user's own files there.
 */
struct removal {
    int top_fd;
    unsigned long moved; /* makes the new names */
    bool progress;
    int first_errno;
    char *first_name;
};

static void note_obstacle(struct removal *removal, const char *name)
{
    if (removal->first_errno == 0) {
        removal->first_errno = errno;
        removal->first_name = g_strdup(name);
    }
}

/* Opens a directory that is no link and, from Linux 5.6 on, no mount point (EXDEV); on older
 * systems a mount point is known by the EBUSY of rmdir(2) and rename(2). */
static int open_below(int parent_fd, const char *name, int access)
{
    int flags = access | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#if defined(__linux__) && defined(SYS_openat2)
    const struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
    /* EPERM is what a seccomp filter that has never heard of the call answers. */
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return fd;
    }
#endif
    return openat(parent_fd, name, flags);
}

/* By way of a descriptor, so that no link that takes the directory's place is followed. */
static bool make_accessible(int parent_fd, const char *name)
{
#ifdef __linux__
    auto_fd fd = open_below(parent_fd, name, O_PATH);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return fd >= 0 && chmod(path, 0700) == 0;
#else
    return fchmodat(parent_fd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0;
#endif
}

static int open_directory(int parent_fd, const char *name)
{
    int fd = open_below(parent_fd, name, O_RDONLY);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0700) != 0700) {
        fchmod(fd, 0700);
    }
    if (fd < 0 && errno == EACCES && make_accessible(parent_fd, name)) {
        fd = open_below(parent_fd, name, O_RDONLY);
    }
    return fd;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool move_up(struct removal *removal, int directory_fd, const char *name)
{
    /* A directory that can't be written can't be renamed either: its ".." would change. */
    auto_fd made_writable = open_directory(directory_fd, name);
    (void)made_writable;
    for (int attempt = 0; attempt < 1000; attempt++) {
        char fresh[64];
        struct stat status;
        snprintf(fresh, sizeof(fresh), ".phantom_ci-removed-%lu", removal->moved++);
        if (fstatat(removal->top_fd, fresh, &status, AT_SYMLINK_NOFOLLOW) == 0) {
            continue;
        }
        return renameat(directory_fd, name, removal->top_fd, fresh) == 0;
    }
    errno = EEXIST;
    return false;
}

/* Empties one directory directly below the top. */
static void empty_directory(struct removal *removal, const char *name)
{
    int fd = open_directory(removal->top_fd, name);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        note_obstacle(removal, name);
        fd_close(&fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (is_dots(entry->d_name)) {
            continue;
        }
        if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) {
            removal->progress = true;
        } else if ((errno == EISDIR || errno == EPERM) && move_up(removal, fd, entry->d_name)) {
            removal->progress = true;
        } else {
            note_obstacle(removal, entry->d_name);
        }
    }
    closedir(directory);
}

/* What keeps an entry of the top directory from being removed, other than being full: 0 if nothing.
 */
static int find_obstacle(const struct removal *removal, const char *name, int unlink_errno,
                         int rmdir_errno)
{
    struct stat status;
    if (fstatat(removal->top_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(status.st_mode)) {
        return unlink_errno;
    }
    return rmdir_errno == EBUSY ? EBUSY : 0;
}

/* Removes one entry of the top directory; true when it is gone. */
static bool remove_entry(struct removal *removal, const char *name)
{
    if (unlinkat(removal->top_fd, name, 0) == 0) {
        return true;
    }
    int unlink_errno = errno;
    if (unlinkat(removal->top_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return true;
    }
    int obstacle = find_obstacle(removal, name, unlink_errno, errno);
    if (obstacle == 0) {
        empty_directory(removal, name);
        if (unlinkat(removal->top_fd, name, AT_REMOVEDIR) == 0) {
            removal->progress = true;
            return false; /* its subdirectories may be in the top directory now */
        }
        obstacle = errno;
    }
    errno = obstacle;
    note_obstacle(removal, name);
    return false;
}

/* One pass over the top directory; true when it is empty. */
static bool remove_contents_once(struct removal *removal)
{
    bool empty = true;
    int fd = openat(removal->top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        note_obstacle(removal, ".");
        fd_close(&fd);
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (is_dots(entry->d_name)) {
            continue;
        }
        if (remove_entry(removal, entry->d_name)) {
            removal->progress = true;
        } else {
            empty = false;
        }
    }
    closedir(directory);
    return empty;
}

bool file_remove_tree(int directory_fd, const char *name, GError **error)
{
    if (unlinkat(directory_fd, name, 0) == 0 || errno == ENOENT) {
        return true;
    }
    int unlink_errno = errno;
    if (unlinkat(directory_fd, name, AT_REMOVEDIR) == 0) {
        return true;
    }
    auto_fd top_fd = errno == EBUSY ? -1 : open_directory(directory_fd, name);
    if (top_fd < 0) {
        errno = errno == ENOTDIR ? unlink_errno : errno;
        return error_set_errno(error, BASE_ERROR, errno, "cannot remove %s", name);
    }
    struct removal removal = {.top_fd = top_fd};
    bool empty = false;
    do {
        removal.progress = false;
        removal.first_errno = 0;
        g_clear_pointer(&removal.first_name, g_free);
        empty = remove_contents_once(&removal);
    } while (!empty && removal.progress);
    if (empty && unlinkat(directory_fd, name, AT_REMOVEDIR) < 0) {
        note_obstacle(&removal, name);
        empty = false;
    }
    if (!empty) {
        error_set_errno(error, BASE_ERROR, removal.first_errno, "cannot remove %s (in %s)",
                        removal.first_name ? removal.first_name : name, name);
    }
    g_free(removal.first_name);
    return empty;
}

bool file_remove_tree_at_path(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    auto_fd parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0 && errno == ENOENT) {
        return true;
    }
    if (parent_fd < 0) {
        return error_set_errno(error, BASE_ERROR, errno, "cannot open %s", parent);
    }
    return file_remove_tree(parent_fd, name, error);
}
