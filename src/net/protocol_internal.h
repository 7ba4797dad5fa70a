/* Fields of messages: what protocol.c and look_protocol.c share. */
#ifndef PHANTOM_CI_NET_PROTOCOL_INTERNAL_H
#define PHANTOM_CI_NET_PROTOCOL_INTERNAL_H

#include "base/error.h"
#include "net/protocol.h"

/* Sets `error` in NET_ERROR to a text that holds nothing foreign. Always false. */
bool net_refuse(GError **error, enum error_code code, const char *what);

/* ERROR_INVALID when a message is of another type than its reader is for. */
bool net_check_type(const struct net_message *message, enum net_type type, GError **error);

/* All fields of a message, its header not counted; SIZE_MAX when that can't be counted. */
size_t net_payload_length(const struct net_field *fields, unsigned count);

/* NULL is "". Nothing is copied. */
struct net_field net_field_of(const char *text);

/* What a field holds and a NUL behind it: of text up to its first NUL, of bytes all of them. Free
 * with g_free(). */
char *net_field_copy_text(const struct net_field *field);
char *net_field_copy_bytes(const struct net_field *field);

bool net_field_has_nul(const struct net_field *field);
bool net_field_check_id(const struct net_field *field, GError **error);

/* Digits of a number of at most `most`, or "-1" where there may be none. */
bool net_field_parse_number(const struct net_field *field, bool may_be_none, int64_t most,
                            int64_t *value);

/* 1 to NET_TIMEOUT_MAX_MS. */
bool net_check_timeout(int64_t timeout_ms, GError **error);
bool net_field_parse_timeout(const struct net_field *field, int64_t *timeout_ms, GError **error);

/* The place of the field's text in `names`. */
bool net_field_parse_name(const struct net_field *field, const char *const *names, unsigned count,
                          unsigned *place);

/* At most NET_ERROR_TEXT_MAX_BYTES of UTF-8 without control characters. */
bool net_field_is_error_text(const struct net_field *field);

/* http:// or https://, a host, no blanks, no control bytes. The rest of the grammar is libcurl's;
 * this is what makes it safe to hand on. */
bool net_check_http_url(const char *url, size_t length, GError **error);

#endif
