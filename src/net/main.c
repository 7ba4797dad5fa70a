/*
 * phantom_ci-net: the only program of phantom_ci that opens HTTP connections. Started by phantom_ci
 * when there is something to send; requests come on standard input, answers go to standard output
 * (net/protocol.h). It may open TCP connections and read what name resolution and TLS need; it may
 * not write, create, execute, fork, listen or signal (sandbox/confine.h).
 *
 * It ends by itself after five minutes with nothing to do, at the end of its input once everything
 * is answered, when nobody reads its answers any more, and (on Linux by a signal, elsewhere by its
 * pipes) when its parent dies: the thread that started it, as PR_SET_PDEATHSIG of prctl(2) has it.
 */
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/wipe.h"
#include "net/attempt.h"
#include "net/http.h"
#include "net/protocol.h"
#include "phantom_ci_config.h"
#include "sandbox/confine.h"

enum {
    IDLE_MS = 5 * 60 * 1000,
    INPUT_MAX_BYTES = NET_HEADER_BYTES + NET_REQUEST_MAX_BYTES, /* one message, whichever */
    OUTPUT_MAX_BYTES = 256 * 1024, /* above this nothing more is taken on until it is read */
};

struct options {
    gboolean version;
    gint64 idle_ms;
    char *attempt, *attempt_path;
    gboolean unconfined;
};

struct session {
    struct http *http;
    uint8_t *input; /* INPUT_MAX_BYTES */
    size_t input_length;
    bool input_ended;
    GByteArray *output;
    int64_t active_ms; /* monotonic; when something was last read or written */
};

enum verdict { GO_ON, END, FAIL };

/* ------------------------------------------------------------------------------- before the work
 */

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

static bool parse_arguments(int argc, char **argv, struct options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "print the version and end",
         NULL},
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
        context, "Sends the messages of phantom_ci over HTTP and HTTPS, and nothing else.\n"
                 "Started by phantom_ci, not by hand: requests come on standard input, answers\n"
                 "go to standard output.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        return false;
    }
    if (!options->version && !options->attempt && isatty(STDIN_FILENO)) {
        g_set_error_literal(error, NET_ERROR, ERROR_INVALID,
                            "it is started by phantom_ci, not by hand (see phantom_ci-net --help)");
        return false;
    }
    if (argc > 1 || options->idle_ms < 1) {
        g_set_error(error, NET_ERROR, ERROR_INVALID, "%s (see phantom_ci-net --help)",
                    argc > 1 ? "there are no arguments" : "--idle-ms takes a number from 1 on");
        return false;
    }
    return true;
}

static bool confine(GError **error)
{
    static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO",
                                        "SSL_CERT_DIR", "OPENSSL_CONF"};
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *path = g_getenv(names[i]);
        if (path && *path) {
            g_ptr_array_add(paths, (void *)path);
        }
    }
    g_ptr_array_add(paths, NULL);
    return confine_network_client((const char *const *)paths->pdata, error);
}

/* -------------------------------------------------------------------------------------- messages
 */

static void send_answer(const struct net_answer *answer, void *user)
{
    struct session *session = user;
    if (fault_point("net.answer") == 0) {
        net_answer_encode(session->output, answer);
    }
}

static void refuse_request(struct session *session, const char *id, const char *why)
{
    struct net_answer answer = NET_ANSWER_INIT;
    answer.id = (char *)id;
    answer.outcome = NET_OUTCOME_REFUSED;
    answer.error = (char *)why;
    send_answer(&answer, session);
}

/* False: the message is broken, and so is everything behind it. */
static bool take_message(struct session *session, const struct net_message *message, GError **error)
{
    if (message->type == NET_CANCEL) {
        g_autofree char *id = net_cancel_parse(message, error);
        if (id) {
            http_cancel(session->http, id);
        }
        return id != NULL;
    }
    struct net_request request;
    g_autoptr(GError) problem = NULL;
    if (net_request_parse(message, &request, &problem)) {
        int fault = fault_point("net.request");
        if (fault) {
            refuse_request(session, request.id, g_strerror(fault));
        } else {
            http_add(session->http, &request);
        }
    } else if (request.id) {
        refuse_request(session, request.id, problem->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    net_request_clear(&request);
    return true;
}

static bool has_room(const struct session *session)
{
    return http_has_room(session->http) && session->output->len < OUTPUT_MAX_BYTES;
}

/* Takes the whole messages that lie in the buffer, as far as there is room for them. */
static bool take_messages(struct session *session, GError **error)
{
    size_t done = 0;
    bool good = true;
    while (good && has_room(session)) {
        struct net_message message;
        size_t used = 0;
        enum net_decode result = net_decode(session->input + done, session->input_length - done,
                                            NET_TO_NET, &message, &used, error);
        if (result == NET_INCOMPLETE) {
            break;
        }
        good = result == NET_MESSAGE && take_message(session, &message, error);
        done += used;
    }
    session->input_length -= done;
    memmove(session->input, session->input + done, session->input_length);
    wipe_bytes(session->input + session->input_length, done);
    return good;
}

/* --------------------------------------------------------------------------------------- the loop
 */

static bool read_input(struct session *session, GError **error)
{
    ssize_t got = fd_read(STDIN_FILENO, session->input + session->input_length,
                          INPUT_MAX_BYTES - session->input_length);
    if (got < 0) {
        return error_set_errno(error, NET_ERROR, errno, "cannot read requests");
    }
    session->input_ended = got == 0;
    session->input_length += (size_t)got;
    session->active_ms = clock_monotonic_ms();
    return true;
}

/* As much as a pipe that can be written takes at once: this never blocks. */
static bool write_output(struct session *session)
{
    size_t length = MIN(session->output->len, PIPE_BUF);
    ssize_t written = write(STDOUT_FILENO, session->output->data, length);
    if (written < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    wipe_array_front(session->output, (size_t)written);
    session->active_ms = clock_monotonic_ms();
    return true;
}

static bool is_idle(const struct session *session)
{
    return http_pending(session->http) == 0 && session->output->len == 0;
}

static int64_t idle_left_ms(const struct session *session, const struct options *options)
{
    if (!is_idle(session)) {
        return G_MAXINT;
    }
    return MAX(session->active_ms + options->idle_ms - clock_monotonic_ms(), 0);
}

/* The last look before an idle end: a request that came in this moment is still served. */
static bool input_waits(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) > 0;
}

static enum verdict turn(struct session *session, const struct options *options, GError **error)
{
    bool reads = !session->input_ended && has_room(session);
    struct pollfd fds[] = {
        {.fd = STDOUT_FILENO, .events = session->output->len > 0 ? POLLOUT : 0},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    if (!http_wait(session->http, fds, reads ? 2 : 1, idle_left_ms(session, options), error)) {
        return FAIL;
    }
    if (fds[0].revents & (POLLERR | POLLNVAL) ||
        (fds[0].revents & POLLOUT && !write_output(session))) {
        return END; /* nobody reads the answers */
    }
    if (fds[1].revents && !read_input(session, error)) {
        return FAIL;
    }
    if (!take_messages(session, error)) {
        return FAIL;
    }
    if (is_idle(session) && session->input_ended) {
        if (session->input_length > 0) {
            g_set_error_literal(error, NET_ERROR, ERROR_INVALID,
                                "the input ended in the middle of a message");
            return FAIL;
        }
        return END;
    }
    return idle_left_ms(session, options) == 0 && !input_waits() ? END : GO_ON;
}

static int serve(const struct options *options)
{
    g_autoptr(GError) error = NULL;
    struct session session = {.active_ms = clock_monotonic_ms()};
    session.http = http_new(send_answer, &session, &error);
    if (!session.http) {
        fprintf(stderr, "phantom_ci-net: %s\n", error->message);
        return EXIT_CODE_NEGATIVE;
    }
    session.input = g_malloc(INPUT_MAX_BYTES);
    session.output = g_byte_array_new();
    enum verdict verdict;
    do {
        verdict = turn(&session, options, &error);
    } while (verdict == GO_ON);
    if (verdict == FAIL) {
        fprintf(stderr, "phantom_ci-net: %s; it is started by phantom_ci, not by hand\n",
                error->message);
    }
    http_free(session.http);
    wipe_bytes(session.input, INPUT_MAX_BYTES);
    g_free(session.input);
    wipe_array_free(&session.output);
    return verdict == FAIL ? EXIT_CODE_USAGE : EXIT_CODE_OK;
}

static int run(const struct options *options, GError **error)
{
    if (!http_global_init(error) || (!options->unconfined && !confine(error))) {
        return error_exit_code(*error);
    }
    if (options->attempt) {
        return attempt(options->attempt, options->attempt_path);
    }
    return serve(options);
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
    fflush(NULL);
    /* Not exit(): what libraries do at the end (a thread of the leak checker that traces this one)
     * is nothing that the filter allows. */
    _exit(code);
}
