#include "git_fixture.h"

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "git/look.h"

static GHashTable *look(const char *url, const char *const *patterns, GError **error)
{
    struct git_remote remote = {.url = url};
    return git_look_now(&remote, patterns, 20000, error);
}

static void assert_branches(const char *url, const char *const *patterns, const char *expected)
{
    GError *error = NULL;
    GHashTable *branches = look(url, patterns, &error);
    g_assert_no_error(error);
    GList *names = g_list_sort(g_hash_table_get_keys(branches), (GCompareFunc)strcmp);
    GString *joined = g_string_new(NULL);
    for (GList *name = names; name; name = name->next)
        g_string_append_printf(joined, "%s ", (const char *)name->data);
    g_assert_cmpstr(joined->str, ==, expected);
    g_string_free(joined, TRUE);
    g_list_free(names);
    g_hash_table_unref(branches);
}

static void test_real_repository(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_branches(fixture.url, NULL, "");
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.source,
              "git branch release/1; git branch release/1.2/x; git branch 'x;touch${IFS}y';"
              "git branch ä;"
              "git branch x/refs/heads/main; git branch maintenance; git tag v1; git tag main-tag;"
              "git update-ref refs/heads/-x HEAD; git update-ref refs/other/main HEAD"));
    GError *error = NULL;
    static const char *const main_only[] = {"main", NULL};
    static const char *const several[] = {"main", "release/*", "none", NULL};
    static const char *const bracket[] = {"rel[e]ase/?", NULL};
    static const char *const all[] = {"", NULL};
    GHashTable *branches = look(fixture.url, main_only, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(branches), ==, 1);
    g_assert_cmpstr(g_hash_table_lookup(branches, "main"), ==, sha);
    g_hash_table_unref(branches);
    assert_branches(fixture.url, several, "main release/1 release/1.2/x ");
    assert_branches(fixture.url, bracket, "release/1 ");
    assert_branches(fixture.url, all,
                    "-x main maintenance release/1 release/1.2/x "
                    "x/refs/heads/main x;touch${IFS}y ä ");
    assert_branches(fixture.source, main_only, "main ");
    fixture_clear(&fixture);
}

static void test_failures(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *missing = g_strconcat("file://", fixture.root, "/missing", NULL);
    GError *error = NULL;
    g_assert_null(look(missing, NULL, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "missing");
    g_clear_error(&error);
    g_assert_null(look("ext::sh -c touch% x", NULL, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    fixture_clear(&fixture);
}

/* DEMAND S4: only the address's own protocol, whatever the user's configuration says. */
static void test_protocols(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *canary = path_in(fixture.root, "canary");
    g_free(sh(fixture.root,
              "git config --global protocol.ext.allow always;"
              "git config --global protocol.allow always;"
              "git config --global url.'ext::touch %s '.insteadOf https://rewritten.invalid/",
              canary));
    GError *error = NULL;
    g_assert_null(look("https://rewritten.invalid/x", NULL, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "insteadOf");
    g_clear_error(&error);
    g_assert_false(exists(fixture.root, "canary"));
    fixture_clear(&fixture);
}

static void assert_fake(const char *script, int code, const char *part, unsigned count)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char *old = fake_program(&fixture, "git", script);
    struct git_remote remote = {.url = "https://h/x"};
    GError *error = NULL;
    GHashTable *branches = git_look_now(&remote, NULL, 3000, &error);
    if (code < 0) {
        g_assert_no_error(error);
        g_assert_cmpuint(g_hash_table_size(branches), ==, count);
        g_hash_table_unref(branches);
    } else {
        g_assert_null(branches);
        assert_error_code(error, code);
        assert_contains(error->message, part);
        g_clear_error(&error);
    }
    restore_path(old);
    fixture_clear(&fixture);
}

#define ID "1234567890123456789012345678901234567890"

/* A failed look is never "no branches". */
static void test_odd_answers(void)
{
    assert_fake("exit 0", -1, "", 0);
    assert_fake("printf '" ID "\\trefs/heads/main\\n'", -1, "", 1);
    assert_fake("printf '" ID "\\trefs/heads/main\\n'; exit 1", ERROR_REMOTE, "exit 1", 0);
    assert_fake("printf '" ID "\\trefs/heads/ma'", ERROR_REMOTE, "too early", 0);
    assert_fake("printf 'garbage\\n'", ERROR_REMOTE, "no list", 0);
    assert_fake("printf '" ID "\\trefs/heads/main\\n'; kill -9 $$", ERROR_REMOTE, "SIGKILL", 0);
    assert_fake("echo 'fatal: x' >&2; exit 128", ERROR_REMOTE, "fatal: x", 0);
    /* a line without end takes no memory, and one of that length is nobody's branch */
    assert_fake("printf '" ID "\\trefs/heads/'; head -c 9000 /dev/zero | tr '\\0' x; echo; "
                "printf '" ID "\\trefs/heads/main\\n'",
                -1, "", 1);
    assert_fake("head -c 50000 /dev/zero | tr '\\0' x", ERROR_REMOTE, "too early", 0);
    /* closes its output and goes on */
    assert_fake("exec >/dev/null 2>&1; exec sleep 1000", ERROR_LIMIT, "time limit", 0);
    /* a background child that holds stderr does not hold the look */
    assert_fake("(sleep 2 >/dev/null) & printf '" ID "\\trefs/heads/main\\n'", -1, "", 1);
}

/* DEMAND A1, A2: no road leaves a process behind. */
static void test_hanging(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *pids = path_in(fixture.root, "pids");
    g_autofree char *script =
        g_strdup_printf("echo asking >&2; sleep 1000 & echo $! >%s.new; mv %s.new %s; sleep 1000",
                        pids, pids, pids);
    char *old = fake_program(&fixture, "git", script);
    struct git_remote remote = {.url = "https://h/x"};
    GError *error = NULL;
    struct git_look *hanging = git_look_start(&remote, NULL, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 500 && !exists(fixture.root, "pids"); i++) {
        int fds[2];
        git_look_fds(hanging, fds);
        struct pollfd items[2] = {{.fd = fds[0], .events = POLLIN},
                                  {.fd = fds[1], .events = POLLIN}};
        poll(items, 1, 20);
        g_assert_true(git_look_read(hanging));
    }
    g_autofree char *child = read_text(fixture.root, "pids");
    git_look_kill(hanging);
    g_assert_null(git_look_finish(hanging, &error));
    assert_error_code(error, ERROR_LIMIT);
    assert_contains(error->message, "asking");
    g_clear_error(&error);
    git_look_free(hanging);
    /* the child is the init's to reap now; it is dead or about to be */
    bool gone = false;
    for (int i = 0; i < 500 && !gone; i++) {
        g_autofree char *stat = g_strdup_printf("/proc/%d/stat", atoi(child));
        g_autofree char *text = NULL;
        gone = !g_file_get_contents(stat, &text, NULL, NULL) || strstr(text, ") Z ") != NULL;
        if (!gone)
            poll(NULL, 0, 10);
    }
    g_assert_true(gone);
    /* freed under way, and finished too early */
    git_look_free(git_look_start(&remote, NULL, NULL));
    struct git_look *early = git_look_start(&remote, NULL, NULL);
    g_assert_null(git_look_finish(early, &error));
    assert_error_code(error, ERROR_LIMIT);
    g_clear_error(&error);
    g_assert_null(git_look_finish(early, &error));
    assert_error_code(error, ERROR_SYSTEM);
    g_clear_error(&error);
    git_look_free(early);
    git_look_free(NULL);
    restore_path(old);
    fixture_clear(&fixture);
}

static void test_lines(void)
{
    static const struct {
        const char *line;
        const char *branch;
    } cases[] = {
        {ID "\trefs/heads/main", "main"},
        {ID "\trefs/heads/feature/x", "feature/x"},
        {ID ID "\trefs/heads/main", NULL},
        {"1234567890123456789012345678901234567890123456789012345678901234\trefs/heads/main",
         "main"},
        {"0000000000000000000000000000000000000000\trefs/heads/main", NULL},
        {ID " refs/heads/main", NULL},
        {ID "\trefs/heads/", NULL},
        {ID "\trefs/tags/v1", NULL},
        {ID "\tHEAD", NULL},
        {ID "\trefs/heads/-x", "-x"},
        {ID "\trefs/heads/a..b", NULL},
        {ID "\trefs/heads/a\tb", NULL},
        {"ABCDEF7890123456789012345678901234567890\trefs/heads/main", NULL},
        {"\trefs/heads/main", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *id = NULL, *branch = NULL;
        bool ok = git_look_parse_line(cases[i].line, strlen(cases[i].line), &id, &branch);
        g_assert_cmpint(ok, ==, cases[i].branch != NULL);
        g_assert_cmpstr(branch, ==, cases[i].branch);
        g_assert_cmpint(id != NULL, ==, ok);
        g_free(id);
        g_free(branch);
    }
    char *id, *branch;
    static const char with_nul[] = ID "\trefs/heads/a\0b";
    g_assert_false(git_look_parse_line(with_nul, sizeof with_nul - 1, &id, &branch));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_look/branches__real_repository__are_exactly_those_asked_for",
                    test_real_repository);
    g_test_add_func("/git_look/remote__missing__is_an_error", test_failures);
    g_test_add_func("/git_look/protocol__S4_ext_in_users_configuration__does_not_run",
                    test_protocols);
    g_test_add_func("/git_look/answer__odd_or_torn__is_never_no_branches", test_odd_answers);
    g_test_add_func("/git_look/git__A1_A2_hangs__is_killed_with_its_children", test_hanging);
    g_test_add_func("/git_look/line__forms__are_taken_or_refused", test_lines);
    return g_test_run();
}
