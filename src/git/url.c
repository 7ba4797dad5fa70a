#include "git/url.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

enum { URL_MAX_BYTES = 4096, BRANCH_MAX_BYTES = 1024 };

static const struct {
    const char *prefix;
    const char *protocol;
} schemes[] = {
    [URL_HTTPS] = {"https://", "https"}, [URL_HTTP] = {"http://", "http"},
    [URL_SSH] = {"ssh://", "ssh"},       [URL_FILE] = {"file://", "file"},
    [URL_GIT] = {"git://", "git"},
};

static bool refuse(GError **error, const char *reason)
{
    g_set_error(error, GIT_ERROR, ERROR_INVALID, "not an address of a repository: %s", reason);
    return false;
}

/* Git decodes %XX in ssh:// and file:// addresses before it takes them apart: an encoded control
 * byte would come alive behind our back. */
static bool has_encoded_control(const char *text)
{
    for (const char *p = strchr(text, '%'); p; p = strchr(p + 1, '%')) {
        if (!g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2])) {
            continue;
        }
        int value = g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2]);
        if (value < 0x20 || value == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool characters_are_safe(const char *text, GError **error)
{
    if (text[0] == '\0') {
        return refuse(error, "it is empty");
    }
    if (text[0] == '-') {
        return refuse(error, "it begins with '-'");
    }
    if (strlen(text) > URL_MAX_BYTES) {
        return refuse(error, "it is longer than 4096 bytes");
    }
    if (!g_utf8_validate(text, -1, NULL)) {
        return refuse(error, "it is not valid UTF-8");
    }
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_iscntrl(c)) {
            return refuse(error, "it has a control character in it");
        }
        if (g_unichar_isspace(c)) {
            return refuse(error, "it has a blank in it");
        }
    }
    if (has_encoded_control(text)) {
        return refuse(error, "it has an encoded control character (such as %0a) in it");
    }
    return true;
}

static bool host_is_valid(const char *host, GError **error)
{
    if (host[0] == '\0') {
        return refuse(error, "the host is missing");
    }
    if (host[0] == '-') {
        return refuse(error, "the host begins with '-'");
    }
    size_t allowed =
        host[0] == '['
            ? 1 + strspn(host + 1, "0123456789abcdefABCDEF:.")
            : strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    if (host[0] == '[' && allowed > 1 && host[allowed] == ']' && strchr(host, ':')) {
        allowed++;
    }
    if (host[allowed] != '\0' || strcmp(host, "[") == 0) {
        return refuse(error, "the host has characters that no host name has");
    }
    return true;
}

static bool user_is_valid(const char *user, GError **error)
{
    if (user[0] == '\0') {
        return refuse(error, "there is no user before '@'");
    }
    if (user[0] == '-') {
        return refuse(error, "the user begins with '-'");
    }
    if (strchr(user, ':')) {
        return refuse(error, "it has a password in it, which would be visible to everyone: "
                             "use a credential helper of git or an ssh key");
    }
    for (const char *p = user; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("._~+-", *p)) {
            return refuse(error, "the user has characters that no user name has");
        }
    }
    return true;
}

static bool port_is_valid(const char *port, GError **error)
{
    size_t digits = strspn(port, "0123456789");
    guint64 number =
        digits > 0 && digits <= 5 && port[digits] == '\0' ? g_ascii_strtoull(port, NULL, 10) : 0;
    if (number == 0 || number > 65535) {
        return refuse(error, "the port is not a number from 1 to 65535");
    }
    return true;
}

/* "[user@]host[:port]"; the port only where `with_port`. */
static bool parse_authority(const char *authority, bool with_port, struct url *url, GError **error)
{
    const char *at = strrchr(authority, '@');
    const char *host = at ? at + 1 : authority;
    if (at) {
        url->user = g_strndup(authority, (gsize)(at - authority));
        if (!user_is_valid(url->user, error)) {
            return false;
        }
    }
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    if (host[0] == '[' && !end) {
        return refuse(error, "the host has a '[' and no ']'");
    }
    const char *colon = with_port ? strchr(end ? end : host, ':') : NULL;
    if (colon) {
        url->port = g_strdup(colon + 1);
        if (!port_is_valid(url->port, error)) {
            return false;
        }
    }
    g_autofree char *name = colon ? g_strndup(host, (gsize)(colon - host)) : g_strdup(host);
    if (!host_is_valid(name, error)) {
        return false;
    }
    url->host = g_ascii_strdown(name, -1);
    return true;
}

static bool parse_network_url(const char *rest, struct url *url, GError **error)
{
    const char *slash = strchr(rest, '/');
    g_autofree char *authority = slash ? g_strndup(rest, (gsize)(slash - rest)) : g_strdup(rest);
    if (!parse_authority(authority, true, url, error)) {
        return false;
    }
    if (!slash || slash[1] == '\0') {
        return refuse(error, "the path of the repository is missing behind the host");
    }
    if (strstr(slash, "::")) {
        return refuse(error, "\"::\" names a transport helper");
    }
    if (url->scheme == URL_GIT && url->user) {
        return refuse(error, "git:// knows no users");
    }
    if (url->scheme != URL_SSH && strpbrk(slash, "?#")) {
        return refuse(error, "'?' and '#' have no meaning in it");
    }
    url->path = g_strdup(slash);
    return true;
}

static bool parse_file_url(const char *rest, struct url *url, GError **error)
{
    if (rest[0] != '/') {
        return refuse(error,
                      "file:// needs an absolute path and no host, as in file:///srv/app.git");
    }
    if (strstr(rest, "::")) {
        return refuse(error, "\"::\" names a transport helper");
    }
    url->path = g_uri_unescape_string(rest, NULL);
    if (!url->path) {
        url->path = g_strdup(rest);
    }
    return true;
}

/* "[user@]host:path", as git takes it: a colon before the first slash. */
static bool parse_scp_like(const char *text, struct url *url, GError **error)
{
    const char *bracket = text[strcspn(text, "[:/")] == '[' ? strchr(text, ']') : NULL;
    const char *from = bracket ? bracket : text;
    const char *colon = strchr(from, ':');
    const char *slash = strchr(from, '/');
    if (!colon || (slash && slash < colon)) {
        return refuse(error,
                      "a path must be absolute; a remote one has a scheme (https://, ssh://, "
                      "file://) or the form host:path");
    }
    if (strstr(from, "::")) {
        return refuse(error, "\"::\" names a transport helper, and helpers run commands");
    }
    url->scheme = URL_SSH;
    g_autofree char *authority = g_strndup(text, (gsize)(colon - text));
    if (!strchr(authority, '@') && g_ascii_strcasecmp(authority, "file") == 0) {
        return refuse(error,
                      "file: needs two slashes and an absolute path, as in file:///srv/app.git");
    }
    /* In user:password@host:path the first colon stands before the '@'. */
    const char *at = strchr(colon, '@');
    if (at && !strchr(authority, '@') && !memchr(colon, '/', (size_t)(at - colon)) &&
        strchr(at, ':')) {
        return refuse(error, "it has a password in it, which would be visible to everyone: "
                             "use an ssh key");
    }
    if (!parse_authority(authority, false, url, error)) {
        return false;
    }
    if (colon[1] == '\0') {
        return refuse(error, "the path of the repository is missing behind the host");
    }
    if (colon[1] == '-') {
        return refuse(error, "the path begins with '-'");
    }
    url->path = g_strdup(colon + 1);
    return true;
}

static bool parse_into(const char *text, struct url *url, GError **error)
{
    if (!characters_are_safe(text, error)) {
        return false;
    }
    if (text[0] == '/') {
        if (strstr(text, "::")) {
            return refuse(error, "\"::\" names a transport helper");
        }
        url->scheme = URL_FILE;
        url->path = g_strdup(text);
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (!g_str_has_prefix(text, schemes[i].prefix)) {
            continue;
        }
        url->scheme = (enum url_scheme)i;
        const char *rest = text + strlen(schemes[i].prefix);
        return i == URL_FILE ? parse_file_url(rest, url, error)
                             : parse_network_url(rest, url, error);
    }
    /* Git looks for a program git-remote-SCHEME for every scheme that it does not know, EXT and
     * HTTPS in capitals included. */
    if (strstr(text, "://")) {
        return refuse(error,
                      "its scheme must be one of https, http, ssh, git and file, in lower case");
    }
    return parse_scp_like(text, url, error);
}

bool url_parse(const char *text, struct url *url, GError **error)
{
    *url = (struct url){.scheme = URL_HTTPS};
    if (parse_into(text, url, error)) {
        return true;
    }
    url_clear(url);
    return false;
}

void url_clear(struct url *url)
{
    g_clear_pointer(&url->host, g_free);
    g_clear_pointer(&url->port, g_free);
    g_clear_pointer(&url->user, g_free);
    g_clear_pointer(&url->path, g_free);
}

char *url_for_display(const char *text)
{
    if (!text) {
        return g_strdup("");
    }
    struct url url;
    const char *scheme_end = strstr(text, "://");
    const char *start = scheme_end ? scheme_end + 3 : text;
    const char *at = NULL;
    if (!url_parse(text, &url, NULL)) {
        /* What can't be taken apart may have a password with any character in it. */
        at = strrchr(start, '@');
    } else {
        if (url.user) {
            at = strchr(start, '@');
        }
        url_clear(&url);
    }
    g_autofree char *shown =
        g_strdup_printf("%.*s%s", (int)(start - text), text, at ? at + 1 : start);
    return text_escape(shown);
}

const char *url_scheme_protocol(enum url_scheme scheme)
{
    return schemes[scheme].protocol;
}

static bool refuse_name(GError **error, const char *branch, const char *reason)
{
    g_autofree char *shown = text_escape(branch);
    g_set_error(error, GIT_ERROR, ERROR_INVALID,
                "\"%s\" can't be the name of a branch or a tag: %s", shown, reason);
    return false;
}

/* One component between slashes (git check-ref-format(1), rules 1 and 6). */
static const char *component_fault(const char *component, size_t length)
{
    if (length == 0) {
        return "it begins or ends with '/', or has \"//\" in it";
    }
    if (component[0] == '.') {
        return "a part of it begins with '.'";
    }
    if (length >= 5 && memcmp(component + length - 5, ".lock", 5) == 0) {
        return "a part of it ends in \".lock\"";
    }
    return NULL;
}

bool url_remote_branch_is_valid(const char *branch, GError **error)
{
    size_t length = strlen(branch);
    if (length == 0) {
        return refuse_name(error, branch, "it is empty");
    }
    if (length > BRANCH_MAX_BYTES) {
        return refuse_name(error, "...", "it is longer than 1024 bytes");
    }
    if (!g_utf8_validate(branch, (gssize)length, NULL)) {
        return refuse_name(error, branch, "it is not valid UTF-8");
    }
    if (strcmp(branch, "@") == 0 || strcmp(branch, "HEAD") == 0) {
        return refuse_name(error, branch, "git gives that word another meaning");
    }
    for (const char *p = branch; *p; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f) {
            return refuse_name(error, branch, "it has a blank or a control character in it");
        }
        if (strchr("~^:?*[\\", *p)) {
            return refuse_name(error, branch, "it has one of ~ ^ : ? * [ \\ in it");
        }
    }
    if (strstr(branch, "..") || strstr(branch, "@{") || branch[length - 1] == '.') {
        return refuse_name(error, branch, "it has \"..\" or \"@{\" in it, or ends with '.'");
    }
    for (const char *part = branch; part;) {
        const char *slash = strchr(part, '/');
        const char *fault = component_fault(part, slash ? (size_t)(slash - part) : strlen(part));
        if (fault) {
            return refuse_name(error, branch, fault);
        }
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

bool url_branch_name_is_valid(const char *branch, GError **error)
{
    if (branch[0] == '-') {
        return refuse_name(error, branch, "it begins with '-'");
    }
    return url_remote_branch_is_valid(branch, error);
}
