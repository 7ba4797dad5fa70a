#include "config/path_filter.h"

#include <string.h>

#define LIST(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static bool matches(const char *const *patterns, const char *path)
{
    struct path_filter *filter = path_filter_new(patterns);
    bool result = path_filter_matches(filter, path, strlen(path));
    path_filter_free(filter);
    return result;
}

static const struct {
    const char *pattern, *path;
    bool expected;
} single[] = {
    /* a star stays in its directory */
    {"*", "README.md", true},
    {"*", "docs/a.md", false},
    {"*.md", "README.md", true},
    {"*.md", "docs/a.md", false},
    {"src/*", "src/main.c", true},
    {"src/*", "src/base/text.c", false},
    {"src/*/*.c", "src/base/text.c", true},
    {"src/*/*.c", "src/text.c", false},
    {"src/*.c", "src/.c", true},
    {"a*b*c", "axxbxxc", true},
    {"a*b*c", "axxbxx", false},
    {"a*b*c", "ab/c", false},
    {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    /* two go everywhere */
    {"**", "a", true},
    {"**", "a/b/c", true},
    {"src/**", "src/a", true},
    {"src/**", "src/a/b/c.h", true},
    {"src/**", "src", false},
    {"src/**", "source/a", false},
    {"**/test.c", "test.c", true},
    {"**/test.c", "a/b/test.c", true},
    {"**/test.c", "a/mytest.c", false},
    {"src/**/test.c", "src/test.c", true},
    {"src/**/test.c", "src/a/b/test.c", true},
    {"src/**/test.c", "src/atest.c", false},
    {"**/docs/**", "docs/a", true},
    {"**/docs/**", "x/docs/a/b", true},
    {"**/docs/**", "x/mydocs/a", false},
    {"**.c", "a/b/c.c", true},
    {"a**c", "a/b/c", true},
    {"**/*.c", "x.c", true},
    {"**/*.c", "a/x.c", true},
    {"***/x", "a/b/x", true},
    /* one character, of any length in bytes */
    {"a?c", "abc", true},
    {"a?c",
     "a\xc3\xa4"
     "c",
     true},
    {"a??c",
     "a\xc3\xa4"
     "c",
     false},
    {"a?c", "a/c", false},
    {"a?c", "ac", false},
    {"?", "\xf0\x9f\x98\x80", true},
    /* sets */
    {"[abc]", "b", true},
    {"[abc]", "d", false},
    {"[a-c]x", "bx", true},
    {"[!a-c]x", "bx", false},
    {"[^a-c]x", "dx", true},
    {"[!a]x", "\xc3\xa4x", true},
    {"[!a]x", "/x", false},
    {"a[/]b", "a/b", false},
    {"[]]", "]", true},
    {"[!]]", "]", false},
    {"[a-]", "-", true},
    {"[\\]a]", "]", true},
    {"v[0-9][0-9]", "v12", true},
    /* without signs: a file, or a directory with what is in it */
    {"src", "src", true},
    {"src", "src/a/b", true},
    {"src", "srcs", false},
    {"src", "a/src", false},
    {"src/base", "src/base/text.c", true},
    {"src/", "src/a", true},
    {"src/", "src", false},
    {"src/*/", "src/a/b", true},
    {"src/*/", "src/a", false},
    {"/src/*.c", "src/a.c", true},
    {"/src", "src/a.c", true},
    {"Makefile", "makefile", false},
    /* what is meant literally */
    {"a\\*b", "a*b", true},
    {"a\\*b", "axb", false},
    {"\\!x", "!x", true},
    {"a\\\\b", "a\\b", true},
    {"\\[x", "[x", true},
    {"a b", "a b", true},
    {"\xe4", "\xe4", true},
};

static void pattern__every_sign__matches_what_it_stands_for(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(single); i++) {
        g_autofree char *why = NULL;
        g_assert_true(path_filter_check(single[i].pattern, &why));
        if (matches(LIST(single[i].pattern), single[i].path) != single[i].expected)
            g_error("\"%s\" and \"%s\"", single[i].pattern, single[i].path);
    }
}

static void list__order__lets_the_last_match_decide(void)
{
    const char *const *code = LIST("src/**", "!src/docs/**", "src/docs/api.md");
    g_assert_true(matches(code, "src/main.c"));
    g_assert_false(matches(code, "src/docs/a.md"));
    g_assert_true(matches(code, "src/docs/api.md"));
    g_assert_false(matches(code, "README.md"));
    const char *const *undone = LIST("!src/docs/**", "src/**");
    g_assert_true(matches(undone, "src/docs/a.md"));
    g_assert_false(matches(undone, "README.md"));
}

static void list__only_exclusions__leaves_everything_else(void)
{
    const char *const *no_docs = LIST("!docs/**", "!*.md");
    g_assert_true(matches(no_docs, "src/main.c"));
    g_assert_true(matches(no_docs, "src/README.md"));
    g_assert_false(matches(no_docs, "README.md"));
    g_assert_false(matches(no_docs, "docs/a/b.txt"));
    static const char *const none[] = {NULL};
    g_assert_true(matches(none, "anything"));
}

static void check__what_could_never_match__is_refused_with_words(void)
{
    static const struct {
        const char *pattern, *words;
    } cases[] = {
        {"", "names no path"},      {"!", "names no path"},
        {"/", "names no path"},     {"!/", "names no path"},
        {"a//b", "\"//\""},         {"./src", "root of the repository"},
        {"src/../x", "\"..\""},     {"..", "\"..\""},
        {"a[bc", "no ']'"},         {"a[", "no ']'"},
        {"a[!", "no ']'"},          {"a[]", "no ']'"},
        {"a[b\\", "no ']'"},        {"a[z-a]", "before it begins"},
        {"a\\", "single '\\'"},     {"[\xc3\xa4]", "ASCII"},
        {"a[b-\xc3\xa4]", "ASCII"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = NULL;
        g_assert_false(path_filter_check(cases[i].pattern, &why));
        if (!strstr(why, cases[i].words))
            g_error("\"%s\": %s", cases[i].pattern, why);
        /* left out, it leaves what the others say */
        g_assert_true(matches(LIST("src/**", cases[i].pattern), "src/x"));
    }
    g_autofree char *long_pattern = g_strnfill(PATH_PATTERN_MAX_BYTES + 1, 'x');
    g_autofree char *why = NULL;
    g_assert_false(path_filter_check(long_pattern, &why));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_path_filter/pattern__every_sign__matches_what_it_stands_for",
                    pattern__every_sign__matches_what_it_stands_for);
    g_test_add_func("/config_path_filter/list__order__lets_the_last_match_decide",
                    list__order__lets_the_last_match_decide);
    g_test_add_func("/config_path_filter/list__only_exclusions__leaves_everything_else",
                    list__only_exclusions__leaves_everything_else);
    g_test_add_func("/config_path_filter/check__what_could_never_match__is_refused_with_words",
                    check__what_could_never_match__is_refused_with_words);
    return g_test_run();
}
