#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/file.h"
#include "daemon/look_status.h"

struct place {
    char *directory;
    char *path;
    struct look_book *book;
};

static void set_up(struct place *place, const char *const *repos)
{
    g_autoptr(GError) error = NULL;
    place->directory = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
    place->path = g_build_filename(place->directory, "looks", NULL);
    place->book = look_book_open(place->path, &error);
    g_assert_no_error(error);
    g_assert_true(look_book_set_repos(place->book, repos, &error));
}

static void tear_down(struct place *place)
{
    g_autoptr(GError) error = NULL;
    look_book_close(place->book);
    g_assert_true(file_remove_tree_at_path(place->directory, &error));
    g_free(place->directory);
    g_free(place->path);
}

static GHashTable *read_all(const struct place *place, struct look_summary *summary)
{
    g_autoptr(GError) error = NULL;
    GHashTable *table = look_status_read(place->path, summary, &error);
    g_assert_no_error(error);
    return table;
}

static void fill(struct look_status *status)
{
    status->last_look_ms = 10;
    status->last_ok_ms = 20;
    status->next_look_ms = 30;
    status->failures = 4;
    status->is_watched = true;
    status->error = g_strdup("no \"route\"\x1b[31m\nto host");
    status->road = g_strdup("http v2");
    status->learned = g_strdup("v2");
    status->moved_to = g_strdup("https://example.org/new.git");
}

static void check_filled(const struct look_status *status)
{
    g_assert_nonnull(status);
    g_assert_cmpint(status->last_look_ms, ==, 10);
    g_assert_cmpint(status->last_ok_ms, ==, 20);
    g_assert_cmpint(status->next_look_ms, ==, 30);
    g_assert_cmpuint(status->failures, ==, 4);
    g_assert_true(status->is_watched);
    g_assert_cmpstr(status->error, ==, "no \"route\"\\x1b[31m\\x0ato host");
    g_assert_cmpstr(status->road, ==, "http v2");
    g_assert_cmpstr(status->learned, ==, "v2");
    g_assert_cmpstr(status->moved_to, ==, "https://example.org/new.git");
}

static void book__what_was_touched__is_read_back(void)
{
    struct place place;
    set_up(&place, (const char *const[]){"app", "web", NULL});
    struct look_status *web = look_book_get(place.book, "web");
    fill(web);
    look_book_touch(place.book, web);
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 2);
    check_filled(g_hash_table_lookup(table, "web"));
    const struct look_status *app = g_hash_table_lookup(table, "app");
    g_assert_cmpint(app->last_look_ms, ==, 0);
    g_assert_null(app->error);
    tear_down(&place);
}

static void book__other_repos__keeps_those_that_stay_and_drops_the_rest(void)
{
    struct place place;
    set_up(&place, (const char *const[]){"app", "web", NULL});
    fill(look_book_get(place.book, "web"));
    look_book_touch(place.book, look_book_get(place.book, "web"));
    const char *const others[] = {"new", "web", NULL};
    g_assert_true(look_book_set_repos(place.book, others, NULL));
    g_assert_false(look_book_flush_due(place.book, 100000, INT64_MAX));
    g_assert_null(look_book_get(place.book, "app"));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 2);
    g_assert_nonnull(g_hash_table_lookup(table, "new"));
    check_filled(g_hash_table_lookup(table, "web"));
    tear_down(&place);
}

static void book__opened_again__knows_what_the_last_one_wrote(void)
{
    struct place place;
    const char *const repos[] = {"app", NULL};
    set_up(&place, repos);
    fill(look_book_get(place.book, "app"));
    look_book_touch(place.book, look_book_get(place.book, "app"));
    g_assert_true(look_book_flush(place.book, 1, NULL));
    look_book_close(place.book);
    place.book = look_book_open(place.path, NULL);
    g_assert_true(look_book_set_repos(place.book, repos, NULL));
    check_filled(look_book_get(place.book, "app"));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    check_filled(g_hash_table_lookup(table, "app"));
    tear_down(&place);
}

static void book__more_records_than_one_write_takes__all_are_there(void)
{
    struct place place;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < 200; i++) {
        g_ptr_array_add(names, g_strdup_printf("repo%u", i));
    }
    g_ptr_array_add(names, NULL);
    set_up(&place, (const char *const *)names->pdata);
    struct look_status *last = look_book_get(place.book, "repo199");
    last->last_look_ms = 7;
    look_book_touch(place.book, last);
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 200);
    last = g_hash_table_lookup(table, "repo199");
    g_assert_cmpint(last->last_look_ms, ==, 7);
    tear_down(&place);
}

static void book__times_touched_with_gaps__all_are_read_back(void)
{
    struct place place;
    const char *const repos[] = {"a", "b", "c", "d", "e", NULL};
    static const char *const touched[] = {"e", "a", "d", "b"};
    set_up(&place, repos);
    look_book_get(place.book, "c")->last_look_ms = 99;
    for (unsigned i = 0; i < G_N_ELEMENTS(touched); i++) {
        struct look_status *status = look_book_get(place.book, touched[i]);
        status->last_look_ms = 1 + i;
        status->failures = 7;
        look_book_touch_times(place.book, status);
    }
    look_book_touch(place.book, look_book_get(place.book, "b"));
    look_book_touch_times(place.book, look_book_get(place.book, "b"));
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 5);
    for (unsigned i = 0; i < G_N_ELEMENTS(touched); i++) {
        const struct look_status *status = g_hash_table_lookup(table, touched[i]);
        g_assert_cmpint(status->last_look_ms, ==, 1 + i);
        g_assert_cmpuint(status->failures, ==, g_str_equal(touched[i], "b") ? 7 : 0);
    }
    const struct look_status *untouched = g_hash_table_lookup(table, "c");
    g_assert_cmpint(untouched->last_look_ms, ==, 0);
    tear_down(&place);
}

/* Whole until it has been written: looks without news write nothing but times. */
static void flush__no_room__what_was_touched_is_written_the_next_time(void)
{
    struct place place;
    struct rlimit before;
    g_autoptr(GError) error = NULL;
    set_up(&place, (const char *const[]){"app", NULL});
    struct look_status *app = look_book_get(place.book, "app");
    const struct look_summary late = {300, 5000};
    fill(app);
    look_book_touch(place.book, app);
    look_book_set_summary(place.book, &late);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    const struct rlimit none = {.rlim_cur = 1, .rlim_max = before.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    bool good = look_book_flush(place.book, 1, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_false(good);
    g_assert_nonnull(error);
    look_book_touch_times(place.book, app);
    g_assert_true(look_book_flush_due(place.book, 1, INT64_MAX));
    g_assert_true(look_book_flush(place.book, 2, NULL));
    g_assert_false(look_book_flush_due(place.book, 100000, INT64_MAX));
    struct look_summary summary;
    g_autoptr(GHashTable) table = read_all(&place, &summary);
    check_filled(g_hash_table_lookup(table, "app"));
    g_assert_cmpint(summary.late_ms, ==, 300);
    tear_down(&place);
}

static void flush_due__touched__once_a_second_or_before_a_long_sleep(void)
{
    struct place place;
    set_up(&place, (const char *const[]){"app", NULL});
    g_assert_false(look_book_flush_due(place.book, 5000, INT64_MAX));
    look_book_touch(place.book, look_book_get(place.book, "app"));
    g_assert_true(look_book_flush_due(place.book, 5000, 5001));
    g_assert_true(look_book_flush(place.book, 5000, NULL));
    look_book_touch(place.book, look_book_get(place.book, "app"));
    g_assert_false(look_book_flush_due(place.book, 5100, 5100 + LOOK_BOOK_PAUSE_MS));
    g_assert_true(look_book_flush_due(place.book, 5100, 5100 + LOOK_BOOK_PAUSE_MS + 1));
    g_assert_true(look_book_flush_due(place.book, 5100, INT64_MAX));
    g_assert_true(look_book_flush_due(place.book, 6000, 6001));
    tear_down(&place);
}

static void summary__changed__is_read_back(void)
{
    struct place place;
    struct look_summary summary;
    set_up(&place, (const char *const[]){"app", NULL});
    look_book_set_summary(place.book, &(struct look_summary){1500, 99});
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, &summary);
    g_assert_cmpint(summary.late_ms, ==, 1500);
    g_assert_cmpint(summary.at_ms, ==, 99);
    tear_down(&place);
}

static void record__long_error__is_cut_at_a_character(void)
{
    struct place place;
    set_up(&place, (const char *const[]){"app", NULL});
    struct look_status *app = look_book_get(place.book, "app");
    GString *text = g_string_new("x");
    for (int i = 0; i < 2000; i++) {
        g_string_append(text, "\u00e9\"");
    }
    app->error = g_string_free(text, FALSE);
    look_book_touch(place.book, app);
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    const struct look_status *read = g_hash_table_lookup(table, "app");
    g_assert_true(g_utf8_validate(read->error, -1, NULL));
    g_assert_cmpuint(strlen(read->error), >, 300);
    tear_down(&place);
}

static void record__no_room_for_all__the_error_stays_in_part(void)
{
    struct place place;
    set_up(&place, (const char *const[]){"app", NULL});
    struct look_status *app = look_book_get(place.book, "app");
    app->error = g_strnfill(2000, 'e');
    app->moved_to = g_strnfill(700, 'm');
    look_book_touch(place.book, app);
    g_assert_true(look_book_flush(place.book, 1, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    const struct look_status *read = g_hash_table_lookup(table, "app");
    g_assert_nonnull(read);
    g_assert_cmpuint(strlen(read->error), >, 50);
    g_assert_null(read->moved_to);
    tear_down(&place);
}

static void check_read(const struct place *place, const char *bytes, size_t length,
                       unsigned expected)
{
    g_assert_true(g_file_set_contents(place->path, bytes, (gssize)length, NULL));
    g_autoptr(GHashTable) table = read_all(place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, expected);
}

static void read__torn_or_cut_off__leaves_out_what_is_not_whole(void)
{
    struct place place;
    g_autofree char *bytes = NULL;
    size_t length = 0;
    set_up(&place, (const char *const[]){"app", "web", NULL});
    g_assert_true(g_file_get_contents(place.path, &bytes, &length, NULL));
    check_read(&place, bytes, length, 2);
    check_read(&place, bytes, length - 1, 0);
    check_read(&place, bytes, LOOK_STATUS_RECORD_BYTES - 1, 0);
    bytes[LOOK_STATUS_RECORD_BYTES]++; /* the times of app */
    check_read(&place, bytes, length, 1);
    bytes[length - LOOK_STATUS_RECORD_BYTES + 1] = 'x'; /* the record of web */
    check_read(&place, bytes, length, 0);
    tear_down(&place);
}

static void read__absence_and_garbage__are_empty_tables(void)
{
    struct place place;
    set_up(&place, (const char *const[]){NULL});
    g_autoptr(GHashTable) none = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(none), ==, 0);
    g_autofree char *garbage = g_malloc(5000);
    memset(garbage, '{', 5000);
    g_assert_true(g_file_set_contents(place.path, garbage, 5000, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 0);
    g_assert_true(g_file_set_contents(place.path, "", 0, NULL));
    g_autofree char *absent = g_strconcat(place.path, ".absent", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) nothing = look_status_read(absent, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(nothing), ==, 0);
    tear_down(&place);
}

static void set_repos__no_room_for_the_file__fails_and_the_next_flush_writes_it(void)
{
    g_autoptr(GError) error = NULL;
    struct place place;
    const char *const repos[] = {"app", "web", NULL};
    set_up(&place, repos);
    look_book_close(place.book);
    g_assert_true(file_remove_tree_at_path(place.directory, NULL));
    place.book = look_book_open(place.path, NULL);
    g_assert_false(look_book_set_repos(place.book, repos, &error));
    g_assert_nonnull(error);
    look_book_get(place.book, "web")->last_look_ms = 5;
    look_book_touch_times(place.book, look_book_get(place.book, "web"));
    g_assert_false(look_book_flush(place.book, 1, NULL));
    g_assert_cmpint(g_mkdir(place.directory, 0700), ==, 0);
    g_assert_true(look_book_flush(place.book, 2, NULL));
    g_autoptr(GHashTable) table = read_all(&place, NULL);
    g_assert_cmpuint(g_hash_table_size(table), ==, 2);
    const struct look_status *web = g_hash_table_lookup(table, "web");
    g_assert_cmpint(web->last_look_ms, ==, 5);
    tear_down(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/look_status/" #name, name)
    ADD(book__what_was_touched__is_read_back);
    ADD(book__other_repos__keeps_those_that_stay_and_drops_the_rest);
    ADD(book__opened_again__knows_what_the_last_one_wrote);
    ADD(book__more_records_than_one_write_takes__all_are_there);
    ADD(book__times_touched_with_gaps__all_are_read_back);
    ADD(flush__no_room__what_was_touched_is_written_the_next_time);
    ADD(flush_due__touched__once_a_second_or_before_a_long_sleep);
    ADD(summary__changed__is_read_back);
    ADD(record__long_error__is_cut_at_a_character);
    ADD(record__no_room_for_all__the_error_stays_in_part);
    ADD(read__torn_or_cut_off__leaves_out_what_is_not_whole);
    ADD(read__absence_and_garbage__are_empty_tables);
    ADD(set_repos__no_room_for_the_file__fails_and_the_next_flush_writes_it);
    return g_test_run();
}
