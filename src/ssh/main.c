/*
 * phantom_ci-ssh: looks at repositories over ssh. Started by phantom_ci when there is something to
 * look at; looks come on standard input, refs go to standard output (net/look_protocol.h). It opens
 * no network connection itself: ssh(1) does, one for each server, and this program has its sessions
 * there by way of ssh's control socket (ssh/mux.h), which costs no process a look.
 *
 * ssh must be free to do what the user's configuration says (proxies, helpers with the setuid bit,
 * agents), so nothing is taken from it but its terminal.
 *
 * It ends by itself after five minutes with nothing to do, at the end of its input once everything
 * is answered, when nobody reads its answers any more, and (on Linux by a signal, elsewhere by its
 * pipes) when its parent dies. The ssh processes end with it, and its sockets are removed; when it
 * is killed, the kernel kills them (Linux), and the next one removes the sockets.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/error.h"
#include "net/session.h"
#include "phantom_ci_config.h"
#include "ssh/looks.h"

enum { IDLE_MS = 5 * 60 * 1000 };

struct options {
    gboolean version;
    gint64 idle_ms;
};

static void harden(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static bool parse_arguments(int argc, char **argv, struct options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "print the version and end",
         NULL},
        {"idle-ms", 0, 0, G_OPTION_ARG_INT64, &options->idle_ms,
         "end after so many milliseconds with nothing to do (default: 300000)", "N"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(
        context, "Looks at repositories over ssh, by way of ssh(1).\n"
                 "Started by phantom_ci, not by hand: looks come on standard input, refs go to\n"
                 "standard output.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        return false;
    }
    const char *fault = NULL;
    if (argc > 1) {
        fault = "there are no arguments";
    } else if (options->idle_ms < 1) {
        fault = "--idle-ms takes a number from 1 on";
    } else if (!options->version && isatty(STDIN_FILENO)) {
        fault = "it is started by phantom_ci, not by hand";
    }
    if (fault) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "%s (see phantom_ci-ssh --help)", fault);
    }
    return !fault;
}

static int serve(const struct options *options, GError **error)
{
    struct session *session = session_new(LOOKS_INPUT_MAX_BYTES);
    struct looks *looks = looks_new(session_output(session), error);
    int code = EXIT_CODE_OK;
    if (!looks) {
        code = error_exit_code(*error);
    } else if (!session_serve(session, &looks_role, looks, options->idle_ms, error)) {
        g_prefix_error(error, "started by phantom_ci, not by hand: ");
        code = EXIT_CODE_USAGE;
    }
    looks_free(looks);
    session_free(session);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {.idle_ms = IDLE_MS};
    g_autoptr(GError) error = NULL;
    harden();
    int code = EXIT_CODE_USAGE;
    if (parse_arguments(argc, argv, &options, &error)) {
        if (options.version) {
            printf("phantom_ci-ssh %s\n", PHANTOM_CI_VERSION);
            code = EXIT_CODE_OK;
        } else {
            code = serve(&options, &error);
        }
    }
    if (error) {
        fprintf(stderr, "phantom_ci-ssh: %s\n", error->message);
    }
    return code;
}
