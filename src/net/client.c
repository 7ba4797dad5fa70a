#include "net/client.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/environ.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/libexec.h"
#include "base/spawn.h"
#include "base/wipe.h"

enum {
    OUT_MAX_BYTES = 4 * NET_REQUEST_MAX_BYTES,
    READ_BYTES = 64 * 1024, /* what a pipe holds */
};

struct net_client {
    struct net_client_setup setup;
    pid_t child; /* 0 = none */
    int to_child, from_child;
    GByteArray *out;    /* not written yet; may hold secrets */
    GByteArray *in;     /* a part of a message */
    int to_at, from_at; /* in the poll set, or -1 */
};

struct net_client *net_client_new(const struct net_client_setup *setup)
{
    struct net_client *client = g_new0(struct net_client, 1);
    client->setup = *setup;
    client->to_child = -1;
    client->from_child = -1;
    client->to_at = -1;
    client->from_at = -1;
    client->out = g_byte_array_new();
    client->in = g_byte_array_new();
    return client;
}

static void forget_output(struct net_client *client)
{
    wipe_array_front(client->out, client->out->len);
}

/* Ends the process if it is there, and reaps it; it has nothing that could be lost with it. */
static int end_process(struct net_client *client)
{
    int status = 0;
    fd_close(&client->to_child);
    fd_close(&client->from_child);
    forget_output(client);
    g_byte_array_set_size(client->in, 0);
    if (client->child > 0) {
        spawn_kill_group(client->child, SIGKILL);
        while (waitpid(client->child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    client->child = 0;
    return status;
}

void net_client_free(struct net_client *client)
{
    if (client) {
        end_process(client);
        g_byte_array_unref(client->out);
        g_byte_array_unref(client->in);
        g_free(client);
    }
}

static char **make_environment(const struct net_client *client)
{
    GPtrArray *environment = g_ptr_array_new();
    if (client->setup.environment) {
        environ_pick(environment, client->setup.environment);
    }
    environ_pick_sanitizers(environment);
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}

static pid_t spawn_child(const struct net_client *client, const char *executable, int in, int out,
                         GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (void *)executable);
    for (const char *const *word = client->setup.arguments; word && *word; word++) {
        g_ptr_array_add(argv, (void *)*word);
    }
    g_ptr_array_add(argv, NULL);
    g_auto(GStrv) environment = make_environment(client);
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = (const char *const *)argv->pdata;
    options.envp = (const char *const *)environment;
    options.directory = "/";
    options.stdin_fd = in;
    options.stdout_fd = out;
    options.stderr_fd = SPAWN_FD_INHERIT;
    auto_fd passed = client->setup.pass_fd ? client->setup.pass_fd(client->setup.data) : -1;
    options.pass_fds = &passed;
    options.pass_count = passed >= 0 ? 1 : 0;
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    return spawn_start(&options, NULL, error);
}

static bool start(struct net_client *client, GError **error)
{
    g_autofree char *executable = libexec_find(client->setup.program, error);
    int to_child[2] = {-1, -1};
    int from_child[2] = {-1, -1};
    if (executable && fd_pipe(to_child, error) && fd_pipe(from_child, error)) {
        client->child = spawn_child(client, executable, to_child[0], from_child[1], error);
    }
    fd_close(&to_child[0]);
    fd_close(&from_child[1]);
    client->to_child = to_child[1];
    client->from_child = from_child[0];
    bool good = client->child > 0 && fd_set_nonblocking(client->to_child, true, error) &&
                fd_set_nonblocking(client->from_child, true, error);
    if (!good) {
        client->child = MAX(client->child, 0);
        end_process(client);
    }
    return good;
}

/* What can be written now. A process that reads no more is found by the end of its answers. */
static void write_some(struct net_client *client)
{
    while (client->out->len > 0) {
        ssize_t written = write(client->to_child, client->out->data, client->out->len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            if (errno != EAGAIN) {
                forget_output(client);
            }
            return;
        }
        wipe_array_front(client->out, (size_t)written);
    }
}

bool net_client_send(struct net_client *client, const GByteArray *messages, GError **error)
{
    if (client->out->len > OUT_MAX_BYTES) {
        g_set_error(error, NET_ERROR, ERROR_LIMIT, "%s does not read what it is sent",
                    client->setup.program);
        return false;
    }
    if (!client->child && !start(client, error)) {
        g_prefix_error(error, "cannot start %s: ", client->setup.program);
        return false;
    }
    g_byte_array_append(client->out, messages->data, messages->len);
    return true;
}

static void add_fd(GArray *pollfds, int fd, short events, int *at)
{
    struct pollfd entry = {.fd = fd, .events = events};
    *at = (int)pollfds->len;
    g_array_append_val(pollfds, entry);
}

void net_client_add_fds(struct net_client *client, GArray *pollfds)
{
    client->to_at = -1;
    client->from_at = -1;
    if (client->child) {
        write_some(client);
        add_fd(pollfds, client->from_child, POLLIN, &client->from_at);
    }
    if (client->child && client->out->len > 0) {
        add_fd(pollfds, client->to_child, POLLOUT, &client->to_at);
    }
}

static void lose(struct net_client *client, const char *why)
{
    int status = end_process(client);
    g_autofree char *ended = spawn_format_status(status);
    g_autofree char *text = why ? g_strdup_printf("%s %s", client->setup.program, why)
                                : g_strdup_printf("%s ended: %s", client->setup.program, ended);
    client->setup.lost(text, client->setup.data);
}

void net_client_set_arguments(struct net_client *client, const char *const *arguments)
{
    client->setup.arguments = arguments;
}

void net_client_abandon(struct net_client *client, const char *why)
{
    if (client->child) {
        lose(client, why);
    }
}

/* Hands on the whole messages that have come. False on nonsense. */
static bool take_messages(struct net_client *client)
{
    size_t done = 0;
    bool good = true;
    while (good) {
        struct net_message message;
        size_t used = 0;
        enum net_decode result = net_decode(client->in->data + done, client->in->len - done,
                                            NET_FROM_NET, &message, &used, NULL);
        if (result == NET_INCOMPLETE) {
            break;
        }
        good = result == NET_MESSAGE && client->setup.message(&message, client->setup.data);
        done += used;
    }
    g_byte_array_remove_range(client->in, 0, (guint)done);
    return good;
}

static void read_some(struct net_client *client)
{
    guint8 bytes[READ_BYTES];
    ssize_t length = fd_read(client->from_child, bytes, sizeof(bytes));
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (length <= 0) {
        lose(client, NULL);
        return;
    }
    g_byte_array_append(client->in, bytes, (guint)length);
    if (!take_messages(client)) {
        lose(client, "sent an answer that is none");
    }
}

void net_client_handle(struct net_client *client, const struct pollfd *fds, unsigned count)
{
    if (client->child && client->to_at >= 0 && (unsigned)client->to_at < count &&
        fds[client->to_at].revents) {
        write_some(client);
    }
    if (client->child && client->from_at >= 0 && (unsigned)client->from_at < count &&
        fds[client->from_at].revents) {
        read_some(client);
    }
}
