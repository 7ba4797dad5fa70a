#include <glib.h>
#include <string.h>

#include "base/wipe.h"
#include "net/explain.h"

static void origin__of_any_url__is_scheme_host_and_port(void)
{
    static const struct {
        const char *url, *origin;
    } cases[] = {
        {"https://example.org/canary", "https://example.org"},
        {"https://example.org:443/canary?canary#canary", "https://example.org"},
        {"http://example.org:80", "http://example.org"},
        {"https://example.org:80/", "https://example.org:80"},
        {"https://canary:canary@Example.org:8443/x", "https://Example.org:8443"},
        {"http://[2001:db8::1]:8080/canary", "http://[2001:db8::1]:8080"},
        {"http://example.org:99999/canary", "the address"},
        {"", "the address"},
        {"canary", "the address"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *origin = explain_origin(cases[i].url);
        g_assert_cmpstr(origin, ==, cases[i].origin);
    }
}

static void same_origin__scheme_host_port_and_user__decide(void)
{
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"https://h/a", "https://h/b?c", true},
        {"https://h/a", "https://H:443/b", true},
        {"https://user:pw@h/a", "https://h/b", true},
        {"https://h/a", "http://h/a", false},
        {"http://h/a", "https://h/a", false},
        {"https://h/a", "https://h:444/a", false},
        {"https://h/a", "https://h.evil/a", false},
        {"https://h/a", "https://h@evil/a", false},
        {"https://h/a", "https://user@h/a", false},
        {"https://h/a", "https://:pw@h/a", false},
        {"https://127.0.0.1/a", "https://localhost/a", false},
        {"https://h/a", "ftp://h/a", false},
        {"https://h/a", "", false},
        {"https://h/a", "/b", false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (explain_same_origin(cases[i].one, cases[i].other) != cases[i].same) {
            g_error("%s and %s", cases[i].one, cases[i].other);
        }
    }
}

static void harmless__text_with_a_part_of_the_url__becomes_libcurls_own_words(void)
{
    static const char url[] = "https://user1234:pass1234@h.example/path1234?query1234#frag1234";
    static const char *const leaks[] = {"user1234", "pass1234", "/path1234", "query1234",
                                        "frag1234"};
    for (unsigned i = 0; i < G_N_ELEMENTS(leaks); i++) {
        g_autofree char *text = explain_harmless(g_strdup_printf("it said \"%s\" there", leaks[i]),
                                                 CURLE_RECV_ERROR, url);
        g_assert_cmpstr(text, ==, curl_easy_strerror(CURLE_RECV_ERROR));
    }
    g_autofree char *kept =
        explain_harmless(g_strdup("h.example is not trusted"), CURLE_RECV_ERROR, url);
    g_assert_cmpstr(kept, ==, "h.example is not trusted");
    /* "/" and "a=b" are in many a sentence, and no secrets */
    g_autofree char *innocent =
        explain_harmless(g_strdup("http://h: and/or"), CURLE_RECV_ERROR, "http://h/");
    g_assert_cmpstr(innocent, ==, "http://h: and/or");
}

static void harmless__any_bytes__become_one_line_within_the_limit(void)
{
    for (int round = 0; round < 500; round++) {
        int length = g_test_rand_int_range(0, 3000);
        char *bytes = g_malloc((gsize)length + 1);
        for (int i = 0; i < length; i++) {
            bytes[i] = (char)g_test_rand_int_range(1, 256);
        }
        bytes[length] = '\0';
        g_autofree char *text = explain_harmless(bytes, CURLE_OK, "http://h/");
        g_assert_cmpuint(strlen(text), <=, NET_ERROR_TEXT_MAX_BYTES);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_assert_null(strpbrk(text, "\n\r\t\x1b\x7f"));
    }
    /* a character of several bytes at each place of the cut */
    for (size_t before = NET_ERROR_TEXT_MAX_BYTES - 5; before <= NET_ERROR_TEXT_MAX_BYTES;
         before++) {
        g_autofree char *filler = g_strnfill(before, 'x');
        g_autofree char *text = explain_harmless(
            g_strconcat(filler, "\xf0\x9f\x98\x80", "end", NULL), CURLE_OK, "http://h/");
        g_assert_true(g_utf8_validate(text, -1, NULL));
        size_t expected = before + 4 <= NET_ERROR_TEXT_MAX_BYTES
                              ? MIN(before + 7, (size_t)NET_ERROR_TEXT_MAX_BYTES)
                              : before;
        g_assert_cmpuint(strlen(text), ==, expected);
    }
}

static void outcome__each_kind_of_failure__has_its_word(void)
{
    static const struct {
        CURLcode code;
        enum net_outcome outcome;
    } cases[] = {
        {CURLE_COULDNT_RESOLVE_HOST, NET_OUTCOME_UNREACHABLE},
        {CURLE_COULDNT_CONNECT, NET_OUTCOME_UNREACHABLE},
        {CURLE_GOT_NOTHING, NET_OUTCOME_UNREACHABLE},
        {CURLE_RECV_ERROR, NET_OUTCOME_UNREACHABLE},
        {CURLE_OUT_OF_MEMORY, NET_OUTCOME_UNREACHABLE},
        {CURLE_OPERATION_TIMEDOUT, NET_OUTCOME_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, NET_OUTCOME_TLS},
        {CURLE_SSL_CONNECT_ERROR, NET_OUTCOME_TLS},
        {CURLE_SSL_CACERT_BADFILE, NET_OUTCOME_TLS},
        {CURLE_URL_MALFORMAT, NET_OUTCOME_REFUSED},
        {CURLE_WEIRD_SERVER_REPLY, NET_OUTCOME_PROTOCOL},
        {CURLE_HTTP2_STREAM, NET_OUTCOME_PROTOCOL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(explain_outcome(cases[i].code), ==, cases[i].outcome);
    }
}

static void failure__whatever_libcurl_says__shows_at_most_the_origin(void)
{
    static const char url[] = "https://canary:canary@h.example:8443/canary?canary#canary";
    CURL *handle = curl_easy_init();
    for (int code = 1; code < CURL_LAST; code++) {
        g_autofree char *text = explain_failure(handle, (CURLcode)code, url, "about certificates");
        g_assert_cmpuint(strlen(text), >, 10);
        g_assert_null(strstr(text, "canary"));
        bool trust = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
        g_assert_true(trust == (strstr(text, "about certificates") != NULL));
    }
    g_autofree char *early = explain_failure(NULL, CURLE_OUT_OF_MEMORY, url, "");
    g_assert_nonnull(strstr(early, "https://h.example:8443"));
    curl_easy_cleanup(handle);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
#define ADD(name) g_test_add_func("/net_explain/" #name, name)
    ADD(origin__of_any_url__is_scheme_host_and_port);
    ADD(same_origin__scheme_host_port_and_user__decide);
    ADD(harmless__text_with_a_part_of_the_url__becomes_libcurls_own_words);
    ADD(harmless__any_bytes__become_one_line_within_the_limit);
    ADD(outcome__each_kind_of_failure__has_its_word);
    ADD(failure__whatever_libcurl_says__shows_at_most_the_origin);
#undef ADD
    int code = g_test_run();
    curl_global_cleanup();
    return code;
}
