#include <glib.h>

#include "poll/agenda.h"
#include "poll/heap.h"

/* ------------------------------------------------------------------------------------- heap */

static void check_order(struct heap *heap, unsigned expected)
{
    int64_t last = INT64_MIN;
    unsigned count = 0;
    for (struct heap_node *node = heap_first(heap); node; node = heap_first(heap)) {
        g_assert_cmpint(node->at, >=, last);
        last = node->at;
        heap_remove(heap, node);
        g_assert_false(heap_has(node));
        count++;
    }
    g_assert_cmpuint(count, ==, expected);
}

static void heap__thousand_random_changes__always_gives_the_earliest(void)
{
    enum { NODES = 1000 };
    g_autofree struct heap_node *nodes = g_new0(struct heap_node, NODES);
    g_autoptr(GRand) random = g_rand_new_with_seed(4);
    struct heap heap;
    heap_init(&heap);
    unsigned in_heap = 0;
    for (unsigned i = 0; i < 20 * NODES; i++) {
        struct heap_node *node = &nodes[g_rand_int_range(random, 0, NODES)];
        in_heap -= heap_has(node) ? 1 : 0;
        if (g_rand_boolean(random)) {
            heap_put(&heap, node, g_rand_int_range(random, -500, 500));
            in_heap++;
        } else {
            heap_remove(&heap, node);
        }
    }
    check_order(&heap, in_heap);
    g_assert_null(heap_first(&heap));
    heap_release(&heap);
}

/* ----------------------------------------------------------------------------------- agenda */

static struct agenda *make_agenda(unsigned at_once, unsigned at_most, unsigned host_at_once,
                                  unsigned host_per_minute)
{
    const struct agenda_limits limits = {
        .lanes = {[LANE_NET] = {at_once, at_most}, [LANE_GIT] = {at_once, at_most}},
        .patience_ms = 5000,
        .host_at_once = host_at_once,
        .host_per_minute = host_per_minute,
    };
    struct agenda *agenda = agenda_new();
    agenda_set_limits(agenda, &limits, 0);
    return agenda;
}

static void add(struct agenda *agenda, struct agenda_item *item, const char *host,
                enum agenda_lane lane, int64_t due_ms)
{
    *item = (struct agenda_item){.lane = LANE_FILES};
    agenda_add(agenda, item, host, lane);
    agenda_put(agenda, item, due_ms, 0, 0);
}

static void remove_all(struct agenda *agenda, struct agenda_item *items, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        agenda_remove(agenda, &items[i], 0);
    }
    agenda_free(agenda);
}

static void next__several_due__oldest_first_and_none_early(void)
{
    struct agenda *agenda = make_agenda(9, 9, 9, 0);
    struct agenda_item items[3];
    add(agenda, &items[0], "a", LANE_NET, 30);
    add(agenda, &items[1], "a", LANE_NET, 10);
    add(agenda, &items[2], "a", LANE_NET, 20);
    g_assert_null(agenda_next(agenda, 9));
    g_assert_cmpint(agenda_wake_ms(agenda, 9), ==, 10);
    g_assert_true(agenda_next(agenda, 25) == &items[1]);
    g_assert_true(agenda_next(agenda, 25) == &items[2]);
    g_assert_null(agenda_next(agenda, 25));
    g_assert_cmpint(agenda_wake_ms(agenda, 25), ==, 30);
    remove_all(agenda, items, 3);
}

static void next__slack__begins_together_with_one_that_is_due(void)
{
    struct agenda *agenda = make_agenda(9, 9, 9, 0);
    struct agenda_item items[2];
    add(agenda, &items[0], "a", LANE_NET, 100);
    add(agenda, &items[1], "b", LANE_NET, 140);
    agenda_put(agenda, &items[1], 140, 50, 0);
    g_assert_cmpint(agenda_wake_ms(agenda, 0), ==, 100);
    g_assert_nonnull(agenda_next(agenda, 100));
    g_assert_nonnull(agenda_next(agenda, 100));
    g_assert_cmpint(agenda_late_ms(agenda, 100), ==, 0);
    remove_all(agenda, items, 2);
}

static void next__one_host_with_a_long_queue__others_have_their_turn(void)
{
    struct agenda *agenda = make_agenda(99, 99, 99, 0);
    struct agenda_item busy[50];
    struct agenda_item quiet;
    for (unsigned i = 0; i < 50; i++) {
        add(agenda, &busy[i], "busy", LANE_NET, i);
    }
    add(agenda, &quiet, "quiet", LANE_NET, 60);
    bool found = false;
    for (unsigned i = 0; i < 3; i++) {
        found = agenda_next(agenda, 100) == &quiet || found;
    }
    g_assert_true(found);
    agenda_remove(agenda, &quiet, 100);
    remove_all(agenda, busy, 50);
}

static void next__lane_is_full__waits_for_an_end_or_for_patience(void)
{
    struct agenda *agenda = make_agenda(2, 3, 99, 0);
    struct agenda_item items[5];
    for (unsigned i = 0; i < 5; i++) {
        add(agenda, &items[i], "a", LANE_GIT, (int64_t)i - 9);
    }
    g_assert_nonnull(agenda_next(agenda, 0));
    g_assert_nonnull(agenda_next(agenda, 1));
    g_assert_null(agenda_next(agenda, 2));
    g_assert_cmpint(agenda_wake_ms(agenda, 2), ==, 5000);
    agenda_end(agenda, &items[1], 3);
    g_assert_cmpint(agenda_wake_ms(agenda, 3), ==, 3);
    g_assert_true(agenda_next(agenda, 3) == &items[2]);
    g_assert_null(agenda_next(agenda, 4999));
    /* The first one hangs, and has lost its place; the third place is the last. */
    g_assert_true(agenda_next(agenda, 5000) == &items[3]);
    g_assert_null(agenda_next(agenda, 900000));
    g_assert_cmpint(agenda_wake_ms(agenda, 900000), ==, INT64_MAX);
    g_assert_true(agenda_oldest(agenda, LANE_GIT) == &items[0]);
    agenda_end(agenda, &items[0], 900000);
    g_assert_true(agenda_next(agenda, 900000) == &items[4]);
    remove_all(agenda, items, 5);
}

static void next__lanes__are_full_each_for_itself(void)
{
    struct agenda *agenda = make_agenda(1, 1, 99, 0);
    struct agenda_item items[4];
    add(agenda, &items[0], "a", LANE_GIT, 0);
    add(agenda, &items[1], "a", LANE_GIT, 0);
    add(agenda, &items[2], "a", LANE_NET, 0);
    add(agenda, &items[3], NULL, LANE_FILES, 0);
    unsigned begun = 0;
    while (agenda_next(agenda, 0)) {
        begun++;
    }
    g_assert_cmpuint(begun, ==, 3);
    g_assert_cmpint(items[1].state, ==, AGENDA_READY);
    remove_all(agenda, items, 4);
}

static void next__host_has_enough_under_way__waits_for_one_of_them(void)
{
    struct agenda *agenda = make_agenda(99, 99, 2, 0);
    struct agenda_item items[4];
    for (unsigned i = 0; i < 3; i++) {
        add(agenda, &items[i], "a", i ? LANE_NET : LANE_GIT, 0);
    }
    add(agenda, &items[3], NULL, LANE_GIT, 0);
    unsigned begun = 0;
    while (agenda_next(agenda, 0)) {
        begun++;
    }
    g_assert_cmpuint(begun, ==, 3);
    g_assert_cmpint(agenda_wake_ms(agenda, 0), ==, INT64_MAX);
    struct agenda_item *ended = items[1].state == AGENDA_UNDER_WAY ? &items[1] : &items[0];
    agenda_end(agenda, ended, 10);
    g_assert_nonnull(agenda_next(agenda, 10));
    remove_all(agenda, items, 4);
}

static void next__so_many_a_minute__evenly_spaced(void)
{
    enum { ITEMS = 100 };
    struct agenda *agenda = make_agenda(999, 999, 999, 60);
    g_autofree struct agenda_item *items = g_new0(struct agenda_item, ITEMS);
    for (unsigned i = 0; i < ITEMS; i++) {
        add(agenda, &items[i], "a", LANE_NET, 0);
    }
    unsigned begun = 0;
    for (int64_t now_ms = 0; now_ms <= 30000; now_ms = agenda_wake_ms(agenda, now_ms)) {
        while (agenda_next(agenda, now_ms)) {
            begun++;
        }
        g_assert_cmpint(agenda_wake_ms(agenda, now_ms), >, now_ms);
    }
    g_assert_cmpuint(begun, >=, 30);
    g_assert_cmpuint(begun, <=, 31);
    /* The limit is taken away. */
    struct agenda_limits none = {.lanes = {[LANE_NET] = {999, 999}}, .host_at_once = 999};
    agenda_set_limits(agenda, &none, 30001);
    while (agenda_next(agenda, 30001)) {
        begun++;
    }
    g_assert_cmpuint(begun, ==, ITEMS);
    remove_all(agenda, items, ITEMS);
}

static void pause__host_asked_for_it__its_items_wait_and_others_do_not(void)
{
    struct agenda *agenda = make_agenda(9, 9, 9, 0);
    struct agenda_item items[3];
    add(agenda, &items[0], "a", LANE_NET, 0);
    add(agenda, &items[1], "a", LANE_NET, 5);
    add(agenda, &items[2], "b", LANE_NET, 5);
    g_assert_true(agenda_next(agenda, 0) == &items[0]);
    agenda_end(agenda, &items[0], 1);
    agenda_pause_host(agenda, &items[0], 1000, 1);
    agenda_pause_host(agenda, &items[0], 500, 1);
    agenda_put(agenda, &items[0], 7, 0, 1);
    g_assert_true(agenda_next(agenda, 10) == &items[2]);
    g_assert_null(agenda_next(agenda, 999));
    g_assert_cmpint(agenda_wake_ms(agenda, 999), ==, 1000);
    g_assert_true(agenda_next(agenda, 1000) == &items[1]);
    g_assert_true(agenda_next(agenda, 1000) == &items[0]);
    remove_all(agenda, items, 3);
}

static void late__what_began_late_or_still_waits__is_told_for_a_while(void)
{
    struct agenda *agenda = make_agenda(1, 1, 9, 0);
    struct agenda_item items[2];
    add(agenda, &items[0], "a", LANE_NET, 100);
    add(agenda, &items[1], "a", LANE_NET, 200);
    g_assert_nonnull(agenda_next(agenda, 130));
    g_assert_cmpint(agenda_late_ms(agenda, 130), ==, 30);
    g_assert_null(agenda_next(agenda, 1200));
    g_assert_cmpint(agenda_late_ms(agenda, 1200), ==, 1000);
    agenda_end(agenda, &items[0], 2200);
    g_assert_nonnull(agenda_next(agenda, 2200));
    g_assert_cmpint(agenda_late_ms(agenda, 50000), ==, 2000);
    agenda_end(agenda, &items[1], 50000);
    g_assert_cmpint(agenda_late_ms(agenda, 500000), ==, 0);
    remove_all(agenda, items, 2);
}

static void late__looks_go_on_in_time__the_old_figure_fades(void)
{
    struct agenda *agenda = make_agenda(9, 9, 9, 0);
    struct agenda_item item;
    add(agenda, &item, "a", LANE_NET, 0);
    for (int64_t due_ms = 0; due_ms < 600000; due_ms += 1000) {
        int64_t late_ms = due_ms == 0 ? 700 : 0;
        agenda_put(agenda, &item, due_ms, 0, due_ms);
        g_assert_nonnull(agenda_next(agenda, due_ms + late_ms));
        agenda_end(agenda, &item, due_ms + late_ms);
        g_assert_cmpint(agenda_late_ms(agenda, due_ms + late_ms), ==, due_ms < 121000 ? 700 : 0);
    }
    remove_all(agenda, &item, 1);
}

static void stuck__nobody_asks_for_what_is_due__grows(void)
{
    struct agenda *agenda = make_agenda(1, 1, 9, 0);
    struct agenda_item items[2];
    add(agenda, &items[0], "a", LANE_NET, 1000000);
    add(agenda, &items[1], "a", LANE_NET, 1000000);
    g_assert_cmpint(agenda_stuck_ms(agenda, 999999), ==, 0);
    g_assert_cmpint(agenda_stuck_ms(agenda, 1000050), ==, 50);
    g_assert_nonnull(agenda_next(agenda, 1000060));
    g_assert_cmpint(agenda_stuck_ms(agenda, 1000060), ==, 0);
    /* The other one waits for a place, which never becomes free. */
    g_assert_null(agenda_next(agenda, 1000070));
    g_assert_cmpint(agenda_stuck_ms(agenda, 1090060), ==, 90000);
    remove_all(agenda, items, 2);
}

static void put__scheduled_again__moves_and_leaves_no_trace(void)
{
    struct agenda *agenda = make_agenda(9, 9, 9, 0);
    struct agenda_item item;
    add(agenda, &item, "a", LANE_NET, 10);
    agenda_put(agenda, &item, 500, 0, 0);
    g_assert_null(agenda_next(agenda, 499));
    agenda_put(agenda, &item, 20, 0, 0);
    g_assert_true(agenda_next(agenda, 20) == &item);
    agenda_end(agenda, &item, 21);
    agenda_set_lane(agenda, &item, LANE_GIT, 21);
    g_assert_null(agenda_next(agenda, 100000));
    agenda_put(agenda, &item, 30, 0, 21);
    g_assert_true(agenda_next(agenda, 30) == &item);
    g_assert_true(agenda_oldest(agenda, LANE_GIT) == &item);
    remove_all(agenda, &item, 1);
}

/* 100,000 remotes on 100 hosts for ten minutes, with a random interval each: what the limits allow
 * begins in time, and never more than that. */
static void simulation__hundred_thousand_items__all_begin_in_time(void)
{
    enum { ITEMS = 100000, HOSTS = 100, MINUTES = 10 };
    struct agenda *agenda = make_agenda(256, 4096, 64, 0);
    g_autofree struct agenda_item *items = g_new0(struct agenda_item, ITEMS);
    g_autofree int64_t *intervals = g_new0(int64_t, ITEMS);
    g_autofree unsigned *begun = g_new0(unsigned, ITEMS);
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < ITEMS; i++) {
        char host[16];
        g_snprintf(host, sizeof(host), "host%u", i % HOSTS);
        intervals[i] = g_rand_int_range(random, 60, 600) * 1000;
        add(agenda, &items[i], host, LANE_NET, g_rand_int_range(random, 0, (int)intervals[i]));
        items[i].slack_ms = 250;
    }
    struct agenda_item *under_way[256];
    for (int64_t now_ms = 0; now_ms < MINUTES * 60000; now_ms = agenda_wake_ms(agenda, now_ms)) {
        unsigned count = 0;
        struct agenda_item *item;
        while (count < 256 && (item = agenda_next(agenda, now_ms))) {
            under_way[count++] = item;
            begun[item - items]++;
        }
        for (unsigned i = 0; i < count; i++) {
            agenda_end(agenda, under_way[i], now_ms);
            agenda_put(agenda, under_way[i], now_ms + intervals[under_way[i] - items], 250, now_ms);
        }
        g_assert_cmpint(agenda_late_ms(agenda, now_ms), <=, 2);
    }
    for (unsigned i = 0; i < ITEMS; i++) {
        g_assert_cmpuint(begun[i], >=, (unsigned)(MINUTES * 60000 / intervals[i]));
    }
    remove_all(agenda, items, ITEMS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/poll/" #name, name)
    ADD(heap__thousand_random_changes__always_gives_the_earliest);
    ADD(next__several_due__oldest_first_and_none_early);
    ADD(next__slack__begins_together_with_one_that_is_due);
    ADD(next__one_host_with_a_long_queue__others_have_their_turn);
    ADD(next__lane_is_full__waits_for_an_end_or_for_patience);
    ADD(next__lanes__are_full_each_for_itself);
    ADD(next__host_has_enough_under_way__waits_for_one_of_them);
    ADD(next__so_many_a_minute__evenly_spaced);
    ADD(pause__host_asked_for_it__its_items_wait_and_others_do_not);
    ADD(late__what_began_late_or_still_waits__is_told_for_a_while);
    ADD(late__looks_go_on_in_time__the_old_figure_fades);
    ADD(stuck__nobody_asks_for_what_is_due__grows);
    ADD(put__scheduled_again__moves_and_leaves_no_trace);
    ADD(simulation__hundred_thousand_items__all_begin_in_time);
    return g_test_run();
}
