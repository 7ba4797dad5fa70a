/*
 * phantom_ci-credential: asks the user's credential helpers of git for the user name and password
 * of one repository, on behalf of looks, so that phantom_ci itself never holds them. Started by
 * phantom_ci when a server wants a login.
 *
 *   standard input   commands, a line each: first the URL; then "approve" or "reject", when it is
 *                    known whether the server took the login; its end = neither
 *   standard output  a pipe that phantom_ci-net reads: one NET_LOGIN, in one write
 *                    (net/look_protocol.h)
 *   standard error   a pipe to phantom_ci: after the URL and after the first "reject" one line,
 *                    "filled" or "failed WORDS" without any of the secrets
 *
 * It forgets what it holds after "approve", after the second "reject", and at the end of its input;
 * the time for all of it is limited, and it dies with phantom_ci.
 */
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/error.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/wipe.h"
#include "git/command.h"
#include "git/credential.h"
#include "net/look_protocol.h"
#include "phantom_ci_config.h"

enum {
    HELPER_TIMEOUT_MS = 20 * 1000, /* of one `git credential` */
    LIFE_SECONDS = 5 * 60,         /* then SIGALRM ends it */
    LINE_MAX_BYTES = 8192,
    WORDS_MAX_BYTES = 4096,
};

/* Nobody reads the memory of this process: no debugger of the same user, no core file. */
static void harden(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    wipe_forbid_dumps();
    alarm(LIFE_SECONDS);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

/* A line of the input without its newline; NULL at its end. Byte by byte: what follows is for
 * later, and there is little of it. */
static char *read_line(void)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char byte;
    while (line->len < LINE_MAX_BYTES && fd_read(STDIN_FILENO, &byte, 1) == 1) {
        if (byte == '\n') {
            return g_strdup(line->str);
        }
        g_string_append_c(line, byte);
    }
    return NULL;
}

static void tell(const char *verdict, const char *words)
{
    g_autofree char *line =
        g_strdup_printf("%s%s%s\n", verdict, words ? " " : "", words ? words : "");
    fd_write_all(STDERR_FILENO, line, strlen(line), NULL);
}

/* git credential ACTION with `input`. What it prints, also in part, is wiped by the caller. */
static bool ask_git(const char *url, const char *action, const char *input,
                    struct spawn_result *result, GError **error)
{
    const struct git_remote remote = {.url = url};
    const char *git = git_executable(error);
    g_auto(GStrv) environment = git ? git_environment_remote(&remote, error) : NULL;
    if (!environment) {
        return false;
    }
    const char *const argv[] = {git, "credential", action, NULL};
    struct spawn_run_options options = {
        .spawn = SPAWN_OPTIONS_INIT,
        .input = input,
        .input_length = strlen(input),
        .out_limit_bytes = GIT_CREDENTIAL_MAX_BYTES,
        .err_limit_bytes = WORDS_MAX_BYTES,
        .timeout_ms = HELPER_TIMEOUT_MS,
        .cancel_fd = -1,
    };
    options.spawn.argv = argv;
    options.spawn.envp = (const char *const *)environment;
    options.spawn.new_session = true;
    options.spawn.parent_death_signal = SIGKILL;
    if (!spawn_run(&options, result, error)) {
        return false;
    }
    if (!WIFEXITED(result->wait_status) || WEXITSTATUS(result->wait_status) != 0) {
        g_autofree char *words = git_explain_failure(result->err, &remote);
        g_set_error(error, GIT_ERROR, ERROR_REMOTE, "%s",
                    *words ? words : "git credential fill failed");
        return false;
    }
    return true;
}

static void clear_result(struct spawn_result *result)
{
    wipe_free(&result->out, result->out_length);
    spawn_result_clear(result);
}

static bool fill(const char *url, struct git_credential *credential, GError **error)
{
    struct spawn_result result = {0};
    g_autofree char *input = g_strdup_printf("url=%s\n\n", url);
    bool good = ask_git(url, "fill", input, &result, error) &&
                git_credential_parse(result.out, result.out_length, credential, error);
    clear_result(&result);
    return good;
}

/* What became of it is the helper's own affair. */
static void hand_back(const char *url, const char *action, const struct git_credential *credential)
{
    struct spawn_result result = {0};
    char *input = git_credential_format(credential);
    ask_git(url, action, input, &result, NULL);
    wipe_free_string(&input);
    clear_result(&result);
}

static bool send_login(const struct git_credential *credential, GError **error)
{
    g_autofree char *prefix = git_credential_prefix(credential);
    const struct net_login login = {
        .prefix = prefix, .user = credential->username, .password = credential->password};
    GByteArray *bytes = g_byte_array_sized_new(PIPE_BUF);
    bool good = net_login_encode(bytes, &login, error);
    if (good && write(STDOUT_FILENO, bytes->data, bytes->len) != (ssize_t)bytes->len) {
        good = error_set_errno(error, GIT_ERROR, errno, "phantom_ci-net takes no login");
    }
    wipe_array_free(&bytes);
    return good;
}

/* True when there is a login, and phantom_ci-net has it. `refused` is one that is of no use. */
static bool offer(const char *url, const struct git_credential *refused,
                  struct git_credential *credential)
{
    g_autoptr(GError) error = NULL;
    bool good = fill(url, credential, &error);
    if (good && refused && strcmp(credential->username, refused->username) == 0 &&
        strcmp(credential->password, refused->password) == 0) {
        good = false;
        g_set_error_literal(&error, GIT_ERROR, ERROR_REMOTE,
                            "the credential helper gives again what the server has refused");
    }
    good = good && send_login(credential, &error);
    tell(good ? "filled" : "failed", good ? NULL : error->message);
    return good;
}

/* After the first login has been refused. */
static void offer_another(const char *url, const struct git_credential *refused)
{
    struct git_credential credential = {.protocol = NULL};
    if (offer(url, refused, &credential)) {
        g_autofree char *verdict = read_line();
        if (g_strcmp0(verdict, "approve") == 0 || g_strcmp0(verdict, "reject") == 0) {
            hand_back(url, verdict, &credential);
        }
    }
    git_credential_clear(&credential);
}

static void converse(const char *url)
{
    struct git_credential credential = {.protocol = NULL};
    if (offer(url, NULL, &credential)) {
        g_autofree char *verdict = read_line();
        if (g_strcmp0(verdict, "approve") == 0) {
            hand_back(url, "approve", &credential);
        } else if (g_strcmp0(verdict, "reject") == 0) {
            hand_back(url, "reject", &credential);
            offer_another(url, &credential);
        }
    }
    git_credential_clear(&credential);
}

int main(int argc, char **argv)
{
    harden();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("phantom_ci-credential %s\n", PHANTOM_CI_VERSION);
        return EXIT_CODE_OK;
    }
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fputs("phantom_ci-credential: it is started by phantom_ci, not by hand\n", stderr);
        return EXIT_CODE_USAGE;
    }
    g_autofree char *url = read_line();
    if (!url) {
        return EXIT_CODE_USAGE;
    }
    converse(url);
    return EXIT_CODE_OK;
}
