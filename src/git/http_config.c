#include "git/http_config.h"

#include <string.h>

#include "base/error.h"
#include "base/wipe.h"
#include "git/url.h"

enum { OPTIONS_MAX_BYTES = 16 * 1024 }; /* NET_OPTIONS_MAX_BYTES of net/look_protocol.h */

struct entry {
    char *key;   /* as git prints it: section and variable in lower case */
    char *value; /* NULL: a variable alone, which means true */
};

struct http_config {
    GPtrArray *entries; /* of struct entry *, in git's order: the last of a variable counts */
    GPtrArray *files;   /* of char *, NULL-terminated */
};

/* --------------------------------------------------------------------------------- parsing */

static void entry_free(void *data)
{
    struct entry *entry = data;
    g_free(entry->key);
    wipe_free_string(&entry->value);
    g_free(entry);
}

void http_config_free(struct http_config *config)
{
    if (config) {
        g_ptr_array_unref(config->entries);
        g_ptr_array_unref(config->files);
        g_free(config);
    }
}

static bool refuse(GError **error, enum error_code code, const char *what)
{
    g_set_error(error, GIT_ERROR, code, "the output of git config: %s", what);
    return false;
}

static void note_file(struct http_config *config, const char *origin)
{
    const char *path = g_str_has_prefix(origin, "file:") ? origin + strlen("file:") : NULL;
    /* Entries of one file follow each other. */
    unsigned count = config->files->len;
    if (path && *path == '/' &&
        (count == 0 || strcmp(g_ptr_array_index(config->files, count - 1), path) != 0)) {
        g_ptr_array_add(config->files, g_strdup(path));
    }
}

/* "key LF value" or "key". */
static bool add_entry(struct http_config *config, const char *text, GError **error)
{
    size_t length = strcspn(text, "\n");
    if (!memchr(text, '.', length)) {
        return refuse(error, ERROR_INVALID, "an entry without a section");
    }
    if (config->entries->len >= HTTP_CONFIG_MAX_ENTRIES) {
        return refuse(error, ERROR_LIMIT, "more than 20000 entries");
    }
    struct entry *entry = g_new0(struct entry, 1);
    entry->key = g_strndup(text, length);
    entry->value = text[length] == '\n' ? g_strdup(text + length + 1) : NULL;
    g_ptr_array_add(config->entries, entry);
    return true;
}

static bool parse(struct http_config *config, const char *list, size_t length, bool with_origin,
                  GError **error)
{
    if (length > HTTP_CONFIG_MAX_BYTES) {
        return refuse(error, ERROR_LIMIT, "more than 1 MiB");
    }
    if (length > 0 && list[length - 1] != '\0') {
        return refuse(error, ERROR_INVALID, "it ends too early");
    }
    bool is_origin = with_origin;
    for (size_t at = 0; at < length; at += strlen(list + at) + 1) {
        if (is_origin) {
            note_file(config, list + at);
        } else if (!add_entry(config, list + at, error)) {
            return false;
        }
        is_origin = with_origin && !is_origin;
    }
    return is_origin == with_origin || refuse(error, ERROR_INVALID, "it ends behind an origin");
}

struct http_config *http_config_parse(const char *list, size_t length, bool with_origin,
                                      GError **error)
{
    struct http_config *config = g_new0(struct http_config, 1);
    config->entries = g_ptr_array_new_with_free_func(entry_free);
    config->files = g_ptr_array_new_with_free_func(g_free);
    bool good = parse(config, list, length, with_origin, error);
    g_ptr_array_add(config->files, NULL);
    if (!good) {
        http_config_free(config);
        return NULL;
    }
    return config;
}

const char *const *http_config_files(const struct http_config *config)
{
    return (const char *const *)config->files->pdata;
}

/* "http.proxy" and "http.<url>.proxy" -> "proxy"; *url is what stands between, or NULL. NULL for
 * other sections. */
static const char *http_variable(const struct entry *entry, char **url)
{
    const char *last = strrchr(entry->key, '.');
    *url = NULL;
    if (!g_str_has_prefix(entry->key, "http.")) {
        return NULL;
    }
    const char *begin = entry->key + strlen("http.");
    if (begin <= last) {
        *url = g_strndup(begin, (gsize)(last - begin));
    }
    return last + 1;
}

bool http_config_has_secrets(const struct http_config *config)
{
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        g_autofree char *url = NULL;
        const char *name = http_variable(entry, &url);
        if (name && (strcmp(name, "extraheader") == 0 ||
                     (strcmp(name, "proxy") == 0 && entry->value && strchr(entry->value, '@')))) {
            return true;
        }
    }
    return false;
}

bool http_config_redirects_leak(const struct http_config *config)
{
    bool has_header = false;
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        if (strcmp(entry->key, "http.followredirects") == 0) {
            return false;
        }
        if (strcmp(entry->key, "http.extraheader") == 0) {
            has_header = entry->value && *entry->value; /* an empty one forgets those before it */
        }
    }
    return has_header;
}

/* ------------------------------------------------------------------------------- insteadOf */

char *http_config_rewrite(const struct http_config *config, const char *url)
{
    static const char section[] = "url.";
    static const char variable[] = ".insteadof";
    const struct entry *best = NULL;
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        if (g_str_has_prefix(entry->key, section) && g_str_has_suffix(entry->key, variable) &&
            strlen(entry->key) >= strlen(section) + strlen(variable) && entry->value &&
            g_str_has_prefix(url, entry->value) &&
            (!best || strlen(entry->value) > strlen(best->value))) {
            best = entry;
        }
    }
    if (!best) {
        return NULL;
    }
    size_t base = strlen(best->key) - strlen(section) - strlen(variable);
    return g_strdup_printf("%.*s%s", (int)base, best->key + strlen(section),
                           url + strlen(best->value));
}

bool http_config_has_logins_by_path(const struct http_config *config)
{
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        if (g_str_has_prefix(entry->key, "credential.") &&
            g_str_has_suffix(entry->key, ".usehttppath")) {
            return true;
        }
    }
    return false;
}

bool http_config_hides_refs(const struct http_config *config)
{
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        if (strcmp(entry->key, "transfer.hiderefs") == 0 ||
            strcmp(entry->key, "uploadpack.hiderefs") == 0) {
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------------- which URL is meant */

/* Where the host of "scheme://[user@]host[:port][/path]" begins, and its length; NULL when there is
 * no scheme. */
static const char *find_host(const char *url, size_t *length)
{
    const char *begin = strstr(url, "://");
    if (!begin) {
        return NULL;
    }
    begin += 3;
    size_t authority = strcspn(begin, "/?#");
    const char *at = g_strrstr_len(begin, (gssize)authority, "@");
    const char *host = at ? at + 1 : begin;
    size_t rest = authority - (size_t)(host - begin);
    const char *end = *host == '[' ? memchr(host, ']', rest) : NULL;
    const char *colon = memchr(end ? end : host, ':', rest - (size_t)((end ? end : host) - host));
    *length = colon ? (size_t)(colon - host) : rest;
    return host;
}

/* git-config(1), http.<url>.*: '*' stands for one part of the host. */
static bool host_may_match(const char *pattern, size_t pattern_length, const char *host,
                           size_t host_length)
{
    g_autofree char *one = g_ascii_strdown(pattern, (gssize)pattern_length);
    g_autofree char *other = g_ascii_strdown(host, (gssize)host_length);
    g_auto(GStrv) labels = g_strsplit(one, ".", -1);
    g_auto(GStrv) parts = g_strsplit(other, ".", -1);
    unsigned i = 0;
    while (labels[i] && parts[i] && (!strcmp(labels[i], "*") || !strcmp(labels[i], parts[i]))) {
        i++;
    }
    return !labels[i] && !parts[i];
}

/* Rather once too often: git has the last word. */
static bool may_be_meant(const char *pattern, const char *url)
{
    size_t pattern_length = 0, length = 0;
    const char *pattern_host = find_host(pattern, &pattern_length);
    const char *host = find_host(url, &length);
    return !pattern_host || !host || strchr(pattern, '%') ||
           host_may_match(pattern_host, pattern_length, host, length);
}

/* Whether an http.<url>.<variable> may be meant; NULL = any variable. */
static bool is_particular(const struct http_config *config, const char *url, const char *variable)
{
    for (unsigned i = 0; i < config->entries->len; i++) {
        g_autofree char *pattern = NULL;
        const char *name = http_variable(g_ptr_array_index(config->entries, i), &pattern);
        if (name && pattern && (!variable || strcmp(name, variable) == 0) &&
            may_be_meant(pattern, url)) {
            return true;
        }
    }
    return false;
}

bool http_config_is_particular(const struct http_config *config, const char *url)
{
    return is_particular(config, url, NULL);
}

/* What stands behind the authority; "" when there is nothing. */
static const char *find_path(const char *url)
{
    size_t length = 0;
    const char *host = find_host(url, &length);
    return host ? host + strcspn(host, "/?#") : url;
}

char *http_config_origin(const char *url)
{
    return g_strndup(url, strlen(url) - strlen(find_path(url)));
}

char *http_config_match_key(const struct http_config *config, const char *url)
{
    for (unsigned i = 0; i < config->entries->len; i++) {
        g_autofree char *pattern = NULL;
        const char *name = http_variable(g_ptr_array_index(config->entries, i), &pattern);
        if (name && pattern && may_be_meant(pattern, url) && strlen(find_path(pattern)) > 1) {
            return g_strdup(url);
        }
    }
    return http_config_origin(url);
}

/* -------------------------------------------------------------------------------- decision */

struct decision {
    GString *options;
    const char *home;
};

static void add_option(struct decision *decision, const char *name, const char *value)
{
    g_string_append_printf(decision->options, "%s%s=%s", decision->options->len ? "\n" : "", name,
                           value);
}

/* git-config(1), "boolean": 1, 0, or -1 when it is none. */
static int boolean_of(const char *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1", NULL};
    static const char *const no[] = {"false", "no", "off", "0", "", NULL};
    g_autofree char *lower = value ? g_ascii_strdown(value, -1) : g_strdup("true");
    return g_strv_contains(yes, lower) ? 1 : g_strv_contains(no, lower) ? 0 : -1;
}

/* NULL when it is no absolute path. */
static char *expand_path(const char *value, const char *home)
{
    if (value && g_str_has_prefix(value, "~/") && home && *home == '/') {
        return g_build_filename(home, value + 2, NULL);
    }
    return value && *value == '/' ? g_strdup(value) : NULL;
}

static bool take_path(struct decision *decision, const char *name, const char *value)
{
    g_autofree char *path = expand_path(value, decision->home);
    if (path) {
        add_option(decision, name, path);
    }
    return path != NULL;
}

/* A user name in it may need a password, for which git asks its credential helpers. */
static bool take_proxy(struct decision *decision, const char *name, const char *value)
{
    if (!value || strchr(value, '@')) {
        return false;
    }
    add_option(decision, name, value);
    return true;
}

static bool take_boolean(struct decision *decision, const char *name, const char *value)
{
    int truth = boolean_of(value);
    if (truth >= 0) {
        add_option(decision, name, truth ? "true" : "false");
    }
    return truth >= 0;
}

static bool take_follow(struct decision *decision, const char *name, const char *value)
{
    if (value && strcmp(value, "initial") == 0) {
        add_option(decision, name, value);
        return true;
    }
    return take_boolean(decision, name, value);
}

static bool take_text(struct decision *decision, const char *name, const char *value)
{
    if (value && *value) {
        add_option(decision, name, value);
    }
    return value != NULL;
}

/* Has no say in how a look is made, or none without another variable that is not followed here. */
static bool ignore(struct decision *decision, const char *name, const char *value)
{
    (void)decision;
    (void)name;
    (void)value;
    return true;
}

/* What is not in this table, git alone can follow. */
static const struct {
    const char *variable; /* as git prints it */
    const char *option;
    bool (*take)(struct decision *decision, const char *name, const char *value);
} variables[] = {
    {"proxy", "proxy", take_proxy},
    {"sslverify", "sslVerify", take_boolean},
    {"sslcainfo", "sslCAInfo", take_path},
    {"sslcapath", "sslCAPath", take_path},
    {"useragent", "userAgent", take_text},
    {"followredirects", "followRedirects", take_follow},
    {"extraheader", NULL, ignore}, /* they add up: take_headers() */
    {"postbuffer", NULL, ignore},
    {"lowspeedlimit", NULL, ignore},
    {"lowspeedtime", NULL, ignore},
    {"minsessions", NULL, ignore},
    {"maxrequests", NULL, ignore},
    {"noepsv", NULL, ignore},
    {"savecookies", NULL, ignore},
    {"sslcertpasswordprotected", NULL, ignore},
    {"proxysslcertpasswordprotected", NULL, ignore},
};

static bool take_variable(struct decision *decision, const char *name, const char *value)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(variables); i++) {
        if (strcmp(variables[i].variable, name) == 0) {
            return (!value || !strpbrk(value, "\r\n")) &&
                   variables[i].take(decision, variables[i].option, value);
        }
    }
    return false;
}

/* An empty header forgets those before it. */
static bool take_headers(struct decision *decision, const struct http_config *config)
{
    g_autoptr(GPtrArray) headers = g_ptr_array_new();
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        if (strcmp(entry->key, "http.extraheader") != 0) {
            continue;
        }
        if (!entry->value || strpbrk(entry->value, "\r\n")) {
            return false;
        }
        if (*entry->value) {
            g_ptr_array_add(headers, entry->value);
        } else {
            g_ptr_array_set_size(headers, 0);
        }
    }
    for (unsigned i = 0; i < headers->len; i++) {
        add_option(decision, "extraHeader", g_ptr_array_index(headers, i));
    }
    return true;
}

/* The setting that git alone can follow, or NULL. */
static char *decide(struct decision *decision, const struct http_config *config,
                    const struct http_config *matched, const char *url)
{
    const struct http_config *effective = matched ? matched : config;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    /* From the end, for the last of a variable counts. */
    for (unsigned i = effective->entries->len; i-- > 0;) {
        const struct entry *entry = g_ptr_array_index(effective->entries, i);
        g_autofree char *pattern = NULL;
        const char *name = http_variable(entry, &pattern);
        if (name && !pattern && g_hash_table_add(seen, (char *)name) &&
            !take_variable(decision, name, entry->value)) {
            return g_strdup(entry->key);
        }
    }
    if ((matched && is_particular(config, url, "extraheader")) || !take_headers(decision, config)) {
        return g_strdup("http.extraheader");
    }
    bool fits = decision->options->len <= OPTIONS_MAX_BYTES;
    return fits ? NULL : g_strdup("more of http.* than fits");
}

char *http_config_decide(const struct http_config *config, const struct http_config *matched,
                         const char *url, const char *home, char **why_git)
{
    struct decision decision = {.options = g_string_new(NULL), .home = home};
    *why_git = decide(&decision, config, matched, url);
    char *options = g_string_free(decision.options, FALSE);
    if (*why_git) {
        wipe_free_string(&options);
    }
    return options;
}

char **http_config_authorities(const struct http_config *config, const char *home)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *paths = g_ptr_array_new();
    for (unsigned i = 0; i < config->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(config->entries, i);
        g_autofree char *url = NULL;
        const char *name = http_variable(entry, &url);
        bool names_path =
            name && (strcmp(name, "sslcainfo") == 0 || strcmp(name, "sslcapath") == 0);
        g_autofree char *path = names_path ? expand_path(entry->value, home) : NULL;
        if (path && !g_hash_table_contains(known, path)) {
            g_hash_table_add(known, path);
            g_ptr_array_add(paths, g_steal_pointer(&path));
        }
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}
