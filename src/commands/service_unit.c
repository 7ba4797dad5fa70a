#include "commands/service_unit.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "commands/service_manager.h"
#include "service_templates.h"

static const char mark[] = "# Written by phantom_ci configure service, sha256 ";

/* systemd.syntax(7) for the quotes, systemd.unit(5) for "%". `$` has a meaning in commands alone.
 */
static char *quote(const char *word, bool is_command)
{
    g_autoptr(GString) quoted = g_string_new("\"");
    for (const char *at = word; *at; at++) {
        if (*at == '%' || (*at == '$' && is_command)) {
            g_string_append_c(quoted, *at);
            g_string_append_c(quoted, *at);
        } else if (*at == '"' || *at == '\\') {
            g_string_append_c(quoted, '\\');
            g_string_append_c(quoted, *at);
        } else if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            g_string_append_printf(quoted, "\\x%02x", (unsigned)(unsigned char)*at);
        } else {
            g_string_append_c(quoted, *at);
        }
    }
    g_string_append_c(quoted, '"');
    bool is_plain = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "/._-=:@+,") == strlen(word);
    return is_plain && *word ? g_strdup(word) : g_string_free(g_steal_pointer(&quoted), FALSE);
}

static bool has_controls(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool refuse_name(const char *name, const char *why, GError **error)
{
    g_autofree char *shown = text_escape(name);
    g_set_error(error, SERVICE_ERROR, ERROR_INVALID,
                "a unit can't name %s: %s; give it another name", shown, why);
    return false;
}

bool service_check_names(const struct service *service, GError **error)
{
    const struct paths *paths = service->paths;
    const char *env_file = service->env_file ? service->env_file : "";
    const char *const names[] = {service->executable, service->home ? service->home : "",
                                 paths->config,       paths->state,
                                 paths->cache,        env_file};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (has_controls(names[i]) || !g_utf8_validate(names[i], -1, NULL)) {
            return refuse_name(names[i], "it has control characters or is not UTF-8", error);
        }
    }
    /* systemd takes no such executable, and no escape for it (string_is_safe()); in argv[0] it
     * would replace ${variables}. */
    if (strpbrk(service->executable, "\"'\\$")) {
        return refuse_name(service->executable,
                           "systemd starts no program with a quote, a backslash or $ in its path",
                           error);
    }
    /* It is written as it is: blanks at its end would be lost, a backslash would join lines. */
    if (*env_file && strchr(" \\", env_file[strlen(env_file) - 1])) {
        return refuse_name(env_file, "it ends with a blank or a backslash", error);
    }
    return true;
}

/* The daemon's argv. */
static GPtrArray *list_words(const struct service *service)
{
    GPtrArray *words = g_ptr_array_new();
    const char *const options[][2] = {{"--config-dir", service->config_dir},
                                      {"--state-dir", service->state_dir},
                                      {"--cache-dir", service->cache_dir}};
    g_ptr_array_add(words, (char *)service->executable);
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        if (options[i][1]) {
            g_ptr_array_add(words, (char *)options[i][0]);
            g_ptr_array_add(words, (char *)options[i][1]);
        }
    }
    return words;
}

static char *format_command(const struct service *service)
{
    g_autoptr(GPtrArray) words = list_words(service);
    g_autoptr(GString) command = g_string_new(NULL);
    for (unsigned i = 0; i < words->len; i++) {
        g_autofree char *word = quote(g_ptr_array_index(words, i), true);
        g_string_append_printf(command, "%s%s", i > 0 ? " " : "", word);
    }
    return g_string_free(g_steal_pointer(&command), FALSE);
}

static char *format_writable(const struct service *service)
{
    const char *const places[] = {service->paths->config, service->paths->state,
                                  service->paths->cache};
    g_autoptr(GString) list = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *place = quote(places[i], false);
        g_string_append_printf(list, "%s%s", i > 0 ? " " : "", place);
    }
    return g_string_free(g_steal_pointer(&list), FALSE);
}

static char *format_credential(const struct service *service)
{
    /* systemd.exec(5) reads the rest of the line: nothing is unquoted but specifiers. */
    g_autoptr(GString) path =
        g_string_new(service->env_file ? service->env_file : "/etc/phantom_ci/env");
    g_string_replace(path, "%", "%%", 0);
    return g_strconcat(service->env_file ? "" : "#", "LoadCredential=phantom_ci.env:", path->str,
                       NULL);
}

struct insertion {
    const char *name; /* "@USER@" */
    const char *value;
};

/* In one pass: what is inserted may hold such a name itself. */
static char *fill_in(const char *template, const struct insertion *insertions)
{
    GString *text = g_string_new(NULL);
    while (*template) {
        const struct insertion *found = insertions;
        while (found->name && !g_str_has_prefix(template, found->name)) {
            found++;
        }
        if (found->name) {
            g_string_append(text, found->value);
            template += strlen(found->name);
        } else {
            g_string_append_c(text, *template ++);
        }
    }
    return g_string_free(text, FALSE);
}

char *service_format_systemd(const struct service *service)
{
    g_autofree char *command = format_command(service);
    g_autofree char *writable = format_writable(service);
    g_autofree char *credential = format_credential(service);
    g_autofree char *home = g_strconcat("HOME=", service->home ? service->home : "", NULL);
    g_autofree char *environment = quote(home, false);
    const struct insertion insertions[] = {
        {"@COMMAND@", command},         {"@CREDENTIAL@", credential}, {"@USER@", service->user},
        {"@ENVIRONMENT@", environment}, {"@WRITABLE@", writable},     {NULL, NULL},
    };
    g_autofree char *text =
        fill_in(service->user ? service_system_template : service_user_template, insertions);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    return g_strconcat(mark, digest, "\n", text, NULL);
}

bool service_unit_is_untouched(const char *text)
{
    const char *end = strchr(text, '\n');
    if (!g_str_has_prefix(text, mark) || !end) {
        return false;
    }
    g_autofree char *said = g_strndup(text + strlen(mark), (size_t)(end - text) - strlen(mark));
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, end + 1, -1);
    return strcmp(said, digest) == 0;
}

/* A daemon of the system has a user; an agent is that of its user. */
static char *format_launchd_user(const struct service *service)
{
    if (!service->user) {
        return g_strdup("");
    }
    return g_markup_printf_escaped("    <key>UserName</key>\n"
                                   "    <string>%s</string>\n"
                                   "    <key>EnvironmentVariables</key>\n"
                                   "    <dict>\n"
                                   "        <key>HOME</key>\n"
                                   "        <string>%s</string>\n"
                                   "    </dict>\n",
                                   service->user, service->home);
}

char *service_format_launchd(const struct service *service)
{
    g_autoptr(GPtrArray) words = list_words(service);
    g_autoptr(GString) arguments = g_string_new(NULL);
    for (unsigned i = 0; i < words->len; i++) {
        g_autofree char *word = g_markup_escape_text(g_ptr_array_index(words, i), -1);
        g_string_append_printf(arguments, "        <string>%s</string>\n", word);
    }
    g_autofree char *user = format_launchd_user(service);
    g_autofree char *log = g_build_filename(service->paths->state, "daemon.log", NULL);
    g_autofree char *escaped_log = g_markup_escape_text(log, -1);
    const struct insertion insertions[] = {
        {"@ARGUMENTS@", arguments->str},
        {"@USER@", user},
        {"@LOG@", escaped_log},
        {NULL, NULL},
    };
    return fill_in(service_launchd_template, insertions);
}
