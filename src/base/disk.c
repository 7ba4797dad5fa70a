#include "base/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/units.h"

enum { SMALL_DISK_PART = 20 };

static const int64_t usual_least_bytes = (int64_t)1024 * 1024 * 1024;

static bool ask(const char *path, struct statvfs *answer)
{
    int result;
    do {
        result = statvfs(path, answer);
    } while (result < 0 && errno == EINTR);
    return result == 0;
}

bool disk_measure(const char *path, struct disk_space *space)
{
    g_autofree char *at = g_strdup(path);
    struct statvfs answer;
    while (!ask(at, &answer)) {
        g_autofree char *above = g_path_get_dirname(at);
        if (errno != ENOENT || strcmp(above, at) == 0) {
            return false;
        }
        g_free(at);
        at = g_steal_pointer(&above);
    }
    /* Some virtual file systems answer with zeros. */
    if (answer.f_blocks == 0 || answer.f_frsize == 0) {
        return false;
    }
    space->free_bytes = (int64_t)(answer.f_bavail * answer.f_frsize);
    space->total_bytes = (int64_t)(answer.f_blocks * answer.f_frsize);
    return true;
}

int64_t disk_least_free(int64_t min_free_bytes, int64_t total_bytes)
{
    return min_free_bytes == DISK_MIN_FREE_DEFAULT
               ? MIN(usual_least_bytes, total_bytes / SMALL_DISK_PART)
               : min_free_bytes;
}

bool disk_find_shortage(const char *const *paths, int64_t min_free_bytes,
                        struct disk_shortage *shortage)
{
    for (; min_free_bytes != 0 && *paths; paths++) {
        struct disk_space space;
        if (!disk_measure(*paths, &space)) {
            continue;
        }
        int64_t least_bytes = disk_least_free(min_free_bytes, space.total_bytes);
        if (space.free_bytes < least_bytes) {
            *shortage = (struct disk_shortage){*paths, space.free_bytes, least_bytes};
            return true;
        }
    }
    return false;
}

char *disk_describe_shortage(const struct disk_shortage *shortage)
{
    g_autofree char *available = units_format_size(shortage->free_bytes);
    g_autofree char *least = units_format_size(shortage->least_bytes);
    return g_strdup_printf("waiting for disk space: %s free on %s, min_free is %s", available,
                           shortage->path, least);
}
