/* Secrets in a stream: hidden however the text is cut, in every form that programs print them in,
 * and nothing else is held back. */
#include <glib.h>
#include <string.h>

#include "base/mask.h"
#include "base/mask_forms.h"
#include "mask_fixture.h"

/* ------------------------------------------------------------------ streams */

/* The text in pieces that end at each of `cuts` (ascending, 0-terminated), and at its own end. */
static char *pass(const struct mask *mask, const char *text, const size_t *cuts)
{
    struct mask_stream *stream = mask_stream_new(mask);
    GString *out = g_string_new(NULL);
    size_t at = 0, length = strlen(text);
    for (; *cuts && *cuts < length; cuts++) {
        mask_stream_write(stream, text + at, *cuts - at, out);
        at = *cuts;
    }
    mask_stream_write(stream, text + at, length - at, out);
    mask_stream_end(stream, out);
    mask_stream_free(stream);
    return g_string_free(out, FALSE);
}

static void stream__a_secret_cut_anywhere__is_hidden(void)
{
    static const char *const values[] = {"secret-value", "value-behind", "\xc3\xa4\xc3\xb6\xc3\xbc",
                                         NULL};
    static const char text[] = "a secret-value-behind \xc3\xa4\xc3\xb6\xc3\xbc secret-valu";
    struct mask *mask = mask_new(values, NULL);
    for (size_t first = 1; first < sizeof(text); first++) {
        for (size_t second = first + 1; second < sizeof(text); second++) {
            const size_t cuts[] = {first, second, 0};
            g_autofree char *out = pass(mask, text, cuts);
            g_assert_cmpstr(out, ==, "a *** *** secret-valu");
        }
    }
    mask_free(mask);
}

static void stream__what_can_be_no_secret__is_not_held_back(void)
{
    static const char *const values[] = {"secret-value", "abcabcabd", NULL};
    static const struct {
        const char *piece, *out;
    } steps[] = {
        {"Password: ", "Password: "},
        {"50%", "50%"},
        {" s", " "},
        {"e", ""},
        {"lf", "self"},
        {"secret-val", ""},
        {"ue", ""},
        {"\n", "***\n"},
        {"abcabcab", ""},
        {"c", "abc"},
        {"x", "abcabcx"},
        {"secret-valuesec", "***"},
        {"", ""},
        {"t", "sect"},
    };
    struct mask *mask = mask_new(values, NULL);
    struct mask_stream *stream = mask_stream_new(mask);
    g_autoptr(GString) out = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_string_truncate(out, 0);
        mask_stream_write(stream, steps[i].piece, strlen(steps[i].piece), out);
        g_assert_cmpstr(out->str, ==, steps[i].out);
    }
    mask_stream_free(stream);
    mask_free(mask);
}

/* One occurrence over another, without an end: one replacement, and nothing is kept of it. */
static void stream__endless_overlap__is_one_replacement(void)
{
    static const char *const values[] = {"aaaaaaaa", NULL};
    struct mask *mask = mask_new(values, NULL);
    struct mask_stream *stream = mask_stream_new(mask);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *piece = g_strnfill(1001, 'a');
    for (unsigned i = 0; i < 100; i++) {
        mask_stream_write(stream, piece, 1001, out);
    }
    mask_stream_write(stream, "b", 1, out);
    mask_stream_end(stream, out);
    g_assert_cmpstr(out->str, ==, "***b");
    mask_stream_free(stream);
    mask_free(mask);
}

static void stream__after_its_end__is_as_new(void)
{
    static const char *const values[] = {"secret", NULL};
    struct mask *mask = mask_new(values, NULL);
    struct mask_stream *stream = mask_stream_new(mask);
    g_autoptr(GString) out = g_string_new(NULL);
    mask_stream_write(stream, "secretsec", 9, out);
    mask_stream_end(stream, out);
    g_assert_cmpstr(out->str, ==, "***sec");
    mask_stream_write(stream, "ret ", 4, out);
    mask_stream_end(stream, out);
    g_assert_cmpstr(out->str, ==, "***secret ");
    mask_stream_free(stream);
    mask_free(mask);
}

/* At each moment all is out but what may go on to be a value. */
static void check_moment(const char *const *values, const char *text, size_t length,
                         const GString *out)
{
    size_t known = length - open_length(values, text, length);
    g_autofree char *expected = apply_slowly(values, text, length, known, NULL);
    g_assert_cmpstr(out->str, ==, expected);
}

static void stream__random_values_text_and_cuts__agree_with_the_slow_way(void)
{
    for (int round = 0; round < 20000; round++) {
        char storage[4][14], text[120];
        const char *values[5] = {NULL};
        for (unsigned i = 0; i < 4; i++) {
            fill_with_two_letters(storage[i], (size_t)g_test_rand_int_range(0, 13));
            values[i] = storage[i];
        }
        size_t length = (size_t)g_test_rand_int_range(0, 119);
        fill_with_two_letters(text, length);
        struct mask *mask = mask_new(values, NULL);
        struct mask_stream *stream = mask_stream_new(mask);
        g_autoptr(GString) out = g_string_new(NULL);
        for (size_t at = 0, piece = 0; at < length; at += piece) {
            piece = (size_t)g_test_rand_int_range(0, 9);
            piece = MIN(piece, length - at);
            mask_stream_write(stream, text + at, piece, out);
            check_moment(values, text, at + piece, out);
        }
        mask_stream_end(stream, out);
        g_autofree char *expected = apply_slowly(values, text, length, length, NULL);
        g_assert_cmpstr(out->str, ==, expected);
        mask_stream_free(stream);
        mask_free(mask);
    }
}

/* -------------------------------------------------------------------- forms */

static struct mask *mask_of(const char *secret)
{
    g_autoptr(GPtrArray) forms = mask_forms_new();
    unsigned refused = 0;
    mask_forms_add(forms, secret);
    g_ptr_array_add(forms, NULL);
    struct mask *mask = mask_new((const char *const *)forms->pdata, &refused);
    g_assert_cmpuint(refused, ==, 0);
    return mask;
}

/* `printed` with the secret's form in it comes out as `shown`, wherever it is cut. */
static void check_form(const struct mask *mask, const char *printed, const char *shown)
{
    for (size_t cut = 1; cut <= strlen(printed); cut++) {
        const size_t cuts[] = {cut, 0};
        g_autofree char *out = pass(mask, printed, cuts);
        g_assert_cmpstr(out, ==, shown);
    }
}

static void forms__of_programs__are_hidden(void)
{
    static const struct {
        const char *secret, *printed, *shown;
    } cases[] = {
        {"p/w +ä\"'\\", "p%2Fw%20%2B%C3%A4%22%27%5C", "***"}, /* curl, jq */
        {"p/w +ä\"'\\", "p%2fw%20%2b%c3%a4%22%27%5c", "***"}, /* small letters */
        {"p/w +ä\"'\\", "p/w%20%2B%C3%A4%22%27%5C", "***"},   /* quote() */
        {"p/w +ä\"'\\", "p%2Fw+%2B%C3%A4%22%27%5C", "***"},   /* quote_plus(), URLEncoder */
        {"p/w +ä\"'\\", "p%2Fw%20%2B%C3%A4%22'%5C", "***"},   /* encodeURIComponent() */
        {"p/w +ä\"'\\", "{\"p\":\"p/w +ä\\\"'\\\\\"}", "{\"p\":\"***\"}"}, /* JSON */
        {"tok*en~1", "t=tok*en%7E1&", "t=***&"},                           /* a form of a browser */
        {"one line\n  two lines\r\nx\n", "  one line | two lines |x", "  *** | *** |x"},
        {"one line\ntwo lines", "one line\ntwo lines", "***"},
        {"one line\ntwo lines", "\"one line\\ntwo lines\"", "\"***\""},
        {"a\tb\x01"
         "cdef",
         "a\\tb\\u0001cdef", "***"},
        {"subjects?_d", "c3ViamVjdHM_X2Q", "***"}, /* base64url */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct mask *mask = mask_of(cases[i].secret);
        check_form(mask, cases[i].printed, cases[i].shown);
        mask_free(mask);
    }
}

/* Whatever stands before and behind the secret in what is encoded: of its characters those remain
 * that hold bits of the neighbours. */
static void forms__base64_with_neighbours__is_hidden_but_for_shared_characters(void)
{
    static const char neighbours[] = "\xff\x00~Zx";
    for (size_t length = MASK_MIN_BYTES; length < 40; length++) {
        char secret[41];
        for (size_t i = 0; i < length; i++) {
            secret[i] = (char)g_test_rand_int_range(1, 255);
        }
        secret[length] = '\0';
        struct mask *mask = mask_of(secret);
        for (size_t before = 0; before < sizeof(neighbours) - 1; before++) {
            for (size_t behind = 0; behind < sizeof(neighbours) - 1; behind++) {
                g_autofree char *plain = g_malloc(before + length + behind + 1);
                memcpy(plain, neighbours, before);
                memcpy(plain + before, secret, length);
                memcpy(plain + before + length, neighbours, behind);
                g_autofree char *encoded =
                    g_base64_encode((const guchar *)plain, before + length + behind);
                g_autofree char *out = mask_apply(mask, encoded, strlen(encoded), NULL);
                size_t head = (before * 8 + 5) / 6;
                g_autofree char *start = g_strndup(encoded, head);
                g_autofree char *expected = g_strconcat(start, "***", NULL);
                g_assert_true(g_str_has_prefix(out, expected));
                size_t tail = strlen(encoded) - (before + length) * 8 / 6;
                g_assert_cmpuint(strlen(out), <=, head + 3 + (behind ? tail : 0));
            }
        }
        mask_free(mask);
    }
}

static void forms__base64_in_lines__is_hidden(void)
{
    for (size_t length = 40; length < 200; length++) {
        g_autofree char *secret = g_malloc(length + 2);
        for (size_t i = 0; i < length; i++) {
            secret[i] = (char)g_test_rand_int_range('!', '~');
        }
        secret[length] = '\0';
        struct mask *mask = mask_of(secret);
        static const size_t widths[] = {64, 76};
        for (unsigned i = 0; i < G_N_ELEMENTS(widths) * 2; i++) {
            secret[length] = i % 2 ? '\n' : '\0'; /* as echo(1) ends it */
            secret[length + 1] = '\0';
            g_autofree char *encoded =
                g_base64_encode((const guchar *)secret, length + (i % 2 ? 1 : 0));
            g_autoptr(GString) lines = g_string_new(NULL);
            for (const char *at = encoded; *at; at += MIN(widths[i / 2], strlen(at))) {
                g_string_append_printf(lines, "%.*s\n", (int)widths[i / 2], at);
            }
            g_autofree char *out = mask_apply(mask, lines->str, lines->len, NULL);
            g_auto(GStrv) shown = g_strsplit(out, "\n", -1);
            for (char **line = shown; *line; line++) {
                g_assert_cmpuint(strlen(*line), <=, 8);
            }
        }
        secret[length] = '\0';
        mask_free(mask);
    }
}

static void forms__plain_secret__adds_no_form_twice(void)
{
    g_autoptr(GPtrArray) forms = mask_forms_new();
    mask_forms_add(forms, "plainsecret1");
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < forms->len; i++) {
        g_assert_cmpuint(strlen(g_ptr_array_index(forms, i)), >=, MASK_MIN_BYTES);
        g_assert_true(g_hash_table_add(seen, g_ptr_array_index(forms, i)));
    }
    g_assert_true(g_hash_table_contains(seen, "plainsecret1"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mask_stream/stream__a_secret_cut_anywhere__is_hidden",
                    stream__a_secret_cut_anywhere__is_hidden);
    g_test_add_func("/mask_stream/stream__what_can_be_no_secret__is_not_held_back",
                    stream__what_can_be_no_secret__is_not_held_back);
    g_test_add_func("/mask_stream/stream__endless_overlap__is_one_replacement",
                    stream__endless_overlap__is_one_replacement);
    g_test_add_func("/mask_stream/stream__after_its_end__is_as_new",
                    stream__after_its_end__is_as_new);
    g_test_add_func("/mask_stream/stream__random_values_text_and_cuts__agree_with_the_slow_way",
                    stream__random_values_text_and_cuts__agree_with_the_slow_way);
    g_test_add_func("/mask_stream/forms__of_programs__are_hidden", forms__of_programs__are_hidden);
    g_test_add_func(
        "/mask_stream/forms__base64_with_neighbours__is_hidden_but_for_shared_characters",
        forms__base64_with_neighbours__is_hidden_but_for_shared_characters);
    g_test_add_func("/mask_stream/forms__base64_in_lines__is_hidden",
                    forms__base64_in_lines__is_hidden);
    g_test_add_func("/mask_stream/forms__plain_secret__adds_no_form_twice",
                    forms__plain_secret__adds_no_form_twice);
    return g_test_run();
}
