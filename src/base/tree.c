/* file_remove_tree(): see file.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

/*
 * The tree is taken apart without recursion and with two descriptors, however deep it is:
 * everything in the top directory that is not a directory is unlinked; a directory is emptied by
 * unlinking its files and by moving its subdirectories up into the top directory, under new names;
 * then it is removed. This goes on until the top directory is empty.
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

static int open_directory(int parent_fd, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent_fd, name, flags);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0700) != 0700) {
        fchmod(fd, 0700);
    }
    if (fd < 0 && errno == EACCES && fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode)) {
        /* fchmodat() follows a link that takes the directory's place here; then the open fails, and
         * a mode that the owner had is all that changed. */
        if (fchmodat(parent_fd, name, 0700, 0) == 0) {
            fd = openat(parent_fd, name, flags);
        }
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
        if (unlinkat(fd, entry->d_name, 0) == 0) {
            removal->progress = true;
        } else if ((errno == EISDIR || errno == EPERM) && move_up(removal, fd, entry->d_name)) {
            removal->progress = true;
        } else {
            note_obstacle(removal, entry->d_name);
        }
    }
    closedir(directory);
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
        if (unlinkat(fd, entry->d_name, 0) == 0 || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) {
            removal->progress = true;
            continue;
        }
        empty = false;
        if (errno == ENOTDIR) {
            note_obstacle(removal, entry->d_name);
        } else {
            empty_directory(removal, entry->d_name);
            if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0) {
                removal->progress = true;
            }
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
    if (unlinkat(directory_fd, name, AT_REMOVEDIR) == 0) {
        return true;
    }
    auto_fd top_fd = open_directory(directory_fd, name);
    if (top_fd < 0) {
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
