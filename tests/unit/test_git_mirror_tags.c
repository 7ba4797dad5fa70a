/* Tags in the mirror and in a step, and what changed between two commits. */
#include "git_site.h"

#include "base/spawn.h"

static char *git_in(struct mirror *mirror, const char *line)
{
    return sh(mirror_git_dir(mirror), "git --git-dir=. %s", line);
}

static void fetch(struct mirror *mirror, const char *sha, const char *ref)
{
    bool rebuilt = false;
    GError *error = NULL;
    mirror_fetch(mirror, sha, ref, ref, &rebuilt, &error);
    g_assert_no_error(error);
}

/* Fetches the tag; why it is only a plain one, or NULL. */
static char *fetch_tag(struct mirror *mirror, const char *sha, const char *ref)
{
    char *why = (char *)"unset";
    GError *error = NULL;
    mirror_fetch_tag(mirror, sha, ref, &why, &error);
    g_assert_no_error(error);
    return why;
}

static void tag__annotated__is_itself_in_mirror_and_step(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 1 >a");
    /* the commit is there before the tag is */
    fetch(site.mirror, sha, "refs/heads/main");
    g_free(sh(site.fixture.source, "git tag -a -m 'what is new' rel/v1"));
    g_assert_null(fetch_tag(site.mirror, sha, "refs/tags/rel/v1"));
    g_autofree char *type = git_in(site.mirror, "cat-file -t refs/tags/rel/v1");
    g_assert_cmpstr(type, ==, "tag");
    struct git_remote remote = {.url = site.fixture.url};
    struct checkout_request request = {.mirror = site.mirror,
                                       .remote = &remote,
                                       .sha = sha,
                                       .ref = "refs/tags/rel/v1",
                                       .limits = limits};
    GError *error = NULL;
    checkout_prepare(site.checkout, &request, &site.replaced, &error);
    g_assert_no_error(error);
    g_autofree char *described = sh(site.workspace, "git describe --exact-match");
    g_assert_cmpstr(described, ==, "rel/v1");
    g_autofree char *message = sh(site.workspace, "git tag -l -n1 rel/v1");
    assert_contains(message, "what is new");
    g_autofree char *branches = sh(site.workspace, "git for-each-ref refs/heads refs/remotes");
    g_assert_cmpstr(branches, ==, "");
    g_autofree char *state = sh(site.workspace, "git status --porcelain; git fsck 2>&1");
    g_assert_cmpstr(state, ==, "");
    site_clear(&site);
}

static void tag__moved_or_gone_meanwhile__is_a_plain_one_of_the_commit(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *first = commit(&site.fixture, "echo 1 >a");
    g_free(sh(site.fixture.source, "git tag -a -m x v1; git tag -a -m x v2"));
    g_autofree char *second = commit(&site.fixture, "echo 2 >a");
    fetch(site.mirror, second, "refs/heads/main");
    g_free(sh(site.fixture.source, "git tag -f -a -m y v1; git tag -d v2"));
    g_autofree char *moved = fetch_tag(site.mirror, first, "refs/tags/v1");
    g_autofree char *gone = fetch_tag(site.mirror, first, "refs/tags/v2");
    assert_contains(moved, "moved");
    assert_contains(gone, "refs/tags/v2");
    g_autofree char *ids = git_in(site.mirror, "rev-parse refs/tags/v1 refs/tags/v2");
    g_autofree char *expected = g_strconcat(first, "\n", first, NULL);
    g_assert_cmpstr(ids, ==, expected);
    /* and back to what it is now */
    g_assert_null(fetch_tag(site.mirror, second, "refs/tags/v1"));
    g_autofree char *type = git_in(site.mirror, "cat-file -t refs/tags/v1");
    g_assert_cmpstr(type, ==, "tag");
    site_clear(&site);
}

/* A server that gives no object but what its refs name: the tag's object, not its commit. */
static void tag__sha_refused__commit_comes_with_the_tag(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 1 >a");
    g_free(sh(site.fixture.source, "git tag -a -m x v1"));
    g_free(commit(&site.fixture, "echo 2 >a"));
    g_autofree char *git = g_strdup(git_executable(NULL));
    g_autofree char *script = g_strdup_printf("exec %s -c protocol.version=0 \"$@\"", git);
    char *old = fake_program(&site.fixture, "git", script);
    fetch(site.mirror, sha, "refs/tags/v1");
    g_autofree char *kept = git_in(site.mirror, "rev-parse refs/phantom_ci/refs%2Ftags%2Fv1");
    g_assert_cmpstr(kept, ==, sha);
    g_free(sh(site.fixture.source, "git tag -f -a -m y v1"));
    GError *error = NULL;
    bool rebuilt = false;
    g_assert_false(mirror_fetch(site.mirror, "1234567890123456789012345678901234567890",
                                "refs/tags/v1", "k", &rebuilt, &error));
    assert_error_code(error, ERROR_NOT_FOUND);
    assert_contains(error->message, "on its tag refs/tags/v1: the tag was moved");
    g_clear_error(&error);
    restore_path(old);
    site_clear(&site);
}

static void tag__of_no_commit__is_refused_and_the_mirror_stays(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 1 >a");
    g_autofree char *blob = sh(site.fixture.source, "git tag blob HEAD:a; git rev-parse blob");
    g_autofree char *tree = sh(site.fixture.source, "git tag tree HEAD^{tree}; git rev-parse tree");
    fetch(site.mirror, sha, "refs/heads/main");
    for (unsigned i = 0; i < 2; i++) {
        GError *error = NULL;
        bool rebuilt = false;
        g_assert_false(mirror_fetch(site.mirror, i ? tree : blob,
                                    i ? "refs/tags/tree" : "refs/tags/blob", "k", &rebuilt,
                                    &error));
        assert_error_code(error, ERROR_INVALID);
        assert_contains(error->message, i ? "is a tree, not a commit" : "is a blob, not a commit");
        g_clear_error(&error);
        g_assert_false(rebuilt);
    }
    g_assert_false(exists(site.fixture.cache, "trash"));
    site_clear(&site);
}

static void fetch__other_refs__are_refused(void)
{
    static const char *const refs[] = {"main",           "HEAD",       "refs/notes/x",
                                       "refs/tags/a..b", "refs/tags/", "refs/heads/a b"};
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 1 >a");
    for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++) {
        GError *error = NULL;
        bool rebuilt = false;
        g_assert_false(mirror_fetch(site.mirror, sha, refs[i], "k", &rebuilt, &error));
        assert_error_code(error, ERROR_INVALID);
        g_clear_error(&error);
    }
    site_clear(&site);
}

/* The paths, with '|' for each NUL. */
static char *changed(struct mirror *mirror, const char *from, const char *to)
{
    size_t length = 0;
    GError *error = NULL;
    char *paths = mirror_read_changed(mirror, from, to, &length, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < length; i++)
        paths[i] = paths[i] ? paths[i] : '|';
    return paths;
}

static void changed__commits_of_one_history__are_compared_by_their_trees(void)
{
    struct site site;
    site_init(&site);
    struct fixture *fixture = &site.fixture;
    g_autofree char *base = commit(fixture, "mkdir -p src/deep; echo 1 >src/deep/a; echo 1 >b");
    g_free(sh(fixture->source, "git checkout -q -b side; echo 2 >side; git add -A;"
                               "git commit -q -m side; git checkout -q main"));
    g_autofree char *renamed = commit(fixture, "git mv src/deep/a src/c; chmod +x b;"
                                               "echo x >\"$(printf 'n\\nl\\344')\"");
    g_free(sh(fixture->source, "git merge -q --no-edit side"));
    g_autofree char *merged = sh(fixture->source, "git rev-parse HEAD");
    g_autofree char *undone = commit(fixture, "git rm -q side");
    fetch(site.mirror, undone, "refs/heads/main");
    g_autofree char *first = changed(site.mirror, base, renamed);
    g_assert_cmpstr(first, ==, "b|n\nl\xe4|src/c|src/deep/a|");
    /* what a merge brought has changed; what came and went has not */
    g_autofree char *merge = changed(site.mirror, renamed, merged);
    g_assert_cmpstr(merge, ==, "side|");
    g_autofree char *back = changed(site.mirror, renamed, undone);
    g_assert_cmpstr(back, ==, "");
    g_autofree char *rewound = changed(site.mirror, merged, base);
    g_assert_cmpstr(rewound, ==, "b|n\nl\xe4|side|src/c|src/deep/a|");
    site_clear(&site);
}

static void changed__unknown_or_unrelated__is_not_found(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 1 >a");
    g_free(sh(site.fixture.source, "git checkout -q --orphan other; git commit -q -m other"));
    g_autofree char *other = sh(site.fixture.source, "git rev-parse HEAD");
    fetch(site.mirror, sha, "refs/heads/main");
    fetch(site.mirror, other, "refs/heads/other");
    const char *const from[] = {other, "1234567890123456789012345678901234567890", "main",
                                "--help"};
    for (unsigned i = 0; i < G_N_ELEMENTS(from); i++) {
        GError *error = NULL;
        size_t length = 1;
        g_assert_null(mirror_read_changed(site.mirror, from[i], sha, &length, &error));
        assert_error_code(error, ERROR_NOT_FOUND);
        g_assert_cmpuint(length, ==, 0);
        g_clear_error(&error);
    }
    site_clear(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_mirror_tags/" #name, name)
    ADD(tag__annotated__is_itself_in_mirror_and_step);
    ADD(tag__moved_or_gone_meanwhile__is_a_plain_one_of_the_commit);
    ADD(tag__sha_refused__commit_comes_with_the_tag);
    ADD(tag__of_no_commit__is_refused_and_the_mirror_stays);
    ADD(fetch__other_refs__are_refused);
    ADD(changed__commits_of_one_history__are_compared_by_their_trees);
    ADD(changed__unknown_or_unrelated__is_not_found);
    return g_test_run();
}
