#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "git/url.h"
#include "net/look_place.h"

static struct look_place parsed(const char *url)
{
    struct look_place place;
    g_autoptr(GError) error = NULL;
    bool good = look_place_parse(url, &place, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return place;
}

static void place__of_a_url__has_gits_base_and_a_full_origin(void)
{
    static const struct {
        const char *url, *base, *origin, *path, *user;
    } cases[] = {
        {"https://Example.org/a/b", "https://Example.org/a/b/", "https://example.org:443", "/a/b/",
         NULL},
        {"http://h/a.git/", "http://h/a.git/", "http://h:80", "/a.git/", NULL},
        {"http://h/a//", "http://h/a//", "http://h:80", "/a//", NULL},
        {"https://me@h:8443/a", "https://h:8443/a/", "https://h:8443", "/a/", "me"},
        {"https://h/a@b", "https://h/a@b/", "https://h:443", "/a@b/", NULL},
        {"http://h:0080/a", "http://h:0080/a/", "http://h:80", "/a/", NULL},
        {"https://[2001:DB8::1]:444/a", "https://[2001:DB8::1]:444/a/", "https://[2001:db8::1]:444",
         "/a/", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look_place place = parsed(cases[i].url);
        g_assert_cmpstr(place.base, ==, cases[i].base);
        g_assert_cmpstr(place.origin, ==, cases[i].origin);
        g_assert_cmpstr(place.path, ==, cases[i].path);
        g_assert_cmpstr(place.user, ==, cases[i].user);
        look_place_clear(&place);
        g_assert_null(place.base);
        look_place_clear(&place);
    }
}

static void place__of_another_kind__is_refused(void)
{
    static const char *const urls[] = {
        "ssh://h/a",       "/srv/a",        "file:///a",  "h:a",
        "https://u:p@h/a", "https://h",     "https://h/", "",
        "https://h/a?b",   "https://h/a b", "ftp://h/a",  "https://h/a%0ab"};
    for (unsigned i = 0; i < G_N_ELEMENTS(urls); i++) {
        struct look_place place;
        g_autoptr(GError) error = NULL;
        g_assert_false(look_place_parse(urls[i], &place, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_assert_null(place.base);
    }
}

static void address__of_each_question__is_built_as_git_builds_it(void)
{
    struct look_place place = parsed("https://me@h/a");
    g_autofree char *command = look_place_address(&place, LOOK_COMMAND);
    g_autofree char *advertisement = look_place_address(&place, LOOK_ADVERTISEMENT);
    g_autofree char *name = look_place_name(&place);
    g_assert_cmpstr(command, ==, "https://h/a/git-upload-pack");
    g_assert_cmpstr(advertisement, ==, "https://h/a/info/refs?service=git-upload-pack");
    g_assert_cmpstr(name, ==, "https://h/a");
    look_place_clear(&place);
}

#define TAIL "/info/refs?service=git-upload-pack"

static void redirect__to_each_kind_of_place__goes_as_far_as_is_allowed(void)
{
    static const struct {
        const char *from, *target;
        enum look_follow follow;
        enum look_redirect result;
        const char *base;
    } cases[] = {
        {"https://h/a", "https://h/b" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_GO, "https://h/b/"},
        {"https://h/a", "https://H:443/b" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_GO,
         "https://H:443/b/"},
        {"https://h/a", "https://h/b" TAIL, LOOK_FOLLOW_NONE, LOOK_REDIRECT_ELSEWHERE,
         "https://h/b/"},
        {"https://h/a", "https://h:444/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://h:444/a/"},
        {"https://h/a", "https://h.evil/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://h.evil/a/"},
        {"https://h/a", "https://other/a" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_GO,
         "https://other/a/"},
        /* up, with the default ports */
        {"http://h/a", "https://h/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_GO, "https://h/a/"},
        {"http://h:80/a", "https://H/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_GO, "https://H/a/"},
        {"http://h/a", "https://h/a" TAIL, LOOK_FOLLOW_NONE, LOOK_REDIRECT_ELSEWHERE,
         "https://h/a/"},
        {"http://h/a", "https://h:444/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://h:444/a/"},
        {"http://h:8080/a", "https://h/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://h/a/"},
        {"http://h/a", "https://hh/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://hh/a/"},
        {"http://hh/a", "https://h/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_ELSEWHERE,
         "https://h/a/"},
        /* down: never */
        {"https://h/a", "http://h/a" TAIL, LOOK_FOLLOW_HOST, LOOK_REDIRECT_DOWNGRADE,
         "http://h/a/"},
        {"https://h/a", "http://h/a" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_DOWNGRADE, "http://h/a/"},
        /* nowhere */
        {"https://h/a", "file:///etc" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "ftp://h/a" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "ssh://h/a" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://h/sign_in", LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://h/a/git-upload-pack", LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE,
         NULL},
        {"https://h/a", "https://me@h/b" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://me:pw@h/b" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://h" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://h/x?y=" TAIL, LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "https://h/xinfo/refs?service=git-upload-pack", LOOK_FOLLOW_ALL,
         LOOK_REDIRECT_NOWHERE, NULL},
        {"https://h/a", "", LOOK_FOLLOW_ALL, LOOK_REDIRECT_NOWHERE, NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look_place from = parsed(cases[i].from);
        struct look_place to;
        enum look_redirect result =
            look_place_redirect(&from, LOOK_ADVERTISEMENT, cases[i].target, cases[i].follow, &to);
        if (result != cases[i].result || g_strcmp0(to.base, cases[i].base) != 0) {
            g_error("%s to %s: %d, %s", cases[i].from, cases[i].target, (int)result, to.base);
        }
        look_place_clear(&from);
        look_place_clear(&to);
    }
}

static void redirect__of_the_command__keeps_the_user_on_its_own_host_only(void)
{
    struct look_place from = parsed("https://me@h/a");
    struct look_place to;
    g_assert_cmpint(look_place_redirect(&from, LOOK_COMMAND, "https://h/b/git-upload-pack",
                                        LOOK_FOLLOW_ALL, &to),
                    ==, LOOK_REDIRECT_GO);
    g_assert_cmpstr(to.user, ==, "me");
    look_place_clear(&to);
    g_assert_cmpint(look_place_redirect(&from, LOOK_COMMAND, "https://other/b/git-upload-pack",
                                        LOOK_FOLLOW_ALL, &to),
                    ==, LOOK_REDIRECT_GO);
    g_assert_null(to.user);
    look_place_clear(&to);
    look_place_clear(&from);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look_place/place__of_a_url__has_gits_base_and_a_full_origin",
                    place__of_a_url__has_gits_base_and_a_full_origin);
    g_test_add_func("/look_place/place__of_another_kind__is_refused",
                    place__of_another_kind__is_refused);
    g_test_add_func("/look_place/address__of_each_question__is_built_as_git_builds_it",
                    address__of_each_question__is_built_as_git_builds_it);
    g_test_add_func("/look_place/redirect__to_each_kind_of_place__goes_as_far_as_is_allowed",
                    redirect__to_each_kind_of_place__goes_as_far_as_is_allowed);
    g_test_add_func("/look_place/redirect__of_the_command__keeps_the_user_on_its_own_host_only",
                    redirect__of_the_command__keeps_the_user_on_its_own_host_only);
    return g_test_run();
}
