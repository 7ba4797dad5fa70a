#include "git/settings.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/wipe.h"
#include "git/command.h"
#include "git/http_config.h"
#include "git/url.h"

enum { ASK_TIMEOUT_MS = 10 * 1000 };

/* What tells that a file is another one now. */
struct stamp {
    char *path;
    struct timespec modified;
    off_t size;
    ino_t inode; /* 0 = it is not there */
};

struct git_settings {
    struct http_config *config; /* NULL: not asked yet, or git gave no answer */
    GArray *stamps;             /* of struct stamp */
    GHashTable *matches;        /* http_config_match_key() -> struct http_config * or NULL */
    char **authorities;
};

/* ---------------------------------------------------------------------------------- stamps */

static void stamp_clear(void *data)
{
    g_free(((struct stamp *)data)->path);
}

static struct stamp take_stamp(const char *path)
{
    struct stat status;
    struct stamp stamp = {.path = g_strdup(path)};
    if (stat(path, &status) == 0) {
        stamp.size = status.st_size;
        stamp.inode = status.st_ino;
#ifdef __APPLE__
        stamp.modified = status.st_mtimespec;
#else
        stamp.modified = status.st_mtim;
#endif
    }
    return stamp;
}

static bool is_same(const struct stamp *one, const struct stamp *other)
{
    return one->inode == other->inode && one->size == other->size &&
           one->modified.tv_sec == other->modified.tv_sec &&
           one->modified.tv_nsec == other->modified.tv_nsec;
}

static bool any_has_changed(const struct git_settings *settings)
{
    for (unsigned i = 0; i < settings->stamps->len; i++) {
        const struct stamp *known = &g_array_index(settings->stamps, struct stamp, i);
        struct stamp now = take_stamp(known->path);
        bool same = is_same(known, &now);
        stamp_clear(&now);
        if (!same) {
            return true;
        }
    }
    return false;
}

static void add_stamp(GArray *stamps, const char *path)
{
    struct stamp stamp = take_stamp(path);
    g_array_append_val(stamps, stamp);
}

/* Where git looks whether or not there is a file yet. */
static void add_usual_places(GArray *stamps)
{
    const char *home = g_getenv("HOME");
    const char *xdg = g_getenv("XDG_CONFIG_HOME");
    g_autofree char *own = home ? g_build_filename(home, ".gitconfig", NULL) : NULL;
    g_autofree char *fallback = home ? g_build_filename(home, ".config", NULL) : NULL;
    const char *directory = xdg && *xdg ? xdg : fallback;
    g_autofree char *other = directory ? g_build_filename(directory, "git", "config", NULL) : NULL;
    add_stamp(stamps, "/etc/gitconfig");
    if (own) {
        add_stamp(stamps, own);
    }
    if (other) {
        add_stamp(stamps, other);
    }
}

/* ------------------------------------------------------------------------------------ asking */

/* git config's way of saying that there is nothing. */
static bool is_nothing(const struct spawn_result *result)
{
    return WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 1 &&
           result->out_length == 0 && result->out && result->err && !*result->err;
}

static struct http_config *ask(const char *const *arguments, bool with_origin)
{
    g_auto(GStrv) environment = git_environment_config();
    const struct git_limits limits = {.timeout_ms = ASK_TIMEOUT_MS, .cancel_fd = -1};
    struct spawn_result result = {0};
    struct http_config *config = NULL;
    if (git_run(arguments, (const char *const *)environment, &limits, &result, NULL) ||
        is_nothing(&result)) {
        config = http_config_parse(result.out, result.out_length, with_origin, NULL);
    }
    wipe_free(&result.out, result.out_length);
    spawn_result_clear(&result);
    return config;
}

static void free_match(void *config)
{
    http_config_free(config);
}

bool git_settings_refresh(struct git_settings *settings)
{
    static const char *const arguments[] = {"config", "--list", "-z", "--show-origin", NULL};
    if (settings->config && !any_has_changed(settings)) {
        return false;
    }
    /* Stamped before they are read: a change in between is seen the next time. */
    g_autoptr(GArray) usual = g_array_new(FALSE, FALSE, sizeof(struct stamp));
    add_usual_places(usual);
    http_config_free(settings->config);
    settings->config = ask(arguments, true);
    if (settings->config && http_config_has_secrets(settings->config)) {
        wipe_forbid_dumps();
    }
    g_hash_table_remove_all(settings->matches);
    g_strfreev(settings->authorities);
    settings->authorities = settings->config
                                ? http_config_authorities(settings->config, g_getenv("HOME"))
                                : g_new0(char *, 1);
    g_array_set_size(settings->stamps, 0);
    g_array_append_vals(settings->stamps, usual->data, usual->len);
    const char *const *file = settings->config ? http_config_files(settings->config) : NULL;
    for (; file && *file; file++) {
        add_stamp(settings->stamps, *file);
    }
    return true;
}

static struct http_config *ask_match(const char *url)
{
    const char *const arguments[] = {"config", "-z", "--get-urlmatch", "http", url, NULL};
    return ask(arguments, false);
}

/* What --get-urlmatch says; NULL when git gives no answer. */
static const struct http_config *match(struct git_settings *settings, const char *url)
{
    g_autofree char *key = http_config_match_key(settings->config, url);
    void *found = NULL;
    if (g_hash_table_lookup_extended(settings->matches, key, NULL, &found)) {
        return found;
    }
    struct http_config *config = ask_match(url);
    g_hash_table_insert(settings->matches, g_steal_pointer(&key), config);
    return config;
}

/* ---------------------------------------------------------------------------------- planning */

static bool is_http(enum url_scheme scheme)
{
    return scheme == URL_HTTP || scheme == URL_HTTPS;
}

/* A repository on this machine whose refs git may hide. */
static bool may_hide_refs(const struct git_settings *settings, enum url_scheme scheme)
{
    return scheme == URL_FILE && http_config_hides_refs(settings->config);
}

static bool is_http_url(const char *text)
{
    struct url url;
    bool good = url_parse(text, &url, NULL) && is_http(url.scheme);
    url_clear(&url);
    return good;
}

bool git_settings_redirects_leak(struct git_settings *settings, const char *url)
{
    if (!is_http_url(url) || !settings->config) {
        return is_http_url(url);
    }
    const struct http_config *effective =
        http_config_is_particular(settings->config, url) ? match(settings, url) : settings->config;
    return !effective || http_config_redirects_leak(effective);
}

bool git_redirects_leak(const char *url)
{
    struct http_config *config = is_http_url(url) ? ask_match(url) : NULL;
    bool leak = config ? http_config_redirects_leak(config) : is_http_url(url);
    http_config_free(config);
    return leak;
}

/* Only from http(s) to the same scheme, and without a password: the rest git must judge. */
static bool can_follow(const char *url, const char *rewritten)
{
    struct url from, to;
    bool good = url_parse(url, &from, NULL);
    if (good) {
        good = url_parse(rewritten, &to, NULL) && is_http(to.scheme) && to.scheme == from.scheme;
        url_clear(&to);
    }
    url_clear(&from);
    return good;
}

static void plan_http(struct git_settings *settings, struct git_plan *plan)
{
    bool is_particular = http_config_is_particular(settings->config, plan->url);
    const struct http_config *matched = is_particular ? match(settings, plan->url) : NULL;
    if (is_particular && !matched) {
        plan->why_git = g_strdup("git config --get-urlmatch gave no answer");
        return;
    }
    plan->options =
        http_config_decide(settings->config, matched, plan->url, g_getenv("HOME"), &plan->why_git);
}

void git_settings_plan(struct git_settings *settings, const char *url, struct git_plan *plan)
{
    struct url parsed;
    *plan = (struct git_plan){.url = g_strdup(url)};
    if (!settings->config) {
        plan->why_git = g_strdup("git's configuration can't be read");
        return;
    }
    g_autofree char *rewritten = http_config_rewrite(settings->config, url);
    if (rewritten && !can_follow(url, rewritten)) {
        plan->why_git = g_strdup("url.*.insteadOf");
        return;
    }
    if (rewritten) {
        g_free(plan->url);
        plan->url = g_steal_pointer(&rewritten);
    }
    if (!url_parse(plan->url, &parsed, NULL)) {
        plan->why_git = g_strdup("its address");
    } else if (is_http(parsed.scheme)) {
        plan_http(settings, plan);
    } else if (may_hide_refs(settings, parsed.scheme)) {
        plan->why_git = g_strdup("hideRefs is set");
    }
    url_clear(&parsed);
    if (!plan->options) {
        plan->options = g_strdup("");
    }
}

void git_plan_clear(struct git_plan *plan)
{
    g_free(plan->url);
    wipe_free_string(&plan->options);
    g_free(plan->why_git);
    *plan = (struct git_plan){.url = NULL};
}

char *git_settings_login_key(const struct git_settings *settings, const char *url)
{
    bool by_path = settings->config && http_config_has_logins_by_path(settings->config);
    return by_path ? g_strdup(url) : http_config_origin(url);
}

const char *const *git_settings_authorities(const struct git_settings *settings)
{
    return (const char *const *)settings->authorities;
}

/* -------------------------------------------------------------------------------- life cycle */

struct git_settings *git_settings_new(void)
{
    struct git_settings *settings = g_new0(struct git_settings, 1);
    settings->stamps = g_array_new(FALSE, FALSE, sizeof(struct stamp));
    g_array_set_clear_func(settings->stamps, stamp_clear);
    settings->matches = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_match);
    settings->authorities = g_new0(char *, 1);
    return settings;
}

void git_settings_free(struct git_settings *settings)
{
    if (settings) {
        http_config_free(settings->config);
        g_array_unref(settings->stamps);
        g_hash_table_unref(settings->matches);
        g_strfreev(settings->authorities);
        g_free(settings);
    }
}
