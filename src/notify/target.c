#include "notify/target.h"

#include <string.h>

#include "base/text.h"
#include "base/wipe.h"
#include "config/dotenv.h"

static const char credential_name[] = "phantom_ci.env";

enum { KEY_DISCORD, KEY_SLACK, KEY_CUSTOM, KEY_SECRET, KEYS };

static const char *const keys[KEYS + 1] = {
    [KEY_DISCORD] = "DISCORD_WEBHOOK_URL",
    [KEY_SLACK] = "SLACK_WEBHOOK_URL",
    [KEY_CUSTOM] = "CUSTOM_WEBHOOK_URL",
    [KEY_SECRET] = "CUSTOM_WEBHOOK_SECRET",
};

static const char *const kind_names[TARGET_KINDS] = {
    [TARGET_DISCORD] = "discord",
    [TARGET_SLACK] = "slack",
    [TARGET_CUSTOM] = "custom",
};

/* Where the host of a URL begins and how long it is; with the brackets of an IPv6 address. */
struct url_parts {
    bool is_http; /* else https */
    const char *host;
    size_t host_length;
};

const char *target_kind_name(enum target_kind kind)
{
    return kind_names[kind];
}

bool target_kind_from_name(const char *name, enum target_kind *kind)
{
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            *kind = (enum target_kind)i;
            return true;
        }
    }
    return false;
}

static void target_free(void *data)
{
    struct target *target = data;
    mask_wipe(target->url);
    mask_wipe(target->secret);
    g_free(target);
}

static bool is_host_byte(char byte)
{
    return g_ascii_isalnum(byte) || byte == '.' || byte == '-' || byte == '_';
}

static bool is_port(const char *text, size_t length)
{
    unsigned port = 0;
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isdigit(text[i]) || (port = port * 10 + (unsigned)(text[i] - '0')) > 65535) {
            return false;
        }
    }
    return port > 0;
}

/* The host and what follows it up to the path: `at` is behind "//" and the user. */
static const char *split_authority(const char *at, size_t length, struct url_parts *parts)
{
    size_t host = 0;
    if (length > 0 && at[0] == '[') {
        const char *bracket = memchr(at, ']', length);
        host = bracket ? (size_t)(bracket - at) + 1 : 0;
        for (size_t i = 1; i + 1 < host; i++) {
            if (!g_ascii_isxdigit(at[i]) && at[i] != ':' && at[i] != '.') {
                host = 0;
            }
        }
        if (host <= 2) {
            return "the IPv6 address between [ and ] is not one";
        }
    } else {
        while (host < length && is_host_byte(at[host])) {
            host++;
        }
    }
    parts->host = at;
    parts->host_length = host;
    if (host == 0) {
        return "there is no host name after \"//\"";
    }
    if (host < length && (at[host] != ':' || !is_port(at + host + 1, length - host - 1))) {
        return at[host] == ':' ? "the port after the host name is not a number from 1 to 65535"
                               : "the host name has a character that no host name has";
    }
    return NULL;
}

/* NULL when the URL is good, else what is wrong with it, which never quotes it. */
static const char *split_url(const char *url, struct url_parts *parts)
{
    if (strlen(url) > TARGET_URL_MAX_BYTES) {
        return "the URL is longer than 2048 bytes";
    }
    for (const char *at = url; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '\\') {
            return "the URL has a blank, a backslash, a control character or a letter beyond "
                   "ASCII; write such a byte as %XX, and a host in its xn-- form";
        }
    }
    if (g_ascii_strncasecmp(url, "https://", strlen("https://")) == 0) {
        parts->is_http = false;
    } else if (g_ascii_strncasecmp(url, "http://", strlen("http://")) == 0) {
        parts->is_http = true;
    } else {
        return "expected a URL that begins with https:// (or http://)";
    }
    const char *authority = strstr(url, "//") + 2;
    size_t length = strcspn(authority, "/?#");
    const char *user_end = memchr(authority, '@', length);
    if (user_end) {
        length -= (size_t)(user_end + 1 - authority);
        authority = user_end + 1;
    }
    return split_authority(authority, length, parts);
}

/* A name or an address of this machine, where plain http is read by nobody else. */
static bool is_loopback(const struct url_parts *parts)
{
    g_autofree char *host = g_ascii_strdown(parts->host, (gssize)parts->host_length);
    return strcmp(host, "localhost") == 0 || g_str_has_suffix(host, ".localhost") ||
           strcmp(host, "[::1]") == 0 ||
           (g_str_has_prefix(host, "127.") && strspn(host, "0123456789.") == strlen(host));
}

char *target_host(const struct target *target)
{
    struct url_parts parts;
    return split_url(target->url, &parts) ? g_strdup("-")
                                          : g_strndup(parts.host, parts.host_length);
}

static void check_url(const struct dotenv_entry *entry, const char *file,
                      struct diagnostics *errors, struct diagnostics *warnings)
{
    struct url_parts parts;
    const char *problem = split_url(entry->value, &parts);
    if (problem) {
        diagnostics_add(errors, file, entry->line, entry->value_column, "%s: %s", entry->key,
                        problem);
    } else if (parts.is_http && !is_loopback(&parts) && warnings) {
        diagnostics_add(warnings, file, entry->line, entry->value_column,
                        "%s: http to another machine sends the messages, and the URL itself, "
                        "readable for everybody on the way; use https if the receiver has it",
                        entry->key);
    }
}

/* Which of our keys the entry is; KEYS = none. */
static unsigned find_key(const struct dotenv_entry *entry, const char *file,
                         struct diagnostics *errors)
{
    for (unsigned i = 0; i < KEYS; i++) {
        if (strcmp(entry->key, keys[i]) == 0) {
            return i;
        }
    }
    g_autofree char *upper = g_ascii_strup(entry->key, -1);
    const char *nearest = text_nearest(upper, keys);
    if (nearest) {
        diagnostics_add(errors, file, entry->line, entry->key_column,
                        "this key is not known to phantom_ci, but nearly so; did you mean \"%s\"?",
                        nearest);
    }
    return KEYS;
}

static void add_target(GPtrArray *targets, enum target_kind kind, const struct dotenv_entry *url,
                       const struct dotenv_entry *secret)
{
    if (url) {
        struct target *target = g_new0(struct target, 1);
        target->kind = kind;
        target->url = g_strdup(url->value);
        target->secret = secret ? g_strdup(secret->value) : NULL;
        g_ptr_array_add(targets, target);
    }
}

GPtrArray *targets_from_entries(const GPtrArray *entries, const char *file,
                                struct diagnostics *errors, struct diagnostics *warnings)
{
    const struct dotenv_entry *seen[KEYS + 1] = {NULL};
    unsigned before = errors->items->len + errors->dropped;
    for (unsigned i = 0; i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        unsigned key = find_key(entry, file, errors);
        if (key < KEYS && seen[key]) {
            /* Some programs take the first, others the last. */
            diagnostics_add(errors, file, entry->line, entry->key_column,
                            "%s stands in line %u already; remove one of the two", keys[key],
                            seen[key]->line);
        }
        seen[key] = entry;
    }
    for (unsigned key = 0; key < KEYS; key++) {
        if (seen[key] && *seen[key]->value == '\0') {
            seen[key] = NULL;
        } else if (seen[key] && key != KEY_SECRET) {
            check_url(seen[key], file, errors, warnings);
        }
    }
    const struct dotenv_entry *secret = seen[KEY_SECRET];
    if (secret && strlen(secret->value) > TARGET_SECRET_MAX_BYTES) {
        diagnostics_add(errors, file, secret->line, secret->value_column,
                        "%s is longer than %d bytes", keys[KEY_SECRET], TARGET_SECRET_MAX_BYTES);
    }
    if (secret && !seen[KEY_CUSTOM] && warnings) {
        diagnostics_add(warnings, file, secret->line, secret->key_column,
                        "%s does nothing without %s", keys[KEY_SECRET], keys[KEY_CUSTOM]);
    }
    if (secret && strlen(secret->value) < TARGET_SECRET_GOOD_BYTES && warnings) {
        diagnostics_add(warnings, file, secret->line, secret->value_column,
                        "%s has less than %d bytes and can be guessed; use a random one, as "
                        "`openssl rand -hex 32` gives",
                        keys[KEY_SECRET], TARGET_SECRET_GOOD_BYTES);
    }
    if (errors->items->len + errors->dropped > before) {
        return NULL;
    }
    GPtrArray *targets = g_ptr_array_new_with_free_func(target_free);
    add_target(targets, TARGET_DISCORD, seen[KEY_DISCORD], NULL);
    add_target(targets, TARGET_SLACK, seen[KEY_SLACK], NULL);
    add_target(targets, TARGET_CUSTOM, seen[KEY_CUSTOM], secret);
    return targets;
}

GPtrArray *targets_load(const char *config_directory, struct diagnostics *errors,
                        struct diagnostics *warnings)
{
    const char *credentials = g_getenv("CREDENTIALS_DIRECTORY");
    bool absent = true;
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) entries = NULL;
    if (credentials && g_path_is_absolute(credentials)) {
        path = g_build_filename(credentials, credential_name, NULL);
        entries = dotenv_load(path, DOTENV_CREDENTIAL, &absent, errors);
    }
    if (absent) {
        g_free(path);
        path = g_build_filename(config_directory, ".env", NULL);
        entries = dotenv_load(path, DOTENV_PRIVATE, &absent, errors);
    }
    if (absent) {
        return g_ptr_array_new_with_free_func(target_free);
    }
    return entries ? targets_from_entries(entries, path, errors, warnings) : NULL;
}

const struct target *targets_find(const GPtrArray *targets, enum target_kind kind)
{
    for (unsigned i = 0; i < targets->len; i++) {
        const struct target *target = g_ptr_array_index(targets, i);
        if (target->kind == kind) {
            return target;
        }
    }
    return NULL;
}

/* The parts of a URL behind its host that are long enough to be a token: a receiver may echo one of
 * them alone. */
static void add_tokens(const char *url, GPtrArray *values)
{
    const char *authority = strstr(url, "://");
    const char *path = authority ? strpbrk(authority + 3, "/?#") : NULL;
    g_auto(GStrv) parts = path ? g_strsplit_set(path, "/?#&=", -1) : NULL;
    for (char **part = parts; part && *part; part++) {
        if (strlen(*part) >= TOKEN_MIN_BYTES) {
            g_ptr_array_add(values, g_strdup(*part));
        }
    }
}

static void free_value(void *value)
{
    char *text = value;
    wipe_free_string(&text);
}

struct mask *targets_mask(const GPtrArray *targets)
{
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(free_value);
    for (unsigned i = 0; i < targets->len; i++) {
        const struct target *target = g_ptr_array_index(targets, i);
        g_ptr_array_add(values, g_strdup(target->url));
        add_tokens(target->url, values);
        if (target->secret) {
            g_ptr_array_add(values, g_strdup(target->secret));
        }
    }
    g_ptr_array_add(values, NULL);
    return mask_new((const char *const *)values->pdata, NULL);
}
