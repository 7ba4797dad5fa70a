#include "config/edit.h"

#include "config/repo_section.h"
#include "config_fixture.h"

static char *add(const char *text, const struct edit_section *section)
{
    g_autoptr(GError) error = NULL;
    char *changed = edit_add_section(text, strlen(text), "Repo.toml", section, &error);
    g_assert_no_error(error);
    g_assert_nonnull(changed);
    return changed;
}

static char *remove_named(const char *text, const char *name)
{
    g_autoptr(GError) error = NULL;
    char *changed = edit_remove_section(text, strlen(text), "Repo.toml", name, &error);
    g_assert_no_error(error);
    g_assert_nonnull(changed);
    return changed;
}

static void test_add(void)
{
    const struct edit_section plain = {"app", "https://h/app", "main", NULL, NULL, NULL};
    const struct edit_section odd = {"a \"b\" c\\",        "/srv/x \"y\"", "",
                                     "/home/me/.ssh/\tci", NULL,           "/etc/ci/\"x\".toml"};
    static const char plain_text[] = "[app]\npath = \"https://h/app\"\ntarget_branch = \"main\"\n";
    static const struct {
        const char *before, *between;
    } cases[] = {{"", ""},
                 {"# mine\n", "\n"},
                 {"# mine", "\n\n"},
                 {"[x]\npath = '/x'\n\n\n", "\n"},
                 {"[x]\npath = '/x' # here", "\n\n"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *changed = add(cases[i].before, &plain);
        g_autofree char *expected =
            g_strconcat(cases[i].before, cases[i].between, plain_text, NULL);
        g_assert_cmpstr(changed, ==, expected);
    }
    g_autofree char *quoted = add("", &odd);
    g_assert_cmpstr(quoted, ==,
                    "[\"a \\\"b\\\" c\\\\\"]\npath = \"/srv/x \\\"y\\\"\"\ntarget_branch = \"\"\n"
                    "ssh_key_path = \"/home/me/.ssh/\\u0009ci\"\n"
                    "workflow_file = \"/etc/ci/\\\"x\\\".toml\"\n");
}

static void test_line_ends(void)
{
    const struct edit_section section = {"app", "/srv/app", "main", NULL, NULL, NULL};
    g_autofree char *dos = add("# mine\r\n[x]\r\npath = '/x'\r\n", &section);
    g_assert_cmpstr(dos, ==,
                    "# mine\r\n[x]\r\npath = '/x'\r\n\r\n[app]\r\npath = \"/srv/app\"\r\n"
                    "target_branch = \"main\"\r\n");
    g_autofree char *back = remove_named(dos, "app");
    g_assert_cmpstr(back, ==, "# mine\r\n[x]\r\npath = '/x'\r\n");
    g_autofree char *first = remove_named(dos, "x");
    g_assert_cmpstr(first, ==,
                    "# mine\r\n[app]\r\npath = \"/srv/app\"\r\ntarget_branch = \"main\"\r\n");
}

static void assert_add_refused(const char *text, const char *name, const char *path,
                               const char *message)
{
    const struct edit_section section = {name, path, "main", NULL, NULL, NULL};
    g_autoptr(GError) error = NULL;
    g_assert_null(edit_add_section(text, strlen(text), "Repo.toml", &section, &error));
    g_assert_true(error_has_code(error, ERROR_INVALID));
    g_assert_nonnull(strstr(error->message, message));
}

static void test_add_refused(void)
{
    g_autofree char *long_name = g_strnfill(101, 'x');
    assert_add_refused("# x\n[app]\npath = '/x'\n", "app", "/a",
                       "Repo.toml:2: there is a repository \"app\" already");
    assert_add_refused("app = { path = '/x' }\n", "app", "/a", "Repo.toml:1: there is");
    assert_add_refused("[\"a\\u0070p\"]\npath = '/x'\n", "app", "/a", "Repo.toml:1: there is");
    /* DEMAND O11: a broken file stays as it is. */
    assert_add_refused("[app\npath", "new", "/a", "Repo.toml:1:5: ");
    assert_add_refused("", "", "/a", "can't name a repository");
    assert_add_refused("", "-x", "/a", "can't name a repository");
    assert_add_refused("", "a/b", "/a", "can't name a repository");
    assert_add_refused("", "a\nb", "/a", "\"a\\x0ab\" can't name a repository");
    assert_add_refused("", long_name, "/a", "can't name a repository");
    assert_add_refused("", "app", "/\xff", "not UTF-8");
}

static void test_remove(void)
{
    static const struct {
        const char *before, *name, *after;
    } cases[] = {
        {"[a]\npath = '/a'\n", "a", ""},
        {"[a]\npath = '/a'\n\n[b]\npath = '/b'\n", "a", "[b]\npath = '/b'\n"},
        {"[a]\npath = '/a'\n\n[b]\npath = '/b'\n", "b", "[a]\npath = '/a'\n"},
        /* comments directly above the next header are its own */
        {"[a]\npath = '/a'\n# inside\n\n# of b\n  # too\n[b]\npath = '/b'\n", "a",
         "# of b\n  # too\n[b]\npath = '/b'\n"},
        {"# top\n\n# of a\n[a]\npath = '/a'\n[b]\npath = '/b'\n", "a",
         "# top\n\n# of a\n[b]\npath = '/b'\n"},
        /* sub-tables go with it */
        {"[a]\npath = '/a'\n[a.env]\nX = '1'\n\n[b]\npath = '/b'\n[b.env]\nY = '2'\n", "a",
         "[b]\npath = '/b'\n[b.env]\nY = '2'\n"},
        {"[a]\npath = '/a'\n[a.env]\nX = '1'\n\n[b]\npath = '/b'\n[b.env]\nY = '2'\n", "b",
         "[a]\npath = '/a'\n[a.env]\nX = '1'\n"},
        /* no header but something like one within a value */
        {"[a]\npath = '''/a\n[b]\n'''\n[c]\npath = '/c'\n", "a", "[c]\npath = '/c'\n"},
        {"[a]\nkeep = [\n'x',\n# [b]\n'y' ]\n[c]\npath = '/c'\n", "a", "[c]\npath = '/c'\n"},
        /* other spellings */
        {"a = { path = '/a' }\nb = { path = '/b' }\n", "a", "b = { path = '/b' }\n"},
        {"a.path = '/a'\na.target_branch = 'x'\nb.path = '/b'\n", "a", "b.path = '/b'\n"},
        {"[ \"a b\" ] # x\npath = '/a'\n[c]\n", "a b", "[c]\n"},
        {"[a.env]\nX = '1'\n[a]\npath = '/a'\n[c]\n", "a", "[c]\n"},
        /* the piece of another section ends it too */
        {"[b]\npath = '/b'\n[a]\npath = '/a'\n[b.env]\nX = '1'\n", "a",
         "[b]\npath = '/b'\n[b.env]\nX = '1'\n"},
        /* no newline at the end */
        {"[a]\npath = '/a'\n\n[b]\npath = '/b'", "b", "[a]\npath = '/a'\n"},
        {"[a]\npath = '/a'\n\n[b]\npath = '/b'", "a", "[b]\npath = '/b'"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *after = remove_named(cases[i].before, cases[i].name);
        g_assert_cmpstr(after, ==, cases[i].after);
    }
}

static void assert_remove_refused(const char *text, const char *name, enum error_code code,
                                  const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(edit_remove_section(text, strlen(text), "Repo.toml", name, &error));
    g_assert_true(error_has_code(error, code));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_remove_refused(void)
{
    static const char pieces[] =
        "Repo.toml:1: the section \"a\" is not written as one piece; remove it with an editor";
    assert_remove_refused("[a]\npath = '/a'\n", "b", ERROR_NOT_FOUND,
                          "Repo.toml has no repository \"b\"");
    assert_remove_refused("", "\x1b[31m", ERROR_NOT_FOUND,
                          "Repo.toml has no repository \"\\x1b[31m\"");
    assert_remove_refused(
        "[a\n", "a", ERROR_INVALID,
        "Repo.toml:1:3: Error while parsing table header: expected ']', saw '\\n'");
    assert_remove_refused("[a]\npath = '/a'\n[b]\npath = '/b'\n[a.env]\nX = '1'\n", "a",
                          ERROR_INVALID, pieces);
    assert_remove_refused("a.path = '/a'\nb.path = '/b'\na.timeout = '1s'\n", "a", ERROR_INVALID,
                          pieces);
}

static void test_many_comments(void)
{
    /* Linear in the size of the file: 400,000 comment lines above a header. */
    g_autoptr(GString) text = g_string_new("[a]\npath = '/a'\n\n");
    for (unsigned i = 0; i < 400000; i++) {
        g_string_append(text, "#\n");
    }
    g_string_append(text, "[b]\npath = '/b'\n");
    g_autofree char *after = remove_named(text->str, "a");
    g_assert_cmpuint(strlen(after), ==, text->len - strlen("[a]\npath = '/a'\n\n"));
}

static char *random_piece(GString *out, unsigned number, const char *line_end)
{
    static const char *const lines[] = {"# a comment",
                                        "",
                                        "  # indented",
                                        "path = \"/srv/x\"",
                                        "keep = [ \"a/\", # why",
                                        "env = { A = \"[b]\" }",
                                        "target_branch = '''\n[no-header]\n# no comment\n'''"};
    char *name = g_strdup_printf("section-%u", number);
    for (int i = g_test_rand_int_range(0, 4); i > 0; i--) {
        g_string_append_printf(out, "%s%s", lines[g_test_rand_int_range(0, 3)], line_end);
    }
    g_string_append_printf(out, "[%s]%s", name, line_end);
    if (g_test_rand_bit()) {
        g_string_append_printf(out, "%s%s", lines[3], line_end);
    }
    if (g_test_rand_bit()) {
        g_string_append_printf(out, "%s%s\"b\" ]%s", lines[4], line_end, line_end);
    }
    if (g_test_rand_bit()) {
        g_string_append_printf(out, "%s%s", lines[5 + g_test_rand_int_range(0, 2)], line_end);
    }
    if (g_test_rand_bit()) {
        g_string_append_printf(out, "[%s.sub.sub]%sx = 1%s", name, line_end, line_end);
    }
    return name;
}

static void test_add_remove_identity(void)
{
    const struct edit_section added = {"added", "https://h/added", "main", "/key", NULL, NULL};
    for (unsigned round = 0; round < 500; round++) {
        const char *line_end = g_test_rand_bit() ? "\n" : "\r\n";
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        for (int i = g_test_rand_int_range(0, 6); i > 0; i--) {
            g_ptr_array_add(names, random_piece(text, names->len, line_end));
        }
        for (int i = g_test_rand_int_range(0, 4); i > 0; i--) {
            g_string_append_printf(text, "%s%s", i % 2 ? "" : "# end", line_end);
        }
        g_autofree char *changed = add(text->str, &added);
        g_assert_true(g_str_has_prefix(changed, text->str));
        g_autofree char *back = remove_named(changed, "added");
        g_assert_cmpstr(back, ==, text->str);
        /* Each other section goes alone, and all of them one after another leave the added one. */
        for (unsigned i = 0; i < names->len; i++) {
            char *shorter = remove_named(changed, g_ptr_array_index(names, i));
            g_assert_cmpuint(strlen(shorter), <, strlen(changed));
            g_free(changed);
            changed = shorter;
        }
        g_assert_nonnull(strstr(changed, "[added]"));
    }
}

static void test_names(void)
{
    static const struct {
        const char *url, *name;
    } cases[] = {
        {"https://github.com/me/app", "app"},
        {"https://github.com/me/app.git", "app"},
        {"https://github.com/me/app.git/", "app"},
        {"https://github.com/me/app//", "app"},
        {"git@host:me/app.git", "app"},
        {"host:app", "app"},
        {"/srv/git/app.git", "app"},
        {"/srv/app/.git", "app"},
        {"file:///srv/a b", "a b"},
        {"", ""},
        {"/", ""},
        {".git", ""},
        {"app", "app"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = edit_name_from_url(cases[i].url);
        g_assert_cmpstr(name, ==, cases[i].name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_edit/add__any_file__appends_and_keeps_the_rest", test_add);
    g_test_add_func("/config_edit/line_ends__crlf__stay_crlf", test_line_ends);
    g_test_add_func("/config_edit/add__O11_broken_file_or_bad_name__is_refused", test_add_refused);
    g_test_add_func("/config_edit/remove__every_spelling__takes_the_section_only", test_remove);
    g_test_add_func("/config_edit/remove__absent_or_in_pieces__is_refused", test_remove_refused);
    g_test_add_func("/config_edit/remove__long_file__is_linear", test_many_comments);
    g_test_add_func("/config_edit/add_and_remove__random_files__is_identity",
                    test_add_remove_identity);
    g_test_add_func("/config_edit/name__from_urls__is_the_last_component", test_names);
    return g_test_run();
}
