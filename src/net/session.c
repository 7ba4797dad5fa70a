#include "net/session.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/wipe.h"

enum {
    OUTPUT_MAX_BYTES = 256 * 1024, /* above this nothing more is taken on until it is read */
    OUTPUT_KEEP_BYTES = 64 * 1024, /* written bytes that may lie in front of the others */
    WRITE_BYTES = 64 * 1024,
};

struct session {
    const struct session_role *calls;
    void *role;
    uint8_t *input; /* input_max */
    size_t input_max;
    size_t input_begin, input_end; /* what was read and not yet taken */
    bool input_ended;
    GByteArray *output;
    size_t output_begin; /* what lies in front of it is written */
    int64_t idle_ms;
    int64_t active_ms; /* monotonic; when something was last read or written */
};

enum verdict { GO_ON, END, FAIL };

struct session *session_new(size_t input_max_bytes)
{
    struct session *session = g_new0(struct session, 1);
    session->input = g_malloc(input_max_bytes);
    session->input_max = input_max_bytes;
    session->output = g_byte_array_new();
    return session;
}

void session_free(struct session *session)
{
    if (session) {
        wipe_bytes(session->input, session->input_end);
        g_free(session->input);
        wipe_array_free(&session->output);
        g_free(session);
    }
}

GByteArray *session_output(struct session *session)
{
    return session->output;
}

/* --------------------------------------------------------------------------------------- input */

static bool answers_wait(const struct session *session)
{
    return session->output->len - session->output_begin >= OUTPUT_MAX_BYTES;
}

static bool has_room(const struct session *session)
{
    return session->calls->has_room(session->role) && !answers_wait(session);
}

/* Takes the whole messages that lie in the buffer, as far as there is room for them. */
static bool take_messages(struct session *session, GError **error)
{
    bool good = true;
    while (good && has_room(session)) {
        struct net_message message;
        size_t used = 0;
        uint8_t *at = session->input + session->input_begin;
        enum net_decode result = net_decode(at, session->input_end - session->input_begin,
                                            NET_TO_NET, &message, &used, error);
        if (result == NET_INCOMPLETE) {
            break;
        }
        good = result == NET_MESSAGE && session->calls->take(session->role, &message, error);
        wipe_bytes(at, used);
        session->input_begin += used;
    }
    return good;
}

/* Moves what is left to the front: rarely, for it is called when the buffer is at its end. */
static void make_room_to_read(struct session *session)
{
    size_t left = session->input_end - session->input_begin;
    if (left == 0 || session->input_end == session->input_max) {
        memmove(session->input, session->input + session->input_begin, left);
        if (left > 0) {
            wipe_bytes(session->input + left, session->input_end - left);
        }
        session->input_begin = 0;
        session->input_end = left;
    }
}

static bool read_input(struct session *session, GError **error)
{
    make_room_to_read(session);
    ssize_t got = fd_read(STDIN_FILENO, session->input + session->input_end,
                          session->input_max - session->input_end);
    if (got < 0) {
        return error_set_errno(error, NET_ERROR, errno, "cannot read messages");
    }
    session->input_ended = got == 0;
    session->input_end += (size_t)got;
    session->active_ms = clock_monotonic_ms();
    return true;
}

static bool wants_input(const struct session *session)
{
    return !session->input_ended && has_room(session) &&
           session->input_end - session->input_begin < session->input_max;
}

/* -------------------------------------------------------------------------------------- output */

static void drop_written(struct session *session)
{
    GByteArray *output = session->output;
    if (session->output_begin == output->len) {
        wipe_bytes(output->data, output->len);
        g_byte_array_set_size(output, 0);
        session->output_begin = 0;
    } else if (session->output_begin >= OUTPUT_KEEP_BYTES &&
               session->output_begin >= output->len / 2) {
        wipe_array_front(output, session->output_begin);
        session->output_begin = 0;
    }
}

/* As much as the pipe takes. */
static bool write_output(struct session *session)
{
    ssize_t written = 0;
    while (session->output_begin < session->output->len) {
        size_t left = session->output->len - session->output_begin;
        written = write(STDOUT_FILENO, session->output->data + session->output_begin,
                        MIN(left, WRITE_BYTES));
        if (written < 0) {
            break;
        }
        session->output_begin += (size_t)written;
        session->active_ms = clock_monotonic_ms();
    }
    bool is_taken = written >= 0 || errno == EINTR || errno == EAGAIN;
    drop_written(session);
    return is_taken;
}

/* ------------------------------------------------------------------------------------ the loop */

static bool is_idle(const struct session *session)
{
    return session->calls->pending(session->role) == 0 && session->output->len == 0;
}

static int64_t idle_left_ms(const struct session *session)
{
    if (!is_idle(session)) {
        return G_MAXINT;
    }
    return clock_left_ms(session->active_ms + session->idle_ms);
}

/* The last look before an idle end: a message that came in this moment is still served. */
static bool input_waits(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

static enum verdict turn(struct session *session, GError **error)
{
    struct pollfd fds[SESSION_FDS] = {
        {.fd = STDOUT_FILENO, .events = session->output->len > 0 ? POLLOUT : 0},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    if (!session->calls->wait(session->role, fds, wants_input(session) ? 2 : 1,
                              idle_left_ms(session), answers_wait(session), error)) {
        return FAIL;
    }
    if (fds[0].revents & (POLLERR | POLLNVAL)) {
        return END; /* nobody reads the answers */
    }
    if (fds[1].revents && !read_input(session, error)) {
        return FAIL;
    }
    if (!take_messages(session, error)) {
        return FAIL;
    }
    if (session->output->len > 0 && !write_output(session)) {
        return END;
    }
    if (is_idle(session) && session->input_ended) {
        if (session->input_end > session->input_begin) {
            g_set_error_literal(error, NET_ERROR, ERROR_INVALID,
                                "the input ended in the middle of a message");
            return FAIL;
        }
        return END;
    }
    return idle_left_ms(session) == 0 && !input_waits() ? END : GO_ON;
}

/* The pipe is ours alone; what else may stand there in a test takes all at once. */
static void never_block_on_output(void)
{
    struct stat status;
    if (fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) {
        fd_set_nonblocking(STDOUT_FILENO, true, NULL);
    }
}

bool session_serve(struct session *session, const struct session_role *calls, void *role,
                   int64_t idle_ms, GError **error)
{
    enum verdict verdict;
    never_block_on_output();
    session->calls = calls;
    session->role = role;
    session->idle_ms = idle_ms;
    session->active_ms = clock_monotonic_ms();
    do {
        verdict = turn(session, error);
    } while (verdict == GO_ON);
    return verdict == END;
}
