#include <glib.h>
#include <string.h>

#include "net/protocol.h"
#include "net/waits.h"

/* Sun, 06 Nov 1994 08:49:37 GMT */
enum { NOW_S = 784111777 };

static struct waits read_line(const char *line)
{
    struct waits waits = WAITS_INIT;
    /* A copy of just that length, so that a sanitizer sees a byte read too far. */
    g_autofree char *copy = g_memdup2(line, strlen(line));
    waits_read(&waits, copy, strlen(line), NOW_S * INT64_C(1000));
    return waits;
}

static void retry_after__seconds_and_dates__are_milliseconds_from_now(void)
{
    static const struct {
        const char *line;
        int64_t expected;
    } cases[] = {
        {"Retry-After: 0\r\n", 0},
        {"Retry-After: 3\r\n", 3000},
        {"retry-after:3", 3000},
        {"RETRY-AFTER: \t 120 \t\r\n", 120000},
        {"Retry-After: 86400", NET_WAIT_MAX_MS},
        {"Retry-After: 86401", NET_WAIT_MAX_MS},
        {"Retry-After: 99999999999999999999999999999999999999999", NET_WAIT_MAX_MS},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Retry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n", 3000},
        {"Retry-After: Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Retry-After: Mon, 07 Nov 1994 00:00:00 GMT", 54623000},
        {"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", NET_WAIT_MAX_MS},
        {"Retry-After: Mon, 01 Jan 0001 00:00:00 GMT", 0},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct waits waits = read_line(cases[i].line);
        g_assert_cmpint(waits.retry_after_ms, ==, cases[i].expected);
        g_assert_cmpint(waits.rate_remaining, ==, -1);
        g_assert_cmpint(waits.rate_reset_ms, ==, -1);
    }
}

static void retry_after__anything_else__is_as_if_absent(void)
{
    static const char *const lines[] = {
        "",
        "Retry-After",
        "Retry-After:",
        "Retry-After: \r\n",
        "Retry-After: -1",
        "Retry-After: +1",
        "Retry-After: 1.5",
        "Retry-After: 1s",
        "Retry-After: 0x10",
        "Retry-After: 3, 4",
        "Retry-After : 3",
        "X-Retry-After: 3",
        "Retry-Afte: 3",
        "Retry-After: soon",
        "Retry-After: Sun, 06 Nov 1994 08:49:40 UTC",
        "Retry-After: Sun, 06 Nov 1994 08:49:40 +0000",
        "Retry-After: Sun, 06 Nov 1994 08:49:60 GMT",
        "Retry-After: Sun, 06 Nov 1994 24:00:00 GMT",
        "Retry-After: Sun, 31 Feb 1994 08:49:40 GMT",
        "Retry-After: Sun, 00 Nov 1994 08:49:40 GMT",
        "Retry-After: Sun, 06 nov 1994 08:49:40 GMT",
        "Retry-After: Xxx, 06 Nov 1994 08:49:40 GMT",
        "Retry-After: Sun, 06 Xxx 1994 08:49:40 GMT",
        "Retry-After: Sun,  6 Nov 1994 08:49:40 GMT",
        "Retry-After: Fri, 31 Dec 0000 23:59:59 GMT",
        "Retry-After: Sunday, 06-Nov-94 08:49:37 GMT",
        "Retry-After: Sun Nov  6 08:49:37 1994",
        "Retry-After: 000000000000000000000000000000000000000000000000000000000000000000003",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (read_line(lines[i]).retry_after_ms != -1) {
            g_error("accepted: %s", lines[i]);
        }
    }
    struct waits waits = WAITS_INIT;
    waits_read(&waits, "Retry-After: 3\0004", 16, 0);
    g_assert_cmpint(waits.retry_after_ms, ==, -1);
}

static void retry_after__several__the_longest_counts(void)
{
    struct waits waits = WAITS_INIT;
    static const char *const lines[] = {"Retry-After: 3", "Retry-After: 7", "Retry-After: 5"};
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        waits_read(&waits, lines[i], strlen(lines[i]), 0);
    }
    g_assert_cmpint(waits.retry_after_ms, ==, 7000);
}

static void rate_limit__reset_after__takes_fractions_and_rounds_up(void)
{
    static const struct {
        const char *value;
        int64_t expected;
    } cases[] = {
        {"0", 0},         {"1", 1000},
        {"0.5", 500},     {"1.25", 1250},
        {"1.2345", 1235}, {"0.0001", 1},
        {"0.1000", 100},  {"2.000", 2000},
        {"64.57", 64570}, {"86400.001", NET_WAIT_MAX_MS},
        {"9e9", -1},      {".5", -1},
        {"5.", -1},       {"-1", -1},
        {"1.2.3", -1},    {"1,5", -1},
        {"", -1},         {"inf", -1},
        {"nan", -1},      {"999999999999999999999.9", NET_WAIT_MAX_MS},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strdup_printf("x-ratelimit-reset-after: %s\r\n", cases[i].value);
        g_assert_cmpint(read_line(line).rate_reset_ms, ==, cases[i].expected);
    }
}

static void rate_limit__remaining__is_a_bounded_count(void)
{
    g_assert_cmpint(read_line("X-RateLimit-Remaining: 0").rate_remaining, ==, 0);
    g_assert_cmpint(read_line("X-RateLimit-Remaining: 5\r\n").rate_remaining, ==, 5);
    g_assert_cmpint(read_line("X-RateLimit-Remaining: 99999999999").rate_remaining, ==, G_MAXINT32);
    g_assert_cmpint(read_line("X-RateLimit-Remaining: 5.0").rate_remaining, ==, -1);
    g_assert_cmpint(read_line("X-RateLimit-Remaining: -5").rate_remaining, ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/net_waits/" #name, name)
    ADD(retry_after__seconds_and_dates__are_milliseconds_from_now);
    ADD(retry_after__anything_else__is_as_if_absent);
    ADD(retry_after__several__the_longest_counts);
    ADD(rate_limit__reset_after__takes_fractions_and_rounds_up);
    ADD(rate_limit__remaining__is_a_bounded_count);
#undef ADD
    return g_test_run();
}
