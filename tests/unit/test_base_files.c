#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/paths.h"
#include "small_disk.h"

static char *place;

static char *in_place(const char *name)
{
    return g_build_filename(place, name, NULL);
}

static void read__regular_file__is_bounded(void)
{
    g_autofree char *path = in_place("file");
    size_t length = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(path, "a\0b", 3, NULL));
    g_autofree char *bytes = file_read(path, 3, &length, NULL);
    g_assert_cmpmem(bytes, length, "a\0b", 3);
    g_assert_null(file_read(path, 2, &length, &error));
    g_assert_true(error_has_code(error, ERROR_LIMIT));
}

static void read__what_is_no_file__is_refused_without_waiting(void)
{
    g_autofree char *fifo = in_place("fifo");
    g_autofree char *absent = in_place("absent");
    size_t length = 0;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(file_read(fifo, 10, &length, &error));
    g_assert_true(error_has_code(error, ERROR_INVALID));
    g_clear_error(&error);
    g_assert_null(file_read(place, 10, &length, &error));
    g_clear_error(&error);
    g_assert_null(file_read(absent, 10, &length, &error));
    g_assert_true(error_has_code(error, ERROR_NOT_FOUND));
}

static void write__through_a_link__replaces_the_target_and_keeps_its_mode(void)
{
    g_autofree char *target = in_place("target");
    g_autofree char *link = in_place("link");
    struct stat status;
    g_assert_true(g_file_set_contents(target, "old", -1, NULL));
    g_assert_cmpint(chmod(target, 0640), ==, 0);
    g_assert_cmpint(symlink("target", link), ==, 0);
    g_assert_true(file_write_atomic(link, "new", 3, 0600, NULL));
    g_assert_cmpint(lstat(link, &status), ==, 0);
    g_assert_true(S_ISLNK(status.st_mode));
    g_assert_cmpint(stat(target, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0640);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(target, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "new");
}

static void write__existing_file__keeps_its_mode_under_any_umask(void)
{
    g_autofree char *path = in_place("open-mode");
    struct stat status;
    g_assert_true(g_file_set_contents(path, "old", -1, NULL));
    g_assert_cmpint(chmod(path, 0664), ==, 0);
    mode_t saved = umask(077);
    g_assert_true(file_write_atomic(path, "new", 3, 0600, NULL));
    umask(saved);
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0664);
}

static void write__device_or_fifo_behind_a_link__is_refused_and_stays(void)
{
    g_autofree char *fifo = in_place("device");
    g_autofree char *link = in_place("device-link");
    struct stat status;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("device", link), ==, 0);
    g_assert_false(file_write_atomic(link, "new", 3, 0600, &error));
    g_assert_true(error_has_code(error, ERROR_INVALID));
    g_assert_cmpint(lstat(fifo, &status), ==, 0);
    g_assert_true(S_ISFIFO(status.st_mode));
}

static void private_directory__links_and_open_modes__are_refused(void)
{
    g_autofree char *fresh = in_place("a/b/c");
    g_autofree char *link = in_place("directory-link");
    struct stat status;
    g_autoptr(GError) error = NULL;
    g_assert_true(file_ensure_private_directory(fresh, &error));
    g_assert_cmpint(stat(fresh, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0700);
    g_assert_cmpint(symlink(fresh, link), ==, 0);
    g_assert_false(file_ensure_private_directory(link, &error));
    g_assert_true(error_has_code(error, ERROR_DENIED));
    g_clear_error(&error);
    g_autofree char *plain = in_place("plain-file");
    g_assert_true(g_file_set_contents(plain, "x", -1, NULL));
    g_assert_false(file_ensure_private_directory(plain, &error));
    g_assert_true(error_has_code(error, ERROR_DENIED));
    g_clear_error(&error);
    g_assert_cmpint(chmod(fresh, 0770), ==, 0);
    g_assert_false(file_ensure_private_directory(fresh, &error));
    g_assert_nonnull(strstr(error->message, "chmod 700"));
}

static void remove_tree__every_kind_of_entry__goes_and_nothing_else(void)
{
    g_autofree char *outside = in_place("outside");
    g_autofree char *tree = in_place("tree");
    g_autofree char *deep = in_place("tree/d/e");
    g_assert_cmpint(g_mkdir_with_parents(outside, 0700), ==, 0);
    g_autofree char *kept = g_build_filename(outside, "kept", NULL);
    g_assert_true(g_file_set_contents(kept, "x", -1, NULL));
    g_assert_cmpint(g_mkdir_with_parents(deep, 0700), ==, 0);
    g_autofree char *link = in_place("tree/d/link");
    g_autofree char *fifo = in_place("tree/d/e/fifo");
    g_autofree char *file = in_place("tree/d/e/file");
    g_assert_cmpint(symlink(outside, link), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    g_assert_cmpint(chmod(deep, 0), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_true(file_remove_tree_at_path(tree, &error));
    g_assert_no_error(error);
    g_assert_false(g_file_test(tree, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
    g_assert_true(file_remove_tree_at_path(tree, &error));
}

static void remove_tree__a_link_in_its_place__is_removed_not_followed(void)
{
    g_autofree char *outside = in_place("outside2");
    g_autofree char *link = in_place("tree-link");
    g_autofree char *kept = in_place("outside2/kept");
    g_assert_cmpint(g_mkdir_with_parents(outside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(kept, "x", -1, NULL));
    g_assert_cmpint(symlink(outside, link), ==, 0);
    g_assert_true(file_remove_tree_at_path(link, NULL));
    g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
}

static void remove_tree__four_thousand_levels__need_no_recursion(void)
{
    auto_fd fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(mkdirat(fd, "deep", 0700), ==, 0);
    auto_fd at = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 4000; i++) {
        g_assert_cmpint(mkdirat(at, "d", i % 7 == 3 ? 0700 : 0755), ==, 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd_close(&at);
        at = next;
        g_assert_cmpint(at, >=, 0);
    }
    g_autoptr(GError) error = NULL;
    g_assert_true(file_remove_tree(fd, "deep", &error));
    g_assert_no_error(error);
}

/* Runs `body` in a child that is not root, as root is stopped by no mode. */
static void run_without_root(void (*body)(void))
{
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        enum { NOBODY = 65534 };
        if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) {
            _exit(1);
        }
        body();
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void remove_closed_tree(void)
{
    g_autofree char *home = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
    static const char *const directories[] = {"tree/closed/inner/innermost", "tree/read-only/full",
                                              "tree/blind"};
    for (unsigned i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autofree char *directory = g_build_filename(home, directories[i], NULL);
        g_autofree char *file = g_build_filename(directory, "file", NULL);
        g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
        g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    }
    static const struct {
        const char *name;
        mode_t mode;
    } modes[] = {{"tree/closed/inner/innermost", 0},
                 {"tree/closed/inner", 0},
                 {"tree/closed", 0},
                 {"tree/read-only/full", 0500},
                 {"tree/read-only", 0500},
                 {"tree/blind", 0300},
                 {"tree", 0}};
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *directory = g_build_filename(home, modes[i].name, NULL);
        g_assert_cmpint(chmod(directory, modes[i].mode), ==, 0);
    }
    g_autofree char *tree = g_build_filename(home, "tree", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(file_remove_tree_at_path(tree, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_rmdir(home), ==, 0);
}

static void remove_tree__closed_directories__are_opened_without_being_root(void)
{
    run_without_root(remove_closed_tree);
}

static char *sticky;

static void try_to_remove_foreign_file(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(file_remove_tree_at_path(sticky, &error));
    g_assert_true(error_has_code(error, ERROR_DENIED));
    g_assert_nonnull(strstr(error->message, "foreign"));
}

static void remove_tree__file_that_may_not_go__is_named_with_the_true_reason(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can make a file of somebody else");
        return;
    }
    g_autofree char *file = in_place("sticky/foreign");
    sticky = in_place("sticky");
    g_assert_cmpint(g_mkdir(sticky, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    g_assert_cmpint(chmod(sticky, 01777), ==, 0);
    g_assert_cmpint(chmod(place, 0755), ==, 0);
    run_without_root(try_to_remove_foreign_file);
    g_assert_cmpint(chmod(place, 0700), ==, 0);
    g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    g_clear_pointer(&sticky, g_free);
}

/* `mounted` is a file system of its own; it stands in for what a step may have mounted. */
static void remove_tree_around_mount(const char *mounted)
{
    g_autofree char *kept = g_build_filename(mounted, "kept", NULL);
    g_assert_true(g_file_set_contents(kept, "x", -1, NULL));
    g_assert_cmpint(chmod(mounted, 0500), ==, 0);
    g_autofree char *parent = g_path_get_dirname(mounted);
    g_autofree char *beside = g_build_filename(parent, "beside", NULL);
    g_assert_true(g_file_set_contents(beside, "x", -1, NULL));
    g_autofree char *trees[] = {g_strdup(mounted), g_strdup(parent), g_path_get_dirname(parent)};
    for (unsigned i = 0; i < G_N_ELEMENTS(trees); i++) {
        struct stat status;
        g_autoptr(GError) error = NULL;
        g_assert_false(file_remove_tree_at_path(trees[i], &error));
        g_assert_nonnull(strstr(error->message, "mounted"));
        g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
        g_assert_cmpint(stat(mounted, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0500);
    }
    g_assert_false(g_file_test(beside, G_FILE_TEST_EXISTS));
}

static void remove_tree__mount_point__is_an_obstacle_and_keeps_what_it_holds(void)
{
    g_autofree char *mounted = in_place("around/parent/mounted");
    g_assert_cmpint(g_mkdir_with_parents(mounted, 0700), ==, 0);
    small_disk_run(mounted, "size=1m", remove_tree_around_mount);
}

static void component__distinct_names__give_distinct_safe_components(void)
{
    static const char *const names[] = {"main", "feature/x", "feature%2Fx", ".", "..", ".git",
                                        "a b",  "\xc3\xa4",  "A",           "a", "-x", ""};
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        char *component = file_component_from_name(names[i]);
        g_assert_null(strchr(component, '/'));
        g_assert_cmpuint(strlen(component), >, 0);
        g_assert_cmpint(component[0], !=, '.');
        g_assert_true(g_hash_table_add(seen, component));
    }
    g_autofree char *long_name = g_strnfill(1000, 'x');
    g_autofree char *longer_name = g_strnfill(1001, 'x');
    g_autofree char *first = file_component_from_name(long_name);
    g_autofree char *second = file_component_from_name(longer_name);
    g_assert_cmpuint(strlen(first), <=, 200);
    g_assert_cmpstr(first, !=, second);
}

static void lock__second_taker__is_refused_until_the_first_lets_go(void)
{
    g_autofree char *path = in_place("lock");
    g_autoptr(GError) error = NULL;
    auto_fd first = lock_take(path, LOCK_EXCLUSIVE, &error);
    g_assert_cmpint(first, >=, 0);
    g_assert_true(lock_is_held(path));
    g_assert_cmpint(lock_take(path, LOCK_EXCLUSIVE, &error), ==, -1);
    g_assert_true(error_has_code(error, ERROR_BUSY));
    g_clear_error(&error);
    g_assert_cmpint(lock_take(path, LOCK_SHARED, NULL), ==, -1);
    fd_close(&first);
    g_assert_false(lock_is_held(path));
    auto_fd one = lock_take(path, LOCK_SHARED, NULL);
    auto_fd two = lock_take(path, LOCK_SHARED, NULL);
    g_assert_cmpint(one, >=, 0);
    g_assert_cmpint(two, >=, 0);
    g_assert_false(lock_is_held(path));
}

static void lock__handed_to_a_child__lives_as_long_as_the_child(void)
{
    g_autofree char *path = in_place("lock-child");
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    auto_fd fd = lock_take(path, LOCK_EXCLUSIVE, NULL);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) < 0);
    }
    close(ends[0]);
    fd_close(&fd);
    g_assert_true(lock_is_held(path));
    close(ends[1]);
    waitpid(child, NULL, 0);
    g_assert_false(lock_is_held(path));
}

static void lock__asked_about_all_the_time__can_be_waited_for(void)
{
    enum { QUESTIONS = 20000 };
    g_autofree char *path = in_place("lock-probed");
    auto_fd made = lock_take(path, LOCK_EXCLUSIVE, NULL);
    fd_close(&made);
    atomic_uint *asked =
        mmap(NULL, sizeof(*asked), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(asked != MAP_FAILED);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    while (child == 0) {
        lock_is_held(path);
        atomic_fetch_add(asked, 1);
    }
    bool always_taken = true;
    while (always_taken && atomic_load(asked) < QUESTIONS) {
        auto_fd fd = lock_wait(path, LOCK_EXCLUSIVE, 20000, NULL);
        always_taken = fd >= 0;
    }
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    munmap(asked, sizeof(*asked));
    g_assert_true(always_taken);
}

static void paths__overrides_and_variables__have_their_order(void)
{
    struct paths paths;
    g_autoptr(GError) error = NULL;
    g_setenv("HOME", "/home/me", TRUE);
    g_setenv("PHANTOM_CI_STATE_DIR", "/var/state", TRUE);
    g_setenv("XDG_CACHE_HOME", "/xdg/cache", TRUE);
    g_unsetenv("XDG_CONFIG_HOME");
    g_assert_true(paths_init(&paths, "/given", NULL, NULL, &error));
    g_assert_cmpstr(paths.config, ==, "/given");
    g_assert_cmpstr(paths.state, ==, "/var/state");
    g_assert_cmpstr(paths.cache, ==, "/xdg/cache/phantom_ci");
    g_autofree char *lock = paths_job_lock(&paths, 12);
    g_assert_cmpstr(lock, ==, "/var/state/jobs/12.lock");
    paths_clear(&paths);
    g_setenv("XDG_CACHE_HOME", "relative", TRUE);
    g_assert_true(paths_init(&paths, NULL, NULL, NULL, &error));
    g_assert_cmpstr(paths.config, ==, "/home/me/.config/phantom_ci");
    g_assert_cmpstr(paths.cache, ==, "/home/me/.cache/phantom_ci");
    paths_clear(&paths);
    g_unsetenv("HOME");
    g_assert_false(paths_init(&paths, NULL, NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, "HOME"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    place = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
#define ADD(name) g_test_add_func("/base/" #name, name)
    ADD(read__regular_file__is_bounded);
    ADD(read__what_is_no_file__is_refused_without_waiting);
    ADD(write__through_a_link__replaces_the_target_and_keeps_its_mode);
    ADD(write__device_or_fifo_behind_a_link__is_refused_and_stays);
    ADD(write__existing_file__keeps_its_mode_under_any_umask);
    ADD(private_directory__links_and_open_modes__are_refused);
    ADD(remove_tree__every_kind_of_entry__goes_and_nothing_else);
    ADD(remove_tree__a_link_in_its_place__is_removed_not_followed);
    ADD(remove_tree__four_thousand_levels__need_no_recursion);
    ADD(remove_tree__closed_directories__are_opened_without_being_root);
    ADD(remove_tree__file_that_may_not_go__is_named_with_the_true_reason);
    ADD(remove_tree__mount_point__is_an_obstacle_and_keeps_what_it_holds);
    ADD(component__distinct_names__give_distinct_safe_components);
    ADD(lock__second_taker__is_refused_until_the_first_lets_go);
    ADD(lock__handed_to_a_child__lives_as_long_as_the_child);
    ADD(lock__asked_about_all_the_time__can_be_waited_for);
    ADD(paths__overrides_and_variables__have_their_order);
    int result = g_test_run();
    file_remove_tree_at_path(place, NULL);
    g_free(place);
    return result;
}
