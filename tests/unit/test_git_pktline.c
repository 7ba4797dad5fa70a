#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "git/pktline.h"
#include "git/url.h"

/* What was read, as text: data lines in <>, "F" "D" "E" for special packets. Each piece of input is
 * a block of its own, so that a sanitizer sees a read beyond it. */
static char *read_in_pieces(const char *bytes, size_t length, size_t piece, GError **error,
                            bool *is_between)
{
    GString *found = g_string_new(NULL);
    struct pktline pktline;
    enum pktline_kind kind = PKTLINE_MORE;
    pktline_init(&pktline);
    for (size_t at = 0; at < length && kind != PKTLINE_BROKEN; at += piece) {
        size_t left = MIN(piece, length - at);
        g_autofree uint8_t *copy = g_memdup2(bytes + at, left);
        const uint8_t *next = copy, *data = NULL;
        size_t data_length = 0;
        do {
            kind = pktline_next(&pktline, &next, &left, &data, &data_length, error);
            if (kind == PKTLINE_DATA) {
                g_string_append_c(found, '<');
                g_string_append_len(found, (const char *)data, (gssize)data_length);
                g_string_append_c(found, '>');
            } else if (kind != PKTLINE_MORE && kind != PKTLINE_BROKEN) {
                g_string_append_c(found, "FDE"[kind - PKTLINE_FLUSH]);
            }
        } while (kind != PKTLINE_MORE && kind != PKTLINE_BROKEN);
        g_assert_true(kind == PKTLINE_BROKEN || left == 0);
    }
    *is_between = pktline_is_between(&pktline);
    pktline_release(&pktline);
    return g_string_free(found, FALSE);
}

static void next__pieces_of_every_size__give_the_same_packets(void)
{
    static const char bytes[] = "0009hello"
                                "0000"
                                "0001"
                                "00050"
                                "0006"
                                "0a"
                                "0004"
                                "000bABCDEFG"
                                "0002";
    for (size_t piece = 1; piece <= strlen(bytes); piece++) {
        g_autoptr(GError) error = NULL;
        bool is_between = false;
        g_autofree char *found = read_in_pieces(bytes, strlen(bytes), piece, &error, &is_between);
        g_assert_no_error(error);
        g_assert_cmpstr(found, ==, "<hello>FD<0><0a><><ABCDEFG>E");
        g_assert_true(is_between);
    }
}

static void next__cut_at_each_byte__is_between_only_where_a_packet_ends(void)
{
    static const char bytes[] = "0009hello0000000400020006xy";
    static const size_t ends[] = {0, 9, 13, 17, 21, 27};
    for (size_t length = 0, end = 0; length <= strlen(bytes); length++) {
        g_autoptr(GError) error = NULL;
        bool is_between = false;
        g_autofree char *found = read_in_pieces(bytes, length, 3, &error, &is_between);
        g_assert_no_error(error);
        g_assert_cmpint(is_between, ==, ends[end] == length);
        end += ends[end] == length && end + 1 < G_N_ELEMENTS(ends);
    }
}

static void next__header_that_is_none__is_broken_for_good(void)
{
    static const char *const headers[] = {"0003", "fff1", "ffff", "FFFF", "000g", "-001",
                                          " 001", "+004", "0x04", "HTTP", "<htm", "\x1b[31"};
    for (unsigned i = 0; i < G_N_ELEMENTS(headers); i++) {
        for (size_t piece = 1; piece <= 4; piece++) {
            g_autoptr(GError) error = NULL;
            bool is_between = false;
            g_autofree char *bytes = g_strconcat("0000", headers[i], "0004", NULL);
            g_autofree char *found =
                read_in_pieces(bytes, strlen(bytes), piece, &error, &is_between);
            g_assert_error(error, GIT_ERROR, ERROR_INVALID);
            g_assert_nonnull(strstr(error->message, "where the length of a pkt-line is expected"));
            g_assert_null(strchr(error->message, 0x1b));
            g_assert_cmpstr(found, ==, "F");
            g_assert_false(is_between);
        }
    }
}

static void next__after_a_broken_one__stays_broken(void)
{
    struct pktline pktline;
    g_autoptr(GError) error = NULL, again = NULL;
    const uint8_t *bytes = (const uint8_t *)"xxxx0004", *data = NULL;
    size_t left = 8, length = 0;
    pktline_init(&pktline);
    g_assert_cmpint(pktline_next(&pktline, &bytes, &left, &data, &length, &error), ==,
                    PKTLINE_BROKEN);
    g_assert_cmpint(pktline_next(&pktline, &bytes, &left, &data, &length, &again), ==,
                    PKTLINE_BROKEN);
    g_assert_cmpstr(again->message, ==, error->message);
    g_assert_cmpuint(left, ==, 4);
    pktline_release(&pktline);
    pktline_release(&pktline);
}

static void next__longest_line__is_taken_whole_and_in_pieces(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *text = g_strnfill(PKTLINE_MAX_BYTES - 4, 'x');
    pktline_append(bytes, text, strlen(text));
    g_assert_cmpuint(bytes->len, ==, PKTLINE_MAX_BYTES);
    g_assert_cmpmem(bytes->data, 4, "fff0", 4);
    for (size_t piece = 1; piece <= bytes->len; piece = piece * 7 + 1) {
        g_autoptr(GError) error = NULL;
        bool is_between = false;
        g_autofree char *found =
            read_in_pieces((const char *)bytes->data, bytes->len, piece, &error, &is_between);
        g_assert_no_error(error);
        g_assert_cmpuint(strlen(found), ==, PKTLINE_MAX_BYTES - 4 + 2);
    }
}

static void next__line_that_is_there__is_not_copied(void)
{
    struct pktline pktline;
    const uint8_t *bytes = (const uint8_t *)"0009hello", *start = bytes, *data = NULL;
    size_t left = 9, length = 0;
    pktline_init(&pktline);
    g_assert_cmpint(pktline_next(&pktline, &bytes, &left, &data, &length, NULL), ==, PKTLINE_DATA);
    g_assert_true(data == start + 4 && length == 5 && left == 0);
    pktline_release(&pktline);
}

static void append__lines_and_special_packets__are_those_of_the_manual(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    pktline_append(out, "a\n", 2);
    pktline_append(out, "", 0);
    pktline_append_special(out, PKTLINE_DELIMITER);
    pktline_append(out, "foobar\n", 7);
    pktline_append_special(out, PKTLINE_END);
    pktline_append_special(out, PKTLINE_FLUSH);
    g_assert_cmpmem(out->data, out->len, "0006a\n00040001000bfoobar\n00020000", 33);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_pktline/" #name, name)
    ADD(next__pieces_of_every_size__give_the_same_packets);
    ADD(next__cut_at_each_byte__is_between_only_where_a_packet_ends);
    ADD(next__header_that_is_none__is_broken_for_good);
    ADD(next__after_a_broken_one__stays_broken);
    ADD(next__longest_line__is_taken_whole_and_in_pieces);
    ADD(next__line_that_is_there__is_not_copied);
    ADD(append__lines_and_special_packets__are_those_of_the_manual);
#undef ADD
    return g_test_run();
}
