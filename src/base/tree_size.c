/* file_tree_bytes() and struct tree_size: see file.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"

/* A hostile tree may hold any number of directories; what lies beyond this many that wait to be
 * counted is left out. */
enum { PENDING_MAX = 100 * 1000, BLOCK_BYTES = 512, ENTRIES_BETWEEN_LOOKS = 64 };

struct pending {
    int base_fd; /* of the tree; not owned */
    dev_t device;
    char *path; /* relative to it */
};

struct tree_size {
    int64_t bytes;
    bool has_gaps;
    GPtrArray *pending;      /* of struct pending *: directories that are to be read */
    struct pending *reading; /* the one that is being read, or NULL */
    DIR *directory;
};

static void pending_free(void *data)
{
    struct pending *pending = data;
    g_free(pending->path);
    g_free(pending);
}

struct tree_size *tree_size_new(void)
{
    struct tree_size *size = g_new0(struct tree_size, 1);
    size->pending = g_ptr_array_new_with_free_func(pending_free);
    return size;
}

static void end_reading(struct tree_size *size)
{
    if (size->directory) {
        closedir(size->directory);
        size->directory = NULL;
    }
    g_clear_pointer(&size->reading, pending_free);
}

void tree_size_free(struct tree_size *size)
{
    if (size) {
        end_reading(size);
        g_ptr_array_unref(size->pending);
        g_free(size);
    }
}

/* A file with several names takes its room once. */
static void add_bytes(struct tree_size *size, const struct stat *status)
{
    int64_t bytes = (int64_t)status->st_blocks * BLOCK_BYTES;
    size->bytes += S_ISDIR(status->st_mode) || status->st_nlink < 2
                       ? bytes
                       : bytes / (int64_t)status->st_nlink;
}

static void add_pending(struct tree_size *size, int base_fd, dev_t device, const char *path)
{
    struct pending *pending = g_new0(struct pending, 1);
    *pending = (struct pending){base_fd, device, g_strdup(path)};
    g_ptr_array_add(size->pending, pending);
}

void tree_size_add(struct tree_size *size, int directory_fd, const char *name)
{
    struct stat status;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return;
    }
    add_bytes(size, &status);
    if (S_ISDIR(status.st_mode)) {
        add_pending(size, directory_fd, status.st_dev, name);
    }
}

static void add_entry(struct tree_size *size, const char *name)
{
    const struct pending *reading = size->reading;
    struct stat status;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(dirfd(size->directory), name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        status.st_dev != reading->device) {
        return;
    }
    add_bytes(size, &status);
    if (S_ISDIR(status.st_mode) && size->pending->len >= PENDING_MAX) {
        size->has_gaps = true;
    } else if (S_ISDIR(status.st_mode)) {
        g_autofree char *path = g_build_filename(reading->path, name, NULL);
        add_pending(size, reading->base_fd, reading->device, path);
    }
}

/* False when there is no further directory. */
static bool begin_reading(struct tree_size *size)
{
    if (size->pending->len == 0) {
        return false;
    }
    size->reading = g_ptr_array_steal_index_fast(size->pending, size->pending->len - 1);
    int fd = openat(size->reading->base_fd, size->reading->path,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    size->directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!size->directory) {
        size->has_gaps = size->has_gaps || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP);
        fd_close(&fd);
        end_reading(size);
    }
    return true;
}

bool tree_size_walk(struct tree_size *size, int64_t milliseconds)
{
    int64_t end_ms = clock_monotonic_ms() + milliseconds;
    for (unsigned i = 1;; i++) {
        const struct dirent *entry = size->directory ? readdir(size->directory) : NULL;
        if (entry) {
            add_entry(size, entry->d_name);
        } else {
            end_reading(size);
            if (!begin_reading(size)) {
                return true;
            }
        }
        if (i % ENTRIES_BETWEEN_LOOKS == 0 && clock_monotonic_ms() >= end_ms) {
            return false;
        }
    }
}

int64_t tree_size_bytes(const struct tree_size *size)
{
    return size->bytes;
}

bool tree_size_is_whole(const struct tree_size *size)
{
    return !size->has_gaps;
}

int64_t file_tree_bytes(int directory_fd, const char *name)
{
    struct tree_size *size = tree_size_new();
    tree_size_add(size, directory_fd, name);
    while (!tree_size_walk(size, G_MAXINT)) {
    }
    int64_t bytes = tree_size_bytes(size);
    tree_size_free(size);
    return bytes;
}
