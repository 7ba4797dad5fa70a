/*
 * phantom_ci-net: the only program of phantom_ci that opens HTTP connections. Started by phantom_ci
 * when there is something to do; messages come on standard input, answers go to standard output
 * (net/protocol.h). It may open TCP connections and read what name resolution and TLS need; it may
 * not write, create, execute, fork, listen or signal (sandbox/confine.h).
 *
 * It has two roles, each a process of its own, so that what parses the bytes of git servers holds
 * no secret of a webhook:
 *   phantom_ci-net            delivers messages (net/messages.h)
 *   phantom_ci-net --looks    looks at git repositories (net/looks.h)
 *
 * It ends by itself after five minutes with nothing to do, at the end of its input once everything
 * is answered, when nobody reads its answers any more, and (on Linux by a signal, elsewhere by its
 * pipes) when its parent dies: the thread that started it, as PR_SET_PDEATHSIG of prctl(2) has it.
 */
#include <glib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/error.h"
#include "base/wipe.h"
#include "net/attempt.h"
#include "net/library.h"
#include "net/looks.h"
#include "net/messages.h"
#include "net/session.h"
#include "phantom_ci_config.h"
#include "sandbox/confine.h"

enum { IDLE_MS = 5 * 60 * 1000 };

struct options {
    gboolean version;
    gboolean looks;
    char **readable;
    gint64 idle_ms;
    char *attempt, *attempt_path;
    gboolean unconfined;
};

/* Nobody reads the memory of this process: no debugger of the same user, no core file. */
static void harden(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    wipe_forbid_dumps();
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static bool check_options(int argc, const struct options *options, GError **error)
{
    const char *fault = NULL;
    if (argc > 1) {
        fault = "there are no arguments";
    } else if (options->idle_ms < 1) {
        fault = "--idle-ms takes a number from 1 on";
    } else if (options->readable && !options->looks) {
        fault = "--readable is for --looks";
    }
    if (fault) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "%s (see phantom_ci-net --help)", fault);
    }
    return !fault;
}

static bool parse_arguments(int argc, char **argv, struct options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "print the version and end",
         NULL},
        {"looks", 0, 0, G_OPTION_ARG_NONE, &options->looks,
         "look at git repositories instead of sending messages", NULL},
        {"readable", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->readable,
         "with --looks: a file or directory of certificates that looks may name", "PATH"},
        {"idle-ms", 0, 0, G_OPTION_ARG_INT64, &options->idle_ms,
         "end after so many milliseconds with nothing to do (default: 300000)", "N"},
#ifdef PHANTOM_CI_FAULTS
        {"attempt", 0, 0, G_OPTION_ARG_STRING, &options->attempt,
         "for tests: confine, do one forbidden act, exit with its errno", "ACT"},
        {"attempt-path", 0, 0, G_OPTION_ARG_FILENAME, &options->attempt_path, "what to do it to",
         "PATH"},
        {"unconfined", 0, 0, G_OPTION_ARG_NONE, &options->unconfined,
         "for tests: do it without confinement", NULL},
#endif
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(
        context, "Sends the messages of phantom_ci over HTTP and HTTPS, or looks at git\n"
                 "repositories there, and nothing else. Started by phantom_ci, not by hand:\n"
                 "requests come on standard input, answers go to standard output.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        return false;
    }
    if (!options->version && !options->attempt && isatty(STDIN_FILENO)) {
        g_set_error_literal(error, NET_ERROR, ERROR_INVALID,
                            "it is started by phantom_ci, not by hand (see phantom_ci-net --help)");
        return false;
    }
    return check_options(argc, options, error);
}

static void add_named(GPtrArray *paths, const char *const *names)
{
    for (; *names; names++) {
        const char *path = g_getenv(*names);
        if (path && *path) {
            g_ptr_array_add(paths, (void *)path);
        }
    }
}

static bool confine(const struct options *options, GError **error)
{
    static const char *const of_messages[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO",
                                              "SSL_CERT_DIR", NULL};
    static const char *const of_looks[] = {"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", NULL};
    static const char *const of_both[] = {"OPENSSL_CONF", NULL};
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    add_named(paths, options->looks ? of_looks : of_messages);
    add_named(paths, of_both);
    for (char **path = options->readable; path && *path; path++) {
        g_ptr_array_add(paths, *path);
    }
    g_ptr_array_add(paths, NULL);
    return confine_network_client((const char *const *)paths->pdata, error);
}

/* The exit code. `role` is NULL when it could not be made. */
static int serve(struct session *session, const struct session_role *calls, void *role,
                 int64_t idle_ms, GError **error)
{
    if (!role) {
        return error_exit_code(*error);
    }
    if (session_serve(session, calls, role, idle_ms, error)) {
        return EXIT_CODE_OK;
    }
    g_autofree char *what = g_strdup((*error)->message);
    g_clear_error(error);
    g_set_error(error, NET_ERROR, ERROR_INVALID, "%s; it is started by phantom_ci, not by hand",
                what);
    return EXIT_CODE_USAGE;
}

static int serve_messages(const struct options *options, GError **error)
{
    struct session *session = session_new(MESSAGES_INPUT_MAX_BYTES);
    struct messages *messages = messages_new(session_output(session), error);
    int code = serve(session, &messages_role, messages, options->idle_ms, error);
    messages_free(messages);
    session_free(session);
    return code;
}

static int serve_looks(const struct options *options, int login_fd, GError **error)
{
    struct session *session = session_new(LOOKS_INPUT_MAX_BYTES);
    struct looks *looks = looks_new(session_output(session), login_fd, error);
    int code = serve(session, &looks_role, looks, options->idle_ms, error);
    looks_free(looks);
    session_free(session);
    return code;
}

static int run(const struct options *options, GError **error)
{
    int login_fd = options->looks ? looks_prepare() : -1;
    if (!library_init(error) || (!options->unconfined && !confine(options, error))) {
        return error_exit_code(*error);
    }
    if (options->attempt) {
        return attempt(options->attempt, options->attempt_path);
    }
    return options->looks ? serve_looks(options, login_fd, error) : serve_messages(options, error);
}

/* libcurl reads host names beyond ASCII as the locale says, whatever the service's environment: in
 * our messages they are UTF-8. */
static void set_locale(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        setlocale(LC_CTYPE, "UTF-8"); /* macOS */
    }
}

int main(int argc, char **argv)
{
    struct options options = {.idle_ms = IDLE_MS};
    g_autoptr(GError) error = NULL;
    harden();
    set_locale();
    int code = EXIT_CODE_USAGE;
    if (parse_arguments(argc, argv, &options, &error)) {
        if (options.version) {
            printf("phantom_ci-net %s\n", PHANTOM_CI_VERSION);
            code = EXIT_CODE_OK;
        } else {
            code = run(&options, &error);
        }
    }
    if (error) {
        fprintf(stderr, "phantom_ci-net: %s\n", error->message);
    }
    g_free(options.attempt);
    g_free(options.attempt_path);
    g_strfreev(options.readable);
    fflush(NULL);
    /* Not exit(): what libraries do at the end (a thread of the leak checker that traces this one)
     * is nothing that the filter allows. */
    _exit(code);
}
