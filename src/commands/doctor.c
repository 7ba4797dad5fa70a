#include "commands/doctor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"

enum {
    DEFAULT_LIMIT_MS = 2 * 60 * 1000,
    PARENT_GRACE_MS =
        10 * 1000,     /* what the parts may take beyond the limit: their programs' time */
    WAIT_STEP_MS = 50, /* where the system has no pidfd */
    CANCEL_GRACE_MS = 3000,
    MAX_PROGRAM_OUTPUT = 64 * 1024,
};

static const struct {
    const char *name, *mark;
    enum tty_colour colour;
} statuses[DOCTOR_STATUSES] = {
    [DOCTOR_OK] = {"ok", "ok", TTY_GREEN},
    [DOCTOR_INFO] = {"info", "info", TTY_BLUE},
    [DOCTOR_WARN] = {"warn", "warn", TTY_YELLOW},
    [DOCTOR_FAIL] = {"fail", "FAIL", TTY_RED},
    [DOCTOR_SKIPPED] = {"skipped", "skipped", TTY_DIM},
};

/* -------------------------------------------------------------- findings */

const char *doctor_status_name(enum doctor_status status)
{
    return statuses[status].name;
}

void doctor_look_at(struct doctor *doctor, const char *subject)
{
    g_strlcpy(doctor->place, subject, DOCTOR_PLACE_BYTES);
}

static json_t *finding_to_json(enum doctor_status status, const char *check, const char *subject,
                               const char *detail, const char *mend)
{
    json_t *object = json_object();
    json_object_set_new(object, "check", json_string(check));
    json_object_set_new(object, "status", json_string(doctor_status_name(status)));
    json_object_set_new(object, "subject", show_json_text(subject));
    json_object_set_new(object, "detail", show_json_text(detail));
    json_object_set_new(object, "mend", show_json_text(mend));
    return object;
}

static void print_finding(enum doctor_status status, const char *check, const char *subject,
                          const char *detail, const char *mend)
{
    g_autofree char *mark = g_strdup_printf("%-7s", statuses[status].mark);
    g_autofree char *about = text_escape(subject);
    g_autofree char *found = text_escape(detail);
    g_autofree char *how = text_escape(mend);
    tty_print(stdout, statuses[status].colour, mark);
    printf("  %-13s  %s: %s", check, about, found);
    if (mend) {
        fputs("; to mend it: ", stdout);
        tty_print(stdout, TTY_BOLD, how);
    }
    putchar('\n');
    /* One at a time, as they are found: what comes next may take long. */
    fflush(stdout);
}

void doctor_add(struct doctor *doctor, enum doctor_status status, const char *check,
                const char *subject, const char *mend, const char *detail_format, ...)
{
    va_list arguments;
    va_start(arguments, detail_format);
    g_autofree char *detail = g_strdup_vprintf(detail_format, arguments);
    va_end(arguments);
    doctor->counts[status]++;
    if (doctor->list) {
        json_array_append_new(doctor->list, finding_to_json(status, check, subject, detail, mend));
    } else {
        print_finding(status, check, subject, detail, mend);
    }
}

/* --------------------------------------------------------------- helpers */

int doctor_time_left_ms(const struct doctor *doctor, int most)
{
    int64_t left_ms = clock_left_ms(doctor->end_ms);
    return (int)MIN(left_ms, most);
}

char *doctor_split_mend(const char *message, char **mend)
{
    static const char turn[] = "; mend it with: ";
    const char *at = g_strrstr(message, turn);
    *mend = at ? g_strdup(at + strlen(turn)) : NULL;
    return at ? g_strndup(message, (gsize)(at - message)) : g_strdup(message);
}

bool doctor_run(struct doctor *doctor, const char *const *argv, const char *const *environment,
                struct spawn_result *result, GError **error)
{
    struct spawn_run_options options = {
        .spawn = SPAWN_OPTIONS_INIT,
        .out_limit_bytes = MAX_PROGRAM_OUTPUT,
        .err_limit_bytes = MAX_PROGRAM_OUTPUT,
        /* a second at least, so that late parts still tell what they can */
        .timeout_ms = MAX(doctor_time_left_ms(doctor, DOCTOR_PROGRAM_MS), 1000),
        .cancel_fd = doctor->cancel_fd};
    options.spawn.argv = argv;
    options.spawn.envp = environment;
    options.spawn.new_session = true;
    options.spawn.parent_death_signal = SIGKILL;
    doctor_look_at(doctor, argv[0]);
    GError *failure = NULL;
    bool ran = spawn_run(&options, result, &failure);
    if (error_has_code(failure, ERROR_CANCELED)) {
        doctor_give_up();
    }
    if (failure) {
        g_propagate_error(error, failure);
    }
    return ran;
}

void doctor_give_up(void)
{
    _exit(EXIT_CODE_TRY_AGAIN);
}

bool doctor_is_asked_for(const struct doctor *doctor, const char *section)
{
    return !doctor->names[0] || g_strv_contains((const char *const *)doctor->names, section);
}

/* ------------------------------------------------------------- the visit */

static void print_summary(const struct doctor *doctor)
{
    unsigned all = 0;
    for (unsigned i = 0; i < DOCTOR_STATUSES; i++) {
        all += doctor->counts[i];
    }
    unsigned failures = doctor->counts[DOCTOR_FAIL];
    unsigned warnings = doctor->counts[DOCTOR_WARN];
    g_autofree char *text =
        g_strdup_printf("%u findings: %u failure%s, %u warning%s", all, failures,
                        failures == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
    tty_print(stdout, failures ? TTY_RED : warnings ? TTY_YELLOW : TTY_GREEN, text);
    putchar('\n');
}

static int finish(struct doctor *doctor)
{
    if (doctor->list) {
        show_json_print(g_steal_pointer(&doctor->list));
    } else {
        print_summary(doctor);
    }
    fflush(stdout);
    return doctor->counts[DOCTOR_FAIL] ? EXIT_CODE_NEGATIVE : EXIT_CODE_OK;
}

/* With a broken configuration nobody can say which names there are. */
static int check_names(struct doctor *doctor)
{
    for (char **name = doctor->names; doctor->context->config && *name; name++) {
        if (!command_find_repo(doctor->context, *name)) {
            return EXIT_CODE_NOT_FOUND;
        }
    }
    return -1;
}

static int examine(struct doctor *doctor)
{
    doctor_check_versions(doctor);
    doctor_check_host(doctor);
    doctor_check_directories(doctor);
    doctor_check_configuration(doctor);
    doctor_check_resources(doctor);
    doctor_check_state(doctor);
    doctor_check_service(doctor);
    doctor_check_sandbox(doctor);
    doctor_check_limits(doctor);
    doctor_check_trust(doctor);
    doctor_check_webhooks(doctor);
    doctor_check_secrets(doctor);
    doctor_check_remotes(doctor);
    doctor_look_at(doctor, "its own end");
    return finish(doctor);
}

/* Asked before anything else, so that a wrong name costs no time. */
static int find_wrong_name(struct doctor *doctor)
{
    if (!doctor->names[0]) {
        return -1;
    }
    struct diagnostics *diagnostics = diagnostics_new();
    doctor->context->config = config_load(doctor->context->paths.config, diagnostics);
    diagnostics_free(diagnostics);
    int code = check_names(doctor);
    g_clear_pointer(&doctor->context->config, config_free);
    return code;
}

/* --------------------------------------------------------------- signals */

/* Written by both processes and read by none: one byte tells both. */
static int cancel_end = -1;
static volatile sig_atomic_t ending_signal;

static void take_signal(int number)
{
    int saved = errno;
    ending_signal = number;
    ssize_t written = write(cancel_end, "", 1);
    (void)written;
    errno = saved;
}

/* git and its helpers have sessions of their own: an end of ours alone would leave them behind. */
static bool watch_signals(struct doctor *doctor, int ends[2], GError **error)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = take_signal};
    if (!fd_pipe(ends, error)) {
        return false;
    }
    cancel_end = ends[1];
    doctor->cancel_fd = ends[0];
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        sigaction(numbers[i], &action, NULL);
    }
    return true;
}

/* ------------------------------------------------- parent of the visitor */

/* True when the child has ended, within the time; it stays to be reaped. After a signal it has
 * CANCEL_GRACE_MS. */
static bool wait_for_child(pid_t child, int cancel_fd, int64_t end_ms)
{
    auto_fd pidfd = spawn_open_pidfd(child);
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == child) {
            return true;
        }
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            return false;
        }
        struct pollfd items[] = {{.fd = pidfd, .events = POLLIN},
                                 {.fd = cancel_fd, .events = POLLIN}};
        poll(items, 2, (int)(pidfd >= 0 ? left_ms : MIN(left_ms, WAIT_STEP_MS)));
        if (items[1].revents) {
            cancel_fd = -1;
            int64_t grace_end_ms = clock_monotonic_ms() + CANCEL_GRACE_MS;
            end_ms = MIN(end_ms, grace_end_ms);
        }
    }
}

static int reap(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* What the child had found in JSON is lost with it; its lines have been printed. */
static void report_broken_visit(struct doctor *doctor, const char *detail)
{
    g_autofree char *mend =
        g_strdup_printf("see why this hangs or fails: %s (a network file system that does not "
                        "answer?)",
                        doctor->place);
    doctor_add(doctor, DOCTOR_FAIL, "doctor", "phantom_ci doctor", mend, "%s; it was at %s", detail,
               doctor->place);
    finish(doctor);
}

/* The exit code of a child that has been reaped. */
static int judge_end(struct doctor *doctor, bool ended, int status, int64_t limit_ms)
{
    if (ending_signal) {
        signal(ending_signal, SIG_DFL);
        raise(ending_signal);
    }
    if (ended && WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    g_autofree char *took = units_format_elapsed(limit_ms);
    g_autofree char *how = spawn_format_status(status);
    g_autofree char *detail = ended ? g_strdup_printf("the checks ended early (%s)", how)
                                    : g_strdup_printf("the checks did not end within %s", took);
    report_broken_visit(doctor, detail);
    return EXIT_CODE_NEGATIVE;
}

/*
 * The checks run in a child: a system call on a dead network file system ends with a kill and with
 * nothing else, and the message about it must come from somebody who did not make that call.
 */
static int visit(struct doctor *doctor, int64_t limit_ms)
{
    int ends[2] = {-1, -1};
    g_autoptr(GError) error = NULL;
    const int protection = PROT_READ | PROT_WRITE;
    /* cppcheck-suppress invalidFunctionArg ; an anonymous mapping wants -1, mmap(2) */
    doctor->place = mmap(NULL, DOCTOR_PLACE_BYTES, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (doctor->place == MAP_FAILED) {
        return command_fail_text(EXIT_CODE_TRY_AGAIN, "no memory: %s", g_strerror(errno));
    }
    if (!watch_signals(doctor, ends, &error)) {
        return command_fail(error);
    }
    doctor->end_ms = clock_monotonic_ms() + limit_ms;
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        return command_fail_text(EXIT_CODE_TRY_AGAIN, "cannot start a process: %s",
                                 g_strerror(errno));
    }
    if (child == 0) {
#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        return getppid() == parent ? examine(doctor) : EXIT_CODE_TRY_AGAIN;
    }
    int64_t end_ms = doctor->end_ms + MIN(limit_ms, PARENT_GRACE_MS);
    bool ended = wait_for_child(child, doctor->cancel_fd, end_ms);
    if (!ended) {
        kill(child, SIGKILL);
    }
    return judge_end(doctor, ended, reap(child), limit_ms);
}

int command_doctor(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    gboolean offline = FALSE;
    g_autofree char *limit = NULL;
    int64_t limit_ms = DEFAULT_LIMIT_MS;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"offline", 0, 0, G_OPTION_ARG_NONE, &offline, "contact nobody", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_STRING, &limit, "how long all of it may take (default: 2m)",
         "DURATION"},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, -1);
    if (code < 0 && limit && !units_parse_duration(limit, &limit_ms, &error)) {
        code = command_fail_text(EXIT_CODE_USAGE, "--timeout: %s", error->message);
    }
    struct doctor doctor = {.context = &context, .offline = offline, .names = argv + 1};
    limit_ms = CLAMP(limit_ms, 1000, 3600 * 1000);
    if (code < 0) {
        code = find_wrong_name(&doctor);
    }
    if (code < 0) {
        doctor.list = context.json ? json_array() : NULL;
        code = visit(&doctor, limit_ms);
    }
    json_decref(doctor.list);
    if (doctor.place && doctor.place != MAP_FAILED) {
        munmap(doctor.place, DOCTOR_PLACE_BYTES);
    }
    command_context_clear(&context);
    return code;
}
