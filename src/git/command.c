#include "git/command.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "base/units.h"
#include "git/hints.h"

enum { MAX_STDERR = 16 * 1024, MAX_FSCK_LINE = 200 };

static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

/* PATH without relative entries: a program is never found in the directory that we happen to be in.
 */
static char *safe_path(void)
{
    const char *path = g_getenv("PATH");
    g_auto(GStrv) entries = g_strsplit(path && *path ? path : default_path, ":", -1);
    g_autoptr(GString) safe = g_string_new(NULL);
    for (char **entry = entries; *entry; entry++) {
        if (**entry != '/') {
            continue;
        }
        if (safe->len > 0) {
            g_string_append_c(safe, ':');
        }
        g_string_append(safe, *entry);
    }
    return g_strdup(safe->len > 0 ? safe->str : default_path);
}

static char *find_program(const char *path, const char *name)
{
    g_auto(GStrv) entries = g_strsplit(path, ":", -1);
    for (char **entry = entries; *entry; entry++) {
        g_autofree char *candidate = g_build_filename(*entry, name, NULL);
        struct stat status;
        if (stat(candidate, &status) == 0 && S_ISREG(status.st_mode) &&
            access(candidate, X_OK) == 0) {
            return g_steal_pointer(&candidate);
        }
    }
    return NULL;
}

const char *git_executable(GError **error)
{
    static char *found_in, *found;
    g_autofree char *path = safe_path();
    if (found && strcmp(path, found_in) == 0) {
        return found;
    }
    char *candidate = find_program(path, "git");
    if (!candidate) {
        g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND,
                    "there is no git in PATH (%s): install it, for example with `apt install git`",
                    path);
        return NULL;
    }
    g_free(found);
    g_free(found_in);
    found_in = g_steal_pointer(&path);
    found = candidate;
    return found;
}

char *git_find_program(const char *name)
{
    g_autofree char *path = safe_path();
    return find_program(path, name);
}

static void pass_through(GPtrArray *environment, const char *const *names)
{
    for (; *names; names++) {
        const char *value = g_getenv(*names);
        if (value) {
            g_ptr_array_add(environment, g_strdup_printf("%s=%s", *names, value));
        }
    }
}

static void set(GPtrArray *environment, const char *name, const char *value)
{
    g_ptr_array_add(environment, g_strdup_printf("%s=%s", name, value));
}

/* Configuration by environment counts more than any file and less than `git -c`. */
static void set_config(GPtrArray *environment, const char *const (*pairs)[2])
{
    unsigned count = 0;
    for (; pairs[count][0]; count++) {
        g_autofree char *key = g_strdup_printf("GIT_CONFIG_KEY_%u", count);
        g_autofree char *value = g_strdup_printf("GIT_CONFIG_VALUE_%u", count);
        set(environment, key, pairs[count][0]);
        set(environment, value, pairs[count][1]);
    }
    g_ptr_array_add(environment, g_strdup_printf("GIT_CONFIG_COUNT=%u", count));
}

static GPtrArray *environment_begin(void)
{
    static const char *const names[] = {"HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", NULL};
    GPtrArray *environment = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = safe_path();
    set(environment, "PATH", path);
    pass_through(environment, names);
    set(environment, "LANG", "C.UTF-8");
    set(environment, "LC_ALL", "C");
    return environment;
}

static char **environment_end(GPtrArray *environment)
{
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}

char **git_environment_plain(void)
{
    return environment_end(environment_begin());
}

char **git_environment_replace(char **environment, const char *const *variables)
{
    for (; *variables; variables++) {
        g_auto(GStrv) pair = g_strsplit(*variables, "=", 2);
        environment = g_environ_setenv(environment, pair[0], pair[1], TRUE);
    }
    return environment;
}

char **git_environment_add_config(char **environment, const char *key, const char *value)
{
    const char *count_text = g_environ_getenv(environment, "GIT_CONFIG_COUNT");
    guint64 count = count_text ? g_ascii_strtoull(count_text, NULL, 10) : 0;
    g_autofree char *key_line =
        g_strdup_printf("GIT_CONFIG_KEY_%" G_GUINT64_FORMAT "=%s", count, key);
    g_autofree char *value_line =
        g_strdup_printf("GIT_CONFIG_VALUE_%" G_GUINT64_FORMAT "=%s", count, value);
    g_autofree char *count_line = g_strdup_printf("GIT_CONFIG_COUNT=%" G_GUINT64_FORMAT, count + 1);
    const char *const lines[] = {key_line, value_line, count_line, NULL};
    return git_environment_replace(environment, lines);
}

char **git_environment_with(const char *const *variables)
{
    return git_environment_replace(git_environment_plain(), variables);
}

char **git_environment_config(void)
{
    static const char *const names[] = {"XDG_CONFIG_HOME", NULL};
    GPtrArray *environment = environment_begin();
    pass_through(environment, names);
    return environment_end(environment);
}

/* ssh replaces %X in the path of a key. */
static char *without_tokens(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "%", -1);
    return g_strjoinv("%%", parts);
}

void git_append_ssh_options(GPtrArray *argv, const char *ssh_key_path)
{
    /* The server of a repository gets no agent, no display and no port of ours, whatever
     * ~/.ssh/config grants to every host. */
    static const char *const options[] = {"BatchMode=yes",           "StrictHostKeyChecking=yes",
                                          "ForwardAgent=no",         "ForwardX11=no",
                                          "ClearAllForwardings=yes", "ConnectTimeout=15",
                                          "ServerAliveInterval=15",  "ServerAliveCountMax=2"};
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_ptr_array_add(argv, g_strdup("-o"));
        g_ptr_array_add(argv, g_strdup(options[i]));
    }
    if (ssh_key_path) {
        g_ptr_array_add(argv, g_strdup("-i"));
        g_ptr_array_add(argv, without_tokens(ssh_key_path));
        g_ptr_array_add(argv, g_strdup("-o"));
        g_ptr_array_add(argv, g_strdup("IdentitiesOnly=yes"));
    }
}

/* For the shell that git runs it with. */
static char *ssh_command(const struct git_remote *remote)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    git_append_ssh_options(argv, remote->ssh_key_path);
    GString *command = g_string_new("ssh");
    for (guint i = 0; i < argv->len; i++) {
        const char *word = argv->pdata[i];
        bool plain = word[strspn(word, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-=./_")] == '\0';
        g_autofree char *quoted = plain ? g_strdup(word) : g_shell_quote(word);
        g_string_append_printf(command, " %s", quoted);
    }
    return g_string_free(command, FALSE);
}

char **git_environment_remote(const struct git_remote *remote, GError **error)
{
    static const char *const names[] = {
        "http_proxy",   "HTTP_PROXY",      "https_proxy", "HTTPS_PROXY",    "all_proxy",
        "ALL_PROXY",    "no_proxy",        "NO_PROXY",    "GIT_SSL_CAINFO", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "XDG_CONFIG_HOME", NULL};
    /* What a user's configuration must not turn on for an unattended program, and what could run a
     * command on behalf of a repository. fetch.unpackLimit: packs are synced to disk, loose objects
     * are not, and a power loss leaves those empty. fetch.fsckObjects: names of submodules that
     * climb, addresses that are options, trees with a .git in them never reach the mirror. What old
     * tools have written wrongly into the text of commits, and modes with a zero in front, are
     * harmless and in the history of many; for the rest there is the user's own
     * fetch.fsck.skipList. */
    static const char *const pairs[][2] = {{"core.hooksPath", "/dev/null"},
                                           {"core.fsmonitor", "false"},
                                           {"core.askPass", ""},
                                           {"credential.interactive", "false"},
                                           {"transfer.bundleURI", "false"},
                                           {"gc.auto", "0"},
                                           {"maintenance.auto", "false"},
                                           {"submodule.recurse", "false"},
                                           {"fetch.recurseSubmodules", "false"},
                                           {"fetch.prune", "false"},
                                           {"fetch.pruneTags", "false"},
                                           {"fetch.fsckObjects", "true"},
                                           {"fetch.fsck.zeroPaddedFilemode", "ignore"},
                                           {"fetch.fsck.badTimezone", "ignore"},
                                           {"fetch.fsck.missingEmail", "ignore"},
                                           {"fetch.fsck.missingNameBeforeEmail", "ignore"},
                                           {"fetch.fsck.missingSpaceBeforeEmail", "ignore"},
                                           {"fetch.fsck.missingSpaceBeforeDate", "ignore"},
                                           {"fetch.fsck.zeroPaddedDate", "ignore"},
                                           {"fetch.unpackLimit", "1"},
                                           {"protocol.version", "2"},
                                           {"safe.bareRepository", "explicit"},
                                           {"http.lowSpeedLimit", "1"},
                                           {"http.lowSpeedTime", "30"},
                                           {NULL, NULL}};
    struct url url;
    if (!url_parse(remote->url, &url, error)) {
        return NULL;
    }
    GPtrArray *environment = environment_begin();
    pass_through(environment, names);
    set(environment, "GIT_TERMINAL_PROMPT", "0");
    set(environment, "GIT_ASKPASS", "");
    set(environment, "SSH_ASKPASS", "");
    set(environment, "SSH_ASKPASS_REQUIRE", "never");
    set(environment, "GIT_ALLOW_PROTOCOL", url_scheme_protocol(url.scheme));
    set(environment, "GIT_SSH_VARIANT", "ssh");
    /* A local source's upload-pack inherits it: the source could name a command that fetches. */
    set(environment, "GIT_NO_LAZY_FETCH", "1");
    g_autofree char *ssh = ssh_command(remote);
    set(environment, "GIT_SSH_COMMAND", ssh);
    set_config(environment, pairs);
    url_clear(&url);
    return environment_end(environment);
}

char **git_environment_local(const char *index_file)
{
    /* attributesFile and excludesFile have defaults in HOME that no GIT_CONFIG_* switches off. The
     * commit graph is a cache that a crash can leave torn, and nothing here is slow without it. */
    static const char *const pairs[][2] = {{"core.hooksPath", "/dev/null"},
                                           {"core.fsmonitor", "false"},
                                           {"core.attributesFile", "/dev/null"},
                                           {"core.excludesFile", "/dev/null"},
                                           {"core.askPass", ""},
                                           {"core.symlinks", "true"},
                                           {"core.protectHFS", "true"},
                                           {"core.protectNTFS", "true"},
                                           {"core.fileMode", "true"},
                                           {"core.autocrlf", "false"},
                                           {"core.sparseCheckout", "false"},
                                           {"core.commitGraph", "false"},
                                           {"gc.writeCommitGraph", "false"},
                                           {"gc.auto", "0"},
                                           {"maintenance.auto", "false"},
                                           {"submodule.recurse", "false"},
                                           {"safe.bareRepository", "explicit"},
                                           {NULL, NULL}};
    static const char *const settings[][2] = {
        {"GIT_CONFIG_NOSYSTEM", "1"},    {"GIT_CONFIG_GLOBAL", "/dev/null"},
        {"GIT_ATTR_NOSYSTEM", "1"},      {"GIT_NO_LAZY_FETCH", "1"},
        {"GIT_NO_REPLACE_OBJECTS", "1"}, {"GIT_OPTIONAL_LOCKS", "0"},
        {"GIT_LITERAL_PATHSPECS", "1"},  {"GIT_ALLOW_PROTOCOL", "none"},
        {"GIT_TERMINAL_PROMPT", "0"},    {"GIT_PAGER", "cat"}};
    GPtrArray *environment = environment_begin();
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        set(environment, settings[i][0], settings[i][1]);
    }
    if (index_file) {
        set(environment, "GIT_INDEX_FILE", index_file);
    }
    set_config(environment, pairs);
    return environment_end(environment);
}

/* The word that says what git was about: the first argument that is neither an option nor an
 * option's value. */
static const char *subcommand(const char *const *arguments)
{
    for (; *arguments; arguments++) {
        if (strcmp(*arguments, "-c") == 0 || strcmp(*arguments, "-C") == 0) {
            if (!*++arguments) {
                break;
            }
        } else if (**arguments != '-') {
            return *arguments;
        }
    }
    return "";
}

static bool disk_is_full(const char *text)
{
    return strstr(text, "No space left on device") || strstr(text, "Disk quota exceeded");
}

/* git's words about a child of its own, or about itself, that RLIMIT_FSIZE has stopped. */
static bool file_is_too_large(const struct spawn_result *result)
{
    g_autofree char *death = g_strdup_printf("died of signal %d", SIGXFSZ);
    return (WIFSIGNALED(result->wait_status) && WTERMSIG(result->wait_status) == SIGXFSZ) ||
           strstr(result->err, death) || strstr(result->err, "File too large");
}

GError *git_too_large(int64_t file_max_bytes)
{
    g_autofree char *size = units_format_size(file_max_bytes);
    return g_error_new(GIT_ERROR, ERROR_INVALID,
                       "the commit is refused: a file of it, its pack, or git's index of its files "
                       "has more than %s (fetch_max)",
                       size);
}

/* "error: object ID: gitmodulesUrl: disallowed submodule url: ..." stands above the last words. */
static char *explain_fsck(const char *text)
{
    static const char head[] = "error: object ";
    const char *line = g_str_has_prefix(text, head) ? text : strstr(text, "\nerror: object ");
    const char *from = line ? line + strspn(line, "\n") : text;
    g_autofree char *first = g_strndup(from, MIN(strcspn(from, "\n"), MAX_FSCK_LINE));
    g_autofree char *shown = text_escape(first);
    return g_strdup_printf("%s (%s)", shown, GIT_HINT_FSCK);
}

static void set_exit_error(const char *const *arguments, const struct spawn_result *result,
                           int64_t file_max_bytes, GError **error)
{
    const char *what = subcommand(arguments);
    if (file_max_bytes > 0 && file_is_too_large(result)) {
        g_propagate_error(error, git_too_large(file_max_bytes));
        return;
    }
    if (strstr(result->err, GIT_SIGN_FSCK)) {
        g_autofree char *words = explain_fsck(result->err);
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "git %s: the commit is refused: %s", what,
                    words);
        return;
    }
    if (WIFSIGNALED(result->wait_status)) {
        g_autofree char *status = spawn_format_status(result->wait_status);
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM, "git %s was %s", what, status);
        return;
    }
    g_autofree char *words = git_explain_failure(result->err, NULL);
    if (words[0] == '\0') {
        g_free(words);
        words = spawn_format_status(result->wait_status);
    }
    g_set_error(error, GIT_ERROR, disk_is_full(result->err) ? ERROR_NO_SPACE : ERROR_REMOTE,
                "git %s: %s", what, words);
}

static bool run(const char *const *arguments, const char *const *environment,
                const struct git_limits *limits, struct spawn_result *result, GError **error)
{
    const char *executable = git_executable(error);
    if (!executable) {
        return false;
    }
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (gpointer)executable);
    for (const char *const *argument = arguments; *argument; argument++) {
        g_ptr_array_add(argv, (gpointer)*argument);
    }
    g_ptr_array_add(argv, NULL);
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = GIT_MAX_OUTPUT,
                                        .end_at_out_limit = true,
                                        .err_limit_bytes = MAX_STDERR,
                                        .timeout_ms = limits ? limits->timeout_ms : -1,
                                        .cancel_fd = limits ? limits->cancel_fd : -1};
    options.spawn.argv = (const char *const *)argv->pdata;
    options.spawn.envp = environment;
    options.spawn.new_session = true;
    options.spawn.parent_death_signal = SIGKILL;
    /* git (2.39) dies of it when ssh-keygen gives a broken signature up before it has read all. */
    options.spawn.ignore_sigpipe = true;
    const struct spawn_limits spawn_limits = {.file_max_bytes =
                                                  limits ? limits->file_max_bytes : 0};
    options.spawn.limits = &spawn_limits;
    if (!spawn_run(&options, result, error)) {
        g_prefix_error(error, "git %s: ", subcommand(arguments));
        return false;
    }
    if (!WIFEXITED(result->wait_status) || WEXITSTATUS(result->wait_status) != 0) {
        set_exit_error(arguments, result, spawn_limits.file_max_bytes, error);
        return false;
    }
    if (result->out_truncated) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT, "git %s wrote more than %d bytes",
                    subcommand(arguments), GIT_MAX_OUTPUT);
        return false;
    }
    return true;
}

bool git_run(const char *const *arguments, const char *const *environment,
             const struct git_limits *limits, struct spawn_result *out, GError **error)
{
    struct spawn_result result = {0};
    bool ok = run(arguments, environment, limits, &result, error);
    if (out) {
        *out = result;
    } else {
        spawn_result_clear(&result);
    }
    return ok;
}
