#include "net/transfer.h"

#include <string.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "net/explain.h"
#include "net/setting.h"
#include "net/waits.h"
#include "phantom_ci_config.h"

struct transfer {
    struct net_request request;
    int64_t deadline_ms;
    char *url; /* where it goes now: request.url, or where the server sent it on to */
    unsigned redirects;
    CURL *handle;
    struct curl_slist *headers;
    char detail[CURL_ERROR_SIZE];
    /* of the answer */
    struct waits waits;
    size_t head_bytes;
    bool head_complete; /* of the final answer: not of a 1xx */
    bool head_too_long;
    bool body_cut; /* on purpose: enough was read */
    size_t body_bytes;
    size_t kept;
    char body[NET_ANSWER_BODY_MAX_BYTES];
};

struct transfer *transfer_new(struct net_request *request, int64_t now_ms)
{
    struct transfer *transfer = g_new0(struct transfer, 1);
    transfer->deadline_ms = now_ms + request->timeout_ms;
    transfer->request = *request;
    transfer->url = g_strdup(request->url);
    transfer->waits = (struct waits)WAITS_INIT;
    *request = (struct net_request){.id = NULL};
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer) {
        return;
    }
    if (transfer->handle) {
        curl_easy_cleanup(transfer->handle);
    }
    curl_slist_free_all(transfer->headers);
    wipe_free_string(&transfer->url);
    net_request_clear(&transfer->request);
    wipe_bytes(transfer, sizeof(*transfer));
    g_free(transfer);
}

const char *transfer_id(const struct transfer *transfer)
{
    return transfer->request.id;
}

size_t transfer_size_bytes(const struct transfer *transfer)
{
    return sizeof(*transfer) + transfer->request.body_length + strlen(transfer->request.headers) +
           2 * strlen(transfer->request.url);
}

int64_t transfer_deadline_ms(const struct transfer *transfer)
{
    return transfer->deadline_ms;
}

CURL *transfer_handle(const struct transfer *transfer)
{
    return transfer->handle;
}

/* ----------------------------------------------------------------------------- what comes back */

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t length = size * count;
    long status = 0;
    transfer->head_bytes += length;
    if (transfer->head_bytes > TRANSFER_HEAD_MAX_BYTES) {
        transfer->head_too_long = true;
        return 0;
    }
    if (transfer->head_complete) {
        return length; /* a trailer */
    }
    if (length > 5 && memcmp(line, "HTTP/", 5) == 0) {
        transfer->waits = (struct waits)WAITS_INIT;
    } else if (line[0] == '\r' || line[0] == '\n') {
        curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
        transfer->head_complete = status >= 200;
    } else {
        waits_read(&transfer->waits, line, length, clock_now_ms());
    }
    return length;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t length = size * count;
    size_t room = sizeof(transfer->body) - transfer->kept;
    memcpy(transfer->body + transfer->kept, bytes, MIN(length, room));
    transfer->kept += MIN(length, room);
    transfer->body_bytes += length;
    transfer->body_cut = transfer->body_bytes > TRANSFER_BODY_MAX_BYTES;
    return transfer->body_cut ? 0 : length;
}

static void forget_answer(struct transfer *transfer)
{
    transfer->waits = (struct waits)WAITS_INIT;
    transfer->head_bytes = 0;
    transfer->head_complete = false;
    transfer->body_cut = false;
    transfer->body_bytes = 0;
    transfer->kept = 0;
    transfer->detail[0] = '\0';
}

/* --------------------------------------------------------------------------------- the request */

/* The request's headers, and without those that libcurl would add by itself. Takes *line. */
static bool append_header(struct transfer *transfer, char *line)
{
    /* "Name:" takes a header out for libcurl; one with an empty value is "Name;". */
    char *colon = strchr(line, ':');
    if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0') {
        *colon = ';';
        colon[1] = '\0';
    }
    return setting_append_line(&transfer->headers, line);
}

static bool make_headers(struct transfer *transfer)
{
    const char *at = transfer->request.headers;
    bool good = true;
    bool has_type = false;
    while (good && *at) {
        size_t length = strcspn(at, "\n");
        char *line = g_strndup(at, length);
        has_type = has_type || g_ascii_strncasecmp(line, "Content-Type:", 13) == 0;
        good = append_header(transfer, line);
        wipe_free(&line, length);
        at += length + (at[length] == '\n');
    }
    static const char *const removed[] = {"Expect:", "Content-Type:"};
    for (unsigned i = 0; good && i < (has_type ? 1 : 2); i++) {
        good = setting_append_line(&transfer->headers, removed[i]);
    }
    return good;
}

static bool set_method(struct transfer *transfer, CURLcode *code)
{
    CURL *handle = transfer->handle;
    if (strcmp(transfer->request.method, "POST") == 0) {
        return setting_post(handle, transfer->request.body, transfer->request.body_length, code);
    }
    bool is_head = strcmp(transfer->request.method, "HEAD") == 0;
    return setting_long(handle, is_head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1, code);
}

/* What libcurl may do at all. */
static bool set_rules(CURL *handle, CURLcode *code)
{
    static const struct setting rules[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
        /* libcurl sends a request again by itself when a connection that it kept turns out dead:
         * a message might arrive twice. So each has a connection of its own. */
        {CURLOPT_FRESH_CONNECT, 1},
        {CURLOPT_FORBID_REUSE, 1},
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS},
        {CURLOPT_HTTP_CONTENT_DECODING, 0}, /* nothing is unpacked: no bombs */
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_PROXY_SSL_VERIFYPEER, 1},
        {CURLOPT_PROXY_SSL_VERIFYHOST, 2},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_CONNECTTIMEOUT_MS, TRANSFER_CONNECT_TIMEOUT_MS},
        {CURLOPT_LOW_SPEED_LIMIT, TRANSFER_LOW_SPEED_BYTES},
        {CURLOPT_LOW_SPEED_TIME, TRANSFER_LOW_SPEED_S},
#if LIBCURL_VERSION_NUM >= 0x075700
        /* A name server that is silent must not hold up the other transfers when this one ends. */
        {CURLOPT_QUICK_EXIT, 1},
#endif
    };
    return setting_all(handle, rules, G_N_ELEMENTS(rules), code) &&
           setting_text(handle, CURLOPT_PROTOCOLS_STR, "http,https", code) &&
           setting_text(handle, CURLOPT_USERAGENT, "phantom_ci/" PHANTOM_CI_VERSION, code);
}

/* The variables that people know from curl and git; the library itself reads none of them. */
static bool set_trust(CURL *handle, CURLcode *code)
{
    static const char *const file_names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"};
    for (unsigned i = 0; i < G_N_ELEMENTS(file_names); i++) {
        const char *file = g_getenv(file_names[i]);
        if (file && *file) {
            if (!setting_text(handle, CURLOPT_CAINFO, file, code) ||
                !setting_text(handle, CURLOPT_PROXY_CAINFO, file, code)) {
                return false;
            }
            break;
        }
    }
    const char *directory = g_getenv("SSL_CERT_DIR");
    return !directory || !*directory ||
           (setting_text(handle, CURLOPT_CAPATH, directory, code) &&
            setting_text(handle, CURLOPT_PROXY_CAPATH, directory, code));
}

static bool set_time(struct transfer *transfer, int64_t now_ms, CURLcode *code)
{
    int64_t left_ms = transfer->deadline_ms - now_ms;
    if (left_ms <= 0) {
        *code = CURLE_OPERATION_TIMEDOUT;
        return false;
    }
    return setting_long(transfer->handle, CURLOPT_TIMEOUT_MS, (long)left_ms, code);
}

CURL *transfer_begin(struct transfer *transfer, int64_t now_ms, CURLcode *code)
{
    *code = CURLE_OUT_OF_MEMORY;
    transfer->handle = curl_easy_init();
    bool good =
        transfer->handle && make_headers(transfer) && set_rules(transfer->handle, code) &&
        set_trust(transfer->handle, code) &&
        setting_owner(transfer->handle, take_header, take_body, transfer, transfer->detail, code) &&
        set_method(transfer, code) &&
        setting_pointer(transfer->handle, CURLOPT_HTTPHEADER, transfer->headers, code) &&
        setting_text(transfer->handle, CURLOPT_URL, transfer->url, code) &&
        set_time(transfer, now_ms, code);
    return good ? transfer->handle : NULL;
}

/* ----------------------------------------------------------------------------------- redirects */

static long status_of(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Where the server points to, absolute, owned by the handle; NULL when it does not. */
static const char *redirect_of(const struct transfer *transfer)
{
    char *target = NULL;
    curl_easy_getinfo(transfer->handle, CURLINFO_REDIRECT_URL, &target);
    return target;
}

bool transfer_follow(struct transfer *transfer, CURLcode code, int64_t now_ms)
{
    if (code != CURLE_OK || !transfer->head_complete) {
        return false;
    }
    long status = status_of(transfer);
    const char *target = redirect_of(transfer);
    if ((status != 307 && status != 308) || !target ||
        transfer->redirects >= TRANSFER_REDIRECTS_MAX ||
        !explain_same_origin(transfer->url, target)) {
        return false;
    }
    char *next = g_strdup(target);
    if (!setting_text(transfer->handle, CURLOPT_URL, next, &code) ||
        !set_time(transfer, now_ms, &code)) {
        wipe_free_string(&next);
        return false;
    }
    wipe_free_string(&transfer->url);
    transfer->url = next;
    transfer->redirects++;
    forget_answer(transfer);
    return true;
}

static char *explain_redirect(const struct transfer *transfer, const char *target)
{
    g_autofree char *from = explain_origin(transfer->url);
    g_autofree char *to = explain_origin(target);
    if (!explain_same_origin(transfer->url, target)) {
        return g_strdup_printf("%s sends on to %s, and another host is never followed: if that is "
                               "right, configure the new address",
                               from, to);
    }
    long status = status_of(transfer);
    if (status != 307 && status != 308) {
        return g_strdup_printf("%s sends on to another address of its own with status %ld, which "
                               "would turn a POST into a GET: configure the new address",
                               from, status);
    }
    return transfer->redirects >= TRANSFER_REDIRECTS_MAX
               ? g_strdup_printf("%s sends on to itself more than %d times", from,
                                 TRANSFER_REDIRECTS_MAX)
               : g_strdup_printf("%s sends on to another address of its own, and there was no "
                                 "time left to follow",
                                 from);
}

/* ---------------------------------------------------------------------------------- the answer */

static char *explain_timeout(const struct transfer *transfer)
{
    g_autofree char *origin = explain_origin(transfer->url);
    curl_off_t connected_us = 0;
    curl_off_t total_us = 0;
    if (transfer->handle) {
        curl_easy_getinfo(transfer->handle, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        curl_easy_getinfo(transfer->handle, CURLINFO_TOTAL_TIME_T, &total_us);
    }
    bool is_late = clock_monotonic_ms() >= transfer->deadline_ms;
    if (connected_us > 0 && !is_late) {
        return g_strdup_printf("%s took or sent less than %d bytes a second for %d s", origin,
                               TRANSFER_LOW_SPEED_BYTES, TRANSFER_LOW_SPEED_S);
    }
    return g_strdup_printf(
        "%s %s within %" G_GINT64_FORMAT " ms",
        connected_us > 0 ? "no complete answer came from" : "no connection was made to", origin,
        is_late ? transfer->request.timeout_ms : (int64_t)(total_us / 1000));
}

static char *explain_http(const struct transfer *transfer, CURLcode code)
{
    const char *target = redirect_of(transfer);
    if (target) {
        return explain_redirect(transfer, target);
    }
    if (code != CURLE_OK && !transfer->body_cut) {
        return g_strdup_printf("the answer came, but its body did not come to its end: %s",
                               curl_easy_strerror(code));
    }
    return g_strdup("");
}

static void fill_http(const struct transfer *transfer, struct net_answer *answer)
{
    answer->outcome = NET_OUTCOME_HTTP;
    answer->status = (int)status_of(transfer);
    answer->retry_after_ms = transfer->waits.retry_after_ms;
    answer->rate_remaining = transfer->waits.rate_remaining;
    answer->rate_reset_ms = transfer->waits.rate_reset_ms;
    if (answer->status == 429 && answer->retry_after_ms < 0) {
        answer->retry_after_ms = answer->rate_reset_ms;
    }
    answer->body = g_malloc(transfer->kept + 1);
    memcpy(answer->body, transfer->body, transfer->kept);
    answer->body[transfer->kept] = '\0';
    answer->body_length = transfer->kept;
}

void transfer_answer(const struct transfer *transfer, CURLcode code, struct net_answer *answer)
{
    char *text;
    *answer = (struct net_answer)NET_ANSWER_INIT;
    answer->id = g_strdup(transfer->request.id);
    if (transfer->head_complete && status_of(transfer) <= 599) {
        fill_http(transfer, answer);
        text = explain_http(transfer, code);
    } else if (transfer->head_too_long || transfer->head_complete || code == CURLE_OK) {
        g_autofree char *origin = explain_origin(transfer->url);
        answer->outcome = NET_OUTCOME_PROTOCOL;
        text = g_strdup_printf(transfer->head_too_long
                                   ? "the head of the answer from %s is longer than 64 KiB"
                                   : "the answer from %s has no status that HTTP knows",
                               origin);
    } else {
        answer->outcome = explain_outcome(code);
        text = code == CURLE_OPERATION_TIMEDOUT
                   ? explain_timeout(transfer)
                   : explain_failure(transfer->handle, code, transfer->url, transfer->detail);
    }
    answer->error = explain_harmless(text, code, transfer->request.url);
}
