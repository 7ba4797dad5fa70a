#include "ssh/connection.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/tail.h"
#include "ssh/command.h"
#include "ssh/control.h"

enum { FIRST_PROBE_MS = 10, LAST_PROBE_MS = 100 };

struct connection {
    struct loop *loop;
    const struct place *place;
    unsigned number;
    struct connection_events events;
    enum connection_state state;
    char *path;
    pid_t child; /* 0 = reaped */
    int status;
    int err_fd;
    struct tail words;
    struct loop_timer timer; /* the next probe, or the end of patience */
    int64_t begun_ms;
    int64_t probe_ms;
};

/* --------------------------------------------------------------------------------- its process */

static void read_err(void *data, short events)
{
    struct connection *connection = data;
    (void)events;
    if (!tail_read(&connection->words, connection->err_fd)) {
        loop_close(connection->loop, &connection->err_fd);
    }
}

static void process_ended(void *data, int wait_status)
{
    struct connection *connection = data;
    /* ForkAfterAuthentication of ssh_config(5): a process that is not our child serves the socket.
     */
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        control_terminate(connection->path);
    }
    connection->child = 0;
    connection->status = wait_status;
    connection->state = CONNECTION_GONE;
    loop_timer_stop(connection->loop, &connection->timer);
    /* What a proxy that outlives it may still hold open is not waited for. */
    tail_read(&connection->words, connection->err_fd);
    loop_close(connection->loop, &connection->err_fd);
    place_remove_socket(connection->place, connection->number);
    connection->events.ended(connection->events.data);
}

static bool start(struct connection *connection, const struct ssh_address *address, GError **error)
{
    int ends[2];
    if (!fd_pipe(ends, error)) {
        return false;
    }
    g_auto(GStrv) argv = ssh_master_argv(address, connection->path);
    g_auto(GStrv) environment = ssh_environment();
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = (const char *const *)argv;
    options.envp = (const char *const *)environment;
    options.stderr_fd = ends[1];
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    pid_t child = spawn_start(&options, NULL, error);
    connection->child = MAX(child, 0);
    connection->err_fd = ends[0];
    fd_close(&ends[1]);
    return connection->child > 0 && fd_set_nonblocking(connection->err_fd, true, error);
}

/* ------------------------------------------------------------------------------------ readiness */

/* The socket appears, already listening, once the login is done; nothing else tells of it. */
static bool listens(const struct connection *connection)
{
    auto_fd fd = control_connect(connection->path, NULL);
    return fd >= 0;
}

static void probe_later(struct connection *connection)
{
    loop_timer_set(connection->loop, &connection->timer,
                   clock_monotonic_ms() + connection->probe_ms);
    connection->probe_ms = MIN(connection->probe_ms * 2, LAST_PROBE_MS);
}

static void kill_process(struct connection *connection)
{
    if (connection->child > 0) {
        spawn_kill_group(connection->child, SIGKILL);
    }
}

static void timer_is_due(void *data)
{
    struct connection *connection = data;
    if (connection->state != CONNECTION_STARTING ||
        clock_monotonic_ms() - connection->begun_ms > CONNECTION_START_MS) {
        kill_process(connection);
    } else if (listens(connection)) {
        connection->state = CONNECTION_READY;
        connection->events.ready(connection->events.data);
    } else {
        probe_later(connection);
    }
}

/* ---------------------------------------------------------------------------------------- life */

struct connection *connection_new(struct loop *loop, const struct place *place, unsigned number,
                                  const struct ssh_address *address,
                                  const struct connection_events *events, GError **error)
{
    struct connection *connection = g_new0(struct connection, 1);
    connection->loop = loop;
    connection->place = place;
    connection->number = number;
    connection->events = *events;
    connection->path = place_socket(place, number);
    connection->err_fd = -1;
    connection->begun_ms = clock_monotonic_ms();
    connection->probe_ms = FIRST_PROBE_MS;
    connection->timer.due = timer_is_due;
    connection->timer.data = connection;
    if (!start(connection, address, error)) {
        connection_free(connection);
        return NULL;
    }
    loop_watch(loop, connection->err_fd, POLLIN, read_err, connection);
    loop_child(loop, connection->child, process_ended, connection);
    probe_later(connection);
    return connection;
}

void connection_close(struct connection *connection)
{
    if (connection->child > 0 && connection->state != CONNECTION_CLOSING) {
        connection->state = CONNECTION_CLOSING;
        spawn_kill_group(connection->child, SIGTERM);
        loop_timer_set(connection->loop, &connection->timer,
                       clock_monotonic_ms() + CONNECTION_CLOSE_MS);
    }
}

void connection_free(struct connection *connection)
{
    if (!connection) {
        return;
    }
    loop_timer_stop(connection->loop, &connection->timer);
    loop_close(connection->loop, &connection->err_fd);
    if (connection->child > 0) {
        kill_process(connection);
        loop_child(connection->loop, connection->child, NULL, NULL);
    }
    place_remove_socket(connection->place, connection->number);
    g_free(connection->path);
    g_free(connection);
}

enum connection_state connection_state(const struct connection *connection)
{
    return connection->state;
}

const char *connection_path(const struct connection *connection)
{
    return connection->path;
}

const char *connection_words(const struct connection *connection)
{
    return connection->words.text;
}

int connection_status(const struct connection *connection)
{
    return connection->status;
}
