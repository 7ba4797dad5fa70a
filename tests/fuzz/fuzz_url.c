/* Addresses and branch names: whatever the bytes, nothing that is accepted may become an option, a
 * command or a password on display. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_address(const char *text)
{
    struct url url;
    GError *error = NULL;
    bool ok = url_parse(text, &url, &error);
    require(ok == (error == NULL));
    g_autofree char *shown = url_for_display(text);
    for (const char *p = shown; *p; p++)
        require((unsigned char)*p >= 0x20 && *p != 0x7f);
    g_clear_error(&error);
    if (!ok)
        return;
    require(text[0] != '-' && url.path && url.path[0] != '-' && url.path[0] != '\0');
    require((url.scheme == URL_FILE) == (url.host == NULL));
    require(!url.host ||
            (url.host[0] != '-' && url.host[0] != '\0' && !strpbrk(url.host, "@/ %'\"`$;&|")));
    require(!url.user || (url.user[0] != '-' && !strpbrk(url.user, ":@/ %'\"`$;&|")));
    require(url.scheme != URL_FILE || url.path[0] == '/');
    for (const char *p = text; *p; p++)
        require((unsigned char)*p > 0x20 && *p != 0x7f);
    url_clear(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    check_address(text);
    if (url_branch_name_is_valid(text, NULL))
        require(text[0] != '-' && text[0] != '/' && !strstr(text, "..") &&
                !strpbrk(text, " ~^:?*[\\\n\t") && !g_str_has_suffix(text, ".lock") &&
                !strstr(text, "//"));
    return 0;
}
