/* Free space, the guard min_free, and the size of trees. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"
#include "small_disk.h"

static const int64_t MIB = 1024 * 1024;
static const int64_t GIB = 1024LL * 1024 * 1024;

static char *place;

static void least_free__unset__is_a_gibibyte_or_a_twentieth(void)
{
    g_assert_cmpint(disk_least_free(DISK_MIN_FREE_DEFAULT, 100 * GIB), ==, GIB);
    g_assert_cmpint(disk_least_free(DISK_MIN_FREE_DEFAULT, 20 * GIB), ==, GIB);
    g_assert_cmpint(disk_least_free(DISK_MIN_FREE_DEFAULT, 20 * GIB - 20), ==, GIB - 1);
    g_assert_cmpint(disk_least_free(DISK_MIN_FREE_DEFAULT, 20 * MIB), ==, MIB);
    g_assert_cmpint(disk_least_free(5 * GIB, 20 * MIB), ==, 5 * GIB);
    g_assert_cmpint(disk_least_free(0, 20 * MIB), ==, 0);
}

static void measure__a_directory_that_is_yet_to_be_made__is_measured_above(void)
{
    struct disk_space here;
    struct disk_space below;
    g_autofree char *path = g_build_filename(place, "not", "yet", "there", NULL);
    g_assert_true(disk_measure(place, &here));
    g_assert_true(disk_measure(path, &below));
    g_assert_cmpint(here.total_bytes, ==, below.total_bytes);
    g_assert_cmpint(here.total_bytes, >=, here.free_bytes);
    /* A file is no directory, and proc(5) has no blocks. */
    g_assert_false(disk_measure("/dev/null/x", &below));
    g_assert_false(disk_measure("/proc", &below));
}

static void measure_small_disk(const char *directory)
{
    const char *const places[] = {"/proc", directory, NULL};
    struct disk_shortage shortage;
    struct disk_space space;
    g_assert_true(disk_measure(directory, &space));
    g_assert_cmpint(space.total_bytes, ==, 8 * MIB);
    g_assert_false(disk_find_shortage(places, space.free_bytes, &shortage));
    g_assert_true(disk_find_shortage(places, space.free_bytes + 1, &shortage));
    g_assert_cmpstr(shortage.path, ==, directory);
    g_assert_cmpint(shortage.free_bytes, ==, space.free_bytes);
    g_assert_false(disk_find_shortage(places, DISK_MIN_FREE_DEFAULT, &shortage));
    g_autofree char *filler = g_build_filename(directory, "filler", NULL);
    small_disk_fill(filler);
    g_assert_true(disk_find_shortage(places, DISK_MIN_FREE_DEFAULT, &shortage));
    g_assert_cmpint(shortage.least_bytes, ==, 8 * MIB / 20);
    g_assert_false(disk_find_shortage(places, 0, &shortage));
}

static void shortage__a_disk_that_fills__is_told_at_the_byte(void)
{
    small_disk_run(place, "size=8m", measure_small_disk);
}

static void shortage__in_words__names_place_and_both_sizes(void)
{
    const struct disk_shortage shortage = {"/x", 400 * MIB, GIB};
    g_autofree char *text = disk_describe_shortage(&shortage);
    g_assert_cmpstr(text, ==, "waiting for disk space: 400.0 MiB free on /x, min_free is 1.0 GiB");
}

static void make_file(const char *path, size_t length)
{
    g_autofree char *bytes = g_strnfill(length, 'x');
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
}

static void tree_bytes__links_and_second_names__count_once_and_here_only(void)
{
    g_autofree char *tree = g_build_filename(place, "tree", NULL);
    g_autofree char *deep = g_build_filename(tree, "a", "b", "c", NULL);
    g_autofree char *file = g_build_filename(deep, "file", NULL);
    g_autofree char *second = g_build_filename(tree, "second", NULL);
    g_autofree char *link = g_build_filename(tree, "link", NULL);
    g_assert_cmpint(g_mkdir_with_parents(deep, 0700), ==, 0);
    int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t empty = file_tree_bytes(fd, "tree");
    make_file(file, (size_t)MIB);
    int64_t one = file_tree_bytes(fd, "tree") - empty;
    g_assert_cmpint(one, >=, MIB);
    g_assert_cmpint(one, <, MIB + 65536);
    g_assert_cmpint(symlink("/", link), ==, 0);
    g_assert_cmpint(ABS(file_tree_bytes(fd, "tree") - empty - one), <, 65536);
    g_assert_cmpint(linkat(AT_FDCWD, file, AT_FDCWD, second, 0), ==, 0);
    g_assert_cmpint(ABS(file_tree_bytes(fd, "tree") - empty - one), <, 65536);
    g_assert_cmpint(file_tree_bytes(fd, "nothing"), ==, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    place = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
#define ADD(name) g_test_add_func("/base_disk/" #name, name)
    ADD(least_free__unset__is_a_gibibyte_or_a_twentieth);
    ADD(measure__a_directory_that_is_yet_to_be_made__is_measured_above);
    ADD(shortage__a_disk_that_fills__is_told_at_the_byte);
    ADD(shortage__in_words__names_place_and_both_sizes);
    ADD(tree_bytes__links_and_second_names__count_once_and_here_only);
#undef ADD
    int result = g_test_run();
    file_remove_tree_at_path(place, NULL);
    g_free(place);
    return result;
}
