#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "job/echo.h"
#include "job/environment.h"
#include "job/explain.h"
#include "job/reap.h"
#include "job/skip_mark.h"
#include "job/step.h"

/* ------------------------------------------------------------ environment */

static void environment__hostile_surroundings__give_the_allow_list(void)
{
    const char *const inherited[] = {
        "PATH=/mine", "HOME=/home/me", "LD_PRELOAD=x",  "GIT_DIR=y", "LC_ALL=C",
        "LCX=no",     "LANGUAGE=de",   "PATHX=z",       "TMPDIR=/t", "BASH_ENV=b",
        "=broken",    "noequals",      "SHELL=/bin/sh", NULL};
    char *env[] = {(char *)"CI=mine", (char *)"A=b=c", NULL};
    char *none[] = {NULL};
    struct paths paths = {(char *)"/c", (char *)"/s", (char *)"/k"};
    struct repo_config repo = {.name = (char *)"app", .env = env, .keep = none};
    struct job job = {.id = 7,
                      .repo = (char *)"app",
                      .branch = (char *)"a;b",
                      .sha = (char *)"beef",
                      .trigger = JOB_TRIGGER_SCHEDULE};
    const struct environment_source source = {&paths, &repo, &job, "/w", "/k/tmp/7", inherited};
    g_auto(GStrv) environment = environment_for_step(&source, 3);
    g_autofree char *joined = g_strjoinv("\n", environment);
    static const char *const expected[] = {"PATH=/mine",
                                           "LANG=C.UTF-8",
                                           "HOME=/home/me",
                                           "LC_ALL=C",
                                           "SHELL=/bin/sh",
                                           "TMPDIR=/k/tmp/7",
                                           "CI=mine",
                                           "PHANTOM_CI=true",
                                           "PHANTOM_CI_REPO=app",
                                           "PHANTOM_CI_BRANCH=a;b",
                                           "PHANTOM_CI_TAG=",
                                           "PHANTOM_CI_TRIGGER=schedule",
                                           "PHANTOM_CI_SHA=beef",
                                           "PHANTOM_CI_PREVIOUS_SHA=",
                                           "PHANTOM_CI_WORKSPACE=/w",
                                           "PHANTOM_CI_JOB=7",
                                           "PHANTOM_CI_STEP=3",
                                           "A=b=c"};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_true(g_strv_contains((const char *const *)environment, expected[i]));
    }
    g_assert_nonnull(strstr(joined, "PHANTOM_CI_JOB_TOKEN="));
    g_assert_cmpuint(g_strv_length(environment), ==, G_N_ELEMENTS(expected) + 1);
}

static void environment__of_a_tag__names_the_tag_and_no_branch(void)
{
    char *none[] = {NULL};
    struct paths paths = {(char *)"/c", (char *)"/s", (char *)"/k"};
    struct repo_config repo = {.name = (char *)"app", .env = none, .keep = none};
    struct job job = {
        .repo = (char *)"app", .branch = (char *)"refs/tags/v1/x", .sha = (char *)"beef"};
    const struct environment_source source = {&paths, &repo, &job, "/w", "/t", NULL};
    g_auto(GStrv) environment = environment_for_step(&source, 0);
    g_assert_cmpstr(g_environ_getenv(environment, "PHANTOM_CI_TAG"), ==, "v1/x");
    g_assert_cmpstr(g_environ_getenv(environment, "PHANTOM_CI_BRANCH"), ==, "");
    g_assert_cmpstr(g_environ_getenv(environment, "PHANTOM_CI_TRIGGER"), ==, "push");
}

/* -------------------------------------------------------------- skip marks */

static void skip_mark__subjects__say_it_or_not(void)
{
    static const struct {
        const char *subject, *mark;
    } cases[] = {
        {"[skip ci] docs", "[skip ci]"},
        {"docs [CI Skip]", "[ci skip]"},
        {"x [No CI] y", "[no ci]"},
        {"x[no ci]y", "[no ci]"},
        {"skip ci", NULL},
        {"[skip  ci]", NULL},
        {"[skip-ci]", NULL},
        {"[skip ci", NULL},
        {"", NULL},
        {NULL, NULL},
        {"\xff[skip ci]", "[skip ci]"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpstr(skip_mark_find(cases[i].subject), ==, cases[i].mark);
}

/* ---------------------------------------------------------------- explain */

static void explain__ends_of_steps__are_put_in_words(void)
{
    static const struct {
        int status;
        const char *words;
    } cases[] = {{1 << 8, "exit 1"},
                 {127 << 8, "exit 127: by the custom of shells: a command was not found"},
                 {143 << 8, "exit 143: by the custom of shells, a command was killed by SIGTERM"},
                 {SIGKILL, "memory"},
                 {SIGSEGV, "killed by SIGSEGV (signal 11)"},
                 {255 << 8, "exit 255"}};
    g_assert_null(explain_status(0));
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = explain_status(cases[i].status);
        g_assert_nonnull(strstr(text, cases[i].words));
    }
    const struct spawn_failure absent = {SPAWN_STAGE_EXEC, ENOENT};
    g_autofree char *text = explain_spawn_failure(&absent, "mak", "/bin");
    g_assert_cmpstr(text, ==, "command not found: mak (PATH=/bin)");
}

/* ------------------------------------------------------------------- echo */

static char *read_all(int fd)
{
    size_t length = 0;
    return fd_read_to_end(fd, 1 << 20, &length, NULL);
}

static void echo__pieces__come_out_as_whole_prefixed_lines(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    struct echo *echo = echo_new(ends[1], "app#1", 1);
    echo_write(echo, "one\ntw", 6);
    echo_write(echo, "o\r\n\x1b[1m\n", 8);
    echo_write(echo, "end", 3);
    echo_free(echo, 1000);
    close(ends[1]);
    g_autofree char *text = read_all(ends[0]);
    g_assert_cmpstr(text, ==, "app#1 | one\napp#1 | two\napp#1 | \\x1b[1m\napp#1 | end\n");
    close(ends[0]);
}

static void echo__long_line__is_split_between_characters(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    struct echo *echo = echo_new(ends[1], NULL, 1);
    g_autoptr(GString) line = g_string_new("x");
    for (int i = 0; i < 5000; i++) {
        g_string_append(line, "\xc3\xa4");
    }
    echo_write(echo, line->str, line->len);
    echo_free(echo, 1000);
    close(ends[1]);
    g_autofree char *text = read_all(ends[0]);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *joined = g_strjoinv("", lines);
    g_assert_cmpstr(joined, ==, line->str);
    for (char **part = lines; *part; part++) {
        g_assert_cmpuint(strlen(*part), <=, 3500);
    }
    close(ends[0]);
}

static void echo__reader_that_does_not_read__loses_lines_that_are_counted(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    struct echo *echo = echo_new(ends[1], "app#1", 1);
    g_autofree char *line = g_strnfill(999, 'y');
    int64_t begin_ms = clock_monotonic_ms();
    for (int i = 0; i < 2000; i++) {
        echo_write(echo, line, 999);
        echo_write(echo, "\n", 1);
    }
    g_assert_cmpint(clock_monotonic_ms() - begin_ms, <, 10000);
    g_assert_cmpint(echo_pending_fd(echo), >=, 0);
    /* The reader wakes up: what was kept comes, then the count of what was not. */
    g_assert_true(fd_set_nonblocking(ends[0], true, NULL));
    g_autoptr(GString) text = g_string_new(NULL);
    char bytes[65536];
    for (int i = 0; i < 1000; i++) {
        ssize_t length = fd_read(ends[0], bytes, sizeof(bytes));
        if (length > 0) {
            g_string_append_len(text, bytes, length);
        }
        echo_pump(echo);
    }
    echo_write(echo, "last\n", 5);
    echo_free(echo, 100);
    close(ends[1]);
    ssize_t length;
    while ((length = fd_read(ends[0], bytes, sizeof(bytes))) > 0) {
        g_string_append_len(text, bytes, length);
    }
    guint64 lines = 0;
    for (const char *at = text->str; (at = strstr(at, "| yyy")); at++) {
        lines++;
    }
    const char *count = strstr(text->str, "[phantom_ci: ");
    g_assert_nonnull(count);
    guint64 dropped = g_ascii_strtoull(count + strlen("[phantom_ci: "), NULL, 10);
    g_assert_cmpuint(lines * 1000 + dropped, ==, 2000 * 1000);
    g_assert_true(g_str_has_suffix(text->str, "app#1 | last\n"));
    close(ends[0]);
}

static void echo__closed_reader__is_no_trouble(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    struct echo *echo = echo_new(ends[1], "app#1", 1);
    close(ends[0]);
    echo_write(echo, "x\n", 2);
    echo_free(echo, 1000);
    close(ends[1]);
}

/* ------------------------------------------------------------------- reap */

static pid_t start_shell(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.new_session = true;
    pid_t pid = spawn_start(&options, NULL, NULL);
    g_assert_cmpint(pid, >, 1);
    return pid;
}

static void reap__daemonised_stopped_and_deaf_processes__are_all_gone(void)
{
    static const char script[] =
        "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM; sleep 1000' & ); done;"
        "setsid sh -c 'kill -STOP $$' & sleep 1000";
    start_shell(script);
    g_autoptr(GString) names = g_string_new(NULL);
    struct reap_report report = {0, names};
    reap_everything(100, NULL, &report);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    g_assert_cmpuint(report.count, >=, 1);
}

static void reap__nothing_left__returns_at_once(void)
{
    struct reap_report report = {0, NULL};
    reap_everything(60000, NULL, &report);
    g_assert_cmpuint(report.count, ==, 0);
}

static void reap__polite_processes__get_the_time_to_end(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    const char *const argv[] = {
        "sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.stdout_fd = ends[1];
    options.new_session = true;
    g_assert_cmpint(spawn_start(&options, NULL, NULL), >, 1);
    close(ends[1]);
    char bytes[16];
    g_assert_cmpint(fd_read(ends[0], bytes, 3), ==, 3);
    reap_everything(10000, NULL, NULL);
    g_assert_cmpint(fd_read(ends[0], bytes, 4), ==, 4);
    g_assert_cmpmem(bytes, 4, "bye\n", 4);
    close(ends[0]);
}

/* ------------------------------------------------------------------- step */

static bool collect(const char *bytes, size_t length, void *data, GError **error)
{
    (void)error;
    g_string_append_len(data, bytes, (gssize)length);
    return true;
}

static bool refuse(const char *bytes, size_t length, void *data, GError **error)
{
    (void)bytes;
    (void)length;
    (void)data;
    g_set_error(error, g_quark_from_static_string("phantom-ci-test"), 0, "full");
    return false;
}

static bool say_stop(void *data)
{
    (void)data;
    return true;
}

static struct step_run step_of(const char *const *argv, GString *out)
{
    return (struct step_run){.argv = argv,
                             .directory = "/",
                             .deadline_ms = clock_monotonic_ms() + 20000,
                             .grace_ms = 100,
                             .stop_fd = -1,
                             .should_stop = say_stop,
                             .sink = collect,
                             .data = out};
}

static void step__ten_megabytes_and_a_kill__keep_the_last_line(void)
{
    const char *const argv[] = {"sh", "-c", "head -c 10000000 /dev/zero; echo last; kill -KILL $$",
                                NULL};
    g_autoptr(GString) out = g_string_new(NULL);
    struct step_run run = step_of(argv, out);
    struct step_outcome outcome;
    g_assert_true(step_run(&run, &outcome, NULL));
    g_assert_cmpint(outcome.end, ==, STEP_END_EXITED);
    g_assert_cmpint(WTERMSIG(outcome.wait_status), ==, SIGKILL);
    g_assert_cmpuint(out->len, ==, 10000005);
    g_assert_cmpmem(out->str + 10000000, 5, "last\n", 5);
    g_assert_cmpint(outcome.max_rss_bytes, >, 0);
    step_outcome_clear(&outcome);
}

static void step__deadline__ends_a_tree_that_ignores_sigterm(void)
{
    const char *const argv[] = {"sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000", NULL};
    g_autoptr(GString) out = g_string_new(NULL);
    struct step_run run = step_of(argv, out);
    struct step_outcome outcome;
    run.deadline_ms = clock_monotonic_ms() + 200;
    g_assert_true(step_run(&run, &outcome, NULL));
    g_assert_cmpint(outcome.end, ==, STEP_END_TIMEOUT);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    step_outcome_clear(&outcome);
}

static void step__stop_descriptor__ends_it(void)
{
    const char *const argv[] = {"sleep", "1000", NULL};
    g_autoptr(GString) out = g_string_new(NULL);
    struct step_run run = step_of(argv, out);
    struct step_outcome outcome;
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    g_assert_true(fd_write_all(ends[1], "x", 1, NULL));
    run.stop_fd = ends[0];
    g_assert_true(step_run(&run, &outcome, NULL));
    g_assert_cmpint(outcome.end, ==, STEP_END_STOPPED);
    step_outcome_clear(&outcome);
    close(ends[0]);
    close(ends[1]);
}

static void step__output_that_cannot_be_kept__ends_it_with_the_error(void)
{
    const char *const argv[] = {"sh", "-c", "while :; do echo x; done", NULL};
    struct step_run run = step_of(argv, NULL);
    struct step_outcome outcome;
    g_autoptr(GError) error = NULL;
    run.sink = refuse;
    g_assert_false(step_run(&run, &outcome, &error));
    g_assert_cmpint(outcome.end, ==, STEP_END_SINK_FAILED);
    g_assert_cmpstr(error->message, ==, "full");
    step_outcome_clear(&outcome);
}

static void step__left_processes__are_counted_named_and_dead(void)
{
    static const char script[] =
        "setsid sleep 1000 & a=$!; setsid sleep 1000 & b=$!;"
        "until [ \"$(cat /proc/$a/comm /proc/$b/comm)\" = \"sleep\nsleep\" ]; do :; done; echo hi";
    const char *const argv[] = {"sh", "-c", script, NULL};
    g_autoptr(GString) out = g_string_new(NULL);
    struct step_run run = step_of(argv, out);
    struct step_outcome outcome;
    g_assert_true(step_run(&run, &outcome, NULL));
    g_assert_cmpint(outcome.end, ==, STEP_END_EXITED);
    g_assert_cmpint(outcome.wait_status, ==, 0);
    g_assert_cmpuint(outcome.left_count, ==, 2);
    g_assert_cmpstr(outcome.left_names, ==, "sleep, sleep");
    g_assert_cmpstr(out->str, ==, "hi\n");
    step_outcome_clear(&outcome);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    reap_become_subreaper();
#define ADD(name) g_test_add_func("/job/" #name, name)
    ADD(environment__hostile_surroundings__give_the_allow_list);
    ADD(environment__of_a_tag__names_the_tag_and_no_branch);
    ADD(skip_mark__subjects__say_it_or_not);
    ADD(explain__ends_of_steps__are_put_in_words);
    ADD(echo__pieces__come_out_as_whole_prefixed_lines);
    ADD(echo__long_line__is_split_between_characters);
    ADD(echo__reader_that_does_not_read__loses_lines_that_are_counted);
    ADD(echo__closed_reader__is_no_trouble);
    ADD(reap__daemonised_stopped_and_deaf_processes__are_all_gone);
    ADD(reap__nothing_left__returns_at_once);
    ADD(reap__polite_processes__get_the_time_to_end);
    ADD(step__ten_megabytes_and_a_kill__keep_the_last_line);
    ADD(step__deadline__ends_a_tree_that_ignores_sigterm);
    ADD(step__stop_descriptor__ends_it);
    ADD(step__output_that_cannot_be_kept__ends_it_with_the_error);
    ADD(step__left_processes__are_counted_named_and_dead);
    return g_test_run();
}
