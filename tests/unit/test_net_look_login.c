#include <glib.h>

#include "base/error.h"
#include "net/look_login.h"

static bool set(struct look_logins *logins, const char *prefix, const char *user,
                const char *password)
{
    const struct net_login login = {(char *)prefix, (char *)user, (char *)password};
    return look_logins_set(logins, &login, NULL);
}

/* The password for this URL, or "-". */
static const char *password_for(const struct look_logins *logins, const char *url)
{
    struct look_place place;
    g_assert_true(look_place_parse(url, &place, NULL));
    const struct look_login *login = look_logins_find(logins, &place);
    look_place_clear(&place);
    return login ? login->password : "-";
}

static void login__of_a_prefix__is_for_that_scheme_host_and_port_alone(void)
{
    struct look_logins *logins = look_logins_new();
    g_assert_true(set(logins, "https://Example.org/", "bot", "one"));
    g_assert_cmpstr(password_for(logins, "https://example.org/a"), ==, "one");
    g_assert_cmpstr(password_for(logins, "https://EXAMPLE.org:443/a/b"), ==, "one");
    g_assert_cmpstr(password_for(logins, "http://example.org/a"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://example.org:444/a"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://example.org.evil/a"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://sub.example.org/a"), ==, "-");
    look_logins_free(logins);
}

static void login__of_a_longer_prefix__comes_first(void)
{
    struct look_logins *logins = look_logins_new();
    g_assert_true(set(logins, "https://h/team/app", "bot", "long"));
    g_assert_true(set(logins, "https://h/", "bot", "short"));
    g_assert_cmpstr(password_for(logins, "https://h/team/app"), ==, "long");
    g_assert_cmpstr(password_for(logins, "https://h/team/app/sub"), ==, "long");
    g_assert_cmpstr(password_for(logins, "https://h/team/app2"), ==, "short");
    g_assert_cmpstr(password_for(logins, "https://h/team"), ==, "short");
    look_logins_free(logins);
}

static void login__of_a_user_in_the_url__is_that_users(void)
{
    struct look_logins *logins = look_logins_new();
    g_assert_true(set(logins, "https://h/", "ada", "a"));
    g_assert_true(set(logins, "https://h/", "bob", "b"));
    g_assert_cmpstr(password_for(logins, "https://ada@h/x"), ==, "a");
    g_assert_cmpstr(password_for(logins, "https://bob@h/x"), ==, "b");
    g_assert_cmpstr(password_for(logins, "https://eve@h/x"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://h/x"), ==, "b");
    g_assert_true(set(logins, "https://h/", "ada", "new"));
    g_assert_cmpstr(password_for(logins, "https://h/x"), ==, "new");
    g_assert_cmpstr(password_for(logins, "https://bob@h/x"), ==, "b");
    look_logins_free(logins);
}

static void login__that_is_empty__takes_out_all_of_its_prefix(void)
{
    struct look_logins *logins = look_logins_new();
    g_assert_true(set(logins, "https://h/", "ada", "a"));
    g_assert_true(set(logins, "https://h/", "bob", "b"));
    g_assert_true(set(logins, "https://h/team/", "ada", "t"));
    g_assert_true(set(logins, "https://h/", "", ""));
    g_assert_cmpstr(password_for(logins, "https://h/x"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://h/team/x"), ==, "t");
    look_logins_free(logins);
}

static void login__that_is_forgotten__was_there_once_and_has_a_number_of_its_own(void)
{
    struct look_logins *logins = look_logins_new();
    struct look_place place;
    g_assert_true(look_place_parse("https://h/x", &place, NULL));
    g_assert_true(set(logins, "https://h/", "bot", "old"));
    uint64_t old = look_logins_find(logins, &place)->number;
    g_assert_true(set(logins, "https://h/", "bot", "new"));
    uint64_t new = look_logins_find(logins, &place)->number;
    g_assert_cmpuint(old, !=, 0);
    g_assert_cmpuint(old, !=, new);
    g_assert_false(look_logins_forget(logins, old));
    g_assert_true(look_logins_forget(logins, new));
    g_assert_null(look_logins_find(logins, &place));
    look_place_clear(&place);
    look_logins_free(logins);
}

static void prefix__that_is_none__is_refused(void)
{
    static const char *const prefixes[] = {"ssh://h/", "h", "", "https://", "https://u:p@h/"};
    struct look_logins *logins = look_logins_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_assert_false(set(logins, prefixes[i], "a", "b"));
    }
    look_logins_free(logins);
}

static void logins__above_their_limit__lose_the_oldest(void)
{
    struct look_logins *logins = look_logins_new();
    for (unsigned i = 0; i <= LOOK_LOGINS_MAX; i++) {
        g_autofree char *prefix = g_strdup_printf("https://h%u/", i);
        g_assert_true(set(logins, prefix, "bot", "x"));
    }
    g_assert_cmpstr(password_for(logins, "https://h0/a"), ==, "-");
    g_assert_cmpstr(password_for(logins, "https://h1/a"), ==, "x");
    g_assert_cmpstr(password_for(logins, "https://h1024/a"), ==, "x");
    look_logins_free(logins);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look_login/login__of_a_prefix__is_for_that_scheme_host_and_port_alone",
                    login__of_a_prefix__is_for_that_scheme_host_and_port_alone);
    g_test_add_func("/look_login/login__of_a_longer_prefix__comes_first",
                    login__of_a_longer_prefix__comes_first);
    g_test_add_func("/look_login/login__of_a_user_in_the_url__is_that_users",
                    login__of_a_user_in_the_url__is_that_users);
    g_test_add_func("/look_login/login__that_is_empty__takes_out_all_of_its_prefix",
                    login__that_is_empty__takes_out_all_of_its_prefix);
    g_test_add_func(
        "/look_login/login__that_is_forgotten__was_there_once_and_has_a_number_of_its_own",
        login__that_is_forgotten__was_there_once_and_has_a_number_of_its_own);
    g_test_add_func("/look_login/prefix__that_is_none__is_refused",
                    prefix__that_is_none__is_refused);
    g_test_add_func("/look_login/logins__above_their_limit__lose_the_oldest",
                    logins__above_their_limit__lose_the_oldest);
    return g_test_run();
}
