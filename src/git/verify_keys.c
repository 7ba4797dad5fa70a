/* The keys that are allowed, where the tools of git find them: copies, so that what was checked is
 * what is used, and so that the user's own key ring and agent are left alone. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/file.h"
#include "git/mirror_internal.h"
#include "git/verify_internal.h"

#define RING_FILE "keys.gpg"

enum { TOOL_OUTPUT_BYTES = 64 * 1024 };

/* Runs to the end; the caller looks at the exit status. */
static bool run_tool(struct verifier *verifier, const char *const *argv,
                     struct spawn_result *result, GError **error)
{
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = TOOL_OUTPUT_BYTES,
                                        .err_limit_bytes = TOOL_OUTPUT_BYTES,
                                        .timeout_ms = verifier->limits.timeout_ms,
                                        .cancel_fd = verifier->limits.cancel_fd};
    g_auto(GStrv) environment = git_environment_with((const char *const *)verifier->variables);
    options.spawn.argv = argv;
    options.spawn.envp = (const char *const *)environment;
    return spawn_run(&options, result, error);
}

static bool exited_well(const struct spawn_result *result)
{
    return WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 0;
}

/* A private copy of one of the user's files; *bytes may be NULL. (G_FILE_SET_CONTENTS_NONE would
 * leave the end of a longer file there.) */
static char *copy_keys(struct verifier *verifier, const char *key, const char *path,
                       const char *name, char **bytes, GError **error)
{
    size_t length = 0;
    g_autofree char *text = file_read_trusted(path, VERIFY_MAX_KEYS_BYTES, &length, error);
    g_autofree char *copy = g_build_filename(verifier->directory, name, NULL);
    if (!text || !g_file_set_contents_full(copy, text, (gssize)length,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, error)) {
        g_prefix_error(error, "%s: ", key);
        return NULL;
    }
    if (bytes) {
        *bytes = g_steal_pointer(&text);
    }
    return g_steal_pointer(&copy);
}

bool verify_prepare_ssh(struct verifier *verifier, const struct verify_rules *rules, GError **error)
{
    verifier->ssh_keygen = git_find_program("ssh-keygen");
    if (!verifier->ssh_keygen) {
        g_set_error_literal(error, GIT_ERROR, ERROR_NOT_FOUND,
                            "there is no ssh-keygen in PATH, which verifies signatures for "
                            "allowed_signers: install it, for example with `apt install "
                            "openssh-client`");
        return false;
    }
    verifier->signers = copy_keys(verifier, "allowed_signers", rules->allowed_signers,
                                  "allowed_signers", &verifier->signers_text, error);
    return verifier->signers != NULL;
}

/* Holds nothing but these keys. Nothing is started that outlives gpg, and nothing is fetched from
 * anywhere. The key ring is named, not imported: for an import gpg asks its agent, whose socket may
 * have no place in a long path. */
static bool make_gpg_home(struct verifier *verifier, GError **error)
{
    static const char settings[] = "batch\nno-tty\nno-autostart\ndisable-dirmngr\n"
                                   "no-auto-key-retrieve\nno-auto-check-trustdb\n"
                                   "no-default-keyring\nkeyring " RING_FILE "\n";
    g_autofree char *home = g_build_filename(verifier->directory, "gnupg", NULL);
    g_autofree char *file = g_build_filename(home, "gpg.conf", NULL);
    if (!file_remove_tree_at_path(home, error) || !file_ensure_private_directory(home, error) ||
        !g_file_set_contents_full(file, settings, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  error)) {
        return false;
    }
    verifier->variables = g_environ_setenv(verifier->variables, "GNUPGHOME", home, TRUE);
    verifier->gpg_home = g_steal_pointer(&home);
    return true;
}

static bool run_gpg(struct verifier *verifier, const char *const *argv, const char *path,
                    GError **error)
{
    struct spawn_result result = {0};
    bool good = run_tool(verifier, argv, &result, error);
    if (good && (!exited_well(&result) || strstr(result.err, "invalid packet"))) {
        g_autofree char *words = git_explain_failure(result.err, NULL);
        g_set_error(error, GIT_ERROR, ERROR_INVALID,
                    "gpg_keyring: gpg finds no keys in %s: %s; write it with: gpg --export "
                    "FINGERPRINT... >%s",
                    path, words, path);
        good = false;
    }
    spawn_result_clear(&result);
    return good;
}

/* A key ring is what gpg --export writes without --armor. */
static bool make_ring(struct verifier *verifier, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autofree char *ring = g_build_filename(verifier->gpg_home, RING_FILE, NULL);
    g_autofree char *copy = copy_keys(verifier, "gpg_keyring", path, "keyring", &text, error);
    const char *convert[] = {verifier->gpg, "--quiet", "--dearmor", "--output",
                             ring,          "--",      copy,        NULL};
    const char *list[] = {verifier->gpg, "--quiet", "--with-colons", "--list-keys", NULL};
    if (!copy) {
        return false;
    }
    bool is_armored = g_str_has_prefix(text, "-----BEGIN PGP ");
    if (!is_armored && g_rename(copy, ring) != 0) {
        return error_set_errno(error, GIT_ERROR, errno, "cannot write %s", ring);
    }
    return (!is_armored || run_gpg(verifier, convert, path, error)) &&
           run_gpg(verifier, list, path, error);
}

bool verify_prepare_gpg(struct verifier *verifier, const struct verify_rules *rules, GError **error)
{
    verifier->gpg = git_find_program("gpg");
    if (!verifier->gpg) {
        g_set_error_literal(error, GIT_ERROR, ERROR_NOT_FOUND,
                            "there is no gpg in PATH, which verifies signatures for "
                            "allowed_gpg_keys: install it, for example with `apt install gnupg`");
        return false;
    }
    g_strfreev(verifier->gpg_keys);
    verifier->gpg_keys = g_strdupv((char **)rules->allowed_gpg_keys);
    for (char **key = verifier->gpg_keys; *key; key++) {
        char *upper = g_ascii_strup(*key, -1);
        g_free(*key);
        *key = upper;
    }
    return make_gpg_home(verifier, error) && make_ring(verifier, rules->gpg_keyring, error);
}

static bool names_principal(const char *lines, const char *principal)
{
    g_auto(GStrv) found = g_strsplit(lines, "\n", -1);
    return *principal && g_strv_contains((const char *const *)found, principal);
}

bool verify_is_valid_now(struct verifier *verifier, const char *signature, const char *principal,
                         bool *answer, GError **error)
{
    g_autofree char *file = g_build_filename(verifier->directory, "signature", NULL);
    const char *argv[] = {verifier->ssh_keygen, "-Y", "find-principals", "-s", file, "-f",
                          verifier->signers,    NULL};
    struct spawn_result result = {0};
    *answer = false;
    if (!g_file_set_contents_full(file, signature, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  error)) {
        return false;
    }
    bool good = run_tool(verifier, argv, &result, error);
    *answer = good && exited_well(&result) && names_principal(result.out, principal);
    spawn_result_clear(&result);
    return good;
}
