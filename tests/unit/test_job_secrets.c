/* The secrets of a section: what is read, which source wins, what is refused, and that a command
 * that fails or hangs leaves nothing behind. */
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "job/environment.h"
#include "job/reap.h"
#include "job/secrets.h"

enum { PATIENCE_MS = 60 * 1000 };

static char *nothing[] = {NULL};

struct site {
    char *directory;
    struct repo_config repo;
    GPtrArray *files;
};

static void site_init(struct site *site)
{
    *site = (struct site){
        .directory = g_dir_make_tmp("secrets-XXXXXX", NULL),
        .repo = {.name = (char *)"app",
                 .env = nothing,
                 .env_file = nothing,
                 .secret_command = nothing,
                 .secret_timeout_ms = PATIENCE_MS},
        .files = g_ptr_array_new_null_terminated(2, g_free, TRUE),
    };
    g_assert_nonnull(site->directory);
}

static void site_add(struct site *site, const char *name, const char *text)
{
    char *path = g_build_filename(site->directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_ptr_array_add(site->files, path);
    site->repo.env_file = (char **)site->files->pdata;
}

static void site_release(struct site *site)
{
    g_assert_true(file_remove_tree_at_path(site->directory, NULL));
    g_free(site->directory);
    g_ptr_array_unref(site->files);
}

static struct secrets *load(const struct site *site, GError **error)
{
    g_auto(GStrv) environment = g_get_environ();
    const struct secrets_request request = {
        .repo = &site->repo,
        .envp = (const char *const *)environment,
        .deadline_ms = clock_monotonic_ms() + 2 * PATIENCE_MS,
        .cancel_fd = -1,
    };
    return secrets_load(&request, error);
}

static struct secrets *load_good(const struct site *site)
{
    g_autoptr(GError) error = NULL;
    struct secrets *secrets = load(site, &error);
    g_assert_no_error(error);
    g_assert_nonnull(secrets);
    return secrets;
}

static void assert_refused(const struct site *site, enum error_code code, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(load(site, &error));
    g_assert_true(error_has_code(error, code));
    g_assert_null(strstr(error->message, "canary"));
    if (!g_str_has_suffix(error->message, expected)) {
        g_assert_cmpstr(error->message, ==, expected);
    }
}

static void assert_hidden(const struct secrets *secrets, const char *text, const char *expected)
{
    g_autofree char *hidden = mask_apply(secrets_mask(secrets), text, strlen(text), NULL);
    g_assert_cmpstr(hidden, ==, expected);
}

static void load__several_sources__the_later_wins_and_env_over_all(void)
{
    struct site site;
    site_init(&site);
    site_add(&site, "one", "A=one-of-one\nB=two-of-one\nC=three-of-one\nPATH=/of-one\n");
    site_add(&site, "two", "B=two-of-two\nC=three-of-two\n");
    char *command[] = {(char *)"printf", (char *)"C=three-of-command\\nD='four of\\ncommand'\\n",
                       NULL};
    char *env[] = {(char *)"A=one-of-env", NULL};
    site.repo.secret_command = command;
    site.repo.env = env;
    struct secrets *secrets = load_good(&site);
    struct paths paths = {(char *)"/c", (char *)"/s", (char *)"/k"};
    struct job job = {.repo = (char *)"app", .branch = (char *)"main", .sha = (char *)"beef"};
    const struct environment_source source = {&paths, &site.repo, &job, "/w", "/t", NULL, secrets};
    g_auto(GStrv) environment = environment_for_step(&source, 0);
    g_assert_cmpstr(g_environ_getenv(environment, "A"), ==, "one-of-env");
    g_assert_cmpstr(g_environ_getenv(environment, "B"), ==, "two-of-two");
    g_assert_cmpstr(g_environ_getenv(environment, "C"), ==, "three-of-command");
    g_assert_cmpstr(g_environ_getenv(environment, "D"), ==, "four of\ncommand");
    g_assert_cmpstr(g_environ_getenv(environment, "PATH"), ==, "/of-one");
    g_assert_null(secrets_unhidden(secrets));
    /* also what env takes the place of */
    assert_hidden(secrets, "one-of-one two-of-two three-of-command four of", "*** *** *** ***");
    secrets_free(secrets);
    site_release(&site);
}

static void load__short_values__are_set_and_named(void)
{
    struct site site;
    site_init(&site);
    site_add(&site, "one", "LONG=sixsix\nSHORT=12345\nEMPTY=\nA=x\n");
    struct secrets *secrets = load_good(&site);
    g_assert_cmpstr(secrets_unhidden(secrets), ==, "A, SHORT");
    assert_hidden(secrets, "sixsix 12345 x", "*** 12345 x");
    secrets_free(secrets);
    site_release(&site);
}

static void load__any__ends_dumps_and_cores_for_good(void)
{
    struct site site;
    site_init(&site);
    site_add(&site, "one", "A=canary\n");
    secrets_free(load_good(&site));
    struct rlimit limit;
    g_assert_cmpint(getrlimit(RLIMIT_CORE, &limit), ==, 0);
    g_assert_cmpuint(limit.rlim_max, ==, 0);
#ifdef __linux__
    g_assert_cmpint(prctl(PR_GET_DUMPABLE), ==, 0);
#endif
    site_release(&site);
}

static void load__bad_files__are_all_told(void)
{
    struct site site;
    site_init(&site);
    site_add(&site, "one", "A=canary\nb canary\n");
    site_add(&site, "two", "A=canary\n\nPHANTOM_CI=canary\n");
    g_autofree char *expected =
        g_strdup_printf("%s:2:3: expected \"=\" after the key, as in KEY=value\n"
                        "%s:3:1: variables that begin with PHANTOM_CI are set by phantom_ci itself",
                        (char *)site.files->pdata[0], (char *)site.files->pdata[1]);
    assert_refused(&site, ERROR_INVALID, expected);
    site_release(&site);
}

static void load__too_large_to_be_hidden__is_refused(void)
{
    struct site site;
    site_init(&site);
    for (char name[] = "a"; *name <= 'd'; (*name)++) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_string_printf(text, "%s='", name);
        while (text->len < 60000) {
            g_string_append_c(text, (char)g_random_int_range('(', '~'));
        }
        g_string_append(text, "'\n");
        site_add(&site, name, text->str);
        if (*name == 'a') {
            secrets_free(load_good(&site));
        }
    }
    assert_refused(&site, ERROR_INVALID,
                   "they are too large to be hidden in the log; hand over large ones as files, and "
                   "only their paths in env");
    site_release(&site);
}

static void load__command_that_fails__is_told_with_its_last_words(void)
{
    static const struct {
        const char *script, *expected;
    } cases[] = {
        {"echo A=canary; exit 3", "secret_command (sh) failed: exit 3"},
        {"echo A=canary; echo 'no\x1b such key' >&2; exit 1",
         "secret_command (sh) failed: exit 1: no\\x1b such key"},
        {"kill -9 $$", "secret_command (sh) failed: killed by SIGKILL (signal 9)"},
        {"echo canary", "secret_command:1:7: expected \"=\" after the key, as in KEY=value"},
        {"echo A=1; echo 'B=\"canary'",
         "secret_command:2:3: the quote that opens here is never closed; expected another \" at "
         "the end of the value"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct site site;
        site_init(&site);
        char *command[] = {(char *)"sh", (char *)"-c", (char *)cases[i].script, NULL};
        site.repo.secret_command = command;
        assert_refused(&site, ERROR_INVALID, cases[i].expected);
        site_release(&site);
    }
    struct site site;
    site_init(&site);
    char *command[] = {(char *)"no-such-program-here", NULL};
    site.repo.secret_command = command;
    assert_refused(
        &site, ERROR_NOT_FOUND,
        "secret_command: cannot execute no-such-program-here: No such file or directory");
    site_release(&site);
}

static void load__command_that_writes_too_much__is_refused(void)
{
    struct site site;
    site_init(&site);
    char *command[] = {(char *)"sh", (char *)"-c",
                       (char *)"head -c 70000 /dev/zero | tr '\\0' '\\n'", NULL};
    site.repo.secret_command = command;
    assert_refused(&site, ERROR_INVALID, "secret_command (sh) wrote more than 65536 bytes");
    site_release(&site);
}

/* Also what has left its session and closed everything. */
static void load__command_that_hangs__ends_with_all_that_it_started(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *pids = g_build_filename(site.directory, "pids", NULL);
    g_autofree char *script = g_strdup_printf(
        "setsid sh -c 'trap \"\" TERM; echo $$ >>\"$1\"; exec sleep 600' sh '%s' >/dev/null 2>&1 & "
        "while [ ! -s '%s' ]; do sleep 0.01; done; echo $$ >>'%s'; exec sleep 600",
        pids, pids, pids);
    char *command[] = {(char *)"sh", (char *)"-c", script, NULL};
    site.repo.secret_command = command;
    site.repo.secret_timeout_ms = 2000;
    g_assert_true(reap_become_subreaper());
    assert_refused(&site, ERROR_LIMIT, "secret_command (sh) did not end within 2s and was killed");
    g_autofree char *text = NULL;
    if (g_file_get_contents(pids, &text, NULL, NULL)) {
        g_auto(GStrv) lines = g_strsplit(g_strstrip(text), "\n", -1);
        for (char **line = lines; *line; line++) {
            pid_t pid = (pid_t)g_ascii_strtoll(*line, NULL, 10);
            g_assert_cmpint(pid, >, 1);
            g_assert_cmpint(kill(pid, 0), ==, -1);
        }
    }
    site_release(&site);
}

static void load__canceled__ends_the_command(void)
{
    struct site site;
    site_init(&site);
    char *command[] = {(char *)"sleep", (char *)"600", NULL};
    site.repo.secret_command = command;
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    const struct secrets_request request = {.repo = &site.repo,
                                            .envp = NULL,
                                            .deadline_ms = clock_monotonic_ms() + PATIENCE_MS,
                                            .cancel_fd = ends[0]};
    g_autoptr(GError) error = NULL;
    g_assert_null(secrets_load(&request, &error));
    g_assert_true(error_has_code(error, ERROR_CANCELED));
    close(ends[0]);
    close(ends[1]);
    site_release(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secrets/load__several_sources__the_later_wins_and_env_over_all",
                    load__several_sources__the_later_wins_and_env_over_all);
    g_test_add_func("/secrets/load__short_values__are_set_and_named",
                    load__short_values__are_set_and_named);
    g_test_add_func("/secrets/load__any__ends_dumps_and_cores_for_good",
                    load__any__ends_dumps_and_cores_for_good);
    g_test_add_func("/secrets/load__bad_files__are_all_told", load__bad_files__are_all_told);
    g_test_add_func("/secrets/load__too_large_to_be_hidden__is_refused",
                    load__too_large_to_be_hidden__is_refused);
    g_test_add_func("/secrets/load__command_that_fails__is_told_with_its_last_words",
                    load__command_that_fails__is_told_with_its_last_words);
    g_test_add_func("/secrets/load__command_that_writes_too_much__is_refused",
                    load__command_that_writes_too_much__is_refused);
    g_test_add_func("/secrets/load__command_that_hangs__ends_with_all_that_it_started",
                    load__command_that_hangs__ends_with_all_that_it_started);
    g_test_add_func("/secrets/load__canceled__ends_the_command", load__canceled__ends_the_command);
    return g_test_run();
}
