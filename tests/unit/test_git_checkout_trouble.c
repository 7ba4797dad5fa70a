/* Torn mirrors, killed jobs, files of others: what a checkout makes of trouble. */
#include <grp.h>
#include <signal.h>

#include "git_site.h"

/* DEMAND F2: our own index, cut off or locked by a git that was killed. */
static void test_torn_index(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    g_autofree char *index = path_in(site.fixture.cache, "checkouts/app/feature%2Fx/index");
    g_autofree char *lock = g_strconcat(index, ".lock", NULL);
    for (int size = 0; size < 120; size += 40) {
        prepare(&site, sha);
        g_assert_cmpint(truncate(index, size), ==, 0);
        g_file_set_contents(lock, "", 0, NULL);
        prepare(&site, sha);
        assert_like_a_fresh_clone(&site, sha);
        g_assert_false(site.replaced);
    }
    site_clear(&site);
}

/* DEMAND F2: a job that is killed at any instant, its git with it, leaves nothing that stops the
 * next one. */
static void test_killed(void)
{
    struct site site;
    site_init(&site);
    const char *root = site.fixture.root;
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    for (int i = 0; i < 30; i++) {
        g_autofree char *edit =
            g_strdup_printf("for f in $(seq 60); do echo %d $f >src/$f.c; done", i);
        g_autofree char *next = commit(&site.fixture, edit);
        close_site(&site);
        fflush(NULL);
        pid_t pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
            open_site(&site);
            prepare(&site, next);
            _exit(0);
        }
        g_usleep((gulong)g_random_int_range(1000, 150000)); /* any instant will do */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        open_site(&site);
        prepare(&site, next);
        assert_like_a_fresh_clone(&site, next);
        g_assert_false(site.replaced);
        g_assert_false(site.rebuilt);
    }
    g_autofree char *left = sh(root, "find cache -name 'tmp_*' -o -name '*.lock' -size +0; ls -d "
                                     "cache/trash 2>/dev/null || true");
    g_assert_cmpstr(left, ==, "");
    site_clear(&site);
}

/* DEMAND A4: any file of the mirror, emptied or cut in half, costs at most one new mirror. */
static void test_torn_mirror(void)
{
    struct site site;
    site_init(&site);
    const char *root = site.fixture.root;
    g_autofree char *first = project(&site.fixture);
    g_free(
        sh(site.fixture.source,
           "git tag -a -m t v1; echo more >more; git add more; git commit -q -m more; git tag v2"));
    g_autofree char *second = sh(site.fixture.source, "git rev-parse HEAD");
    prepare(&site, first);
    g_free(sh(mirror_git_dir(site.mirror), "git --git-dir=. pack-refs --all"));
    prepare(&site, second);
    g_autofree char *third = commit(&site.fixture, "echo third >src/a.c");
    g_autofree char *git_dir = g_strdup(mirror_git_dir(site.mirror));
    g_free(sh(root, "cp -a '%s' good", git_dir));
    g_autofree char *list = sh(root, "cd good; find . -type f | sort");
    g_auto(GStrv) files = g_strsplit(list, "\n", -1);
    g_assert_cmpuint(g_strv_length(files), >=, 7);
    const char *const shas[] = {second, third};
    unsigned rebuilds = 0;
    for (char **file = files; *file; file++) {
        for (int divisor = 0; divisor < 3; divisor += 2) {
            for (size_t i = 0; i < G_N_ELEMENTS(shas); i++) {
                g_test_message("%s, 1/%d, commit %zu", *file, divisor, i);
                close_site(&site);
                g_free(
                    sh(root,
                       "rm -rf '%s' cache/workspaces cache/checkouts cache/trash; cp -a good '%s'",
                       git_dir, git_dir));
                g_free(sh(git_dir, "chmod u+w '%s'; size=$(stat -c %%s '%s'); truncate -s %s '%s'",
                          *file, *file, divisor ? "$((size / 2))" : "0", *file));
                open_site(&site);
                prepare(&site, shas[i]);
                assert_like_a_fresh_clone(&site, shas[i]);
                g_autofree char *trash = sh(root, "ls cache/trash 2>/dev/null | wc -l");
                g_assert_cmpint(atoi(trash), <=, 1);
                rebuilds += (unsigned)atoi(trash);
                g_autofree char *status =
                    sh(site.workspace, "git status --porcelain; git log -1 --format=%%H");
                g_assert_cmpstr(status, ==, shas[i]);
                /* and again, without a new mirror */
                prepare(&site, first);
                prepare(&site, shas[i]);
                g_assert_false(site.rebuilt);
            }
        }
    }
    g_assert_cmpuint(rebuilds, >, 0);
    site_clear(&site);
}

static void test_submodules(void)
{
    struct site site;
    site_init(&site);
    const char *root = site.fixture.root;
    g_free(sh(root,
              "git init -q inner; cd inner; echo in >in; git add in; git commit -q -m in; cd ..;"
              "git init -q lib; cd lib; echo 1 >lib.c; git submodule -q add ../inner inner; git "
              "add -A; git commit -q -m lib"));
    g_autofree char *line =
        g_strdup_printf("echo 1 >a; git submodule -q add file://%s/lib vendor/lib", root);
    g_autofree char *sha = commit(&site.fixture, line);
    /* off: an empty directory, as in a fresh clone, and what a step puts there goes */
    prepare(&site, sha);
    assert_like_a_fresh_clone(&site, sha);
    g_free(
        sh(site.workspace, "echo x >vendor/lib/x; git init -q vendor/lib; chmod 700 vendor/lib"));
    prepare(&site, sha);
    assert_like_a_fresh_clone(&site, sha);
    g_assert_false(exists(site.workspace, ".git/modules"));
    site.submodules = true;
    for (int i = 0; i < 2; i++) {
        prepare(&site, sha);
        g_autofree char *text = sh(site.workspace, "cat vendor/lib/lib.c; git status --porcelain; "
                                                   "git submodule status --recursive | wc -l");
        g_assert_cmpstr(text, ==, "1\n2");
        g_free(sh(site.workspace,
                  "echo bad >vendor/lib/lib.c; echo junk >vendor/lib/junk; git -C vendor/lib "
                  "config core.fsmonitor 'touch %s/canary'",
                  root));
    }
    g_assert_false(exists(root, "canary"));
    /* a submodule that can't be had fails the checkout */
    g_free(sh(root, "mv lib gone"));
    GError *error = NULL;
    g_assert_false(prepare_with(&site, sha, limits, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "submodules");
    g_clear_error(&error);
    /* DEMAND S4, S5: other transports and commands in .gitmodules */
    g_free(sh(root, "mv gone lib"));
    g_free(sh(root, "git config --global protocol.ext.allow always"));
    g_autofree char *evil = g_strdup_printf(
        "git config -f .gitmodules submodule.vendor/lib.url 'ext::sh -c touch%% %s/canary'", root);
    g_autofree char *with_ext = commit(&site.fixture, evil);
    g_assert_false(prepare_with(&site, with_ext, limits, &error));
    assert_error_code(error, ERROR_REMOTE);
    g_clear_error(&error);
    g_autofree char *update =
        g_strdup_printf("git config -f .gitmodules submodule.vendor/lib.url file://%s/lib;"
                        "git config -f .gitmodules submodule.vendor/lib.update '!touch %s/canary'",
                        root, root);
    g_autofree char *with_update = commit(&site.fixture, update);
    g_assert_false(prepare_with(&site, with_update, limits, &error));
    g_clear_error(&error);
    g_assert_false(exists(root, "canary"));
    site_clear(&site);
}

/* A tree that git refuses to check out, as S2 and S5 need them: no .git, no "..", and no new mirror
 * for it. */
static void test_invalid_tree(void)
{
    struct site site;
    site_init(&site);
    g_free(project(&site.fixture));
    g_autofree char *sha = sh(
        site.fixture.source, "blob=$(echo x | git hash-object -w --stdin); sub=$(printf \"100644 "
                             "blob $blob\\tconfig\\n\" | git mktree);"
                             "tree=$(printf \"040000 tree $sub\\t.git\\n\" | git mktree); c=$(git "
                             "commit-tree -m x $tree); git update-ref refs/heads/main $c; echo $c");
    GError *error = NULL;
    g_assert_false(prepare_with(&site, sha, limits, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(exists(site.fixture.cache, "trash"));
    g_assert_false(exists(site.workspace, ".git"));
    site_clear(&site);
}

static void test_limits(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    GError *error = NULL;
    g_assert_false(prepare_with(
        &site, sha, (struct git_limits){.timeout_ms = -1, .cancel_fd = ends[0]}, &error));
    assert_error_code(error, ERROR_CANCELED);
    g_clear_error(&error);
    g_assert_false(
        prepare_with(&site, sha, (struct git_limits){.timeout_ms = 0, .cancel_fd = -1}, &error));
    assert_error_code(error, ERROR_LIMIT);
    g_clear_error(&error);
    g_assert_false(exists(site.fixture.cache, "trash"));
    prepare(&site, sha);
    assert_like_a_fresh_clone(&site, sha);
    close(ends[0]);
    close(ends[1]);
    site_clear(&site);
}

static void test_lock_and_names(void)
{
    struct site site;
    site_init(&site);
    GError *error = NULL;
    g_assert_null(checkout_open(site.fixture.cache, "app", "feature/x", &error));
    assert_error_code(error, ERROR_BUSY);
    g_clear_error(&error);
    static const char *const names[][2] = {
        {"app", "main"},    {"app", "feature/y"}, {"app", "feature%2Fx"},
        {"app", "feature"}, {"App", "main"},      {"..", "main"},
        {"app", ".."},      {"app/feature", "x"}, {"app", "a;b$(id)"}};
    struct checkout *open[G_N_ELEMENTS(names)];
    g_autofree char *workspaces = g_strconcat(site.fixture.cache, "/workspaces/", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        open[i] = checkout_open(site.fixture.cache, names[i][0], names[i][1], &error);
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(checkout_path(open[i]), workspaces));
        g_auto(GStrv) parts = g_strsplit(checkout_path(open[i]) + strlen(workspaces), "/", -1);
        g_assert_cmpuint(g_strv_length(parts), ==, 2);
        g_assert_null(strstr(checkout_path(open[i]) + strlen(workspaces), ".."));
        for (size_t j = 0; j < i; j++)
            g_assert_cmpstr(checkout_path(open[i]), !=, checkout_path(open[j]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        checkout_close(open[i]);
    checkout_close(NULL);
    site_clear(&site);
}

/* A step can rename the workspace itself and put something else in its place. */
static void test_workspace_itself(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    static const char link[] =
        "rm -rf \"$w\"; mkdir -p \"$r/elsewhere\"; echo p >\"$r/elsewhere/p\";"
        "ln -s \"$r/elsewhere\" \"$w\"";
    const char *const swaps[] = {link, "rm -rf \"$w\"; echo file >\"$w\"",
                                 "rm -rf \"$w\"; mkfifo \"$w\""};
    for (size_t i = 0; i < G_N_ELEMENTS(swaps); i++) {
        prepare(&site, sha);
        g_free(sh(site.fixture.root, "w='%s'; r='%s'; %s", site.workspace, site.fixture.root,
                  swaps[i]));
        prepare(&site, sha);
        g_assert_true(site.replaced);
        assert_like_a_fresh_clone(&site, sha);
    }
    g_autofree char *elsewhere = sh(site.fixture.root, "ls -A elsewhere");
    g_assert_cmpstr(elsewhere, ==, "p");
    g_assert_cmpuint(checkout_empty_trash(site.fixture.cache), ==, 0);
    g_autofree char *trash = sh(site.fixture.root, "ls -A cache/trash; cat elsewhere/p");
    g_assert_cmpstr(trash, ==, "p");
    site_clear(&site);
}

/* DEMAND F1: immutable files, where the file system and our rights allow to make some. */
static void test_immutable(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    const char *argv[] = {"/bin/sh", "-c", "mkdir stuck; echo x >stuck/f; chattr +i stuck/f", NULL};
    int status;
    g_free(run_in(site.workspace, argv, &status));
    if (status != 0) {
        g_test_skip("chattr +i does not work here");
        site_clear(&site);
        return;
    }
    prepare(&site, sha);
    g_assert_true(site.replaced);
    assert_like_a_fresh_clone(&site, sha);
    g_assert_cmpuint(checkout_empty_trash(site.fixture.cache), ==, 1);
    g_free(sh(site.fixture.root, "chattr -R -f -i cache/trash || true"));
    g_assert_cmpuint(checkout_empty_trash(site.fixture.cache), ==, 0);
    site_clear(&site);
}

enum { ORDINARY_UID = 65534 };

/* Runs `body` as an ordinary user, with a directory of its own. */
static void as_ordinary_user(void (*body)(void))
{
    if (geteuid() != 0) {
        body();
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) != 0 ||
            setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) != 0)
            _exit(77);
        body();
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("can't become an ordinary user");
    else
        g_assert_cmpint(status, ==, 0);
}

static void unreadable_directories(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    static const char *const lines[] = {
        "mkdir -p ro/sub; echo x >ro/sub/f; chmod 500 ro/sub; chmod 500 ro; chmod 500 src/deep/er "
        "src/deep src .",
        "mkdir -p no/sub; echo x >no/sub/f; chmod 000 no/sub; chmod 000 no; chmod 000 src/deep/er; "
        "chmod 000 src",
        "chmod 000 src/a.c bin/run .gitignore",
        "chmod 000 .git; chmod 000 .",
        "mkdir -p target/x; echo k >target/x/k; chmod 500 target/x",
    };
    static const char *const keep[] = {"target/", NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        prepare(&site, sha);
        g_free(sh(site.workspace, "%s", lines[i]));
        site.keep = i == 4 ? keep : NULL;
        prepare(&site, sha);
        g_assert_false(site.replaced);
        if (i < 4)
            assert_like_a_fresh_clone(&site, sha);
    }
    g_autofree char *kept =
        sh(site.workspace, "cat target/x/k; stat -c %%a target/x; chmod 700 target/x");
    g_assert_cmpstr(kept, ==, "k\n500");
    site_clear(&site);
}

static void test_unreadable_directories(void)
{
    as_ordinary_user(unreadable_directories);
}

/* The part of the ordinary user; root does its own when it has read the path. */
static void foreign_files_as_user(int to_root, int from_root)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    prepare(&site, sha);
    g_autofree char *message = g_strconcat(site.fixture.root, "\n", site.workspace, NULL);
    g_assert_cmpint(write(to_root, message, strlen(message) + 1), >, 0);
    char byte;
    g_assert_cmpint(read(from_root, &byte, 1), ==, 1);
    prepare(&site, sha);
    g_assert_true(site.replaced);
    assert_like_a_fresh_clone(&site, sha);
    prepare(&site, sha);
    g_assert_false(site.replaced);
    g_assert_cmpuint(checkout_empty_trash(site.fixture.cache), ==, 1);
    close_site(&site);
}

/* DEMAND F1: what another user left (a step in a container, say) does not stop the next job. */
static void test_foreign_files(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can make files of another user");
        return;
    }
    int up[2], down[2];
    g_assert_cmpint(pipe(up), ==, 0);
    g_assert_cmpint(pipe(down), ==, 0);
    fflush(NULL);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) != 0 ||
            setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID) != 0)
            _exit(77);
        foreign_files_as_user(up[1], down[0]);
        _exit(0);
    }
    close(up[1]);
    char message[4096] = "";
    if (read(up[0], message, sizeof message - 1) > 0) {
        g_auto(GStrv) paths = g_strsplit(message, "\n", 2);
        g_free(sh(
            paths[1],
            "mkdir -p theirs/sub; echo x >theirs/sub/f; chmod 700 theirs; chown -R 0:0 src/deep"));
        g_assert_cmpint(write(down[1], "x", 1), ==, 1);
        int status = 0;
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        g_assert_true(file_remove_tree_at_path(paths[0], NULL));
    } else {
        waitpid(pid, NULL, 0);
        g_test_skip("can't become an ordinary user");
    }
    close(up[0]);
    close(down[0]);
    close(down[1]);
}

/* Modes do not hang on the umask of the process. */
static void test_umask(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *sha = project(&site.fixture);
    mode_t old = umask(077);
    prepare(&site, sha);
    g_assert_cmpint(umask(old), ==, 077);
    assert_like_a_fresh_clone(&site, sha);
    site_clear(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_checkout_trouble/index__F2_torn_or_locked__is_made_anew",
                    test_torn_index);
    g_test_add_func("/git_checkout_trouble/job__F2_killed_at_any_instant__stops_nobody",
                    test_killed);
    g_test_add_func("/git_checkout_trouble/mirror__A4_any_file_torn__costs_one_rebuild",
                    test_torn_mirror);
    g_test_add_func("/git_checkout_trouble/submodules__S4_S5__only_when_asked_and_safe",
                    test_submodules);
    g_test_add_func("/git_checkout_trouble/tree__S5_invalid_paths__is_refused", test_invalid_tree);
    g_test_add_func("/git_checkout_trouble/limits__time_and_cancel__lose_nothing", test_limits);
    g_test_add_func("/git_checkout_trouble/lock__second_user__is_busy_and_names_are_distinct",
                    test_lock_and_names);
    g_test_add_func("/git_checkout_trouble/workspace__S24_replaced_by_a_step__is_set_aside",
                    test_workspace_itself);
    g_test_add_func("/git_checkout_trouble/workspace__F1_immutable_file__is_set_aside",
                    test_immutable);
    g_test_add_func("/git_checkout_trouble/workspace__F1_unreadable_directories__are_cleaned",
                    test_unreadable_directories);
    g_test_add_func("/git_checkout_trouble/workspace__F1_files_of_another_user__is_set_aside",
                    test_foreign_files);
    g_test_add_func("/git_checkout_trouble/modes__umask__does_not_matter", test_umask);
    return g_test_run();
}
