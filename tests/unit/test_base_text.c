#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/tty.h"
#include "base/units.h"

static void escape__control_and_invalid_bytes__become_visible(void)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *one_line, *layout;
    } cases[] = {
        {"plain", 5, "plain", "plain"},
        {"a\nb\tc", 5, "a\\x0ab\\x09c", "a\nb\tc"},
        {"\x1b[31m", 5, "\\x1b[31m", "\\x1b[31m"},
        {"\0x", 2, "\\x00x", "\\x00x"},
        {"\x7f", 1, "\\x7f", "\\x7f"},
        {"\xc2\x9b", 2, "\\u{009b}", "\\u{009b}"},
        {"\xe2\x80\xae", 3, "\\u{202e}", "\\u{202e}"},
        {"\xe2\x80\xa8", 3, "\\u{2028}", "\\u{2028}"},
        {"\xc3\xa4\xf0\x9f\x98\x80", 6, "\xc3\xa4\xf0\x9f\x98\x80", "\xc3\xa4\xf0\x9f\x98\x80"},
        {"\xff\xc3", 2, "\\xff\\xc3", "\\xff\\xc3"},
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80", "\\xed\\xa0\\x80"},
        {"a\\b", 3, "a\\b", "a\\b"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) one_line = g_string_new(NULL);
        g_autoptr(GString) layout = g_string_new(NULL);
        text_append_escaped(one_line, cases[i].bytes, cases[i].length, TEXT_ONE_LINE);
        text_append_escaped(layout, cases[i].bytes, cases[i].length, TEXT_KEEP_LAYOUT);
        g_assert_cmpstr(one_line->str, ==, cases[i].one_line);
        g_assert_cmpstr(layout->str, ==, cases[i].layout);
    }
}

static void escape__random_bytes__give_valid_text_without_controls(void)
{
    for (int round = 0; round < 2000; round++) {
        char bytes[64];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (char)g_test_rand_int_range(0, 256);
        }
        g_autoptr(GString) out = g_string_new(NULL);
        text_append_escaped(out, bytes, sizeof(bytes), TEXT_ONE_LINE);
        g_assert_true(g_utf8_validate(out->str, (gssize)out->len, NULL));
        for (const char *at = out->str; *at; at = g_utf8_next_char(at)) {
            g_assert_false(g_unichar_iscntrl(g_utf8_get_char(at)));
        }
    }
}

static void nearest__small_mistakes__are_recognised(void)
{
    static const char *const words[] = {"target_branch", "path", "priority", "keep", NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"target_brunch", "target_branch"},
        {"targetbranch", "target_branch"},
        {"ptah", "path"},
        {"pth", "path"},
        {"paths", "path"},
        {"priorty", "priority"},
        {"kepe", "keep"},
        {"xyz", NULL},
        {"", NULL},
        {"k", NULL},
        {"something_else_entirely", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpstr(text_nearest(cases[i].word, words), ==, cases[i].nearest);
    }
    g_autofree char *long_word = g_strnfill(1000, 'a');
    g_assert_null(text_nearest(long_word, words));
}

static void glob__patterns__match_as_git_branch_list_does(void)
{
    g_assert_true(text_glob_match("release/*", "release/1.0"));
    g_assert_true(text_glob_match("release/*", "release/a/b"));
    g_assert_false(text_glob_match("release/*", "release"));
    g_assert_true(text_glob_match("v[0-9]*", "v1"));
    g_assert_false(text_glob_match("main", "maintenance"));
    g_assert_true(text_is_glob("a?"));
    g_assert_false(text_is_glob("a/b-c"));
}

static void join_words__any_argv__reads_back_as_the_same_words(void)
{
    char *argv[] = {(char *)"make", (char *)"a b",    (char *)"it's",
                    (char *)"",     (char *)"$x;`y`", NULL};
    g_autofree char *text = text_join_words(argv);
    g_auto(GStrv) back = NULL;
    g_assert_true(g_shell_parse_argv(text, NULL, &back, NULL));
    g_assert_true(g_strv_equal((const char *const *)argv, (const char *const *)back));
    g_assert_true(g_str_has_prefix(text, "make 'a b'"));
}

/* Keys of 15 pairs, each "Ez" or "FY", that are all the same to g_str_hash(). */
static void hash__keys_made_to_collide__fall_apart(void)
{
    enum { PAIRS = 15 };
    g_autoptr(GHashTable) values = g_hash_table_new(NULL, NULL);
    guint colliding = 0;
    for (unsigned i = 0; i < 1u << PAIRS; i++) {
        char key[2 * PAIRS + 1] = "";
        for (unsigned bit = 0; bit < PAIRS; bit++) {
            memcpy(key + 2 * bit, i >> bit & 1 ? "Ez" : "FY", 2);
        }
        g_autofree char *copy = g_strdup(key);
        g_assert_cmpuint(text_hash(copy), ==, text_hash(key));
        g_assert_true(i == 0 || g_str_hash(key) == colliding);
        colliding = g_str_hash(key);
        g_hash_table_add(values, GUINT_TO_POINTER(text_hash(key)));
    }
    /* By chance, one run in eight has a pair of twins among 2^32 values. */
    g_assert_cmpuint(g_hash_table_size(values), >, (1u << PAIRS) - 20);
}

static void hash__short_keys__all_differ(void)
{
    g_autoptr(GHashTable) values = g_hash_table_new(NULL, NULL);
    for (unsigned length = 0; length < 64; length++) {
        g_autofree char *key = g_strnfill(length, 'a');
        g_hash_table_add(values, GUINT_TO_POINTER(text_hash(key)));
    }
    /* By chance, one run in two millions has a pair of twins. */
    g_assert_cmpuint(g_hash_table_size(values), >=, 63);
}

static void object_id__only_whole_lower_case_hex__is_one(void)
{
    g_assert_true(text_is_object_id("0123456789abcdef0123456789abcdef01234567"));
    g_assert_false(text_is_object_id("0123456789ABCDEF0123456789abcdef01234567"));
    g_assert_false(text_is_object_id("0123456789abcdef0123456789abcdef0123456"));
    g_assert_false(text_is_object_id(""));
    g_assert_cmpstr(text_short_id("0123456789abcdef"), ==, "0123456789");
    g_assert_cmpstr(text_short_id(NULL), ==, "-");
}

static void duration__good_texts__are_read_and_written_back(void)
{
    static const struct {
        const char *text;
        int64_t milliseconds;
        const char *written;
    } cases[] = {{"90s", 90000, "1m30s"},
                 {"1h30m", 5400000, "1h30m"},
                 {"250ms", 250, "250ms"},
                 {"2d", 172800000, "2d"},
                 {"0", 0, "0s"},
                 {"0s", 0, "0s"},
                 {"1w2d3h4m5s6ms", 788645006, "1w2d3h4m5s6ms"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t milliseconds = -1;
        g_assert_true(units_parse_duration(cases[i].text, &milliseconds, NULL));
        g_assert_cmpint(milliseconds, ==, cases[i].milliseconds);
        g_autofree char *written = units_format_duration(milliseconds);
        g_assert_cmpstr(written, ==, cases[i].written);
    }
}

static void duration__bad_texts__are_refused(void)
{
    static const char *const texts[] = {"",
                                        "60",
                                        "s",
                                        "1 h",
                                        "1x",
                                        "30m1h",
                                        "1h1h",
                                        "-5s",
                                        "1.5h",
                                        "1hm",
                                        "99999999999999999999s",
                                        "9223372036854775807w",
                                        "5S"};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        int64_t milliseconds = 0;
        g_autoptr(GError) error = NULL;
        g_assert_false(units_parse_duration(texts[i], &milliseconds, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
    }
}

static void size__texts__are_powers_of_1024_or_refused(void)
{
    int64_t bytes = 0;
    g_assert_true(units_parse_size("64M", &bytes, NULL) && bytes == 64 << 20);
    g_assert_true(units_parse_size("2GiB", &bytes, NULL) && bytes == (int64_t)2 << 30);
    g_assert_true(units_parse_size("512", &bytes, NULL) && bytes == 512);
    g_assert_true(units_parse_size("1kB", &bytes, NULL) && bytes == 1024);
    static const char *const bad[] = {"",   "M", "-1", "1.5G", "1X", "1 M", "9223372036854775807K",
                                      "1iB"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(units_parse_size(bad[i], &bytes, NULL));
    }
    g_autofree char *text = units_format_size(64 << 20);
    g_assert_cmpstr(text, ==, "64.0 MiB");
}

static void elapsed__all_lengths__are_readable(void)
{
    static const struct {
        int64_t milliseconds;
        const char *text;
    } cases[] = {{0, "0.0 s"},
                 {3249, "3.2 s"},
                 {61000, "61 s"},
                 {185000, "3 min 5 s"},
                 {7800000, "2 h 10 min"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = units_format_elapsed(cases[i].milliseconds);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void relative__past_and_future__are_told_apart(void)
{
    static const struct {
        int64_t at_ms;
        const char *text;
    } cases[] = {{0, "never"}, {999000, "1 s ago"}, {1040000, "in 40 s"}, {700000, "5 min ago"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = clock_format_relative(cases[i].at_ms, 1000000);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void event__values__are_escaped_quoted_and_left_out_when_empty(void)
{
    g_autofree char *line = event_format("job queued", "job", "1", "repo", "", "branch", NULL,
                                         "err", "no \"route\"\n\x1b[0m", "sha", "ab=c", NULL);
    g_assert_cmpstr(line, ==,
                    "job queued job=1 err=\"no \\\"route\\\"\\x0a\\x1b[0m\" sha=\"ab=c\"");
}

static void event__backslash_before_a_quote__forges_no_pair(void)
{
    g_autofree char *line = event_format("look failed", "err", "x\\\" job=9", "at", "a\\b", NULL);
    g_assert_cmpstr(line, ==, "look failed err=\"x\\\\\\\" job=9\" at=a\\b");
}

/* What event_print() writes into a pipe that has room for `free_pages` pages of 4096 bytes. */
static char *print_into_pipe(unsigned free_pages, const char *value)
{
    static char page[4096];
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    auto_fd reader = ends[0];
    auto_fd writer = ends[1];
    g_assert_true(fd_set_nonblocking(writer, true, NULL));
    size_t filled = 0;
    while (write(writer, page, sizeof(page)) == (ssize_t)sizeof(page)) {
        filled += sizeof(page);
    }
    for (unsigned i = 0; i < free_pages; i++) {
        g_assert_cmpint(fd_read(reader, page, sizeof(page)), ==, sizeof(page));
        filled -= sizeof(page);
    }
    g_assert_true(fd_set_nonblocking(writer, false, NULL));
    fflush(stdout);
    auto_fd saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    g_assert_cmpint(dup2(writer, STDOUT_FILENO), ==, STDOUT_FILENO);
    event_print(EVENT_INFO, "job failed", "err", value, NULL);
    g_assert_cmpint(dup2(saved, STDOUT_FILENO), ==, STDOUT_FILENO);
    fd_close(&writer);
    size_t length = 0;
    g_autofree char *all = fd_read_to_end(reader, 1 << 20, &length, NULL);
    g_assert_cmpuint(length, >=, filled);
    return g_strdup(all + filled);
}

static void event__full_pipe__loses_the_line_and_never_waits(void)
{
    g_autofree char *nothing = print_into_pipe(0, "x");
    g_assert_cmpstr(nothing, ==, "");
    g_autofree char *line = print_into_pipe(1, "x");
    g_assert_true(g_str_has_suffix(line, " job failed err=x\n"));
}

static void event__long_line__is_cut_between_characters_to_what_a_pipe_takes_at_once(void)
{
    for (unsigned shift = 0; shift < 3; shift++) {
        g_autoptr(GString) value = g_string_new(NULL);
        g_string_append_len(value, "xx", (gssize)shift);
        for (int i = 0; i < 8000; i++) {
            g_string_append(value, "\xe2\x82\xac");
        }
        g_autofree char *line = print_into_pipe(1, value->str);
        g_assert_cmpuint(strlen(line), <=, 4096);
        g_assert_cmpuint(strlen(line), >, 4090);
        g_assert_true(g_utf8_validate(line, -1, NULL));
        g_assert_true(g_str_has_suffix(line, "\xe2\x82\xac...\n"));
    }
}

static void table__wide_and_foreign_cells__stay_aligned_and_plain(void)
{
    static const char *const headings[] = {"NAME", "STATE", NULL};
    g_autofree char *text = NULL;
    size_t size = 0;
    /* A file, as a memory stream has no descriptor to ask isatty() about. */
    FILE *stream = tmpfile();
    g_assert_nonnull(stream);
    struct tty_table *table = tty_table_new(headings);
    tty_table_cell(table, TTY_PLAIN, "\xe6\xbc\xa2\xe5\xad\x97");
    tty_table_cell(table, TTY_GREEN, "success");
    tty_table_cell(table, TTY_PLAIN, "a\x1b[2J");
    tty_table_cell(table, TTY_PLAIN, NULL);
    tty_table_print(table, stream);
    rewind(stream);
    text = fd_read_to_end(fileno(stream), 1000, &size, NULL);
    g_assert_cmpstr(text, ==,
                    "NAME      STATE\n"
                    "\xe6\xbc\xa2\xe5\xad\x97      success\n"
                    "a\\x1b[2J  \n");
    fclose(stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/base/" #name, name)
    ADD(escape__control_and_invalid_bytes__become_visible);
    ADD(escape__random_bytes__give_valid_text_without_controls);
    ADD(nearest__small_mistakes__are_recognised);
    ADD(glob__patterns__match_as_git_branch_list_does);
    ADD(join_words__any_argv__reads_back_as_the_same_words);
    ADD(hash__keys_made_to_collide__fall_apart);
    ADD(hash__short_keys__all_differ);
    ADD(object_id__only_whole_lower_case_hex__is_one);
    ADD(duration__good_texts__are_read_and_written_back);
    ADD(duration__bad_texts__are_refused);
    ADD(size__texts__are_powers_of_1024_or_refused);
    ADD(elapsed__all_lengths__are_readable);
    ADD(relative__past_and_future__are_told_apart);
    ADD(event__values__are_escaped_quoted_and_left_out_when_empty);
    ADD(event__backslash_before_a_quote__forges_no_pair);
    ADD(event__full_pipe__loses_the_line_and_never_waits);
    ADD(event__long_line__is_cut_between_characters_to_what_a_pipe_takes_at_once);
    ADD(table__wide_and_foreign_cells__stay_aligned_and_plain);
    return g_test_run();
}
