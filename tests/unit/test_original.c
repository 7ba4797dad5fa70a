/* The files of the original phantom_ci: its Repo.toml as ours, its database as tips. */
#include <sqlite3.h>

#include "config/original.h"
#include "config_fixture.h"
#include "store/original.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* What the original wrote into a new file. */
static const char default_block[] =
    "\n## Example repo configuration\n##[sys-compare]\n"
    "##path = \"git@github.com:helloimalemur/sys-compare\"\n"
    "##target_branch = \"main\"  # Optional; if omitted, PhantomCI will use the remote's default "
    "branch\n##ssh_key_path = \"/home/youruser/.ssh/id_ed25519\"  # Optional: specify a custom SSH "
    "key\n\n";

static const char *branch_of(const char *path, void *data)
{
    (void)data;
    return strcmp(path, "https://h/known") == 0 ? "trunk" : NULL;
}

static struct original *convert(const char *text)
{
    g_autoptr(GError) error = NULL;
    /* A copy of exactly this length, so that a read behind it is caught. */
    g_autofree char *copy = g_memdup2(text, strlen(text));
    struct original *original =
        original_convert("Repo.toml", copy, strlen(text), branch_of, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(original);
    g_autofree char *found = diagnose("Repo.toml", original->text);
    g_assert_cmpstr(found, ==, "");
    return original;
}

static char *all_notes(const struct original *original)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < original->entries->len; i++) {
        const struct original_entry *entry = g_ptr_array_index(original->entries, i);
        for (unsigned k = 0; k < entry->notes->len; k++) {
            g_string_append_printf(out, "%s: %s\n", entry->name,
                                   (char *)g_ptr_array_index(entry->notes, k));
        }
    }
    return g_string_free(out, FALSE);
}

/* The text after conversion, the names of what is used, and a part of the notes. */
static void assert_conversion(const char *text, const char *expected, const char *names,
                              const char *note)
{
    struct original *original = convert(text);
    g_assert_cmpstr(original->text, ==, expected ? expected : text);
    g_assert_cmpint(original->changed, ==, expected != NULL && strcmp(text, expected) != 0);
    g_autoptr(GString) found = g_string_new(NULL);
    for (unsigned i = 0; i < original->entries->len; i++) {
        const struct original_entry *entry = g_ptr_array_index(original->entries, i);
        g_string_append_printf(found, "%s%s%s", found->len ? " " : "", entry->left_out ? "!" : "",
                               entry->name);
    }
    g_assert_cmpstr(found->str, ==, names);
    g_autofree char *notes = all_notes(original);
    if (note && !strstr(notes, note)) {
        g_error("expected \"%s\" in: %s", note, notes);
    }
    original_free(original);
}

static void convert__acceptable_file__keeps_every_byte(void)
{
    static const char two[] = "[a]\npath = \"https://h/a\"\ntarget_branch = \"main\"\n\n"
                              "[b] # mine\npath = 'git@h:x/b.git'\ntarget_branch = 'dev'\n"
                              "branch_exclusions = 'wip/*, old'\npoll_interval = '30s'\n";
    assert_conversion("", NULL, "", NULL);
    assert_conversion(default_block, NULL, "", NULL);
    assert_conversion(two, NULL, "a b", "a: when the remote has no branch \"main\", nothing runs");
    g_autofree char *with_block = g_strconcat(default_block, two, NULL);
    assert_conversion(with_block, NULL, "a b", "b: branch_exclusions are names and globs");
    assert_conversion("[a]\npath='/srv/a'\ntarget_branch = ''\n", NULL, "a", "every branch runs");
}

static void convert__what_its_add_wrote__becomes_valid(void)
{
    assert_conversion("[app]\npath = \"https://h/app\"\ntarget_branch = \"main\"\n"
                      "ssh_key_path = \"\"\n\n",
                      "[app]\npath = \"https://h/app\"\ntarget_branch = \"main\"\n"
                      "# ssh_key_path = \"\"\n\n",
                      "app", NULL);
    assert_conversion("[app.git]\npath = \"git@h:me/app.git\"\ntarget_branch = \"main\"\n"
                      "ssh_key_path = \"\"\n\n[other.git]\npath = \"git@h:me/other.git\"\n"
                      "target_branch = \"main\"\n",
                      "[app]\npath = \"git@h:me/app.git\"\ntarget_branch = \"main\"\n"
                      "# ssh_key_path = \"\"\n\n[other]\npath = \"git@h:me/other.git\"\n"
                      "target_branch = \"main\"\n",
                      "app other", "[app.git] is called app now");
}

static void convert__names_that_clash__are_told_apart(void)
{
    assert_conversion("[tool]\npath='https://h/a/tool'\n[tool]\npath='https://h/b/tool'\n"
                      "[tool-2]\npath='https://h/c/tool'\n[tool]\npath='https://h/d/tool'\n",
                      "[tool]\npath='https://h/a/tool'\n[tool-2]\npath='https://h/b/tool'\n"
                      "[tool-2-2]\npath='https://h/c/tool'\n[tool-3]\npath='https://h/d/tool'\n",
                      "tool tool-2 tool-2-2 tool-3", NULL);
    assert_conversion("[tool]\npath='https://h/a/tool'\n[tool.git]\npath='https://h/b/tool'\n",
                      "[tool]\npath='https://h/a/tool'\n[tool-2]\npath='https://h/b/tool'\n",
                      "tool tool-2", "[tool.git] is called tool-2 now");
    assert_conversion("[\"a/b\"]\npath='/srv/a'\n", "[a-b]\npath='/srv/a'\n", "a-b",
                      "[a/b] is called a-b now");
}

static void convert__no_target_branch__is_the_one_that_ran(void)
{
    assert_conversion("[a]\npath = 'https://h/known' # here\n",
                      "[a]\npath = 'https://h/known' # here\ntarget_branch = \"trunk\"\n", "a",
                      "the one that the original ran, \"trunk\"");
    assert_conversion("[a]\r\npath = 'https://h/known'",
                      "[a]\r\npath = 'https://h/known'\ntarget_branch = \"trunk\"\n", "a", NULL);
    assert_conversion("[a]\npath = 'https://h/other'\n", NULL, "a", "here it is master");
    assert_conversion("[a]\npath = '/srv/a'\ntarget_branch = ' main '\n",
                      "[a]\npath = '/srv/a'\ntarget_branch = \"main\"\n", "a", NULL);
}

static void convert__unknown_keys__become_comments(void)
{
    assert_conversion("[a]\npath='/srv/a'\nbranches = [\n  'x',\n  'y',\n]\n# keep\ntimeout='2h'\n",
                      "[a]\npath='/srv/a'\n# branches = [\n#   'x',\n#   'y',\n# ]\n# keep\n"
                      "timeout='2h'\n",
                      "a", "\"branches\" meant nothing");
}

/* What looks like a section within a string never becomes one. */
static void convert__strings_of_several_lines__are_left_out_as_a_whole(void)
{
    assert_conversion("x = \"\"\"\n[evil]\npath = '/evil'\n\"\"\"\n[a]\npath='/srv/a'\n"
                      "y = '''\n[b]\npath = '/evil'\n'''\n",
                      "# x = \"\"\"\n# [evil]\n# path = '/evil'\n# \"\"\"\n[a]\npath='/srv/a'\n"
                      "# y = '''\n# [b]\n# path = '/evil'\n# '''\n",
                      "a", "\"y\" meant nothing");
}

static void convert__what_is_refused__is_left_out_and_the_rest_stays(void)
{
    assert_conversion("x = 1\n[a]\npath = 'ext::sh -c id'\ntarget_branch='m'\n# about b\n[b]\n"
                      "path='/srv/b'\n",
                      "# x = 1\n# [a]\n# path = 'ext::sh -c id'\n# target_branch='m'\n# about b\n"
                      "[b]\npath='/srv/b'\n",
                      "!a b", "it can't be used, and its lines are comments now");
    assert_conversion("[a]\ntarget_branch='m'\n[b]\npath='/srv/b'\n",
                      "# [a]\n# target_branch='m'\n[b]\npath='/srv/b'\n", "!a b",
                      "has no \"path\"");
    /* A branch that can't be is never replaced by the default one. */
    assert_conversion("[a]\npath='/srv/a'\ntarget_branch='-x'\n",
                      "# [a]\n# path='/srv/a'\n# target_branch='-x'\n", "!a", "target_branch");
    assert_conversion("[a]\npath='/srv/a'\nssh_key_path='keys/ci'\n",
                      "[a]\npath='/srv/a'\n# ssh_key_path='keys/ci'\n", "a",
                      "ssh_key_path can't be used");
}

static void convert__no_toml__is_invalid(void)
{
    static const char *const texts[] = {"[a\n", "[a]\npath = \n", "= 1\n", "[a]\npath='\xff'\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(
            original_convert("Repo.toml", texts[i], strlen(texts[i]), NULL, NULL, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_assert_nonnull(strstr(error->message, "Repo.toml"));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(original_convert("Repo.toml", "[a]\0", 4, NULL, NULL, &error));
    g_assert_true(error_has_code(error, ERROR_INVALID));
}

/* Whatever the text is, the answer is an error or a file that we accept, with its parts in order.
 */
static void convert__mangled_files__give_an_error_or_an_acceptable_file(void)
{
    static const char source[] =
        "x = 1\n[app.git]\npath = \"https://h/app\"\nssh_key_path = \"\"\nold = [1,\n2]\n"
        "[b]\npath = 'git@h:b'\ntarget_branch = \"\"\nbranch_exclusions = \"dev,wip\"\n"
        "[b]\npath = '/srv/b'\nsub = { a = 1 }\n[[c]]\npath = '/c'\n";
    for (unsigned i = 0; i < 4000; i++) {
        g_autofree char *text = g_strdup(source);
        size_t length = strlen(text);
        for (int k = g_test_rand_int_range(0, 4); k > 0; k--) {
            text[g_test_rand_int_range(0, (gint32)length)] =
                "\n[]=\"'.,#{}x \\"[g_test_rand_int_range(0, 13)];
        }
        length = (size_t)g_test_rand_int_range(1, (gint32)length);
        g_autofree char *copy = g_memdup2(text, length);
        g_autoptr(GError) error = NULL;
        struct original *original =
            original_convert("Repo.toml", copy, length, branch_of, NULL, &error);
        g_assert_true((original != NULL) == (error == NULL));
        if (original) {
            g_autofree char *found = diagnose("Repo.toml", original->text);
            g_assert_cmpstr(found, ==, "");
            original_free(original);
        }
    }
}

/* ------------------------------------------------------------------ database */

/* As the original's schema is, in the order of its columns. */
static const char jobs_table[] =
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, status TEXT NOT "
    "NULL, priority INTEGER DEFAULT 0, created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at "
    "DATETIME DEFAULT CURRENT_TIMESTAMP, start_time DATETIME, finish_time DATETIME, error_message "
    "TEXT, result TEXT, sha TEXT, target_branch TEXT);"
    "CREATE TABLE job_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL, "
    "log_message TEXT NOT NULL, logged_at DATETIME DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY(repo) "
    "REFERENCES jobs(repo) ON DELETE CASCADE);";

static char *make_database(const char *schema, const char *rows)
{
    char *directory = make_directory(NULL, NULL);
    g_autofree char *path = g_build_filename(directory, "db.sqlite", NULL);
    sqlite3 *database = NULL;
    char *message = NULL;
    g_assert_cmpint(sqlite3_open(path, &database), ==, SQLITE_OK);
    if (sqlite3_exec(database, schema, NULL, NULL, &message) != SQLITE_OK ||
        sqlite3_exec(database, rows, NULL, NULL, &message) != SQLITE_OK) {
        g_error("%s", message);
    }
    g_assert_cmpint(sqlite3_close(database), ==, SQLITE_OK);
    return directory;
}

static void assert_tips(const char *schema, const char *rows, const char *expected,
                        unsigned expected_ignored)
{
    char *directory = make_database(schema, rows);
    g_autofree char *path = g_build_filename(directory, "db.sqlite", NULL);
    g_autoptr(GError) error = NULL;
    unsigned ignored = 99;
    g_autoptr(GPtrArray) tips = original_tips_load(path, &ignored, &error);
    g_assert_no_error(error);
    g_assert_nonnull(tips);
    g_autoptr(GString) found = g_string_new(NULL);
    for (unsigned i = 0; i < tips->len; i++) {
        const struct original_tip *tip = g_ptr_array_index(tips, i);
        g_string_append_printf(found, "%s %s %.1s;", tip->path, tip->branch ? tip->branch : "-",
                               tip->sha);
    }
    g_assert_cmpstr(found->str, ==, expected);
    g_assert_cmpuint(ignored, ==, expected_ignored);
    remove_directory(directory);
}

#define ROW(repo, branch, sha)                                                                     \
    "INSERT INTO jobs(repo, status, target_branch, sha) VALUES(" repo ", '', " branch ", " sha ")" \
    ";"

static void tips__rows_of_the_original__newest_of_each_branch(void)
{
    assert_tips(jobs_table, "", "", 0);
    assert_tips(jobs_table,
                ROW("'https://h/b'", "'main'", "'" SHA_A "'")
                    ROW("'https://h/a'", "'main'", "'" SHA_A "'")
                        ROW("'https://h/a'", "'dev'", "'" SHA_A "'")
                            ROW("'https://h/a'", "'main'", "'" SHA_B "'"),
                "https://h/a dev a;https://h/a main b;https://h/b main a;", 0);
    /* It wrote an empty text for a commit that it had not seen yet. */
    assert_tips(jobs_table, ROW("'https://h/a'", "'main'", "''") ROW("''", "''", "NULL"), "", 0);
}

static void tips__hostile_rows__are_passed_over(void)
{
    g_autofree char *sql = g_strconcat(
        ROW("'https://h/a'", "'main'", "'test'") ROW("'https://h/a'", "'main'", "x'4141'")
            ROW("'https://h/a'", "'main'", "12") ROW("'https://h/a'", "x'6d61'", "'" SHA_A "'")
                ROW("CAST(x'ff' AS TEXT)", "'main'", "'" SHA_A "'")
                    ROW("'a' || char(0) || 'b'", "'main'", "'" SHA_A "'")
                        ROW("printf('%5000d', 1)", "'main'", "'" SHA_A "'")
                            ROW("'https://h/a'", "''", "'" SHA_A "'"),
        NULL);
    assert_tips(jobs_table, sql, "", 8);
}

static void tips__older_schemas__have_no_branch_or_no_commit(void)
{
    assert_tips("CREATE TABLE jobs (id INTEGER PRIMARY KEY, repo TEXT NOT NULL, status TEXT, sha "
                "TEXT)",
                "INSERT INTO jobs(repo, status, sha) VALUES('https://h/a', '', '" SHA_A "')",
                "https://h/a - a;", 0);
    assert_tips("CREATE TABLE jobs (id INTEGER PRIMARY KEY, description TEXT NOT NULL)",
                "INSERT INTO jobs(description) VALUES('x')", "", 0);
}

static void assert_refused(const char *path, enum error_code code)
{
    g_autoptr(GError) error = NULL;
    unsigned ignored = 0;
    g_assert_null(original_tips_load(path, &ignored, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, path));
    if (!error_has_code(error, code)) {
        g_error("expected code %d: %s", (int)code, error->message);
    }
}

static void tips__other_files__are_refused_and_untouched(void)
{
    static const char *const schemas[] = {
        "CREATE TABLE song(title)",
        "CREATE TABLE t(repo, target_branch, sha); CREATE VIEW jobs AS SELECT * FROM t",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(schemas); i++) {
        char *directory = make_database(schemas[i], "");
        g_autofree char *path = g_build_filename(directory, "db.sqlite", NULL);
        assert_refused(path, ERROR_INVALID);
        remove_directory(directory);
    }
    char *directory = make_directory(NULL, NULL);
    g_autofree char *path = g_build_filename(directory, "db.sqlite", NULL);
    g_autofree char *garbage = g_strnfill(9000, 'x');
    assert_refused(path, ERROR_NOT_FOUND);
    g_assert_true(g_file_set_contents(path, garbage, 9000, NULL));
    assert_refused(path, ERROR_INVALID);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_refused(path, ERROR_INVALID);
    remove_directory(directory);
}

static void tips__truncated_or_flipped__never_give_a_wrong_value(void)
{
    char *directory = make_database(jobs_table, ROW("'https://h/a'", "'main'", "'" SHA_A "'"));
    g_autofree char *path = g_build_filename(directory, "db.sqlite", NULL);
    char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    for (unsigned i = 0; i < 500; i++) {
        g_autofree char *copy = g_memdup2(bytes, length);
        gsize cut = i % 2 ? length : (gsize)g_test_rand_int_range(0, (gint32)length);
        size_t at = (size_t)g_test_rand_int_range(0, (gint32)length);
        copy[at] = (char)(copy[at] ^ (1 << g_test_rand_int_range(0, 8)));
        g_assert_true(g_file_set_contents_full(path, copy, (gssize)cut, G_FILE_SET_CONTENTS_NONE,
                                               0600, NULL));
        g_autoptr(GError) error = NULL;
        unsigned ignored = 0;
        g_autoptr(GPtrArray) tips = original_tips_load(path, &ignored, &error);
        g_assert_true((tips != NULL) == (error == NULL));
        for (unsigned k = 0; tips && k < tips->len; k++) {
            const struct original_tip *tip = g_ptr_array_index(tips, k);
            g_assert_cmpuint(strlen(tip->sha), ==, 40);
            g_assert_true(g_utf8_validate(tip->path, -1, NULL));
        }
    }
    g_free(bytes);
    remove_directory(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/original/" #name, name)
    ADD(convert__acceptable_file__keeps_every_byte);
    ADD(convert__what_its_add_wrote__becomes_valid);
    ADD(convert__names_that_clash__are_told_apart);
    ADD(convert__no_target_branch__is_the_one_that_ran);
    ADD(convert__unknown_keys__become_comments);
    ADD(convert__strings_of_several_lines__are_left_out_as_a_whole);
    ADD(convert__what_is_refused__is_left_out_and_the_rest_stays);
    ADD(convert__no_toml__is_invalid);
    ADD(convert__mangled_files__give_an_error_or_an_acceptable_file);
    ADD(tips__rows_of_the_original__newest_of_each_branch);
    ADD(tips__hostile_rows__are_passed_over);
    ADD(tips__older_schemas__have_no_branch_or_no_commit);
    ADD(tips__other_files__are_refused_and_untouched);
    ADD(tips__truncated_or_flipped__never_give_a_wrong_value);
    return g_test_run();
}
