#include <glib.h>
#include <string.h>

#include "net/look_head.h"

static void read_lines(struct look_head *head, const char *const *lines)
{
    for (; *lines; lines++) {
        /* A copy of just that length, so that a sanitizer sees a byte read too far. */
        g_autofree char *copy = g_memdup2(*lines, strlen(*lines));
        g_assert_true(look_head_read(head, copy, strlen(*lines), 0));
    }
}

static void type__with_parameters_and_capitals__is_the_bare_media_type(void)
{
    static const struct {
        const char *line, *type;
    } cases[] = {
        {"Content-Type: application/x-git-upload-pack-result\r\n",
         "application/x-git-upload-pack-result"},
        {"content-type:Text/HTML; charset=utf-8", "text/html"},
        {"CONTENT-TYPE: \t text/plain \r\n", "text/plain"},
        {"Content-Type: text/html ;x", "text/html"},
        {"Content-Type:\r\n", ""},
        {"Content-Type: a\x01", "a"},
        {"Content-Type: \xff", ""},
        {"Content-Typ: text/html", ""},
        {"X-Content-Type: text/html", ""},
        {"Content-Type", ""},
        {"", ""},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look_head head = LOOK_HEAD_INIT;
        const char *const lines[] = {cases[i].line, NULL};
        read_lines(&head, lines);
        g_assert_cmpstr(head.type, ==, cases[i].type);
    }
}

static void type__that_is_too_long__is_cut(void)
{
    struct look_head head = LOOK_HEAD_INIT;
    g_autofree char *name = g_strnfill(500, 'a');
    g_autofree char *line = g_strconcat("Content-Type: ", name, NULL);
    const char *const lines[] = {line, NULL};
    read_lines(&head, lines);
    g_assert_cmpuint(strlen(head.type), ==, LOOK_HEAD_TYPE_MAX - 1);
}

static void challenge__of_each_kind__says_whether_basic_is_offered(void)
{
    static const struct {
        const char *line;
        bool has_challenge, offers_basic;
    } cases[] = {
        {"WWW-Authenticate: Basic realm=\"ci\"\r\n", true, true},
        {"www-authenticate: BASIC\r\n", true, true},
        {"WWW-Authenticate: Basic", true, true},
        {"WWW-Authenticate: Basic,Digest realm=\"x\"", true, true},
        {"WWW-Authenticate: Negotiate, Basic realm=\"x\"", true, true},
        {"WWW-Authenticate: Bearer realm=\"x\",error=\"y\" , basic", true, true},
        {"WWW-Authenticate: Digest realm=\"Basic\"", true, false},
        {"WWW-Authenticate: Basically", true, false},
        {"WWW-Authenticate: Negotiate", true, false},
        {"WWW-Authenticate:", true, false},
        {"WWW-Authenticate: Bas", true, false},
        {"Proxy-Authenticate: Basic", false, false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct look_head head = LOOK_HEAD_INIT;
        const char *const lines[] = {cases[i].line, NULL};
        read_lines(&head, lines);
        if (head.has_challenge != cases[i].has_challenge ||
            head.offers_basic != cases[i].offers_basic) {
            g_error("%s", cases[i].line);
        }
    }
}

static void head__of_the_final_answer__forgets_the_interim_one(void)
{
    static const char *const lines[] = {"HTTP/1.1 103 Early Hints\r\n",
                                        "Content-Type: text/html\r\n",
                                        "WWW-Authenticate: Basic\r\n",
                                        "Retry-After: 7\r\n",
                                        "\r\n",
                                        "HTTP/1.1 200 OK\r\n",
                                        "\r\n",
                                        NULL};
    struct look_head head = LOOK_HEAD_INIT;
    read_lines(&head, lines);
    g_assert_cmpstr(head.type, ==, "");
    g_assert_false(head.has_challenge || head.offers_basic);
    g_assert_cmpint(head.waits.retry_after_ms, ==, -1);
    size_t length = 0;
    for (unsigned i = 0; lines[i]; i++) {
        length += strlen(lines[i]);
    }
    g_assert_cmpuint(head.bytes, ==, length);
}

static void head__with_two_challenges_and_a_wait__has_them_all(void)
{
    static const char *const lines[] = {"HTTP/2 401 \r\n", "www-authenticate: Negotiate\r\n",
                                        "www-authenticate: Basic realm=x\r\n", "retry-after: 3\r\n",
                                        NULL};
    struct look_head head = LOOK_HEAD_INIT;
    read_lines(&head, lines);
    g_assert_true(head.has_challenge && head.offers_basic);
    g_assert_cmpint(head.waits.retry_after_ms, ==, 3000);
}

static void head__longer_than_its_limit__is_refused(void)
{
    struct look_head head = LOOK_HEAD_INIT;
    g_autofree char *line = g_strnfill(1024, 'x');
    for (unsigned i = 0; i < LOOK_HEAD_MAX_BYTES / 1024; i++) {
        g_assert_true(look_head_read(&head, line, 1024, 0));
    }
    g_assert_false(look_head_read(&head, "x", 1, 0));
    g_assert_false(look_head_read(&head, "HTTP/1.1 200 OK\r\n", 17, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/look_head/type__with_parameters_and_capitals__is_the_bare_media_type",
                    type__with_parameters_and_capitals__is_the_bare_media_type);
    g_test_add_func("/look_head/type__that_is_too_long__is_cut", type__that_is_too_long__is_cut);
    g_test_add_func("/look_head/challenge__of_each_kind__says_whether_basic_is_offered",
                    challenge__of_each_kind__says_whether_basic_is_offered);
    g_test_add_func("/look_head/head__of_the_final_answer__forgets_the_interim_one",
                    head__of_the_final_answer__forgets_the_interim_one);
    g_test_add_func("/look_head/head__with_two_challenges_and_a_wait__has_them_all",
                    head__with_two_challenges_and_a_wait__has_them_all);
    g_test_add_func("/look_head/head__longer_than_its_limit__is_refused",
                    head__longer_than_its_limit__is_refused);
    return g_test_run();
}
