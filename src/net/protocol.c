#include "net/protocol.h"

#include <string.h>

#include "base/error.h"
#include "base/wipe.h"

static const struct {
    const char *name; /* NULL: no such type */
    enum net_direction direction;
    unsigned fields;
    size_t max_bytes;
} types[] = {
    [NET_REQUEST] = {"request", NET_TO_NET, 6, NET_REQUEST_MAX_BYTES},
    [NET_CANCEL] = {"cancel", NET_TO_NET, 1, NET_CANCEL_MAX_BYTES},
    [NET_ANSWER] = {"answer", NET_FROM_NET, 8, NET_ANSWER_MAX_BYTES},
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
    size_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        g_assert(fields[i].length <= types[type].max_bytes);
        length += 4 + fields[i].length;
    }
    g_assert(length <= types[type].max_bytes);
    append_u32(out, length);
    append_u32(out, type);
    for (unsigned i = 0; i < count; i++) {
        append_u32(out, fields[i].length);
        g_byte_array_append(out, (const guint8 *)fields[i].bytes, (guint)fields[i].length);
    }
}

static bool check_header(size_t type, size_t length, enum net_direction direction, GError **error)
{
    if (type >= G_N_ELEMENTS(types) || !types[type].name) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "a message of the unknown type %zu", type);
        return false;
    }
    if (types[type].direction != direction) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "a message of the type \"%s\" came from %s",
                    types[type].name, direction == NET_TO_NET ? "phantom_ci" : "phantom_ci-net");
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

/* ------------------------------------------------------------------------------------- fields */

static struct net_field field_of(const char *text)
{
    return (struct net_field){.bytes = text ? text : "", .length = text ? strlen(text) : 0};
}

static bool refuse(GError **error, enum error_code code, const char *what)
{
    g_set_error_literal(error, NET_ERROR, code, what);
    return false;
}

static bool has_nul(const struct net_field *field)
{
    return field->length > 0 && memchr(field->bytes, '\0', field->length) != NULL;
}

static bool check_id(const struct net_field *field, GError **error)
{
    bool good = field->length >= 1 && field->length <= NET_ID_MAX_BYTES;
    for (size_t i = 0; good && i < field->length; i++) {
        good = g_ascii_isalnum(field->bytes[i]) ||
               (field->bytes[i] != '\0' && strchr("._:-", field->bytes[i]));
    }
    return good || refuse(error, ERROR_INVALID,
                          "an id must be 1 to 64 letters, digits, '.', '_', ':' or '-'");
}

/* Digits only, or "-1" where that is allowed. */
static bool parse_number(const struct net_field *field, bool may_be_none, int64_t most,
                         int64_t *value)
{
    char digits[24];
    guint64 number = 0;
    if (field->length == 0 || field->length >= sizeof(digits) || has_nul(field)) {
        return false;
    }
    memcpy(digits, field->bytes, field->length);
    digits[field->length] = '\0';
    if (may_be_none && strcmp(digits, "-1") == 0) {
        *value = -1;
        return true;
    }
    /* Not left to GLib alone: it takes a vertical tab for a blank that may stand in front. */
    if (strspn(digits, "0123456789") != field->length ||
        !g_ascii_string_to_unsigned(digits, 10, 0, (guint64)most, &number, NULL)) {
        return false;
    }
    *value = (int64_t)number;
    return true;
}

/* ----------------------------------------------------------------------------------- requests */

/* The rest of the URL's grammar is libcurl's; this is what makes it safe to hand on. */
static bool check_url(const char *url, size_t length, GError **error)
{
    if (length > NET_URL_MAX_BYTES) {
        return refuse(error, ERROR_LIMIT, "the URL is longer than 8192 bytes");
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)url[i] <= 0x20 || url[i] == 0x7f || url[i] == '\\') {
            return refuse(error, ERROR_INVALID,
                          "the URL has a blank, a backslash or a control character in it");
        }
    }
    const char *rest = g_ascii_strncasecmp(url, "https://", 8) == 0  ? url + 8
                       : g_ascii_strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                                     : NULL;
    if (!rest) {
        return refuse(error, ERROR_INVALID, "the URL does not begin with https:// or http://");
    }
    if (*rest == '\0' || strchr("/?#:@", *rest)) {
        return refuse(error, ERROR_INVALID, "the URL has no host");
    }
    return true;
}

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
        return refuse(error, ERROR_INVALID, "a header is not of the form \"Name: value\"");
    }
    if (is_own_header(line, (size_t)(colon - line))) {
        return refuse(error, ERROR_INVALID,
                      "a header is one of those that phantom_ci-net sets itself (Host, "
                      "Content-Length, Connection, Cookie and the like)");
    }
    for (const char *at = colon + 1; at < line + length; at++) {
        if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) {
            return refuse(error, ERROR_INVALID, "a header has a control character in its value");
        }
    }
    return true;
}

static bool check_headers(const char *headers, GError **error)
{
    unsigned count = 0;
    if (strlen(headers) > NET_HEADERS_MAX_BYTES) {
        return refuse(error, ERROR_LIMIT, "the headers are longer than 16 KiB");
    }
    const char *line = headers;
    while (*line) {
        size_t length = strcspn(line, "\n");
        if (!check_header_line(line, length, error)) {
            return false;
        }
        if (++count > NET_HEADERS_MAX) {
            return refuse(error, ERROR_LIMIT, "there are more than 64 headers");
        }
        line += length + (line[length] == '\n');
    }
    return true;
}

static bool check_request(const struct net_request *request, GError **error)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", NULL};
    if (!check_url(request->url, strlen(request->url), error) ||
        !check_headers(request->headers ? request->headers : "", error)) {
        return false;
    }
    if (!g_strv_contains(methods, request->method)) {
        return refuse(error, ERROR_INVALID, "the method is none of GET, HEAD and POST");
    }
    if (request->body_length > 0 && strcmp(request->method, "POST") != 0) {
        return refuse(error, ERROR_INVALID, "only a POST may have a body");
    }
    if (request->timeout_ms < 1 || request->timeout_ms > NET_TIMEOUT_MAX_MS) {
        return refuse(error, ERROR_INVALID, "the timeout is not within 1 ms and 10 minutes");
    }
    return true;
}

bool net_request_encode(GByteArray *out, const struct net_request *request, GError **error)
{
    char timeout[24];
    g_snprintf(timeout, sizeof(timeout), "%" G_GINT64_FORMAT, request->timeout_ms);
    const struct net_field fields[] = {
        field_of(request->id),
        field_of(request->url),
        field_of(request->method),
        field_of(request->headers),
        {request->body ? request->body : "", request->body_length},
        field_of(timeout),
    };
    if (!check_id(&fields[0], error) || !check_request(request, error)) {
        return false;
    }
    size_t length = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        length += MIN(fields[i].length, NET_REQUEST_MAX_BYTES) + 4;
    }
    if (length > NET_REQUEST_MAX_BYTES) {
        return refuse(error, ERROR_LIMIT, "the request is longer than 1 MiB");
    }
    net_encode(out, NET_REQUEST, fields, G_N_ELEMENTS(fields));
    return true;
}

static char *copy_field(const struct net_field *field)
{
    return g_strndup(field->bytes, field->length);
}

static char *copy_bytes(const struct net_field *field)
{
    char *copy = g_malloc(field->length + 1);
    memcpy(copy, field->bytes, field->length);
    copy[field->length] = '\0';
    return copy;
}

bool net_request_parse(const struct net_message *message, struct net_request *request,
                       GError **error)
{
    const struct net_field *fields = message->fields;
    *request = (struct net_request){.id = NULL};
    g_assert(message->type == NET_REQUEST && message->count == 6);
    if (!check_id(&fields[0], error)) {
        return false;
    }
    request->id = copy_field(&fields[0]);
    for (unsigned i = 1; i <= 3; i++) {
        if (has_nul(&fields[i])) {
            return refuse(error, ERROR_INVALID, "the URL, method or headers have a NUL in them");
        }
    }
    if (!parse_number(&fields[5], false, NET_TIMEOUT_MAX_MS, &request->timeout_ms)) {
        return refuse(error, ERROR_INVALID, "the timeout is not within 1 ms and 10 minutes");
    }
    request->url = copy_field(&fields[1]);
    request->method = copy_field(&fields[2]);
    request->headers = copy_field(&fields[3]);
    request->body = copy_bytes(&fields[4]);
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
    const struct net_field field = field_of(id);
    g_assert(check_id(&field, NULL));
    net_encode(out, NET_CANCEL, &field, 1);
}

char *net_cancel_parse(const struct net_message *message, GError **error)
{
    g_assert(message->type == NET_CANCEL && message->count == 1);
    return check_id(&message->fields[0], error) ? copy_field(&message->fields[0]) : NULL;
}

/* ------------------------------------------------------------------------------------ answers */

const char *net_outcome_name(enum net_outcome outcome)
{
    return outcome_names[outcome];
}

static bool parse_outcome(const struct net_field *field, enum net_outcome *outcome)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(outcome_names); i++) {
        if (field->length == strlen(outcome_names[i]) &&
            memcmp(field->bytes, outcome_names[i], field->length) == 0) {
            *outcome = (enum net_outcome)i;
            return true;
        }
    }
    return false;
}

static bool is_error_text(const struct net_field *field)
{
    if (field->length > NET_ERROR_TEXT_MAX_BYTES ||
        !g_utf8_validate(field->bytes, (gssize)field->length, NULL)) {
        return false;
    }
    for (size_t i = 0; i < field->length; i++) {
        if ((unsigned char)field->bytes[i] < 0x20 || field->bytes[i] == 0x7f) {
            return false;
        }
    }
    return true;
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
        field_of(answer->id),    field_of(outcome_names[answer->outcome]),
        field_of(numbers[0]),    field_of(numbers[1]),
        field_of(numbers[2]),    field_of(numbers[3]),
        field_of(answer->error), {answer->body ? answer->body : "", answer->body_length},
    };
    g_assert(check_id(&fields[0], NULL) && is_error_text(&fields[6]));
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
        !parse_number(&fields[2], false, 599, &status) ||
        !status_is_valid(status, answer->outcome)) {
        return refuse(error, ERROR_INVALID, "the answer's outcome and status do not fit");
    }
    answer->status = (int)status;
    if (!parse_number(&fields[3], true, NET_WAIT_MAX_MS, &answer->retry_after_ms) ||
        !parse_number(&fields[4], true, G_MAXINT32, &answer->rate_remaining) ||
        !parse_number(&fields[5], true, NET_WAIT_MAX_MS, &answer->rate_reset_ms)) {
        return refuse(error, ERROR_INVALID, "a number of the answer is none, or out of bounds");
    }
    if (!is_error_text(&fields[6]) || fields[7].length > NET_ANSWER_BODY_MAX_BYTES) {
        return refuse(error, ERROR_INVALID, "the answer's error text or body breaks a rule");
    }
    return true;
}

bool net_answer_parse(const struct net_message *message, struct net_answer *answer, GError **error)
{
    const struct net_field *fields = message->fields;
    *answer = (struct net_answer)NET_ANSWER_INIT;
    g_assert(message->type == NET_ANSWER && message->count == 8);
    if (!check_id(&fields[0], error) || !parse_result(fields, answer, error)) {
        *answer = (struct net_answer)NET_ANSWER_INIT;
        return false;
    }
    answer->id = copy_field(&fields[0]);
    answer->error = copy_field(&fields[6]);
    answer->body = copy_bytes(&fields[7]);
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
