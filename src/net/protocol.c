#include "net/protocol.h"

#include <string.h>

#include "base/error.h"
#include "base/wipe.h"
#include "net/protocol_internal.h"

static const struct {
    const char *name; /* NULL: no such type */
    enum net_direction direction;
    unsigned fields;
    size_t max_bytes;
} types[] = {
    [NET_REQUEST] = {"request", NET_TO_NET, 6, NET_REQUEST_MAX_BYTES},
    [NET_CANCEL] = {"cancel", NET_TO_NET, 1, NET_CANCEL_MAX_BYTES},
    [NET_ANSWER] = {"answer", NET_FROM_NET, 8, NET_ANSWER_MAX_BYTES},
    [NET_LOOK] = {"look", NET_TO_NET, 7, NET_LOOK_MAX_BYTES},
    [NET_REFS] = {"refs", NET_FROM_NET, 2, NET_ANSWER_MAX_BYTES},
    [NET_LOOKED] = {"looked", NET_FROM_NET, 7, NET_ANSWER_MAX_BYTES},
    [NET_LOGIN] = {"login", NET_TO_NET, 3, NET_LOGIN_MAX_BYTES},
};

static const char *const outcome_names[] = {
    [NET_OUTCOME_HTTP] = "http",       [NET_OUTCOME_UNREACHABLE] = "unreachable",
    [NET_OUTCOME_TIMEOUT] = "timeout", [NET_OUTCOME_TLS] = "tls",
    [NET_OUTCOME_REFUSED] = "refused", [NET_OUTCOME_PROTOCOL] = "protocol",
};

/* What phantom_ci-net and libcurl set themselves: a second one could split or hijack a request. */
static const char *const own_headers[] = {"Host",    "Content-Length", "Transfer-Encoding",
                                          "Trailer", "Connection",     "Keep-Alive",
                                          "Upgrade", "Expect",         "TE",
                                          "Cookie",  "HTTP2-Settings"};

/* ------------------------------------------------------------------------------------- frames */

static void append_u32(GByteArray *out, size_t value)
{
    guint32 little = GUINT32_TO_LE((guint32)value);
    g_byte_array_append(out, (const guint8 *)&little, sizeof(little));
}

static size_t read_u32(const uint8_t *bytes)
{
    guint32 little;
    memcpy(&little, bytes, sizeof(little));
    return GUINT32_FROM_LE(little);
}

void net_encode(GByteArray *out, enum net_type type, const struct net_field *fields, unsigned count)
{
    g_assert(type < G_N_ELEMENTS(types) && types[type].name && count == types[type].fields);
    size_t length = net_payload_length(fields, count);
    g_assert(length <= types[type].max_bytes);
    append_u32(out, length);
    append_u32(out, type);
    for (unsigned i = 0; i < count; i++) {
        append_u32(out, fields[i].length);
        g_byte_array_append(out, (const guint8 *)fields[i].bytes, (guint)fields[i].length);
    }
}

bool net_check_type(const struct net_message *message, enum net_type type, GError **error)
{
    if (message->type == type) {
        g_assert(message->count == types[type].fields);
        return true;
    }
    g_set_error(error, NET_ERROR, ERROR_INVALID, "a message of the type \"%s\" instead of \"%s\"",
                types[message->type].name, types[type].name);
    return false;
}

static bool check_header(size_t type, size_t length, enum net_direction direction, GError **error)
{
    if (type >= G_N_ELEMENTS(types) || !types[type].name) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "a message of the unknown type %zu", type);
        return false;
    }
    if (types[type].direction != direction) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "a message of the type \"%s\" came from %s",
                    types[type].name, direction == NET_TO_NET ? "phantom_ci" : "a helper program");
        return false;
    }
    if (length > types[type].max_bytes) {
        g_set_error(error, NET_ERROR, ERROR_LIMIT, "the %s has %zu bytes; at most %zu are allowed",
                    types[type].name, length, types[type].max_bytes);
        return false;
    }
    return true;
}

/* The payload is complete: its fields must fill it exactly. */
static bool split_fields(const uint8_t *at, size_t left, struct net_message *message)
{
    for (unsigned i = 0; i < message->count; i++) {
        if (left < 4) {
            return false;
        }
        size_t length = read_u32(at);
        at += 4;
        left -= 4;
        if (length > left) {
            return false;
        }
        message->fields[i] = (struct net_field){.bytes = (const char *)at, .length = length};
        at += length;
        left -= length;
    }
    return left == 0;
}

enum net_decode net_decode(const uint8_t *bytes, size_t length, enum net_direction direction,
                           struct net_message *message, size_t *used, GError **error)
{
    if (length < NET_HEADER_BYTES) {
        return NET_INCOMPLETE;
    }
    size_t payload = read_u32(bytes);
    size_t type = read_u32(bytes + 4);
    if (!check_header(type, payload, direction, error)) {
        return NET_BROKEN;
    }
    if (length - NET_HEADER_BYTES < payload) {
        return NET_INCOMPLETE;
    }
    *message = (struct net_message){.type = (enum net_type)type, .count = types[type].fields};
    if (!split_fields(bytes + NET_HEADER_BYTES, payload, message)) {
        g_set_error(error, NET_ERROR, ERROR_INVALID,
                    "the %s does not consist of %u fields that fill it", types[type].name,
                    message->count);
        return NET_BROKEN;
    }
    *used = NET_HEADER_BYTES + payload;
    return NET_MESSAGE;
}

/* ----------------------------------------------------------------------------------- requests */

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i])) {
            return false;
        }
    }
    return length > 0;
}

static bool is_own_header(const char *line, size_t name_length)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(own_headers); i++) {
        if (strlen(own_headers[i]) == name_length &&
            g_ascii_strncasecmp(line, own_headers[i], name_length) == 0) {
            return true;
        }
    }
    return g_ascii_strncasecmp(line, "Proxy-", strlen("Proxy-")) == 0;
}

static bool check_header_line(const char *line, size_t length, GError **error)
{
    const char *colon = memchr(line, ':', length);
    if (!colon || !is_token(line, (size_t)(colon - line))) {
        return net_refuse(error, ERROR_INVALID, "a header is not of the form \"Name: value\"");
    }
    if (is_own_header(line, (size_t)(colon - line))) {
        return net_refuse(error, ERROR_INVALID,
                          "a header is one of those that phantom_ci-net sets itself (Host, "
                          "Content-Length, Connection, Cookie and the like)");
    }
    for (const char *at = colon + 1; at < line + length; at++) {
        if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) {
            return net_refuse(error, ERROR_INVALID,
                              "a header has a control character in its value");
        }
    }
    return true;
}

static bool check_headers(const char *headers, GError **error)
{
    unsigned count = 0;
    if (strlen(headers) > NET_HEADERS_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT, "the headers are longer than 16 KiB");
    }
    const char *line = headers;
    while (*line) {
        size_t length = strcspn(line, "\n");
        if (!check_header_line(line, length, error)) {
            return false;
        }
        if (++count > NET_HEADERS_MAX) {
            return net_refuse(error, ERROR_LIMIT, "there are more than 64 headers");
        }
        line += length + (line[length] == '\n');
    }
    return true;
}

static bool check_request(const struct net_request *request, GError **error)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", NULL};
    if (!net_check_http_url(request->url, strlen(request->url), error) ||
        !check_headers(request->headers ? request->headers : "", error)) {
        return false;
    }
    if (!g_strv_contains(methods, request->method)) {
        return net_refuse(error, ERROR_INVALID, "the method is none of GET, HEAD and POST");
    }
    if (request->body_length > 0 && strcmp(request->method, "POST") != 0) {
        return net_refuse(error, ERROR_INVALID, "only a POST may have a body");
    }
    return net_check_timeout(request->timeout_ms, error);
}

bool net_request_encode(GByteArray *out, const struct net_request *request, GError **error)
{
    char timeout[24];
    g_snprintf(timeout, sizeof(timeout), "%" G_GINT64_FORMAT, request->timeout_ms);
    const struct net_field fields[] = {
        net_field_of(request->id),
        net_field_of(request->url),
        net_field_of(request->method),
        net_field_of(request->headers),
        {request->body ? request->body : "", request->body_length},
        net_field_of(timeout),
    };
    if (!net_field_check_id(&fields[0], error) || !check_request(request, error)) {
        return false;
    }
    if (net_payload_length(fields, G_N_ELEMENTS(fields)) > NET_REQUEST_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT, "the request is longer than 1 MiB");
    }
    net_encode(out, NET_REQUEST, fields, G_N_ELEMENTS(fields));
    return true;
}

bool net_request_parse(const struct net_message *message, struct net_request *request,
                       GError **error)
{
    const struct net_field *fields = message->fields;
    *request = (struct net_request){.id = NULL};
    if (!net_check_type(message, NET_REQUEST, error) || !net_field_check_id(&fields[0], error)) {
        return false;
    }
    request->id = net_field_copy_text(&fields[0]);
    for (unsigned i = 1; i <= 3; i++) {
        if (net_field_has_nul(&fields[i])) {
            return net_refuse(error, ERROR_INVALID,
                              "the URL, method or headers have a NUL in them");
        }
    }
    if (!net_field_parse_timeout(&fields[5], &request->timeout_ms, error)) {
        return false;
    }
    request->url = net_field_copy_text(&fields[1]);
    request->method = net_field_copy_text(&fields[2]);
    request->headers = net_field_copy_text(&fields[3]);
    request->body = net_field_copy_bytes(&fields[4]);
    request->body_length = fields[4].length;
    if (check_request(request, error)) {
        return true;
    }
    char *id = g_steal_pointer(&request->id);
    net_request_clear(request);
    request->id = id;
    return false;
}

void net_request_clear(struct net_request *request)
{
    g_clear_pointer(&request->id, g_free);
    g_clear_pointer(&request->method, g_free);
    wipe_free_string(&request->url);
    wipe_free_string(&request->headers);
    wipe_free(&request->body, request->body_length);
    *request = (struct net_request){.id = NULL};
}

void net_cancel_encode(GByteArray *out, const char *id)
{
    const struct net_field field = net_field_of(id);
    g_assert(net_field_check_id(&field, NULL));
    net_encode(out, NET_CANCEL, &field, 1);
}

char *net_cancel_parse(const struct net_message *message, GError **error)
{
    bool good = net_check_type(message, NET_CANCEL, error) &&
                net_field_check_id(&message->fields[0], error);
    return good ? net_field_copy_text(&message->fields[0]) : NULL;
}

/* ------------------------------------------------------------------------------------ answers */

const char *net_outcome_name(enum net_outcome outcome)
{
    return outcome_names[outcome];
}

static bool parse_outcome(const struct net_field *field, enum net_outcome *outcome)
{
    unsigned place = 0;
    bool known = net_field_parse_name(field, outcome_names, G_N_ELEMENTS(outcome_names), &place);
    *outcome = (enum net_outcome)place;
    return known;
}

static bool status_is_valid(int64_t status, enum net_outcome outcome)
{
    return outcome == NET_OUTCOME_HTTP ? status >= 100 && status <= 599 : status == 0;
}

void net_answer_encode(GByteArray *out, const struct net_answer *answer)
{
    char numbers[4][24];
    const int64_t values[] = {answer->status, answer->retry_after_ms, answer->rate_remaining,
                              answer->rate_reset_ms};
    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        g_snprintf(numbers[i], sizeof(numbers[i]), "%" G_GINT64_FORMAT, values[i]);
    }
    const struct net_field fields[] = {
        net_field_of(answer->id),    net_field_of(outcome_names[answer->outcome]),
        net_field_of(numbers[0]),    net_field_of(numbers[1]),
        net_field_of(numbers[2]),    net_field_of(numbers[3]),
        net_field_of(answer->error), {answer->body ? answer->body : "", answer->body_length},
    };
    g_assert(net_field_check_id(&fields[0], NULL) && net_field_is_error_text(&fields[6]));
    g_assert(status_is_valid(answer->status, answer->outcome));
    g_assert(answer->retry_after_ms >= -1 && answer->retry_after_ms <= NET_WAIT_MAX_MS);
    g_assert(answer->rate_remaining >= -1 && answer->rate_remaining <= G_MAXINT32);
    g_assert(answer->rate_reset_ms >= -1 && answer->rate_reset_ms <= NET_WAIT_MAX_MS);
    g_assert(answer->body_length <= NET_ANSWER_BODY_MAX_BYTES);
    net_encode(out, NET_ANSWER, fields, G_N_ELEMENTS(fields));
}

static bool parse_result(const struct net_field *fields, struct net_answer *answer, GError **error)
{
    int64_t status = 0;
    if (!parse_outcome(&fields[1], &answer->outcome) ||
        !net_field_parse_number(&fields[2], false, 599, &status) ||
        !status_is_valid(status, answer->outcome)) {
        return net_refuse(error, ERROR_INVALID, "the answer's outcome and status do not fit");
    }
    answer->status = (int)status;
    if (!net_field_parse_number(&fields[3], true, NET_WAIT_MAX_MS, &answer->retry_after_ms) ||
        !net_field_parse_number(&fields[4], true, G_MAXINT32, &answer->rate_remaining) ||
        !net_field_parse_number(&fields[5], true, NET_WAIT_MAX_MS, &answer->rate_reset_ms)) {
        return net_refuse(error, ERROR_INVALID, "a number of the answer is none, or out of bounds");
    }
    if (!net_field_is_error_text(&fields[6]) || fields[7].length > NET_ANSWER_BODY_MAX_BYTES) {
        return net_refuse(error, ERROR_INVALID, "the answer's error text or body breaks a rule");
    }
    return true;
}

bool net_answer_parse(const struct net_message *message, struct net_answer *answer, GError **error)
{
    const struct net_field *fields = message->fields;
    *answer = (struct net_answer)NET_ANSWER_INIT;
    if (!net_check_type(message, NET_ANSWER, error) || !net_field_check_id(&fields[0], error) ||
        !parse_result(fields, answer, error)) {
        *answer = (struct net_answer)NET_ANSWER_INIT;
        return false;
    }
    answer->id = net_field_copy_text(&fields[0]);
    answer->error = net_field_copy_text(&fields[6]);
    answer->body = net_field_copy_bytes(&fields[7]);
    answer->body_length = fields[7].length;
    return true;
}

void net_answer_clear(struct net_answer *answer)
{
    g_free(answer->id);
    g_free(answer->error);
    wipe_free(&answer->body, answer->body_length);
    *answer = (struct net_answer)NET_ANSWER_INIT;
}
