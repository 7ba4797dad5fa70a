#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "store/joblog.h"
#include "store/joblog_segment.h"
#include "store/store.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    ENTRY_BYTES = 16,
    SCANS = 64, /* of one call, while the writer removes segments faster than they are opened */
};

struct joblog_reader {
    char *directory;
    int directory_fd;
    int segment_fd;        /* or -1 */
    int64_t segment_start; /* of the open segment */
    int64_t position;
    int times_fd; /* or -1 */
    /* The last entry of `times` that was asked for, good for the offsets [from, to). */
    int64_t time_from, time_to, time_ms;
    char chunk[CHUNK_BYTES];
};

static bool fail(const struct joblog_reader *reader, GError **error)
{
    return error_set_errno(error, STORE_ERROR, errno, "cannot read the log in %s",
                           reader->directory);
}

static int open_regular(const struct joblog_reader *reader, const char *name)
{
    int fd = openat(reader->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
        fd_close(&fd);
    }
    return fd;
}

struct joblog_reader *joblog_reader_open(const char *directory, GError **error)
{
    auto_fd fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct joblog_segments found;
    if (fd < 0 || !joblog_segments_scan(fd, 0, &found)) {
        error_set_errno(error, STORE_ERROR, errno, "there is no output in %s", directory);
        return NULL;
    }
    if (found.last < 0) {
        g_set_error(error, STORE_ERROR, ERROR_NOT_FOUND, "there is no output in %s", directory);
        return NULL;
    }
    struct joblog_reader *reader = g_new0(struct joblog_reader, 1);
    reader->directory = g_strdup(directory);
    reader->directory_fd = g_steal_fd(&fd);
    reader->segment_fd = -1;
    reader->times_fd = -1;
    return reader;
}

void joblog_reader_close(struct joblog_reader *reader)
{
    if (reader) {
        fd_close(&reader->segment_fd);
        fd_close(&reader->times_fd);
        fd_close(&reader->directory_fd);
        g_free(reader->directory);
        g_free(reader);
    }
}

/* Makes the segment that begins at `start` the open one; false when it has gone. */
static bool open_segment(struct joblog_reader *reader, int64_t start)
{
    char name[JOBLOG_NAME_SIZE];
    joblog_segment_name(name, start);
    int fd = open_regular(reader, name);
    if (fd < 0) {
        return false;
    }
    fd_close(&reader->segment_fd);
    reader->segment_fd = fd;
    reader->segment_start = start;
    return true;
}

/* Bytes at the position from the open segment; 0 = it has none there. */
static ssize_t read_here(struct joblog_reader *reader)
{
    if (reader->segment_fd < 0 || reader->position < reader->segment_start) {
        return 0;
    }
    ssize_t length;
    do {
        length = pread(reader->segment_fd, reader->chunk, sizeof(reader->chunk),
                       reader->position - reader->segment_start);
    } while (length < 0 && errno == EINTR);
    return length;
}

/*
 * One try to find the bytes at the position, or the first ones behind it. > 0: *dropped bytes lie
 * before them and they are in the chunk; 0: there are none now; -1: failure with errno; -2: the
 * segments changed meanwhile, try again.
 */
static ssize_t find_bytes(struct joblog_reader *reader, int64_t *dropped)
{
    /* The segment after a complete one is named by its end: no need to look around. */
    if (open_segment(reader, reader->position)) {
        ssize_t length = read_here(reader);
        if (length != 0) {
            return length;
        }
    }
    struct joblog_segments found;
    if (!joblog_segments_scan(reader->directory_fd, reader->position, &found)) {
        return -1;
    }
    /* Read after the scan: what has a successor is complete, so that a gap is one. The open segment
     * comes first, because it can still be read after its removal. */
    ssize_t length = read_here(reader);
    bool is_other = reader->segment_fd < 0 || found.holding != reader->segment_start;
    if (length == 0 && found.holding >= 0 && is_other) {
        if (!open_segment(reader, found.holding)) {
            return -2;
        }
        length = read_here(reader);
    }
    if (length != 0 || found.behind < 0) {
        return length;
    }
    /* A scan is no snapshot: it may have missed the very segment that follows. */
    if (found.holding != reader->position && open_segment(reader, reader->position)) {
        return -2;
    }
    if (!open_segment(reader, found.behind)) {
        return -2;
    }
    *dropped = found.behind - reader->position;
    reader->position = found.behind;
    return read_here(reader);
}

bool joblog_reader_next(struct joblog_reader *reader, struct joblog_chunk *chunk, GError **error)
{
    int64_t dropped = 0;
    ssize_t length = read_here(reader);
    for (int scans = 0; length == 0 && scans < SCANS; scans++) {
        length = find_bytes(reader, &dropped);
        if (length != -2) {
            break;
        }
        length = 0;
    }
    if (length < 0) {
        return fail(reader, error);
    }
    *chunk = (struct joblog_chunk){.offset = reader->position,
                                   .dropped_bytes = dropped,
                                   .bytes = reader->chunk,
                                   .length = (size_t)length};
    reader->position += length;
    return true;
}

void joblog_reader_seek(struct joblog_reader *reader, int64_t offset)
{
    reader->position = CLAMP(offset, 0, JOBLOG_MAX_OFFSET);
}

int64_t joblog_reader_end(struct joblog_reader *reader)
{
    for (int scans = 0; scans < SCANS; scans++) {
        struct joblog_segments found;
        if (!joblog_segments_scan(reader->directory_fd, 0, &found) || found.last < 0) {
            return 0;
        }
        char name[JOBLOG_NAME_SIZE];
        joblog_segment_name(name, found.last);
        struct stat status;
        if (fstatat(reader->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
            return found.last + MIN(status.st_size, JOBLOG_MAX_OFFSET);
        }
    }
    return 0;
}

/* Entry `index` of `times`; false when it cannot be read. */
static bool read_entry(const struct joblog_reader *reader, int64_t index, int64_t *offset,
                       int64_t *at_ms)
{
    int64_t pair[2];
    if (pread(reader->times_fd, pair, sizeof(pair), index * ENTRY_BYTES) != (ssize_t)sizeof(pair)) {
        return false;
    }
    *offset = GINT64_FROM_LE(pair[0]);
    *at_ms = GINT64_FROM_LE(pair[1]);
    return true;
}

/* Finds the last entry at or before `offset` and remembers for which offsets it is the answer. */
static bool find_time(struct joblog_reader *reader, int64_t offset)
{
    struct stat status;
    if (fstat(reader->times_fd, &status) < 0) {
        return false;
    }
    int64_t low = 0;
    int64_t high = status.st_size / ENTRY_BYTES;
    int64_t from = 0;
    int64_t to = -1;
    int64_t at_ms = 0;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int64_t entry_offset;
        int64_t entry_ms;
        if (!read_entry(reader, middle, &entry_offset, &entry_ms)) {
            return false;
        }
        if (entry_offset <= offset) {
            low = middle + 1;
            from = entry_offset;
            at_ms = entry_ms;
        } else {
            high = middle;
            to = entry_offset;
        }
    }
    /* Behind the last entry a live log may get another at any moment: nothing to remember there. */
    reader->time_from = from;
    reader->time_to = to;
    reader->time_ms = at_ms;
    return true;
}

int64_t joblog_reader_time_at(struct joblog_reader *reader, int64_t offset)
{
    if (offset < 0 || offset > JOBLOG_MAX_OFFSET) {
        return 0;
    }
    if (offset >= reader->time_from && offset < reader->time_to) {
        return reader->time_ms;
    }
    if (reader->times_fd < 0) {
        reader->times_fd = open_regular(reader, JOBLOG_TIMES);
    }
    return reader->times_fd >= 0 && find_time(reader, offset) ? reader->time_ms : 0;
}
