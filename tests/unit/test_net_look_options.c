#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "net/look_options.h"
#include "net/protocol.h"

static const struct look_environment nothing;

static struct look_options parsed(const char *text, const struct look_environment *environment)
{
    struct look_options options;
    g_autoptr(GError) error = NULL;
    bool good = look_options_parse(text, environment, &options, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return options;
}

static void options__that_nobody_gave__are_safe_ones(void)
{
    static const char *const texts[] = {"", "\n", "\n\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct look_options options = parsed(texts[i], &nothing);
        g_assert_true(options.verify);
        g_assert_cmpint(options.follow, ==, LOOK_FOLLOW_HOST);
        g_assert_cmpuint(options.at_once, ==, LOOK_AT_ONCE_DEFAULT);
        g_assert_true(g_str_has_prefix(options.user_agent, "git/"));
        g_assert_cmpuint(options.headers->len, ==, 0);
        g_assert_null(options.proxy);
        g_assert_null(options.no_proxy);
        g_assert_null(options.ca_info);
        g_assert_null(options.ca_path);
        g_assert_false(options.has_own_framing || options.has_client_certificate);
        look_options_clear(&options);
    }
}

static void options__all_of_them__are_taken(void)
{
    struct look_options options =
        parsed("proxy=http://u:p@proxy:3128\nnoProxy=localhost,.example.org\nsslCAInfo=/ca=1.pem\n"
               "sslCAPath=/certs\nsslVerify=false\nfollowRedirects=true\nuserAgent=me/1\n"
               "maxConnections=3\nextraHeader=Authorization: Basic eA==\nextraHeader=X-A:\n"
               "extraHeader=Cookie: a=b; c\td",
               &nothing);
    g_assert_cmpstr(options.proxy, ==, "http://u:p@proxy:3128");
    g_assert_cmpstr(options.no_proxy, ==, "localhost,.example.org");
    g_assert_cmpstr(options.ca_info, ==, "/ca=1.pem");
    g_assert_cmpstr(options.ca_path, ==, "/certs");
    g_assert_false(options.verify);
    g_assert_cmpint(options.follow, ==, LOOK_FOLLOW_ALL);
    g_assert_cmpstr(options.user_agent, ==, "me/1");
    g_assert_cmpuint(options.at_once, ==, 3);
    g_assert_cmpuint(options.headers->len, ==, 3);
    g_assert_cmpstr(g_ptr_array_index(options.headers, 0), ==, "Authorization: Basic eA==");
    g_assert_cmpstr(g_ptr_array_index(options.headers, 1), ==, "X-A:");
    g_assert_cmpstr(g_ptr_array_index(options.headers, 2), ==, "Cookie: a=b; c\td");
    g_assert_false(options.has_own_framing);
    look_options_clear(&options);
    look_options_clear(&options);
}

static void option__with_an_empty_value__means_what_it_means_to_git(void)
{
    struct look_options options =
        parsed("proxy=\nsslCAInfo=/a\nsslCAInfo=\nsslCAPath=\nuserAgent=", &nothing);
    g_assert_cmpstr(options.proxy, ==, ""); /* none, in spite of the environment */
    g_assert_null(options.ca_info);
    g_assert_null(options.ca_path);
    g_assert_true(g_str_has_prefix(options.user_agent, "git/"));
    look_options_clear(&options);
}

static void option__that_breaks_a_rule__is_refused_without_its_value(void)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"sslVerify=yes canary", "sslVerify"},
        {"sslVerify=", "sslVerify"},
        {"followRedirects=canary", "followRedirects"},
        {"maxConnections=0", "maxConnections"},
        {"maxConnections=65", "maxConnections"},
        {"maxConnections=-1", "maxConnections"},
        {"maxConnections= 2", "maxConnections"},
        {"maxConnections=2canary", "maxConnections"},
        {"maxConnections=99999999999999999999", "maxConnections"},
        {"extraHeader=canary", "extraHeader"},
        {"extraHeader=: canary", "extraHeader"},
        {"extraHeader=", "extraHeader"},
        {"extraHeader=A canary: b", "extraHeader"},
        {"extraHeader=A: canary\rB: c", "control character"},
        {"extraHeader=A: canary\x7f", "control character"},
        {"proxy=http://canary\x01", "control character"},
        {"cookieFile=canary", "cookieFile is not known"},
        {"sslCert=canary", "sslCert is not known"},
        {"Proxy=canary", "Proxy is not known"},
        {"=canary", "is not known"},
        {"canary", "name=value"},
        {"proxy=x\ncanary", "name=value"},
        {"a\x1b[31m=canary", "\\x1b"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look_options options;
        g_autoptr(GError) error = NULL;
        if (look_options_parse(cases[i].text, &nothing, &options, &error)) {
            g_error("taken: %s", cases[i].text);
        }
        g_assert_error(error, NET_ERROR, ERROR_INVALID);
        if (!strstr(error->message, cases[i].word) || strstr(error->message, "canary")) {
            g_error("%s: %s", cases[i].text, error->message);
        }
        g_assert_null(options.headers);
    }
}

static void option__longer_than_its_limit__is_refused(void)
{
    struct look_options options;
    g_autoptr(GError) error = NULL;
    g_autofree char *value = g_strnfill(8 * 1024 + 1, 'x');
    g_autofree char *text = g_strconcat("userAgent=", value, NULL);
    g_assert_false(look_options_parse(text, &nothing, &options, &error));
    g_assert_nonnull(strstr(error->message, "8 KiB"));
    text[strlen(text) - 1] = '\0';
    options = parsed(text, &nothing);
    look_options_clear(&options);
}

static void header__that_libcurl_makes_itself__is_for_git(void)
{
    static const char *const headers[] = {
        "Host: x", "content-length: 5", "Transfer-Encoding: y", "Proxy-Authorization: z", "Expect:",
        "TE: x"};
    for (unsigned i = 0; i < G_N_ELEMENTS(headers); i++) {
        g_autofree char *text = g_strconcat("extraHeader=", headers[i], NULL);
        struct look_options options = parsed(text, &nothing);
        g_assert_true(options.has_own_framing);
        look_options_clear(&options);
    }
}

static void environment__stands_above_the_configuration(void)
{
    const struct look_environment all = {.ca_info = "/env.pem",
                                         .ca_path = "/env",
                                         .user_agent = "env/1",
                                         .no_verify = true,
                                         .has_client_certificate = true};
    struct look_options options =
        parsed("sslCAInfo=/a.pem\nsslCAPath=/a\nuserAgent=a\nsslVerify=true", &all);
    g_assert_cmpstr(options.ca_info, ==, "/env.pem");
    g_assert_cmpstr(options.ca_path, ==, "/env");
    g_assert_cmpstr(options.user_agent, ==, "env/1");
    g_assert_false(options.verify);
    g_assert_true(options.has_client_certificate);
    look_options_clear(&options);
}

static void environment__as_git_names_it__is_loaded(void)
{
    static const char *const names[] = {"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_NO_VERIFY",
                                        "GIT_HTTP_USER_AGENT", "GIT_SSL_CERT"};
    struct look_environment environment;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_unsetenv(names[i]);
    }
    look_environment_load(&environment);
    g_assert_true(!environment.ca_info && !environment.ca_path && !environment.user_agent);
    g_assert_false(environment.no_verify || environment.has_client_certificate);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_setenv(names[i], i == 2 ? "" : names[i], TRUE);
    }
    look_environment_load(&environment);
    g_assert_cmpstr(environment.ca_info, ==, "GIT_SSL_CAINFO");
    g_assert_cmpstr(environment.ca_path, ==, "GIT_SSL_CAPATH");
    g_assert_cmpstr(environment.user_agent, ==, "GIT_HTTP_USER_AGENT");
    g_assert_true(environment.no_verify && environment.has_client_certificate);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look_options/options__that_nobody_gave__are_safe_ones",
                    options__that_nobody_gave__are_safe_ones);
    g_test_add_func("/look_options/options__all_of_them__are_taken",
                    options__all_of_them__are_taken);
    g_test_add_func("/look_options/option__with_an_empty_value__means_what_it_means_to_git",
                    option__with_an_empty_value__means_what_it_means_to_git);
    g_test_add_func("/look_options/option__that_breaks_a_rule__is_refused_without_its_value",
                    option__that_breaks_a_rule__is_refused_without_its_value);
    g_test_add_func("/look_options/option__longer_than_its_limit__is_refused",
                    option__longer_than_its_limit__is_refused);
    g_test_add_func("/look_options/header__that_libcurl_makes_itself__is_for_git",
                    header__that_libcurl_makes_itself__is_for_git);
    g_test_add_func("/look_options/environment__stands_above_the_configuration",
                    environment__stands_above_the_configuration);
    g_test_add_func("/look_options/environment__as_git_names_it__is_loaded",
                    environment__as_git_names_it__is_loaded);
    return g_test_run();
}
