#include "net/setting.h"

bool setting_long(CURL *handle, CURLoption option, long value, CURLcode *code)
{
    *code = curl_easy_setopt(handle, option, value);
    return *code == CURLE_OK;
}

bool setting_text(CURL *handle, CURLoption option, const char *value, CURLcode *code)
{
    *code = curl_easy_setopt(handle, option, value);
    return *code == CURLE_OK;
}

bool setting_pointer(CURL *handle, CURLoption option, const void *value, CURLcode *code)
{
    *code = curl_easy_setopt(handle, option, value);
    return *code == CURLE_OK;
}

bool setting_all(CURL *handle, const struct setting *settings, unsigned count, CURLcode *code)
{
    for (unsigned i = 0; i < count; i++) {
        if (!setting_long(handle, settings[i].option, settings[i].value, code)) {
            return false;
        }
    }
    return true;
}

bool setting_owner(CURL *handle, curl_write_callback take_header, curl_write_callback take_body,
                   void *owner, char *detail, CURLcode *code)
{
    *code = curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    if (*code == CURLE_OK) {
        *code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    }
    return *code == CURLE_OK && setting_pointer(handle, CURLOPT_HEADERDATA, owner, code) &&
           setting_pointer(handle, CURLOPT_WRITEDATA, owner, code) &&
           setting_pointer(handle, CURLOPT_PRIVATE, owner, code) &&
           setting_pointer(handle, CURLOPT_ERRORBUFFER, detail, code);
}

bool setting_post(CURL *handle, const void *body, size_t length, CURLcode *code)
{
    *code = curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    return *code == CURLE_OK && setting_long(handle, CURLOPT_POST, 1, code) &&
           setting_pointer(handle, CURLOPT_POSTFIELDS, body, code);
}

bool setting_append_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer) {
        *list = longer;
    }
    return longer != NULL;
}
