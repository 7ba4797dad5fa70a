#include "git/credential.h"

#include <string.h>

#include "base/error.h"
#include "base/wipe.h"
#include "git/url.h"

static bool refuse(GError **error, const char *what)
{
    g_set_error(error, GIT_ERROR, ERROR_INVALID, "git credential fill printed %s", what);
    return false;
}

static char **find_field(struct git_credential *credential, const char *name, size_t length)
{
    const struct {
        const char *name;
        char **field;
    } fields[] = {
        {"protocol", &credential->protocol}, {"host", &credential->host},
        {"path", &credential->path},         {"username", &credential->username},
        {"password", &credential->password},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (strlen(fields[i].name) == length && strncmp(fields[i].name, name, length) == 0) {
            return fields[i].field;
        }
    }
    return NULL;
}

/* "name=value"; names that are not known here are passed over. */
static bool take_line(struct git_credential *credential, const char *line, size_t length,
                      GError **error)
{
    const char *equals = memchr(line, '=', length);
    if (!equals || memchr(line, '\0', length)) {
        return refuse(error, "a line that is no \"name=value\"");
    }
    char **field = find_field(credential, line, (size_t)(equals - line));
    if (field) {
        wipe_free_string(field);
        *field = g_strndup(equals + 1, length - (size_t)(equals + 1 - line));
    }
    return true;
}

static bool is_complete(const struct git_credential *credential)
{
    return credential->protocol && *credential->protocol && credential->host && *credential->host &&
           credential->username && credential->password;
}

bool git_credential_parse(const char *text, size_t length, struct git_credential *credential,
                          GError **error)
{
    *credential = (struct git_credential){.protocol = NULL};
    bool good = length <= GIT_CREDENTIAL_MAX_BYTES || refuse(error, "more than 16 KiB");
    for (size_t at = 0; good && at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t part = end ? (size_t)(end - (text + at)) : length - at;
        if (part == 0) {
            break; /* the end of a credential */
        }
        good = take_line(credential, text + at, part, error);
        at += part + 1;
    }
    if (good && !is_complete(credential)) {
        good = refuse(error, "no user name and password");
    }
    if (!good) {
        git_credential_clear(credential);
    }
    return good;
}

char *git_credential_format(const struct git_credential *credential)
{
    return g_strdup_printf("protocol=%s\nhost=%s\n%s%s%susername=%s\npassword=%s\n\n",
                           credential->protocol, credential->host, credential->path ? "path=" : "",
                           credential->path ? credential->path : "", credential->path ? "\n" : "",
                           credential->username, credential->password);
}

char *git_credential_prefix(const struct git_credential *credential)
{
    return g_strdup_printf("%s://%s/%s", credential->protocol, credential->host,
                           credential->path ? credential->path : "");
}

void git_credential_clear(struct git_credential *credential)
{
    g_free(credential->protocol);
    g_free(credential->host);
    g_free(credential->path);
    wipe_free_string(&credential->username);
    wipe_free_string(&credential->password);
    *credential = (struct git_credential){.protocol = NULL};
}
