/* What base/mask.h says, said in another way: all occurrences of all values, one by one. */
#ifndef PHANTOM_CI_TESTS_MASK_FIXTURE_H
#define PHANTOM_CI_TESTS_MASK_FIXTURE_H

#include <glib.h>
#include <string.h>

#include "base/mask.h"

/* What is let out of the first `known` bytes of the text; `out_length` may be NULL. */
static inline char *apply_slowly(const char *const *values, const char *text, size_t length,
                                 size_t known, size_t *out_length)
{
    g_autofree char *hidden = g_malloc0(length + 1); /* 1 = begins here, 2 = goes on */
    for (; *values; values++) {
        size_t size = strlen(*values);
        for (size_t i = 0; size >= MASK_MIN_BYTES && i + size <= length; i++) {
            if (memcmp(text + i, *values, size) == 0) {
                hidden[i] = hidden[i] == 2 ? 2 : 1;
                memset(hidden + i + 1, 2, size - 1);
            }
        }
    }
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < known; i++) {
        if (hidden[i] == 1) {
            g_string_append(out, "***");
        } else if (hidden[i] == 0) {
            g_string_append_c(out, text[i]);
        }
    }
    if (out_length) {
        *out_length = out->len;
    }
    return g_string_free(out, FALSE);
}

/* The length of the longest end of the text that is the beginning of a value, or all of one. */
static inline size_t open_length(const char *const *values, const char *text, size_t length)
{
    size_t longest = 0;
    for (; *values; values++) {
        size_t size = strlen(*values);
        for (size_t i = size < MASK_MIN_BYTES ? 0 : MIN(size, length); i > longest; i--) {
            if (memcmp(text + length - i, *values, i) == 0) {
                longest = i;
            }
        }
    }
    return longest;
}

static inline void fill_with_two_letters(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        text[i] = (char)g_test_rand_int_range('a', 'c');
    }
    text[length] = '\0';
}

#endif
