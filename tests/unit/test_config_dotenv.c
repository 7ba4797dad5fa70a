/* .env files: what is read, what is refused and where, and that no message tells a value. */
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/dotenv.h"
#include "private_file_fixture.h"

/* "KEY=[value]" for each entry, or the diagnostics, each with a newline. */
static char *read_bytes(const char *bytes, size_t length)
{
    struct diagnostics *diagnostics = diagnostics_new();
    GPtrArray *entries = dotenv_parse(bytes, length, ".env", diagnostics);
    GString *text = g_string_new(NULL);
    g_assert_true((entries == NULL) == diagnostics_any(diagnostics));
    for (unsigned i = 0; entries && i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        g_string_append_printf(text, "%s=[%s]\n", entry->key, entry->value);
    }
    if (entries) {
        g_ptr_array_unref(entries);
    } else {
        g_autofree char *messages = diagnostics_format(diagnostics);
        g_string_append(text, messages);
    }
    diagnostics_free(diagnostics);
    return g_string_free(text, FALSE);
}

static void assert_read(const char *text, const char *expected)
{
    g_autofree char *found = read_bytes(text, strlen(text));
    g_assert_cmpstr(found, ==, expected);
}

static void parse__lines__give_keys_and_values(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"\n\n  \n\t\n", ""},
        {"# comment\n  # another\n", ""},
        {"A=1", "A=[1]\n"},
        {"A=1\nB=2\n", "A=[1]\nB=[2]\n"},
        {"A=1\nA=2\n", "A=[1]\nA=[2]\n"},
        {"A=\nB= \nC", ".env:3:2: expected \"=\" after the key, as in KEY=value\n"},
        {"A=\nB= \n", "A=[]\nB=[]\n"},
        {"  A \t=\t  x y \t\n", "A=[x y]\n"},
        {"export A=1\n\texport\tB=2\n", "A=[1]\nB=[2]\n"},
        {"export=1\nexport =2\nexported=3\n", "export=[1]\nexport=[2]\nexported=[3]\n"},
        {"a_1.b-c=x\n", "a_1.b-c=[x]\n"},
        /* comments after values */
        {"A=x # y\nB=x#y\nC= # y\nD=#y\nE=x\t#\n", "A=[x]\nB=[x#y]\nC=[]\nD=[#y]\nE=[x]\n"},
        {"A='x'# y\nB=\"x\" # y\n", "A=[x]\nB=[x]\n"},
        /* what is plain text without quotes */
        {"A=a\"b\"'c'\\n$HOME${X}`id`=\n", "A=[a\"b\"'c'\\n$HOME${X}`id`=]\n"},
        /* quotes */
        {"A=''\nB=\"\"\n", "A=[]\nB=[]\n"},
        {"A=' x # \"y\" \\n $HOME '\n", "A=[ x # \"y\" \\n $HOME ]\n"},
        {"A=\" x # 'y' $HOME \"\n", "A=[ x # 'y' $HOME ]\n"},
        {"A=\"\\n\\r\\t\\\\\\\"\\$\"\n", "A=[\n\r\t\\\"$]\n"},
        {"A=\"\\a\\'\\x41\\\n\"\n", "A=[\\a\\'\\x41\\\n]\n"},
        {"A=\"one\ntwo\n\"\nB='three\n# four'\nC=5\n",
         "A=[one\ntwo\n]\nB=[three\n# four]\nC=[5]\n"},
        /* line ends */
        {"A=1\r\nB='x'\r\n\r\n# c\r\nC=2 # c\r\nD=3\r", "A=[1]\nB=[x]\nC=[2]\nD=[3]\n"},
        {"A=\"one\r\ntwo\"\r\n", "A=[one\ntwo]\n"},
        {"A=x\ry\n", "A=[x\ry]\n"},
        {"\xef\xbb\xbf"
         "A=1\n",
         "A=[1]\n"},
        {"A=\xc3\xa4\xf0\x9f\x98\x80\xff\n", "A=[\xc3\xa4\xf0\x9f\x98\x80\xff]\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_read(cases[i].text, cases[i].expected);
    }
}

static void parse__mistakes__have_line_and_column_and_quote_nothing(void)
{
    static const char open_double[] = "the quote that opens here is never closed; expected another "
                                      "\" at the end of the value\n";
    static const char open_single[] = "the quote that opens here is never closed; expected another "
                                      "' at the end of the value\n";
    static const char no_key[] = "expected a key: a letter or \"_\", as in KEY=value\n";
    static const char no_equals[] = "expected \"=\" after the key, as in KEY=value\n";
    static const char rest[] = "unexpected text after the closing quote; expected the end of the "
                               "line or a comment\n";
    static const struct {
        const char *text, *where, *message;
    } cases[] = {
        {"canary", ".env:1:7: ", no_equals},
        {"https://canary/\n", ".env:1:6: ", no_equals},
        {"A: canary\n", ".env:1:2: ", no_equals},
        {"A B=canary\n", ".env:1:3: ", no_equals},
        {"export canary\n", ".env:1:14: ", no_equals},
        {"\xc3\xa4=canary\n", ".env:1:1: ", no_key},
        {"=canary\n", ".env:1:1: ", no_key},
        {"\n 1A=canary\n", ".env:2:2: ", no_key},
        {"'A'=canary\n", ".env:1:1: ", no_key},
        {"A=1\nB= \"canary\nC=2\n", ".env:2:4: ", open_double},
        {"A='canary\n", ".env:1:3: ", open_single},
        {"A=\"canary\\\"\n", ".env:1:3: ", open_double},
        {"A=\"canary\\", ".env:1:3: ", open_double},
        {"A='x'canary\n", ".env:1:6: ", rest},
        {"A='\xc3\xa4\xc3\xb6' canary\n", ".env:1:8: ", rest},
        {"A='1\n2\n\xc3\xa4' canary\n", ".env:3:4: ", rest},
        {"\xef\xbb\xbf"
         "A canary\n",
         ".env:1:3: ", no_equals},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *expected = g_strconcat(cases[i].where, cases[i].message, NULL);
        assert_read(cases[i].text, expected);
    }
    assert_read("=1\nA=2\nB\nC='x\n",
                ".env:1:1: expected a key: a letter or \"_\", as in KEY=value\n"
                ".env:3:2: expected \"=\" after the key, as in KEY=value\n"
                ".env:4:3: the quote that opens here is never closed; expected another ' at the "
                "end of the value\n");
}

static void parse__nul__is_refused_where_it_stands(void)
{
    g_autofree char *found = read_bytes("A=1\nB=can\0ary\n", 14);
    g_assert_cmpstr(found, ==, ".env:2:6: a NUL character does not belong in a text file\n");
}

static void parse__positions__are_those_of_key_and_value(void)
{
    static const char text[] = "\n  export  A = 'x\ny'\nB=\n";
    struct diagnostics *diagnostics = diagnostics_new();
    GPtrArray *entries = dotenv_parse(text, strlen(text), ".env", diagnostics);
    g_assert_cmpuint(entries->len, ==, 2);
    const struct dotenv_entry *first = g_ptr_array_index(entries, 0);
    const struct dotenv_entry *second = g_ptr_array_index(entries, 1);
    g_assert_cmpuint(first->line, ==, 2);
    g_assert_cmpuint(first->key_column, ==, 11);
    g_assert_cmpuint(first->value_column, ==, 15);
    g_assert_cmpuint(second->line, ==, 4);
    g_assert_cmpuint(second->key_column, ==, 1);
    g_assert_cmpuint(second->value_column, ==, 3);
    g_ptr_array_unref(entries);
    diagnostics_free(diagnostics);
}

static void parse__limit_of_size__is_exact(void)
{
    g_autofree char *text = g_strnfill(DOTENV_MAX_BYTES + 1, 'x');
    memcpy(text, "A=", 2);
    g_autofree char *refused = read_bytes(text, DOTENV_MAX_BYTES + 1);
    g_assert_cmpstr(refused, ==, ".env: is larger than 65536 bytes\n");
    g_autofree char *read = read_bytes(text, DOTENV_MAX_BYTES);
    g_assert_cmpuint(strlen(read), ==, strlen("A=[]\n") + DOTENV_MAX_BYTES - 2);
}

/* ------------------------------------------------------------------ as files */

/* "" when it was loaded, else the diagnostics with the file's path as "PATH". */
static char *load(const struct site *site, enum dotenv_access access)
{
    struct diagnostics *diagnostics = diagnostics_new();
    bool absent = true;
    GPtrArray *entries = dotenv_load(site->path, access, &absent, diagnostics);
    g_autofree char *text = diagnostics_format(diagnostics);
    g_auto(GStrv) parts = g_strsplit(text, site->path, -1);
    g_assert_true((entries != NULL) == (*text == '\0'));
    g_assert_false(absent);
    if (entries) {
        g_assert_cmpuint(entries->len, ==, 1);
        g_ptr_array_unref(entries);
    }
    diagnostics_free(diagnostics);
    return g_strjoinv("PATH", parts);
}

static void load__modes__only_the_owner_may_read(void)
{
    static const struct {
        enum dotenv_access access;
        mode_t mode;
        const char *expected;
    } cases[] = {
        {DOTENV_PRIVATE, 0600, ""},
        {DOTENV_PRIVATE, 0400, ""},
        {DOTENV_PRIVATE, 0700, ""},
        {DOTENV_PRIVATE, 0640,
         "PATH: holds secrets and may be read by others (mode 640); mend it "
         "with: chmod 600 'PATH'\n"},
        {DOTENV_PRIVATE, 0604,
         "PATH: holds secrets and may be read by others (mode 604); mend it "
         "with: chmod 600 'PATH'\n"},
        {DOTENV_PRIVATE, 0666,
         "PATH: holds secrets and may be read by others (mode 666); mend it "
         "with: chmod 600 'PATH'\n"},
        {DOTENV_PRIVATE, 0620,
         "PATH: holds secrets and may be written or run by others (mode "
         "620); mend it with: chmod 600 'PATH'\n"},
        {DOTENV_PRIVATE, 0601,
         "PATH: holds secrets and may be written or run by others (mode "
         "601); mend it with: chmod 600 'PATH'\n"},
        /* the mask of the ACL that systemd gives to the user of the service */
        {DOTENV_CREDENTIAL, 0440, ""},
        {DOTENV_CREDENTIAL, 0400, ""},
        {DOTENV_CREDENTIAL, 0444,
         "PATH: holds secrets and may be read by others (mode 444); mend "
         "it with: chmod 600 'PATH'\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct site site = make_site("A=canary\n", cases[i].mode);
        g_autofree char *found = load(&site, cases[i].access);
        g_assert_cmpstr(found, ==, cases[i].expected);
        remove_site(&site);
    }
}

static void load__another_owner__is_refused(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can give a file away");
        return;
    }
    struct site site = make_site("A=1\n", 0600);
    g_assert_cmpint(chown(site.path, 12345, (gid_t)-1), ==, 0);
    g_autofree char *found = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(found, ==,
                    "PATH: belongs to user 12345, neither to the user who runs this (0) nor to "
                    "root; mend it with: chown 0 'PATH'\n");
    remove_site(&site);
}

static void load__no_regular_file__is_refused_without_waiting(void)
{
    struct site site = make_site(NULL, 0);
    g_assert_cmpint(mkfifo(site.path, 0600), ==, 0);
    g_autofree char *fifo = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(fifo, ==, "PATH: is not a regular file\n");
    g_assert_cmpint(unlink(site.path), ==, 0);
    g_assert_cmpint(mkdir(site.path, 0700), ==, 0);
    g_autofree char *directory = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(directory, ==, "PATH: is not a regular file\n");
    remove_site(&site);
}

static void load__links__are_followed_and_the_file_is_judged(void)
{
    struct site site = make_site(NULL, 0);
    g_autofree char *target = g_build_filename(site.directory, "target", NULL);
    g_assert_cmpint(symlink("target", site.path), ==, 0);
    g_autofree char *dangling = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(dangling, ==, "PATH: cannot be read: No such file or directory\n");
    g_assert_true(g_file_set_contents(target, "A=1\n", -1, NULL));
    g_assert_cmpint(chmod(target, 0644), ==, 0);
    g_autofree char *open_to_all = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(open_to_all, ==,
                    "PATH: holds secrets and may be read by others (mode 644); mend it with: "
                    "chmod 600 'PATH'\n");
    g_assert_cmpint(chmod(target, 0600), ==, 0);
    g_autofree char *good = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(good, ==, "");
    remove_site(&site);
}

static void load__nothing_there__is_absent(void)
{
    struct site site = make_site(NULL, 0);
    struct diagnostics *diagnostics = diagnostics_new();
    bool absent = false;
    g_assert_null(dotenv_load(site.path, DOTENV_PRIVATE, &absent, diagnostics));
    g_assert_true(absent);
    g_assert_null(dotenv_load(site.path, DOTENV_PRIVATE, NULL, diagnostics));
    g_assert_false(diagnostics_any(diagnostics));
    diagnostics_free(diagnostics);
    remove_site(&site);
}

static void load__larger_than_the_limit__is_refused(void)
{
    g_autofree char *text = g_strnfill(DOTENV_MAX_BYTES + 1, '\n');
    memcpy(text, "A=1", 3);
    struct site site = make_site(text, 0600);
    g_autofree char *found = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(found, ==, "PATH: is larger than 65536 bytes\n");
    g_assert_cmpint(truncate(site.path, DOTENV_MAX_BYTES), ==, 0);
    g_autofree char *good = load(&site, DOTENV_PRIVATE);
    g_assert_cmpstr(good, ==, "");
    remove_site(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dotenv/parse__lines__give_keys_and_values",
                    parse__lines__give_keys_and_values);
    g_test_add_func("/dotenv/parse__mistakes__have_line_and_column_and_quote_nothing",
                    parse__mistakes__have_line_and_column_and_quote_nothing);
    g_test_add_func("/dotenv/parse__nul__is_refused_where_it_stands",
                    parse__nul__is_refused_where_it_stands);
    g_test_add_func("/dotenv/parse__positions__are_those_of_key_and_value",
                    parse__positions__are_those_of_key_and_value);
    g_test_add_func("/dotenv/parse__limit_of_size__is_exact", parse__limit_of_size__is_exact);
    g_test_add_func("/dotenv/load__modes__only_the_owner_may_read",
                    load__modes__only_the_owner_may_read);
    g_test_add_func("/dotenv/load__another_owner__is_refused", load__another_owner__is_refused);
    g_test_add_func("/dotenv/load__no_regular_file__is_refused_without_waiting",
                    load__no_regular_file__is_refused_without_waiting);
    g_test_add_func("/dotenv/load__links__are_followed_and_the_file_is_judged",
                    load__links__are_followed_and_the_file_is_judged);
    g_test_add_func("/dotenv/load__nothing_there__is_absent", load__nothing_there__is_absent);
    g_test_add_func("/dotenv/load__larger_than_the_limit__is_refused",
                    load__larger_than_the_limit__is_refused);
    return g_test_run();
}
