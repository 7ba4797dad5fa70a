/* Steps of the host: what may be written, and what becomes of it on its way to a job. */
#include "config/host_steps.h"

#include "config_fixture.h"

/* Steps of the host in place of the repository's workflow: they come from one place. */
static void test_wrong_host_steps(void)
{
    static const struct line lines[] = {
        {"steps = ['make', { run = ['make', 'a b'] }, ['x'], { run = 'y' }]", "", ""},
        {"steps = []", "9",
         "\"steps\": it is an empty list; write a step, for example \"make\", or remove the "
         "line\n"},
        {"steps = 'make'", "9", "\"steps\" must be an array, found a string\n"},
        {"steps = { run = 'make' }", "9", "\"steps\" must be an array, found a table\n"},
        {"steps = ['make', 1]", "18",
         "\"run\" must be a string or an array of strings, found an integer\n"},
        {"steps = ['make', '']", "18", "\"run\" names no command\n"},
        {"steps = ['make', \"'\"]", "18",
         "\"run\" has a quote without its partner, or a backslash at its end\n"},
        {"steps = [{ run = \"a\\u0000\" }]", "18", "\"run\" holds a NUL character\n"},
        {"steps = [{ rum = 'x' }]", "10",
         "the step has no \"run\"\n"
         "Repo.toml:3:12: unknown key \"rum\", did you mean "
         "\"run\"?\n"},
        {"steps = [{ run = 'x', shell = 'y' }]", "23", "unknown key \"shell\"\n"},
        {"workflow_file = '/etc/ci/x.toml'", "", ""},
        {"workflow_file = '~/x.toml'", "", ""},
        {"workflow_file = 'x.toml'", "17",
         "\"workflow_file\": write an absolute path, or one that begins with ~/\n"},
        {"workflow_file = ''", "17",
         "\"workflow_file\": write an absolute path, or one that begins with ~/\n"},
        {"workflow_file = '/x'\nsteps = ['make']", "1",
         "\"workflow_file\" can't stand beside \"steps\": both say which steps run; remove one of "
         "them\n"},
        {"workflow_approval = 'on_change'\nsteps = ['make']", "1",
         "\"workflow_approval\" has nothing to approve: the steps are the host's, and "
         "\"approve_paths\" names no file of the repository\n"},
        {"workflow_approval = 'never'\nsteps = ['make']", "", ""},
        {"approve_paths = 'Makefile'\nsteps = ['make']", "1",
         "\"approve_paths\" does nothing without \"workflow_approval\" = \"on_change\"\n"},
        {"workflow_approval = 'on_change'\napprove_paths = 'Makefile'\nworkflow_file = '/x'", "",
         ""},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

/* What reaches phantom_ci-job as JSON is what was written, word by word. */
static void test_host_steps(void)
{
    struct config *config =
        load_good("[app]\npath = '/a'\n"
                  "[[app.steps]]\nrun = \"bash -lc 'a && b # c' # not this\"\n"
                  "[[app.steps]]\nrun = ['x', '', ' ', \"it's\", \"a\\nb\", '#x', "
                  "'caf\xc3\xa9', '*', '\\']\n",
                  NULL);
    g_autofree char *json = repo_config_to_json(only_repo(config), no_files);
    struct repo_config *repo = repo_config_from_json(json, strlen(json), NULL);
    g_assert_true(host_steps_are_set(repo));
    struct workflow *workflow = workflow_from_lines(repo->steps);
    g_assert_cmpuint(workflow->steps->len, ==, 2);
    const struct workflow_step *first = g_ptr_array_index(workflow->steps, 0);
    const struct workflow_step *second = g_ptr_array_index(workflow->steps, 1);
    g_assert_cmpuint(first->number, ==, 0);
    g_assert_cmpuint(second->number, ==, 1);
    assert_list(first->argv, "bash|-lc|a && b # c");
    assert_list(second->argv, "x|| |it's|a\nb|#x|caf\xc3\xa9|*|\\");
    workflow_free(workflow);
    repo_config_free(repo);
    config_free(config);
}

static void test_many_host_steps(void)
{
    g_autoptr(GString) text = g_string_new("[a]\npath = '/a'\nsteps = [");
    for (unsigned i = 0; i <= WORKFLOW_MAX_STEPS; i++) {
        g_string_append(text, "'x',");
    }
    g_string_append(text, "]\n");
    g_autofree char *many = diagnose("Repo.toml", text->str);
    g_assert_cmpstr(many, ==, "Repo.toml:3:9: \"steps\" has more than 10000 items\n");
    g_autofree char *word = g_strnfill(WORKFLOW_MAX_BYTES, 'x');
    g_autofree char *large = g_strdup_printf("[a]\npath = '/a'\nsteps = ['%s']\n", word);
    g_autofree char *found = diagnose("Repo.toml", large);
    g_assert_cmpstr(found, ==,
                    "Repo.toml:3:1: \"steps\" is larger than 262144 bytes; put a script on this "
                    "machine and call it\n");
}

/* The section's own place counts, whichever [defaults] names. */
static void test_default_host_steps(void)
{
    static const struct {
        const char *defaults, *section, *steps, *file;
    } cases[] = {
        {"steps = ['a', 'b']", "", "a|b", NULL},
        {"steps = ['a', 'b']", "steps = ['c']", "c", NULL},
        {"steps = ['a', 'b']", "workflow_file = '/x'", "", "/x"},
        {"workflow_file = '/x'", "", "", "/x"},
        {"workflow_file = '/x'", "workflow_file = '/y'", "", "/y"},
        {"workflow_file = '/x'", "steps = ['a']", "a", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *repo_toml = g_strdup_printf("[a]\npath = '/a'\n%s\n", cases[i].section);
        g_autofree char *config_toml = g_strdup_printf("[defaults]\n%s\n", cases[i].defaults);
        struct config *config = load_good(repo_toml, config_toml);
        assert_list(only_repo(config)->steps, cases[i].steps);
        g_assert_cmpstr(only_repo(config)->workflow_file, ==, cases[i].file);
        config_free(config);
    }
    g_autofree char *both =
        diagnose("config.toml", "[defaults]\nsteps = ['a']\nworkflow_file = '/x'\n");
    g_assert_cmpstr(both, ==,
                    "config.toml:3:1: \"workflow_file\" can't stand beside \"steps\": both say "
                    "which steps run; remove one of them\n");
}

static char *write_host_file(const char *directory, const char *text, mode_t mode)
{
    char *path = g_build_filename(directory, "host.toml", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, (int)mode), ==, 0);
    return path;
}

/* A file that can't be believed is an error, one that is wrong has diagnostics, never both. */
static void test_host_file(void)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *error, *diagnostic;
    } cases[] = {
        {"[0]\nrun = 'make'\n", 0644, NULL, NULL},
        {"[0]\nrun = 'make'\n", 0664, "may be written by others (mode 664)", NULL},
        {"[0]\nrun = 'make'\n", 0646, "may be written by others (mode 646)", NULL},
        {"[0]\nrun = 1\n", 0600, NULL, ":2:7: \"run\" must be a string"},
        {"", 0600, NULL, "the workflow has no steps"},
    };
    char *directory = make_directory(NULL, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = write_host_file(directory, cases[i].text, cases[i].mode);
        g_autofree char *digest = NULL;
        g_autoptr(GError) error = NULL;
        struct diagnostics *diagnostics = diagnostics_new();
        struct workflow *workflow = host_steps_read_file(path, &digest, diagnostics, &error);
        g_autofree char *told = diagnostics_format(diagnostics);
        g_assert_cmpint(workflow != NULL, ==, !cases[i].error && !cases[i].diagnostic);
        g_assert_cmpint(error != NULL, ==, cases[i].error != NULL);
        g_assert_cmpint(*told != '\0', ==, cases[i].diagnostic != NULL);
        g_assert_true(!error ||
                      (strstr(error->message, cases[i].error) && strstr(error->message, path)));
        g_assert_true(!cases[i].diagnostic ||
                      (strstr(told, cases[i].diagnostic) && g_str_has_prefix(told, path)));
        g_autofree char *expected =
            g_compute_checksum_for_string(G_CHECKSUM_SHA256, cases[i].text, -1);
        g_assert_cmpstr(digest, ==, error ? NULL : expected);
        workflow_free(workflow);
        diagnostics_free(diagnostics);
    }
    remove_directory(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host_steps/value__wrong__has_line_and_column", test_wrong_host_steps);
    g_test_add_func("/host_steps/words__through_json__stay_as_they_are", test_host_steps);
    g_test_add_func("/host_steps/steps__beyond_their_limits__are_refused", test_many_host_steps);
    g_test_add_func("/host_steps/defaults__beside_a_section__give_way_to_it",
                    test_default_host_steps);
    g_test_add_func("/host_steps/file__unbelievable_or_wrong__is_told_as_such", test_host_file);
    return g_test_run();
}
