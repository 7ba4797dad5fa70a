#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "git/credential.h"

static void parse__what_fill_prints__is_taken_and_given_back(void)
{
    static const char text[] = "capability[]=authtype\nprotocol=https\nhost=example.org:8443\n"
                               "path=team/app.git\nusername=me\npassword=a=b c\nnew=thing\n";
    struct git_credential credential;
    g_autoptr(GError) error = NULL;
    g_assert_true(git_credential_parse(text, strlen(text), &credential, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(credential.username, ==, "me");
    g_assert_cmpstr(credential.password, ==, "a=b c");
    g_autofree char *prefix = git_credential_prefix(&credential);
    g_autofree char *back = git_credential_format(&credential);
    g_assert_cmpstr(prefix, ==, "https://example.org:8443/team/app.git");
    g_assert_cmpstr(back, ==,
                    "protocol=https\nhost=example.org:8443\npath=team/app.git\nusername=me\n"
                    "password=a=b c\n\n");
    git_credential_clear(&credential);
    git_credential_clear(&credential);
}

static void parse__without_path_and_last_newline__is_for_the_host(void)
{
    static const char text[] = "protocol=http\nhost=a\nusername=\npassword=x";
    struct git_credential credential;
    g_assert_true(git_credential_parse(text, strlen(text), &credential, NULL));
    g_autofree char *prefix = git_credential_prefix(&credential);
    g_autofree char *back = git_credential_format(&credential);
    g_assert_cmpstr(prefix, ==, "http://a/");
    g_assert_cmpstr(back, ==, "protocol=http\nhost=a\nusername=\npassword=x\n\n");
    git_credential_clear(&credential);
}

static void parse__behind_an_empty_line__is_not_looked_at(void)
{
    static const char text[] = "protocol=http\nhost=a\nusername=u\npassword=x\n\npassword=y\n";
    struct git_credential credential;
    g_assert_true(git_credential_parse(text, strlen(text), &credential, NULL));
    g_assert_cmpstr(credential.password, ==, "x");
    git_credential_clear(&credential);
}

static void parse__nonsense__is_refused_without_repeating_it(void)
{
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"", 0},
        {"s3cret", 6},
        {"protocol=http\nhost=a\nusername=u\n", 33},
        {"protocol=http\nhost=\nusername=u\npassword=s3cret\n", 48},
        {"protocol=http\nhost=a\nusername=u\npassword=s3\0cret\n", 50},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct git_credential credential;
        g_autoptr(GError) error = NULL;
        g_assert_false(git_credential_parse(cases[i].text, cases[i].length, &credential, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_assert_null(strstr(error->message, "s3"));
        g_assert_null(credential.username);
    }
    g_autofree char *big = g_strnfill(GIT_CREDENTIAL_MAX_BYTES + 1, 'a');
    struct git_credential credential;
    g_assert_false(git_credential_parse(big, GIT_CREDENTIAL_MAX_BYTES + 1, &credential, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_credential/" #name, name)
    ADD(parse__what_fill_prints__is_taken_and_given_back);
    ADD(parse__without_path_and_last_newline__is_for_the_host);
    ADD(parse__behind_an_empty_line__is_not_looked_at);
    ADD(parse__nonsense__is_refused_without_repeating_it);
    return g_test_run();
}
