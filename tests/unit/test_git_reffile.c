#include "git_fixture.h"

#include "git/reffile.h"
#include "git/repoconfig.h"

#define ID    "0123456789abcdef0123456789abcdef01234567"
#define ID2   "89abcdef0123456789abcdef0123456789abcdef"
#define ID256 ID "0123456789abcdef01234567"

/* ----------------------------------------------------------------------------------- loose refs */

static void assert_loose_of(size_t id_length, const char *text, enum reffile_kind kind,
                            const char *expected)
{
    char value[REFSET_MAX_NAME + 1];
    g_assert_cmpint(reffile_parse_loose(text, strlen(text), id_length, value), ==, kind);
    if (kind != REFFILE_BROKEN)
        g_assert_cmpstr(value, ==, expected);
}

static void assert_loose(const char *text, enum reffile_kind kind, const char *expected)
{
    assert_loose_of(40, text, kind, expected);
}

static void test_loose(void)
{
    assert_loose(ID "\n", REFFILE_ID, ID);
    assert_loose(ID, REFFILE_ID, ID);
    assert_loose(ID " \t\r\n\n", REFFILE_ID, ID);
    assert_loose(ID "\tbranch 'x' of y\n", REFFILE_ID, ID);
    assert_loose("0123456789ABCDEF0123456789abcdef01234567\n", REFFILE_ID, ID);
    assert_loose("ref: refs/heads/main\n", REFFILE_SYMBOLIC, "refs/heads/main");
    assert_loose("ref:refs/heads/main", REFFILE_SYMBOLIC, "refs/heads/main");
    assert_loose("ref: \t refs/remotes/o/x \n", REFFILE_SYMBOLIC, "refs/remotes/o/x");
    assert_loose_of(64, ID256 "\n", REFFILE_ID, ID256);
}

static void test_loose_broken(void)
{
    static const char *const broken[] = {
        "",
        "\n",
        "0123",
        " " ID,
        ID "\f",
        ID "x",
        ID256,
        "0123456789abcdef0123456789abcdef0123456z",
        "ref",
        "ref:",
        "ref: ",
        "ref: HEAD",
        "ref: refs/",
        "ref: refs/heads/../../x",
        "ref: refs/heads/a b",
        "ref: refs/heads/x.lock",
        "ref: refs/bisect/bad",
        "ref: refs/worktree/x",
        "ref: refs/rewritten/x",
        "Ref: refs/heads/main",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++)
        assert_loose(broken[i], REFFILE_BROKEN, NULL);
    assert_loose_of(64, ID, REFFILE_BROKEN, NULL);
    char value[REFSET_MAX_NAME + 1];
    g_assert_cmpint(reffile_parse_loose(ID "\0", 41, 40, value), ==, REFFILE_BROKEN);
    g_autofree char *name = g_strnfill(REFSET_MAX_NAME, 'x');
    g_autofree char *text = g_strconcat("ref: refs/", name, NULL);
    assert_loose(text, REFFILE_BROKEN, NULL);
}

/* ---------------------------------------------------------------------------------- packed-refs */

static bool want_all(const char *name, size_t length, void *data)
{
    (void)data;
    return length < 10 || memcmp(name, "refs/pull/", 10) != 0;
}

/* "name=id[^peeled][?] " */
static bool note(const struct reffile_packed_ref *ref, void *data)
{
    GString *out = data;
    g_string_append_printf(out, "%.*s=%.3s", (int)ref->name_length, ref->name, ref->id);
    if (ref->peeled_id)
        g_string_append_printf(out, "^%.3s", ref->peeled_id);
    g_string_append(out, ref->is_peeled ? " " : "? ");
    return true;
}

/* In pieces of `piece` bytes; NULL for an error. */
static char *packed(const char *text, size_t length, size_t piece, GError **error)
{
    struct reffile_packed reader;
    GString *out = g_string_new(NULL);
    reffile_packed_init(&reader, 40, want_all, note, out);
    size_t used = 0, given = 0;
    bool good = true;
    while (good && given < length) {
        given = MIN(given + piece, length);
        gssize done = reffile_packed_read(&reader, text + used, given - used, error);
        good = done >= 0;
        used += good ? (size_t)done : 0;
    }
    good = good && reffile_packed_finish(&reader, length - used, error);
    return g_string_free(out, !good);
}

static void assert_packed(const char *text, const char *expected)
{
    for (size_t piece = 1; piece < strlen(text) + 2; piece++) {
        GError *error = NULL;
        g_autofree char *found = packed(text, strlen(text), piece, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(found, ==, expected);
    }
}

static void assert_packed_error(const char *text, const char *part)
{
    for (size_t piece = 1; piece < strlen(text) + 2; piece++) {
        GError *error = NULL;
        g_assert_null(packed(text, strlen(text), piece, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_assert_nonnull(strstr(error->message, part));
        g_clear_error(&error);
    }
}

static void test_packed(void)
{
    assert_packed("", "");
    assert_packed(ID " refs/heads/a\n", "refs/heads/a=012? ");
    assert_packed("# pack-refs with: peeled fully-peeled sorted \n" ID " refs/heads/a\n" ID
                  " refs/tags/v\n^" ID2 "\n" ID " refs/tags/w\n",
                  "refs/heads/a=012 refs/tags/v=012^89a refs/tags/w=012 ");
    /* of tags alone it is known whether they were peeled */
    assert_packed("# pack-refs with: peeled \n" ID " refs/heads/a\n" ID " refs/tags/w\n",
                  "refs/heads/a=012? refs/tags/w=012 ");
    assert_packed("# pack-refs with: unheard-of\n" ID " refs/tags/v\n^" ID2 "\n" ID
                  " refs/tags/w\n",
                  "refs/tags/v=012^89a refs/tags/w=012? ");
    /* what is not wanted is passed over with its peeled line */
    assert_packed("# pack-refs with: fully-peeled\n" ID " refs/heads/a\n" ID " refs/pull/1\n^" ID2
                  "\n" ID " refs/tags/w\n",
                  "refs/heads/a=012 refs/tags/w=012 ");
}

static void test_packed_broken(void)
{
    assert_packed_error(ID " refs/heads/a", "within a line");
    assert_packed_error("# hello\n", "# hello");
    assert_packed_error("^" ID "\n", "^012");
    assert_packed_error(ID "\n", "unexpected line");
    assert_packed_error(ID " \n", "unexpected line");
    assert_packed_error("\n", "unexpected line");
    assert_packed_error("0123456789abcdef0123456789abcdef0123456z refs/heads/a\n",
                        "unexpected line");
    assert_packed_error(ID "x refs/heads/a\n", "unexpected line");
    assert_packed_error(ID " refs/heads/a\n^" ID "0\n", "unexpected line");
    assert_packed_error(ID " refs/heads/a\n^0123\n", "unexpected line");
    assert_packed_error(ID " refs/heads/a\n\n", "unexpected line");
    assert_packed_error(ID " refs/heads/a\n# pack-refs with: peeled\n", "unexpected line");
}

static void test_packed_limits(void)
{
    GError *error = NULL;
    g_autofree char *name = g_strnfill(REFFILE_PACKED_LINE_MAX, 'x');
    g_autofree char *text = g_strconcat(ID " ", name, "\n", NULL);
    for (size_t piece = 1; piece < 10000; piece += 1111) {
        g_assert_null(packed(text, strlen(text), piece, &error));
        g_assert_true(error_has_code(error, ERROR_LIMIT));
        g_clear_error(&error);
    }
    /* a name that nobody can want is no error */
    name[REFSET_MAX_NAME + 1] = '\0';
    g_autofree char *longish = g_strconcat(ID " ", name, "\n" ID " refs/heads/a\n", NULL);
    g_autofree char *found = packed(longish, strlen(longish), 100, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, "refs/heads/a=012? ");
}

static bool note_first(const struct reffile_packed_ref *ref, void *data)
{
    note(ref, data);
    return false;
}

static void test_packed_stop(void)
{
    static const char text[] = ID " refs/heads/a\n" ID " refs/heads/b\nnonsense\n";
    struct reffile_packed reader;
    g_autoptr(GString) out = g_string_new(NULL);
    reffile_packed_init(&reader, 40, want_all, note_first, out);
    g_assert_cmpint(reffile_packed_read(&reader, text, strlen(text), NULL), ==,
                    (gssize)strlen(text));
    g_assert_true(reffile_packed_finish(&reader, 0, NULL));
    g_assert_cmpstr(out->str, ==, "refs/heads/a=012? ");
}

/* -------------------------------------------------------------------------------- configuration */

static struct repoconfig parsed(const char *text)
{
    struct repoconfig config;
    GError *error = NULL;
    repoconfig_init(&config);
    g_assert_true(repoconfig_parse(&config, text, strlen(text), &error));
    g_assert_no_error(error);
    return config;
}

static void test_config(void)
{
    struct repoconfig config =
        parsed("[core]\n\trepositoryformatversion = 0\n\tbare = true\n[remote \"x\"]\n\turl = y\n");
    g_assert_cmpuint(config.id_length, ==, 40);
    g_assert_false(config.is_reftable || config.unknown_format || config.hides_refs ||
                   config.has_includes || config.worktree_config);
    config = parsed("\xef\xbb\xbf[core]\r\nrepositoryformatversion=1\r\n[extensions]\r\n"
                    "objectFormat = \"sha256\" ; so\r\nrefStorage=files\n");
    g_assert_cmpuint(config.id_length, ==, 64);
    g_assert_false(config.unknown_format || config.is_reftable);
    config =
        parsed("[core] repositoryformatversion = 1 # x\n[extensions] refstorage = reft\\\nable");
    g_assert_true(config.is_reftable);
    g_assert_false(config.unknown_format);
    g_assert_true(parsed("[extensions]\nworktreeConfig\n").worktree_config);
    g_assert_true(parsed("[TRANSFER]\nhideREFS=refs/x\n").hides_refs);
    g_assert_true(parsed("[uploadpack]hiderefs=refs/x").hides_refs);
    g_assert_true(parsed("[include]\npath = x").has_includes);
    g_assert_true(parsed("[includeIf \"gitdir:/a\\\"]b\"] path=x").has_includes);
    g_assert_false(parsed("[receive]\nhiderefs = refs/x\n[transfer \"a\"]\nhiderefs = y\n"
                          "[a \"transfer\"]\nhiderefs=z\n# hiderefs = y\n[x]\n"
                          "y = a\\\n[transfer]\\\nhiderefs = b\n"
                          "z = \"# [transfer]\"\n")
                       .hides_refs);
}

static void test_config_unknown(void)
{
    static const char *const unknown[] = {
        "[core]\nrepositoryformatversion = 2\n",
        "[core]\nrepositoryformatversion\n",
        "[core]\nrepositoryformatversion = 1k\n",
        "[core]\nrepositoryformatversion = 1\n[extensions]\nsomethingNew = true\n",
        "[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha3\n",
        "[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = cloud\n",
        "[core]\nrepositoryformatversion = 0\n[extensions]\nrefStorage = reftable\n",
        "[extensions]\nobjectFormat = sha256\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        g_assert_true(parsed(unknown[i]).unknown_format);
}

static void test_config_broken(void)
{
    static const char *const broken[] = {
        "[core\n",
        "[core \"x]\n",
        "[core \"x\n\"]\n",
        "[core x]\n",
        "[core \"x\" ]\n",
        "= x\n",
        "1a = x\n",
        "[a]\nb c = d\n",
        "[a]\nb = \"c",
        "[a]\nb = \"c\n\"\n",
        "[a]\nb = \\q\n",
        "[]\n",
        "[ä]\n",
        "[",
        "[a]\n-b = c\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        struct repoconfig config;
        GError *error = NULL;
        repoconfig_init(&config);
        if (repoconfig_parse(&config, broken[i], strlen(broken[i]), &error))
            g_error("taken: %s", broken[i]);
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_clear_error(&error);
    }
    struct repoconfig config;
    repoconfig_init(&config);
    g_assert_false(repoconfig_parse(&config, "[a]\nb = \0c\n", 11, NULL));
}

/* Files put together of such pieces, mostly broken ones, are read as `git config` reads them. */
static void test_config_random(void)
{
    static const char *const pieces[] = {"[",
                                         "]",
                                         "[transfer]",
                                         "[uploadpack]",
                                         "[TransFer]",
                                         "[transfer \"x\"]",
                                         "[include]",
                                         "[core]",
                                         "[extensions]",
                                         "[a \"b\\\"c]\"]",
                                         "[transfer.hiderefs]",
                                         "\"",
                                         "\\",
                                         "\\\n",
                                         "\n",
                                         "\n",
                                         "\n",
                                         "\r\n",
                                         "\r",
                                         "\t",
                                         " ",
                                         "=",
                                         "=",
                                         ";",
                                         "#",
                                         "hideRefs",
                                         "hiderefs = a",
                                         "HIDEREFS=\"",
                                         "path = x",
                                         "path",
                                         "worktreeConfig",
                                         "a",
                                         ".",
                                         "-",
                                         "1",
                                         "\f",
                                         "\xc3\xa9",
                                         "\\t",
                                         "\\q",
                                         "\xef\xbb\xbf"};
    struct fixture fixture;
    fixture_init(&fixture);
    unsigned valid = 0, rounds = g_test_thorough() ? 5000 : 300;
    for (unsigned round = 0; round < rounds; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int i = g_test_rand_int_range(1, 12); i > 0; i--)
            g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        write_text(fixture.root, "config", text->str);
        const char *argv[] = {"git",           "config", "-f",          "config",
                              "--no-includes", "--list", "--name-only", NULL};
        int status;
        g_autofree char *out = run_in(fixture.root, argv, &status);
        g_auto(GStrv) keys = g_strsplit(out, "\n", -1);
        const char *const *names = (const char *const *)keys;
        struct repoconfig config;
        repoconfig_init(&config);
        bool good = repoconfig_parse(&config, text->str, text->len, NULL);
        if (good != (status == 0) ||
            (good &&
             (config.hides_refs != (g_strv_contains(names, "transfer.hiderefs") ||
                                    g_strv_contains(names, "uploadpack.hiderefs")) ||
              config.has_includes != g_strv_contains(names, "include.path") ||
              config.worktree_config != g_strv_contains(names, "extensions.worktreeconfig"))))
            g_error("taken otherwise than by git: %s", text->str);
        valid += good;
    }
    g_assert_cmpuint(valid, >, 0);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reffile/loose__as_git_writes_it__is_read", test_loose);
    g_test_add_func("/reffile/loose__anything_else__is_broken", test_loose_broken);
    g_test_add_func("/reffile/packed__in_any_pieces__is_read", test_packed);
    g_test_add_func("/reffile/packed__what_git_refuses__is_refused", test_packed_broken);
    g_test_add_func("/reffile/packed__endless_lines__are_refused", test_packed_limits);
    g_test_add_func("/reffile/packed__enough__stops", test_packed_stop);
    g_test_add_func("/repoconfig/keys__that_decide__are_found", test_config);
    g_test_add_func("/repoconfig/formats__unknown__are_told", test_config_unknown);
    g_test_add_func("/repoconfig/files__at_random__are_read_as_by_git", test_config_random);
    g_test_add_func("/repoconfig/syntax__that_git_refuses__is_refused", test_config_broken);
    return g_test_run();
}
