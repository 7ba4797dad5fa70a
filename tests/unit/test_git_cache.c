/* What cache_prune() removes, and what it leaves alone. */
#include "base/clock.h"
#include "base/lock.h"
#include "git/cache.h"
#include "git/checkout.h"
#include "git_fixture.h"

enum { KEEP_MS = 1000 };

struct prune_fixture {
    struct fixture files;
    GHashTable *checkouts, *mirrors;
    struct cache_removals removals;
    int64_t now_ms;
    int64_t keep_for_ms;
    bool dry_run;
};

static void open_fixture(struct prune_fixture *fixture)
{
    fixture_init(&fixture->files);
    g_assert_cmpint(g_mkdir_with_parents(fixture->files.cache, 0700), ==, 0);
    fixture->checkouts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fixture->mirrors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fixture->now_ms = clock_now_ms() + 100 * KEEP_MS;
    fixture->keep_for_ms = KEEP_MS;
    fixture->dry_run = false;
    cache_removals_init(&fixture->removals);
}

static void close_fixture(struct prune_fixture *fixture)
{
    cache_removals_clear(&fixture->removals);
    g_hash_table_unref(fixture->checkouts);
    g_hash_table_unref(fixture->mirrors);
    fixture_clear(&fixture->files);
}

static void prune(struct prune_fixture *fixture)
{
    const struct cache_rules rules = {fixture->checkouts, fixture->mirrors, fixture->keep_for_ms,
                                      fixture->now_ms, fixture->dry_run};
    cache_removals_clear(&fixture->removals);
    cache_removals_init(&fixture->removals);
    cache_prune(fixture->files.cache, &rules, &fixture->removals);
}

static bool is_there(const struct prune_fixture *fixture, const char *path)
{
    g_autofree char *full = path_in(fixture->files.cache, path);
    struct stat status;
    return lstat(full, &status) == 0;
}

/* A workspace with a file of 100 KiB, as a job leaves it. */
static void make_workspace(const struct prune_fixture *fixture, const char *section,
                           const char *branch)
{
    GError *error = NULL;
    struct checkout *checkout = checkout_open(fixture->files.cache, section, branch, &error);
    g_assert_no_error(error);
    g_autofree char *done =
        sh(fixture->files.cache, "mkdir -p '%s'; head -c 102400 /dev/urandom >'%s'/file",
           checkout_path(checkout), checkout_path(checkout));
    g_assert_cmpstr(done, ==, "");
    checkout_close(checkout);
}

static char *make_mirror(const struct prune_fixture *fixture)
{
    const struct git_remote remote = {fixture->files.url, NULL};
    GError *error = NULL;
    mirror_close(mirror_open(fixture->files.cache, &remote, NULL, &error));
    g_assert_no_error(error);
    return cache_mirror_name(&remote);
}

static void workspaces__unwanted_and_unused_for_long__go_with_their_index(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    make_workspace(&fixture, "app", "main");
    make_workspace(&fixture, "app", "feature/x");
    make_workspace(&fixture, "old", "main");
    g_hash_table_add(fixture.checkouts, cache_checkout_name("app", "main"));
    fixture.dry_run = true;
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.workspaces, ==, 2);
    int64_t promised = fixture.removals.bytes;
    g_assert_cmpint(promised, >=, 2 * 100 * 1024);
    g_assert_true(is_there(&fixture, "workspaces/old/main/file"));
    fixture.dry_run = false;
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.workspaces, ==, 2);
    g_assert_cmpint(fixture.removals.bytes, ==, promised);
    g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
    g_assert_true(is_there(&fixture, "workspaces/app/main/file"));
    g_assert_true(is_there(&fixture, "checkouts/app/main/lock"));
    g_assert_false(is_there(&fixture, "workspaces/app/feature%2Fx"));
    g_assert_false(is_there(&fixture, "checkouts/app/feature%2Fx"));
    g_assert_false(is_there(&fixture, "workspaces/old"));
    g_assert_false(is_there(&fixture, "checkouts/old"));
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.workspaces, ==, 0);
    /* The next job makes it anew. */
    make_workspace(&fixture, "old", "main");
    close_fixture(&fixture);
}

static void workspaces__used_just_now__stay_till_their_time_is_over(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    make_workspace(&fixture, "old", "main");
    fixture.now_ms = clock_now_ms();
    fixture.keep_for_ms = 60 * 1000;
    prune(&fixture);
    g_assert_true(is_there(&fixture, "workspaces/old/main/file"));
    fixture.keep_for_ms = -1;
    fixture.now_ms += (int64_t)1000 * 365 * 24 * 3600 * 1000;
    prune(&fixture);
    g_assert_true(is_there(&fixture, "workspaces/old/main/file"));
    fixture.keep_for_ms = 0;
    fixture.now_ms = clock_now_ms();
    prune(&fixture);
    g_assert_false(is_there(&fixture, "workspaces/old"));
    close_fixture(&fixture);
}

static void workspaces__a_job_at_work_in_one__stays(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    make_workspace(&fixture, "old", "main");
    struct checkout *checkout = checkout_open(fixture.files.cache, "old", "main", NULL);
    g_assert_nonnull(checkout);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.in_use, ==, 1);
    g_assert_cmpuint(fixture.removals.workspaces, ==, 0);
    g_assert_true(is_there(&fixture, "workspaces/old/main/file"));
    checkout_close(checkout);
    prune(&fixture);
    g_assert_false(is_there(&fixture, "workspaces/old"));
    close_fixture(&fixture);
}

static void workspaces__without_lock_and_index__go_too(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    make_workspace(&fixture, "old", "main");
    g_autofree char *done = sh(fixture.files.cache, "rm -r checkouts");
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
    g_assert_cmpuint(fixture.removals.workspaces, ==, 1);
    g_assert_false(is_there(&fixture, "workspaces/old"));
    close_fixture(&fixture);
}

/* A step of a job without a sandbox can plant any of these. */
static void workspaces__links_in_their_place__S24_are_never_followed(void)
{
    static const char *const plants[] = {
        "rm -r workspaces/old/main; ln -s ../../../precious workspaces/old/main",
        "mv workspaces/old aside; ln -s ../../precious workspaces/old",
        "mv workspaces aside; ln -s ../precious workspaces",
        "mv checkouts/old aside; ln -s ../../precious checkouts/old",
        "mv checkouts aside; ln -s ../precious checkouts",
        "rm -r checkouts/old/main; ln -s ../../../precious checkouts/old/main",
        "ln -s ../../../../precious/main workspaces/old/main/link",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(plants); i++) {
        struct prune_fixture fixture;
        open_fixture(&fixture);
        make_workspace(&fixture, "old", "main");
        g_autofree char *made = sh(fixture.files.root, "mkdir -p precious/main precious/old/main; "
                                                       "touch precious/main/file precious/index "
                                                       "precious/main/index precious/old/main/x");
        g_autofree char *before = sh(fixture.files.root, "ls -lR --time-style=full-iso precious");
        g_autofree char *planted = sh(fixture.files.cache, "%s", plants[i]);
        prune(&fixture);
        cache_empty_trash(fixture.files.cache, false, &fixture.removals);
        g_autofree char *after = sh(fixture.files.root, "ls -lR --time-style=full-iso precious");
        g_assert_cmpstr(after, ==, before);
        close_fixture(&fixture);
    }
}

static void mirrors__unwanted_and_unused_for_long__go_with_their_locks(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    char *name = make_mirror(&fixture);
    g_autofree char *git_dir = g_strdup_printf("mirrors/%s.git", name);
    g_autofree char *lock = g_strdup_printf("mirrors/%s.lock", name);
    g_assert_true(is_there(&fixture, git_dir) && is_there(&fixture, lock));
    g_hash_table_add(fixture.mirrors, name);
    prune(&fixture);
    g_assert_true(is_there(&fixture, git_dir));
    g_hash_table_remove_all(fixture.mirrors);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.mirrors, ==, 1);
    g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
    g_assert_false(is_there(&fixture, git_dir));
    g_assert_false(is_there(&fixture, lock));
    g_autofree char *again = make_mirror(&fixture);
    g_assert_true(is_there(&fixture, git_dir));
    close_fixture(&fixture);
}

static void mirrors__F5_in_the_hands_of_a_job__stay(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    const struct git_remote remote = {fixture.files.url, NULL};
    g_autofree char *name = cache_mirror_name(&remote);
    g_autofree char *git_dir = g_strdup_printf("mirrors/%s.git", name);
    struct mirror *mirror = mirror_open(fixture.files.cache, &remote, NULL, NULL);
    g_assert_nonnull(mirror);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.in_use, ==, 1);
    g_assert_cmpuint(fixture.removals.mirrors, ==, 0);
    g_assert_true(is_there(&fixture, git_dir));
    mirror_close(mirror);
    prune(&fixture);
    g_assert_false(is_there(&fixture, git_dir));
    close_fixture(&fixture);
}

static char *list_refs(const struct prune_fixture *fixture, const char *name)
{
    return sh(fixture->files.cache,
              "git --git-dir=mirrors/%s.git for-each-ref --format='%%(refname)'", name);
}

static void fetch(const struct prune_fixture *fixture, const char *sha, const char *keep_ref)
{
    const struct git_remote remote = {fixture->files.url, NULL};
    GError *error = NULL;
    struct mirror *mirror = mirror_open(fixture->files.cache, &remote, NULL, &error);
    g_assert_no_error(error);
    bool rebuilt = false;
    g_assert_true(mirror_fetch(mirror, sha, "refs/heads/main", keep_ref, &rebuilt, &error));
    g_assert_no_error(error);
    mirror_close(mirror);
}

static void mirrors__refs_of_branches_that_are_gone__go_packed_or_loose(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    char *name = make_mirror(&fixture);
    g_autofree char *sha = commit(&fixture.files, "echo 1 >file");
    g_hash_table_add(fixture.mirrors, name);
    g_hash_table_add(fixture.checkouts, cache_checkout_name("app", "main"));
    fetch(&fixture, sha, "app/main");
    fetch(&fixture, sha, "app/feature%2Fpacked");
    g_autofree char *packed = sh(fixture.files.cache,
                                 "git --git-dir=mirrors/%s.git pack-refs --all; "
                                 "git --git-dir=mirrors/%s.git update-ref refs/other/x %s",
                                 name, name, sha);
    fetch(&fixture, sha, "app/loose");
    g_autofree char *before = list_refs(&fixture, name);
    assert_contains(before, "refs/phantom_ci/app%2Ffeature%252Fpacked");
    assert_contains(before, "refs/phantom_ci/app%2Floose");
    /* While a job has the mirror nothing happens. */
    const struct git_remote remote = {fixture.files.url, NULL};
    struct mirror *mirror = mirror_open(fixture.files.cache, &remote, NULL, NULL);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.refs, ==, 0);
    mirror_close(mirror);
    fixture.dry_run = true;
    prune(&fixture);
    fixture.dry_run = false;
    g_autofree char *same = list_refs(&fixture, name);
    g_assert_cmpstr(same, ==, before);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
    g_assert_cmpuint(fixture.removals.refs, >=, 2);
    g_autofree char *after = list_refs(&fixture, name);
    assert_contains(after, "refs/phantom_ci/app%2Fmain");
    assert_contains(after, "refs/other/x");
    g_assert_null(strstr(after, "packed"));
    g_assert_null(strstr(after, "loose"));
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.refs, ==, 0);
    /* A ref file that a crash has left empty is no obstacle. */
    g_autofree char *torn =
        sh(fixture.files.cache, ": >'mirrors/%s.git/refs/phantom_ci/app%%2Ftorn'", name);
    prune(&fixture);
    g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
    g_autofree char *left = sh(fixture.files.cache, "ls mirrors/%s.git/refs/phantom_ci", name);
    g_assert_null(strstr(left, "torn"));
    /* A branch that comes back finds what it needs. */
    fetch(&fixture, sha, "app/loose");
    close_fixture(&fixture);
}

static void trash__what_can_be_removed__goes_and_the_rest_is_told(void)
{
    struct prune_fixture fixture;
    open_fixture(&fixture);
    g_autofree char *made =
        sh(fixture.files.cache, "mkdir -p trash/a/b; head -c 50000 /dev/urandom >trash/a/b/c; "
                                "ln -s /etc trash/link; touch trash/file");
    cache_empty_trash(fixture.files.cache, true, &fixture.removals);
    g_assert_cmpuint(fixture.removals.trash, ==, 3);
    g_assert_true(is_there(&fixture, "trash/a/b/c"));
    cache_removals_clear(&fixture.removals);
    cache_removals_init(&fixture.removals);
    cache_empty_trash(fixture.files.cache, false, &fixture.removals);
    g_assert_cmpuint(fixture.removals.trash, ==, 3);
    g_assert_cmpint(fixture.removals.bytes, >=, 50000);
    g_autofree char *left = sh(fixture.files.cache, "ls -A trash");
    g_assert_cmpstr(left, ==, "");
    g_assert_true(g_file_test("/etc", G_FILE_TEST_IS_DIR));
    close_fixture(&fixture);
}

#ifdef PHANTOM_CI_FAULTS
/* At each point between the steps of a removal; then a job and another gc come along. */
static void workspaces__killed_at_any_point__the_next_one_finishes(void)
{
    static const char *const faults[] = {"gc.workspace:1:KILL", "gc.checkout:1:KILL",
                                         "gc.mirror:1:KILL", "gc.trash:1:KILL"};
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct prune_fixture fixture;
        open_fixture(&fixture);
        make_workspace(&fixture, "old", "main");
        g_autofree char *name = make_mirror(&fixture);
        g_autofree char *git_dir = g_strdup_printf("mirrors/%s.git", name);
        pid_t child = fork();
        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
            g_setenv("PHANTOM_CI_FAULT", faults[i], TRUE);
            prune(&fixture);
            cache_empty_trash(fixture.files.cache, false, &fixture.removals);
            _exit(0);
        }
        int status = 0;
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        make_workspace(&fixture, "old", "main");
        prune(&fixture);
        cache_empty_trash(fixture.files.cache, false, &fixture.removals);
        g_assert_cmpuint(fixture.removals.failures->len, ==, 0);
        g_assert_false(is_there(&fixture, "workspaces/old"));
        g_assert_false(is_there(&fixture, "checkouts/old"));
        g_assert_false(is_there(&fixture, git_dir));
        close_fixture(&fixture);
    }
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_cache/" #name, name)
    ADD(workspaces__unwanted_and_unused_for_long__go_with_their_index);
    ADD(workspaces__used_just_now__stay_till_their_time_is_over);
    ADD(workspaces__a_job_at_work_in_one__stays);
    ADD(workspaces__without_lock_and_index__go_too);
    ADD(workspaces__links_in_their_place__S24_are_never_followed);
    ADD(mirrors__unwanted_and_unused_for_long__go_with_their_locks);
    ADD(mirrors__F5_in_the_hands_of_a_job__stay);
    ADD(mirrors__refs_of_branches_that_are_gone__go_packed_or_loose);
    ADD(trash__what_can_be_removed__goes_and_the_rest_is_told);
#ifdef PHANTOM_CI_FAULTS
    ADD(workspaces__killed_at_any_point__the_next_one_finishes);
#endif
#undef ADD
    return g_test_run();
}
