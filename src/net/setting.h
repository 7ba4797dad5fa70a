/* Options of a libcurl handle. Each function sets *code to what libcurl said, and is true when that
 * was CURLE_OK: so they can be tied together with &&. */
#ifndef PHANTOM_CI_NET_SETTING_H
#define PHANTOM_CI_NET_SETTING_H

#include <curl/curl.h>
#include <stdbool.h>

struct setting {
    CURLoption option;
    long value;
};

bool setting_long(CURL *handle, CURLoption option, long value, CURLcode *code);
bool setting_text(CURL *handle, CURLoption option, const char *value, CURLcode *code);
bool setting_pointer(CURL *handle, CURLoption option, const void *value, CURLcode *code);
bool setting_all(CURL *handle, const struct setting *settings, unsigned count, CURLcode *code);

/* What the lines of the head and the pieces of the body are given to, with `owner`, which is also
 * the handle's private pointer; `detail` has CURL_ERROR_SIZE bytes. */
bool setting_owner(CURL *handle, curl_write_callback take_header, curl_write_callback take_body,
                   void *owner, char *detail, CURLcode *code);

/* The body of a POST, which is not copied. */
bool setting_post(CURL *handle, const void *body, size_t length, CURLcode *code);

/* Appends a copy of `line`; false without memory, and the list is as it was. */
bool setting_append_line(struct curl_slist **list, const char *line);

#endif
