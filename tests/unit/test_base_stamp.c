#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/stamp.h"

static const struct stamp some = {
    .device = 1, .inode = 2, .modified_ns = 3, .changed_ns = 4, .size_bytes = 5, .mode = S_IFREG};

static void test_trust(void)
{
    struct stamp_trust trust = {.known = false};
    g_assert_false(stamp_trust_holds(&trust, &some));
    stamp_trust_note(&trust, &some, 10000, 3000);
    g_assert_false(stamp_trust_holds(&trust, &some));
    stamp_trust_note(&trust, &some, 12999, 3000);
    g_assert_false(stamp_trust_holds(&trust, &some));
    /* it does not come with time alone: the file has to be read once more */
    stamp_trust_note(&trust, &some, 13000, 3000);
    g_assert_true(stamp_trust_holds(&trust, &some));
    stamp_trust_note(&trust, &some, 99999, 3000);
    g_assert_true(stamp_trust_holds(&trust, &some));
}

static void test_trust_changed(void)
{
    struct stamp others[6];
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        others[i] = some;
    others[0].device++;
    others[1].inode++;
    others[2].modified_ns++;
    others[3].changed_ns++;
    others[4].size_bytes++;
    others[5].mode |= 0600;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        struct stamp_trust trust = {.known = false};
        stamp_trust_note(&trust, &some, 0, 3000);
        stamp_trust_note(&trust, &some, 5000, 3000);
        g_assert_true(stamp_trust_holds(&trust, &some));
        g_assert_false(stamp_trust_holds(&trust, &others[i]));
        stamp_trust_note(&trust, &others[i], 6000, 3000);
        g_assert_false(stamp_trust_holds(&trust, &others[i]));
        stamp_trust_note(&trust, &others[i], 8000, 3000);
        g_assert_false(stamp_trust_holds(&trust, &others[i]));
        stamp_trust_note(&trust, &others[i], 9000, 3000);
        g_assert_true(stamp_trust_holds(&trust, &others[i]));
        g_assert_false(stamp_trust_holds(&trust, &some));
    }
}

static void test_trust_absent(void)
{
    const struct stamp absent = {.mode = 0};
    struct stamp_trust trust = {.known = false};
    stamp_trust_note(&trust, &absent, 1, 3000);
    g_assert_true(stamp_trust_holds(&trust, &absent));
    g_assert_false(stamp_trust_holds(&trust, &some));
}

static void test_take(void)
{
    GError *error = NULL;
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-stamp-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *file = g_build_filename(directory, "file", NULL);
    g_autofree char *symbolic = g_build_filename(directory, "link", NULL);
    g_autofree char *below = g_build_filename(file, "below", NULL);
    struct stamp first, second;
    g_assert_true(stamp_take(AT_FDCWD, file, true, &first));
    g_assert_true(stamp_is_absent(&first));
    g_assert_true(g_file_set_contents(file, "1", 1, NULL));
    g_assert_cmpint(symlink("file", symbolic), ==, 0);
    g_assert_true(stamp_take(AT_FDCWD, file, true, &first) && !stamp_is_absent(&first));
    g_assert_true(stamp_take(AT_FDCWD, symbolic, true, &second) && stamp_equals(&first, &second));
    g_assert_true(stamp_take(AT_FDCWD, symbolic, false, &second) && !stamp_equals(&first, &second));
    g_assert_true(S_ISLNK(second.mode));
    g_assert_true(stamp_take(AT_FDCWD, below, true, &second) && stamp_is_absent(&second));
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    g_assert_true(stamp_take(fd, "file", true, &second) && stamp_equals(&first, &second));
    close(fd);
    /* another name of the same file: its contents are as they were */
    g_autofree char *other = g_build_filename(directory, "other", NULL);
    g_assert_cmpint(link(file, other), ==, 0);
    g_assert_true(stamp_take(AT_FDCWD, file, true, &second));
    g_assert_true(stamp_contents_equal(&first, &second));
    g_assert_true(g_file_set_contents_full(file, "12", 2, G_FILE_SET_CONTENTS_NONE, 0666, NULL));
    g_assert_true(stamp_take(AT_FDCWD, file, true, &second));
    g_assert_false(stamp_contents_equal(&first, &second));
    g_unlink(other);
    g_unlink(symbolic);
    g_unlink(file);
    g_rmdir(directory);
    g_autofree char *too_long = g_strnfill(100000, 'x');
    g_assert_false(stamp_take(AT_FDCWD, too_long, true, &second));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stamp/trust__read_again_later__holds", test_trust);
    g_test_add_func("/stamp/trust__any_difference__begins_anew", test_trust_changed);
    g_test_add_func("/stamp/trust__nothing_there__holds_at_once", test_trust_absent);
    g_test_add_func("/stamp/take__files_and_links__are_told_apart", test_take);
    return g_test_run();
}
