#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/file.h"
#include "daemon/look_status.h"
#include "daemon/queue.h"

static GArray *jobs(const struct queue_job *list, unsigned count)
{
    GArray *array = g_array_new(FALSE, FALSE, sizeof(struct queue_job));
    g_array_append_vals(array, list, count);
    return array;
}

static char *pick(GArray *queued, GArray *running, unsigned max_jobs)
{
    g_autoptr(GArray) picked = queue_pick(queued, running, max_jobs);
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < picked->len; i++) {
        g_string_append_printf(text, "%" G_GINT64_FORMAT " ", g_array_index(picked, int64_t, i));
    }
    return g_string_free(text, FALSE);
}

static void queue__free_places__filled_in_order(void)
{
    const struct queue_job list[] = {{7, "a", "main"}, {3, "b", "main"}, {5, "c", "main"}};
    g_autoptr(GArray) queued = jobs(list, 3);
    g_autoptr(GArray) none = jobs(NULL, 0);
    g_autofree char *two = pick(queued, none, 2);
    g_autofree char *all = pick(queued, none, 9);
    g_assert_cmpstr(two, ==, "7 3 ");
    g_assert_cmpstr(all, ==, "7 3 5 ");
}

static void queue__running_jobs__take_places_and_their_branch(void)
{
    const struct queue_job list[] = {{2, "a", "main"}, {3, "a", "dev"}, {4, "b", "main"}};
    const struct queue_job busy[] = {{1, "a", "main"}};
    g_autoptr(GArray) queued = jobs(list, 3);
    g_autoptr(GArray) running = jobs(busy, 1);
    g_autofree char *one_place = pick(queued, running, 2);
    g_autofree char *no_place = pick(queued, running, 1);
    g_assert_cmpstr(one_place, ==, "3 ");
    g_assert_cmpstr(no_place, ==, "");
}

static void queue__two_queued_of_one_branch__only_the_first(void)
{
    const struct queue_job list[] = {{2, "a", "main"}, {3, "a", "main"}};
    g_autoptr(GArray) queued = jobs(list, 2);
    g_autoptr(GArray) none = jobs(NULL, 0);
    g_autofree char *picked = pick(queued, none, 8);
    g_assert_cmpstr(picked, ==, "2 ");
}

static char *temporary_file(char **directory)
{
    *directory = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
    return g_build_filename(*directory, "looks", NULL);
}

static void look_status__written__read_back_also_after_reopening(void)
{
    g_autofree char *directory = NULL;
    g_autofree char *path = temporary_file(&directory);
    const char *const first[] = {"app", "web", NULL};
    const char *const second[] = {"new", "web", NULL};
    g_autoptr(GError) error = NULL;
    struct look_status_file *file = look_status_open(path, first, &error);
    g_assert_no_error(error);
    struct look_status status = {
        (char *)"web", 10, 20, 30, 4, (char *)"no \"route\"\x1b[31m\nto host"};
    g_assert_true(look_status_write(file, &status, &error));
    look_status_close(file);
    file = look_status_open(path, second, &error);
    look_status_close(file);
    g_autoptr(GHashTable) table = look_status_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(table), ==, 2);
    g_assert_null(g_hash_table_lookup(table, "app"));
    const struct look_status *web = g_hash_table_lookup(table, "web");
    g_assert_cmpint(web->last_look_ms, ==, 10);
    g_assert_cmpint(web->last_ok_ms, ==, 20);
    g_assert_cmpint(web->next_look_ms, ==, 30);
    g_assert_cmpuint(web->failures, ==, 4);
    g_assert_cmpstr(web->error, ==, "no \"route\"\\x1b[31m\\x0ato host");
    g_assert_true(file_remove_tree_at_path(directory, &error));
}

static void look_status__long_error__cut_at_a_character(void)
{
    g_autofree char *directory = NULL;
    g_autofree char *path = temporary_file(&directory);
    const char *const names[] = {"app", NULL};
    g_autoptr(GError) error = NULL;
    struct look_status_file *file = look_status_open(path, names, &error);
    GString *text = g_string_new("x");
    for (int i = 0; i < 2000; i++) {
        g_string_append(text, "\u00e9\"");
    }
    struct look_status status = {(char *)"app", 1, 0, 0, 1, text->str};
    g_assert_true(look_status_write(file, &status, &error));
    look_status_close(file);
    g_autoptr(GHashTable) table = look_status_read(path, &error);
    const struct look_status *app = g_hash_table_lookup(table, "app");
    g_assert_nonnull(app);
    g_assert_true(g_utf8_validate(app->error, -1, NULL));
    g_assert_cmpuint(strlen(app->error), >, 300);
    g_string_free(text, TRUE);
    g_assert_true(file_remove_tree_at_path(directory, &error));
}

static void look_status__garbage_and_absence__are_empty_tables(void)
{
    g_autofree char *directory = NULL;
    g_autofree char *path = temporary_file(&directory);
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) absent = look_status_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(absent), ==, 0);
    g_autofree char *garbage = g_malloc(5000);
    memset(garbage, '{', 5000);
    g_assert_true(g_file_set_contents(path, garbage, 5000, NULL));
    g_autoptr(GHashTable) table = look_status_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(table), ==, 0);
    g_assert_true(file_remove_tree_at_path(directory, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/queue__free_places__filled_in_order",
                    queue__free_places__filled_in_order);
    g_test_add_func("/daemon/queue__running_jobs__take_places_and_their_branch",
                    queue__running_jobs__take_places_and_their_branch);
    g_test_add_func("/daemon/queue__two_queued_of_one_branch__only_the_first",
                    queue__two_queued_of_one_branch__only_the_first);
    g_test_add_func("/daemon/look_status__written__read_back_also_after_reopening",
                    look_status__written__read_back_also_after_reopening);
    g_test_add_func("/daemon/look_status__long_error__cut_at_a_character",
                    look_status__long_error__cut_at_a_character);
    g_test_add_func("/daemon/look_status__garbage_and_absence__are_empty_tables",
                    look_status__garbage_and_absence__are_empty_tables);
    return g_test_run();
}
