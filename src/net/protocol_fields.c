#include "net/protocol_internal.h"

#include <string.h>

struct net_field net_field_of(const char *text)
{
    return (struct net_field){.bytes = text ? text : "", .length = text ? strlen(text) : 0};
}

bool net_refuse(GError **error, enum error_code code, const char *what)
{
    g_set_error_literal(error, NET_ERROR, code, what);
    return false;
}

size_t net_payload_length(const struct net_field *fields, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        if (fields[i].length > SIZE_MAX / NET_MAX_FIELDS - 4) {
            return SIZE_MAX;
        }
        length += 4 + fields[i].length;
    }
    return length;
}

char *net_field_copy_text(const struct net_field *field)
{
    return g_strndup(field->bytes, field->length);
}

char *net_field_copy_bytes(const struct net_field *field)
{
    char *copy = g_malloc(field->length + 1);
    memcpy(copy, field->bytes, field->length);
    copy[field->length] = '\0';
    return copy;
}

bool net_field_has_nul(const struct net_field *field)
{
    return field->length > 0 && memchr(field->bytes, '\0', field->length) != NULL;
}

bool net_field_check_id(const struct net_field *field, GError **error)
{
    bool good = field->length >= 1 && field->length <= NET_ID_MAX_BYTES;
    for (size_t i = 0; good && i < field->length; i++) {
        good = g_ascii_isalnum(field->bytes[i]) ||
               (field->bytes[i] != '\0' && strchr("._:-", field->bytes[i]));
    }
    return good || net_refuse(error, ERROR_INVALID,
                              "an id must be 1 to 64 letters, digits, '.', '_', ':' or '-'");
}

bool net_field_parse_number(const struct net_field *field, bool may_be_none, int64_t most,
                            int64_t *value)
{
    char digits[24];
    guint64 number = 0;
    if (field->length == 0 || field->length >= sizeof(digits) || net_field_has_nul(field)) {
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

bool net_check_timeout(int64_t timeout_ms, GError **error)
{
    return (timeout_ms >= 1 && timeout_ms <= NET_TIMEOUT_MAX_MS) ||
           net_refuse(error, ERROR_INVALID, "the timeout is not within 1 ms and 10 minutes");
}

bool net_field_parse_timeout(const struct net_field *field, int64_t *timeout_ms, GError **error)
{
    bool is_number = net_field_parse_number(field, false, NET_TIMEOUT_MAX_MS, timeout_ms);
    return net_check_timeout(is_number ? *timeout_ms : 0, error);
}

bool net_field_parse_name(const struct net_field *field, const char *const *names, unsigned count,
                          unsigned *place)
{
    for (unsigned i = 0; i < count; i++) {
        if (field->length == strlen(names[i]) &&
            memcmp(field->bytes, names[i], field->length) == 0) {
            *place = i;
            return true;
        }
    }
    return false;
}

bool net_field_is_error_text(const struct net_field *field)
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

bool net_check_http_url(const char *url, size_t length, GError **error)
{
    if (length > NET_URL_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT, "the URL is longer than 8192 bytes");
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)url[i] <= 0x20 || url[i] == 0x7f || url[i] == '\\') {
            return net_refuse(error, ERROR_INVALID,
                              "the URL has a blank, a backslash or a control character in it");
        }
    }
    const char *rest = g_ascii_strncasecmp(url, "https://", 8) == 0  ? url + 8
                       : g_ascii_strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                                     : NULL;
    if (!rest) {
        return net_refuse(error, ERROR_INVALID, "the URL does not begin with https:// or http://");
    }
    if (*rest == '\0' || strchr("/?#:@", *rest)) {
        return net_refuse(error, ERROR_INVALID, "the URL has no host");
    }
    return true;
}
