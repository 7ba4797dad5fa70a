/* Masks: a stream, the whole text and the slow way say the same, however the text is cut; every
 * form of a secret is hidden.
 *
 * Input: lines of values up to an empty line, then the text; each piece of it is as long as the low
 * bits of its first byte say. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/mask_fixture.h"
#include "base/mask.h"
#include "base/mask_forms.h"

enum { VALUES_MAX = 16, VALUE_MAX_BYTES = 64, TEXT_MAX_BYTES = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_stream(const struct mask *mask, const char *text, size_t length,
                         const char *expected, size_t expected_length)
{
    struct mask_stream *stream = mask_stream_new(mask);
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t at = 0; at < length;) {
        size_t piece = MIN((size_t)((unsigned char)text[at] & 15) + 1, length - at);
        mask_stream_write(stream, text + at, piece, out);
        require(out->len <= expected_length && memcmp(out->str, expected, out->len) == 0);
        at += piece;
    }
    mask_stream_end(stream, out);
    require(out->len == expected_length && memcmp(out->str, expected, out->len) == 0);
    mask_stream_free(stream);
}

static void check_text(const char *const *values, const char *text, size_t length)
{
    size_t expected_length = 0, masked_length = 0;
    struct mask *mask = mask_new(values, NULL);
    g_autofree char *expected = apply_slowly(values, text, length, length, &expected_length);
    g_autofree char *masked = mask_apply(mask, text, length, &masked_length);
    require(masked_length == expected_length && memcmp(masked, expected, masked_length) == 0);
    check_stream(mask, text, length, expected, expected_length);
    mask_free(mask);
}

static void check_forms(const char *secret)
{
    g_autoptr(GPtrArray) forms = mask_forms_new();
    mask_forms_add(forms, secret);
    unsigned count = forms->len;
    g_ptr_array_add(forms, NULL);
    unsigned refused = 0;
    struct mask *mask = mask_new((const char *const *)forms->pdata, &refused);
    require(refused == 0);
    for (unsigned i = 0; i < count; i++) {
        const char *form = g_ptr_array_index(forms, i);
        g_autofree char *masked = mask_apply(mask, form, strlen(form), NULL);
        require(strcmp(masked, "***") == 0);
    }
    mask_free(mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
    while (at < end && values->len < VALUES_MAX) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        g_autofree char *value = g_strndup(at, MIN((size_t)(line_end - at), VALUE_MAX_BYTES));
        at = newline ? newline + 1 : end;
        if (!*value) {
            break;
        }
        if (strlen(value) >= MASK_MIN_BYTES) {
            check_forms(value);
        }
        g_ptr_array_add(values, g_steal_pointer(&value));
    }
    g_ptr_array_add(values, NULL);
    check_text((const char *const *)values->pdata, at, MIN((size_t)(end - at), TEXT_MAX_BYTES));
    return 0;
}
