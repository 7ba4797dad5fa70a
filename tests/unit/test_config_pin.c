/* What an approval of a workflow is for. */
#include <glib.h>
#include <string.h>

#include "config/pin.h"

#define ID_1 "1111111111111111111111111111111111111111"
#define ID_2 "2222222222222222222222222222222222222222"

static const char workflow[] = "[0]\nrun = 'make'\n";
static const char *const none[] = {NULL};
static const char *const patterns[] = {"Makefile", "scripts/**", "!scripts/*.md", NULL};

static char *digest_of(const char *const *with, const char *text, const char *tree, size_t length)
{
    struct pin *pin = pin_new("workflow/main.toml", with);
    char *digest = pin_digest(pin, text, strlen(text), tree, length);
    pin_free(pin);
    return digest;
}

#define DIGEST(tree) digest_of(patterns, workflow, tree, sizeof(tree) - 1)

static void digest__without_patterns__is_that_of_the_file(void)
{
    g_autofree char *digest = digest_of(none, workflow, NULL, 0);
    g_autofree char *expected = g_compute_checksum_for_string(G_CHECKSUM_SHA256, workflow, -1);
    g_assert_cmpstr(digest, ==, expected);
}

static void digest__of_covered_files__changes_with_each_part_of_them(void)
{
    g_autofree char *before = DIGEST("100644 blob " ID_1 "\tMakefile\0"
                                     "100644 blob " ID_1 "\tscripts/a/b\0");
    static const struct {
        const char *tree;
        size_t length;
        bool same;
    } cases[] = {
#define TREE(text) text, sizeof(text) - 1
        {TREE("100644 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"),
         true},
        {TREE("100644 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tsrc/x\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"
              "100644 blob " ID_1 "\tscripts/x.md\0"),
         true},
        {TREE("100644 blob " ID_2 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"),
         false},
        {TREE("100755 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"),
         false},
        {TREE("120000 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"),
         false},
        {TREE("100644 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/c\0"),
         false},
        {TREE("100644 blob " ID_1 "\tMakefile\0"), false},
        {TREE("100644 blob " ID_1 "\tMakefile\0"
              "100644 blob " ID_1 "\tscripts/a/b\0"
              "100644 blob " ID_1 "\tscripts/new\nline\0"),
         false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *digest = digest_of(patterns, workflow, cases[i].tree, cases[i].length);
        g_assert_nonnull(digest);
        g_assert_true((strcmp(digest, before) == 0) == cases[i].same);
    }
    g_autofree char *other =
        digest_of(patterns, "[0]\nrun = 'x'\n", cases[0].tree, cases[0].length);
    g_assert_cmpstr(other, !=, before);
}

static void digest__of_what_is_no_tree__is_refused(void)
{
    g_assert_null(DIGEST("100644 blob " ID_1 "\tMakefile"));
    g_assert_null(DIGEST("100644 blob " ID_1 " Makefile\0"));
    g_assert_null(DIGEST("\0"));
    g_autofree char *empty = digest_of(patterns, workflow, "", 0);
    g_assert_nonnull(empty);
}

static void covers__workflow_and_patterns__and_nothing_else(void)
{
    static const struct {
        const char *path;
        bool covered;
    } cases[] = {{"workflow/main.toml", true}, {"workflow/main.tom", false},
                 {"Makefile", true},           {"sub/Makefile", false},
                 {"scripts/x/y", true},        {"scripts/r.md", false}};
    struct pin *pin = pin_new("workflow/main.toml", patterns);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(pin_covers(pin, cases[i].path, strlen(cases[i].path)) == cases[i].covered);
    }
    pin_free(pin);
}

/* Where the steps are the host's, only what the patterns name is there to be approved. */
static void pin__without_a_workflow__is_that_of_the_patterns(void)
{
    static const char tree[] = "100644 blob " ID_1 "\tMakefile\0"
                               "100644 blob " ID_1 "\tworkflow/main.toml\0";
    struct pin *pin = pin_new(NULL, patterns);
    g_assert_false(pin_covers(pin, "workflow/main.toml", strlen("workflow/main.toml")));
    g_assert_false(pin_covers(pin, "", 0));
    g_assert_true(pin_covers(pin, "Makefile", strlen("Makefile")));
    g_autofree char *digest = pin_digest(pin, NULL, 0, tree, sizeof(tree) - 1);
    pin_free(pin);
    g_autofree char *with_workflow = digest_of(patterns, workflow, tree, sizeof(tree) - 1);
    g_autofree char *with_empty = digest_of(patterns, "", tree, sizeof(tree) - 1);
    g_autofree char *expected =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)tree, strlen(tree) + 1);
    g_assert_cmpstr(digest, ==, expected);
    g_assert_cmpstr(digest, !=, with_workflow);
    g_assert_cmpstr(digest, !=, with_empty);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/config/pin/" #name, name)
    ADD(digest__without_patterns__is_that_of_the_file);
    ADD(digest__of_covered_files__changes_with_each_part_of_them);
    ADD(digest__of_what_is_no_tree__is_refused);
    ADD(covers__workflow_and_patterns__and_nothing_else);
    ADD(pin__without_a_workflow__is_that_of_the_patterns);
    return g_test_run();
}
