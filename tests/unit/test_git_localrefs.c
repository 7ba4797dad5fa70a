#include "localrefs_fixture.h"

static const char *const main_only[] = {"refs/heads/main", NULL};
static const char *const all_branches[] = {"refs/heads/*", NULL};
static const char *const several[] = {"refs/heads/main", "refs/heads/alias", "refs/heads/release/*",
                                      "refs/heads/none", NULL};
static const char *const with_tags[] = {"refs/heads/feature/x", "refs/tags/v*", NULL};

enum { COMMITS = 5 };

static void assert_result(struct observer *observer, enum local_refs_result expected)
{
    g_assert_cmpint(look(observer), ==, expected);
}

/* ----------------------------------------------------------------------- where repositories are */

static void assert_place(const char *scheme, const char *root, const char *place,
                         enum local_refs_result expected)
{
    g_autofree char *url = g_strconcat(scheme, root, place, NULL);
    struct observer observer;
    observer_init(&observer, url, main_only);
    assert_result(&observer, expected);
    if (expected == LOCAL_REFS_READ) {
        g_assert_cmpuint(g_hash_table_size(observer.refs), ==, 1);
        g_assert_nonnull(local_refs_directory(observer.local));
        settle(&observer);
    }
    observer_clear(&observer);
}

static void test_places(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_free(sh(fixture.root, "git clone -q --bare source bare.git;"
                            "git clone -q --bare source 'a b%%41.git';"
                            "git clone -q --separate-git-dir=apart source linked;"
                            "git -C source worktree add -q ../tree -b other;"
                            "git -C source bundle create -q ../bundle --all; mkdir empty;"
                            "git init -q --object-format=sha256 big; cd big;"
                            "git commit -q --allow-empty -m x"));
    const char *root = fixture.root;
    static const char *const paths[] = {"/source", "/source/.git", "/source///", "/bare.git",
                                        "/bare",   "/linked",      "/apart",     "/tree",
                                        "/big",    "/a b%41"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        assert_place("", root, paths[i], LOCAL_REFS_READ);
    static const char *const urls[] = {"/source", "/bare", "/a%20b%2541", "/%73ource/",
                                       "/a b%41%%"};
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++)
        assert_place("file://", root, urls[i], i < 4 ? LOCAL_REFS_READ : LOCAL_REFS_FAILED);
    assert_place("", root, "/bundle", LOCAL_REFS_ASK_GIT);
    assert_place("", root, "/tree/.git", LOCAL_REFS_ASK_GIT);
    assert_place("", root, "/none", LOCAL_REFS_FAILED);
    assert_place("", root, "/empty", LOCAL_REFS_FAILED);
    assert_place("", root, "/a%20b%2541", LOCAL_REFS_FAILED);
    fixture_clear(&fixture);
}

/* The nearest place counts, also when it comes up later. */
static void test_nearer(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.root, "git clone -q --bare source x.git"));
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    g_autofree char *third = commit(&fixture, "echo 3 >a");
    const char *const ids[] = {second, first, third};
    g_autofree char *url = path_in(fixture.root, "x");
    observer_init(&observer, url, main_only);
    assert_result(&observer, LOCAL_REFS_READ);
    settle(&observer);
    static const char *const places[] = {"x.git/.git", "x", "x/.git"};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_free(sh(fixture.root,
                  "git clone -q --bare source '%s'; git -C '%s' update-ref "
                  "refs/heads/main %s",
                  places[i], places[i], ids[i]));
        g_assert_cmpint(look_soon(&observer), ==, LOCAL_REFS_READ);
        settle(&observer);
    }
    g_free(sh(fixture.root, "rm -r x"));
    assert_result(&observer, LOCAL_REFS_READ);
    g_free(sh(fixture.root, "mkdir x"));
    assert_result(&observer, LOCAL_REFS_SAME);
    g_free(sh(fixture.root, "rm -r x.git"));
    assert_result(&observer, LOCAL_REFS_FAILED);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

static void assert_gone(struct fixture *fixture, const char *place, const char *const *names)
{
    struct observer observer;
    g_autofree char *url = path_in(fixture->root, place);
    observer_init(&observer, url, names);
    assert_result(&observer, LOCAL_REFS_READ);
    settle(&observer);
    g_free(sh(fixture->root, "mv %s gone", place));
    assert_result(&observer, LOCAL_REFS_FAILED);
    assert_result(&observer, LOCAL_REFS_FAILED);
    g_free(sh(fixture->root, "mv gone %s", place));
    assert_result(&observer, LOCAL_REFS_READ);
    observer_clear(&observer);
}

/* Also one of which nothing was read. */
static void test_gone(void)
{
    static const char *const none[] = {"refs/heads/none", NULL};
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_free(sh(fixture.root, "git init -q --bare empty.git; git clone -q --bare source packed.git;"
                            "git -C source worktree add -q ../tree -b other"));
    assert_gone(&fixture, "tree", main_only);
    assert_gone(&fixture, "source", main_only);
    assert_gone(&fixture, "source", none);
    assert_gone(&fixture, "empty.git", none);
    assert_gone(&fixture, "empty.git", all_branches);
    assert_gone(&fixture, "packed.git", main_only);
    assert_gone(&fixture, "packed.git", none);
    fixture_clear(&fixture);
}

/* A worktree's own refs are not its branches; they are in the common directory. */
static void test_worktree(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; cd ..; git -C source commit -q --allow-empty -m x;"
                            "git -C source worktree add -q ../tree -b other"));
    g_autofree char *url = path_in(fixture.root, "tree");
    g_autofree char *common = path_in(fixture.source, ".git");
    observer_init(&observer, url, all_branches);
    assert_result(&observer, LOCAL_REFS_READ);
    g_assert_cmpuint(g_hash_table_size(observer.refs), ==, 2);
    struct stat ours, theirs;
    g_assert_cmpint(stat(local_refs_directory(observer.local), &ours), ==, 0);
    g_assert_cmpint(stat(common, &theirs), ==, 0);
    g_assert_cmpuint(ours.st_ino, ==, theirs.st_ino);
    settle(&observer);
    g_free(sh(url, "git commit -q --allow-empty -m y"));
    assert_result(&observer, LOCAL_REFS_READ);
    g_free(sh(fixture.source, "git worktree remove --force ../tree"));
    assert_result(&observer, LOCAL_REFS_FAILED);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* ---------------------------------------------------------------------------- what a look costs */

static void test_unchanged(void)
{
    static const char *const *const wanted[] = {main_only, all_branches, several};
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; git commit -q --allow-empty -m x; git branch release/1;"
                            "git branch packed; git pack-refs --all; git branch loose/a;"
                            "git symbolic-ref refs/heads/alias refs/heads/packed"));
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        struct observer observer;
        observer_init(&observer, fixture.source, wanted[i]);
        assert_result(&observer, LOCAL_REFS_READ);
        settle(&observer);
        gint64 before = count_reads(), own = count_reads() - before;
        int quiet = 0;
        for (int looks = 0; looks < 2 * LOCAL_REFS_SEARCH_EVERY; looks++) {
            gint64 begun = count_reads();
            g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_SAME);
            quiet += count_reads() - begun == own;
        }
        g_assert_cmpint(quiet, ==, 2 * LOCAL_REFS_SEARCH_EVERY - (before < 0 ? 0 : 2));
        observer_clear(&observer);
    }
    fixture_clear(&fixture);
}

static void test_thorough(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    for (int thorough = 0; thorough < 2; thorough++) {
        observer_init(&observer, fixture.source, main_only);
        local_refs_set_thorough(observer.local, thorough);
        assert_result(&observer, LOCAL_REFS_READ);
        settle(&observer);
        g_free(sh(fixture.source, "git config transfer.hideRefs refs/heads/none"));
        g_autofree char *listing = ask_git(observer.url);
        unsigned looks = 1;
        while (look_given(&observer, listing) == LOCAL_REFS_SAME) {
            looks++;
        }
        g_assert_cmpuint(looks, <=, LOCAL_REFS_CONFIGURATION_EVERY);
        g_assert_true(!thorough || looks == 1);
        g_free(sh(fixture.source, "git config --unset transfer.hideRefs"));
        observer_clear(&observer);
    }
    fixture_clear(&fixture);
}

/* A look at the loose file is enough, until that is gone. */
static void test_packed_beside_loose(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.source, "git pack-refs --all"));
    g_free(commit(&fixture, "echo 2 >a"));
    observer_init(&observer, fixture.source, main_only);
    assert_result(&observer, LOCAL_REFS_READ);
    settle(&observer);
    g_free(sh(fixture.source, "git branch other; git pack-refs --all --no-prune"));
    gint64 before = count_reads(), own = count_reads() - before, begun = count_reads();
    g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_SAME);
    g_assert_cmpint(count_reads() - begun, ==, own);
    g_free(sh(fixture.source, "rm .git/refs/heads/main"));
    assert_result(&observer, LOCAL_REFS_SAME);
    g_free(sh(fixture.source,
              "sed -i 's/^.* refs.heads.main$/%s refs\\/heads\\/main/' "
              ".git/packed-refs",
              first));
    assert_result(&observer, LOCAL_REFS_READ);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* As long as a stamp is young it proves nothing (base/stamp.h): the file is read each time. */
static void test_young(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    observer_init(&observer, fixture.source, main_only);
    local_refs_set_settle_ms(observer.local, 1000 * STAMP_SETTLE_MS);
    assert_result(&observer, LOCAL_REFS_READ);
    gint64 before = count_reads(), own = count_reads() - before;
    if (before < 0) {
        g_test_skip("the kernel does not count reads (CONFIG_TASK_IO_ACCOUNTING)");
    } else {
        for (int i = 0; i < 5; i++) {
            gint64 begun = count_reads();
            g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_SAME);
            g_assert_cmpint(count_reads() - begun, >, own);
        }
    }
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* Not as git does it, but as others do: the directory does not show it. */
static void test_written_in_place(void)
{
    static const char *const *const wanted[] = {main_only, all_branches};
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    g_autofree char *second = commit(&fixture, "echo 2 >a");
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        struct observer observer;
        g_free(sh(fixture.source, "rm -f .git/packed-refs; echo %s >.git/refs/heads/main",
                  i % 2 ? first : second));
        observer_init(&observer, fixture.source, wanted[i]);
        assert_result(&observer, LOCAL_REFS_READ);
        settle(&observer);
        g_free(sh(fixture.source, "echo %s >.git/refs/heads/main", i % 2 ? second : first));
        assert_result(&observer, LOCAL_REFS_READ);
        g_free(sh(fixture.source, "git pack-refs --all --no-prune"));
        settle(&observer);
        g_free(sh(fixture.source,
                  "rm .git/refs/heads/main; sed -i.bak 's/^[0-9a-f]* /%s /' "
                  ".git/packed-refs; cat .git/packed-refs.bak >/dev/null",
                  i % 2 ? first : second));
        assert_result(&observer, LOCAL_REFS_READ);
        settle(&observer);
        g_free(sh(fixture.source,
                  "sed 's/^[0-9a-f]* /%s /' .git/packed-refs >.git/saved; "
                  "cat .git/saved >.git/packed-refs",
                  i % 2 ? second : first));
        assert_result(&observer, LOCAL_REFS_READ);
        observer_clear(&observer);
    }
    fixture_clear(&fixture);
}

/* -------------------------------------------------------------------------- what is left to git */

static void assert_left_to_git(const char *line, const char *const *names, bool for_good)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; git commit -q --allow-empty -m x; git branch b;"
                            "git tag -a -m t v1; git tag w1"));
    g_free(sh(fixture.source, "%s", line));
    observer_init(&observer, fixture.source, names);
    assert_result(&observer, LOCAL_REFS_ASK_GIT);
    if (for_good) {
        /* what git has said stands until something changes */
        settle(&observer);
        g_free(sh(fixture.source, "git commit -q --allow-empty -m y"));
        assert_result(&observer, LOCAL_REFS_ASK_GIT);
        settle(&observer);
    } else {
        assert_result(&observer, LOCAL_REFS_ASK_GIT);
    }
    observer_clear(&observer);
    fixture_clear(&fixture);
}

static void test_left_to_git(void)
{
    static const char *const tags[] = {"refs/heads/main", "refs/tags/v*", NULL};
    assert_left_to_git("git config transfer.hideRefs refs/heads/b", all_branches, true);
    assert_left_to_git("git config uploadpack.hideRefs refs/heads/main", main_only, true);
    assert_left_to_git("git config core.repositoryFormatVersion 1; "
                       "git config extensions.worktreeConfig true; "
                       "git config --worktree transfer.hideRefs refs/heads/b",
                       main_only, true);
    assert_left_to_git("git config include.path ../hidden; git config -f .git/hidden "
                       "transfer.hideRefs refs/heads/b",
                       all_branches, false);
    assert_left_to_git(": >.git/refs/heads/b", all_branches, true);
    assert_left_to_git("echo ref: refs/heads/b >.git/refs/heads/b", all_branches, true);
    assert_left_to_git("ln -s main .git/refs/heads/link", all_branches, false);
    assert_left_to_git("cd .git/refs/heads; mv main real; ln -s real main", main_only, false);
    assert_left_to_git(
        "mkdir .git/x; cp .git/refs/heads/b .git/x/; ln -s ../../x .git/refs/heads/x", all_branches,
        false);
    assert_left_to_git(
        "git branch c/d; git pack-refs --all; git symbolic-ref refs/heads/alias "
        "refs/heads/c/d; rm -rf .git/refs/heads/c; git rev-parse main >.git/refs/heads/c",
        all_branches, true);
    assert_left_to_git("true", tags, true);
    /* a file without a word on what is peeled */
    assert_left_to_git("git pack-refs --all; sed -i -e 1d -e '/^^/d' .git/packed-refs", tags, true);
}

/* git resolves no symbolic ref to refs/heads/c/d while there is a file refs/heads/c. */
static void test_branch_in_the_way(void)
{
    static const char *const alias[] = {"refs/heads/alias", NULL};
    static const char *const both[] = {"refs/heads/alias", "refs/heads/c/d", NULL};
    static const char *const *const wanted[] = {alias, both};
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        struct fixture fixture;
        struct observer observer;
        fixture_init(&fixture);
        g_free(commit(&fixture,
                      "git commit -q --allow-empty -m x; git branch c/d; git pack-refs --all;"
                      "git symbolic-ref refs/heads/alias refs/heads/c/d;"
                      "rm -rf .git/refs/heads/c"));
        observer_init(&observer, fixture.source, wanted[i]);
        assert_result(&observer, LOCAL_REFS_READ);
        settle(&observer);
        g_free(sh(fixture.source, "git rev-parse main >.git/refs/heads/c"));
        assert_result(&observer, LOCAL_REFS_ASK_GIT);
        settle(&observer);
        g_free(sh(fixture.source, "rm .git/refs/heads/c"));
        assert_result(&observer, LOCAL_REFS_READ);
        observer_clear(&observer);
        fixture_clear(&fixture);
    }
}

static void test_peeled_tags(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_autofree char *tip = commit(&fixture, "echo 1 >a");
    g_free(sh(fixture.source, "git tag -a -m t v1; git tag v2; git tag -a -m tt v3 v1;"
                              "git pack-refs --all"));
    observer_init(&observer, fixture.source, with_tags);
    assert_result(&observer, LOCAL_REFS_READ);
    static const char *const names[] = {"refs/tags/v1", "refs/tags/v2", "refs/tags/v3"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_cmpstr(g_hash_table_lookup(observer.refs, names[i]), ==, tip);
    settle(&observer);
    g_free(sh(fixture.source, "git tag v4"));
    assert_result(&observer, LOCAL_REFS_ASK_GIT);
    settle(&observer);
    g_free(sh(fixture.source, "git pack-refs --all"));
    assert_result(&observer, LOCAL_REFS_READ);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* Git refuses the repository of another user, or reads it: once it has, files are read. */
static void test_other_owner(void)
{
    if (geteuid() != 0) {
        g_test_skip("giving files to another user needs root");
        return;
    }
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_free(sh(fixture.root, "git clone -q --bare source x.git; chown -R 65534 x.git"));
    g_autofree char *url = path_in(fixture.root, "x.git");
    observer_init(&observer, url, main_only);
    assert_result(&observer, LOCAL_REFS_ASK_GIT);
    if (!observer.refs) {
        assert_result(&observer, LOCAL_REFS_ASK_GIT);
        g_free(sh(fixture.root, "git config --global safe.directory '*'"));
        assert_result(&observer, LOCAL_REFS_ASK_GIT);
    }
    g_assert_nonnull(observer.refs);
    assert_result(&observer, LOCAL_REFS_READ);
    settle(&observer);
    g_free(sh(fixture.root, "chown -R 65533 x.git"));
    assert_result(&observer, LOCAL_REFS_ASK_GIT);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

static void test_reftable(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_autofree char *first = commit(&fixture, "echo 1 >a");
    /* git before 2.45 can't make one: what it looks like, with a git that can read it */
    g_free(sh(fixture.source, "git config core.repositoryFormatVersion 1;"
                              "git config extensions.refStorage reftable;"
                              "rm -r .git/refs/heads; echo x >.git/refs/heads; mkdir .git/reftable;"
                              "echo 1 >.git/reftable/tables.list; echo ref: refs/heads/.invalid "
                              ">.git/HEAD"));
    observer_init(&observer, fixture.source, all_branches);
    g_autofree char *listing = g_strconcat(first, "\trefs/heads/main\n", NULL);
    g_assert_cmpint(look_given(&observer, listing), ==, LOCAL_REFS_ASK_GIT);
    settle_given(&observer, listing);
    g_free(sh(fixture.source, "echo 2 >.git/reftable/tables.list.lock; "
                              "mv .git/reftable/tables.list.lock .git/reftable/tables.list"));
    g_assert_cmpint(look_given(&observer, listing), ==, LOCAL_REFS_ASK_GIT);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* ------------------------------------------------------------------------------------ histories */

/* One thing that happens to repositories; a failure (a branch that lies in the way of another) is
 * part of it. $C and $P are commits, $B a branch, $T a tag. */
static const char *const happenings[] = {
    "git update-ref refs/heads/$B $C",
    "git update-ref refs/heads/$B $C",
    "git update-ref refs/heads/$B $C",
    "git update-ref -d refs/heads/$B",
    "git update-ref -d refs/heads/$B",
    "git pack-refs --all",
    "git pack-refs --all --no-prune",
    "git symbolic-ref refs/heads/alias refs/heads/$B",
    "git symbolic-ref refs/heads/release/latest refs/heads/alias",
    "git symbolic-ref -d refs/heads/alias",
    "git update-ref refs/remotes/o/x $C; git symbolic-ref refs/heads/alias refs/remotes/o/x",
    "git update-ref refs/remotes/o/x $C",
    "git branch -M $B moved; git branch -M moved release/3",
    "git tag -f $T $C",
    "git tag -f -a -m x $T $C",
    "git tag -d $T",
    "test -f .git/refs/heads/$B && echo $C >.git/refs/heads/$B",
    "test -f .git/refs/heads/$B && : >.git/refs/heads/$B",
    "rm -f .git/refs/heads/$B",
    "rm -f .git/packed-refs",
    "sed -i 1d .git/packed-refs; grep -q '^[0-9a-f]' .git/packed-refs || rm -f .git/packed-refs",
    "echo \"$C refs/heads/$B\" >.git/packed-refs",
    "git config transfer.hideRefs refs/heads/release",
    "git worktree add -f --detach ../tree $C || git worktree prune",
    "rm -rf ../tree; git worktree prune",
    "test -L .git/refs/heads || mv .git/refs/heads .git/hidden; ln -sn ../hidden .git/refs/heads",
    "test -L .git/refs/heads && rm .git/refs/heads && mv .git/hidden .git/refs/heads",
    "mv ../source ../away",
    ("rm -rf ../copy; cp -r ../source ../copy; mv ../source ../old; mv ../copy ../source; "
     "rm -rf ../old"),
    "git update-ref refs/heads/$B $C; git pack-refs --all; git update-ref refs/heads/$B $P",
    "git config --unset-all transfer.hideRefs; find .git/refs/ -type f -empty -delete",
    "git config --unset-all transfer.hideRefs; find .git/refs/ -type f -empty -delete",
    "git config --unset-all transfer.hideRefs; find .git/refs/ -type f -empty -delete",
    "true",
    "true",
    "true",
};

static const char *const branches[] = {"main",      "feature",   "feature/x",      "feature/x/y",
                                       "release/1", "release/2", "release/latest", "a"};
static const char *const tag_names[] = {"v1", "v2", "w"};

static const char *pick(const char *const *from, size_t count)
{
    return from[g_test_rand_int_range(0, (gint32)count)];
}

static void test_histories(void)
{
    struct fixture fixture;
    struct observer observers[6];
    fixture_init(&fixture);
    g_free(sh(fixture.source, "for i in 1 2 3 4 5; do git commit -q --allow-empty -m $i; done"));
    g_autofree char *tree = path_in(fixture.root, "tree");
    observer_init(&observers[0], fixture.source, main_only);
    observer_init(&observers[1], fixture.url, all_branches);
    observer_init(&observers[2], fixture.source, several);
    observer_init(&observers[3], fixture.source, with_tags);
    observer_init(&observers[4], tree, all_branches);
    observer_init(&observers[5], tree, several);
    g_autofree char *log = sh(fixture.source, "git log --format=%%H");
    g_auto(GStrv) commits = g_strsplit(log, "\n", -1);
    int steps = g_test_thorough() ? 4000 : 250;
    for (int step = 0; step < steps; step++) {
        const char *happening = pick(happenings, G_N_ELEMENTS(happenings));
        bool is_shown_at_once = !strstr(happening, "hideRefs");
        g_autofree char *what =
            g_strdup_printf("test -d source || mv away source; cd source; C=%s; P=%s; B=%s; T=%s;"
                            "{ %s; } >/dev/null 2>&1 || :",
                            pick((const char *const *)commits, COMMITS - 1), commits[COMMITS - 1],
                            pick(branches, G_N_ELEMENTS(branches)),
                            pick(tag_names, G_N_ELEMENTS(tag_names)), happening);
        g_free(sh(fixture.root, "%s", what));
        g_autofree char *listing = ask_git(fixture.source);
        g_autofree char *tree_listing = ask_git(tree);
        for (size_t i = 0; i < G_N_ELEMENTS(observers); i++) {
            struct observer *observer = &observers[i];
            const char *truth = i < 4 ? listing : tree_listing;
            for (int looks = is_shown_at_once ? LOCAL_REFS_CONFIGURATION_EVERY - 1 : 0;
                 looks < LOCAL_REFS_CONFIGURATION_EVERY; looks++)
                look_given(observer, truth);
            GHashTable *expected = refs_of(truth, (const char *const *)observer->names);
            g_autofree char *ours = describe(observer->refs);
            g_autofree char *theirs = describe(expected);
            if (strcmp(ours, theirs) != 0)
                g_error("step %d, observer %zu: %s\nours:   %s\ntheirs: %s", step, i, what, ours,
                        theirs);
            if (expected)
                g_hash_table_unref(expected);
        }
    }
    unsigned same = 0, read = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(observers); i++) {
        const unsigned *counts = observers[i].counts;
        g_test_message("observer %zu: %u same, %u read, %u left to git, %u failed", i, counts[0],
                       counts[1], counts[2], counts[3]);
        same += counts[LOCAL_REFS_SAME];
        read += counts[LOCAL_REFS_READ];
        observer_clear(&observers[i]);
    }
    g_assert_cmpuint(same, >, (unsigned)steps);
    g_assert_cmpuint(read, >, 0);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/localrefs/places__as_git_tries_them__are_found", test_places);
    g_test_add_func("/localrefs/places__a_nearer_one_comes_up__it_counts", test_nearer);
    g_test_add_func("/localrefs/worktree__branches__are_those_of_the_repository", test_worktree);
    g_test_add_func("/localrefs/repository__gone__is_told_at_once", test_gone);
    g_test_add_func("/localrefs/look__nothing_changed__reads_nothing", test_unchanged);
    g_test_add_func("/localrefs/look__packed_refs_behind_a_loose_one_change__reads_nothing",
                    test_packed_beside_loose);
    g_test_add_func("/localrefs/configuration__changed__is_seen_in_turn_or_at_once", test_thorough);
    g_test_add_func("/localrefs/look__stamps_are_young__reads_again", test_young);
    g_test_add_func("/localrefs/look__files_written_in_place__reads_them", test_written_in_place);
    g_test_add_func("/localrefs/look__only_git_can_tell__is_left_to_git", test_left_to_git);
    g_test_add_func("/localrefs/symbolic__a_branch_in_the_way_of_its_target__is_left_to_git",
                    test_branch_in_the_way);
    g_test_add_func("/localrefs/tags__packed__are_peeled", test_peeled_tags);
    g_test_add_func("/localrefs/owner__another_user__git_decides_once", test_other_owner);
    g_test_add_func("/localrefs/reftable__changed__is_left_to_git", test_reftable);
    g_test_add_func("/localrefs/histories__at_random__as_git_tells_them", test_histories);
    return g_test_run();
}
