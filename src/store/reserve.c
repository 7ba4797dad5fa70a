#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "store/store.h"

enum { RESERVE_BYTES = 1024 * 1024, BLOCK_BYTES = 64 * 1024 };

static char *reserve_path(const char *state_directory, const char *suffix)
{
    g_autofree char *name = g_strconcat("reserve", suffix, NULL);
    return g_build_filename(state_directory, name, NULL);
}

/* Written, not only allocated: every file system takes the room then. Not all zeros, which some
 * store without room. */
static bool fill(const char *path, GError **error)
{
    static const char block[BLOCK_BYTES] = {1};
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot make %s", path);
    }
    for (int written = 0; written < RESERVE_BYTES; written += BLOCK_BYTES) {
        if (!fd_write_all(fd, block, sizeof(block), error)) {
            g_prefix_error(error, "%s: ", path);
            return false;
        }
    }
    /* A full disk may show only when the blocks are given out. */
    return fsync(fd) == 0 || error_set_errno(error, STORE_ERROR, errno, "cannot make %s", path);
}

bool store_reserve_make(const char *state_directory, GError **error)
{
    g_autofree char *path = reserve_path(state_directory, "");
    g_autofree char *unfinished = reserve_path(state_directory, ".new");
    struct stat status;
    if (lstat(path, &status) == 0) {
        return true;
    }
    unlink(unfinished);
    if (!fill(unfinished, error)) {
        unlink(unfinished);
        return false;
    }
    if (rename(unfinished, path) < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot make %s", path);
        unlink(unfinished);
        return false;
    }
    return true;
}

bool store_reserve_release(const char *state_directory)
{
    g_autofree char *path = reserve_path(state_directory, "");
    return unlink(path) == 0;
}
