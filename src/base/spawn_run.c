#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/wipe.h"

/* Without a pidfd the end of the leader is looked for this often. */
enum { LEADER_CHECK_MS = 20, CHUNK_BYTES = 65536 };

/* Enough for a pipe of 1 MiB, the most that pipe(7) gives to an unprivileged process. */
enum { DRAIN_READS = 32 };

/* A run under way. Descriptors become -1 when their stream is over. */
struct run {
    const struct spawn_run_options *options;
    pid_t leader;
    int out_fd, err_fd, in_fd;
    int pidfd;
    size_t input_at;
    GString *out, *err;
    bool out_truncated;
    int64_t deadline_ms; /* monotonic; INT64_MAX = none */
};

void spawn_result_clear(struct spawn_result *result)
{
    g_clear_pointer(&result->out, g_free);
    g_clear_pointer(&result->err, g_free);
}

static void take_output(struct run *run, int *fd)
{
    static char chunk[CHUNK_BYTES];
    bool is_out = fd == &run->out_fd;
    ssize_t length = fd_read(*fd, chunk, sizeof(chunk));
    if (length == 0 || (length < 0 && errno != EAGAIN)) {
        fd_close(fd);
        return;
    }
    if (length < 0) {
        return;
    }
    if (is_out) {
        size_t room = run->options->out_limit_bytes - run->out->len;
        run->out_truncated = run->out_truncated || (size_t)length > room;
        g_string_append_len(run->out, chunk, (gssize)MIN((size_t)length, room));
        wipe_bytes(chunk, run->options->out_is_secret ? (size_t)length : 0);
        return;
    }
    g_string_append_len(run->err, chunk, length);
    if (run->err->len > run->options->err_limit_bytes) {
        g_string_erase(run->err, 0, (gssize)(run->err->len - run->options->err_limit_bytes));
    }
}

/* EPIPE, and no SIGPIPE, whatever the process does with that signal. */
static ssize_t write_quietly(int fd, const void *bytes, size_t length)
{
    sigset_t pipe_signal;
    sigset_t saved;
    sigset_t pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipe_signal, &saved);
    ssize_t written = write(fd, bytes, length);
    int write_errno = errno;
    if (written < 0 && write_errno == EPIPE && !was_pending && sigpending(&pending) == 0 &&
        sigismember(&pending, SIGPIPE)) {
        int number;
        sigwait(&pipe_signal, &number);
    }
    sigprocmask(SIG_SETMASK, &saved, NULL);
    errno = write_errno;
    return written;
}

static void give_input(struct run *run)
{
    ssize_t written = write_quietly(run->in_fd, run->options->input + run->input_at,
                                    run->options->input_length - run->input_at);
    if (written > 0) {
        run->input_at += (size_t)written;
    }
    if (run->input_at == run->options->input_length ||
        (written < 0 && errno != EAGAIN && errno != EINTR)) {
        fd_close(&run->in_fd);
    }
}

/* Ended but not reaped: its pid and process group can't be anybody else's yet. */
static bool leader_has_ended(const struct run *run)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)run->leader, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == run->leader;
}

static int time_left_ms(const struct run *run)
{
    int64_t left_ms =
        run->deadline_ms == INT64_MAX ? 60000 : run->deadline_ms - clock_monotonic_ms();
    if (run->pidfd < 0) {
        left_ms = MIN(left_ms, LEADER_CHECK_MS);
    }
    return (int)CLAMP(left_ms, 0, 60000);
}

/* Moves bytes until the leader has ended; ERROR_LIMIT and ERROR_CANCELED end it earlier. */
static bool attend(struct run *run, GError **error)
{
    while (!leader_has_ended(run)) {
        struct pollfd fds[] = {{.fd = run->out_fd, .events = POLLIN},
                               {.fd = run->err_fd, .events = POLLIN},
                               {.fd = run->in_fd, .events = POLLOUT},
                               {.fd = run->pidfd, .events = POLLIN},
                               {.fd = run->options->cancel_fd, .events = POLLIN}};
        if (poll(fds, G_N_ELEMENTS(fds), time_left_ms(run)) < 0) {
            continue;
        }
        if (fds[0].revents) {
            take_output(run, &run->out_fd);
        }
        if (run->out_truncated && run->options->end_at_out_limit) {
            g_set_error(error, BASE_ERROR, ERROR_LIMIT,
                        "%s wrote more than %" G_GSIZE_FORMAT " bytes", run->options->spawn.argv[0],
                        run->options->out_limit_bytes);
            return false;
        }
        if (fds[1].revents) {
            take_output(run, &run->err_fd);
        }
        if (fds[2].revents) {
            give_input(run);
        }
        if (fds[4].revents) {
            g_set_error(error, BASE_ERROR, ERROR_CANCELED, "%s was told to end",
                        run->options->spawn.argv[0]);
            return false;
        }
        if (run->deadline_ms <= clock_monotonic_ms()) {
            g_set_error(error, BASE_ERROR, ERROR_LIMIT, "%s did not end within %d s",
                        run->options->spawn.argv[0], run->options->timeout_ms / 1000);
            return false;
        }
    }
    return true;
}

/* What the group left in the pipes. A stranger that left the group may hold them open, and may even
 * go on writing. */
static void drain(struct run *run)
{
    int *fds[] = {&run->out_fd, &run->err_fd};
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        struct pollfd entry = {.fd = *fds[i], .events = POLLIN};
        for (int j = 0; j < DRAIN_READS && *fds[i] >= 0 && poll(&entry, 1, 0) > 0; j++) {
            take_output(run, fds[i]);
        }
    }
}

static bool start(struct run *run, GError **error)
{
    struct spawn_options options = run->options->spawn;
    int out[2], err[2], in[2] = {-1, -1};
    if (!fd_pipe(out, error)) {
        return false;
    }
    run->out_fd = out[0];
    auto_fd out_end = out[1];
    if (!fd_pipe(err, error)) {
        return false;
    }
    run->err_fd = err[0];
    auto_fd err_end = err[1];
    if (run->options->input && !fd_pipe(in, error)) {
        return false;
    }
    auto_fd in_end = in[0];
    run->in_fd = in[1];
    options.new_session = true;
    options.stdin_fd = run->options->input ? in_end : SPAWN_FD_NULL;
    options.stdout_fd = out_end;
    options.stderr_fd = err_end;
    run->leader = spawn_start(&options, NULL, error);
    if (run->leader < 0 || !fd_set_nonblocking(run->out_fd, true, error) ||
        !fd_set_nonblocking(run->err_fd, true, error)) {
        return false;
    }
    if (run->in_fd >= 0) {
        fd_set_nonblocking(run->in_fd, true, NULL);
        if (run->options->input_length == 0) {
            fd_close(&run->in_fd);
        }
    }
    run->pidfd = spawn_open_pidfd(run->leader);
    return true;
}

bool spawn_run(const struct spawn_run_options *options, struct spawn_result *result, GError **error)
{
    struct run run = {
        .options = options,
        .leader = -1,
        .out_fd = -1,
        .err_fd = -1,
        .in_fd = -1,
        .pidfd = -1,
        /* as large as it can get at once, a secret never moves */
        .out = g_string_sized_new(options->out_is_secret ? options->out_limit_bytes + 1 : 0),
        .err = g_string_new(NULL),
        .deadline_ms =
            options->timeout_ms < 0 ? INT64_MAX : clock_monotonic_ms() + options->timeout_ms};
    *result = (struct spawn_result){.wait_status = -1};
    bool good = start(&run, error) && attend(&run, error);
    if (run.leader > 0) {
        spawn_kill_group(run.leader, SIGKILL);
        while (waitpid(run.leader, &result->wait_status, 0) < 0 && errno == EINTR) {
        }
        drain(&run);
    }
    fd_close(&run.out_fd);
    fd_close(&run.err_fd);
    fd_close(&run.in_fd);
    fd_close(&run.pidfd);
    result->out_length = run.out->len;
    result->out = g_string_free(run.out, FALSE);
    result->err_length = run.err->len;
    result->err = g_string_free(run.err, FALSE);
    result->out_truncated = run.out_truncated;
    return good;
}
