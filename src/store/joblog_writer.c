#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "store/joblog.h"
#include "store/joblog_segment.h"
#include "store/store.h"

enum {
    MIN_CAP_BYTES = 64 * 1024,
    HEAD_PART = 2,  /* the head is this part of the cap, */
    TAIL_PART = 8,  /* and a segment of the tail this one */
    TAIL_FILES = 4, /* the newest complete ones and the current one: HEAD + 4 * TAIL = the cap */
    TIMES_SPACING_MS = 100,
    TIMES_PER_SPACING = 64 * 1024,
};

struct joblog_writer {
    char *directory;
    int directory_fd;
    int output_fd;            /* the current segment */
    int times_fd;             /* -1 after a failure that cannot be mended */
    int64_t offset;           /* of the next byte in the whole output */
    int64_t segment_end;      /* where the current segment is full */
    int64_t segment_bytes;    /* of each segment of the tail */
    int64_t tail[TAIL_FILES]; /* offsets of the segments on disk, oldest first; 0 = none */
    int64_t time_ms;          /* of the last entry in `times`; -1 = none */
    int64_t time_spacing_ms;
    int64_t times; /* entries written */
};

static bool fail(const struct joblog_writer *writer, int errnum, GError **error)
{
    return error_set_errno(error, STORE_ERROR, errnum, "cannot write the log in %s",
                           writer->directory);
}

static int create_file(const struct joblog_writer *writer, const char *name, GError **error)
{
    int fd = openat(writer->directory_fd, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST) {
        g_set_error(error, STORE_ERROR, ERROR_DENIED,
                    "%s/%s is there already and will not be written over; move it away",
                    writer->directory, name);
    } else if (fd < 0) {
        error_set_errno(error, STORE_ERROR, errno, "cannot make %s/%s", writer->directory, name);
    }
    return fd;
}

static bool check_empty(const struct joblog_writer *writer, GError **error)
{
    struct joblog_segments found;
    if (!joblog_segments_scan(writer->directory_fd, 0, &found)) {
        return fail(writer, errno, error);
    }
    if (found.last >= 0) {
        g_set_error(error, STORE_ERROR, ERROR_DENIED,
                    "%s holds the output of a job already; move it away", writer->directory);
        return false;
    }
    return true;
}

static bool begin(struct joblog_writer *writer, GError **error)
{
    writer->directory_fd = open(writer->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (writer->directory_fd < 0) {
        return fail(writer, errno, error);
    }
    if (!check_empty(writer, error)) {
        return false;
    }
    writer->times_fd = create_file(writer, JOBLOG_TIMES, error);
    char name[JOBLOG_NAME_SIZE];
    joblog_segment_name(name, 0);
    writer->output_fd = writer->times_fd >= 0 ? create_file(writer, name, error) : -1;
    if (writer->times_fd >= 0 && writer->output_fd < 0) {
        unlinkat(writer->directory_fd, JOBLOG_TIMES, 0);
    }
    return writer->output_fd >= 0;
}

static void free_writer(struct joblog_writer *writer)
{
    fd_close(&writer->output_fd);
    fd_close(&writer->times_fd);
    fd_close(&writer->directory_fd);
    g_free(writer->directory);
    g_free(writer);
}

/* A file or link where the directory should be is somebody's doing. */
static bool check_place(const char *directory, GError **error)
{
    struct stat status;
    if (lstat(directory, &status) < 0 || S_ISDIR(status.st_mode)) {
        return true;
    }
    g_set_error(error, STORE_ERROR, ERROR_DENIED, "%s is not a directory; move it away", directory);
    return false;
}

struct joblog_writer *joblog_writer_open(const char *directory, int64_t cap_bytes, GError **error)
{
    if (!check_place(directory, error) || !file_ensure_private_directory(directory, error)) {
        return NULL;
    }
    cap_bytes = MAX(cap_bytes, MIN_CAP_BYTES);
    struct joblog_writer *writer = g_new0(struct joblog_writer, 1);
    writer->directory = g_strdup(directory);
    writer->directory_fd = -1;
    writer->output_fd = -1;
    writer->times_fd = -1;
    writer->segment_end = cap_bytes / HEAD_PART;
    writer->segment_bytes = cap_bytes / TAIL_PART;
    writer->time_ms = -1;
    writer->time_spacing_ms = TIMES_SPACING_MS;
    if (!begin(writer, error)) {
        free_writer(writer);
        return NULL;
    }
    return writer;
}

/* Begins the next segment and lets the oldest go. */
static bool begin_segment(struct joblog_writer *writer, GError **error)
{
    char name[JOBLOG_NAME_SIZE];
    joblog_segment_name(name, writer->offset);
    int fd = create_file(writer, name, error);
    if (fd < 0) {
        return false;
    }
    fd_close(&writer->output_fd);
    writer->output_fd = fd;
    writer->segment_end = writer->offset + writer->segment_bytes;
    if (writer->tail[0] > 0) {
        joblog_segment_name(name, writer->tail[0]);
        unlinkat(writer->directory_fd, name, 0);
    }
    memmove(writer->tail, writer->tail + 1, (TAIL_FILES - 1) * sizeof(writer->tail[0]));
    writer->tail[TAIL_FILES - 1] = writer->offset;
    return true;
}

/* Times are for display only: without room for them the output goes on. */
static void note_time(struct joblog_writer *writer, int64_t now_ms)
{
    /* A clock that was set back must not silence the times until it has caught up. */
    bool is_due = writer->time_ms < 0 || now_ms < writer->time_ms ||
                  now_ms - writer->time_ms >= writer->time_spacing_ms;
    if (!is_due || writer->times_fd < 0) {
        return;
    }
    writer->time_ms = now_ms;
    int64_t pair[2] = {GINT64_TO_LE(writer->offset), GINT64_TO_LE(now_ms)};
    ssize_t written = write(writer->times_fd, pair, sizeof(pair));
    if (written != (ssize_t)sizeof(pair)) {
        /* A part of an entry would shift all that follow. */
        if (written > 0 && ftruncate(writer->times_fd, writer->times * (off_t)sizeof(pair)) < 0) {
            fd_close(&writer->times_fd);
        }
        return;
    }
    writer->times++;
    if (writer->times % TIMES_PER_SPACING == 0) {
        writer->time_spacing_ms *= 2;
    }
}

bool joblog_writer_append(struct joblog_writer *writer, const char *bytes, size_t length,
                          int64_t now_ms, GError **error)
{
    int fault = fault_point("joblog.append");
    if (fault) {
        return fail(writer, fault, error);
    }
    if (length > 0) {
        note_time(writer, now_ms);
    }
    while (length > 0) {
        if (writer->offset == writer->segment_end && !begin_segment(writer, error)) {
            return false;
        }
        size_t part = (size_t)MIN((int64_t)length, writer->segment_end - writer->offset);
        ssize_t written = write(writer->output_fd, bytes, part);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return fail(writer, written < 0 ? errno : ENOSPC, error);
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

static bool save_file(const struct joblog_writer *writer, int64_t offset, GError **error)
{
    char name[JOBLOG_NAME_SIZE];
    joblog_segment_name(name, offset);
    auto_fd fd = openat(writer->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    /* Somebody may have removed the logs meanwhile; that is no failure to write them. */
    bool good = fd >= 0 ? fsync(fd) == 0 : errno == ENOENT;
    return good || fail(writer, errno, error);
}

bool joblog_writer_close(struct joblog_writer *writer, GError **error)
{
    bool good = save_file(writer, 0, error);
    for (int i = 0; i < TAIL_FILES && good; i++) {
        good = writer->tail[i] == 0 || save_file(writer, writer->tail[i], error);
    }
    good = good && (((writer->times_fd < 0 || fsync(writer->times_fd) == 0) &&
                     fsync(writer->directory_fd) == 0) ||
                    fail(writer, errno, error));
    free_writer(writer);
    return good;
}
