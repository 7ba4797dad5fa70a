/* What an answer means for a message. */
#include "daemon/verdict.h"

static struct net_answer http(int status)
{
    struct net_answer answer = NET_ANSWER_INIT;
    answer.outcome = NET_OUTCOME_HTTP;
    answer.status = status;
    return answer;
}

static void answer__of_each_status__has_its_verdict(void)
{
    static const struct {
        int status;
        enum outbox_state state;
    } cases[] = {
        {200, OUTBOX_DELIVERED}, {204, OUTBOX_DELIVERED}, {299, OUTBOX_DELIVERED},
        {301, OUTBOX_GIVEN_UP},  {302, OUTBOX_GIVEN_UP},  {400, OUTBOX_GIVEN_UP},
        {401, OUTBOX_GIVEN_UP},  {403, OUTBOX_GIVEN_UP},  {404, OUTBOX_GIVEN_UP},
        {408, OUTBOX_WAITING},   {410, OUTBOX_GIVEN_UP},  {413, OUTBOX_GIVEN_UP},
        {425, OUTBOX_WAITING},   {429, OUTBOX_WAITING},   {499, OUTBOX_GIVEN_UP},
        {500, OUTBOX_WAITING},   {502, OUTBOX_WAITING},   {503, OUTBOX_WAITING},
        {599, OUTBOX_WAITING},   {199, OUTBOX_GIVEN_UP},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_answer answer = http(cases[i].status);
        g_assert_cmpint(verdict_on_answer(&answer, 1, 0.5).state, ==, cases[i].state);
    }
}

static void answer__of_no_server__is_tried_again_unless_it_was_never_sent(void)
{
    static const enum net_outcome passing[] = {NET_OUTCOME_UNREACHABLE, NET_OUTCOME_TIMEOUT,
                                               NET_OUTCOME_TLS, NET_OUTCOME_PROTOCOL};
    struct net_answer answer = NET_ANSWER_INIT;
    for (unsigned i = 0; i < G_N_ELEMENTS(passing); i++) {
        answer.outcome = passing[i];
        g_assert_cmpint(verdict_on_answer(&answer, 1, 0.5).state, ==, OUTBOX_WAITING);
    }
    answer.outcome = NET_OUTCOME_REFUSED;
    g_assert_cmpint(verdict_on_answer(&answer, 1, 0.5).state, ==, OUTBOX_GIVEN_UP);
}

static void wait__doubles_up_to_its_cap__varied_by_a_fifth(void)
{
    static const int64_t seconds[] = {5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800};
    for (unsigned i = 0; i < G_N_ELEMENTS(seconds); i++) {
        int attempts = (int)i + 1;
        g_assert_cmpint(verdict_backoff_ms(attempts, 0.0), ==, seconds[i] * 800);
        g_assert_cmpint(verdict_backoff_ms(attempts, 0.5), ==, seconds[i] * 1000);
        g_assert_cmpint(verdict_backoff_ms(attempts, 1.0), <=, seconds[i] * 1200);
    }
    g_assert_cmpint(verdict_backoff_ms(1000000, 0.5), ==, DELIVERY_RETRY_CAP_MS);
    g_assert_cmpint(verdict_backoff_ms(0, 0.5), ==, DELIVERY_FIRST_RETRY_MS);
}

static void wait__that_the_receiver_names__is_obeyed_within_bounds(void)
{
    struct net_answer answer = http(429);
    answer.retry_after_ms = 3000;
    g_assert_cmpint(verdict_on_answer(&answer, 5, 0.5).wait_ms, ==, 3000);
    answer.retry_after_ms = 0;
    g_assert_cmpint(verdict_on_answer(&answer, 5, 0.5).wait_ms, ==, 0);
    answer.retry_after_ms = INT64_C(86400000);
    g_assert_cmpint(verdict_on_answer(&answer, 5, 0.5).wait_ms, ==, DELIVERY_WAIT_MAX_MS);
}

static void pause__of_a_used_up_rate__holds_after_a_delivery_too(void)
{
    struct net_answer answer = http(204);
    answer.rate_remaining = 0;
    answer.rate_reset_ms = 1500;
    struct verdict verdict = verdict_on_answer(&answer, 1, 0.5);
    g_assert_cmpint(verdict.state, ==, OUTBOX_DELIVERED);
    g_assert_cmpint(verdict.pause_ms, ==, 1500);
    answer.rate_remaining = 1;
    g_assert_cmpint(verdict_on_answer(&answer, 1, 0.5).pause_ms, ==, 0);
    answer = http(429);
    answer.rate_remaining = 0;
    answer.rate_reset_ms = 9000;
    answer.retry_after_ms = 1000;
    g_assert_cmpint(verdict_on_answer(&answer, 1, 0.5).wait_ms, ==, 9000);
}

int main(int argc, char **argv)
{
    g_unsetenv("PHANTOM_CI_TEST_RETRY_MS");
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/verdict/" #name, name)
    ADD(answer__of_each_status__has_its_verdict);
    ADD(answer__of_no_server__is_tried_again_unless_it_was_never_sent);
    ADD(wait__doubles_up_to_its_cap__varied_by_a_fifth);
    ADD(wait__that_the_receiver_names__is_obeyed_within_bounds);
    ADD(pause__of_a_used_up_rate__holds_after_a_delivery_too);
    return g_test_run();
}
