#include "git_fixture.h"

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "git/look.h"

static const char *const every_branch[] = {"refs/heads/*", NULL};

static GHashTable *look(const char *url, const char *const *wanted, GError **error)
{
    struct git_remote remote = {.url = url};
    return git_look_now(&remote, wanted, 20000, error);
}

static void assert_refs(const char *url, const char *const *wanted, const char *expected)
{
    GError *error = NULL;
    GHashTable *refs = look(url, wanted, &error);
    g_assert_no_error(error);
    GList *names = g_list_sort(g_hash_table_get_keys(refs), (GCompareFunc)strcmp);
    GString *joined = g_string_new(NULL);
    for (GList *name = names; name; name = name->next)
        g_string_append_printf(joined, "%s ", (const char *)name->data + strlen("refs/"));
    g_assert_cmpstr(joined->str, ==, expected);
    g_string_free(joined, TRUE);
    g_list_free(names);
    g_hash_table_unref(refs);
}

static void test_real_repository(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_refs(fixture.url, every_branch, "");
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.source,
              "git branch release/1; git branch release/1.2/x; git branch 'x;touch${IFS}y';"
              "git branch ä;"
              "git branch x/refs/heads/main; git branch maintenance; git tag v1; git tag main-tag;"
              "git update-ref refs/heads/-x HEAD; git update-ref refs/other/main HEAD"));
    GError *error = NULL;
    static const char *const main_only[] = {"refs/heads/main", NULL};
    static const char *const several[] = {"refs/heads/main", "refs/heads/release/*",
                                          "refs/heads/none", NULL};
    static const char *const bracket[] = {"refs/heads/rel[e]ase/?", NULL};
    GHashTable *refs = look(fixture.url, main_only, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(refs), ==, 1);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/heads/main"), ==, sha);
    g_hash_table_unref(refs);
    assert_refs(fixture.url, several, "heads/main heads/release/1 heads/release/1.2/x ");
    assert_refs(fixture.url, bracket, "heads/release/1 ");
    assert_refs(fixture.url, every_branch,
                "heads/-x heads/main heads/maintenance heads/release/1 heads/release/1.2/x "
                "heads/x/refs/heads/main heads/x;touch${IFS}y heads/ä ");
    assert_refs(fixture.source, main_only, "heads/main ");
    fixture_clear(&fixture);
}

/* A tag's id is that of the commit, through as many annotated tags as there are. */
static void test_tags(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.source, "git tag light; git tag -a -m x v1; git tag -a -m y v1.outer v1;"
                              "git branch v1; git tag other; git tag v1-x"));
    GError *error = NULL;
    static const char *const one[] = {"refs/tags/v1", NULL};
    static const char *const several[] = {"refs/tags/v1*", "refs/tags/light", "refs/heads/main",
                                          NULL};
    GHashTable *refs = look(fixture.url, several, &error);
    g_assert_no_error(error);
    GHashTableIter iterator;
    void *id = NULL;
    g_hash_table_iter_init(&iterator, refs);
    while (g_hash_table_iter_next(&iterator, NULL, &id))
        g_assert_cmpstr(id, ==, sha);
    g_hash_table_unref(refs);
    assert_refs(fixture.url, one, "tags/v1 ");
    assert_refs(fixture.url, several, "heads/main tags/light tags/v1 tags/v1-x tags/v1.outer ");
    fixture_clear(&fixture);
}

static void test_failures(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *missing = g_strconcat("file://", fixture.root, "/missing", NULL);
    GError *error = NULL;
    g_assert_null(look(missing, every_branch, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "missing");
    g_clear_error(&error);
    g_assert_null(look("ext::sh -c touch% x", every_branch, &error));
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
    g_assert_null(look("https://rewritten.invalid/x", every_branch, &error));
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
    GHashTable *refs = git_look_now(&remote, every_branch, 3000, &error);
    if (code < 0) {
        g_assert_no_error(error);
        g_assert_cmpuint(g_hash_table_size(refs), ==, count);
        g_hash_table_unref(refs);
    } else {
        g_assert_null(refs);
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
    struct git_look *hanging = git_look_start(&remote, false, every_branch, &error);
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
    git_look_free(git_look_start(&remote, false, every_branch, NULL));
    struct git_look *early = git_look_start(&remote, false, every_branch, NULL);
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
        const char *name;
    } cases[] = {
        {ID "\trefs/heads/main", "refs/heads/main"},
        {ID "\trefs/heads/feature/x", "refs/heads/feature/x"},
        {ID ID "\trefs/heads/main", NULL},
        {"1234567890123456789012345678901234567890123456789012345678901234\trefs/heads/main",
         "refs/heads/main"},
        {ID " refs/heads/main", NULL},
        {ID "\trefs/tags/v1", "refs/tags/v1"},
        {ID "\trefs/tags/v1^{}", "refs/tags/v1"},
        {ID "\trefs/", "refs/"},
        {ID "\tHEAD", NULL},
        {ID "\t", NULL},
        {"ABCDEF7890123456789012345678901234567890\trefs/heads/main", NULL},
        {"\trefs/heads/main", NULL},
        {"", NULL},
    };
    struct git_look_line line;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool ok = git_look_parse_line(cases[i].line, strlen(cases[i].line), &line);
        g_assert_cmpint(ok, ==, cases[i].name != NULL);
        if (ok) {
            g_autofree char *name = g_strndup(line.name, line.name_length);
            g_assert_cmpstr(name, ==, cases[i].name);
            g_assert_true(line.id == cases[i].line);
            g_assert_cmpuint(line.id_length, ==, strcspn(cases[i].line, "\t"));
        }
    }
    static const char with_nul[] = ID "\trefs/heads/a\0b";
    g_assert_false(git_look_parse_line(with_nul, sizeof with_nul - 1, &line));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_look/branches__real_repository__are_exactly_those_asked_for",
                    test_real_repository);
    g_test_add_func("/git_look/tags__annotated_and_nested__are_peeled", test_tags);
    g_test_add_func("/git_look/remote__missing__is_an_error", test_failures);
    g_test_add_func("/git_look/protocol__S4_ext_in_users_configuration__does_not_run",
                    test_protocols);
    g_test_add_func("/git_look/answer__odd_or_torn__is_never_no_branches", test_odd_answers);
    g_test_add_func("/git_look/git__A1_A2_hangs__is_killed_with_its_children", test_hanging);
    g_test_add_func("/git_look/line__forms__are_taken_or_refused", test_lines);
    return g_test_run();
}
