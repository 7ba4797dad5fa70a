#include "git_fixture.h"

#include "base/lock.h"
#include "git/mirror.h"

static const struct git_limits limits = {.timeout_ms = 60000, .cancel_fd = -1};

static struct mirror *open_mirror(struct fixture *fixture)
{
    struct git_remote remote = {.url = fixture->url};
    GError *error = NULL;
    struct mirror *mirror = mirror_open(fixture->cache, &remote, &limits, &error);
    g_assert_no_error(error);
    return mirror;
}

static bool fetch(struct mirror *mirror, const char *sha)
{
    bool rebuilt = false;
    GError *error = NULL;
    mirror_fetch(mirror, sha, "refs/heads/main", "app/main", &rebuilt, &error);
    g_assert_no_error(error);
    return rebuilt;
}

static char *git_in(struct mirror *mirror, const char *line)
{
    return sh(mirror_git_dir(mirror), "git --git-dir=. %s", line);
}

static void test_fetch(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a; git tag -a -m t v1 2>/dev/null || true");
    g_free(sh(fixture.source, "git tag -f -a -m t v1"));
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    struct mirror *mirror = open_mirror(&fixture);
    g_assert_false(fetch(mirror, first));
    g_autofree char *refs =
        git_in(mirror, "for-each-ref --format='%(objectname) %(refname)' refs/phantom_ci");
    g_autofree char *expected = g_strconcat(first, " refs/phantom_ci/app%2Fmain", NULL);
    g_assert_cmpstr(refs, ==, expected);
    g_autofree char *tags = git_in(mirror, "tag -l");
    g_assert_cmpstr(tags, ==, "v1");
    g_assert_false(fetch(mirror, second));
    struct stat status;
    g_assert_cmpint(stat(mirror_git_dir(mirror), &status), ==, 0);
    g_assert_cmpint(status.st_mode & 077, ==, 0);
    g_assert_false(exists(mirror_git_dir(mirror), "hooks"));
    g_assert_false(exists(mirror_git_dir(mirror), "FETCH_HEAD"));
    mirror_close(mirror);
    mirror_close(NULL);
    fixture_clear(&fixture);
}

/* DEMAND F5: nothing is asked of the remote for a commit that is there. */
static void test_second_fetch(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    mirror_close(mirror);
    g_autofree char *git = g_strdup(git_executable(NULL));
    g_autofree char *record = path_in(fixture.root, "record");
    g_autofree char *script = g_strdup_printf("echo \"$@\" >>%s; exec %s \"$@\"", record, git);
    char *old = fake_program(&fixture, "git", script);
    mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    mirror_close(mirror);
    restore_path(old);
    g_autofree char *recorded = read_text(fixture.root, "record");
    g_assert_null(strstr(recorded, "fetch"));
    assert_contains(recorded, "cat-file");
    fixture_clear(&fixture);
}

/* Servers with protocol v0 refuse commits that no ref points to; DEMAND S11. */
static void test_refused_sha(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_free(commit(&fixture, "echo 2 >a"));
    g_autofree char *git = g_strdup(git_executable(NULL));
    g_autofree char *script = g_strdup_printf("exec %s -c protocol.version=0 \"$@\"", git);
    char *old = fake_program(&fixture, "git", script);
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, first);
    GError *error = NULL;
    bool rebuilt = false;
    g_assert_false(mirror_fetch(mirror, "1234567890123456789012345678901234567890",
                                "refs/heads/main", "app/main", &rebuilt, &error));
    assert_error_code(error, ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(mirror_fetch(mirror, "1234567890123456789012345678901234567890",
                                "refs/heads/gone", "app/main", &rebuilt, &error));
    assert_error_code(error, ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(rebuilt);
    mirror_close(mirror);
    restore_path(old);
    fixture_clear(&fixture);
}

static void test_bad_requests(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    struct git_remote bad = {.url = "--upload-pack=touch x"};
    GError *error = NULL;
    g_assert_null(mirror_open(fixture.cache, &bad, &limits, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    struct mirror *mirror = open_mirror(&fixture);
    bool rebuilt;
    g_assert_false(mirror_fetch(mirror, "main", "refs/heads/main", "k", &rebuilt, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(mirror_fetch(mirror, sha, "refs/heads/a..b", "k", &rebuilt, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    mirror_close(mirror);
    /* a remote that is not there: no rebuild is tried, and what is there stays */
    mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    g_autofree char *moved = path_in(fixture.root, "moved");
    g_assert_cmpint(g_rename(fixture.source, moved), ==, 0);
    g_assert_false(mirror_fetch(mirror, "1234567890123456789012345678901234567890",
                                "refs/heads/main", "k", &rebuilt, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "does not appear to be a git repository");
    g_clear_error(&error);
    fetch(mirror, sha);
    g_assert_false(exists(fixture.cache, "trash"));
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* DEMAND O7, S20 */
static void test_names(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    static const char *const urls[] = {
        "/x/a/tool",        "/x/b/tool",        "/x/a/tool.git", "/x/a/tool/", "/x/a/Tool",
        "file:///x/a/tool", "https://h/a/tool", "h:a/tool",      "/x/..",      "/x/\xc3\xa4 "};
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    unsigned count = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        for (int key = 0; key < 2; key++) {
            struct git_remote remote = {.url = urls[i], .ssh_key_path = key ? "/k" : NULL};
            struct mirror *mirror = mirror_open(fixture.cache, &remote, &limits, NULL);
            if (!mirror)
                continue;
            count++;
            g_autofree char *parent = g_path_get_dirname(mirror_git_dir(mirror));
            g_autofree char *mirrors = path_in(fixture.cache, "mirrors");
            g_assert_cmpstr(parent, ==, mirrors);
            g_hash_table_add(seen, g_ascii_strdown(mirror_git_dir(mirror), -1));
            mirror_close(mirror);
        }
    }
    g_assert_cmpuint(count, ==, 18);
    g_assert_cmpuint(g_hash_table_size(seen), ==, count);
    fixture_clear(&fixture);
}

static void test_reading(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(
        &fixture,
        "mkdir workflow d; printf 'a\\0b' >workflow/main.toml; ln -s /etc/passwd workflow/link;"
        "echo x >workflow/run; chmod 755 workflow/run; echo '*' >'[m]ain'");
    g_autofree char *last =
        commit(&fixture, "git -c user.name='Ann $(id) X' commit -q --allow-empty -m \"$(printf "
                         "'caf\\303\\251 @everyone\\n\\nbody')\"");
    g_autofree char *named = sh(fixture.source, "git rev-parse HEAD~1");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, last);
    GError *error = NULL;
    size_t length = 0;
    g_autofree char *text =
        mirror_read_file(mirror, first, "workflow/main.toml", 100, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, 3);
    g_assert_cmpint(memcmp(text, "a\0b", 4), ==, 0);
    g_autofree char *program =
        mirror_read_file(mirror, first, "workflow/run", 100, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(program, ==, "x\n");
    static const struct {
        const char *path;
        enum error_code code;
        const char *part;
    } cases[] = {
        {"workflow/link", ERROR_INVALID, "symbolic link"},
        {"workflow", ERROR_INVALID, "directory"},
        {"workflow/none", ERROR_NOT_FOUND, "workflow/none"},
        {"workflow/main.toml/x", ERROR_NOT_FOUND, ""},
        {"/etc/passwd", ERROR_INVALID, "path"},
        {"workflow/../x", ERROR_INVALID, "path"},
        {"", ERROR_INVALID, "path"},
        {"workflow/*", ERROR_NOT_FOUND, ""},
        {"workflow/", ERROR_INVALID, "path"},
        {"workflow/link/x", ERROR_NOT_FOUND, ""},
        {":(glob)**", ERROR_NOT_FOUND, ""},
        {"main", ERROR_NOT_FOUND, ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_null(mirror_read_file(mirror, first, cases[i].path, 100, &length, &error));
        assert_error_code(error, cases[i].code);
        assert_contains(error->message, cases[i].part);
        g_clear_error(&error);
    }
    g_assert_null(mirror_read_file(mirror, first, "workflow/main.toml", 2, &length, &error));
    assert_error_code(error, ERROR_LIMIT);
    g_clear_error(&error);
    char *subject = NULL, *author = NULL;
    g_assert_true(mirror_read_commit(mirror, named, &subject, &author, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(subject, ==, "caf\xc3\xa9 @everyone");
    g_assert_cmpstr(author, ==, "Ann $(id) X <ann@example.org>");
    g_free(subject);
    g_free(author);
    mirror_close(mirror);
    fixture_clear(&fixture);
}

static void test_long_and_odd_subject(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_autofree char *sha =
        sh(fixture.source, "git -c i18n.commitEncoding=utf-8 commit -q --allow-empty -m \"$(printf "
                           "'x\\377%%0499d\\303\\244end' 0)\";"
                           "git rev-parse HEAD");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    char *subject = NULL, *author = NULL;
    GError *error = NULL;
    g_assert_true(mirror_read_commit(mirror, sha, &subject, &author, &error));
    g_assert_no_error(error);
    g_assert_true(g_utf8_validate(subject, -1, NULL));
    g_assert_cmpuint(strlen(subject), <=, 500);
    g_assert_cmpuint(strlen(subject), >, 490);
    g_free(subject);
    g_free(author);
    g_assert_false(mirror_read_commit(mirror, "1234567890123456789012345678901234567890", &subject,
                                      &author, &error));
    g_clear_error(&error);
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* DEMAND S12: a submodule in the place of the workflow. */
static void test_submodule_entry(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "mkdir workflow; echo x >workflow/x"));
    g_autofree char *sha =
        sh(fixture.source,
           "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),workflow/main.toml;"
           "git commit -q -m s; git rev-parse HEAD");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    size_t length;
    GError *error = NULL;
    g_assert_null(mirror_read_file(mirror, sha, "workflow/main.toml", 100, &length, &error));
    assert_error_code(error, ERROR_INVALID);
    assert_contains(error->message, "submodule");
    g_clear_error(&error);
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* What a commit says of itself can't name another parent, and the parents that it has need no git.
 */
static void test_parents_of_the_commit_read(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, second);
    bool answer = false;
    GError *error = NULL;
    /* Into the mirror itself: no fetch takes such a commit. */
    g_autofree char *forged =
        sh(fixture.source,
           "printf 'tree %%s\nparent %s\nauthor A\\0%s A <a@b> 1 +0000\ncommitter A <a@b> 1 "
           "+0000\n\nx\\0%s\n' $(git rev-parse HEAD^{tree}) | git --git-dir=%s hash-object -t "
           "commit -w --literally --stdin",
           first, second, second, mirror_git_dir(mirror));
    char *subject = NULL, *author = NULL;
    g_assert_true(mirror_read_commit(mirror, forged, &subject, &author, &error));
    g_assert_no_error(error);
    g_free(subject);
    g_free(author);
    g_assert_true(mirror_is_ancestor(mirror, second, forged, &answer, &error));
    g_assert_false(answer);
    g_autofree char *objects = g_build_filename(mirror_git_dir(mirror), "objects", NULL);
    g_assert_true(file_remove_tree_at_path(objects, NULL));
    g_assert_true(mirror_is_ancestor(mirror, first, forged, &answer, &error));
    g_assert_true(answer);
    g_assert_no_error(error);
    mirror_close(mirror);
    fixture_clear(&fixture);
}

static void test_tags_that_may_be_there(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, first);
    g_assert_false(mirror_may_have_tags(mirror));
    g_autofree char *tag = g_strconcat("update-ref refs/tags/a/b ", first, NULL);
    g_free(git_in(mirror, tag));
    g_assert_true(mirror_may_have_tags(mirror));
    g_free(git_in(mirror, "pack-refs --all --prune"));
    g_assert_true(mirror_may_have_tags(mirror));
    g_free(git_in(mirror, "update-ref -d refs/tags/a/b"));
    g_assert_false(mirror_may_have_tags(mirror));
    g_autofree char *tables = g_build_filename(mirror_git_dir(mirror), "reftable", NULL);
    g_assert_cmpint(g_mkdir(tables, 0700), ==, 0);
    g_assert_false(mirror_may_have_tags(mirror));
    g_autofree char *list = g_build_filename(tables, "tables.list", NULL);
    g_assert_true(g_file_set_contents(list, "x", -1, NULL));
    g_assert_true(mirror_may_have_tags(mirror));
    mirror_close(mirror);
    fixture_clear(&fixture);
}

static void test_ancestry(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    g_autofree char *other =
        sh(fixture.source,
           "git checkout -q -b other HEAD~1; git commit -q --allow-empty -m o; git rev-parse HEAD;"
           "git checkout -q main");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, second);
    bool answer = false, rebuilt;
    GError *error = NULL;
    g_assert_true(mirror_is_ancestor(mirror, first, second, &answer, &error));
    g_assert_true(answer);
    g_assert_true(mirror_is_ancestor(mirror, second, second, &answer, &error));
    g_assert_true(answer);
    g_assert_true(mirror_is_ancestor(mirror, second, first, &answer, &error));
    g_assert_false(answer);
    g_assert_true(mirror_is_ancestor(mirror, other, second, &answer, &error));
    g_assert_false(answer);
    g_assert_no_error(error);
    g_assert_false(mirror_is_ancestor(mirror, "main", second, &answer, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    /* DEMAND S11: only what is on the branch */
    g_autofree char *full = NULL;
    g_autofree char *prefix = g_strndup(first, 8);
    g_assert_true(mirror_find_on_branch(mirror, "main", prefix, &full, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(full, ==, first);
    g_assert_true(mirror_fetch(mirror, other, "refs/heads/other", "app/other", &rebuilt, &error));
    char *none = NULL;
    static const struct {
        const char *branch, *sha;
        enum error_code code;
    } cases[] = {{"main", "OTHER", ERROR_NOT_FOUND},     {"main", "123456", ERROR_INVALID},
                 {"main", "HEAD~1", ERROR_INVALID},      {"main", "1234567", ERROR_NOT_FOUND},
                 {"nosuch", "1234567", ERROR_NOT_FOUND}, {"-x", "1234567", ERROR_NOT_FOUND},
                 {"a..b", "1234567", ERROR_INVALID}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *asked = strcmp(cases[i].sha, "OTHER") == 0 ? other : cases[i].sha;
        g_assert_false(mirror_find_on_branch(mirror, cases[i].branch, asked, &none, &error));
        assert_error_code(error, cases[i].code);
        g_clear_error(&error);
    }
    mirror_close(mirror);
    fixture_clear(&fixture);
}

static void test_sha256(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(sh(fixture.root, "rm -rf source; git init -q --object-format=sha256 source"));
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    g_assert_cmpuint(strlen(sha), ==, 64);
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    mirror_close(mirror);
    g_free(sh(fixture.root, "rm -rf cache/mirrors"));
    mirror = open_mirror(&fixture);
    char *full = NULL;
    GError *error = NULL;
    g_assert_true(mirror_find_on_branch(mirror, "main", sha, &full, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(full, ==, sha);
    g_free(full);
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* DEMAND F2: what a git that was killed leaves behind stops nobody. */
static void test_leftovers(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, first);
    g_free(sh(mirror_git_dir(mirror),
              "for f in HEAD.lock config.lock packed-refs.lock shallow.lock "
              "refs/phantom_ci/app%%2Fmain.lock "
              "objects/pack/tmp_pack_x objects/pack/tmp_idx_x objects/info/alternates.lock gc.pid;"
              "do echo x >$f; done; mkdir -p refs/tags; git --git-dir=. update-ref "
              "refs/tags/tmp_obj_tag %s;"
              "git --git-dir=. update-ref refs/tags/gc.pid %s",
              first, first));
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    g_assert_false(fetch(mirror, second));
    g_autofree char *left =
        sh(mirror_git_dir(mirror),
           "find . -name '*.lock' -o -name 'tmp_pack*' -o -name 'tmp_idx*' -o -path ./gc.pid");
    g_assert_cmpstr(left, ==, "");
    g_assert_true(exists(mirror_git_dir(mirror), "refs/tags/tmp_obj_tag"));
    g_assert_true(exists(mirror_git_dir(mirror), "refs/tags/gc.pid"));
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* An empty ref file is what a power loss leaves; it needs no new mirror. */
static void test_torn_ref(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    struct mirror *mirror = open_mirror(&fixture);
    fetch(mirror, sha);
    g_autofree char *ref = path_in(mirror_git_dir(mirror), "refs/phantom_ci/app%2Fmain");
    g_assert_cmpint(truncate(ref, 0), ==, 0);
    g_assert_false(fetch(mirror, sha));
    g_autofree char *text = read_text("/", ref + 1);
    g_assert_true(g_str_has_prefix(text, sha));
    mirror_close(mirror);
    fixture_clear(&fixture);
}

/* Two users of one mirror: the fetch waits its turn and gives up at the limit; readers go on. */
static void test_locks(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *sha = commit(&fixture, "echo 1 >a");
    struct mirror *one = open_mirror(&fixture);
    fetch(one, sha);
    g_autofree char *stem = g_strndup(mirror_git_dir(one), strlen(mirror_git_dir(one)) - 4);
    g_autofree char *path = g_strconcat(stem, ".fetch-lock", NULL);
    int lock = lock_take(path, LOCK_EXCLUSIVE, NULL);
    g_assert_cmpint(lock, >=, 0);
    struct git_remote remote = {.url = fixture.url};
    struct git_limits short_limits = {.timeout_ms = 300, .cancel_fd = -1};
    GError *error = NULL;
    struct mirror *two = mirror_open(fixture.cache, &remote, &short_limits, &error);
    g_assert_no_error(error);
    bool rebuilt;
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    g_assert_true(mirror_fetch(two, sha, "refs/heads/main", "other", &rebuilt, &error));
    g_assert_false(mirror_fetch(two, second, "refs/heads/main", "other", &rebuilt, &error));
    assert_error_code(error, ERROR_LIMIT);
    g_clear_error(&error);
    mirror_close(two);
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    struct git_limits canceled = {.timeout_ms = -1, .cancel_fd = ends[0]};
    two = mirror_open(fixture.cache, &remote, &canceled, &error);
    g_assert_no_error(error);
    g_assert_false(mirror_fetch(two, second, "refs/heads/main", "other", &rebuilt, &error));
    assert_error_code(error, ERROR_CANCELED);
    g_clear_error(&error);
    close(lock);
    g_assert_false(mirror_fetch(two, second, "refs/heads/main", "other", &rebuilt, &error));
    assert_error_code(error, ERROR_CANCELED);
    g_clear_error(&error);
    mirror_close(two);
    close(ends[0]);
    close(ends[1]);
    /* gc goes on alone, and does nothing beside another user */
    two = open_mirror(&fixture);
    mirror_collect_garbage(two);
    mirror_close(two);
    mirror_collect_garbage(one);
    fetch(one, second);
    mirror_close(one);
    fixture_clear(&fixture);
}

/* Whoever found the mirror broken first has mended it for all. */
static void test_two_find_it_broken(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_autofree char *second = commit(&fixture, "echo 2 >b");
    struct mirror *one = open_mirror(&fixture);
    fetch(one, first);
    struct mirror *two = open_mirror(&fixture);
    fetch(two, second);
    g_free(sh(mirror_git_dir(one), "rm -rf objects/*; : >HEAD"));
    g_assert_true(fetch(one, first));
    g_assert_false(fetch(two, second));
    GError *error = NULL;
    g_assert_true(mirror_rebuild(one, first, "refs/heads/main", "app/main", &error));
    g_assert_no_error(error);
    g_assert_true(mirror_rebuild(two, second, "refs/heads/main", "app/main", &error));
    g_assert_no_error(error);
    fetch(one, first);
    mirror_close(one);
    mirror_close(two);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_mirror/fetch__commit__is_kept_under_a_ref_with_its_tags", test_fetch);
    g_test_add_func("/git_mirror/fetch__F5_present__asks_nobody", test_second_fetch);
    g_test_add_func("/git_mirror/fetch__sha_refused__takes_the_branch", test_refused_sha);
    g_test_add_func("/git_mirror/fetch__bad_requests__leave_everything", test_bad_requests);
    g_test_add_func("/git_mirror/name__O7_S20_alike__are_distinct", test_names);
    g_test_add_func("/git_mirror/read__S12_entries__only_regular_files", test_reading);
    g_test_add_func("/git_mirror/read__odd_subject__is_valid_and_bounded",
                    test_long_and_odd_subject);
    g_test_add_func("/git_mirror/read__S12_submodule__is_refused", test_submodule_entry);
    g_test_add_func("/git_mirror/parents__of_the_commit_read__are_its_own",
                    test_parents_of_the_commit_read);
    g_test_add_func("/git_mirror/tags__loose_packed_or_in_tables__may_be_there",
                    test_tags_that_may_be_there);
    g_test_add_func("/git_mirror/ancestry__S11_branches__are_told_apart", test_ancestry);
    g_test_add_func("/git_mirror/sha256__repository__works", test_sha256);
    g_test_add_func("/git_mirror/leftovers__F2_of_a_killed_git__are_removed", test_leftovers);
    g_test_add_func("/git_mirror/ref__empty_file__is_written_anew", test_torn_ref);
    g_test_add_func("/git_mirror/locks__two_users__wait_or_give_up", test_locks);
    g_test_add_func("/git_mirror/rebuild__two_users__happens_once", test_two_find_it_broken);
    return g_test_run();
}
