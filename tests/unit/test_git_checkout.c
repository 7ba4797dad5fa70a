/* The workspace is the commit's tree, whatever a step has left in it. */
#include "git_site.h"

static void test_fresh(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *first = project(&site.fixture);
    prepare(&site, first);
    assert_like_a_fresh_clone(&site, first);
    g_assert_false(site.replaced);
    g_autofree char *second =
        commit(&site.fixture,
               "git rm -q -r src/deep; echo 3 >src/a.c; echo new >new; git mv bin/run bin/go");
    prepare(&site, second);
    assert_like_a_fresh_clone(&site, second);
    prepare(&site, first);
    assert_like_a_fresh_clone(&site, first);
    /* directory <-> file, file <-> symlink, mode */
    g_autofree char *third =
        commit(&site.fixture,
               "rm -rf src linked bin/link new; echo f >src; mkdir linked; echo g >linked/x;"
               "echo h >bin/link; chmod 644 bin/go; ln -s bin new");
    prepare(&site, third);
    assert_like_a_fresh_clone(&site, third);
    prepare(&site, second);
    assert_like_a_fresh_clone(&site, second);
    g_autofree char *nothing = commit(&site.fixture, "git rm -q -r .");
    prepare(&site, nothing);
    assert_like_a_fresh_clone(&site, nothing);
    g_assert_false(site.replaced);
    struct stat status;
    g_autofree char *workspaces = path_in(site.fixture.cache, "workspaces");
    g_assert_cmpint(stat(workspaces, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0700);
    site_clear(&site);
}

/* gc removes empty directories of sections at any time, whoever holds the lock of a workspace. */
static void test_section_removed(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    g_autofree char *section = g_path_get_dirname(site.workspace);
    g_assert_cmpint(rmdir(section), ==, 0);
    prepare(&site, sha);
    assert_like_a_fresh_clone(&site, sha);
    g_assert_false(site.replaced);
    site_clear(&site);
}

/* Each line is what a step may leave behind; the next job's tree is the commit's all the same. */
static void test_dirt(void)
{
    static const char *const lines[] = {
        "echo changed >src/a.c",
        "echo 9 >src/a.c; touch -r bin/run src/a.c",
        "chmod 600 src/a.c; chmod 777 src/deep/er/b.c; chmod 4755 bin/run; chmod 000 'odd name'",
        "chmod 700 src; chmod 777 src/deep; chmod 1777 bin",
        "chmod 644 bin/run",
        "mkdir -p target/x/y; echo o >target/x/y/z; echo o >src/a.o; mkdir empty; mkdir -p "
        "src/e/m/p/t/y",
        "git init -q nested; echo x >nested/x; git -C nested add x; git -C nested commit -q -m x",
        "git init -q --bare bare.git; git init -q src/deep/er",
        "rm -rf src; echo file >src",
        "rm -rf bin; ln -s /tmp bin",
        "rm -rf src; ln -s ../../../.. src",
        "rm src/a.c; mkfifo src/a.c; mkfifo pipe",
        "rm src/a.c; ln -s /etc/passwd src/a.c",
        "rm src/a.c; mkdir -p src/a.c/d; echo x >src/a.c/d/f",
        "rm outside; echo x >outside; rm dangling; mkdir dangling",
        "rm -rf ./*; rm -rf .gitignore",
        "mkdir -p ro/sub; echo x >ro/sub/f; chmod 500 ro/sub; chmod 500 ro; chmod 500 src/deep",
        "mkdir -p no/sub; echo x >no/sub/f; chmod 000 no/sub no; chmod 000 src/deep/er; chmod 000 "
        "src",
        "ln src/a.c hard; ln src/a.c ../hard2; echo both >src/a.c; rm -f ../hard2",
        "chmod 000 .",
        "rm -rf .git",
        "rm -rf .git; ln -s /nonexistent .git",
        "rm -rf .git; echo 'gitdir: /nonexistent' >.git",
        "rm -rf .git; mkfifo .git",
        "chmod 000 .git .git/objects .git/refs",
        "touch .git/index.lock .git/HEAD.lock",
        "git update-index --skip-worktree src/a.c; echo hidden >src/a.c",
        "git update-index --assume-unchanged src/a.c; echo hidden >src/a.c",
        "mkdir -p .git/info; echo 'src/a.c' >.git/info/sparse-checkout; git config "
        "core.sparseCheckout true; rm src/a.c",
        "echo '* filter=x' >.git/info/attributes; echo '* ident' >src/.gitattributes; echo '*.c "
        "text eol=crlf' >.gitattributes",
        "git config core.worktree /; git config core.bare true",
        "printf 'x%.0s' $(seq 200) | xargs -I{} mkdir -p {}/{}; cd src; for i in $(seq 300); do "
        "mkdir d; cd d; done; echo x >f",
        "touch -- -n --force '*' '?' ' ' \"$(printf 'a\\nb')\" \"$(printf '\\377')\"",
        "touch src/.gitignore; printf '*\\n!*\\n' >src/.gitignore; touch src/ignored",
        "mv src src2; mv bin src; mv src2 bin",
    };
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_test_message("%s", lines[i]);
        const char *argv[] = {"/bin/sh", "-c", lines[i], NULL};
        int status;
        g_free(run_in(site.workspace, argv, &status));
        prepare(&site, sha);
        assert_like_a_fresh_clone(&site, sha);
        g_assert_false(site.replaced);
    }
    site_clear(&site);
}

/* A change that hides its traces: same size, same times of the file. */
static void test_hidden_change(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = commit(&site.fixture, "echo 111 >a; echo 222 >b");
    for (int i = 0; i < 20; i++) {
        prepare(&site, sha);
        g_free(sh(site.workspace,
                  "touch -r a ../stamp; echo 999 >a; touch -r ../stamp a; rm ../stamp"));
    }
    prepare(&site, sha);
    assert_like_a_fresh_clone(&site, sha);
    site_clear(&site);
}

/* DEMAND S1, S2: what a step writes into .git never runs in a git of ours. */
static void test_poisoned_git(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *canary = path_in(site.fixture.root, "canary");
    g_autofree char *first = commit(
        &site.fixture,
        "echo 1 >a; printf '*.c filter=evil diff=evil merge=evil\\n' >.gitattributes; echo x >x.c;"
        "mkdir -p lib/objects lib/refs; echo 'ref: refs/heads/main' >lib/HEAD; echo x >lib/refs/x; "
        "echo x >lib/objects/x;"
        "printf '[core]\\nfsmonitor = touch canary\\nbare = true\\n' >lib/config");
    prepare(&site, first);
    g_autofree char *config = read_text(mirror_git_dir(site.mirror), "config");
    g_autofree char *line = g_strdup_printf(
        "for k in core.fsmonitor core.sshCommand core.pager core.editor core.askPass core.gitProxy "
        "core.alternateRefsCommand "
        "diff.external filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.textconv "
        "diff.evil.command merge.evil.driver "
        "credential.helper gpg.program uploadpack.packObjectsHook remote.origin.uploadpack "
        "remote.origin.receivepack; do git config $k 'touch %s'; done;"
        "git config core.hooksPath .git/hooks;"
        "for h in post-checkout pre-commit post-merge post-index-change reference-transaction "
        "fsmonitor-watchman pre-auto-gc post-rewrite; do"
        " printf '#!/bin/sh\\ntouch %s\\n' >.git/hooks/$h; chmod 755 .git/hooks/$h; done; cp -r "
        ".git nested.git; cp -r .git/hooks .",
        canary, canary);
    for (int i = 0; i < 3; i++) {
        g_free(sh(site.workspace, "%s", line));
        g_autofree char *edit = g_strdup_printf("echo %d >a; echo %d >x.c", i + 2, i);
        g_autofree char *sha = commit(&site.fixture, edit);
        unlink(canary);
        close_site(&site);
        open_site(&site);
        prepare(&site, sha);
        assert_like_a_fresh_clone(&site, sha);
        g_assert_false(exists(site.fixture.root, "canary"));
        g_autofree char *now = read_text(mirror_git_dir(site.mirror), "config");
        g_assert_cmpstr(now, ==, config);
    }
    site_clear(&site);
}

static void test_throwaway_git(void)
{
    struct site site;
    site_init(&site);
    g_free(project(&site.fixture));
    g_free(sh(site.fixture.source, "git tag -a -m t v1.0; git tag light"));
    g_autofree char *sha = commit(&site.fixture, "echo 2 >src/a.c");
    prepare(&site, sha);
    const char *ws = site.workspace;
    g_autofree char *status = sh(ws, "git status --porcelain --ignored");
    g_assert_cmpstr(status, ==, "");
    g_autofree char *description = sh(ws, "git describe --tags --match 'v*'");
    g_assert_true(g_str_has_prefix(description, "v1.0-1-g"));
    g_autofree char *annotated = sh(ws, "git describe");
    g_assert_cmpstr(annotated, ==, description);
    g_autofree char *log = sh(ws, "git log --oneline | wc -l");
    g_assert_cmpint(atoi(log), ==, 2);
    g_autofree char *refs = sh(ws, "git rev-parse HEAD feature/x origin/feature/x | uniq");
    g_assert_cmpstr(refs, ==, sha);
    g_autofree char *symbolic = sh(ws, "git symbolic-ref -q HEAD || echo detached");
    g_assert_cmpstr(symbolic, ==, "detached");
    g_free(sh(ws, "git fsck 2>&1; git config user.name x; echo 3 >src/a.c; git commit -q -a -m "
                  "step; git tag mine; git gc -q"));
    prepare(&site, sha);
    g_autofree char *after =
        sh(ws, "git rev-parse HEAD; git status --porcelain; git tag -l mine; git config user.name");
    g_autofree char *expected = g_strconcat(sha, "\nAnn", NULL);
    g_assert_cmpstr(after, ==, expected);
    site_clear(&site);
}

static void test_keep(void)
{
    static const char *const keep[] = {
        "target/", "cache", "a/b/deep/", "src/out", "not-there", "we*ird[x]", "../outside",
        ".git",    "/etc",  "linked/",   "file.db", "n/a/b",     NULL};
    struct site site;
    site_init(&site);
    site.keep = keep;
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    g_free(sh(site.workspace,
              "mkdir -p target/sub cache a/b/deep a/b/shallow src/out we\\*ird\\[x\\] weXird[x]; "
              "echo 1 >target/sub/f; echo 1 >cache/f;"
              "echo 1 >a/b/deep/f; echo 1 >a/b/g; echo 1 >src/out/f; echo 1 >src/junk; echo 1 "
              ">we\\*ird\\[x\\]/f; echo 1 >file.db;"
              "chmod 500 target/sub; chmod 600 cache/f; git init -q target/repo; mkfifo "
              "target/fifo; mkdir -p n/a; mkdir -p sub/target; ln -s /etc target/etc"));
    prepare(&site, sha);
    g_assert_false(site.replaced);
    g_autofree char *left =
        sh(site.workspace, "ls -d target/sub/f cache/f a/b/deep/f src/out/f 'we*ird[x]/f' file.db "
                           "target/repo/.git target/fifo target/etc;"
                           "stat -c %%a target/sub cache/f; ls -d n sub a/b/g a/b/shallow src/junk "
                           "'weXird[x]' 2>/dev/null || true");
    g_assert_cmpstr(left, ==,
                    "a/b/deep/f\ncache/f\nfile.db\nsrc/out/f\ntarget/etc\ntarget/fifo\ntarget/repo/"
                    ".git\ntarget/sub/f\nwe*ird[x]/f\n500\n600");
    /* a kept path, or one above it, that became a symlink leads nowhere */
    g_free(sh(site.fixture.root, "mkdir -p elsewhere/b/deep; echo precious >elsewhere/f; echo "
                                 "precious >elsewhere/b/deep/f; chmod 700 elsewhere/b"));
    g_free(sh(site.workspace,
              "rm -rf target a cache; ln -s '%s/elsewhere' target; ln -s '%s/elsewhere' a; ln -s "
              "'%s/elsewhere' cache;"
              "rm -rf file.db; mkdir file.db; echo x >file.db/y",
              site.fixture.root, site.fixture.root, site.fixture.root));
    prepare(&site, sha);
    g_autofree char *links =
        sh(site.workspace, "ls -d target a cache 2>/dev/null || true; cat file.db/y");
    g_assert_cmpstr(links, ==, "x");
    g_autofree char *precious =
        sh(site.fixture.root, "cat elsewhere/f elsewhere/b/deep/f; stat -c %%a elsewhere/b");
    g_assert_cmpstr(precious, ==, "precious\nprecious\n700");
    site_clear(&site);
}

/* Entries of the commit inside of a kept directory are the commit's; the rest of it stays. */
static void test_keep_with_tracked_files(void)
{
    static const char *const keep[] = {"src/", NULL};
    struct site site;
    site_init(&site);
    site.keep = keep;
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    g_free(sh(site.workspace, "echo bad >src/a.c; rm src/deep/er/b.c; mkfifo src/deep/er/b.c; echo "
                              "mine >src/mine; mkdir src/deep/mine"));
    prepare(&site, sha);
    g_autofree char *text =
        sh(site.workspace,
           "cat src/a.c src/deep/er/b.c src/mine; test -d src/deep/mine; git status --porcelain");
    g_assert_cmpstr(text, ==, "1\n2\nmine\n?? src/mine");
    site_clear(&site);
}

/* DEMAND F3 */
static void test_line_endings(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *plain =
        commit(&site.fixture, "printf 'a\\nb\\n' >unix; printf 'a\\r\\nb\\r\\n' >dos; printf "
                              "'a\\r\\nb\\n' >mixed; echo '$Id$' >id");
    g_autofree char *crlf =
        sh(site.fixture.source, "printf '* text eol=crlf\\n' >.gitattributes; git add "
                                ".gitattributes; git commit -q -m x; git rev-parse HEAD");
    g_autofree char *automatic =
        sh(site.fixture.source, "printf '* text=auto\\nid ident\\n' >.gitattributes; git add "
                                ".gitattributes; git commit -q -m x; git rev-parse HEAD");
    g_autofree char *normal =
        sh(site.fixture.source,
           "git add --renormalize .; git commit -q --allow-empty -m x; git rev-parse HEAD");
    g_autofree char *unnormal =
        sh(site.fixture.source, "printf '* -text\\n' >.gitattributes; printf 'a\\r\\nb\\r\\n' "
                                ">dos; git add -A; git commit -q --allow-empty -m x;"
                                "printf 'dos text\\nsub/* eol=crlf\\n' >.gitattributes; git add "
                                ".gitattributes; git commit -q -m y; git rev-parse HEAD");
    const char *const shas[] = {plain, crlf, automatic, normal, unnormal};
    for (size_t i = 0; i < G_N_ELEMENTS(shas); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(shas); j++) {
            prepare(&site, shas[i]);
            prepare(&site, shas[j]);
            g_assert_false(site.replaced);
            assert_like_a_fresh_clone(&site, shas[j]);
        }
        prepare(&site, shas[i]);
        g_free(sh(site.workspace, "chmod 600 dos; echo x >>mixed; touch unix"));
        prepare(&site, shas[i]);
        assert_like_a_fresh_clone(&site, shas[i]);
    }
    site_clear(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_checkout/tree__F4_commits_in_any_order__is_a_fresh_clone", test_fresh);
    g_test_add_func("/git_checkout/tree__section_removed_after_opening__is_a_fresh_clone",
                    test_section_removed);
    g_test_add_func("/git_checkout/tree__F1_dirt_of_every_kind__is_a_fresh_clone", test_dirt);
    g_test_add_func("/git_checkout/tree__hidden_change__is_undone", test_hidden_change);
    g_test_add_func("/git_checkout/git__S1_S2_poisoned__runs_nothing", test_poisoned_git);
    g_test_add_func("/git_checkout/git__of_the_workspace__is_good_for_steps", test_throwaway_git);
    g_test_add_func("/git_checkout/keep__paths__survive_and_lead_nowhere", test_keep);
    g_test_add_func("/git_checkout/keep__with_tracked_files__these_are_the_commits",
                    test_keep_with_tracked_files);
    g_test_add_func("/git_checkout/tree__F3_line_endings__is_a_fresh_clone", test_line_endings);
    return g_test_run();
}
