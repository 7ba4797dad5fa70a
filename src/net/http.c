#include "net/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "net/transfer.h"

enum { FDS_MAX = 4 };

struct http {
    CURLM *multi;
    GQueue waiting;    /* of struct transfer *, oldest first */
    GPtrArray *active; /* of struct transfer *, owned */
    size_t waiting_bytes;
    http_answered *answered;
    void *user;
};

/* ---------------------------------------------------------------------------------------- life */

struct http *http_new(http_answered *answered, void *user, GError **error)
{
    CURLM *multi = curl_multi_init();
    if (!multi) {
        g_set_error_literal(error, NET_ERROR, ERROR_SYSTEM, "cannot start libcurl's multi handle");
        return NULL;
    }
    struct http *http = g_new0(struct http, 1);
    http->multi = multi;
    http->active = g_ptr_array_new();
    http->answered = answered;
    http->user = user;
    g_queue_init(&http->waiting);
    return http;
}

static void drop_active(struct http *http, struct transfer *transfer)
{
    curl_multi_remove_handle(http->multi, transfer_handle(transfer));
    g_ptr_array_remove_fast(http->active, transfer);
    transfer_free(transfer);
}

static struct transfer *take_waiting(struct http *http, GList *link)
{
    struct transfer *transfer = link->data;
    http->waiting_bytes -= transfer_size_bytes(transfer);
    g_queue_delete_link(&http->waiting, link);
    return transfer;
}

void http_free(struct http *http)
{
    if (!http) {
        return;
    }
    while (http->active->len > 0) {
        drop_active(http, g_ptr_array_index(http->active, 0));
    }
    while (http->waiting.head) {
        transfer_free(take_waiting(http, http->waiting.head));
    }
    curl_multi_cleanup(http->multi);
    g_ptr_array_unref(http->active);
    g_free(http);
}

bool http_has_room(const struct http *http)
{
    return http->waiting.length < HTTP_WAITING_MAX && http->waiting_bytes < HTTP_WAITING_MAX_BYTES;
}

unsigned http_pending(const struct http *http)
{
    return http->active->len + http->waiting.length;
}

/* ------------------------------------------------------------------------------------ requests */

static void hand_over(struct http *http, const struct transfer *transfer, CURLcode code)
{
    struct net_answer answer;
    transfer_answer(transfer, code, &answer);
    http->answered(&answer, http->user);
    net_answer_clear(&answer);
}

static void begin(struct http *http, struct transfer *transfer)
{
    CURLcode code = CURLE_OK;
    CURL *handle = transfer_begin(transfer, clock_monotonic_ms(), &code);
    if (handle && curl_multi_add_handle(http->multi, handle) == CURLM_OK) {
        g_ptr_array_add(http->active, transfer);
        return;
    }
    hand_over(http, transfer, code == CURLE_OK ? CURLE_OUT_OF_MEMORY : code);
    transfer_free(transfer);
}

static void begin_waiting(struct http *http)
{
    while (http->active->len < HTTP_ACTIVE_MAX && http->waiting.head) {
        begin(http, take_waiting(http, http->waiting.head));
    }
}

void http_add(struct http *http, struct net_request *request)
{
    g_assert(http_has_room(http));
    struct transfer *transfer = transfer_new(request, clock_monotonic_ms());
    http->waiting_bytes += transfer_size_bytes(transfer);
    g_queue_push_tail(&http->waiting, transfer);
    begin_waiting(http);
}

void http_cancel(struct http *http, const char *id)
{
    for (guint i = http->active->len; i-- > 0;) {
        struct transfer *transfer = g_ptr_array_index(http->active, i);
        if (strcmp(transfer_id(transfer), id) == 0) {
            drop_active(http, transfer);
        }
    }
    GList *next;
    for (GList *link = http->waiting.head; link; link = next) {
        next = link->next;
        if (strcmp(transfer_id(link->data), id) == 0) {
            transfer_free(take_waiting(http, link));
        }
    }
    begin_waiting(http);
}

static void end_late_waiting(struct http *http, int64_t now_ms)
{
    GList *next;
    for (GList *link = http->waiting.head; link; link = next) {
        next = link->next;
        if (transfer_deadline_ms(link->data) <= now_ms) {
            struct transfer *transfer = take_waiting(http, link);
            hand_over(http, transfer, CURLE_OPERATION_TIMEDOUT);
            transfer_free(transfer);
        }
    }
}

static void take_done(struct http *http)
{
    int left = 0;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURL *handle = message->easy_handle;
        CURLcode code = message->data.result;
        char *private = NULL;
        curl_easy_getinfo(handle, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (struct transfer *)(void *)private;
        curl_multi_remove_handle(http->multi, handle);
        if (transfer_follow(transfer, code, clock_monotonic_ms()) &&
            curl_multi_add_handle(http->multi, handle) == CURLM_OK) {
            continue;
        }
        g_ptr_array_remove_fast(http->active, transfer);
        hand_over(http, transfer, code);
        transfer_free(transfer);
    }
}

/* ---------------------------------------------------------------------------------------- wait */

static int64_t until_next_deadline(const struct http *http, int64_t timeout_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    for (const GList *link = http->waiting.head; link; link = link->next) {
        timeout_ms = MIN(timeout_ms, MAX(transfer_deadline_ms(link->data) - now_ms, 0));
    }
    return timeout_ms;
}

static bool check(CURLMcode code, GError **error)
{
    if (code != CURLM_OK) {
        g_set_error(error, NET_ERROR, ERROR_SYSTEM, "libcurl: %s", curl_multi_strerror(code));
        return false;
    }
    return true;
}

bool http_wait(struct http *http, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error)
{
    struct curl_waitfd extra[FDS_MAX] = {{.fd = -1}};
    int running = 0;
    g_assert(count <= FDS_MAX);
    for (unsigned i = 0; i < count; i++) {
        extra[i] = (struct curl_waitfd){
            .fd = fds[i].fd,
            .events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                              (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
    }
    int64_t wait_ms = until_next_deadline(http, timeout_ms);
    if (!check(curl_multi_poll(http->multi, extra, count, (int)MIN(wait_ms, G_MAXINT), NULL),
               error) ||
        !check(curl_multi_perform(http->multi, &running), error)) {
        return false;
    }
    take_done(http);
    end_late_waiting(http, clock_monotonic_ms());
    begin_waiting(http);
    /* libcurl's own answer leaves out that the other end has closed. */
    if (poll(fds, count, 0) < 0 && errno != EINTR) {
        return error_set_errno(error, NET_ERROR, errno, "cannot wait");
    }
    return true;
}
