#include "git/trash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "git/url.h"

char *trash_name(const char *name)
{
    return g_strdup_printf("%.100s-%" G_GINT64_FORMAT "-%08x", name, clock_now_ms(),
                           g_random_int());
}

bool trash_set_aside(const char *cache_directory, const char *path, GError **error)
{
    g_autofree char *trash = g_build_filename(cache_directory, "trash", NULL);
    struct stat status;
    if (lstat(path, &status) != 0 && errno == ENOENT) {
        return true;
    }
    if (!file_ensure_private_directory(trash, error)) {
        return false;
    }
    /* a directory changes its parent only when it can itself be written */
    if (S_ISDIR(status.st_mode) && (status.st_mode & S_IRWXU) != S_IRWXU) {
        chmod(path, S_IRWXU);
    }
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *name = trash_name(base);
    g_autofree char *target = g_build_filename(trash, name, NULL);
    if (rename(path, target) != 0) {
        return error_set_errno(error, GIT_ERROR, errno, "can't move %s to %s", path, target);
    }
    return true;
}

unsigned trash_empty(const char *cache_directory)
{
    g_autofree char *trash = g_build_filename(cache_directory, "trash", NULL);
    auto_fd fd = open(trash, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GDir) directory = fd >= 0 ? g_dir_open(trash, 0, NULL) : NULL;
    unsigned left = 0;
    const char *name;
    while (directory && (name = g_dir_read_name(directory)) != NULL) {
        if (!file_remove_tree(fd, name, NULL)) {
            left++;
        }
    }
    return left;
}
