#include <glib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/queue__free_places__filled_in_order",
                    queue__free_places__filled_in_order);
    g_test_add_func("/daemon/queue__running_jobs__take_places_and_their_branch",
                    queue__running_jobs__take_places_and_their_branch);
    g_test_add_func("/daemon/queue__two_queued_of_one_branch__only_the_first",
                    queue__two_queued_of_one_branch__only_the_first);
    return g_test_run();
}
