#include "job/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/text.h"

enum {
    LINE_MAX_BYTES =
        3500, /* of foreign text; with its prefix and escapes a line is cut to WRITE_MAX_BYTES */
    WRITE_MAX_BYTES = 4096, /* PIPE_BUF: writes up to here are not mixed with those of others */
    QUEUE_MAX_BYTES = 256 * 1024,
};

struct echo {
    int fd; /* of its own */
    /* the descriptor could not be made non-blocking: ask poll(2) before each write */
    bool may_block;
    char *lead; /* "<6>app#12 | " */
    int64_t job;
    GString *line;  /* the unfinished line, as it came */
    GString *shown; /* scratch */
    GString *queue; /* finished lines that wait to go out */
    int64_t dropped_bytes;
};

/*
 * A description of our own for pipes and terminals: O_NONBLOCK on the shared one would hit the
 * daemon and every step that inherits it. Regular files keep the shared one, for its offset, and
 * never block.
 */
static int open_own(int fd, bool *may_block)
{
    struct stat status;
    *may_block = false;
    bool known = fstat(fd, &status) == 0;
    if (known && S_ISREG(status.st_mode)) {
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    if (known && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (own >= 0) {
            return own;
        }
    }
    *may_block = true;
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

struct echo *echo_new(int fd, const char *prefix, int64_t job)
{
    struct echo *echo = g_new0(struct echo, 1);
    echo->fd = open_own(fd, &echo->may_block);
    echo->lead = g_strconcat(event_is_journal() ? "<6>" : "", prefix ? prefix : "",
                             prefix ? " | " : "", NULL);
    echo->job = job;
    echo->line = g_string_new(NULL);
    echo->shown = g_string_new(NULL);
    echo->queue = g_string_new(NULL);
    return echo;
}

static bool is_writable(const struct echo *echo, int timeout_ms)
{
    struct pollfd entry = {.fd = echo->fd, .events = POLLOUT};
    return poll(&entry, 1, timeout_ms) > 0 && (entry.revents & POLLOUT);
}

/* Whole lines of at most WRITE_MAX_BYTES from the head of the queue. */
static size_t next_portion(const GString *queue)
{
    if (queue->len <= WRITE_MAX_BYTES) {
        return queue->len;
    }
    const char *last = g_strrstr_len(queue->str, WRITE_MAX_BYTES, "\n");
    return last ? (size_t)(last - queue->str) + 1 : WRITE_MAX_BYTES;
}

void echo_pump(struct echo *echo)
{
    size_t sent = 0;
    while (sent < echo->queue->len && (!echo->may_block || is_writable(echo, 0))) {
        GString rest = {echo->queue->str + sent, echo->queue->len - sent, 0};
        ssize_t written = write(echo->fd, rest.str, next_portion(&rest));
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0 && errno != EAGAIN) {
            /* Nobody is there any more (EPIPE), or the disk is full: the log has it all. */
            sent = echo->queue->len;
        }
        if (written < 0) {
            break;
        }
        sent += (size_t)written;
    }
    g_string_erase(echo->queue, 0, (gssize)sent);
}

static void tell_dropped(struct echo *echo)
{
    if (echo->dropped_bytes > 0 && echo->queue->len < QUEUE_MAX_BYTES / 2) {
        g_string_append_printf(echo->queue,
                               "%s[phantom_ci: %" G_GINT64_FORMAT
                               " bytes not shown here; phantom_ci logs %" G_GINT64_FORMAT "]\n",
                               echo->lead, echo->dropped_bytes, echo->job);
        echo->dropped_bytes = 0;
    }
}

static void send_line(struct echo *echo, const char *bytes, size_t length)
{
    size_t raw_length = length;
    if (length > 0 && bytes[length - 1] == '\r') {
        length--;
    }
    tell_dropped(echo);
    if (echo->dropped_bytes > 0 || echo->queue->len >= QUEUE_MAX_BYTES) {
        echo->dropped_bytes += (int64_t)raw_length + 1;
        return;
    }
    g_string_assign(echo->shown, echo->lead);
    text_append_escaped(echo->shown, bytes, length, TEXT_KEEP_LAYOUT);
    if (echo->shown->len >= WRITE_MAX_BYTES) {
        const char *cut =
            g_utf8_find_prev_char(echo->shown->str, echo->shown->str + WRITE_MAX_BYTES - 8);
        g_string_truncate(echo->shown, (gsize)(cut - echo->shown->str));
        g_string_append(echo->shown, "...");
    }
    g_string_append_c(echo->shown, '\n');
    g_string_append_len(echo->queue, echo->shown->str, (gssize)echo->shown->len);
}

/* Where an over-long line is cut: not inside a character. */
static size_t cut_length(const char *bytes)
{
    size_t length = LINE_MAX_BYTES;
    while (length > LINE_MAX_BYTES - 4 && ((unsigned char)bytes[length] & 0xc0) == 0x80) {
        length--;
    }
    return length;
}

void echo_write(struct echo *echo, const char *bytes, size_t length)
{
    const char *end = bytes + length;
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = newline ? newline : end;
        g_string_append_len(echo->line, bytes, stop - bytes);
        while (echo->line->len > LINE_MAX_BYTES) {
            size_t cut = cut_length(echo->line->str);
            send_line(echo, echo->line->str, cut);
            g_string_erase(echo->line, 0, (gssize)cut);
        }
        if (newline) {
            send_line(echo, echo->line->str, echo->line->len);
            g_string_truncate(echo->line, 0);
        }
        bytes = newline ? newline + 1 : end;
        if (echo->queue->len >= WRITE_MAX_BYTES) {
            echo_pump(echo);
        }
    }
    echo_pump(echo);
}

void echo_end_line(struct echo *echo)
{
    if (echo->line->len > 0) {
        send_line(echo, echo->line->str, echo->line->len);
        g_string_truncate(echo->line, 0);
    }
    echo_pump(echo);
}

int echo_pending_fd(const struct echo *echo)
{
    return echo->queue->len > 0 ? echo->fd : -1;
}

void echo_free(struct echo *echo, int timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    echo_end_line(echo);
    tell_dropped(echo);
    int64_t left_ms;
    while (echo->queue->len > 0 && (left_ms = deadline_ms - clock_monotonic_ms()) > 0) {
        if (is_writable(echo, (int)left_ms)) {
            echo_pump(echo);
            tell_dropped(echo);
        }
    }
    fd_close(&echo->fd);
    g_free(echo->lead);
    g_string_free(echo->line, TRUE);
    g_string_free(echo->shown, TRUE);
    g_string_free(echo->queue, TRUE);
    g_free(echo);
}
