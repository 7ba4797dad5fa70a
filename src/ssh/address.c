#include "ssh/address.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/url.h"
#include "ssh/mux.h"

static const char scheme[] = "ssh://";

/* The command goes through the account's login shell. Git's own quoting (sq_quote_buf): a '!' would
 * mean something to csh even between single quotes. */
static void append_quoted(GString *command, const char *path)
{
    g_string_append_c(command, '\'');
    for (; *path; path++) {
        if (*path == '\'' || *path == '!') {
            g_string_append_printf(command, "'\\%c'", *path);
        } else {
            g_string_append_c(command, *path);
        }
    }
    g_string_append_c(command, '\'');
}

/* %XX of a URL; %00 and what is no such thing stay as they are, as in git. */
static char *percent_decoded(const char *text)
{
    GString *decoded = g_string_new(NULL);
    for (; *text; text++) {
        int value = *text == '%' && g_ascii_isxdigit(text[1]) && g_ascii_isxdigit(text[2])
                        ? g_ascii_xdigit_value(text[1]) * 16 + g_ascii_xdigit_value(text[2])
                        : 0;
        g_string_append_c(decoded, value ? (char)value : *text);
        text += value ? 2 : 0;
    }
    return g_string_free(decoded, FALSE);
}

static bool is_number(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* "[user@]host[:port]"; an IPv6 address stands in brackets. Git also reads "[host:port]", which is
 * how the form without a scheme gets a port. */
static void set_destination(struct ssh_address *address, const char *authority)
{
    const char *at = strrchr(authority, '@');
    const char *host = at ? at + 1 : authority;
    bool bracketed = *host == '[';
    const char *begin = bracketed ? host + 1 : host;
    const char *end = begin + strcspn(begin, bracketed ? "]" : ":");
    const char *colon = strchr(end, ':');
    if (colon) {
        address->port = g_strdup(colon + 1);
    }
    g_autofree char *name = g_strndup(begin, (gsize)(end - begin));
    char *inner = strchr(name, ':');
    if (!address->port && inner && is_number(inner + 1)) {
        address->port = g_strdup(inner + 1);
        *inner = '\0';
    }
    address->destination = g_strdup_printf("%.*s%s", (int)(host - authority), authority, name);
}

/* "/~user/x" is "~user/x", for the shell of the server to expand. Git looks at the second character
 * alone, whatever the first one is. */
static void set_command(struct ssh_address *address, const char *path)
{
    g_autoptr(GString) command = g_string_new("git-upload-pack ");
    append_quoted(command, path[0] && path[1] == '~' ? path + 1 : path);
    address->command = g_strdup(command->str);
}

static void split(struct ssh_address *address, const char *url)
{
    bool with_scheme = g_str_has_prefix(url, scheme);
    const char *rest = with_scheme ? url + strlen(scheme) : url;
    const char *bracket = rest[strcspn(rest, "[:/")] == '[' ? strchr(rest, ']') : NULL;
    const char *end = strchr(bracket ? bracket : rest, with_scheme ? '/' : ':');
    g_autofree char *authority = g_strndup(rest, (gsize)(end - rest));
    g_autofree char *path = with_scheme ? percent_decoded(end) : g_strdup(end + 1);
    set_destination(address, authority);
    set_command(address, path);
}

static bool read_option(struct ssh_address *address, const char *line, GError **error)
{
    static const char key[] = "key=";
    if (g_str_has_prefix(line, key) && line[strlen(key)] && !address->key_path) {
        address->key_path = g_strdup(line + strlen(key));
        return true;
    }
    g_autofree char *name = g_strndup(line, strcspn(line, "="));
    g_autofree char *shown = text_escape(name);
    g_set_error(error, SSH_ERROR, ERROR_INVALID,
                "the option \"%s\" is not known here, empty or given twice", shown);
    return false;
}

static bool read_options(struct ssh_address *address, const char *options, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(options, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (**line && !read_option(address, *line, error)) {
            return false;
        }
    }
    return true;
}

static bool parse(const char *url, const char *options, struct ssh_address *address, GError **error)
{
    struct url parts;
    if (!url_parse(url, &parts, error)) {
        return false;
    }
    bool is_ssh = parts.scheme == URL_SSH;
    url_clear(&parts);
    if (!is_ssh) {
        g_set_error_literal(error, SSH_ERROR, ERROR_INVALID, "this is no address of ssh");
        return false;
    }
    split(address, url);
    return read_options(address, options, error);
}

bool ssh_address_parse(const char *url, const char *options, struct ssh_address *address,
                       GError **error)
{
    *address = (struct ssh_address){.destination = NULL};
    if (!parse(url, options, address, error)) {
        ssh_address_clear(address);
        return false;
    }
    /* A key's path may have any character but a newline in it. */
    address->connection = g_strjoin("\n", address->destination, address->port ? address->port : "",
                                    address->key_path ? address->key_path : "", NULL);
    return true;
}

void ssh_address_clear(struct ssh_address *address)
{
    g_clear_pointer(&address->destination, g_free);
    g_clear_pointer(&address->port, g_free);
    g_clear_pointer(&address->key_path, g_free);
    g_clear_pointer(&address->command, g_free);
    g_clear_pointer(&address->connection, g_free);
}
