#include "daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "daemon/launch.h"

static int pipe_ends[2] = {-1, -1};

/* Counters rather than bytes in the pipe: a full pipe loses a byte, but never a signal. */
static volatile sig_atomic_t children, reloads, stops, quits;

static void handle_signal(int number)
{
    int saved_errno = errno;
    if (number == SIGCHLD) {
        children = 1;
    } else if (number == SIGHUP) {
        reloads = 1;
    } else if (number == SIGQUIT) {
        quits = 1;
    } else {
        stops = stops + 1;
    }
    ssize_t ignored = write(pipe_ends[1], "", 1);
    (void)ignored;
    errno = saved_errno;
}

int signals_open(GError **error)
{
    if (!fd_pipe(pipe_ends, error) || !fd_set_nonblocking(pipe_ends[0], true, error) ||
        !fd_set_nonblocking(pipe_ends[1], true, error)) {
        return -1;
    }
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGQUIT};
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (sigaction(numbers[i], &action, NULL) < 0) {
            error_set_errno(error, DAEMON_ERROR, errno, "cannot handle signal %d", numbers[i]);
            return -1;
        }
    }
    return pipe_ends[0];
}

struct signals signals_take(void)
{
    char bytes[64];
    while (fd_read(pipe_ends[0], bytes, sizeof(bytes)) > 0) {
    }
    struct signals taken = {
        .child = children, .reload = reloads, .stop = (unsigned)stops, .end_jobs = quits};
    children = 0;
    reloads = 0;
    stops = 0;
    quits = 0;
    return taken;
}
