#include "localrefs_fixture.h"

#include <signal.h>

#include "git/looserefs.h"
#include "git/packedrefs.h"

static const char *const main_only[] = {"refs/heads/main", NULL};
static const char *const all_branches[] = {"refs/heads/*", NULL};

/* One look by somebody who has not looked before; git is not asked. */
static enum local_refs_result look_new(const char *url, const char *const *names, char **shown)
{
    struct observer observer;
    observer_init(&observer, url, names);
    GHashTable *refs;
    g_autoptr(GError) error = NULL;
    enum local_refs_result result = local_refs_look(observer.local, &refs, &error);
    if (shown)
        *shown = refs ? describe(refs) : g_strdup(error->message);
    if (refs)
        g_hash_table_unref(refs);
    observer_clear(&observer);
    return result;
}

static void assert_look(const char *url, const char *const *names, enum local_refs_result expected,
                        const char *part)
{
    g_autofree char *shown = NULL;
    enum local_refs_result result = look_new(url, names, &shown);
    if (result != expected)
        g_error("%d instead of %d: %s", result, expected, shown);
    assert_contains(shown, part);
}

/* ------------------------------------------------------------------------- what can't be opened */

/* Git itself waits for ever at most of these. */
static void test_special_files(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; git commit -q --allow-empty -m x; git branch packed;"
                            "git pack-refs --all; git branch b"));
    const char *source = fixture.source;
    g_free(sh(source, "cd .git/refs/heads; mkfifo fifo; mkfifo packed; mkdir d; mkfifo d/e"));
    static const char *const fifos[] = {"refs/heads/fifo", "refs/heads/d/e", "refs/heads/packed",
                                        NULL};
    assert_look(source, all_branches, LOCAL_REFS_READ, "refs/heads/packed=");
    assert_look(source, all_branches, LOCAL_REFS_READ, "refs/heads/b=");
    g_autofree char *shown = NULL;
    g_assert_cmpint(look_new(source, fifos, &shown), ==, LOCAL_REFS_READ);
    g_assert_true(g_str_has_prefix(shown, "refs/heads/packed=") && !strstr(shown, "fifo"));
    static const struct {
        const char *name;
        enum local_refs_result expected;
        const char *part;
    } files[] = {
        {"packed-refs", LOCAL_REFS_ASK_GIT, "not a regular file"},
        {"config", LOCAL_REFS_ASK_GIT, "not a regular file"},
        {"HEAD", LOCAL_REFS_FAILED, "is not a repository"},
        {"commondir", LOCAL_REFS_FAILED, "is not a repository"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_free(sh(source, "cd .git; test ! -e %s || mv %s saved; mkfifo %s", files[i].name,
                  files[i].name, files[i].name));
        assert_look(source, main_only, files[i].expected, files[i].part);
        g_free(sh(source, "cd .git; rm %s; test ! -e saved || mv saved %s", files[i].name,
                  files[i].name));
    }
    g_free(sh(source, "mv .git ..; mkfifo .git"));
    assert_look(source, main_only, LOCAL_REFS_FAILED, "is not a repository");
    fixture_clear(&fixture);
}

static void test_links(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    const char *source = fixture.source;
    g_free(sh(source, "ln -s . .git/refs/heads/loop; ln -s self .git/refs/heads/self"));
    assert_look(source, all_branches, LOCAL_REFS_ASK_GIT, "symbolic link");
    assert_look(source, main_only, LOCAL_REFS_READ, "refs/heads/main=");
    static const char *const itself[] = {"refs/heads/self", NULL};
    assert_look(source, itself, LOCAL_REFS_ASK_GIT, "symbolic link");
    g_free(sh(source, "cd .git/refs; mv heads ../saved; ln -s heads heads"));
    assert_look(source, all_branches, LOCAL_REFS_ASK_GIT, "refs/heads/");
    assert_look(source, main_only, LOCAL_REFS_ASK_GIT, "symbolic link");
    g_free(sh(source, "cd .git; mv HEAD HEAD.saved; ln -s HEAD HEAD"));
    assert_look(source, main_only, LOCAL_REFS_FAILED, "is not a repository");
    g_free(sh(source, "mv .git ..; echo 'gitdir: .git' >.git"));
    assert_look(source, main_only, LOCAL_REFS_ASK_GIT, "leads to no repository");
    fixture_clear(&fixture);
}

static void test_permissions(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; git commit -q --allow-empty -m x; git branch b"));
    const char *source = fixture.source;
    bool is_root = geteuid() == 0;
    g_free(sh(fixture.root, "test $(id -u) != 0 || chown -R 65534 ."));
    static const struct {
        const char *name;
        enum local_refs_result expected;
        const char *part;
    } files[] = {
        {".git/refs/heads/main", LOCAL_REFS_ASK_GIT, "Permission denied"},
        {".git/refs/heads", LOCAL_REFS_ASK_GIT, "Permission denied"},
        {".git/packed-refs", LOCAL_REFS_ASK_GIT, "Permission denied"},
        {".git/config", LOCAL_REFS_ASK_GIT, "Permission denied"},
        {".git/refs", LOCAL_REFS_FAILED, "may read"},
        {".git/HEAD", LOCAL_REFS_FAILED, "may read"},
        {".git", LOCAL_REFS_FAILED, "may read"},
        {".", LOCAL_REFS_FAILED, "may read"},
        {"..", LOCAL_REFS_FAILED, "Permission denied"},
    };
    g_free(sh(source, "touch .git/packed-refs"));
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = path_in(source, files[i].name);
        struct stat status;
        g_assert_cmpint(stat(path, &status), ==, 0);
        g_assert_cmpint(chmod(path, 0), ==, 0);
        g_assert_cmpint(is_root ? seteuid(65534) : 0, ==, 0);
        assert_look(source, main_only, files[i].expected, files[i].part);
        assert_look(source, all_branches, files[i].expected, files[i].part);
        g_assert_cmpint(is_root ? seteuid(0) : 0, ==, 0);
        g_assert_cmpint(chmod(path, status.st_mode & 07777), ==, 0);
    }
    fixture_clear(&fixture);
}

/* --------------------------------------------------------------------------- what has no bounds */

static void test_many_loose(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_autofree char *id = commit(&fixture, "echo 1 >a");
    g_autofree char *heads = path_in(fixture.source, ".git/refs/heads");
    observer_init(&observer, fixture.source, all_branches);
    g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_READ);
    for (int i = 0; i < LOOSE_REFS_MAX_FILES; i++) {
        g_autofree char *path = g_strdup_printf("%s/b%d", heads, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
        g_assert_cmpint(write(fd, id, strlen(id)), ==, (ssize_t)strlen(id));
        g_assert_cmpint(close(fd), ==, 0);
    }
    /* one more than is read */
    g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_ASK_GIT);
    g_assert_cmpint(look_given(&observer, NULL), ==, LOCAL_REFS_ASK_GIT);
    assert_look(fixture.source, main_only, LOCAL_REFS_READ, "refs/heads/main=");
    g_free(sh(fixture.source, "rm .git/refs/heads/b0"));
    g_assert_cmpint(look(&observer), ==, LOCAL_REFS_READ);
    g_assert_cmpuint(g_hash_table_size(observer.refs), ==, LOOSE_REFS_MAX_FILES);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

/* A tree of directories that goes deeper and wider than names are long. */
static void test_many_directories(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_autofree char *heads = path_in(fixture.source, ".git/refs/heads");
    int at = open(heads, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < REFSET_MAX_NAME; i++) {
        g_assert_cmpint(mkdirat(at, "d", 0777), ==, 0);
        int below = openat(at, "d", O_RDONLY | O_DIRECTORY);
        g_assert_cmpint(close(at), ==, 0);
        at = below;
    }
    g_assert_cmpint(close(at), ==, 0);
    assert_look(fixture.source, all_branches, LOCAL_REFS_READ, "refs/heads/main=");
    for (int i = 0; i < LOOSE_REFS_MAX_DIRECTORIES; i++) {
        g_autofree char *path = g_strdup_printf("%s/e%d", heads, i);
        g_assert_cmpint(mkdir(path, 0777), ==, 0);
    }
    assert_look(fixture.source, all_branches, LOCAL_REFS_ASK_GIT, "too many");
    static const char *const others[] = {"refs/heads/f*", "refs/heads/main", NULL};
    assert_look(fixture.source, others, LOCAL_REFS_READ, "refs/heads/main=");
    fixture_clear(&fixture);
}

static void write_packed(const char *source, off_t size, char filler)
{
    g_autofree char *path = path_in(source, ".git/packed-refs");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    char bytes[4096];
    memset(bytes, filler, sizeof(bytes));
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(write(fd, bytes, sizeof(bytes)), ==, sizeof(bytes));
    g_assert_cmpint(close(fd), ==, 0);
}

static void test_big_packed(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    write_packed(fixture.source, (off_t)1 << 30, 'x');
    assert_look(fixture.source, main_only, LOCAL_REFS_ASK_GIT, "packed-refs is big");
    write_packed(fixture.source, PACKED_REFS_MAX_BYTES, 'x');
    assert_look(fixture.source, main_only, LOCAL_REFS_ASK_GIT, "packed-refs has a line above");
    write_packed(fixture.source, 1 << 20, '\n');
    assert_look(fixture.source, main_only, LOCAL_REFS_ASK_GIT, "unexpected line");
    g_autofree char *big = g_strnfill(1 << 20, '1');
    write_text(fixture.source, ".git/refs/heads/big", big);
    static const char *const names[] = {"refs/heads/big", NULL};
    g_free(sh(fixture.source, "rm .git/packed-refs"));
    assert_look(fixture.source, names, LOCAL_REFS_ASK_GIT, "is broken");
    write_text(fixture.source, ".git/config", big);
    assert_look(fixture.source, main_only, LOCAL_REFS_ASK_GIT, "config");
    fixture_clear(&fixture);
}

/* As many refs as a look may tell of, and more. */
static void test_many_packed(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *id = commit(&fixture, "echo 1 >a");
    g_autoptr(GString) text = g_string_new("# pack-refs with: peeled fully-peeled sorted \n");
    for (int i = 0; i < REFSET_MAX_REFS; i++)
        g_string_append_printf(text, "%s refs/heads/b%06d\n", id, i);
    write_text(fixture.source, ".git/packed-refs", text->str);
    static const char *const packed[] = {"refs/heads/b*", NULL};
    assert_look(fixture.source, packed, LOCAL_REFS_READ, "refs/heads/b199999=");
    assert_look(fixture.source, all_branches, LOCAL_REFS_ASK_GIT, "too many refs");
    g_string_append_printf(text, "%s refs/heads/bx\n", id);
    write_text(fixture.source, ".git/packed-refs", text->str);
    assert_look(fixture.source, packed, LOCAL_REFS_ASK_GIT, "too many refs");
    static const char *const last[] = {"refs/heads/bx", NULL};
    assert_look(fixture.source, last, LOCAL_REFS_READ, "refs/heads/bx=");
    fixture_clear(&fixture);
}

/* A name that leads elsewhere is nobody's ref. */
static void test_names(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a; cp .git/refs/heads/main 2>/dev/null stolen || true"));
    g_free(sh(fixture.source, "cp .git/refs/heads/main .git/refs/heads/x.lock; "
                              "cp .git/refs/heads/main .git/refs/heads/.x; "
                              "cp .git/refs/heads/main '.git/refs/heads/a b'; "
                              "cp .git/refs/heads/main .git/refs/main"));
    static const char *const names[] = {
        "refs/heads/../main",      "refs/heads/x.lock", "refs/heads/.x",
        "refs/heads/a b",          "refs/heads//main",  "HEAD",
        "refs/heads/main/../main", "/etc/hostname",     NULL};
    g_autofree char *shown = NULL;
    g_assert_cmpint(look_new(fixture.source, names, &shown), ==, LOCAL_REFS_READ);
    g_assert_cmpstr(shown, ==, "");
    g_autofree char *all = NULL;
    g_assert_cmpint(look_new(fixture.source, all_branches, &all), ==, LOCAL_REFS_READ);
    g_assert_null(strchr(all, ' ') + 1 == NULL ? all : strstr(all, "x"));
    static const char *const none[] = {NULL};
    assert_look("https://example.org/x", main_only, LOCAL_REFS_ASK_GIT, "no path");
    assert_look(fixture.source, none, LOCAL_REFS_READ, "");
    fixture_clear(&fixture);
}

/* ----------------------------------------------------------------------------- what never stops */

enum { SWAP_LOOKS = 200, CHAIN = 400 };

static pid_t start(const char *directory, const char *line)
{
    const char *argv[] = {"/bin/sh", "-c", line, NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    GError *error = NULL;
    options.argv = argv;
    options.directory = directory;
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    pid_t pid = spawn_start(&options, NULL, &error);
    g_assert_no_error(error);
    return pid;
}

static bool has_ended(pid_t pid)
{
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);
    g_assert_cmpint(got, >=, 0);
    if (got == pid)
        g_assert_cmpint(status, ==, 0);
    return got == pid;
}

static void stop(pid_t pid)
{
    spawn_kill_group(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* Where a commit stands in a row of commits; fails the test when it stands nowhere. */
static int position(GHashTable *row, const char *id)
{
    g_assert_nonnull(id);
    gpointer at;
    g_assert_true(g_hash_table_lookup_extended(row, id, NULL, &at));
    return GPOINTER_TO_INT(at);
}

/* Branches move along a row of commits while all of them are packed again and again: no look may
 * see one missing, or going back. */
static void test_moving(void)
{
    struct fixture fixture;
    struct observer named, all;
    fixture_init(&fixture);
    g_free(sh(fixture.source,
              "for i in $(seq %d); do printf 'commit refs/heads/main\\ncommitter a "
              "<a> %%s +0000\\ndata 0\\n\\n' $i; done | git fast-import --quiet;"
              "git branch other main~%d; git branch third main~%d; git branch -f "
              "keep main; git symbolic-ref HEAD refs/heads/keep; git update-ref "
              "refs/heads/main main~%d",
              CHAIN, CHAIN - 1, CHAIN - 1, CHAIN - 1));
    g_autofree char *log = sh(fixture.source, "git log --reverse --format=%%H keep");
    g_auto(GStrv) ids = g_strsplit(log, "\n", -1);
    g_autoptr(GHashTable) row = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GString) script = g_string_new(NULL);
    for (int i = 0; ids[i]; i++) {
        g_hash_table_insert(row, ids[i], GINT_TO_POINTER(i));
        g_string_append_printf(script,
                               "start\nupdate refs/heads/main %s\ncommit\nstart\nupdate "
                               "refs/heads/other %s\nupdate refs/heads/third %s\ncommit\n",
                               ids[i], ids[i], ids[i]);
    }
    write_text(fixture.root, "script", script->str);
    observer_init(&named, fixture.source, main_only);
    observer_init(&all, fixture.source, all_branches);
    pid_t packer = start(fixture.source, "while :; do git pack-refs --all 2>/dev/null; done");
    pid_t writer = start(fixture.source,
                         "for i in 1 2 3; do git update-ref --stdin <../script >/dev/null && exit; "
                         "done; exit 1");
    int at = 0, at_main = 0, at_other = 0, at_third = 0, looks = 0;
    for (bool ended = false; !ended; looks++) {
        ended = has_ended(writer);
        g_autofree char *listing = NULL;
        int now = (look_given(&named, NULL),
                   position(row, g_hash_table_lookup(named.refs, "refs/heads/main")));
        g_assert_cmpint(now, >=, at);
        at = now;
        look_given(&all, listing);
        g_assert_cmpuint(g_hash_table_size(all.refs), ==, 4);
        int *const positions[] = {&at_main, &at_other, &at_third};
        static const char *const names[] = {"refs/heads/main", "refs/heads/other",
                                            "refs/heads/third"};
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
            now = position(row, g_hash_table_lookup(all.refs, names[i]));
            g_assert_cmpint(now, >=, *positions[i]);
            *positions[i] = now;
        }
    }
    stop(packer);
    g_test_message("%d looks: %u and %u read", looks, named.counts[LOCAL_REFS_READ],
                   all.counts[LOCAL_REFS_READ]);
    g_assert_cmpint(at, ==, CHAIN - 1);
    g_assert_cmpint(at_other, ==, CHAIN - 1);
    g_assert_cmpint(at_third, ==, CHAIN - 1);
    observer_clear(&named);
    observer_clear(&all);
    fixture_clear(&fixture);
}

/* One path leads to one repository or to the other: never to something of both. */
static void test_swapped(void)
{
    struct fixture fixture;
    struct observer observer;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_free(sh(fixture.root,
              "for i in 1 2 3 4 5 6; do git -C source branch loose/$i; done;"
              "git clone -q --mirror source x; git -C source commit -q --allow-empty -m y;"
              "git clone -q --mirror source y; C=$(git -C source rev-parse HEAD); cd y;"
              "for i in 1 2 3 4 5 6; do git update-ref refs/heads/loose/$i $C; done;"
              "cd ..; ln -s x now"));
    g_autofree char *url = path_in(fixture.root, "now");
    observer_init(&observer, url, all_branches);
    pid_t swapper = start(fixture.root, "while :; do ln -s y n1; mv -T n1 now; ln -s x n2; "
                                        "mv -T n2 now; done");
    unsigned reads = 0;
    gint64 end = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
    while (reads < SWAP_LOOKS && g_get_monotonic_time() < end) {
        GHashTable *refs;
        g_autoptr(GError) error = NULL;
        enum local_refs_result result = local_refs_look(observer.local, &refs, &error);
        g_assert_cmpint(result, !=, LOCAL_REFS_FAILED);
        if (result != LOCAL_REFS_READ)
            continue;
        reads++;
        GHashTableIter iter;
        gpointer id, tip = g_hash_table_lookup(refs, "refs/heads/main");
        g_assert_cmpuint(g_hash_table_size(refs), ==, 7);
        g_hash_table_iter_init(&iter, refs);
        while (g_hash_table_iter_next(&iter, NULL, &id))
            g_assert_cmpstr(id, ==, tip);
        g_hash_table_unref(refs);
    }
    stop(swapper);
    g_assert_cmpuint(reads, >, 0);
    observer_clear(&observer);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/localrefs/special__files__never_block", test_special_files);
    g_test_add_func("/localrefs/links__in_circles__are_not_followed", test_links);
    g_test_add_func("/localrefs/permissions__missing__are_told", test_permissions);
    g_test_add_func("/localrefs/loose__too_many__are_left_to_git", test_many_loose);
    g_test_add_func("/localrefs/directories__too_many__are_left_to_git", test_many_directories);
    g_test_add_func("/localrefs/packed__too_big__is_left_to_git", test_big_packed);
    g_test_add_func("/localrefs/packed__too_many__are_left_to_git", test_many_packed);
    g_test_add_func("/localrefs/names__that_lead_elsewhere__are_no_refs", test_names);
    g_test_add_func("/localrefs/writers__never_stop__nothing_is_missed", test_moving);
    g_test_add_func("/localrefs/repositories__swapped__are_never_mixed", test_swapped);
    return g_test_run();
}
