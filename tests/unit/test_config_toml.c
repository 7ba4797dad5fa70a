#include "config/toml.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "config/toml_scan.h"

static struct toml_value *parse_good(const char *text)
{
    struct toml_error error = {0, 0, ""};
    struct toml_value *root = toml_parse(text, strlen(text), &error);
    g_assert_cmpstr(error.message, ==, "");
    g_assert_nonnull(root);
    return root;
}

static void test_tree(void)
{
    struct toml_value *root =
        parse_good("n = 7\nf = 1.5\nb = true\nd = 1979-05-27\n"
                   "[app]\npath = \"x\\ty\"\n  list = ['a', 2]\n[app.\"e f\"]\n");
    const struct toml_value *app = toml_find(root, "app");
    const struct toml_value *list = toml_find(app, "list");
    const struct toml_value *sub = toml_find(app, "e f");
    g_assert_cmpint(toml_find(root, "n")->as.integer, ==, 7);
    g_assert_cmpint(toml_find(root, "f")->type, ==, TOML_FLOAT);
    g_assert_true(toml_find(root, "b")->as.boolean);
    g_assert_cmpint(toml_find(root, "d")->type, ==, TOML_DATE);
    g_assert_cmpstr(toml_find(app, "path")->as.string.bytes, ==, "x\ty");
    g_assert_cmpint(list->as.children.items[1]->as.integer, ==, 2);
    g_assert_null(toml_find(app, "absent"));
    g_assert_cmpuint(app->key_line, ==, 5);
    g_assert_cmpuint(app->key_column, ==, 2);
    g_assert_cmpuint(list->key_line, ==, 7);
    g_assert_cmpuint(list->key_column, ==, 3);
    g_assert_cmpuint(list->as.children.items[1]->column, ==, 16);
    g_assert_cmpuint(sub->key_line, ==, 8);
    toml_free(root);
}

static void test_order(void)
{
    struct toml_value *root = parse_good("[zebra]\n[ape]\n[10]\n[2]\n");
    const char *const expected[] = {"zebra", "ape", "10", "2"};
    g_assert_cmpuint(root->as.children.count, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpstr(root->as.children.items[i]->key, ==, expected[i]);
    }
    toml_free(root);
}

static void test_nul_key(void)
{
    struct toml_value *root = parse_good("\"path\\u0000x\" = 1\n");
    g_assert_null(toml_find(root, "path"));
    g_assert_cmpuint(root->as.children.items[0]->key_length, ==, 6);
    toml_free(root);
}

static void assert_error(const char *bytes, size_t length, unsigned line, unsigned column,
                         const char *part)
{
    struct toml_error error = {0, 0, ""};
    g_autofree char *copy = g_memdup2(bytes, length);
    g_assert_null(toml_parse(copy, length, &error));
    g_assert_nonnull(strstr(error.message, part));
    g_assert_cmpuint(error.line, ==, line);
    g_assert_cmpuint(error.column, ==, column);
}

static void test_syntax_errors(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *part;
    } cases[] = {
        {"[app]\npath = x\n", 2, 8, "value"},
        {"[app\n", 1, 5, "table header"},
        {"[a]\n[b]\n[a]\n", 3, 1, "cannot redefine"},
        {"a = 1\nb = 2\na = 3\n", 3, 5, "cannot redefine"},
        {"a = \"x\n", 1, 7, "string"},
        {"[a]\r\nb = \"\xc3\xa9\" c\r\n", 2, 9, ""},
        {"= 1\n", 1, 1, ""},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_error(cases[i].text, strlen(cases[i].text), cases[i].line, cases[i].column,
                     cases[i].part);
    }
}

static void test_bytes_that_are_no_text(void)
{
    assert_error("a = 1\nb = \"\xc3\xa9\xff\"\n", 14, 2, 7, "the byte 0xFF is not UTF-8");
    assert_error("# \xc3", 3, 1, 3, "the byte 0xC3 is not UTF-8");
    assert_error("a = 1\n\0", 7, 2, 1, "a NUL character");
    assert_error("\xff\xfe[\0a\0]\0", 8, 1, 1, "the byte 0xFF");
}

/* A key of 100,000 parts made toml++ exhaust the stack; values of any depth are its own limit. */
static char *repeat(const char *before, const char *unit, unsigned count, const char *behind)
{
    GString *text = g_string_new(before);
    for (unsigned i = 0; i < count; i++) {
        g_string_append(text, unit);
    }
    g_string_append(text, behind);
    return g_string_free(text, FALSE);
}

static void test_depth(void)
{
    g_autofree char *header = repeat("[a", ".a", 100000, "]\n");
    g_autofree char *spaced = repeat("\"x\" = '.'\na", " \t. \"b.c\"", 16, " = 1\n");
    g_autofree char *nested = repeat("a = ", "[", 100000, "\n");
    g_autofree char *tables = repeat("a = ", "{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = ", 5000, "\n");
    assert_error(header, strlen(header), 1, 33, "more than 16 parts");
    assert_error(spaced, strlen(spaced), 2, 139, "more than 16 parts");
    assert_error(nested, strlen(nested), 1, 261, "nested value depth");
    struct toml_error error;
    g_assert_null(toml_parse(tables, strlen(tables), &error));
}

static void test_depth_allowed(void)
{
    g_autofree char *allowed = repeat("a = ", "[", 63,
                                      "1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                                      "]]]]]]]]]]]]]]]]]]]]]]]]\n");
    toml_free(parse_good(allowed));
    /* As deep as the limits of the parser allow: too deep for us. */
    g_autofree char *open = repeat("a = ", "{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = ", 255, "1");
    g_autofree char *text = repeat(open, "}", 255, "\n");
    assert_error(text, strlen(text), 0, 0, "nested too deeply");
    /* Dots in strings and comments are none of keys. */
    static const char *const fine[] = {
        "a = \"................................\"\n",
        "a = '................................'\n",
        "a = \"\"\"\n................................\\\"\"\"...................\"\"\"\n",
        "a = '''\n................................''.................'''\n",
        "# ................................\na = 1\n",
        "a = [1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5]\n",
        "a = \"\"\"x\"\"\"\"\"\nb = '................................'\n",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p = 1\n",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(fine); i++) {
        toml_free(parse_good(fine[i]));
    }
}

/* toml++ asserts that a name follows the bracket. */
static void test_headers(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } cases[] = {{"[#]\n", 1, 2},
                 {"[\n]\n", 1, 2},
                 {"a = [1, {b = 2}]\n [[ =]]\n", 2, 5},
                 {"\xef\xbb\xbf[,]\n", 1, 2},
                 {"[[[a]]]\n", 1, 3},
                 {"a = '['\n[.a]\n", 2, 2},
                 {"a = [\n1\n]\n[?]\n", 4, 2}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_error(cases[i].text, strlen(cases[i].text), cases[i].line, cases[i].column,
                     "header of a table needs a name");
    }
    /* Beyond ASCII there are strings and comments only; toml++ is not defined for some of the rest.
     */
    assert_error("a = [\n1\n]\n[\xc3\xa9]\n", 14, 4, 2, "'\xc3\xa9' needs quotes");
    assert_error("a =\xc2\xa0 1\n", 8, 1, 4, "needs quotes");
    toml_free(parse_good("\"\xc3\xa9\" = '\xc3\xa9' # \xc3\xa9\n['\xe2\x82\xac'.\"\xc3\xa9\"]\n"));
    assert_error("[]\n", 3, 1, 2, "blank bare keys");
    assert_error("[a.#]\n", 6, 1, 4, "expected bare key");
    toml_free(
        parse_good("a = [\n[1], # [#\n  [[\n]] ]\n[ b ]\n[[ 'c' ]]\n[ \"d\" . e ]\nf = [[ ]]\n"));
}

/* toml++ asserts that a value begins there. */
static void test_brace_for_value(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } cases[] = {{"a = [}\n", 1, 6},
                 {"a = [ 1, # x\n } ]\n", 2, 2},
                 {"a = [{b = 1}, }]\n", 1, 15},
                 {"a = {b = ['}', }]}\n", 1, 16},
                 {"a = {b = [[1], [}]]}\n", 1, 17}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_error(cases[i].text, strlen(cases[i].text), cases[i].line, cases[i].column,
                     "a '}' where a value");
    }
    toml_free(parse_good("a = [{b = [1, 2, ]}, {}, ]\nb = [ '}', \"}\" ] # [}\nc = {d = [[]]}\n"));
    /* Elsewhere the parser has better words. */
    assert_error("a = {b = 1, }\n", 14, 1, 13, "dangling comma");
}

static void test_equal(void)
{
    static const char *const texts[] = {
        "a = 1\n",     "a = 2\n",     "b = 1\n",      "a = 1\nb = 1\n", "a = 1.0\n",
        "a = \"1\"\n", "a = \"\"\n",  "a = [1]\n",    "a = [1, [2]]\n", "a = [1, [3]]\n",
        "a = true\n",  "a = false\n", "[a]\nb.c=1\n", "[a]\nb.c=2\n",   "[a]\nb.d=1\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(texts); j++) {
            struct toml_value *left = parse_good(texts[i]);
            struct toml_value *right = parse_good(texts[j]);
            g_assert_cmpint(toml_equal(left, right), ==, i == j);
            toml_free(left);
            toml_free(right);
        }
    }
    struct toml_value *left = parse_good("[a]\nb = {c = 'x'}\n");
    struct toml_value *right = parse_good("# moved\n\na.b.c = \"x\"\n");
    g_assert_true(toml_equal(left, right));
    toml_free(left);
    toml_free(right);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_toml/tree__all_types__has_values_and_positions", test_tree);
    g_test_add_func("/config_toml/tree__tables__keep_the_order_of_the_file", test_order);
    g_test_add_func("/config_toml/key__with_nul__equals_no_other", test_nul_key);
    g_test_add_func("/config_toml/error__bad_syntax__has_line_and_column", test_syntax_errors);
    g_test_add_func("/config_toml/error__no_utf8_or_nul__names_the_byte",
                    test_bytes_that_are_no_text);
    g_test_add_func("/config_toml/depth__beyond_the_limits__is_refused", test_depth);
    g_test_add_func("/config_toml/depth__within_the_limits__is_parsed", test_depth_allowed);
    g_test_add_func("/config_toml/header__without_name__is_refused", test_headers);
    g_test_add_func("/config_toml/array__brace_for_a_value__is_refused", test_brace_for_value);
    g_test_add_func("/config_toml/equal__pairs__compares_keys_and_values", test_equal);
    return g_test_run();
}
