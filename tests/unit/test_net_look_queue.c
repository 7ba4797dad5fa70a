#include <glib.h>

#include "net/look_queue.h"

enum { MANY = 32 };

static struct look_ticket tickets[MANY];

static struct look_queue *queue_of(unsigned at_once)
{
    for (unsigned i = 0; i < MANY; i++) {
        tickets[i] = (struct look_ticket){.turn = LOOK_TURN_NONE};
    }
    return look_queue_new(at_once);
}

static void push(struct look_queue *queue, unsigned which, const char *host, unsigned at_once)
{
    look_queue_push(queue, &tickets[which], host, at_once, 1000);
}

/* Its number, -1 = none. */
static int pop(struct look_queue *queue)
{
    struct look_ticket *ticket = look_queue_pop(queue);
    g_assert_true(!ticket || ticket->turn == LOOK_TURN_RUNS);
    return ticket ? (int)(ticket - tickets) : -1;
}

static void empty(struct look_queue *queue)
{
    for (unsigned i = 0; i < MANY; i++) {
        look_queue_leave(queue, &tickets[i]);
    }
    g_assert_cmpuint(look_queue_running(queue), ==, 0);
    g_assert_cmpuint(look_queue_waiting(queue), ==, 0);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_free(queue);
}

static void host__with_many__has_its_number_on_their_way_oldest_first(void)
{
    struct look_queue *queue = queue_of(100);
    for (unsigned i = 0; i < 5; i++) {
        push(queue, i, "a", 2);
    }
    g_assert_cmpint(pop(queue), ==, 0);
    g_assert_cmpint(pop(queue), ==, 1);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_leave(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, 2);
    g_assert_cmpint(pop(queue), ==, -1);
    g_assert_cmpuint(look_queue_running(queue), ==, 2);
    g_assert_cmpuint(look_queue_waiting(queue), ==, 2);
    empty(queue);
}

static void hosts__with_many_and_few__take_turns(void)
{
    struct look_queue *queue = queue_of(100);
    for (unsigned i = 0; i < 6; i++) {
        push(queue, i, "busy", 10);
    }
    push(queue, 6, "quiet", 10);
    push(queue, 7, "other", 10);
    static const int expected[] = {0, 6, 7, 1, 2, 3, 4, 5, -1};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(pop(queue), ==, expected[i]);
    }
    empty(queue);
}

static void all__together__have_at_most_their_number_on_their_way(void)
{
    struct look_queue *queue = queue_of(3);
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *host = g_strdup_printf("h%u", i);
        push(queue, i, host, 10);
    }
    g_assert_cmpint(pop(queue), ==, 0);
    g_assert_cmpint(pop(queue), ==, 1);
    g_assert_cmpint(pop(queue), ==, 2);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_leave(queue, &tickets[1]);
    g_assert_cmpint(pop(queue), ==, 3);
    g_assert_cmpint(pop(queue), ==, -1);
    empty(queue);
}

static void ticket__that_leaves_while_it_waits__is_never_popped(void)
{
    struct look_queue *queue = queue_of(100);
    push(queue, 0, "a", 1);
    push(queue, 1, "a", 1);
    push(queue, 2, "b", 1);
    look_queue_leave(queue, &tickets[0]);
    look_queue_leave(queue, &tickets[0]);
    look_queue_leave(queue, &tickets[2]);
    g_assert_cmpint(pop(queue), ==, 1);
    g_assert_cmpint(pop(queue), ==, -1);
    empty(queue);
}

static void ticket__that_is_put_off__makes_room_and_comes_back_first(void)
{
    struct look_queue *queue = queue_of(1);
    push(queue, 0, "a", 1);
    push(queue, 1, "a", 1);
    push(queue, 2, "a", 1);
    g_assert_cmpint(pop(queue), ==, 0);
    look_queue_put_off(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, 1);
    look_queue_call_back(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_leave(queue, &tickets[1]);
    g_assert_cmpint(pop(queue), ==, 0);
    look_queue_put_off(queue, &tickets[0]);
    look_queue_leave(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, 2);
    empty(queue);
}

static void first__of_a_host__waits_when_fewer_may_run_beside_it(void)
{
    struct look_queue *queue = queue_of(100);
    push(queue, 0, "a", 4);
    push(queue, 1, "a", 4);
    push(queue, 2, "a", 1);
    g_assert_cmpint(pop(queue), ==, 0);
    g_assert_cmpint(pop(queue), ==, 1);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_leave(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, -1);
    look_queue_leave(queue, &tickets[1]);
    g_assert_cmpint(pop(queue), ==, 2);
    empty(queue);
}

static void host__nobody_came_to_for_long__is_rare(void)
{
    struct look_queue *queue = queue_of(100);
    look_queue_push(queue, &tickets[0], "a", 4, 1000);
    look_queue_push(queue, &tickets[1], "a", 4, 1000);
    look_queue_push(queue, &tickets[2], "b", 4, 1000);
    look_queue_push(queue, &tickets[3], "a", 4, 1000 + LOOK_RARE_MS);
    look_queue_push(queue, &tickets[4], "a", 4, 1000 + 2 * LOOK_RARE_MS + 1);
    static const bool expected[] = {true, false, true, false, true};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(tickets[i].is_rare, ==, expected[i]);
    }
    empty(queue);
}

/* Hosts without a look are forgotten when there are many; one that was put off is not. */
static void hosts__above_their_number__are_forgotten_unless_somebody_is_there(void)
{
    struct look_queue *queue = queue_of(100);
    push(queue, 0, "put-off", 1);
    g_assert_cmpint(pop(queue), ==, 0);
    look_queue_put_off(queue, &tickets[0]);
    push(queue, 1, "waits", 1);
    push(queue, 2, "runs", 1);
    g_assert_cmpint(pop(queue), ==, 1);
    g_assert_cmpint(pop(queue), ==, 2);
    push(queue, 3, "runs", 1);
    for (unsigned i = 0; i < 3 * LOOK_HOSTS_KEPT; i++) {
        g_autofree char *host = g_strdup_printf("h%u", i);
        look_queue_push(queue, &tickets[4], host, 1, 1000 + (int64_t)(i + 1) * LOOK_RARE_MS * 2);
        g_assert_cmpint(pop(queue), ==, 4);
        look_queue_leave(queue, &tickets[4]);
    }
    look_queue_call_back(queue, &tickets[0]);
    g_assert_cmpint(pop(queue), ==, 0);
    look_queue_leave(queue, &tickets[2]);
    g_assert_cmpint(pop(queue), ==, 3);
    empty(queue);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look_queue/host__with_many__has_its_number_on_their_way_oldest_first",
                    host__with_many__has_its_number_on_their_way_oldest_first);
    g_test_add_func("/look_queue/hosts__with_many_and_few__take_turns",
                    hosts__with_many_and_few__take_turns);
    g_test_add_func("/look_queue/all__together__have_at_most_their_number_on_their_way",
                    all__together__have_at_most_their_number_on_their_way);
    g_test_add_func("/look_queue/ticket__that_leaves_while_it_waits__is_never_popped",
                    ticket__that_leaves_while_it_waits__is_never_popped);
    g_test_add_func("/look_queue/ticket__that_is_put_off__makes_room_and_comes_back_first",
                    ticket__that_is_put_off__makes_room_and_comes_back_first);
    g_test_add_func("/look_queue/first__of_a_host__waits_when_fewer_may_run_beside_it",
                    first__of_a_host__waits_when_fewer_may_run_beside_it);
    g_test_add_func("/look_queue/host__nobody_came_to_for_long__is_rare",
                    host__nobody_came_to_for_long__is_rare);
    g_test_add_func("/look_queue/hosts__above_their_number__are_forgotten_unless_somebody_is_there",
                    hosts__above_their_number__are_forgotten_unless_somebody_is_there);
    return g_test_run();
}
