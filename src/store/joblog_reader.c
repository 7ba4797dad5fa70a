#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "store/joblog.h"
#include "store/store.h"

enum { CHUNK_BYTES = 64 * 1024, OFFSET_DIGITS = 20, TIMES_MAX_BYTES = 16 * 1024 * 1024 };

#define SEGMENT_PREFIX "output."

struct joblog_reader {
    int directory_fd;
    int segment_fd;        /* or -1 */
    int64_t segment_start; /* of the open segment */
    int64_t position;
    int64_t *times; /* pairs, host byte order */
    size_t time_count;
    bool times_read;
    char chunk[CHUNK_BYTES];
};

struct joblog_reader *joblog_reader_open(const char *directory, GError **error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (fd < 0 || fstatat(fd, "output", &status, AT_SYMLINK_NOFOLLOW) < 0) {
        error_set_errno(error, STORE_ERROR, errno, "there is no output at %s", directory);
        fd_close(&fd);
        return NULL;
    }
    struct joblog_reader *reader = g_new0(struct joblog_reader, 1);
    reader->directory_fd = fd;
    reader->segment_fd = -1;
    return reader;
}

void joblog_reader_close(struct joblog_reader *reader)
{
    if (reader) {
        fd_close(&reader->segment_fd);
        fd_close(&reader->directory_fd);
        g_free(reader->times);
        g_free(reader);
    }
}

/* The offset in a segment's name; -1 for any other name. */
static int64_t parse_name(const char *name)
{
    if (strcmp(name, "output") == 0) {
        return 0;
    }
    if (!g_str_has_prefix(name, SEGMENT_PREFIX)) {
        return -1;
    }
    name += strlen(SEGMENT_PREFIX);
    guint64 offset = 0;
    if (strlen(name) != OFFSET_DIGITS ||
        !g_ascii_string_to_unsigned(name, 10, 1, INT64_MAX, &offset, NULL)) {
        return -1;
    }
    return (int64_t)offset;
}

/* The segment that holds `position`, or else the first one behind it: its start, -1 if there is none. With `last`, the
 * very last segment. */
static int64_t find_segment(struct joblog_reader *reader, int64_t position, bool last)
{
    int fd = openat(reader->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    int64_t before = -1;
    int64_t behind = INT64_MAX;
    int64_t newest = -1;
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        int64_t start = parse_name(entry->d_name);
        newest = MAX(newest, start);
        if (start >= 0 && start <= position) {
            before = MAX(before, start);
        } else if (start > position) {
            behind = MIN(behind, start);
        }
    }
    if (directory) {
        closedir(directory);
    }
    if (last) {
        return newest;
    }
    struct stat status;
    char name[40];
    g_snprintf(name, sizeof(name), before == 0 ? "output" : SEGMENT_PREFIX "%020" G_GINT64_FORMAT,
               before);
    bool holds = before >= 0 &&
                 fstatat(reader->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 position < before + status.st_size;
    if (holds || behind == INT64_MAX) {
        return before;
    }
    return behind;
}

static int open_segment(struct joblog_reader *reader, int64_t start)
{
    char name[40];
    g_snprintf(name, sizeof(name), start == 0 ? "output" : SEGMENT_PREFIX "%020" G_GINT64_FORMAT,
               start);
    int fd = openat(reader->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
        fd_close(&fd);
    }
    return fd;
}

/* Bytes at the position from the open segment. */
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

bool joblog_reader_next(struct joblog_reader *reader, struct joblog_chunk *chunk, GError **error)
{
    *chunk = (struct joblog_chunk){.offset = reader->position, .bytes = reader->chunk};
    ssize_t length = read_here(reader);
    if (length == 0) {
        int64_t start = find_segment(reader, reader->position, false);
        int fd = start >= 0 && (reader->segment_fd < 0 || start != reader->segment_start)
                     ? open_segment(reader, start)
                     : -1;
        if (fd >= 0) {
            fd_close(&reader->segment_fd);
            reader->segment_fd = fd;
            reader->segment_start = start;
        }
        if (fd >= 0 && start > reader->position) {
            chunk->dropped_bytes = start - reader->position;
            reader->position = start;
            chunk->offset = start;
        }
        length = fd >= 0 ? read_here(reader) : 0;
    }
    if (length < 0) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot read the log");
    }
    chunk->length = (size_t)length;
    reader->position += length;
    return true;
}

void joblog_reader_seek(struct joblog_reader *reader, int64_t offset)
{
    reader->position = MAX(offset, 0);
    if (reader->position < reader->segment_start) {
        fd_close(&reader->segment_fd);
        reader->segment_start = 0;
    }
}

int64_t joblog_reader_end(struct joblog_reader *reader)
{
    int64_t start = find_segment(reader, 0, true);
    auto_fd fd = start >= 0 ? open_segment(reader, start) : -1;
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 ? start + status.st_size : 0;
}

static void load_times(struct joblog_reader *reader)
{
    auto_fd fd =
        openat(reader->directory_fd, "times", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    size_t length = 0;
    g_autofree char *bytes = fd >= 0 ? fd_read_to_end(fd, TIMES_MAX_BYTES, &length, NULL) : NULL;
    g_free(reader->times);
    reader->time_count = bytes ? length / (2 * sizeof(int64_t)) : 0;
    reader->times = g_new(int64_t, 2 * reader->time_count + 1);
    for (size_t i = 0; i < 2 * reader->time_count; i++) {
        int64_t value;
        memcpy(&value, bytes + i * sizeof(value), sizeof(value));
        reader->times[i] = GINT64_FROM_LE(value);
    }
}

int64_t joblog_reader_time_at(struct joblog_reader *reader, int64_t offset)
{
    /* A live log grows: its times are read again when the question lies behind the last one known. */
    bool known = reader->time_count > 0 && offset < reader->times[2 * (reader->time_count - 1)];
    if (!reader->times_read || !known) {
        load_times(reader);
        reader->times_read = true;
    }
    size_t low = 0;
    size_t high = reader->time_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->times[2 * middle] <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? reader->times[2 * (low - 1) + 1] : 0;
}
