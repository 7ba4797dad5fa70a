#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "git_fixture.h"
#include "ssh/place.h"

static char *make_root(void)
{
    GError *error = NULL;
    char *root = g_dir_make_tmp("phantom_ci-place-XXXXXX", &error);
    g_assert_no_error(error);
    g_setenv("XDG_RUNTIME_DIR", root, TRUE);
    g_setenv("TMPDIR", root, TRUE);
    return root;
}

static void remove_root(char *root)
{
    GError *error = NULL;
    file_remove_tree_at_path(root, &error);
    g_assert_no_error(error);
    g_free(root);
}

static struct place *open_good(void)
{
    GError *error = NULL;
    struct place *place = place_open(&error);
    g_assert_no_error(error);
    g_assert_nonnull(place);
    return place;
}

static unsigned count_entries(const char *directory)
{
    unsigned count = 0;
    GDir *dir = g_dir_open(directory, 0, NULL);
    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    return count;
}

/* A socket with nobody behind it. */
static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    auto_fd fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
}

static char *make_leftover(const char *root, const char *name, int mode)
{
    char *path = path_in(root, name);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_autofree char *one = path_in(path, "1");
    g_autofree char *half = path_in(path, "2.aBcDeFgHiJkLmNoP");
    make_socket(one);
    make_socket(half);
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
    return path;
}

static void open__a_directory_of_the_user__holds_a_private_one_until_the_end(void)
{
    char *root = make_root();
    struct place *place = open_good();
    g_autofree char *path = place_socket(place, 12);
    g_autofree char *directory = g_path_get_dirname(path);
    struct stat status;
    g_assert_true(g_str_has_prefix(path, root) && g_str_has_suffix(path, "/12"));
    g_assert_cmpint(stat(directory, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 07777, ==, 0700);
    make_socket(path);
    place_remove_socket(place, 12);
    g_assert_false(exists(directory, "12"));
    place_remove_socket(place, 12);
    make_socket(path);
    place_close(place);
    g_assert_cmpuint(count_entries(root), ==, 0);
    remove_root(root);
}

static void open__an_unsafe_or_unusable_directory__takes_the_next(void)
{
    char *root = make_root();
    g_autofree char *good = path_in(root, "good");
    g_assert_cmpint(g_mkdir(good, 0700), ==, 0);
    g_setenv("TMPDIR", good, TRUE);
    g_autofree char *open_to_all = path_in(root, "open");
    g_assert_cmpint(g_mkdir(open_to_all, 0700), ==, 0);
    g_assert_cmpint(g_chmod(open_to_all, 0777), ==, 0);
    g_autofree char *absent = path_in(root, "absent");
    g_autofree char *file = path_in(root, "file");
    write_text(root, "file", "");
    g_autofree char *expanded = path_in(root, "${HOME}");
    g_assert_cmpint(g_mkdir(expanded, 0700), ==, 0);
    g_autofree char *name = g_strnfill(80, 'x');
    g_autofree char *too_long = path_in(root, name);
    g_assert_cmpint(g_mkdir(too_long, 0700), ==, 0);
    const char *const wrong[] = {open_to_all, absent, file, expanded, too_long, "", "relative"};
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_setenv("XDG_RUNTIME_DIR", wrong[i], TRUE);
        struct place *place = open_good();
        g_autofree char *path = place_socket(place, 1);
        if (!g_str_has_prefix(path, good)) {
            g_error("\"%s\" was taken: %s", wrong[i], path);
        }
        place_close(place);
    }
    g_assert_cmpint(g_chmod(open_to_all, 01777), ==, 0);
    g_setenv("XDG_RUNTIME_DIR", open_to_all, TRUE);
    struct place *place = open_good();
    g_autofree char *path = place_socket(place, 1);
    g_assert_true(g_str_has_prefix(path, open_to_all)); /* as /tmp is */
    place_close(place);
    remove_root(root);
}

static void open__what_a_dead_process_left__is_removed(void)
{
    char *root = make_root();
    g_autofree char *dead = make_leftover(root, "phantom_ci-ssh.abcdef", 0700);
    struct place *place = open_good();
    g_assert_false(exists(root, "phantom_ci-ssh.abcdef"));
    place_close(place);
    g_assert_cmpuint(count_entries(root), ==, 0);
    remove_root(root);
}

static void open__what_a_living_process_has__stays(void)
{
    char *root = make_root();
    struct place *mine = open_good();
    struct place *theirs = open_good();
    g_autofree char *path = place_socket(mine, 1);
    make_socket(path);
    struct place *third = open_good();
    g_assert_cmpuint(count_entries(root), ==, 3);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    place_close(third);
    place_close(theirs);
    place_close(mine);
    remove_root(root);
}

static void open__what_is_not_ours__is_left_alone(void)
{
    char *root = make_root();
    g_autofree char *other_mode = make_leftover(root, "phantom_ci-ssh.aaaaaa", 0755);
    g_autofree char *other_name = make_leftover(root, "phantom_ci-ssh.aaaaaaa", 0700);
    g_autofree char *target = make_leftover(root, "target", 0700);
    g_autofree char *link = path_in(root, "phantom_ci-ssh.bbbbbb");
    g_assert_cmpint(symlink(target, link), ==, 0);
    g_autofree char *with_file = make_leftover(root, "phantom_ci-ssh.cccccc", 0700);
    write_text(with_file, "notes", "mine");
    write_text(root, "phantom_ci-ssh.dddddd", "a file");
    place_close(open_good());
    g_assert_true(exists(other_mode, "1") && exists(other_name, "1") && exists(target, "1"));
    g_assert_true(exists(root, "phantom_ci-ssh.bbbbbb"));
    g_assert_true(exists(with_file, "notes") && !exists(with_file, "1"));
    g_assert_true(exists(root, "phantom_ci-ssh.dddddd"));
    remove_root(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/ssh_place/" #name, name)
    ADD(open__a_directory_of_the_user__holds_a_private_one_until_the_end);
    ADD(open__an_unsafe_or_unusable_directory__takes_the_next);
    ADD(open__what_a_dead_process_left__is_removed);
    ADD(open__what_a_living_process_has__stays);
    ADD(open__what_is_not_ours__is_left_alone);
    return g_test_run();
}
