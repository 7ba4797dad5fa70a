#include "daemon/net_client.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
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
    READ_BYTES = 16 * 1024,
};

struct net_client {
    struct net_client_events events;
    pid_t child; /* 0 = none */
    int to_net, from_net;
    GByteArray *out;    /* not written yet; holds secrets */
    GByteArray *in;     /* a part of an answer */
    int to_at, from_at; /* in the poll set, or -1 */
};

struct net_client *net_client_new(const struct net_client_events *events)
{
    struct net_client *client = g_new0(struct net_client, 1);
    client->events = *events;
    client->to_net = -1;
    client->from_net = -1;
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
    fd_close(&client->to_net);
    fd_close(&client->from_net);
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

static char **make_environment(void)
{
    static const char *const allowed[] = {"LANG",           "TZ",
                                          "SSL_CERT_FILE",  "SSL_CERT_DIR",
                                          "CURL_CA_BUNDLE", "http_proxy",
                                          "https_proxy",    "no_proxy",
                                          "all_proxy",      "GIT_SSL_CAINFO",
                                          "HTTPS_PROXY",    "NO_PROXY",
                                          "ALL_PROXY",      NULL};
    GPtrArray *environment = g_ptr_array_new();
    environ_pick(environment, allowed);
    environ_pick_sanitizers(environment);
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}

static bool start(struct net_client *client, GError **error)
{
    g_autofree char *executable = libexec_find("phantom_ci-net", error);
    int to_net[2] = {-1, -1};
    int from_net[2] = {-1, -1};
    bool piped = executable && fd_pipe(to_net, error) && fd_pipe(from_net, error);
    if (piped) {
        const char *const argv[] = {executable, NULL};
        g_auto(GStrv) environment = make_environment();
        struct spawn_options options = SPAWN_OPTIONS_INIT;
        options.argv = argv;
        options.envp = (const char *const *)environment;
        options.directory = "/";
        options.stdin_fd = to_net[0];
        options.stdout_fd = from_net[1];
        options.stderr_fd = SPAWN_FD_INHERIT;
        options.new_session = true;
        options.parent_death_signal = SIGKILL;
        client->child = spawn_start(&options, NULL, error);
    }
    fd_close(&to_net[0]);
    fd_close(&from_net[1]);
    client->to_net = to_net[1];
    client->from_net = from_net[0];
    bool good = client->child > 0 && fd_set_nonblocking(client->to_net, true, error) &&
                fd_set_nonblocking(client->from_net, true, error);
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
        ssize_t written = write(client->to_net, client->out->data, client->out->len);
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

bool net_client_send(struct net_client *client, const struct net_request *request, GError **error)
{
    if (client->out->len > OUT_MAX_BYTES) {
        g_set_error(error, NET_ERROR, ERROR_LIMIT, "phantom_ci-net does not read its requests");
        return false;
    }
    if (!client->child && !start(client, error)) {
        g_prefix_error(error, "cannot start phantom_ci-net: ");
        return false;
    }
    if (!net_request_encode(client->out, request, error)) {
        return false;
    }
    write_some(client);
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
        add_fd(pollfds, client->from_net, POLLIN, &client->from_at);
    }
    if (client->child && client->out->len > 0) {
        add_fd(pollfds, client->to_net, POLLOUT, &client->to_at);
    }
}

static void lose(struct net_client *client, const char *why)
{
    int status = end_process(client);
    g_autofree char *ended = spawn_format_status(status);
    g_autofree char *text =
        why ? g_strdup(why) : g_strdup_printf("phantom_ci-net ended: %s", ended);
    client->events.lost(text, client->events.data);
}

void net_client_abandon(struct net_client *client)
{
    if (client->child) {
        lose(client, "phantom_ci-net did not answer in time");
    }
}

/* One answer from the front of the buffer: 1 = taken, 0 = none whole, -1 = nonsense. */
static int take_answer(struct net_client *client)
{
    struct net_message message;
    size_t used = 0;
    switch (net_decode(client->in->data, client->in->len, NET_FROM_NET, &message, &used, NULL)) {
    case NET_INCOMPLETE:
        return 0;
    case NET_BROKEN:
        return -1;
    case NET_MESSAGE:
        break;
    }
    struct net_answer answer = NET_ANSWER_INIT;
    bool good = net_answer_parse(&message, &answer, NULL);
    g_byte_array_remove_range(client->in, 0, (guint)used);
    if (good) {
        client->events.answered(&answer, client->events.data);
    }
    net_answer_clear(&answer);
    return good ? 1 : -1;
}

static void read_some(struct net_client *client)
{
    guint8 bytes[READ_BYTES];
    ssize_t length = fd_read(client->from_net, bytes, sizeof(bytes));
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (length <= 0) {
        lose(client, NULL);
        return;
    }
    g_byte_array_append(client->in, bytes, (guint)length);
    int taken = 1;
    while (taken > 0 && client->child) {
        taken = take_answer(client);
    }
    if (taken < 0 && client->child) {
        lose(client, "phantom_ci-net sent an answer that is none");
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
