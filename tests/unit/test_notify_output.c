/* Output made readable, and text cut into the room it has. */
#include "notify_fixture.h"

#include "notify/fit.h"
#include "notify/output.h"

static void assert_render(const char *bytes, size_t length, const char *expected)
{
    g_autoptr(GString) once = output_render(bytes, length);
    g_autoptr(GString) twice = output_render(once->str, once->len);
    g_assert_cmpstr(once->str, ==, expected);
    g_assert_cmpuint(once->len, ==, strlen(expected));
    g_assert_cmpstr(twice->str, ==, expected);
}

static void render__output__is_what_a_terminal_leaves(void)
{
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\n\tb\n\nc\n", "a\n\tb\n\nc"},
        {"\n\n  \na\n \n\n", "a"},
        {"  a", "  a"},
        /* line ends and progress bars */
        {"a\r\nb\r\n", "a\nb"},
        {"a\r\r\nb", "a\nb"},
        {"10%\r50%\r100%\n", "100%"},
        {"10%\r50%\r100%\r", "100%"},
        {"10%\r50%\r   \r\n", "50%"},
        {"\r\r\r\nx", "x"},
        {"done\r\nx\ry\rz\nend", "done\nz\nend"},
        /* colours, titles, character sets, and cursor movements go without a trace */
        {"\x1b[1;31merror\x1b[0m: x", "error: x"},
        {"\x1b[38;5;200mx\x1b[m", "x"},
        {"\x1b[?25lx\x1b[?25h", "x"},
        {"\x1b[2K\rx\x1b[K", "x"},
        {"\x1b]0;title\x07x", "x"},
        {"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"},
        {"\x1bPq#0;2\x1b\\x\x1b_a\x1b\\y\x1b^b\x1b\\\x1bXc\x1b\\", "xy"},
        {"\x1b(B\x1b=x\x1b"
         "7\x1bMy\x1b#8",
         "xy"},
        {"50%\x1b[0m\r\x1b[K100%\x1b[0m", "100%"},
        /* what is none of that is shown */
        {"\x1b", "\\x1b"},
        {"\x1b[", "\\x1b["},
        {"\x1b[31", "\\x1b[31"},
        {"\x1b[31\nm", "\\x1b[31\nm"},
        {"\x1b]0;title\nx", "\\x1b]0;title\nx"},
        {"\x1b]0;title", "\\x1b]0;title"},
        {"\x1b]0;\x1b[31mx", "\\x1b]0;x"},
        {"\x1b\x1b[31mx", "\\x1bx"},
        {"\x1b\x01", "\\x1b\\x01"},
        {"\x1b[\xc3\xa4", "\\x1b[\xc3\xa4"},
        {"a\bb\ac\x7f", "a\\x08b\\x07c\\x7f"},
        {"\xc2\x9b"
         "31mx\xe2\x80\xae\xe2\x80\xa8",
         "\\u{009b}31mx\\u{202e}\\u{2028}"},
        {"\xff\xc3(\xed\xa0\x80\xf0\x9f\x98", "\\xff\\xc3(\\xed\\xa0\\x80\\xf0\\x9f\\x98"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_render(cases[i].bytes, strlen(cases[i].bytes), cases[i].expected);
    }
    assert_render("a\0b\n\0\n", 6, "a\\x00b\n\\x00");
}

static void render__random_bytes__give_printable_text_that_stays(void)
{
    static const char favourites[] = "\x1b\x1b[];m\r\n\x07\\ a\xc3\xa4\0";
    for (int round = 0; round < 20000; round++) {
        char bytes[48];
        size_t length = (size_t)g_test_rand_int_range(0, sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = g_test_rand_bit() ? (char)g_test_rand_int_range(0, 256)
                                         : favourites[g_test_rand_int_range(0, sizeof(favourites))];
        }
        g_autoptr(GString) once = output_render(bytes, length);
        g_autoptr(GString) twice = output_render(once->str, once->len);
        g_assert_true(g_utf8_validate(once->str, (gssize)once->len, NULL));
        g_assert_cmpstr(once->str, ==, twice->str);
        for (const char *at = once->str; *at; at = g_utf8_next_char(at)) {
            g_assert_true(*at == '\n' || *at == '\t' || !g_unichar_iscntrl(g_utf8_get_char(at)));
        }
    }
}

/* Beginnings of sequences that never end, each of which could lead to a search to the end. */
static void render__a_mebibyte_of_anything__takes_linear_time(void)
{
    static const char *const pieces[] = {"\x1b]",           "\x1b", "\x1b[1;", "\r", "\n",
                                         "\x1bPx",          "a\r",  " \r",     "`",  "\xff",
                                         "\xf0\x9f\x98\x80"};
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *bytes = repeat(pieces[i], 1024 * 1024 / strlen(pieces[i]));
        int64_t begin = g_get_monotonic_time();
        g_autoptr(GString) text = output_render(bytes, strlen(bytes));
        g_assert_true(g_utf8_validate(text->str, (gssize)text->len, NULL));
        g_assert_cmpint(g_get_monotonic_time() - begin, <, 10 * G_USEC_PER_SEC);
    }
}

/* ---------------------------------------------------------------------- fit */

/* Letters of ASCII twice, everything else once. */
static void escape_twice(GString *out, gunichar character)
{
    g_string_append_unichar(out, character);
    if (character < 0x80) {
        g_string_append_unichar(out, character);
    }
}

static void cut__room__counts_utf16_after_escaping(void)
{
    static const struct {
        const char *text;
        size_t units;
        const char *plain, *doubled;
    } cases[] = {
        {"", 0, "", ""},
        {"a", 0, "", ""},
        {"a", 1, "a", "…"},
        {"ab", 1, "…", "…"},
        {"ab", 2, "ab", "…"},
        {"ab", 3, "ab", "aa…"},
        {"ab", 4, "ab", "aabb"},
        {"abc", 2, "a…", "…"},
        /* two and three bytes, one unit */
        {"ä€", 1, "…", "…"},
        {"ä€", 2, "ä€", "ä€"},
        {"ä€x", 2, "ä…", "ä…"},
        {"ä€x", 3, "ä€x", "ä€…"},
        /* four bytes, two units */
        {"😀", 1, "…", "…"},
        {"😀", 2, "😀", "😀"},
        {"😀a", 2, "…", "…"},
        {"😀a", 3, "😀a", "😀…"},
        {"😀ab", 3, "😀…", "😀…"},
        {"a😀b", 3, "a…", "aa…"},
        /* a letter with its marks stays or goes as a whole */
        {"ae\xcc\x81\xcc\xa3z", 3, "a…", "aa…"},
        {"ae\xcc\x81\xcc\xa3z", 4, "a…", "aa…"},
        {"ae\xcc\x81\xcc\xa3z", 5, "ae\xcc\x81\xcc\xa3z", "aa…"},
        {"ae\xcc\x81\xcc\xa3zy", 5, "ae\xcc\x81\xcc\xa3…", "aa…"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) plain = g_string_new(NULL);
        g_autoptr(GString) doubled = g_string_new(NULL);
        fit_append(plain, cases[i].text, cases[i].units, NULL);
        fit_append(doubled, cases[i].text, cases[i].units, escape_twice);
        g_assert_cmpstr(plain->str, ==, cases[i].plain);
        g_assert_cmpstr(doubled->str, ==, cases[i].doubled);
        g_assert_cmpuint(count_units(plain->str), <=, cases[i].units);
        g_assert_cmpuint(count_units(doubled->str), <=, cases[i].units);
        g_assert_cmpuint(fit_units(plain->str, plain->len), ==, count_units(plain->str));
    }
}

static char *fit_tail(const char *text, int64_t before, size_t units, fit_escape escape)
{
    GString *out = g_string_new(NULL);
    fit_append_tail(out, text, before, units, escape);
    return g_string_free(out, FALSE);
}

static void tail__what_fits__stays_whole_and_alone(void)
{
    static const char text[] = "one\ntwo ä😀";
    size_t units = count_units(text);
    g_autofree char *whole = fit_tail(text, 0, units, NULL);
    g_autofree char *less = fit_tail(text, 0, units - 1, NULL);
    g_autofree char *nothing = fit_tail("", 0, 100, NULL);
    g_assert_cmpstr(whole, ==, text);
    g_assert_cmpstr(less, ==, "");
    g_assert_cmpstr(nothing, ==, "");
}

static void tail__cut__keeps_the_end_and_tells_the_rest(void)
{
    g_autofree char *dashes = g_strnfill(100, '-');
    g_autofree char *line = g_strconcat(dashes, "\nlast line", NULL);
    g_autofree char *early = g_strconcat("0\n12345\n", dashes, NULL);
    static const struct {
        int64_t before;
        size_t units;
        const char *expected;
    } at_the_line[] = {
        /* the line that is cut is left out when that costs less than half of what fits */
        {0, 40, ""},
        {0, 41, "[... 109 bytes before]\ne"},
        {0, 40 + 9, "[... 101 bytes before]\nlast line"},
        {0, 40 + 10, "[... 101 bytes before]\nlast line"},
        {7, 40 + 12, "[... 108 bytes before]\nlast line"},
        {0, 40 + 40, "[... 70 bytes before]\n------------------------------\nlast line"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(at_the_line); i++) {
        g_autofree char *tail = fit_tail(line, at_the_line[i].before, at_the_line[i].units, NULL);
        g_assert_cmpstr(tail, ==, at_the_line[i].expected);
    }
    g_autofree char *at_line = fit_tail(early, 1, 40 + 103, NULL);
    g_autofree char *whole_line = fit_tail(early, 1, 40 + 106, NULL);
    g_autofree char *known = fit_tail("all", 5, 44, NULL);
    g_autofree char *immense = fit_tail("all", INT64_MAX, 44, NULL);
    g_autofree char *negative = fit_tail("all", -5, 3, NULL);
    g_assert_true(g_str_has_prefix(at_line, "[... 9 bytes before]\n-"));
    g_assert_true(g_str_has_prefix(whole_line, "[... 3 bytes before]\n12345\n-"));
    g_assert_cmpstr(known, ==, "[... 5 bytes before]\nall");
    g_assert_cmpstr(immense, ==, "[... 4611686018427387903 bytes before]\nall");
    g_assert_cmpstr(negative, ==, "all");
}

/* Any mixture of characters, cut at every length. */
static void tail__every_cut__is_a_true_end_within_the_room(void)
{
    static const char *const pieces[] = {"a",         "ä",  "€", "😀",
                                         "e\xcc\x81", "\n", " ", "👨\xe2\x80\x8d👩"};
    for (int round = 0; round < 200; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (unsigned i = 0; i < 60; i++) {
            g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        }
        size_t all = count_units(text->str);
        for (size_t units = 0; units <= all + 1; units++) {
            g_autofree char *tail = fit_tail(text->str, 0, units, NULL);
            g_assert_true(g_utf8_validate(tail, -1, NULL));
            g_assert_cmpuint(count_units(tail), <=, units);
            if (units >= all) {
                g_assert_cmpstr(tail, ==, text->str);
            } else if (*tail) {
                char *rest = strchr(tail, '\n') + 1;
                g_autofree char *note =
                    g_strdup_printf("[... %zu bytes before]\n", text->len - strlen(rest));
                g_assert_true(g_str_has_prefix(tail, note));
                g_assert_true(g_str_has_suffix(text->str, rest));
                g_assert_false(g_unichar_ismark(g_utf8_get_char(rest)));
                /* no more than half of the bytes is given up for the sake of a line, and a unit is
                 * one to three of them; the rest are marks */
                g_assert_cmpuint(4 * (count_units(rest) + 3), >=, units - 40);
            }
            g_autofree char *doubled = fit_tail(text->str, 3, units, escape_twice);
            g_assert_cmpuint(count_units(doubled), <=, units);
        }
    }
}

static void tail_bytes__every_limit__is_a_true_end_on_a_border(void)
{
    static const char text[] = "aä€😀e\xcc\x81\nxyz 😀€äa";
    size_t length = strlen(text);
    for (size_t limit = 0; limit <= length + 1; limit++) {
        const char *begin = fit_tail_bytes(text, length, limit);
        g_assert_cmpuint(strlen(begin), <=, limit);
        g_assert_true(g_utf8_validate(begin, -1, NULL));
        g_assert_false(g_unichar_ismark(g_utf8_get_char(begin)));
        if (limit >= length) {
            g_assert_true(begin == text);
        }
    }
    g_assert_cmpstr(fit_tail_bytes(text, length, strlen("xyz 😀€äa")), ==, "xyz 😀€äa");
    g_assert_cmpstr(fit_tail_bytes(text, length, strlen("xyz 😀€äa") + 3), ==, "xyz 😀€äa");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output/render__output__is_what_a_terminal_leaves",
                    render__output__is_what_a_terminal_leaves);
    g_test_add_func("/output/render__random_bytes__give_printable_text_that_stays",
                    render__random_bytes__give_printable_text_that_stays);
    g_test_add_func("/output/render__a_mebibyte_of_anything__takes_linear_time",
                    render__a_mebibyte_of_anything__takes_linear_time);
    g_test_add_func("/fit/cut__room__counts_utf16_after_escaping",
                    cut__room__counts_utf16_after_escaping);
    g_test_add_func("/fit/tail__what_fits__stays_whole_and_alone",
                    tail__what_fits__stays_whole_and_alone);
    g_test_add_func("/fit/tail__cut__keeps_the_end_and_tells_the_rest",
                    tail__cut__keeps_the_end_and_tells_the_rest);
    g_test_add_func("/fit/tail__every_cut__is_a_true_end_within_the_room",
                    tail__every_cut__is_a_true_end_within_the_room);
    g_test_add_func("/fit/tail_bytes__every_limit__is_a_true_end_on_a_border",
                    tail_bytes__every_limit__is_a_true_end_on_a_border);
    return g_test_run();
}
