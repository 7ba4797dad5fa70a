#include "net/wire.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/protocol.h"
#include "net/setting.h"
#include "net/sockets.h"

struct wire {
    CURLM *multi;
    struct sockets *sockets;
    int64_t timer_ms; /* monotonic: when libcurl wants to be called; -1 = not by time */
    int handles;      /* that are in */
    int running;      /* of them, when libcurl was last called: the others are done */
};

/* -------------------------------------------------------------------------- what libcurl asks for
 */

static int want_socket(CURL *handle, curl_socket_t fd, int what, void *user, void *of_socket)
{
    struct wire *wire = user;
    (void)handle;
    (void)of_socket;
    short events =
        (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    sockets_watch(wire->sockets, fd, what == CURL_POLL_REMOVE ? 0 : events);
    return 0;
}

static int want_time(CURLM *multi, long timeout_ms, void *user)
{
    struct wire *wire = user;
    (void)multi;
    wire->timer_ms = timeout_ms < 0 ? -1 : timeout_ms == 0 ? 0 : clock_monotonic_ms() + timeout_ms;
    return 0;
}

static int socket_opened(void *user, curl_socket_t fd, curlsocktype purpose)
{
    struct wire *wire = user;
    (void)purpose;
    sockets_opened(wire->sockets, fd);
    return CURL_SOCKOPT_OK;
}

static int close_socket(void *user, curl_socket_t fd)
{
    struct wire *wire = user;
    sockets_closed(wire->sockets, fd);
    return close(fd);
}

static bool set_socket_functions(struct wire *wire, CURL *handle)
{
    CURLcode code;
    return curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, socket_opened) == CURLE_OK &&
           curl_easy_setopt(handle, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           setting_pointer(handle, CURLOPT_SOCKOPTDATA, wire, &code) &&
           setting_pointer(handle, CURLOPT_CLOSESOCKETDATA, wire, &code);
}

/* --------------------------------------------------------------------------------------- life */

static bool set_up(CURLM *multi, struct wire *wire)
{
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, wire) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_time) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, wire) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)WIRE_IDLE_MAX) == CURLM_OK;
}

struct wire *wire_new(GError **error)
{
    struct wire *wire = g_new0(struct wire, 1);
    wire->timer_ms = -1;
    wire->sockets = sockets_new();
    wire->multi = curl_multi_init();
    if (!wire->multi || !set_up(wire->multi, wire)) {
        g_set_error_literal(error, NET_ERROR, ERROR_SYSTEM, "cannot start libcurl's multi handle");
        wire_free(wire);
        return NULL;
    }
    return wire;
}

void wire_free(struct wire *wire)
{
    if (wire) {
        if (wire->multi) {
            curl_multi_cleanup(wire->multi);
        }
        sockets_free(wire->sockets);
        g_free(wire);
    }
}

bool wire_add(struct wire *wire, CURL *handle)
{
    if (!set_socket_functions(wire, handle) ||
        curl_multi_add_handle(wire->multi, handle) != CURLM_OK) {
        return false;
    }
    wire->handles++;
    wire->running++;
    return true;
}

void wire_remove(struct wire *wire, CURL *handle)
{
    curl_multi_remove_handle(wire->multi, handle);
    wire->handles--;
    wire->running--;
}

/* --------------------------------------------------------------------------------------- work */

static void act(struct wire *wire, curl_socket_t fd, int events)
{
    /* A socket that libcurl knows no more is no failure (CURLM_BAD_SOCKET), and there is none that
     * is not the transfer's own, which then says so. */
    curl_multi_socket_action(wire->multi, fd, events, &wire->running);
}

static void act_on_socket(int fd, short events, void *data)
{
    act(data, fd,
        (events & POLLIN ? CURL_CSELECT_IN : 0) | (events & POLLOUT ? CURL_CSELECT_OUT : 0) |
            (events & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR : 0));
}

static void act_on_time(struct wire *wire)
{
    if (wire->timer_ms >= 0 && wire->timer_ms <= clock_monotonic_ms()) {
        wire->timer_ms = -1; /* libcurl calls again for the next */
        act(wire, CURL_SOCKET_TIMEOUT, 0);
    }
}

CURL *wire_next_done(struct wire *wire, CURLcode *code)
{
    int left = 0;
    const CURLMsg *message;
    while (wire->running < wire->handles && (message = curl_multi_info_read(wire->multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            CURL *handle = message->easy_handle;
            *code = message->data.result;
            curl_multi_remove_handle(wire->multi, handle);
            wire->handles--;
            return handle;
        }
    }
    return NULL;
}

bool wire_wait(struct wire *wire, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error)
{
    act_on_time(wire);
    if (wire->running < wire->handles) {
        timeout_ms = 0;
    } else if (wire->timer_ms >= 0) {
        int64_t left_ms = clock_left_ms(wire->timer_ms);
        timeout_ms = MIN(timeout_ms, left_ms);
    }
    if (wire->running >= WIRE_TOGETHER_LEAST && timeout_ms > WIRE_TOGETHER_MS) {
        g_usleep(WIRE_TOGETHER_MS * G_TIME_SPAN_MILLISECOND);
        timeout_ms -= WIRE_TOGETHER_MS;
    }
    if (!sockets_wait(wire->sockets, fds, count, (int)MIN(timeout_ms, G_MAXINT), act_on_socket,
                      wire, error)) {
        return false;
    }
    act_on_time(wire);
    return true;
}
