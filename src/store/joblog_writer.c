#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "store/joblog.h"
#include "store/store.h"

enum {
    MIN_CAP_BYTES = 64 * 1024,
    TAIL_PARTS = 8, /* a segment of the tail is this part of the cap */
    TAIL_KEPT = 3,  /* complete segments kept beside the current one */
    TIMES_SPACING_MS = 100,
    TIMES_MAX_ENTRIES = 64 * 1024,
};

struct joblog_writer {
    int directory_fd;
    int output_fd; /* the current segment */
    int times_fd;
    int64_t offset;              /* of the next byte in the whole output */
    int64_t segment_end;         /* where the current segment is full */
    int64_t segment_bytes;       /* of each segment of the tail */
    int64_t tail[TAIL_KEPT + 1]; /* offsets of the segments on disk, oldest first; -1 = none */
    int64_t time_due_ms, time_spacing_ms;
    unsigned times;
};

static int create_in(int directory_fd, const char *name, GError **error)
{
    int fd = openat(directory_fd, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot make the log file %s", name);
    }
    return fd;
}

struct joblog_writer *joblog_writer_open(const char *directory, int64_t cap_bytes, GError **error)
{
    if (!file_ensure_private_directory(directory, error)) {
        return NULL;
    }
    struct joblog_writer *writer = g_new0(struct joblog_writer, 1);
    cap_bytes = MAX(cap_bytes, MIN_CAP_BYTES);
    writer->segment_end = cap_bytes / 2;
    writer->segment_bytes = cap_bytes / TAIL_PARTS;
    writer->time_spacing_ms = TIMES_SPACING_MS;
    for (int i = 0; i <= TAIL_KEPT; i++) {
        writer->tail[i] = -1;
    }
    writer->output_fd = -1;
    writer->times_fd = -1;
    writer->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (writer->directory_fd < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot open %s", directory);
    } else {
        writer->output_fd = create_in(writer->directory_fd, "output", error);
        writer->times_fd =
            writer->output_fd >= 0 ? create_in(writer->directory_fd, "times", error) : -1;
    }
    if (writer->times_fd < 0) {
        joblog_writer_close(writer, NULL);
        return NULL;
    }
    return writer;
}

static void name_segment(char *name, size_t size, int64_t offset)
{
    snprintf(name, size, "output.%020lld", (long long)offset);
}

/* Begins the next segment and lets the oldest go. */
static bool begin_segment(struct joblog_writer *writer, GError **error)
{
    char name[40];
    name_segment(name, sizeof(name), writer->offset);
    int fd = create_in(writer->directory_fd, name, error);
    if (fd < 0) {
        return false;
    }
    fd_close(&writer->output_fd);
    writer->output_fd = fd;
    writer->segment_end = writer->offset + writer->segment_bytes;
    if (writer->tail[0] >= 0) {
        name_segment(name, sizeof(name), writer->tail[0]);
        unlinkat(writer->directory_fd, name, 0);
    }
    memmove(writer->tail, writer->tail + 1, TAIL_KEPT * sizeof(writer->tail[0]));
    writer->tail[TAIL_KEPT] = writer->offset;
    return true;
}

/* Time stamps are for reading only: without room for them the output goes on. */
static void note_time(struct joblog_writer *writer, int64_t now_ms)
{
    if (now_ms < writer->time_due_ms) {
        return;
    }
    int64_t pair[2] = {GINT64_TO_LE(writer->offset), GINT64_TO_LE(now_ms)};
    fd_write_all(writer->times_fd, pair, sizeof(pair), NULL);
    writer->times++;
    if (writer->times % TIMES_MAX_ENTRIES == 0) {
        writer->time_spacing_ms *= 2;
    }
    writer->time_due_ms = now_ms + writer->time_spacing_ms;
}

bool joblog_writer_append(struct joblog_writer *writer, const char *bytes, size_t length,
                          int64_t now_ms, GError **error)
{
    int fault = fault_point("joblog.append");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "cannot write the log");
    }
    note_time(writer, now_ms);
    while (length > 0) {
        if (writer->offset == writer->segment_end && !begin_segment(writer, error)) {
            return false;
        }
        size_t part = (size_t)MIN((int64_t)length, writer->segment_end - writer->offset);
        ssize_t written = write(writer->output_fd, bytes, part);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return error_set_errno(error, STORE_ERROR, errno, "cannot write the log");
        }
        /* Counted as it is on disk, also when a full disk took only a part. */
        writer->offset += written;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

int64_t joblog_writer_offset(const struct joblog_writer *writer)
{
    return writer->offset;
}

bool joblog_writer_close(struct joblog_writer *writer, GError **error)
{
    bool good = writer->output_fd < 0 || fsync(writer->output_fd) == 0 ||
                error_set_errno(error, STORE_ERROR, errno, "cannot save the log");
    fd_close(&writer->output_fd);
    fd_close(&writer->times_fd);
    fd_close(&writer->directory_fd);
    g_free(writer);
    return good;
}
