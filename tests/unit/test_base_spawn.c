#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/spawn.h"

static char *place;

static struct spawn_run_options run_options(const char *const *argv)
{
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = 1 << 20,
                                        .err_limit_bytes = 100,
                                        .timeout_ms = 20000,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    return options;
}

static void run__sigpipe_ignored__the_child_lives_on(void)
{
    const char *const argv[] = {"sh", "-c", "kill -PIPE $$; echo alive", NULL};
    for (int ignore = 0; ignore < 2; ignore++) {
        struct spawn_run_options options = run_options(argv);
        struct spawn_result result = {0};
        g_autoptr(GError) error = NULL;
        options.spawn.ignore_sigpipe = ignore;
        spawn_run(&options, &result, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(result.out, ==, ignore ? "alive\n" : "");
        spawn_result_clear(&result);
    }
}

static void start__program_that_cannot_be_executed__names_stage_and_errno(void)
{
    g_autofree char *plain = g_build_filename(place, "plain", NULL);
    g_autofree char *no_format = g_build_filename(place, "no-format", NULL);
    g_assert_true(g_file_set_contents(plain, "#!/bin/sh\n", -1, NULL));
    g_assert_true(g_file_set_contents(no_format, "echo hi\n", -1, NULL));
    g_assert_cmpint(chmod(plain, 0644), ==, 0);
    g_assert_cmpint(chmod(no_format, 0755), ==, 0);
    const struct {
        const char *program, *directory;
        enum spawn_stage stage;
        int errnum;
    } cases[] = {{"/no/such/program", NULL, SPAWN_STAGE_EXEC, ENOENT},
                 {"no-such-program-anywhere", NULL, SPAWN_STAGE_EXEC, ENOENT},
                 {"", NULL, SPAWN_STAGE_EXEC, ENOENT},
                 {plain, NULL, SPAWN_STAGE_EXEC, EACCES},
                 {no_format, NULL, SPAWN_STAGE_EXEC, ENOEXEC},
                 {"/bin/true", "/no/such/directory", SPAWN_STAGE_DIRECTORY, ENOENT}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const argv[] = {cases[i].program, NULL};
        struct spawn_options options = SPAWN_OPTIONS_INIT;
        struct spawn_failure failure = {SPAWN_STAGE_NONE, 0};
        g_autoptr(GError) error = NULL;
        options.argv = argv;
        options.directory = cases[i].directory;
        g_assert_cmpint(spawn_start(&options, &failure, &error), ==, -1);
        g_assert_cmpint(failure.stage, ==, cases[i].stage);
        g_assert_cmpint(failure.errnum, ==, cases[i].errnum);
    }
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

/* The child has them before its program begins: the parent's own stay as they are. */
static void start__limits__are_those_of_the_child(void)
{
    const char *const argv[] = {"sh", "-c", "nice; ulimit -f; cat /proc/self/oom_score_adj", NULL};
    struct spawn_run_options options = run_options(argv);
    int own_nice = getpriority(PRIO_PROCESS, 0);
    struct rlimit own_files;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &own_files), ==, 0);
    const struct spawn_limits limits = {
        .nice = 3, .oom_score_adj = "700", .file_max_bytes = 512 * 1000};
    struct spawn_result result;
    options.spawn.limits = &limits;
    g_assert_true(spawn_run(&options, &result, NULL));
    g_autofree char *expected = g_strdup_printf("%d\n1000\n700\n", MIN(own_nice + 3, 19));
    g_assert_cmpstr(result.out, ==, expected);
    g_assert_cmpint(getpriority(PRIO_PROCESS, 0), ==, own_nice);
    struct rlimit files;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &files), ==, 0);
    g_assert_true(files.rlim_cur == own_files.rlim_cur);
    spawn_result_clear(&result);
}

static void start__group_that_cannot_be_joined__is_told_as_a_limit(void)
{
    const char *const argv[] = {"true", NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    struct spawn_failure failure = {SPAWN_STAGE_NONE, 0};
    auto_fd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    const struct spawn_group group = {.fd = full};
    const struct spawn_limits limits = {.groups = &group, .group_count = 1};
    g_autoptr(GError) error = NULL;
    options.argv = argv;
    options.limits = &limits;
    g_assert_cmpint(spawn_start(&options, &failure, &error), ==, -1);
    g_assert_cmpint(failure.stage, ==, SPAWN_STAGE_LIMITS);
    g_assert_cmpint(failure.errnum, ==, ENOSPC);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

static void start__child__has_only_its_own_descriptors(void)
{
    const char *const argv[] = {"sh", "-c", "ls /proc/self/fd | sort -n | tr '\\n' ' '", NULL};
    struct spawn_run_options options = run_options(argv);
    auto_fd leaked = dup(0); /* not close-on-exec */
    auto_fd passed = dup(0);
    const int pass_fds[] = {passed, 1, passed};
    g_assert_cmpint(leaked, >=, 0);
    struct spawn_result result;
    options.spawn.pass_fds = pass_fds;
    options.spawn.pass_count = G_N_ELEMENTS(pass_fds);
    g_assert_true(spawn_run(&options, &result, NULL));
    /* 0 to 5, and the directory that ls reads. */
    g_assert_cmpstr(result.out, ==, "0 1 2 3 4 5 6 ");
    spawn_result_clear(&result);
    options.spawn.pass_count = 0;
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpstr(result.out, ==, "0 1 2 3 ");
    spawn_result_clear(&result);
}

static void run__path_of_the_given_environment__finds_the_program(void)
{
    g_autofree char *program = g_build_filename(place, "mine", NULL);
    g_assert_true(g_file_set_contents(program, "#!/bin/sh\necho mine $X\n", -1, NULL));
    g_assert_cmpint(chmod(program, 0755), ==, 0);
    g_autofree char *path = g_strdup_printf("PATH=/nowhere:%s:/bin", place);
    const char *const argv[] = {"mine", NULL};
    const char *const envp[] = {path, "X=y", NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    options.spawn.envp = envp;
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpstr(result.out, ==, "mine y\n");
    spawn_result_clear(&result);
}

static void run__output_beyond_the_limit__ends_it_where_asked(void)
{
    const char *const argv[] = {"sh", "-c", "cat /dev/zero", NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    g_autoptr(GError) error = NULL;
    options.end_at_out_limit = true;
    g_assert_false(spawn_run(&options, &result, &error));
    g_assert_true(error_has_code(error, ERROR_LIMIT));
    g_assert_nonnull(strstr(error->message, "wrote more than 1048576 bytes"));
    g_assert_cmpuint(result.out_length, ==, 1 << 20);
    g_assert_true(result.out_truncated);
    spawn_result_clear(&result);
}

static void run__file_beyond_the_limit__ends_by_its_signal(void)
{
    g_autofree char *file = g_build_filename(place, "large", NULL);
    g_autofree char *target = g_strconcat("of=", file, NULL);
    const char *const argv[] = {"dd", "if=/dev/zero", target, "bs=4096", "count=100", NULL};
    const struct spawn_limits limits = {.file_max_bytes = 65536};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    struct stat status;
    options.spawn.limits = &limits;
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_true(WIFSIGNALED(result.wait_status));
    g_assert_cmpint(WTERMSIG(result.wait_status), ==, SIGXFSZ);
    g_assert_cmpint(stat(file, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 65536);
    spawn_result_clear(&result);
}

static void run__output_beyond_the_limits__is_cut_and_never_blocks(void)
{
    const char *const argv[] = {"sh", "-c", "head -c 10000000 /dev/zero; seq 1 100000 >&2; exit 3",
                                NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpuint(result.out_length, ==, 1 << 20);
    g_assert_true(result.out_truncated);
    g_assert_cmpuint(result.err_length, ==, 100);
    g_assert_true(g_str_has_suffix(result.err, "99999\n100000\n"));
    g_assert_cmpint(WEXITSTATUS(result.wait_status), ==, 3);
    spawn_result_clear(&result);
}

static void run__input__is_given_while_output_is_taken(void)
{
    const char *const argv[] = {"cat", NULL};
    struct spawn_run_options options = run_options(argv);
    g_autofree char *input = g_strnfill(900000, 'x');
    struct spawn_result result;
    options.input = input;
    options.input_length = strlen(input);
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpstr(result.out, ==, input);
    spawn_result_clear(&result);
}

static void run__child_that_reads_no_input__raises_no_signal(void)
{
    /* So much output after the end of stdin that the input is certainly tried again before the end
     * of the child. */
    const char *const argv[] = {"sh", "-c", "exec <&-; echo begin; head -c 10000000 /dev/zero",
                                NULL};
    struct spawn_run_options options = run_options(argv);
    g_autofree char *input = g_strnfill(900000, 'x');
    struct spawn_result result;
    sigset_t pending;
    options.input = input;
    options.input_length = strlen(input);
    signal(SIGPIPE, SIG_DFL);
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpstr(result.out, ==, "begin\n");
    spawn_result_clear(&result);
    g_assert_cmpint(sigpending(&pending), ==, 0);
    g_assert_false(sigismember(&pending, SIGPIPE));
}

static void run__time_limit__kills_the_whole_group(void)
{
    const char *const argv[] = {"sh", "-c", "trap '' TERM; sleep 1000 & echo $!; sleep 1000", NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    g_autoptr(GError) error = NULL;
    options.timeout_ms = 300;
    g_assert_false(spawn_run(&options, &result, &error));
    g_assert_true(error_has_code(error, ERROR_LIMIT));
    pid_t grandchild = (pid_t)g_ascii_strtoll(result.out, NULL, 10);
    g_assert_cmpint(grandchild, >, 1);
    /* Dead; until init has fetched it, it may still have a number. */
    for (int i = 0; i < 500 && kill(grandchild, 0) == 0; i++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)grandchild);
        g_autofree char *text = NULL;
        if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, ") Z ")) {
            break;
        }
        g_assert_cmpint(i, <, 499);
        g_usleep(10000);
    }
    spawn_result_clear(&result);
}

static void run__cancel_descriptor__ends_it_at_once(void)
{
    const char *const argv[] = {"sleep", "1000", NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    g_autoptr(GError) error = NULL;
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    g_assert_true(fd_write_all(ends[1], "x", 1, NULL));
    options.cancel_fd = ends[0];
    g_assert_false(spawn_run(&options, &result, &error));
    g_assert_true(error_has_code(error, ERROR_CANCELED));
    spawn_result_clear(&result);
    close(ends[0]);
    close(ends[1]);
}

static void run__background_child_that_holds_the_pipe__does_not_hang_it(void)
{
    const char *const argv[] = {"sh", "-c", "sleep 1000 & echo hi", NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    int64_t begin_ms = clock_monotonic_ms();
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpint(clock_monotonic_ms() - begin_ms, <, 15000);
    g_assert_cmpstr(result.out, ==, "hi\n");
    spawn_result_clear(&result);
}

static void run__signals_of_the_parent__are_default_and_unblocked_in_the_child(void)
{
    const char *const argv[] = {"sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2",
                                NULL};
    struct spawn_run_options options = run_options(argv);
    struct spawn_result result;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    g_assert_true(spawn_run(&options, &result, NULL));
    g_assert_cmpstr(result.out, ==, "0000000000000000\n0000000000000000\n");
    spawn_result_clear(&result);
}

static void format_status__every_end__is_named(void)
{
    g_autofree char *exited = spawn_format_status(3 << 8);
    g_autofree char *killed = spawn_format_status(SIGKILL);
    g_assert_cmpstr(exited, ==, "exit 3");
    g_assert_cmpstr(killed, ==, "killed by SIGKILL (signal 9)");
    g_assert_cmpstr(spawn_signal_name(SIGSEGV), ==, "SIGSEGV");
    g_assert_cmpstr(spawn_signal_name(63), ==, "signal 63");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    place = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
#define ADD(name) g_test_add_func("/base/" #name, name)
    ADD(run__sigpipe_ignored__the_child_lives_on);
    ADD(start__program_that_cannot_be_executed__names_stage_and_errno);
    ADD(start__limits__are_those_of_the_child);
    ADD(start__group_that_cannot_be_joined__is_told_as_a_limit);
    ADD(start__child__has_only_its_own_descriptors);
    ADD(run__path_of_the_given_environment__finds_the_program);
    ADD(run__output_beyond_the_limits__is_cut_and_never_blocks);
    ADD(run__output_beyond_the_limit__ends_it_where_asked);
    ADD(run__file_beyond_the_limit__ends_by_its_signal);
    ADD(run__input__is_given_while_output_is_taken);
    ADD(run__child_that_reads_no_input__raises_no_signal);
    ADD(run__time_limit__kills_the_whole_group);
    ADD(run__cancel_descriptor__ends_it_at_once);
    ADD(run__background_child_that_holds_the_pipe__does_not_hang_it);
    ADD(run__signals_of_the_parent__are_default_and_unblocked_in_the_child);
    ADD(format_status__every_end__is_named);
    int result = g_test_run();
    file_remove_tree_at_path(place, NULL);
    g_free(place);
    return result;
}
