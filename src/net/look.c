#include "net/look.h"

#include <string.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "net/look_internal.h"
#include "net/setting.h"

enum { DRAIN_MAX_BYTES = 16 * 1024 }; /* of a body that is not wanted: so the connection is kept */

/* ---------------------------------------------------------------------------------------- life */

static void choose_first_question(struct look *look)
{
    look->question = LOOK_COMMAND;
    look->format = LOOK_SHA1;
    switch (look->request.road) {
    case NET_ROAD_V2_SHA256:
        look->format = LOOK_SHA256;
        break;
    case NET_ROAD_V2_ASKED:
    case NET_ROAD_V0:
        look->question = LOOK_ADVERTISEMENT;
        break;
    case NET_ROAD_UNKNOWN:
    case NET_ROAD_V2:
    case NET_ROAD_GIT:
        break;
    }
}

struct look *look_new(struct net_look *request, struct look_shared *shared, int64_t now_ms,
                      GError **error)
{
    struct look_place place;
    if (!look_place_parse(request->url, &place, error)) {
        return NULL;
    }
    struct look_setup *setup = look_setups_get(shared->setups, request->options, error);
    if (!setup) {
        look_place_clear(&place);
        return NULL;
    }
    struct look *look = g_new0(struct look, 1);
    look->request = *request;
    *request = (struct net_look){.id = NULL};
    look->wanted = g_strsplit(look->request.wanted, "\n", -1);
    look->shared = shared;
    look->setup = setup;
    look->origin = g_strdup(place.origin);
    look->place = place;
    look->deadline_ms = now_ms + look->request.timeout_ms;
    look->ticket.link.data = look;
    look->link.data = look;
    look->looked = (struct net_looked)NET_LOOKED_INIT;
    choose_first_question(look);
    return look;
}

static void forget_answer(struct look *look)
{
    look->head = (struct look_head)LOOK_HEAD_INIT;
    look->head_is_too_long = false;
    look->status = 0;
    g_clear_pointer(&look->lsrefs, lsrefs_free);
    look->has_other_type = false;
    g_clear_error(&look->failure);
    look->body_bytes = 0;
    look->stopped = false;
    look->is_put_off = false;
    look->slow_since_ms = 0;
    look->slow_bytes = 0;
    look->detail[0] = '\0';
}

/* Nothing of this look stays behind in it. */
static void give_handle_back(struct look *look)
{
    if (look->handle) {
        curl_easy_setopt(look->handle, CURLOPT_ERRORBUFFER, NULL);
        curl_easy_setopt(look->handle, CURLOPT_POSTFIELDS, NULL);
        curl_easy_setopt(look->handle, CURLOPT_HTTPHEADER, NULL);
        look_setup_give(look->shared->setups, look->setup, look->handle);
        look->handle = NULL;
    }
}

void look_free(struct look *look)
{
    if (!look) {
        return;
    }
    give_handle_back(look);
    look_setups_put(look->shared->setups, look->setup);
    if (look->may_be_large) {
        look->shared->large_left++;
    }
    forget_answer(look);
    wipe_free_string(&look->authorization.data);
    g_clear_pointer(&look->body, g_byte_array_unref);
    g_clear_pointer(&look->visited, g_ptr_array_unref);
    g_clear_pointer(&look->refs, g_hash_table_unref);
    look_place_clear(&look->place);
    g_strfreev(look->wanted);
    g_free(look->origin);
    net_looked_clear(&look->looked);
    net_look_clear(&look->request);
    g_free(look);
}

const char *look_id(const struct look *look)
{
    return look->request.id;
}

const char *look_origin(const struct look *look)
{
    return look->origin;
}

unsigned look_at_once(const struct look *look)
{
    return look_setup_options(look->setup)->at_once;
}

size_t look_size_bytes(const struct look *look)
{
    return sizeof(*look) + 2 * strlen(look->request.wanted) + 2 * strlen(look->request.url) +
           strlen(look->request.options);
}

struct look_ticket *look_ticket(struct look *look)
{
    return &look->ticket;
}

GList *look_link(struct look *look)
{
    return &look->link;
}

struct look *look_of_handle(CURL *handle)
{
    char *owner = NULL;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &owner);
    return (struct look *)(void *)owner;
}

CURL *look_handle(const struct look *look)
{
    return look->is_running ? look->handle : NULL;
}

void look_allow_large(struct look *look)
{
    g_assert(look->shared->large_left > 0 && !look->may_be_large);
    look->shared->large_left--;
    look->may_be_large = true;
}

bool look_is_large(const struct look *look)
{
    return look->may_be_large;
}

/* ----------------------------------------------------------------------------- what comes back */

static void begin_body(struct look *look)
{
    static const char *const types[] = {
        [LOOK_COMMAND] = "application/x-git-upload-pack-result",
        [LOOK_ADVERTISEMENT] = "application/x-git-upload-pack-advertisement",
    };
    look->slow_since_ms = clock_monotonic_ms();
    if (look->status == 200) {
        look->has_other_type = strcmp(look->head.type, types[look->question]) != 0;
        look->lsrefs =
            lsrefs_new(look->question == LOOK_COMMAND ? LSREFS_ANSWER : LSREFS_ADVERTISEMENT,
                       (const char *const *)look->wanted);
    }
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct look *look = data;
    size_t length = size * count;
    long status = 0;
    if (look->status != 0) { /* a trailer: only its length counts */
        look->head.bytes += length;
        look->head_is_too_long = look->head.bytes > LOOK_HEAD_MAX_BYTES;
    } else if (!look_head_read(&look->head, line, length, clock_now_ms())) {
        look->head_is_too_long = true;
    } else if (line[0] == '\r' || line[0] == '\n') {
        curl_easy_getinfo(look->handle, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200) {
            look->status = status;
            begin_body(look);
        }
    }
    look->stopped = look->head_is_too_long;
    return look->stopped ? 0 : length;
}

/* False: there is no memory for a large answer now. */
static bool may_go_on(struct look *look)
{
    if (look->body_bytes <= LOOK_SMALL_BYTES || look->may_be_large) {
        return true;
    }
    if (look->shared->large_left == 0) {
        look->is_put_off = true;
        return false;
    }
    look_allow_large(look);
    return true;
}

static bool take_refs(struct look *look, const char *bytes, size_t length)
{
    if (lsrefs_is_done(look->lsrefs)) { /* what comes behind its end is not looked at */
        return look->body_bytes <= LSREFS_MAX_BYTES;
    }
    return may_go_on(look) &&
           lsrefs_take(look->lsrefs, (const uint8_t *)bytes, length, &look->failure);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct look *look = data;
    size_t length = size * count;
    bool is_answer = look->lsrefs && !(look->has_other_type && look->question == LOOK_COMMAND);
    look->body_bytes += length;
    look->stopped =
        is_answer ? !take_refs(look, bytes, length) : look->body_bytes > DRAIN_MAX_BYTES;
    return look->stopped ? 0 : length;
}

/* ------------------------------------------------------------------------------- one question */

static bool set_question(struct look *look, CURLcode *code)
{
    CURL *handle = look->handle;
    g_clear_pointer(&look->body, g_byte_array_unref);
    if (look->question == LOOK_ADVERTISEMENT) {
        return setting_long(handle, CURLOPT_HTTPGET, 1, code);
    }
    look->body = lsrefs_request((const char *const *)look->wanted,
                                look->format == LOOK_SHA256 ? "sha256" : NULL);
    return setting_post(handle, look->body->data, look->body->len, code);
}

static char *basic_authorization(const struct look_login *login)
{
    char *words = g_strconcat(login->user, ":", login->password, NULL);
    char *code = g_base64_encode((const guchar *)words, strlen(words));
    char *header = g_strconcat("Authorization: Basic ", code, NULL);
    wipe_free_string(&words);
    wipe_free_string(&code);
    return header;
}

/* The login is a header of ours in front of the others: libcurl would keep copies of a user name
 * and a password in connections that wait for their next use. */
static bool set_headers(struct look *look, CURLcode *code)
{
    bool is_own = strcmp(look->place.origin, look->origin) == 0;
    const struct look_login *login = NULL;
    struct curl_slist *headers = look_setup_headers(look->setup, look->question, is_own);
    if (!is_own || !look_setup_options(look->setup)->has_authorization) {
        login = look_logins_find(look->shared->logins, &look->place);
    }
    wipe_free_string(&look->authorization.data);
    look->login = login ? login->number : 0;
    if (login) {
        look->authorization = (struct curl_slist){basic_authorization(login), headers};
        headers = &look->authorization;
    }
    return setting_pointer(look->handle, CURLOPT_HTTPHEADER, headers, code);
}

/* Over TLS HTTP/2 where the server has it; there the first sixteen looks wait until it is known
 * whether one connection is for all of them. Without TLS libcurl would wait for the first answer,
 * and there is nothing to find out. */
static bool set_protocol(const struct look *look, CURLcode *code)
{
    bool is_secure = g_str_has_prefix(look->place.origin, "https:");
    return setting_long(look->handle, CURLOPT_HTTP_VERSION,
                        is_secure ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1, code) &&
           setting_long(look->handle, CURLOPT_PIPEWAIT, is_secure, code);
}

/* No connection is kept for a host that is rarely looked at, once nothing more will be asked. */
static bool is_last(const struct look *look)
{
    return look->ticket.is_rare &&
           (look->was_told || look->request.road == NET_ROAD_V2 ||
            look->request.road == NET_ROAD_V2_SHA256 || look->request.road == NET_ROAD_V0);
}

static bool set_up(struct look *look, CURLcode *code)
{
    CURL *handle = look->handle;
    g_autofree char *address = look_place_address(&look->place, look->question);
    return setting_text(handle, CURLOPT_URL, address, code) && set_protocol(look, code) &&
           set_question(look, code) && set_headers(look, code) &&
           setting_long(handle, CURLOPT_FORBID_REUSE, is_last(look), code) &&
           setting_owner(handle, take_header, take_body, look, look->detail, code);
}

CURL *look_begin(struct look *look, CURLcode *code)
{
    forget_answer(look);
    if (!look->handle) {
        look->handle = look_setup_take(look->shared->setups, look->setup, code);
    }
    look->is_running = look->handle && set_up(look, code);
    return look_handle(look);
}

enum look_next look_done(struct look *look, CURLcode code)
{
    look->is_running = false;
    return look->is_put_off ? LOOK_NEXT_PUT_OFF : look_judge(look, code);
}

/* ---------------------------------------------------------------------------------------- time */

static bool is_slow(struct look *look, int64_t now_ms, int64_t *next_ms)
{
    if (!look->is_running || look->slow_since_ms == 0) {
        return false;
    }
    if (now_ms - look->slow_since_ms >= LOOK_LOW_SPEED_MS) {
        if (look->body_bytes - look->slow_bytes <
            (size_t)LOOK_LOW_SPEED_BYTES * LOOK_LOW_SPEED_MS / 1000) {
            return true;
        }
        look->slow_since_ms = now_ms;
        look->slow_bytes = look->body_bytes;
    }
    *next_ms = MIN(*next_ms, look->slow_since_ms + LOOK_LOW_SPEED_MS);
    return false;
}

bool look_is_late(struct look *look, int64_t now_ms, int64_t *next_ms)
{
    if (now_ms >= look->deadline_ms || is_slow(look, now_ms, next_ms)) {
        return true;
    }
    *next_ms = MIN(*next_ms, look->deadline_ms);
    return false;
}

void look_fail(struct look *look, CURLcode code)
{
    look->is_running = false;
    look_answer_failure(look, code);
}

/* -------------------------------------------------------------------------------------- answer */

void look_answer(const struct look *look, GByteArray *out)
{
    if (look->refs) {
        net_refs_encode_table(out, look->request.id, look->refs);
    }
    net_looked_encode(out, &look->looked);
}
