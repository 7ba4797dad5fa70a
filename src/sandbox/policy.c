#include "sandbox/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sandbox/error.h"

/* Keys, tokens and histories that programs keep where every program of the user can read them. */
static const char *const hidden_in_home[] = {
    ".ssh",
    ".gnupg",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/doctl",
    ".config/hcloud",
    ".config/rclone",
    ".config/op",
    ".config/gh",
    ".config/hub",
    ".config/glab-cli",
    ".config/git/credentials",
    ".git-credentials",
    ".kube",
    ".docker",
    ".config/containers/auth.json",
    ".netrc",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".config/pip",
    ".gem/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".terraform.d",
    ".terraformrc",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    ".mozilla",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".bash_history",
    ".zsh_history",
    ".local/share/fish",
    ".python_history",
    ".psql_history",
    ".mysql_history",
    ".sqlite_history",
    ".node_repl_history",
    ".lesshst",
    ".viminfo",
    NULL,
};

/* For those who run phantom_ci as root: an ordinary user can't read them anyway. */
static const char *const hidden_in_system[] = {
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ssl/private",
    "/etc/letsencrypt",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
    "/var/lib/systemd/credential.secret",
    NULL,
};

const char *const *sandbox_hidden_in_home(void)
{
    return hidden_in_home;
}

const char *const *sandbox_hidden_in_system(void)
{
    return hidden_in_system;
}

const char *sandbox_level_name(enum sandbox_level level)
{
    static const char *const names[] = {
        [SANDBOX_OFF] = "off", [SANDBOX_WORKSPACE] = "workspace", [SANDBOX_STRICT] = "strict"};
    return names[level];
}

bool sandbox_path_is_within(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    if (strcmp(directory, "/") == 0) {
        return *path == '/';
    }
    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* realpath(3), in memory of GLib's; NULL with errno. */
static char *canonical(const char *path)
{
    char *resolved = realpath(path, NULL);
    char *copy = g_strdup(resolved);
    free(resolved);
    return copy;
}

static void add_if_there(GPtrArray *list, const char *path)
{
    char *resolved = canonical(path);
    if (resolved) {
        g_ptr_array_add(list, resolved);
    }
}

static char **finish(GPtrArray *list)
{
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

static char **list_those_there(const char *const *paths)
{
    GPtrArray *list = g_ptr_array_new();
    for (; paths && *paths; paths++) {
        add_if_there(list, *paths);
    }
    return finish(list);
}

static const char *owner_of(const struct sandbox_policy *policy, const char *path)
{
    for (char **own = policy->own; *own; own++) {
        if (sandbox_path_is_within(path, *own)) {
            return *own;
        }
    }
    return NULL;
}

/* What lies in a directory of phantom_ci is out of sight with it, but for the workspace. */
static void hide_if_there(const struct sandbox_policy *policy, GPtrArray *list, const char *path)
{
    char *resolved = canonical(path);
    if (resolved &&
        (!owner_of(policy, resolved) || sandbox_path_is_within(resolved, policy->workspace))) {
        g_ptr_array_add(list, resolved);
    } else {
        g_free(resolved);
    }
}

static char **list_hidden(const struct sandbox_policy *policy,
                          const struct sandbox_request *request)
{
    const char *const *const lists[] = {hidden_in_system, request->hidden, request->secrets};
    GPtrArray *list = g_ptr_array_new();
    for (unsigned i = 0; request->home && hidden_in_home[i]; i++) {
        g_autofree char *path = g_build_filename(request->home, hidden_in_home[i], NULL);
        hide_if_there(policy, list, path);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        for (const char *const *path = lists[i]; path && *path; path++) {
            hide_if_there(policy, list, *path);
        }
    }
    return finish(list);
}

/* What is granted must be there, and be nobody's of ours. */
static char **list_granted(const struct sandbox_policy *policy, const char *const *paths,
                           const char *key, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    for (; paths && *paths; paths++) {
        g_autofree char *resolved = canonical(*paths);
        if (!resolved) {
            g_set_error(error, SANDBOX_ERROR, ERROR_INVALID,
                        "%s names %s, which is not there (%s); make it, or take it out of the list",
                        key, *paths, g_strerror(errno));
            return NULL;
        }
        const char *own = owner_of(policy, resolved);
        if (own) {
            g_set_error(error, SANDBOX_ERROR, ERROR_INVALID,
                        "%s names %s, which lies in %s, a directory of phantom_ci that no step "
                        "may see",
                        key, *paths, own);
            return NULL;
        }
        g_ptr_array_add(list, g_steal_pointer(&resolved));
    }
    g_ptr_array_set_free_func(list, NULL);
    return finish(g_steal_pointer(&list));
}

static bool set_directory(char **field, const char *path, const char *what, GError **error)
{
    *field = canonical(path);
    return *field || error_set_errno(error, SANDBOX_ERROR, errno, "the %s %s", what, path);
}

/* Name resolution needs the file that the link points to: /run is empty in a sandbox. */
static char *find_resolver(void)
{
    g_autofree char *file = canonical("/etc/resolv.conf");
    return file && sandbox_path_is_within(file, "/run") ? g_steal_pointer(&file) : NULL;
}

struct sandbox_policy *sandbox_policy_new(const struct sandbox_request *request, GError **error)
{
    struct sandbox_policy *policy = g_new0(struct sandbox_policy, 1);
    policy->level = request->level;
    policy->network = request->network;
    policy->shares_proc = request->shares_proc;
    policy->home = request->home ? canonical(request->home) : NULL;
    policy->objects = request->objects ? canonical(request->objects) : NULL;
    policy->resolver = request->network ? find_resolver() : NULL;
    policy->own = list_those_there(request->own);
    bool good = set_directory(&policy->workspace, request->workspace, "workspace", error) &&
                set_directory(&policy->temporary, request->temporary,
                              "directory for temporary files", error) &&
                set_directory(&policy->helper, request->helper, "helper", error) &&
                (policy->hidden = list_hidden(policy, request)) &&
                (policy->writable = list_granted(policy, request->writable, "writable", error)) &&
                (policy->readable = list_granted(policy, request->readable, "readable", error));
    if (!good) {
        g_clear_pointer(&policy, sandbox_policy_free);
    }
    return policy;
}

void sandbox_policy_free(struct sandbox_policy *policy)
{
    if (policy) {
        g_free(policy->workspace);
        g_free(policy->temporary);
        g_free(policy->home);
        g_free(policy->resolver);
        g_free(policy->helper);
        g_free(policy->objects);
        g_strfreev(policy->writable);
        g_strfreev(policy->readable);
        g_strfreev(policy->hidden);
        g_strfreev(policy->own);
        g_free(policy);
    }
}
