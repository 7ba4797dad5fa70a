#include "net/look_options.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/wipe.h"
#include "net/protocol.h"
#include "phantom_ci_config.h"

/* Servers ask for the beginning "git/" before they show a program what they do not show a browser.
 */
#define USER_AGENT "git/2 (phantom_ci " PHANTOM_CI_VERSION ")"

enum { VALUE_MAX_BYTES = 8 * 1024 };

/* What says where a message ends and how the connection goes on: libcurl's own. */
static const char *const framing[] = {"Host",          "Content-Length", "Transfer-Encoding",
                                      "Trailer",       "Connection",     "Keep-Alive",
                                      "Upgrade",       "Expect",         "TE",
                                      "HTTP2-Settings"};

static const char *environment_value(const char *name)
{
    const char *value = g_getenv(name);
    return value && *value ? value : NULL;
}

void look_environment_load(struct look_environment *environment)
{
    *environment = (struct look_environment){
        .ca_info = environment_value("GIT_SSL_CAINFO"),
        .ca_path = environment_value("GIT_SSL_CAPATH"),
        .user_agent = environment_value("GIT_HTTP_USER_AGENT"),
        .no_verify = g_getenv("GIT_SSL_NO_VERIFY") != NULL, /* with any value, as in git */
        .has_client_certificate = environment_value("GIT_SSL_CERT") != NULL,
    };
}

static bool refuse(GError **error, const char *name, const char *what)
{
    g_set_error(error, NET_ERROR, ERROR_INVALID, "the look's option %s %s", name, what);
    return false;
}

static bool take_verify(struct look_options *options, const char *value)
{
    options->verify = strcmp(value, "true") == 0;
    return options->verify || strcmp(value, "false") == 0;
}

static bool take_follow(struct look_options *options, const char *value)
{
    static const struct {
        const char *value;
        enum look_follow follow;
    } words[] = {
        {"true", LOOK_FOLLOW_ALL},
        {"initial", LOOK_FOLLOW_ALL},
        {"false", LOOK_FOLLOW_NONE},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(value, words[i].value) == 0) {
            options->follow = words[i].follow;
            return true;
        }
    }
    return false;
}

static bool take_at_once(struct look_options *options, const char *value)
{
    guint64 number = 0;
    if (!g_ascii_isdigit(value[0]) ||
        !g_ascii_string_to_unsigned(value, 10, 1, LOOK_AT_ONCE_MAX, &number, NULL)) {
        return false;
    }
    options->at_once = (unsigned)number;
    return true;
}

static bool is_name(const char *value, size_t length, const char *name)
{
    return strlen(name) == length && g_ascii_strncasecmp(value, name, length) == 0;
}

static bool is_framing(const char *value, size_t name_length)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(framing); i++) {
        if (is_name(value, name_length, framing[i])) {
            return true;
        }
    }
    return g_ascii_strncasecmp(value, "Proxy-", strlen("Proxy-")) == 0;
}

static bool take_header(struct look_options *options, const char *value)
{
    size_t name_length = strcspn(value, ":");
    if (name_length == 0 || value[name_length] != ':') {
        return false;
    }
    for (size_t i = 0; i < name_length; i++) {
        if (!g_ascii_isalnum(value[i]) && !strchr("!#$%&'*+-.^_`|~", value[i])) {
            return false;
        }
    }
    options->has_authorization =
        options->has_authorization || is_name(value, name_length, "Authorization");
    options->has_own_framing = options->has_own_framing || is_framing(value, name_length);
    g_ptr_array_add(options->headers, g_strdup(value));
    return true;
}

/* Options whose value is kept as it is. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"proxy", offsetof(struct look_options, proxy)},
    {"noProxy", offsetof(struct look_options, no_proxy)},
    {"sslCAInfo", offsetof(struct look_options, ca_info)},
    {"sslCAPath", offsetof(struct look_options, ca_path)},
    {"userAgent", offsetof(struct look_options, user_agent)},
};

static const struct {
    const char *name;
    bool (*take)(struct look_options *options, const char *value);
    const char *expected;
} others[] = {
    {"sslVerify", take_verify, "is neither true nor false"},
    {"followRedirects", take_follow, "is none of true, false and initial"},
    {"maxConnections", take_at_once, "is not a number from 1 to 64"},
    {"extraHeader", take_header, "is not of the form \"Name: value\""},
};

static char **text_of(struct look_options *options, unsigned which)
{
    return (char **)(void *)((char *)options + texts[which].offset);
}

static bool take_option(struct look_options *options, const char *name, const char *value,
                        GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            char **text = text_of(options, i);
            wipe_free_string(text);
            *text = g_strdup(value);
            return true;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (strcmp(name, others[i].name) == 0) {
            return others[i].take(options, value) || refuse(error, name, others[i].expected);
        }
    }
    g_autofree char *shown = text_escape(name);
    return refuse(error, shown, "is not known");
}

static bool has_control(const char *value)
{
    for (; *value; value++) {
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool take_line(struct look_options *options, const char *line, size_t length, GError **error)
{
    const char *equals = memchr(line, '=', length);
    if (!equals) {
        return refuse(error, "list", "has a line that is not of the form name=value");
    }
    g_autofree char *name = g_strndup(line, (gsize)(equals - line));
    char *value = g_strndup(equals + 1, length - (size_t)(equals - line) - 1);
    bool good;
    if (strlen(value) > VALUE_MAX_BYTES) {
        good = refuse(error, name, "is longer than 8 KiB");
    } else if (has_control(value)) {
        good = refuse(error, name, "has a control character in it");
    } else {
        good = take_option(options, name, value, error);
    }
    wipe_free_string(&value);
    return good;
}

/* Above the configuration, as in git; and what nobody said. */
static void add_defaults(struct look_options *options, const struct look_environment *environment)
{
    const struct {
        char **text;
        const char *above, *otherwise;
    } all[] = {
        {&options->ca_info, environment->ca_info, NULL},
        {&options->ca_path, environment->ca_path, NULL},
        {&options->user_agent, environment->user_agent, USER_AGENT},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (*all[i].text && **all[i].text == '\0') {
            g_clear_pointer(all[i].text, g_free);
        }
        const char *value = all[i].above ? all[i].above : *all[i].text ? NULL : all[i].otherwise;
        if (value) {
            g_free(*all[i].text);
            *all[i].text = g_strdup(value);
        }
    }
    if (environment->no_verify) {
        options->verify = false;
    }
    options->has_client_certificate = environment->has_client_certificate;
}

static void free_header(void *data)
{
    char *header = data;
    wipe_free_string(&header);
}

bool look_options_parse(const char *text, const struct look_environment *environment,
                        struct look_options *options, GError **error)
{
    *options = (struct look_options){.verify = true, .at_once = LOOK_AT_ONCE_DEFAULT};
    options->headers = g_ptr_array_new_with_free_func(free_header);
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > 0 && !take_line(options, text, length, error)) {
            look_options_clear(options);
            return false;
        }
        text += length + (text[length] == '\n');
    }
    add_defaults(options, environment);
    return true;
}

void look_options_clear(struct look_options *options)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        wipe_free_string(text_of(options, i));
    }
    g_clear_pointer(&options->headers, g_ptr_array_unref);
    *options = (struct look_options){.proxy = NULL};
}
