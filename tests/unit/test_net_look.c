#include <glib.h>
#include <string.h>

#include "net/look_internal.h"

static struct look_shared shared;

static struct look *new_look(const char *url, const char *options, int64_t timeout_ms)
{
    g_autoptr(GError) error = NULL;
    struct net_look request = {.id = g_strdup("1"),
                               .url = g_strdup(url),
                               .wanted = g_strdup("refs/heads/main"),
                               .known = g_strdup(""),
                               .options = g_strdup(options),
                               .timeout_ms = timeout_ms};
    struct look *look = look_new(&request, &shared, 1000, &error);
    g_assert_no_error(error);
    g_assert_null(request.id);
    return look;
}

static void set_up(void)
{
    shared.setups = look_setups_new();
    shared.logins = look_logins_new();
    shared.large_left = LOOK_LARGE_AT_ONCE;
}

static void tear_down(void)
{
    look_setups_free(shared.setups);
    look_logins_free(shared.logins);
}

static void look__whose_time_is_up__is_late(void)
{
    set_up();
    struct look *look = new_look("http://h/a", "", 500);
    int64_t next_ms = G_MAXINT64;
    g_assert_false(look_is_late(look, 1499, &next_ms));
    g_assert_cmpint(next_ms, ==, 1500);
    g_assert_true(look_is_late(look, 1500, &next_ms));
    look_time_out(look, 1500);
    g_assert_cmpint(look->looked.outcome, ==, NET_LOOK_TIMEOUT);
    g_assert_nonnull(strstr(look->looked.error, "was not asked within 500 ms"));
    look_free(look);
    tear_down();
}

static void look__whose_server_drips_or_falls_silent__is_late(void)
{
    static const struct {
        size_t bytes;
        bool is_late;
    } cases[] = {
        {0, true},
        {LOOK_LOW_SPEED_BYTES * LOOK_LOW_SPEED_MS / 1000 - 1, true},
        {LOOK_LOW_SPEED_BYTES * LOOK_LOW_SPEED_MS / 1000, false},
        {1000 * 1000, false},
    };
    set_up();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look *look = new_look("http://h/a", "", 600 * 1000);
        int64_t next_ms = G_MAXINT64;
        look->is_running = true;
        g_assert_false(look_is_late(look, 1000 + LOOK_LOW_SPEED_MS, &next_ms)); /* no answer yet */
        look->slow_since_ms = 2000;
        look->body_bytes = 100;
        look->slow_bytes = 100;
        g_assert_false(look_is_late(look, 2000 + LOOK_LOW_SPEED_MS - 1, &next_ms));
        g_assert_cmpint(next_ms, ==, 2000 + LOOK_LOW_SPEED_MS);
        look->body_bytes += cases[i].bytes;
        g_assert_cmpint(look_is_late(look, 2000 + LOOK_LOW_SPEED_MS, &next_ms), ==,
                        cases[i].is_late);
        /* and then anew: what came before does not count for long */
        g_assert_true(look_is_late(look, 2000 + 2 * LOOK_LOW_SPEED_MS, &next_ms));
        look->is_running = false;
        look_free(look);
    }
    tear_down();
}

static void look__with_its_answer_cut_by_the_low_speed__says_so(void)
{
    set_up();
    struct look *look = new_look("https://h/a", "", 600 * 1000);
    look_time_out(look, 5000);
    g_assert_nonnull(strstr(look->looked.error, "https://h sent less than 16 bytes a second"));
    look_free(look);
    tear_down();
}

static void large_answers__more_than_there_is_memory_for__wait_their_turn(void)
{
    set_up();
    struct look *looks[LOOK_LARGE_AT_ONCE];
    for (unsigned i = 0; i < G_N_ELEMENTS(looks); i++) {
        looks[i] = new_look("http://h/a", "", 500);
        look_allow_large(looks[i]);
        g_assert_true(look_is_large(looks[i]));
    }
    g_assert_cmpuint(shared.large_left, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(looks); i++) {
        look_free(looks[i]);
    }
    g_assert_cmpuint(shared.large_left, ==, LOOK_LARGE_AT_ONCE);
    tear_down();
}

static void look__with_a_client_certificate__is_for_git_over_tls_alone(void)
{
    g_setenv("GIT_SSL_CERT", "/x.pem", TRUE);
    set_up();
    struct look *plain = new_look("http://h/a", "", 500);
    struct look *secure = new_look("https://h/a", "", 500);
    struct look *framed = new_look("http://h/a", "extraHeader=Host: x", 500);
    g_assert_false(look_is_for_git(plain));
    g_assert_true(look_is_for_git(secure));
    g_assert_true(look_is_for_git(framed));
    g_assert_cmpint(secure->looked.outcome, ==, NET_LOOK_USE_GIT);
    g_assert_cmpint(secure->looked.road, ==, NET_ROAD_GIT);
    look_free(plain);
    look_free(secure);
    look_free(framed);
    tear_down();
    g_unsetenv("GIT_SSL_CERT");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look/look__whose_time_is_up__is_late", look__whose_time_is_up__is_late);
    g_test_add_func("/look/look__whose_server_drips_or_falls_silent__is_late",
                    look__whose_server_drips_or_falls_silent__is_late);
    g_test_add_func("/look/look__with_its_answer_cut_by_the_low_speed__says_so",
                    look__with_its_answer_cut_by_the_low_speed__says_so);
    g_test_add_func("/look/large_answers__more_than_there_is_memory_for__wait_their_turn",
                    large_answers__more_than_there_is_memory_for__wait_their_turn);
    g_test_add_func("/look/look__with_a_client_certificate__is_for_git_over_tls_alone",
                    look__with_a_client_certificate__is_for_git_over_tls_alone);
    return g_test_run();
}
