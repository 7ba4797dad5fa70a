#include <glib.h>
#include <string.h>

#include "base/text.h"
#include "git/refset.h"

#define ID1 "1111111111111111111111111111111111111111"
#define ID2 "2222222222222222222222222222222222222222"
#define ID3 "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

typedef struct refset_wanted refset_wanted;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(refset_wanted, refset_wanted_free)

static bool add(GHashTable *refs, const struct refset_wanted *wanted, const char *name,
                const char *id)
{
    return refset_add(refs, wanted, name, strlen(name), id, strlen(id));
}

static void wants__names_and_globs__are_told_from_the_rest(void)
{
    static const char *const names[] = {"refs/heads/main", "refs/heads/release/*",
                                        "refs/tags/v[0-9]?", "refs/heads/a*z", NULL};
    g_autoptr(refset_wanted) wanted = refset_wanted_new(names);
    static const char *const yes[] = {
        "refs/heads/main", "refs/heads/release/1", "refs/heads/release/1/2", "refs/heads/release/",
        "refs/tags/v1x",   "refs/heads/az",        "refs/heads/a/b/z"};
    static const char *const no[] = {"refs/heads/mai",
                                     "refs/heads/main2",
                                     "refs/heads/release",
                                     "refs/tags/v1",
                                     "refs/tags/vax",
                                     "refs/heads/",
                                     "",
                                     "main",
                                     "refs/tags/main"};
    for (unsigned i = 0; i < G_N_ELEMENTS(yes); i++) {
        g_assert_true(refset_wants(wanted, yes[i]));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(no); i++) {
        g_assert_false(refset_wants(wanted, no[i]));
    }
    refset_wanted_free(NULL);
}

static void wanted__none__wants_nothing(void)
{
    static const char *const none[] = {NULL};
    g_autoptr(refset_wanted) wanted = refset_wanted_new(none);
    g_assert_false(refset_wants(wanted, "refs/heads/main"));
}

/* Globs are found by their heads; one by one they must say the same. */
static void wants__random_globs__match_as_each_of_them_alone(void)
{
    static const char *const parts[] = {"a", "b", "ab", "/", "*", "?", "[a/]", "\\a"};
    unsigned matches = 0;
    for (unsigned round = 0; round < 3000; round++) {
        g_autoptr(GPtrArray) globs = g_ptr_array_new_with_free_func(g_free);
        for (int count = g_test_rand_int_range(0, 8); count > 0; count--) {
            g_autoptr(GString) glob = g_string_new("");
            for (int i = g_test_rand_int_range(0, 4); i > 0; i--) {
                g_string_append(glob, parts[g_test_rand_int_range(0, G_N_ELEMENTS(parts))]);
            }
            g_string_append(glob, "*");
            g_ptr_array_add(globs, g_strdup(glob->str));
        }
        g_ptr_array_add(globs, NULL);
        g_autoptr(refset_wanted) wanted = refset_wanted_new((const char *const *)globs->pdata);
        for (unsigned i = 0; i < 20; i++) {
            g_autoptr(GString) name = g_string_new("");
            for (int length = g_test_rand_int_range(0, 6); length > 0; length--) {
                g_string_append_c(name, "ab/"[g_test_rand_int_range(0, 3)]);
            }
            bool expected = false;
            for (guint j = 0; j + 1 < globs->len; j++) {
                expected = expected || text_glob_match(globs->pdata[j], name->str);
            }
            g_assert_true(refset_wants(wanted, name->str) == expected);
            matches += expected;
        }
    }
    g_assert_cmpuint(matches, >, 3000);
    g_assert_cmpuint(matches, <, 57000);
}

static void add__wanted_ref__is_kept_and_the_last_id_counts(void)
{
    static const char *const names[] = {"refs/heads/main", "refs/tags/*", NULL};
    g_autoptr(refset_wanted) wanted = refset_wanted_new(names);
    g_autoptr(GHashTable) refs = refset_new();
    g_assert_true(add(refs, wanted, "refs/heads/main", ID1));
    g_assert_true(add(refs, wanted, "refs/tags/v1", ID1));
    g_assert_true(add(refs, wanted, "refs/tags/v1", ID3));
    g_assert_true(add(refs, wanted, "refs/heads/other", ID1));
    g_assert_cmpuint(g_hash_table_size(refs), ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/heads/main"), ==, ID1);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/tags/v1"), ==, ID3);
}

static void add__text_without_an_end__reads_no_further(void)
{
    g_autoptr(GHashTable) refs = refset_new();
    /* In blocks of their own, so that a sanitizer sees a read beyond them. */
    g_autofree char *name = g_memdup2("refs/heads/main", 15), *id = g_memdup2(ID1, 40);
    g_assert_true(refset_add(refs, NULL, name, 15, id, 40));
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/heads/main"), ==, ID1);
}

static void add__what_is_no_ref__is_passed_over(void)
{
    static const struct {
        const char *name, *id;
    } cases[] = {
        {"", ID1},
        {"HEAD", ID1},
        {"refs/heads/", ID1},
        {"refs/heads", ID1},
        {"refs/pull/1/head", ID1},
        {"refs/heads/HEAD", ID1},
        {"refs/heads/a..b", ID1},
        {"refs/heads/a b", ID1},
        {"refs/heads/a\tb", ID1},
        {"refs/heads/a\x1b[31m", ID1},
        {"refs/heads/a.lock", ID1},
        {"refs/heads/.a", ID1},
        {"refs/heads/a//b", ID1},
        {"refs/heads/*", ID1},
        {"refs/heads/a\\b", ID1},
        {"refs/heads/\xff", ID1},
        {"refs/tags/v1^{}", ID1},
        {"refs/heads/main", ""},
        {"refs/heads/main", "0000000000000000000000000000000000000000"},
        {"refs/heads/main", "0000000000000000000000000000000000000000000000000000000000000000"},
        {"refs/heads/main", "111111111111111111111111111111111111111"},
        {"refs/heads/main", ID1 "1"},
        {"refs/heads/main", ID3 "1"},
        {"refs/heads/main", "ABCDEF0123456789ABCDEF0123456789ABCDEF01"},
        {"refs/heads/main", "g111111111111111111111111111111111111111"},
    };
    static const char *const all[] = {"*", NULL};
    g_autoptr(refset_wanted) wanted = refset_wanted_new(all);
    g_autoptr(GHashTable) refs = refset_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(add(refs, wanted, cases[i].name, cases[i].id));
        if (g_hash_table_size(refs) > 0) {
            g_error("kept \"%s\" \"%s\"", cases[i].name, cases[i].id);
        }
        g_assert_false(refset_is_valid(cases[i].name, strlen(cases[i].name), cases[i].id,
                                       strlen(cases[i].id)));
    }
    g_assert_true(refset_add(refs, wanted, "refs/heads/a\0b", 14, ID1, 40));
    g_assert_true(refset_add(refs, wanted, "refs/heads/main", 15, "1111\0", 40));
    g_assert_cmpuint(g_hash_table_size(refs), ==, 0);
}

static void add__name_at_the_limit__is_the_longest_that_is_kept(void)
{
    g_autoptr(GHashTable) refs = refset_new();
    g_autoptr(GString) name = g_string_new("refs/heads/");
    while (name->len < REFSET_MAX_NAME) {
        g_string_append_c(name, 'n');
    }
    g_assert_true(add(refs, NULL, name->str, ID1));
    g_assert_cmpuint(g_hash_table_size(refs), ==, 1);
    g_string_append_c(name, 'n');
    g_assert_true(add(refs, NULL, name->str, ID1));
    g_assert_cmpuint(g_hash_table_size(refs), ==, 1);
}

static void add__full_table__takes_only_names_that_it_has(void)
{
    g_autoptr(GHashTable) refs = refset_new();
    char name[64];
    for (unsigned i = 0; i < REFSET_MAX_REFS; i++) {
        g_snprintf(name, sizeof(name), "refs/heads/b%u", i);
        g_assert_true(add(refs, NULL, name, ID1));
    }
    g_assert_false(add(refs, NULL, "refs/heads/more", ID1));
    g_assert_true(add(refs, NULL, "refs/heads/b7", ID2));
    g_assert_true(add(refs, NULL, "refs/heads/not a ref", ID2));
    g_assert_cmpuint(g_hash_table_size(refs), ==, REFSET_MAX_REFS);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/heads/b7"), ==, ID2);
}

static char *digest_of(const char *const *pairs)
{
    g_autoptr(GHashTable) refs = refset_new();
    for (; *pairs; pairs += 2) {
        g_assert_true(add(refs, NULL, pairs[0], pairs[1]));
    }
    return refset_digest(refs);
}

static void digest__any_order__is_the_sha256_of_sorted_lines(void)
{
    enum { COUNT = 90 };
    g_autoptr(GHashTable) up = refset_new(), down = refset_new(), none = refset_new();
    g_autoptr(GString) lines = g_string_new("");
    char name[32];
    for (unsigned i = 0; i < COUNT; i++) {
        g_snprintf(name, sizeof(name), "refs/heads/b%u", 10 + i);
        g_string_append_printf(lines, "%s %s\n", i % 2 ? ID1 : ID3, name);
        g_assert_true(add(up, NULL, name, i % 2 ? ID1 : ID3));
        g_snprintf(name, sizeof(name), "refs/heads/b%u", 10 + COUNT - 1 - i);
        g_assert_true(add(down, NULL, name, i % 2 ? ID3 : ID1));
    }
    g_autofree char *first = refset_digest(up), *second = refset_digest(down);
    g_autofree char *empty = refset_digest(none);
    g_autofree char *expected = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lines->str, -1);
    g_autofree char *of_nothing = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "", -1);
    g_assert_cmpstr(first, ==, expected);
    g_assert_cmpstr(second, ==, expected);
    g_assert_cmpstr(empty, ==, of_nothing);
    g_assert_cmpuint(strlen(first), ==, REFSET_DIGEST_LENGTH);
}

static void digest__changed_id_name_or_count__is_another(void)
{
    static const char *const cases[][5] = {
        {"refs/heads/a", ID1, "refs/heads/b", ID2},
        {"refs/heads/a", ID2, "refs/heads/b", ID1},
        {"refs/heads/a", ID1, "refs/heads/c", ID2},
        {"refs/heads/a", ID1},
        {"refs/tags/a", ID1},
    };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_hash_table_add(seen, digest_of(cases[i]));
    }
    g_assert_cmpuint(g_hash_table_size(seen), ==, G_N_ELEMENTS(cases));
}

static void prefixes__names_and_globs__are_their_shortest_fixed_heads(void)
{
    static const struct {
        const char *names, *prefixes;
        unsigned most;
    } cases[] = {
        {"refs/heads/main", "refs/heads/main", 64},
        {"refs/heads/main refs/heads/dev", "refs/heads/dev refs/heads/main", 64},
        {"refs/heads/main refs/heads/main", "refs/heads/main", 64},
        {"refs/heads/main-2 refs/heads/main refs/heads/ma*", "refs/heads/ma", 64},
        {"refs/heads/main refs/heads/main-2 refs/heads/main.x", "refs/heads/main", 64},
        {"refs/heads/* refs/heads/main refs/tags/v*", "refs/heads/ refs/tags/v", 64},
        {"refs/heads/r[ab]c", "refs/heads/r", 64},
        {"refs/heads/r\\*x", "refs/heads/r", 64},
        {"*", "refs/heads/ refs/tags/", 64},
        {"refs/?eads/x", "refs/heads/ refs/tags/", 64},
        {"refs/h*", "refs/heads/", 64},
        {"refs/tags/v1", "refs/tags/v1", 64},
        {"refs/pull/* refs/heads/main HEAD", "refs/heads/main", 64},
        {"refs/pull/*", "refs/heads/", 64},
        {"", "refs/heads/", 64},
        {"refs/heads/a refs/heads/b refs/heads/c", "refs/heads/a refs/heads/b refs/heads/c", 3},
        {"refs/heads/a refs/heads/b refs/heads/c", "refs/heads/", 2},
        {"refs/heads/a refs/tags/b refs/heads/c", "refs/heads/ refs/tags/", 2},
        {"refs/tags/a refs/tags/b", "refs/tags/", 1},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) names = g_strsplit(cases[i].names, " ", -1);
        g_auto(GStrv) prefixes = refset_prefixes((const char *const *)names, cases[i].most);
        g_autofree char *joined = g_strjoinv(" ", prefixes);
        g_assert_cmpstr(joined, ==, cases[i].prefixes);
    }
}

static void prefixes__longer_than_any_kept_name__are_left_out(void)
{
    g_autofree char *tail = g_strnfill(REFSET_MAX_NAME, 'n');
    g_autofree char *name = g_strconcat("refs/heads/", tail, NULL);
    const char *const names[] = {name, "refs/tags/v1", NULL};
    g_auto(GStrv) prefixes = refset_prefixes(names, 64);
    g_autofree char *joined = g_strjoinv(" ", prefixes);
    g_assert_cmpstr(joined, ==, "refs/tags/v1");
}

/* Whatever is wanted and kept must begin with one of the prefixes: else a look would miss it. */
static void prefixes__random_names__cover_every_wanted_ref(void)
{
    static const char *const parts[] = {"refs/heads/", "refs/tags/", "a", "b",  "*",
                                        "?",           "[ab]",       "/", "ab", "-"};
    for (unsigned round = 0; round < 3000; round++) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        for (int count = g_test_rand_int_range(1, 5); count > 0; count--) {
            g_autoptr(GString) name = g_string_new(parts[g_test_rand_int_range(0, 2)]);
            for (int i = g_test_rand_int_range(0, 4); i > 0; i--) {
                g_string_append(name, parts[g_test_rand_int_range(2, G_N_ELEMENTS(parts))]);
            }
            g_ptr_array_add(names, g_strdup(name->str));
        }
        g_ptr_array_add(names, NULL);
        const char *const *list = (const char *const *)names->pdata;
        g_autoptr(refset_wanted) wanted = refset_wanted_new(list);
        g_auto(GStrv) prefixes = refset_prefixes(list, (unsigned)g_test_rand_int_range(1, 4));
        g_autoptr(GString) ref = g_string_new(parts[g_test_rand_int_range(0, 2)]);
        for (int i = g_test_rand_int_range(1, 4); i > 0; i--) {
            g_string_append_c(ref, "ab-"[g_test_rand_int_range(0, 3)]);
        }
        bool covered = false;
        for (char **prefix = prefixes; *prefix; prefix++) {
            covered = covered || g_str_has_prefix(ref->str, *prefix);
        }
        g_assert_true(covered || !refset_wants(wanted, ref->str));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_refset/" #name, name)
    ADD(wants__names_and_globs__are_told_from_the_rest);
    ADD(wanted__none__wants_nothing);
    ADD(wants__random_globs__match_as_each_of_them_alone);
    ADD(add__wanted_ref__is_kept_and_the_last_id_counts);
    ADD(add__text_without_an_end__reads_no_further);
    ADD(add__what_is_no_ref__is_passed_over);
    ADD(add__name_at_the_limit__is_the_longest_that_is_kept);
    ADD(add__full_table__takes_only_names_that_it_has);
    ADD(digest__any_order__is_the_sha256_of_sorted_lines);
    ADD(digest__changed_id_name_or_count__is_another);
    ADD(prefixes__names_and_globs__are_their_shortest_fixed_heads);
    ADD(prefixes__longer_than_any_kept_name__are_left_out);
    ADD(prefixes__random_names__cover_every_wanted_ref);
#undef ADD
    return g_test_run();
}
