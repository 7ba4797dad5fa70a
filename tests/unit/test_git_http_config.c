#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "git/http_config.h"

/* '|' stands for the NUL between entries, as git prints them with -z. */
static struct http_config *parse(const char *text, bool with_origin)
{
    g_autofree char *bytes = g_strdup(text);
    size_t length = strlen(text);
    g_strdelimit(bytes, "|", '\0');
    g_autoptr(GError) error = NULL;
    struct http_config *config = http_config_parse(bytes, length, with_origin, &error);
    g_assert_no_error(error);
    return config;
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The options that the settings give for a URL, its lines sorted and joined by blanks; "git: " and
 * why otherwise. */
static char *decide(const char *settings, const char *matched, const char *url)
{
    struct http_config *config = parse(settings, false);
    struct http_config *match = matched ? parse(matched, false) : NULL;
    g_autofree char *why_git = NULL;
    g_autofree char *options = http_config_decide(config, match, url, "/home/me", &why_git);
    char *result;
    if (why_git) {
        g_assert_null(options);
        result = g_strdup_printf("git: %s", why_git);
    } else {
        g_auto(GStrv) lines = g_strsplit(options, "\n", -1);
        g_autoptr(GPtrArray) sorted = g_ptr_array_new();
        for (char **line = lines; *line; line++) {
            g_ptr_array_add(sorted, *line);
        }
        g_ptr_array_sort(sorted, compare_lines);
        g_ptr_array_add(sorted, NULL);
        result = g_strjoinv(" ", (char **)sorted->pdata);
    }
    http_config_free(config);
    http_config_free(match);
    return result;
}

static void check(const char *settings, const char *expected)
{
    g_autofree char *found = decide(settings, NULL, "https://example.org/app.git");
    g_assert_cmpstr(found, ==, expected);
}

static void decide__what_phantom_ci_net_knows__becomes_options(void)
{
    check("", "");
    check("user.name\nme|core.editor\nvi|", "");
    check("http.proxy\nhttp://proxy:3128|", "proxy=http://proxy:3128");
    check("http.proxy\n|", "proxy=");
    check("http.sslverify\nfalse|", "sslVerify=false");
    check("http.sslverify|", "sslVerify=true");
    check("http.sslverify\nOff|http.sslverify\nYES|", "sslVerify=true");
    check("http.sslcainfo\n~/ca.pem|http.sslcapath\n/etc/ca|",
          "sslCAInfo=/home/me/ca.pem sslCAPath=/etc/ca");
    check("http.useragent\nme 1|", "userAgent=me 1");
    check("http.followredirects\ninitial|", "followRedirects=initial");
    check("http.followredirects\n0|", "followRedirects=false");
    check("http.extraheader\nA: 1|http.extraheader\nB: 2|", "extraHeader=A: 1 extraHeader=B: 2");
    check("http.extraheader\nA: 1|http.extraheader\n|http.extraheader\nB: 2|", "extraHeader=B: 2");
    check("http.postbuffer\n1m|http.lowspeedlimit\n1|", "");
}

static void decide__what_git_alone_can_follow__names_it(void)
{
    check("http.sslcert\n/etc/me.pem|", "git: http.sslcert");
    check("http.cookiefile\n/home/me/cookies|", "git: http.cookiefile");
    check("http.somethingnew\nx|", "git: http.somethingnew");
    check("http.proxy\nhttp://me@proxy|", "git: http.proxy");
    check("http.sslverify\nperhaps|", "git: http.sslverify");
    check("http.sslcainfo\nca.pem|", "git: http.sslcainfo");
    check("http.sslcainfo\n~you/ca.pem|", "git: http.sslcainfo");
    check("http.useragent\na\nb|", "git: http.useragent");
    check("http.extraheader\nA: 1\nB: 2|", "git: http.extraheader");
    check("http.extraheader|", "git: http.extraheader");
    g_autofree char *agent = g_strnfill(20000, 'a');
    g_autofree char *long_one = g_strdup_printf("http.useragent\n%s|", agent);
    check(long_one, "git: more of http.* than fits");
}

static void decide__url_section__gits_own_matching_counts(void)
{
    const char *settings = "http.proxy\na:1|http.https://Example.org/x.proxy\nb:2|";
    g_autofree char *matched =
        decide(settings, "http.proxy\nb:2|", "https://example.org/x/app.git");
    g_assert_cmpstr(matched, ==, "proxy=b:2");
    g_autofree char *headers = decide("http.https://example.org/.extraheader\nA: 1|",
                                      "http.extraheader\nA: 1|", "https://example.org/app.git");
    g_assert_cmpstr(headers, ==, "git: http.extraheader");
    g_autofree char *elsewhere = decide("http.extraheader\nA: 1|http.https://other.org/.proxy\nb|",
                                        NULL, "https://example.org/a");
    g_assert_cmpstr(elsewhere, ==, "extraHeader=A: 1");
}

static void particular__only_hosts_that_may_be_meant(void)
{
    static const struct {
        const char *pattern, *url;
        bool expected;
    } cases[] = {
        {"https://example.org", "https://example.org/app.git", true},
        {"https://EXAMPLE.org/", "https://example.org:8443/app.git", true},
        {"https://me@example.org:8443/x", "https://example.org/app.git", true},
        {"https://*.example.org/", "https://git.example.org/app.git", true},
        {"https://*.example.org/", "https://example.org/app.git", false},
        {"https://example.com/", "https://example.org/app.git", false},
        {"https://example.org.evil/", "https://example.org/app.git", false},
        {"https://[::1]:8000/", "https://[::1]:8000/app.git", true},
        {"example.org", "https://example.org/app.git", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("http.%s.sslverify\nfalse|", cases[i].pattern);
        struct http_config *config = parse(text, false);
        g_assert_true(http_config_is_particular(config, cases[i].url) == cases[i].expected);
        http_config_free(config);
    }
}

static void match_key__settings_with_a_path__need_the_whole_url(void)
{
    struct http_config *config = parse("http.https://a.org/.sslverify\n1|"
                                       "http.https://b.org/team.sslverify\n1|",
                                       false);
    g_autofree char *plain = http_config_match_key(config, "https://me@a.org:444/x/app.git");
    g_autofree char *with_path = http_config_match_key(config, "https://b.org/x/app.git");
    g_assert_cmpstr(plain, ==, "https://me@a.org:444");
    g_assert_cmpstr(with_path, ==, "https://b.org/x/app.git");
    http_config_free(config);
}

static void rewrite__longest_begin_wins(void)
{
    struct http_config *config = parse("url.https://mirror/.insteadof\nhttps://example.org/|"
                                       "url.ssh://git@b/.insteadof\nhttps://example.org/team/|"
                                       "url.https://push/.pushinsteadof\nhttps://example.org/|"
                                       "url.x.insteadof|url.insteadof\nhttps|",
                                       false);
    g_autofree char *one = http_config_rewrite(config, "https://example.org/app.git");
    g_autofree char *longer = http_config_rewrite(config, "https://example.org/team/app.git");
    g_autofree char *none = http_config_rewrite(config, "https://elsewhere.org/app.git");
    g_assert_cmpstr(one, ==, "https://mirror/app.git");
    g_assert_cmpstr(longer, ==, "ssh://git@b/app.git");
    g_assert_null(none);
    http_config_free(config);
}

static void parse__origins__are_told_apart_from_entries(void)
{
    struct http_config *config = parse("file:/etc/gitconfig|a.b\nc|file:/etc/gitconfig|a.d\ne|"
                                       "command line:|http.proxy\np|file:/home/me/.gitconfig|"
                                       "http.https://x/.sslcainfo\n~/ca|",
                                       true);
    const char *const *files = http_config_files(config);
    g_assert_cmpstr(files[0], ==, "/etc/gitconfig");
    g_assert_cmpstr(files[1], ==, "/home/me/.gitconfig");
    g_assert_null(files[2]);
    g_auto(GStrv) authorities = http_config_authorities(config, "/home/me");
    g_assert_cmpstr(authorities[0], ==, "/home/me/ca");
    g_assert_null(authorities[1]);
    http_config_free(config);
}

static void secrets__headers_and_logins_of_proxies(void)
{
    static const struct {
        const char *settings;
        bool expected;
    } cases[] = {
        {"http.proxy\nproxy:3128|http.sslverify\ntrue|", false},
        {"http.proxy\nme:word@proxy:3128|", true},
        {"http.https://example.org/.extraheader\nAuthorization: x|", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct http_config *config = parse(cases[i].settings, false);
        g_assert_true(http_config_has_secrets(config) == cases[i].expected);
        http_config_free(config);
    }
}

static void flags__of_other_sections__are_found(void)
{
    struct http_config *none = parse("transfer.fsckobjects\ntrue|credential.helper\nstore|", false);
    struct http_config *all = parse("transfer.hiderefs\nrefs/x|"
                                    "credential.https://example.org.usehttppath\ntrue|",
                                    false);
    g_assert_false(http_config_hides_refs(none));
    g_assert_false(http_config_has_logins_by_path(none));
    g_assert_true(http_config_hides_refs(all));
    g_assert_true(http_config_has_logins_by_path(all));
    http_config_free(none);
    http_config_free(all);
}

static void check_refused(const char *bytes, size_t length, bool with_origin, enum error_code code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(http_config_parse(bytes, length, with_origin, &error));
    g_assert_true(error_has_code(error, code));
}

static void parse__what_git_does_not_print__is_refused(void)
{
    check_refused("a.b\nc", 5, false, ERROR_INVALID);
    check_refused("ab\0", 3, false, ERROR_INVALID);
    check_refused("ab\nc.d\0", 7, false, ERROR_INVALID);
    check_refused("file:/x\0", 8, true, ERROR_INVALID);
    g_autofree char *big = g_malloc0(HTTP_CONFIG_MAX_BYTES + 1);
    check_refused(big, HTTP_CONFIG_MAX_BYTES + 1, false, ERROR_LIMIT);
    g_autoptr(GString) many = g_string_new(NULL);
    for (unsigned i = 0; i <= HTTP_CONFIG_MAX_ENTRIES; i++) {
        g_string_append_len(many, "a.b\0", 4);
    }
    check_refused(many->str, many->len, false, ERROR_LIMIT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_http_config/" #name, name)
    ADD(decide__what_phantom_ci_net_knows__becomes_options);
    ADD(decide__what_git_alone_can_follow__names_it);
    ADD(decide__url_section__gits_own_matching_counts);
    ADD(particular__only_hosts_that_may_be_meant);
    ADD(match_key__settings_with_a_path__need_the_whole_url);
    ADD(rewrite__longest_begin_wins);
    ADD(secrets__headers_and_logins_of_proxies);
    ADD(flags__of_other_sections__are_found);
    ADD(parse__origins__are_told_apart_from_entries);
    ADD(parse__what_git_does_not_print__is_refused);
    return g_test_run();
}
