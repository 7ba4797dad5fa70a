#include "base/stamp.h"

#include <errno.h>
#include <fcntl.h>

#ifdef __APPLE__
#define MODIFIED(status) ((status)->st_mtimespec)
#define CHANGED(status)  ((status)->st_ctimespec)
#else
#define MODIFIED(status) ((status)->st_mtim)
#define CHANGED(status)  ((status)->st_ctim)
#endif

static int64_t nanoseconds(struct timespec time)
{
    /* A foreign file system may hold any time: beyond the year 2262 it wraps, which is no harm. */
    return (int64_t)((uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec);
}

void stamp_from_status(struct stamp *stamp, const struct stat *status)
{
    *stamp = (struct stamp){
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
        .modified_ns = nanoseconds(MODIFIED(status)),
        .changed_ns = nanoseconds(CHANGED(status)),
        .size_bytes = (int64_t)status->st_size,
        .mode = status->st_mode,
    };
}

bool stamp_from_errno(struct stamp *stamp, int errnum)
{
    *stamp = (struct stamp){.mode = 0, .is_blocked = errnum == ENOTDIR};
    return errnum == ENOENT || errnum == ENOTDIR;
}

bool stamp_take(int directory_fd, const char *path, bool follow, struct stamp *stamp)
{
    struct stat status;
    if (fstatat(directory_fd, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0) {
        stamp_from_status(stamp, &status);
        return true;
    }
    return stamp_from_errno(stamp, errno);
}

bool stamp_is_absent(const struct stamp *stamp)
{
    return stamp->mode == 0;
}

bool stamp_equals(const struct stamp *left, const struct stamp *right)
{
    return left->inode == right->inode && left->changed_ns == right->changed_ns &&
           left->modified_ns == right->modified_ns && left->size_bytes == right->size_bytes &&
           left->device == right->device && left->mode == right->mode &&
           left->is_blocked == right->is_blocked;
}

bool stamp_contents_equal(const struct stamp *before, const struct stamp *after)
{
    return before->modified_ns == after->modified_ns && before->size_bytes == after->size_bytes;
}

void stamp_trust_note(struct stamp_trust *trust, const struct stamp *stamp, int64_t now_ms,
                      int64_t settle_ms)
{
    if (!trust->known || !stamp_equals(&trust->stamp, stamp)) {
        trust->stamp = *stamp;
        trust->since_ms = now_ms;
        trust->known = true;
    }
    trust->settled = stamp_is_absent(stamp) || now_ms - trust->since_ms >= settle_ms;
}

bool stamp_trust_holds(const struct stamp_trust *trust, const struct stamp *now)
{
    return trust->settled && stamp_equals(&trust->stamp, now);
}
