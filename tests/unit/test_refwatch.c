#include "git_fixture.h"

#ifdef __linux__

#include <poll.h>

#include "poll/refwatch.h"

/* Who was called, in the order of the calls: a letter an owner, in capitals when the watch was
 * lost. Owners are strings of one letter. */
struct calls {
    GString *text;
    struct refwatch *watch;
    const char *again; /* this directory is watched anew when a watch was lost, or NULL */
};

static char owner_a[] = "a", owner_b[] = "b";

static int compare_letters(const void *left, const void *right)
{
    return *(const char *)left - *(const char *)right;
}

static void note(void *owner, bool lost, void *data)
{
    struct calls *calls = data;
    char letter = *(const char *)owner;
    g_string_append_c(calls->text, lost ? g_ascii_toupper(letter) : letter);
    if (lost && calls->again)
        g_assert_true(refwatch_add(calls->watch, owner, calls->again, true, NULL));
}

/* What one take tells, after everything has happened. */
static void assert_take(struct refwatch *watch, const char *expected)
{
    struct calls calls = {.text = g_string_new(NULL)};
    refwatch_take(watch, note, &calls);
    qsort(calls.text->str, calls.text->len, 1, compare_letters);
    g_assert_cmpstr(calls.text->str, ==, expected);
    g_string_free(calls.text, TRUE);
}

static void assert_quiet(struct refwatch *watch)
{
    struct pollfd fd = {.fd = refwatch_fd(watch), .events = POLLIN};
    g_assert_cmpint(poll(&fd, 1, 0), ==, 0);
}

static struct refwatch *watch_new(void)
{
    GError *error = NULL;
    struct refwatch *watch = refwatch_new(&error);
    g_assert_no_error(error);
    g_assert_nonnull(watch);
    return watch;
}

static void add(struct refwatch *watch, void *owner, const char *directory, bool tags)
{
    GError *error = NULL;
    g_assert_true(refwatch_add(watch, owner, directory, tags, &error));
    g_assert_no_error(error);
}

/* How many directories the kernel watches for it (Linux). */
static unsigned count_watches(const struct refwatch *watch)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", refwatch_fd(watch));
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) parts = g_strsplit(text, "inotify wd:", -1);
    return g_strv_length(parts) - 1;
}

struct site {
    struct fixture fixture;
    char *bare; /* what `source` pushes to */
    struct refwatch *watch;
};

static void site_init(struct site *site)
{
    fixture_init(&site->fixture);
    g_free(commit(&site->fixture, "echo 1 >a"));
    g_free(sh(site->fixture.root, "git clone -q --bare source bare.git; "
                                  "git -C source remote add origin ../bare.git"));
    site->bare = path_in(site->fixture.root, "bare.git");
    site->watch = watch_new();
}

static void site_clear(struct site *site)
{
    refwatch_free(site->watch);
    fixture_clear(&site->fixture);
    g_free(site->bare);
}

/* Something that happens in `source` or, with "cd ../bare.git" in front, in the bare repository. */
static void assert_told(struct site *site, const char *line, const char *expected)
{
    g_free(sh(site->fixture.source, "%s", line));
    assert_take(site->watch, expected);
    /* The kernel says that a watch is gone, also when it was taken away. */
    if (strchr(expected, 'A'))
        assert_take(site->watch, "");
    assert_quiet(site->watch);
}

/* ---------------------------------------------------------------------------------------- tests */

static void test_push(void)
{
    struct site site;
    site_init(&site);
    add(site.watch, owner_a, site.bare, false);
    assert_quiet(site.watch);
    assert_told(&site, "git commit -q --allow-empty -m x; git push -q origin main", "a");
    assert_told(&site, "git push -q origin main", "");
    assert_told(&site, "git push -q --force origin HEAD~1:main", "a");
    assert_told(&site, "git push -q origin main:other", "a");
    assert_told(&site, "git push -q origin :other", "a");
    assert_told(&site, "cd ../bare.git; git pack-refs --all", "a");
    assert_told(&site, "cd ../bare.git; git update-ref -d refs/heads/main", "a");
    assert_told(&site, "cd ../bare.git; git config transfer.hideRefs x", "a");
    assert_told(&site, "C=$(git rev-parse HEAD); cd ../bare.git; echo $C >refs/heads/written", "a");
    assert_told(&site, "C=$(git rev-parse HEAD); cd ../bare.git; echo $C >refs/heads/written", "a");
    assert_told(&site, "git tag v1; git push -q origin v1", "");
    site_clear(&site);
}

/* Each of these would wake for nothing. */
static void test_nothing(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *directory = path_in(site.fixture.source, ".git");
    add(site.watch, owner_a, directory, true);
    assert_told(&site, "git status; git log; git ls-remote .; git fsck 2>&1; git gc --auto", "");
    assert_told(&site, "echo 2 >a; git add a; git stash list; git diff --cached", "");
    assert_told(&site, "git checkout -q --detach", "");
    assert_told(&site, "git fetch -q origin; git update-ref refs/other/x HEAD", "");
    assert_told(&site, ": >.git/refs/heads/main.lock; rm .git/refs/heads/main.lock", "");
    assert_told(&site, "git checkout -q main; git commit -q -m x", "a");
    site_clear(&site);
}

static void test_directories(void)
{
    struct site site;
    site_init(&site);
    add(site.watch, owner_a, site.bare, false);
    for (int i = 0; i < 3; i++) {
        assert_told(&site, "git push -q origin main:feature/a/b/c", "a");
        assert_told(&site, "git push -q origin main:feature/a/b/d", "a");
        assert_told(&site,
                    "git commit -q --allow-empty -m x; git push -q origin "
                    "main:feature/a/b/c",
                    "a");
        assert_told(&site, "git push -q origin :feature/a/b/c :feature/a/b/d", "a");
        /* git leaves empty directories; what stands in their way goes */
        assert_told(&site, "git push -q origin main:feature", "a");
        assert_told(&site, "git push -q origin :feature", "a");
    }
    assert_told(&site, "cd ../bare.git/refs/heads; mkdir -p x/y/z; cp ../../HEAD x/y/z/h", "a");
    assert_told(&site, "cd ../bare.git/refs/heads; echo >x/y/z/h", "a");
    assert_told(&site, "cd ../bare.git; mkdir moved; mkdir moved/below; mv moved refs/heads", "a");
    assert_told(&site, "cd ../bare.git/refs/heads; echo >moved/below/x", "a");
    /* what is below has another path now, and so has the watch */
    assert_told(&site, "cd ../bare.git/refs/heads; mv moved renamed", "A");
    assert_told(&site,
                "cd ../bare.git/refs/heads; rm -r renamed x; cd -; git push -q origin main:later",
                "");
    site_clear(&site);
}

static void test_tags(void)
{
    struct site site;
    site_init(&site);
    add(site.watch, owner_a, site.bare, true);
    add(site.watch, owner_b, site.bare, false);
    assert_told(&site, "git tag v1; git push -q origin v1", "a");
    assert_told(&site, "git tag x/v2; git push -q origin x/v2", "a");
    assert_told(&site, "git push -q origin :v1", "a");
    add(site.watch, owner_a, site.bare, false);
    assert_told(&site, "git push -q origin v1", "");
    site_clear(&site);
}

static void test_owners(void)
{
    struct site site;
    site_init(&site);
    g_free(sh(site.fixture.root, "ln -s bare.git link"));
    g_autofree char *link = path_in(site.fixture.root, "link");
    refwatch_remove(site.watch, owner_a);
    add(site.watch, owner_a, site.bare, false);
    add(site.watch, owner_b, link, false);
    g_assert_cmpuint(count_watches(site.watch), ==, 2);
    static const char push[] = "git commit -q --allow-empty -m x; git push -q origin main:f/x";
    assert_told(&site, push, "ab");
    assert_told(&site, push, "ab");
    add(site.watch, owner_a, site.bare, false);
    assert_told(&site, push, "ab");
    refwatch_remove(site.watch, owner_b);
    assert_told(&site, push, "a");
    /* events that came before count for nobody */
    g_free(sh(site.fixture.source, "%s", push));
    refwatch_remove(site.watch, owner_a);
    assert_take(site.watch, "");
    g_assert_cmpuint(count_watches(site.watch), ==, 0);
    assert_told(&site, push, "");
    site_clear(&site);
}

static void remove_other(void *owner, bool lost, void *data)
{
    struct calls *calls = data;
    note(owner, lost, data);
    refwatch_remove(calls->watch, owner == owner_a ? owner_b : owner_a);
}

/* Who is added is told to look, and needs no call for what was before. */
static void renew_both(void *owner, bool lost, void *data)
{
    struct calls *calls = data;
    note(owner, lost, data);
    add(calls->watch, owner_a, calls->again, false);
    add(calls->watch, owner_b, calls->again, false);
}

static void test_change_while_told(void)
{
    struct site site;
    site_init(&site);
    struct calls calls = {.text = g_string_new(NULL), .watch = site.watch, .again = site.bare};
    add(site.watch, owner_a, site.bare, false);
    add(site.watch, owner_b, site.bare, false);
    g_free(sh(site.fixture.source, "git push -q origin main:x"));
    refwatch_take(site.watch, renew_both, &calls);
    g_assert_cmpuint(calls.text->len, ==, 1);
    assert_told(&site, "git push -q origin main:y", "ab");
    g_free(sh(site.fixture.source, "git push -q origin main:z"));
    refwatch_take(site.watch, remove_other, &calls);
    g_assert_cmpuint(calls.text->len, ==, 2);
    g_string_free(calls.text, TRUE);
    site_clear(&site);
}

static void test_lost(void)
{
    struct site site;
    site_init(&site);
    static const char *const accidents[] = {
        "cd ..; mv bare.git away.git",
        "cd ..; rm -rf bare.git",
        "cd ../bare.git/refs; mv heads away",
        "rm -rf ../bare.git/refs/heads",
        "cd ../bare.git/refs; rm -rf heads; echo >heads",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(accidents); i++) {
        g_free(sh(site.fixture.root, "rm -rf bare.git; git clone -q --bare source bare.git"));
        add(site.watch, owner_a, site.bare, false);
        assert_told(&site, accidents[i], "A");
        g_assert_cmpuint(count_watches(site.watch), ==, 0);
    }
    g_free(sh(site.fixture.root, "rm -rf bare.git; git clone -q --bare source bare.git; "
                                 "cp -r bare.git copy.git"));
    add(site.watch, owner_a, site.bare, true);
    g_free(sh(site.fixture.root, "mv bare.git old.git; mv copy.git bare.git"));
    struct calls calls = {.text = g_string_new(NULL), .watch = site.watch, .again = site.bare};
    refwatch_take(site.watch, note, &calls);
    g_assert_cmpstr(calls.text->str, ==, "A");
    g_string_free(calls.text, TRUE);
    assert_told(&site, "git push -q origin main:x", "a");
    site_clear(&site);
}

/* Directories that come while the queue of the kernel is full are not told of. */
static void test_overflow(void)
{
    struct site site;
    site_init(&site);
    g_free(sh(site.fixture.root, "git clone -q --bare source other.git"));
    g_autofree char *other = path_in(site.fixture.root, "other.git");
    add(site.watch, owner_a, site.bare, false);
    add(site.watch, owner_b, other, false);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/sys/fs/inotify/max_queued_events", &text, NULL, NULL));
    gint64 most = g_ascii_strtoll(text, NULL, 10);
    g_autofree char *x = path_in(site.bare, "refs/heads/x.lock");
    g_autofree char *y = path_in(site.bare, "refs/heads/y.lock");
    g_assert_true(g_file_set_contents(x, "", 0, NULL));
    /* two events each, none like the one before it */
    for (gint64 i = 0; i < most; i++)
        g_assert_cmpint(i % 2 ? rename(y, x) : rename(x, y), ==, 0);
    struct calls calls = {.text = g_string_new(NULL)};
    refwatch_take(site.watch, note, &calls);
    g_assert_cmpuint(calls.text->len, ==, 2);
    g_assert_nonnull(strchr(calls.text->str, 'A'));
    g_assert_nonnull(strchr(calls.text->str, 'B'));
    g_string_free(calls.text, TRUE);
    g_assert_cmpuint(count_watches(site.watch), ==, 0);
    site_clear(&site);
}

static void test_burst(void)
{
    struct site site;
    site_init(&site);
    add(site.watch, owner_a, site.bare, false);
    assert_told(&site,
                "C=$(git rev-parse HEAD); cd ../bare.git; for i in $(seq 1000); do "
                "echo \"create refs/heads/b/$i $C\"; done | git update-ref --stdin",
                "a");
    assert_told(&site, "cd ../bare.git; git pack-refs --all", "a");
    site_clear(&site);
}

static void assert_refused(struct site *site, const char *directory, int code, const char *part)
{
    GError *error = NULL;
    g_assert_false(refwatch_add(site->watch, owner_a, directory, false, &error));
    assert_error_code(error, code);
    assert_contains(error->message, part);
    g_clear_error(&error);
    g_assert_cmpuint(count_watches(site->watch), ==, 0);
}

static void test_refused(void)
{
    struct site site;
    site_init(&site);
    g_autofree char *missing = path_in(site.fixture.root, "missing");
    g_autofree char *heads = path_in(site.bare, "refs/heads");
    assert_refused(&site, missing, ERROR_NOT_FOUND, "missing");
    assert_refused(&site, site.fixture.source, ERROR_NOT_FOUND, "refs/heads");
    g_free(sh(site.bare, "ln -s ../../objects refs/heads/link"));
    assert_refused(&site, site.bare, ERROR_INVALID, "link");
    g_free(sh(site.bare, "rm refs/heads/link"));
    for (int i = 0; i < REFWATCH_MAX_DIRECTORIES; i++) {
        g_autofree char *path = g_strdup_printf("%s/d%d", heads, i);
        g_assert_cmpint(mkdir(path, 0777), ==, 0);
    }
    assert_refused(&site, site.bare, ERROR_LIMIT, "5000");
#ifdef PHANTOM_CI_FAULTS
    g_setenv("PHANTOM_CI_FAULT", "refwatch.add:*:ENOSPC", TRUE);
    assert_refused(&site, site.bare, ERROR_LIMIT, "max_user_watches");
    g_unsetenv("PHANTOM_CI_FAULT");
#endif
    site_clear(&site);
}

/* Directories come and go while they are being added: in the end all that are there are watched. */
static void test_moving(void)
{
    struct site site;
    site_init(&site);
    add(site.watch, owner_a, site.bare, false);
    const char *argv[] = {"/bin/sh", "-c",
                          "C=$(git rev-parse HEAD); for i in 1 2 3 4 5 6 7 8; do "
                          "for n in a/b/c a/b a x/y/z x/y/w x; do "
                          "echo \"create refs/heads/$n $C\" | git update-ref --stdin; "
                          "test $i = 4 && git pack-refs --all; "
                          "echo \"delete refs/heads/$n\" | git update-ref --stdin; done; done; "
                          "for n in a/b/c a/d/e x/y/z; do git update-ref refs/heads/$n $C; done",
                          NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    GError *error = NULL;
    options.argv = argv;
    options.directory = site.bare;
    pid_t writer = spawn_start(&options, NULL, &error);
    g_assert_no_error(error);
    struct calls calls = {.text = g_string_new(NULL)};
    int status = -1;
    while (waitpid(writer, &status, WNOHANG) == 0) {
        struct pollfd fd = {.fd = refwatch_fd(site.watch), .events = POLLIN};
        poll(&fd, 1, 10);
        refwatch_take(site.watch, note, &calls);
    }
    g_assert_cmpint(status, ==, 0);
    refwatch_take(site.watch, note, &calls);
    g_assert_null(strchr(calls.text->str, 'A'));
    g_string_free(calls.text, TRUE);
    g_autofree char *count = sh(site.bare, "find refs/heads -type d | wc -l");
    g_assert_cmpuint(count_watches(site.watch), ==, 1 + atoi(count));
    static const char *const branches[] = {"a/b/c", "a/d/e", "x/y/z"};
    for (size_t i = 0; i < G_N_ELEMENTS(branches); i++) {
        g_autofree char *line = g_strdup_printf(
            "git commit -q --allow-empty -m x; git push -q origin main:%s", branches[i]);
        assert_told(&site, line, "a");
    }
    site_clear(&site);
}

static void test_reftable(void)
{
    struct site site;
    site_init(&site);
    g_free(sh(site.bare, "rm -r refs/heads; echo x >refs/heads; mkdir reftable; "
                         "echo 1 >reftable/tables.list"));
    add(site.watch, owner_a, site.bare, true);
    assert_told(&site,
                "cd ../bare.git/reftable; echo 2 >tables.list.lock; "
                "mv tables.list.lock tables.list",
                "a");
    site_clear(&site);
}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef __linux__
    g_test_add_func("/refwatch/push__to_a_bare_repository__is_one_call", test_push);
    g_test_add_func("/refwatch/work__that_moves_no_ref__is_no_call", test_nothing);
    g_test_add_func("/refwatch/directories__that_come_and_go__are_watched", test_directories);
    g_test_add_func("/refwatch/tags__when_asked_for__are_told", test_tags);
    g_test_add_func("/refwatch/owners__of_one_directory__are_all_called", test_owners);
    g_test_add_func("/refwatch/owners__removed_or_renewed_by_a_call__are_not_called",
                    test_change_while_told);
    g_test_add_func("/refwatch/repository__moved_or_removed__is_lost", test_lost);
    g_test_add_func("/refwatch/events__dropped__all_are_lost", test_overflow);
    g_test_add_func("/refwatch/events__many__are_one_call", test_burst);
    g_test_add_func("/refwatch/add__not_wholly_possible__is_refused", test_refused);
    g_test_add_func("/refwatch/directories__while_they_move__are_watched", test_moving);
    g_test_add_func("/refwatch/reftable__changed__is_told", test_reftable);
#endif
    return g_test_run();
}
