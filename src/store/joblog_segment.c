#include "store/joblog_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OFFSET_DIGITS = 20 };

#define HEAD "output"

void joblog_segment_name(char name[JOBLOG_NAME_SIZE], int64_t offset)
{
    if (offset == 0) {
        g_strlcpy(name, HEAD, JOBLOG_NAME_SIZE);
    } else {
        g_snprintf(name, JOBLOG_NAME_SIZE, HEAD ".%020" G_GINT64_FORMAT, offset);
    }
}

int64_t joblog_segment_offset(const char *name)
{
    if (strcmp(name, HEAD) == 0) {
        return 0;
    }
    static const char prefix[] = HEAD ".";
    guint64 offset = 0;
    if (!g_str_has_prefix(name, prefix) || strlen(name) != strlen(prefix) + OFFSET_DIGITS ||
        !g_ascii_string_to_unsigned(name + strlen(prefix), 10, 1, JOBLOG_MAX_OFFSET, &offset,
                                    NULL)) {
        return -1;
    }
    return (int64_t)offset;
}

static bool is_regular(int directory_fd, const char *name)
{
    struct stat status;
    return fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode);
}

bool joblog_segments_scan(int directory_fd, int64_t position, struct joblog_segments *found)
{
    *found = (struct joblog_segments){.holding = -1, .behind = -1, .last = -1};
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        int saved_errno = errno;
        if (fd >= 0) {
            close(fd);
        }
        errno = saved_errno;
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        int64_t start = joblog_segment_offset(entry->d_name);
        if (start < 0 || !is_regular(directory_fd, entry->d_name)) {
            continue;
        }
        found->last = MAX(found->last, start);
        if (start <= position) {
            found->holding = MAX(found->holding, start);
        } else if (found->behind < 0 || start < found->behind) {
            found->behind = start;
        }
    }
    closedir(directory);
    return true;
}
