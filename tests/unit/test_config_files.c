/* config.toml, and both files as files: owners, modes, links, sizes. */
#include <errno.h>
#include <unistd.h>

#include "config_fixture.h"

static void test_absent(void)
{
    struct config *config = load_good(NULL, NULL);
    g_assert_cmpuint(config->repos->len, ==, 0);
    g_assert_cmpuint(config->max_jobs, ==, g_get_num_processors());
    g_assert_cmpuint(config->max_looks, ==, 16);
    g_assert_cmpint(config->look_timeout_ms, ==, 30000);
    g_assert_cmpint(config->drain_timeout_ms, ==, 5000);
    g_assert_cmpint(config->keep_jobs_for_ms, ==, 90 * 86400000LL);
    g_assert_cmpuint(config->keep_jobs, ==, 1000);
    g_assert_cmpint(config->keep_bytes, ==, 10LL << 30);
    g_assert_cmpint(config->keep_cache_for_ms, ==, 7 * 86400000LL);
    g_assert_cmpint(config->min_free_bytes, ==, -1);
    config_free(config);
    struct diagnostics *diagnostics = diagnostics_new();
    config_free(config_load("/nonexistent/phantom_ci", diagnostics));
    g_assert_false(diagnostics_any(diagnostics));
    diagnostics_free(diagnostics);
}

static void test_defaults(void)
{
    static const char config_toml[] =
        "max_jobs = 3\nmax_looks = 4\nlook_timeout = \"5s\"\ndrain_timeout = \"0\"\n"
        "poll_interval = \"2m\"\ntimeout = \"2h\"\ngrace = \"3s\"\nfetch_timeout = \"4s\"\nlog_cap "
        "= \"1M\"\n"
        "[defaults]\ntimeout = \"3h\"\ntarget_branch = \"main\"\npriority = 7\nenv = { A = \"1\" "
        "}\n";
    struct config *config =
        load_good("[a]\npath='/a'\n[b]\npath='/b'\ntarget_branch='x'\ntimeout='5s'\n"
                  "poll_interval='7s'\nenv={B='2'}\n",
                  config_toml);
    const struct repo_config *a = config_find_repo(config, "a");
    const struct repo_config *b = config_find_repo(config, "b");
    g_assert_cmpuint(config->max_jobs, ==, 3);
    g_assert_cmpuint(config->max_looks, ==, 4);
    g_assert_cmpint(config->look_timeout_ms, ==, 5000);
    g_assert_cmpint(config->drain_timeout_ms, ==, 0);
    g_assert_cmpint(a->poll_interval_ms, ==, 120000);
    g_assert_cmpint(a->timeout_ms, ==, 3 * 3600000);
    g_assert_cmpint(a->grace_ms, ==, 3000);
    g_assert_cmpint(a->fetch_timeout_ms, ==, 4000);
    g_assert_cmpint(a->log_cap_bytes, ==, 1024 * 1024);
    g_assert_cmpint(a->priority, ==, 7);
    assert_list(a->target_branches, "main");
    assert_list(a->env, "A=1");
    g_assert_cmpint(b->poll_interval_ms, ==, 7000);
    g_assert_cmpint(b->timeout_ms, ==, 5000);
    g_assert_cmpint(b->grace_ms, ==, 3000);
    assert_list(b->target_branches, "x");
    assert_list(b->env, "B=2");
    config_free(config);
}

static void test_mistakes(void)
{
    static const struct verdict verdicts[] = {
        {"", ""},
        {"max_jobs = 0\n", "config.toml:1:12: \"max_jobs\" must be from 1 to 1000, found 0\n"},
        {"max_jobs = '2'\n", "config.toml:1:12: \"max_jobs\" must be an integer, found a string\n"},
        {"max_job = 2\n", "config.toml:1:1: unknown key \"max_job\", did you mean \"max_jobs\"?\n"},
        {"max_looks = 1000\n",
         "config.toml:1:13: \"max_looks\" must be from 1 to 256, found 1000\n"},
        {"look_timeout = '1ms'\n",
         "config.toml:1:16: \"look_timeout\" must be at least 100ms, found \"1ms\"\n"},
        {"drain_timeout = '2d'\n",
         "config.toml:1:17: \"drain_timeout\" must be at most 1d, found \"2d\"\n"},
        {"log_cap = '1K'\n",
         "config.toml:1:11: \"log_cap\" must be at least 64.0 KiB, found \"1K\"\n"},
        {"target_branch = 'x'\n", "config.toml:1:1: unknown key \"target_branch\"\n"},
        {"min_free = '1G'\nkeep_jobs_for = '0s'\nkeep_jobs = 0\nkeep_bytes = 0\n"
         "keep_cache_for = '1d'\n",
         ""},
        {"keep_jobs = -1\nkeep_bytes = -1\nmin_free = -1\nkeep_jobs_for = 90\n",
         "config.toml:1:13: \"keep_jobs\" must be from 0 to 2147483647, found -1\n"
         "config.toml:2:14: \"keep_bytes\" must be at least 0 B, found -1\n"
         "config.toml:3:12: \"min_free\" must be at least 0 B, found -1\n"
         "config.toml:4:17: \"keep_jobs_for\" must be a duration such as \"90s\", found an "
         "integer\n"},
        {"keep_job = 1\n", "config.toml:1:1: unknown key \"keep_job\", did you mean "
                           "\"keep_jobs\"?\n"},
        {"min_free = true\n",
         "config.toml:1:12: \"min_free\" must be a size such as \"64M\", found true or false\n"},
        {"defaults = 1\n", "config.toml:1:12: \"defaults\" must be a table, found an integer\n"},
        {"[defaults]\npath = '/x'\ntarget_branch = []\npriorty = 1\nexecutor = 'slurm'\n",
         "config.toml:2:1: \"path\" belongs into a section of Repo.toml, it can't be a default\n"
         "config.toml:3:17: \"target_branch\": it is an empty list; write \"\" to run every "
         "branch\n"
         "config.toml:4:1: unknown key \"priorty\", did you mean \"priority\"?\n"
         "config.toml:5:1: \"executor = slurm\" is not available in this version of phantom_ci; "
         "write \"local\" or "
         "remove the line\n"},
    };
    assert_verdicts("config.toml", verdicts, G_N_ELEMENTS(verdicts));
}

/* Loads a directory that must be refused; the diagnostics with the directory's name as "DIR". */
static char *load_refused(const char *directory)
{
    struct diagnostics *diagnostics = diagnostics_new();
    g_assert_null(config_load(directory, diagnostics));
    g_autofree char *text = diagnostics_format(diagnostics);
    g_auto(GStrv) parts = g_strsplit(text, directory, -1);
    diagnostics_free(diagnostics);
    return g_strjoinv("DIR", parts);
}

/* DEMAND O11 */
static void test_both_files(void)
{
    char *directory = make_directory("[a]\npath = x\n", "max_jobs = 0\nlog_cap = true\n");
    g_autofree char *repo_path = g_build_filename(directory, "Repo.toml", NULL);
    g_autofree char *found = load_refused(directory);
    g_autofree char *bytes = NULL;
    g_assert_cmpstr(
        found, ==,
        "DIR/Repo.toml:2:8: Error while parsing value: could not determine value type\n"
        "DIR/config.toml:1:12: \"max_jobs\" must be from 1 to 1000, found 0\n"
        "DIR/config.toml:2:11: \"log_cap\" must be a size such as \"64M\", found true or false\n");
    g_assert_true(g_file_get_contents(repo_path, &bytes, NULL, NULL));
    g_assert_cmpstr(bytes, ==, "[a]\npath = x\n");
    remove_directory(directory);
}

/* DEMAND S24 */
static void test_modes(void)
{
    static const struct {
        mode_t mode;
        const char *octal; /* NULL = accepted */
    } cases[] = {{0600, NULL},  {0644, NULL},  {0400, NULL},
                 {0620, "620"}, {0602, "602"}, {0666, "666"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *directory = make_directory("", "");
        const char *const names[] = {"Repo.toml", "config.toml"};
        for (unsigned j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(directory, names[j], NULL);
            g_assert_cmpint(chmod(path, cases[i].mode), ==, 0);
        }
        if (cases[i].octal) {
            g_autofree char *found = load_refused(directory);
            g_autofree char *expected = g_strdup_printf(
                "DIR/Repo.toml: may be written by others (mode %s); mend it with: chmod go-w "
                "'DIR/Repo.toml'\n"
                "DIR/config.toml: may be written by others (mode %s); mend it with: chmod go-w "
                "'DIR/config.toml'\n",
                cases[i].octal, cases[i].octal);
            g_assert_cmpstr(found, ==, expected);
        } else {
            struct diagnostics *diagnostics = diagnostics_new();
            config_free(config_load(directory, diagnostics));
            g_assert_false(diagnostics_any(diagnostics));
            diagnostics_free(diagnostics);
        }
        remove_directory(directory);
    }
}

/* DEMAND S24 */
static void test_owner(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can give a file away");
        return;
    }
    char *directory = make_directory("", NULL);
    g_autofree char *path = g_build_filename(directory, "Repo.toml", NULL);
    g_assert_cmpint(chown(path, 12345, (gid_t)-1), ==, 0);
    g_autofree char *found = load_refused(directory);
    g_assert_cmpstr(
        found, ==,
        "DIR/Repo.toml: belongs to user 12345, neither to the user who runs this (0) nor to root; "
        "mend it with: chown 0 'DIR/Repo.toml'\n");
    remove_directory(directory);
}

/* DEMAND S24 */
static void test_no_regular_files(void)
{
    char *directory = make_directory(NULL, NULL);
    g_autofree char *repo_path = g_build_filename(directory, "Repo.toml", NULL);
    g_autofree char *config_path = g_build_filename(directory, "config.toml", NULL);
    g_assert_cmpint(mkfifo(repo_path, 0600), ==, 0);
    g_assert_cmpint(mkdir(config_path, 0700), ==, 0);
    g_autofree char *found = load_refused(directory);
    g_assert_cmpstr(
        found, ==,
        "DIR/Repo.toml: is not a regular file\nDIR/config.toml: is not a regular file\n");
    g_assert_cmpint(unlink(repo_path), ==, 0);
    g_assert_cmpint(rmdir(config_path), ==, 0);

    g_assert_cmpint(symlink("/dev/null", repo_path), ==, 0);
    g_assert_cmpint(symlink("gone.toml", config_path), ==, 0);
    g_autofree char *links = load_refused(directory);
    g_assert_cmpstr(links, ==,
                    "DIR/Repo.toml: is not a regular file\n"
                    "DIR/config.toml: cannot be read: No such file or directory\n");
    g_assert_cmpint(unlink(repo_path), ==, 0);
    g_assert_cmpint(unlink(config_path), ==, 0);

    /* A link to a good file is a common way to keep it elsewhere. */
    g_autofree char *real = g_build_filename(directory, "real.toml", NULL);
    g_assert_true(g_file_set_contents_full(real, "[a]\npath='/a'\n", -1, G_FILE_SET_CONTENTS_NONE,
                                           0600, NULL));
    g_assert_cmpint(symlink("real.toml", repo_path), ==, 0);
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = config_load(directory, diagnostics);
    g_assert_cmpstr(only_repo(config)->name, ==, "a");
    config_free(config);
    diagnostics_free(diagnostics);
    remove_directory(directory);
}

static void test_sizes(void)
{
    g_autofree char *text = g_strnfill(CONFIG_FILE_MAX_BYTES + 1, '\n');
    char *directory = make_directory(text, NULL);
    g_autofree char *found = load_refused(directory);
    g_assert_cmpstr(found, ==, "DIR/Repo.toml: is larger than 4194304 bytes\n");
    remove_directory(directory);
    text[CONFIG_FILE_MAX_BYTES] = '\0';
    config_free(load_good(text, NULL));
}

static void test_unreadable(void)
{
    char *directory = make_directory("", NULL);
    g_autofree char *path = g_build_filename(directory, "Repo.toml", NULL);
    uid_t user = geteuid();
    g_assert_cmpint(chmod(directory, 0755), ==, 0);
    g_assert_cmpint(chmod(path, 0), ==, 0);
    /* root reads everything, so that the look is somebody else's. */
    g_assert_cmpint(user == 0 ? seteuid(12345) : 0, ==, 0);
    g_autofree char *found = load_refused(directory);
    g_assert_cmpint(seteuid(user), ==, 0);
    g_assert_cmpstr(found, ==, "DIR/Repo.toml: cannot be read: Permission denied\n");
    remove_directory(directory);
}

static void test_bytes(void)
{
    g_autofree char *latin = diagnose_bytes("Repo.toml", "[a]\n# \xe9\n", 8);
    g_autofree char *nul = diagnose_bytes("config.toml", "# \0\n", 4);
    g_assert_cmpstr(latin, ==, "Repo.toml:2:3: the byte 0xE9 is not UTF-8 text\n");
    g_assert_cmpstr(nul, ==, "config.toml:1:3: a NUL character does not belong in a text file\n");
}

/* The examples that the project ships are good. */
static void test_examples(void)
{
    const char *source = g_getenv("PHANTOM_CI_SOURCE_DIR");
    const char *const names[] = {"Repo.toml", "config.toml", "workflow.toml"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(source ? source : ".", "examples", names[i], NULL);
        g_autofree char *bytes = NULL;
        size_t length = 0;
        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        g_autofree char *found = diagnose_bytes(path, bytes, length);
        g_assert_cmpstr(found, ==, "");
    }
}

static void test_sorting(void)
{
    struct diagnostics *diagnostics = diagnostics_new();
    diagnostics_add(diagnostics, "b", 1, 1, "four");
    diagnostics_add(diagnostics, "a", 10, 1, "three");
    diagnostics_add(diagnostics, "a", 2, 11, "two");
    diagnostics_add(diagnostics, "a", 2, 9, "%s", "one\n\x1b[0m");
    diagnostics_add(diagnostics, "a", 0, 0, "zero");
    g_autofree char *text = diagnostics_format(diagnostics);
    g_assert_cmpstr(text, ==,
                    "a: zero\na:2:9: one\\x0a\\x1b[0m\na:2:11: two\na:10:1: three\nb:1:1: four\n");
    diagnostics_free(diagnostics);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("HOME", "/home/me", TRUE);
    g_test_add_func("/config_files/files__absent__all_defaults", test_absent);
    g_test_add_func("/config_files/runner__defaults__reach_the_sections", test_defaults);
    g_test_add_func("/config_files/runner__mistakes__have_line_and_column", test_mistakes);
    g_test_add_func("/config_files/files__O11_both_broken__told_in_one_pass", test_both_files);
    g_test_add_func("/config_files/mode__S24_writable_by_others__is_refused", test_modes);
    g_test_add_func("/config_files/owner__S24_another_user__is_refused", test_owner);
    g_test_add_func("/config_files/files__S24_no_regular_files__are_refused",
                    test_no_regular_files);
    g_test_add_func("/config_files/size__above_the_limit__is_refused", test_sizes);
    g_test_add_func("/config_files/mode__unreadable__is_refused", test_unreadable);
    g_test_add_func("/config_files/bytes__no_text__are_named", test_bytes);
    g_test_add_func("/config_files/examples__shipped__are_good", test_examples);
    g_test_add_func("/config_files/diagnostics__any_order__are_sorted_and_escaped", test_sorting);
    return g_test_run();
}
