#include "base/refkey.h"

#include <string.h>

static const struct {
    const char *full, *key, *branch, *tag, *words;
} cases[] = {
    {"refs/heads/main", "main", "main", NULL, "main"},
    {"refs/heads/release/1", "release/1", "release/1", NULL, "release/1"},
    {"refs/heads/-x", "-x", "-x", NULL, "-x"},
    {"refs/tags/v1", "refs/tags/v1", NULL, "v1", "tag v1"},
    {"refs/tags/refs/heads/main", "refs/tags/refs/heads/main", NULL, "refs/heads/main",
     "tag refs/heads/main"},
    /* branches that would be taken for something else by their short names */
    {"refs/heads/refs/tags/v1", "refs/heads/refs/tags/v1", "refs/tags/v1", NULL, "refs/tags/v1"},
    {"refs/heads/refs/heads/main", "refs/heads/refs/heads/main", "refs/heads/main", NULL,
     "refs/heads/main"},
    {"refs/heads/refs", "refs", "refs", NULL, "refs"},
};

static void refkey__any_ref__leads_back_to_it_and_to_its_kind(void)
{
    g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *key = refkey_of(cases[i].full);
        g_autofree char *full = refkey_full(key);
        g_autofree char *words = refkey_describe(key);
        g_assert_cmpstr(key, ==, cases[i].key);
        g_assert_cmpstr(full, ==, cases[i].full);
        g_assert_cmpstr(refkey_branch(key), ==, cases[i].branch);
        g_assert_cmpstr(refkey_tag(key), ==, cases[i].tag);
        g_assert_cmpstr(words, ==, cases[i].words);
        g_assert_true(g_hash_table_add(keys, (char *)key));
    }
}

static void refkey__other_refs__have_none(void)
{
    static const char *const others[] = {"HEAD", "refs/notes/x",   "refs/remotes/origin/main",
                                         "main", "refs/head/main", ""};
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        g_assert_null(refkey_of(others[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base_refkey/refkey__any_ref__leads_back_to_it_and_to_its_kind",
                    refkey__any_ref__leads_back_to_it_and_to_its_kind);
    g_test_add_func("/base_refkey/refkey__other_refs__have_none", refkey__other_refs__have_none);
    return g_test_run();
}
