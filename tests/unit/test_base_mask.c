/* Secrets in text: every byte of every occurrence is hidden, in time that many values don't grow.
 */
#include <glib.h>
#include <string.h>

#include "base/mask.h"
#include "mask_fixture.h"

static char *apply(const char *const *values, const char *text)
{
    struct mask *mask = mask_new(values, NULL);
    size_t length = 0;
    char *masked = mask_apply(mask, text, strlen(text), &length);
    g_assert_cmpuint(length, ==, strlen(masked));
    mask_free(mask);
    return masked;
}

static void apply__values__are_replaced(void)
{
    static const struct {
        const char *values[4];
        const char *text, *masked;
    } cases[] = {
        {{"secret"}, "", ""},
        {{"secret"}, "secret", "***"},
        {{"secret"}, "a secret here", "a *** here"},
        {{"secret"}, "secre", "secre"},
        {{"secret"}, "ssecrett", "s***t"},
        {{"secret"}, "secretsecret", "******"},
        {{"secret"}, "secsecret", "sec***"},
        /* longest first */
        {{"secret", "secret-long"}, "secret-long secret", "*** ***"},
        {{"secret-long", "secret"}, "secret-lone", "***-lone"},
        /* one inside another, at its end and in its middle */
        {{"abcdefghi", "defghi"}, "abcdefghi xdefghi", "*** x***"},
        {{"abcdefghij", "cdefgh"}, "abcdefghij abcdefghix", "*** ab***ix"},
        /* overlapping ones, also in a chain, and with themselves */
        {{"abcdef", "defghi"}, "abcdefghi", "***"},
        {{"abcdef", "efghij", "ijklmn"}, "-abcdefghijklmn-", "-***-"},
        {{"abcabc"}, "abcabcabcabc", "***"},
        {{"aaaaaa"}, "baaaaaaaaab", "b***b"},
        /* a longer one that is found later takes the shorter one before it in */
        {{"cdefgh", "abcdefghijkl"}, "abcdefghijkl", "***"},
        {{"bbbbbb", "dddddd", "abbbbbbcdddddde"}, "abbbbbbcdddddde", "***"},
        /* the same value twice, and a value that the failing of another leads to */
        {{"secret", "secret"}, "secret", "***"},
        {{"ababac", "babaca"}, "abababaca", "ab***"},
        {{"\xc3\xa4\xc3\xb6\xc3\xbc"}, "\xc3\xa4\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\xa4***"},
        {{NULL}, "nothing to hide", "nothing to hide"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *masked = apply(cases[i].values, cases[i].text);
        g_assert_cmpstr(masked, ==, cases[i].masked);
    }
}

static void new__short_values__are_refused_and_counted(void)
{
    static const char *const values[] = {"", "1", "12345", "123456", "", NULL};
    unsigned refused = 99;
    struct mask *mask = mask_new(values, &refused);
    g_autofree char *masked = mask_apply(mask, "12345 123456", 12, NULL);
    g_assert_cmpuint(refused, ==, 2);
    g_assert_cmpstr(masked, ==, "12345 ***");
    mask_free(mask);
}

static void new__too_many_bytes__what_fits_is_hidden_and_the_rest_counted(void)
{
    g_autofree char *large = g_strnfill(MASK_MAX_BYTES - 6, 'x');
    const char *const values[] = {large, "1234567", "123456", "abcdef", NULL};
    unsigned refused = 0;
    struct mask *mask = mask_new(values, &refused);
    g_autofree char *masked = mask_apply(mask, "1234567 abcdef", 14, NULL);
    g_assert_cmpuint(refused, ==, 2);
    g_assert_cmpstr(masked, ==, "***7 abcdef");
    g_autofree char *whole = mask_apply(mask, large, strlen(large), NULL);
    g_assert_cmpstr(whole, ==, "***");
    mask_free(mask);
}

static void apply__nul_and_bytes_that_are_no_text__stay(void)
{
    static const char *const values[] = {"secret", NULL};
    static const char text[] = "\0\xff"
                               "secret\0secre\0t";
    static const char expected[] = "\0\xff"
                                   "***\0secre\0t";
    struct mask *mask = mask_new(values, NULL);
    size_t length = 0;
    g_autofree char *masked = mask_apply(mask, text, sizeof(text) - 1, &length);
    g_assert_cmpmem(masked, length, expected, sizeof(expected) - 1);
    mask_free(mask);
}

static void apply__random_values_and_text__agree_with_the_slow_way(void)
{
    for (int round = 0; round < 5000; round++) {
        char storage[4][12], text[80];
        const char *values[5] = {NULL};
        for (unsigned i = 0; i < 4; i++) {
            fill_with_two_letters(storage[i], (size_t)g_test_rand_int_range(0, 11));
            values[i] = storage[i];
        }
        fill_with_two_letters(text, (size_t)g_test_rand_int_range(0, 79));
        g_autofree char *expected = apply_slowly(values, text, strlen(text), strlen(text), NULL);
        g_autofree char *masked = apply(values, text);
        g_assert_cmpstr(masked, ==, expected);
    }
}

/* 4,000 values that all nearly match everywhere: 250 M comparisons of strings without an automaton,
 * each of up to 200 bytes. */
static void apply__many_nearly_matching_values__takes_linear_time(void)
{
    enum { VALUES = 4000, TEXT = 1024 * 1024 };
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < VALUES; i++) {
        char *value = g_strnfill(200, 'a');
        g_snprintf(value + 195, 6, "%05u", i);
        g_ptr_array_add(values, value);
    }
    g_ptr_array_add(values, NULL);
    g_autofree char *text = g_strnfill(TEXT, 'a');
    int64_t begin = g_get_monotonic_time();
    struct mask *mask = mask_new((const char *const *)values->pdata, NULL);
    g_autofree char *masked = mask_apply(mask, text, TEXT, NULL);
    mask_free(mask);
    g_assert_cmpstr(masked, ==, text);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 10 * G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mask/apply__values__are_replaced", apply__values__are_replaced);
    g_test_add_func("/mask/new__short_values__are_refused_and_counted",
                    new__short_values__are_refused_and_counted);
    g_test_add_func("/mask/new__too_many_bytes__what_fits_is_hidden_and_the_rest_counted",
                    new__too_many_bytes__what_fits_is_hidden_and_the_rest_counted);
    g_test_add_func("/mask/apply__nul_and_bytes_that_are_no_text__stay",
                    apply__nul_and_bytes_that_are_no_text__stay);
    g_test_add_func("/mask/apply__random_values_and_text__agree_with_the_slow_way",
                    apply__random_values_and_text__agree_with_the_slow_way);
    g_test_add_func("/mask/apply__many_nearly_matching_values__takes_linear_time",
                    apply__many_nearly_matching_values__takes_linear_time);
    return g_test_run();
}
