#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "git/url.h"

static void test_parts(void)
{
    static const struct {
        const char *text;
        enum url_scheme scheme;
        const char *host, *port, *user, *path;
    } cases[] = {
        {"https://github.com/me/app", URL_HTTPS, "github.com", NULL, NULL, "/me/app"},
        {"https://GitHub.com:8443/me/app.git", URL_HTTPS, "github.com", "8443", NULL,
         "/me/app.git"},
        {"https://bot@example.org/a", URL_HTTPS, "example.org", NULL, "bot", "/a"},
        {"http://127.0.0.1:18080/git/app.git", URL_HTTP, "127.0.0.1", "18080", NULL,
         "/git/app.git"},
        {"https://h/@scope/pkg", URL_HTTPS, "h", NULL, NULL, "/@scope/pkg"},
        {"ssh://git@host:2222/srv/app.git", URL_SSH, "host", "2222", "git", "/srv/app.git"},
        {"ssh://git@[2001:db8::1]:22/x", URL_SSH, "[2001:db8::1]", "22", "git", "/x"},
        {"ssh://host/~me/app", URL_SSH, "host", NULL, NULL, "/~me/app"},
        {"git@github.com:me/app.git", URL_SSH, "github.com", NULL, "git", "me/app.git"},
        {"host:/srv/app.git", URL_SSH, "host", NULL, NULL, "/srv/app.git"},
        {"me@[::1]:app", URL_SSH, "[::1]", NULL, "me", "app"},
        {"host:a/b@c:d", URL_SSH, "host", NULL, NULL, "a/b@c:d"},
        {"git://host/app", URL_GIT, "host", NULL, NULL, "/app"},
        {"file:///srv/app%20b.git", URL_FILE, NULL, NULL, NULL, "/srv/app b.git"},
        {"/srv/app.git", URL_FILE, NULL, NULL, NULL, "/srv/app.git"},
        {"/srv/a:b", URL_FILE, NULL, NULL, NULL, "/srv/a:b"},
        {"/srv/\xc3\xa4/app", URL_FILE, NULL, NULL, NULL, "/srv/\xc3\xa4/app"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct url url;
        GError *error = NULL;
        bool ok = url_parse(cases[i].text, &url, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpint(url.scheme, ==, cases[i].scheme);
        g_assert_cmpstr(url.host, ==, cases[i].host);
        g_assert_cmpstr(url.port, ==, cases[i].port);
        g_assert_cmpstr(url.user, ==, cases[i].user);
        g_assert_cmpstr(url.path, ==, cases[i].path);
        url_clear(&url);
        g_assert_null(url.path);
    }
}

static void assert_refused(const char *text, const char *reason)
{
    struct url url;
    GError *error = NULL;
    if (url_parse(text, &url, &error))
        g_error("accepted: %s", text);
    g_assert_error(error, GIT_ERROR, ERROR_INVALID);
    if (reason && !strstr(error->message, reason))
        g_error("\"%s\": expected \"%s\" in: %s", text, reason, error->message);
    g_assert_null(url.host);
    g_assert_null(url.user);
    g_clear_error(&error);
}

/* DEMAND S3, S4, S22: addresses that become options, commands, passwords or other hosts. */
static const struct {
    const char *text, *reason;
} hostile[] = {
    {"", "empty"},
    {"--upload-pack=touch x", "begins with '-'"},
    {"--upload-pack=touch${IFS}x", "begins with '-'"},
    {"-oProxyCommand=x", "begins with '-'"},
    {"ssh://-oProxyCommand=x/app", "host begins with '-'"},
    {"ssh://git@-oProxyCommand=x/app", "host begins with '-'"},
    {"ssh://-l@host/app", "user begins with '-'"},
    {"-oProxyCommand=x:app", "begins with '-'"},
    {"git@-oProxyCommand=x:app", "host begins with '-'"},
    {"host:-app", "path begins with '-'"},
    {"ext::sh -c touch% x", "blank"},
    {"ext::sh", "transport helper"},
    {"EXT::sh", "transport helper"},
    {"fd::17", "transport helper"},
    {"transport::https://host/x", "scheme"},
    {"https://host/x::y", "transport helper"},
    {"/srv/x::y", "transport helper"},
    {"file:///x::y", "transport helper"},
    {"https://me:secret@host/x", "password"},
    {"ssh://me:secret@host/x", "password"},
    {"https://me:@host/x", "password"},
    {"me:secret@host:x", "password"},
    {"https://@host/x", "no user"},
    {"https:///x", "host is missing"},
    {"ssh:///x", "host is missing"},
    {"https://host", "path"},
    {"https://host/", "path"},
    {"git@host:", "path"},
    {":x", "host is missing"},
    {"https://host:0/x", "port"},
    {"https://host:65536/x", "port"},
    {"https://host:/x", "port"},
    {"https://host:8o/x", "port"},
    {"https://host:99999999999999999999/x", "port"},
    {"https://host%0a/x", "encoded control"},
    {"https://host/x%0Ahost=evil", "encoded control"},
    {"https://host/x%00", "encoded control"},
    {"https://host/x%7f", "encoded control"},
    {"https://host/x\nhost=evil", "control character"},
    {"https://host/x\r", "control character"},
    {"https://host/x\x1b[31m", "control character"},
    {"https://host/\xc2\x9b", "control character"},
    {"https://host/a b", "blank"},
    {"https://host/\xc2\xa0x", "blank"},
    {"https://ho\\st/x", "host"},
    {"https://ho$(id)st/x", "host"},
    {"https://ho`id`st/x", "host"},
    {"https://host'/x", "host"},
    {"https://[::1/x", "host"},
    {"https://[]/x", "host"},
    {"https://[zz]/x", "host"},
    {"https://us%2der@host/x", "user"},
    {"https://host/x?y", "'?'"},
    {"https://host/x#y", "'#'"},
    {"git://me@host/x", "users"},
    {"HTTPS://host/x", "scheme"},
    {"Ssh://host/x", "scheme"},
    {"ftp://host/x", "scheme"},
    {"git+ssh://host/x", "scheme"},
    {"javascript://host/x", "scheme"},
    {"file://host/x", "absolute path"},
    {"file://x", "absolute path"},
    {"file:/x", "slashes"},
    {"app", "absolute"},
    {"./app", "absolute"},
    {"../app", "absolute"},
    {"~/app", "absolute"},
    {"a/b:c", "absolute"},
    {"https://host/\xff", "UTF-8"},
};

static void test_hostile(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++)
        assert_refused(hostile[i].text, hostile[i].reason);
    g_autofree char *name = g_strnfill(5000, 'a');
    g_autofree char *endless = g_strconcat("/", name, NULL);
    assert_refused(endless, "4096");
    /* every control byte, anywhere */
    for (int byte = 1; byte < 0x20; byte++) {
        g_autofree char *text = g_strdup_printf("https://host/a%cb", byte);
        g_autofree char *encoded = g_strdup_printf("ssh://host/a%%%02xb", (unsigned)byte);
        assert_refused(text, NULL);
        assert_refused(encoded, "encoded control");
    }
}

static void test_display(void)
{
    static const char *const cases[][2] = {
        {"https://bot@example.org/a", "https://example.org/a"},
        {"git@github.com:me/app", "github.com:me/app"},
        {"https://h/@scope/pkg", "https://h/@scope/pkg"},
        {"/srv/a@b", "/srv/a@b"},
        {"https://me:secret@host/x", "https://host/x"},
        {"https://me:sec/ret@host/x", "https://host/x"},
        {"me:secret@host:x", "host:x"},
        {"https://host/\x1b[2J", "https://host/\\x1B[2J"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *shown = url_for_display(cases[i][0]);
        g_assert_cmpint(g_ascii_strcasecmp(shown, cases[i][1]), ==, 0);
    }
    g_autofree char *nothing = url_for_display(NULL);
    g_assert_cmpstr(nothing, ==, "");
}

static void test_protocols(void)
{
    g_assert_cmpstr(url_scheme_protocol(URL_HTTPS), ==, "https");
    g_assert_cmpstr(url_scheme_protocol(URL_HTTP), ==, "http");
    g_assert_cmpstr(url_scheme_protocol(URL_SSH), ==, "ssh");
    g_assert_cmpstr(url_scheme_protocol(URL_FILE), ==, "file");
    g_assert_cmpstr(url_scheme_protocol(URL_GIT), ==, "git");
}

static void test_branch_names(void)
{
    static const char *const good[] = {"main",
                                       "feature/x",
                                       "release/1.2.x",
                                       "\xc3\xa4\xc3\xb6",
                                       "a-b_c+d",
                                       "x;touch${IFS}y",
                                       "`id`",
                                       "$(id)",
                                       "a'b\"c",
                                       "#1",
                                       "a&b|c",
                                       "x.lockx",
                                       "@x",
                                       "refs/heads/x",
                                       "a@b"};
    static const char *const bad[] = {"",
                                      "-x",
                                      "--upload-pack=x",
                                      "a..b",
                                      ".a",
                                      "a/.b",
                                      "a.",
                                      "a.lock",
                                      "a.lock/b",
                                      "a b",
                                      "a\tb",
                                      "a~b",
                                      "a^b",
                                      "a:b",
                                      "a?b",
                                      "a*b",
                                      "a[b",
                                      "a\\b",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      "@",
                                      "a@{b",
                                      "HEAD",
                                      "a\x7f"
                                      "b",
                                      "a\nb",
                                      "\xff",
                                      "a\x1b"
                                      "b"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        GError *error = NULL;
        bool ok = url_branch_name_is_valid(good[i], &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        if (url_branch_name_is_valid(bad[i], &error))
            g_error("accepted: %s", bad[i]);
        g_assert_error(error, GIT_ERROR, ERROR_INVALID);
        g_clear_error(&error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_url/address__accepted_forms__are_taken_apart", test_parts);
    g_test_add_func("/git_url/address__S3_S4_S22_hostile__is_refused_with_its_reason",
                    test_hostile);
    g_test_add_func("/git_url/display__user_information__is_left_out", test_display);
    g_test_add_func("/git_url/scheme__allow_protocol__is_itself_alone", test_protocols);
    g_test_add_func("/git_url/branch_name__rules_of_check_ref_format__hold", test_branch_names);
    return g_test_run();
}
