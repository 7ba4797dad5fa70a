#include "config/workflow.h"

#include <unistd.h>

#include "config_fixture.h"

#define FILE_NAME "workflow/main.toml"

static struct workflow *parse_good(const char *text)
{
    struct diagnostics *diagnostics = diagnostics_new();
    struct workflow *workflow = workflow_parse(text, strlen(text), FILE_NAME, diagnostics);
    g_autofree char *found = diagnostics_format(diagnostics);
    g_assert_cmpstr(found, ==, "");
    g_assert_nonnull(workflow);
    diagnostics_free(diagnostics);
    return workflow;
}

static const struct workflow_step *step_at(const struct workflow *workflow, unsigned index)
{
    return g_ptr_array_index(workflow->steps, index);
}

static void test_numeric_order(void)
{
    struct workflow *workflow =
        parse_good("[10]\nrun = \"ten\"\n[2]\nrun = \"two\"\n[0]\nrun = \"zero\"\n"
                   "[007]\nrun = 'seven'\n[2147483648]\nrun = 'last'\n");
    static const struct {
        uint64_t number;
        const char *word;
        unsigned line;
    } expected[] = {
        {0, "zero", 5}, {2, "two", 3}, {7, "seven", 7}, {10, "ten", 1}, {2147483648, "last", 9}};
    g_assert_cmpuint(workflow->steps->len, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpuint(step_at(workflow, i)->number, ==, expected[i].number);
        g_assert_cmpstr(step_at(workflow, i)->argv[0], ==, expected[i].word);
        g_assert_cmpuint(step_at(workflow, i)->line, ==, expected[i].line);
    }
    workflow_free(workflow);
}

/* DEMAND O10 */
static void test_words(void)
{
    static const struct {
        const char *run, *words;
    } cases[] = {
        {"\"bash -lc \\\"a && b\\\"\"", "bash|-lc|a && b"},
        {"'bash -lc \"./x y\"'", "bash|-lc|./x y"},
        {"['bash', '-lc', 'a b']", "bash|-lc|a b"},
        {"'make'", "make"},
        {"'  make   -j 4 '", "make|-j|4"},
        {"'echo $HOME `id` $(id) ~ *.c'", "echo|$HOME|`id`|$(id)|~|*.c"},
        {"\"echo 'it''s' \\\\\\\"x\\\\\\\" a\\\\ b\"", "echo|its|\"x\"|a b"},
        {"'''\nmake\n  check'''", "make|check"},
        {"\"a # b\"", "a"},
        {"\"a b#c\"", "a|b#c"},
        {"\"a '' b\"", "a||b"},
        {"['a', '', '#']", "a||#"},
        {"'caf\xc3\xa9'", "caf\xc3\xa9"},
        {"'x;touch y && z | w > f'", "x;touch|y|&&|z|||w|>|f"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("[0]\nrun = %s\n", cases[i].run);
        struct workflow *workflow = parse_good(text);
        assert_list(step_at(workflow, 0)->argv, cases[i].words);
        workflow_free(workflow);
    }
}

static void test_other_spellings(void)
{
    struct workflow *workflow = parse_good("0 = { run = 'a' }\n1.run = 'b'\n\"2\".'run' = ['c']\n");
    g_assert_cmpuint(workflow->steps->len, ==, 3);
    g_assert_cmpstr(step_at(workflow, 2)->argv[0], ==, "c");
    workflow_free(workflow);
}

static void test_many_steps(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 1000; i > 0; i--) {
        g_string_append_printf(text, "[%u]\nrun = \"echo %u\"\n", i, i);
    }
    struct workflow *workflow = parse_good(text->str);
    g_assert_cmpuint(workflow->steps->len, ==, 1000);
    g_assert_cmpuint(step_at(workflow, 0)->number, ==, 1);
    g_assert_cmpuint(step_at(workflow, 999)->number, ==, 1000);
    workflow_free(workflow);
}

#define NO_STEPS                                                                                   \
    FILE_NAME ": the workflow has no steps; write for example: [0] and below it: run = \"make\"\n"
#define AT(position) FILE_NAME ":" position ": "
#define NO_NUMBER(name)                                                                            \
    "\"" name "\" is not the number of a step; steps are tables [0], [1], ... up to "              \
    "[2147483648]\n"
#define OUTSIDE(name)                                                                              \
    "\"" name "\" stands outside of a step; a workflow is made of tables [0], [1], ... with the "  \
    "key \"run\"\n"

/* DEMAND O11 */
static void test_refused(void)
{
    static const struct verdict verdicts[] = {
        {"", NO_STEPS},
        {"\n# nothing\n", NO_STEPS},
        {"[0]\n", AT("1:2") "step 0 has no \"run\"\n"},
        {"[1]\nrun = 'a'\n[01]\nrun = 'b'\n",
         AT("3:2") "step 1 stands here again; it is in line 1 already\n"},
        {"[1]\nrun = 'a'\n[1]\nrun = 'b'\n",
         AT("3:1") "Error while parsing table header: cannot redefine existing table '1'\n"},
        {"[build]\nrun = 'a'\n", AT("1:2") NO_NUMBER("build")},
        {"[-1]\nrun = 'a'\n", AT("1:2") NO_NUMBER("-1")},
        {"['+1']\nrun = 'a'\n", AT("1:2") NO_NUMBER("+1")},
        {"[0x1]\nrun = 'a'\n", AT("1:2") NO_NUMBER("0x1")},
        {"['']\nrun = 'a'\n", AT("1:2") NO_NUMBER("")},
        {"['1 ']\nrun = 'a'\n", AT("1:2") NO_NUMBER("1 ")},
        {"['\xd9\xa1']\nrun = 'a'\n", AT("1:2") NO_NUMBER("\xd9\xa1")},
        {"[2147483649]\nrun = 'a'\n", AT("1:2") NO_NUMBER("2147483649")},
        {"[99999999999999999999999]\nrun = 'a'\n", AT("1:2") NO_NUMBER("99999999999999999999999")},
        {"run = 'a'\n", AT("1:1") OUTSIDE("run")},
        {"0 = 'a'\n", AT("1:1") OUTSIDE("0")},
        {"[[0]]\nrun = 'a'\n", AT("1:3") OUTSIDE("0")},
        {"[0]\nrun = 'a'\n  runs = 'b'\n",
         AT("3:3") "unknown key \"runs\", did you mean \"run\"?\n"},
        {"[0]\nrun = 'a'\nenvironment = 'b'\n", AT("3:1") "unknown key \"environment\"\n"},
        {"[0]\nrun = 'a'\n[0.env]\nx = 1\n", AT("3:4") "unknown key \"env\"\n"},
        {"[0]\nrun = 'a'\n\"run\\u0000\" = 'b'\n", AT("3:1") "unknown key \"run\\x00\"\n"},
        {"[0]\nrun = 7\n",
         AT("2:7") "\"run\" must be a string or an array of strings, found an integer\n"},
        {"[0]\nrun = { a = 1 }\n",
         AT("2:7") "\"run\" must be a string or an array of strings, found a table\n"},
        {"[0]\nrun = ['a', 7]\n",
         AT("2:13") "\"run\" must be an array of strings, found an integer\n"},
        {"[0]\nrun = []\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = ['', 'a']\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = ''\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = '  '\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = '# all comment'\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = \"''\"\n", AT("2:7") "\"run\" names no command\n"},
        {"[0]\nrun = \"a 'b\"\n",
         AT("2:7") "\"run\" has a quote without its partner, or a backslash at its end\n"},
        {"[0]\nrun = 'a \\'\n",
         AT("2:7") "\"run\" has a quote without its partner, or a backslash at its end\n"},
        {"[0]\nrun = \"a\\u0000b\"\n", AT("2:7") "\"run\" holds a NUL character\n"},
        {"[0]\nrun = ['a', \"b\\u0000\"]\n", AT("2:13") "\"run\" holds a NUL character\n"},
        {"[0]\nrun = a\n", AT("2:7") "Error while parsing value: could not determine value type\n"},
    };
    assert_verdicts(FILE_NAME, verdicts, G_N_ELEMENTS(verdicts));
}

static void test_all_in_one_pass(void)
{
    g_autofree char *found =
        diagnose(FILE_NAME, "stray = 1\n[1]\nrum = 'a'\n[x]\nrun = 7\n[01]\nrun = ''\n");
    g_assert_cmpstr(
        found, ==,
        AT("1:1") OUTSIDE("stray") AT("2:2") "step 1 has no \"run\"\n" AT(
            "3:1") "unknown key \"rum\", did you mean \"run\"?\n" AT("4:2") NO_NUMBER("x")
            AT("5:7") "\"run\" must be a string or an array of strings, found an integer\n" AT(
                "6:2") "step 1 stands here again; it is in line 2 already\n" AT("7:7") "\"run\" "
                                                                                       "names no "
                                                                                       "command\n");
}

static void test_foreign_text(void)
{
    g_autofree char *found = diagnose(FILE_NAME, "[\"\\u001b[31mred\\n\\u202e\"]\nrun = 'a'\n");
    g_assert_cmpstr(found, ==, AT("1:2") NO_NUMBER("\\x1b[31mred\\x0a\\u{202e}"));
}

static void test_bound_of_errors(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < 250; i++) {
        g_string_append_printf(text, "[%u]\nruns = 'a'\n", i);
    }
    g_autofree char *found = diagnose_bytes(FILE_NAME, text->str, text->len);
    g_auto(GStrv) lines = g_strsplit(found, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, DIAGNOSTICS_MAX + 2);
    g_assert_cmpstr(lines[DIAGNOSTICS_MAX], ==, "and 400 more");
}

static void test_limits(void)
{
    g_autofree char *blank = g_strnfill(WORKFLOW_MAX_BYTES, '\n');
    memcpy(blank, "[0]\nrun='a'\n", 12);
    g_autofree char *largest = diagnose_bytes(FILE_NAME, blank, WORKFLOW_MAX_BYTES);
    g_assert_cmpstr(largest, ==, "");
    g_autofree char *larger_text = g_strnfill(WORKFLOW_MAX_BYTES + 1, '\n');
    g_autofree char *larger = diagnose_bytes(FILE_NAME, larger_text, WORKFLOW_MAX_BYTES + 1);
    g_assert_cmpstr(larger, ==, FILE_NAME ": larger than 262144 bytes\n");

    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i <= WORKFLOW_MAX_STEPS; i++) {
        g_string_append_printf(text, "%u.run='a'\n", i);
    }
    g_autofree char *many = diagnose_bytes(FILE_NAME, text->str, text->len);
    g_assert_cmpstr(many, ==, FILE_NAME ": more than 10000 steps\n");
}

static void test_path_for_branch(void)
{
    static const struct {
        const char *branch, *path;
    } cases[] = {
        {"main", "workflow/main.toml"},
        {"feature/x", "workflow/feature/x.toml"},
        {"a.b", "workflow/a.b.toml"},
        {"-x", "workflow/-x.toml"},
        {"caf\xc3\xa9", "workflow/caf\xc3\xa9.toml"},
        {"x;touch${IFS}y", "workflow/x;touch${IFS}y.toml"},
        {"...", "workflow/....toml"},
        {"", NULL},
        {"/x", NULL},
        {"x/", NULL},
        {"a//b", NULL},
        {"..", NULL},
        {"a/../b", NULL},
        {"./a", NULL},
        {"a/.", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = workflow_path_for_branch(cases[i].branch);
        g_assert_cmpstr(path, ==, cases[i].path);
    }
}

/* What `phantom_ci check FILE` says about files that are none. DEMAND S24 */
static void test_files(void)
{
    char *directory = make_directory(NULL, NULL);
    g_autofree char *fifo = g_build_filename(directory, "fifo.toml", NULL);
    g_autofree char *absent = g_build_filename(directory, "absent.toml", NULL);
    const char *const paths[] = {fifo, directory, absent};
    const char *const reasons[] = {"is not a regular file", "is not a regular file",
                                   "cannot be read: No such file or directory"};
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct diagnostics *diagnostics = diagnostics_new();
        config_check_file(paths[i], diagnostics);
        g_autofree char *found = diagnostics_format(diagnostics);
        g_autofree char *expected = g_strdup_printf("%s: %s\n", paths[i], reasons[i]);
        g_assert_cmpstr(found, ==, expected);
        diagnostics_free(diagnostics);
    }
    remove_directory(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_workflow/steps__any_order__are_sorted_by_number", test_numeric_order);
    g_test_add_func("/config_workflow/run__O10_quotes_and_arrays__gives_these_words", test_words);
    g_test_add_func("/config_workflow/steps__inline_and_dotted__are_read", test_other_spellings);
    g_test_add_func("/config_workflow/steps__1000__are_read", test_many_steps);
    g_test_add_func("/config_workflow/text__O11_every_mistake__has_line_and_column", test_refused);
    g_test_add_func("/config_workflow/text__several_mistakes__are_told_in_one_pass",
                    test_all_in_one_pass);
    g_test_add_func("/config_workflow/text__control_characters__are_escaped", test_foreign_text);
    g_test_add_func("/config_workflow/text__500_mistakes__100_are_kept", test_bound_of_errors);
    g_test_add_func("/config_workflow/text__at_and_above_the_limits__is_read_and_refused",
                    test_limits);
    g_test_add_func("/config_workflow/path__branch_names__stays_below_workflow",
                    test_path_for_branch);
    g_test_add_func("/config_workflow/file__S24_fifo_directory_absent__is_refused", test_files);
    return g_test_run();
}
