/* file_tree_bytes(): see file.h. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"

/* A hostile tree may hold any number of directories; what lies beyond this many that wait to be
 * counted is left out. */
enum { PENDING_MAX = 100 * 1000, BLOCK_BYTES = 512 };

struct count {
    int base_fd;
    dev_t device;
    int64_t bytes;
    GPtrArray *pending; /* paths of directories, relative to base_fd */
};

/* A file with several names takes its room once. */
static void add(struct count *count, const struct stat *status)
{
    int64_t bytes = (int64_t)status->st_blocks * BLOCK_BYTES;
    count->bytes += S_ISDIR(status->st_mode) || status->st_nlink < 2
                        ? bytes
                        : bytes / (int64_t)status->st_nlink;
}

static void add_entry(struct count *count, int fd, const char *path, const char *name)
{
    struct stat status;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_dev != count->device) {
        return;
    }
    add(count, &status);
    if (S_ISDIR(status.st_mode) && count->pending->len < PENDING_MAX) {
        g_ptr_array_add(count->pending, g_build_filename(path, name, NULL));
    }
}

static void add_directory(struct count *count, const char *path)
{
    int fd = openat(count->base_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        fd_close(&fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        add_entry(count, fd, path, entry->d_name);
    }
    closedir(directory);
}

int64_t file_tree_bytes(int directory_fd, const char *name)
{
    struct stat status;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return 0;
    }
    struct count count = {.base_fd = directory_fd,
                          .device = status.st_dev,
                          .pending = g_ptr_array_new_with_free_func(g_free)};
    add(&count, &status);
    if (S_ISDIR(status.st_mode)) {
        g_ptr_array_add(count.pending, g_strdup(name));
    }
    while (count.pending->len > 0) {
        g_autofree char *path = g_ptr_array_steal_index_fast(count.pending, count.pending->len - 1);
        add_directory(&count, path);
    }
    g_ptr_array_unref(count.pending);
    return count.bytes;
}
