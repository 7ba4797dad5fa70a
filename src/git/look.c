#include "git/look.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/refkey.h"
#include "base/spawn.h"
#include "base/tail.h"
#include "base/text.h"
#include "git/settings.h"

enum {
    READ_SIZE = 16 * 1024,
    READS_AT_ONCE = 32, /* one look never holds up the others */
    GIT_LOOK_MAX_PATTERNS = 64,
    EXIT_GRACE_MS = 300, /* after both pipes are closed; meanwhile nobody else is looked at */
};

struct git_look {
    char *url;
    char *ssh_key_path;
    char **names; /* what is wanted, as it was given */
    struct refset_wanted *wanted;
    pid_t pid; /* 0 = reaped */
    int out_fd, err_fd;
    GString *line; /* the unfinished one, at most GIT_LOOK_MAX_LINE bytes */
    bool line_too_long;
    GHashTable *refs;
    struct tail err;
    bool killed, too_many, malformed;
};

bool git_look_parse_line(const char *text, size_t length, struct git_look_line *line)
{
    static const char peeled[] = "^{}";
    const char *tab = memchr(text, '\t', length);
    if (!tab || memchr(text, '\0', length)) {
        return false;
    }
    g_autofree char *id = g_strndup(text, (gsize)(tab - text));
    g_autofree char *name = g_strndup(tab + 1, length - (size_t)(tab + 1 - text));
    if (!text_is_object_id(id) || !g_str_has_prefix(name, "refs/")) {
        return false;
    }
    line->id = text;
    line->id_length = strlen(id);
    line->name = tab + 1;
    line->name_length = strlen(name) - (g_str_has_suffix(name, peeled) ? strlen(peeled) : 0);
    return true;
}

static void take_line(struct git_look *look)
{
    struct git_look_line line;
    if (look->line_too_long) {
        return;
    }
    if (!git_look_parse_line(look->line->str, look->line->len, &line)) {
        look->malformed = true;
    } else if (!refset_add(look->refs, look->wanted, line.name, line.name_length, line.id,
                           line.id_length)) {
        look->too_many = true;
    }
}

static void take_output(struct git_look *look, const char *bytes, size_t length)
{
    while (length > 0) {
        const char *newline = memchr(bytes, '\n', length);
        size_t part = newline ? (size_t)(newline - bytes) : length;
        if (look->line->len + part > GIT_LOOK_MAX_LINE) {
            look->line_too_long = true;
        } else {
            g_string_append_len(look->line, bytes, (gssize)part);
        }
        if (!newline) {
            return;
        }
        take_line(look);
        g_string_truncate(look->line, 0);
        look->line_too_long = false;
        bytes += part + 1;
        length -= part + 1;
    }
}

static void read_output(struct git_look *look)
{
    char bytes[READ_SIZE];
    for (int i = 0; look->out_fd >= 0 && i < READS_AT_ONCE; i++) {
        ssize_t got = fd_read(look->out_fd, bytes, sizeof bytes);
        if (got > 0) {
            take_output(look, bytes, (size_t)got);
        } else if (got == 0 || errno != EAGAIN) {
            fd_close(&look->out_fd);
        } else {
            return;
        }
    }
}

static void read_error_output(struct git_look *look)
{
    if (look->err_fd >= 0 && !tail_read(&look->err, look->err_fd)) {
        fd_close(&look->err_fd);
    }
}

/* What is asked for, as patterns: their fixed heads, for ls-remote's own matching knows other
 * brackets than fnmatch(3). Behind a whole name the star is for its peeled line. */
static void add_patterns(GPtrArray *argv, const struct git_look *look)
{
    g_auto(GStrv) prefixes =
        refset_prefixes((const char *const *)look->names, GIT_LOOK_MAX_PATTERNS);
    for (char **prefix = prefixes; *prefix; prefix++) {
        g_ptr_array_add(argv, g_strconcat(*prefix, "*", NULL));
    }
}

static bool wants_below(const struct git_look *look, const char *prefix)
{
    for (char **name = look->names; *name; name++) {
        if (g_str_has_prefix(*name, prefix)) {
            return true;
        }
    }
    return false;
}

static char **make_environment(const struct git_remote *remote, bool no_redirects, GError **error)
{
    char **environment = git_environment_remote(remote, error);
    return environment && no_redirects
               ? git_environment_add_config(environment, "http.followRedirects", "false")
               : environment;
}

static bool start(struct git_look *look, const struct git_remote *remote, bool no_redirects,
                  int out_fd, int err_fd, GError **error)
{
    const char *git = git_executable(error);
    g_auto(GStrv) environment = git ? make_environment(remote, no_redirects, error) : NULL;
    if (!environment) {
        return false;
    }
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(git));
    g_ptr_array_add(argv, g_strdup("ls-remote"));
    /* With these, git asks a server of protocol version 2 for no other refs. */
    if (wants_below(look, REFKEY_HEADS)) {
        g_ptr_array_add(argv, g_strdup("--heads"));
    }
    if (wants_below(look, REFKEY_TAGS)) {
        g_ptr_array_add(argv, g_strdup("--tags"));
    }
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_strdup(remote->url));
    add_patterns(argv, look);
    g_ptr_array_add(argv, NULL);
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = (const char *const *)argv->pdata;
    options.envp = (const char *const *)environment;
    options.stdout_fd = out_fd;
    options.stderr_fd = err_fd;
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    options.ignore_sigpipe = true; /* of a server that hangs up git tells in words */
    look->pid = spawn_start(&options, NULL, error);
    if (look->pid > 0) {
        return true;
    }
    look->pid = 0;
    return false;
}

struct git_look *git_look_start(const struct git_remote *remote, bool no_redirects,
                                const char *const *wanted, GError **error)
{
    int out[2], err[2] = {-1, -1};
    if (!fd_pipe(out, error)) {
        return NULL;
    }
    struct git_look *look = g_new0(struct git_look, 1);
    look->url = g_strdup(remote->url);
    look->ssh_key_path = g_strdup(remote->ssh_key_path);
    look->names = g_strdupv((char **)wanted);
    look->wanted = refset_wanted_new(wanted);
    look->line = g_string_new(NULL);
    look->refs = refset_new();
    bool ok = fd_pipe(err, error);
    look->out_fd = out[0];
    look->err_fd = err[0];
    ok = ok && fd_set_nonblocking(out[0], true, error) && fd_set_nonblocking(err[0], true, error) &&
         start(look, remote, no_redirects, out[1], err[1], error);
    fd_close(&out[1]);
    fd_close(&err[1]);
    if (ok) {
        return look;
    }
    git_look_free(look);
    return NULL;
}

void git_look_fds(const struct git_look *look, int fds[2])
{
    fds[0] = look->out_fd;
    fds[1] = look->err_fd;
}

/* Over with the end of stdout: a connection that ssh keeps in the background may hold stderr open.
 */
bool git_look_read(struct git_look *look)
{
    read_error_output(look);
    read_output(look);
    return look->out_fd >= 0;
}

void git_look_kill(struct git_look *look)
{
    if (look->pid == 0) {
        return;
    }
    look->killed = true;
    spawn_kill_group(look->pid, SIGKILL);
}

/* True when the leader is dead, still unreaped: its group may be killed without hitting a stranger.
 */
static bool wait_for_exit(pid_t pid, int timeout_ms)
{
    int64_t end = clock_monotonic_ms() + timeout_ms;
    auto_fd pidfd = spawn_open_pidfd(pid);
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
            return errno != EINTR;
        }
        int64_t left = end - clock_monotonic_ms();
        if (info.si_pid == pid || left <= 0) {
            return info.si_pid == pid;
        }
        struct pollfd item = {.fd = pidfd, .events = POLLIN};
        poll(&item, 1, pidfd >= 0 ? (int)left : 10);
    }
}

static int reap(struct git_look *look)
{
    int status = 0;
    if (!wait_for_exit(look->pid, EXIT_GRACE_MS)) {
        look->killed = true;
    }
    spawn_kill_group(look->pid, SIGKILL);
    while (waitpid(look->pid, &status, 0) < 0 && errno == EINTR) {
    }
    look->pid = 0;
    return status;
}

static void set_failure(struct git_look *look, int status, GError **error)
{
    struct git_remote remote = {.url = look->url, .ssh_key_path = look->ssh_key_path};
    g_autofree char *url = url_for_display(look->url);
    g_autofree char *words = git_explain_failure(look->err.text, &remote);
    const char *colon = words[0] ? ": " : "";
    if (look->killed) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT, "%s did not answer within the time limit%s%s",
                    url, colon, words);
    } else if (look->too_many) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT,
                    "%s has more than %d branches and tags that are asked for", url,
                    REFSET_MAX_REFS);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_autofree char *how = spawn_format_status(status);
        g_set_error(error, GIT_ERROR, ERROR_REMOTE, "%s: %s", url, words[0] ? words : how);
    } else {
        g_set_error(error, GIT_ERROR, ERROR_REMOTE,
                    "%s: git ls-remote gave an answer that ends too early or is no list "
                    "of refs%s%s",
                    url, colon, words);
    }
}

GHashTable *git_look_finish(struct git_look *look, GError **error)
{
    if (look->pid == 0) {
        g_set_error_literal(error, GIT_ERROR, ERROR_SYSTEM, "this look was finished before");
        return NULL;
    }
    /* asked before its end: the answer can't be complete */
    if (look->out_fd >= 0) {
        git_look_kill(look);
    }
    int status = reap(look);
    read_error_output(look);
    bool torn = look->line->len > 0 || look->line_too_long;
    if (!look->killed && !look->too_many && !look->malformed && !torn && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0) {
        return g_hash_table_ref(look->refs);
    }
    set_failure(look, status, error);
    return NULL;
}

void git_look_free(struct git_look *look)
{
    if (!look) {
        return;
    }
    if (look->pid > 0) {
        git_look_kill(look);
        reap(look);
    }
    fd_close(&look->out_fd);
    fd_close(&look->err_fd);
    g_string_free(look->line, TRUE);
    g_hash_table_unref(look->refs);
    refset_wanted_free(look->wanted);
    g_strfreev(look->names);
    g_free(look->ssh_key_path);
    g_free(look->url);
    g_free(look);
}

GHashTable *git_look_now(const struct git_remote *remote, const char *const *wanted, int timeout_ms,
                         GError **error)
{
    struct git_look *look = git_look_start(remote, git_redirects_leak(remote->url), wanted, error);
    if (!look) {
        return NULL;
    }
    int64_t end = clock_monotonic_ms() + timeout_ms;
    while (git_look_read(look)) {
        int64_t left = timeout_ms < 0 ? -1 : end - clock_monotonic_ms();
        if (timeout_ms >= 0 && left <= 0) {
            git_look_kill(look);
            break;
        }
        int fds[2];
        git_look_fds(look, fds);
        struct pollfd items[2] = {{.fd = fds[0], .events = POLLIN},
                                  {.fd = fds[1], .events = POLLIN}};
        poll(items, 2, (int)left);
    }
    GHashTable *refs = git_look_finish(look, error);
    git_look_free(look);
    return refs;
}
