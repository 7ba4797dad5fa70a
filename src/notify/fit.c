#include "notify/fit.h"

#include <stdbool.h>
#include <string.h>

/* One unit, which no escape makes longer. */
static const char ellipsis[] = "\xe2\x80\xa6";

static size_t character_units(gunichar character)
{
    return character > 0xffff ? 2 : 1;
}

size_t fit_units(const char *text, size_t length)
{
    size_t units = 0;
    for (const char *end = text + length; text < end; text = g_utf8_next_char(text)) {
        units += character_units(g_utf8_get_char(text));
    }
    return units;
}

/* Belongs to the character before it: combining marks, variation selectors, joiners. */
static bool is_attached(gunichar character)
{
    return g_unichar_ismark(character) || g_unichar_iszerowidth(character);
}

/* `scratch` gets the character as it is written; the number of its units. */
static size_t escape_character(GString *scratch, gunichar character, fit_escape escape)
{
    g_string_truncate(scratch, 0);
    if (!escape) {
        g_string_append_unichar(scratch, character);
        return character_units(character);
    }
    escape(scratch, character);
    return fit_units(scratch->str, scratch->len);
}

/* The end of the longest beginning that fits. */
static const char *find_end(const char *text, size_t units, fit_escape escape)
{
    g_autoptr(GString) scratch = g_string_new(NULL);
    const char *border = text; /* the last place where a cut is right */
    const char *at = text;
    for (; *at; at = g_utf8_next_char(at)) {
        gunichar character = g_utf8_get_char(at);
        size_t cost = escape_character(scratch, character, escape);
        if (!is_attached(character)) {
            border = at;
        }
        if (cost > units) {
            return border;
        }
        units -= cost;
    }
    return at;
}

static void append_range(GString *out, const char *begin, const char *end, fit_escape escape)
{
    if (!escape) {
        g_string_append_len(out, begin, end - begin);
        return;
    }
    for (; begin < end; begin = g_utf8_next_char(begin)) {
        escape(out, g_utf8_get_char(begin));
    }
}

char *fit_cut(const char *text, size_t units, fit_escape escape)
{
    const char *end = find_end(text, units, escape);
    if (*end == '\0') {
        return g_strdup(text);
    }
    if (units == 0) {
        return g_strdup("");
    }
    end = find_end(text, units - 1, escape);
    g_autofree char *beginning = g_strndup(text, (size_t)(end - text));
    return g_strconcat(beginning, ellipsis, NULL);
}

void fit_append(GString *out, const char *text, size_t units, fit_escape escape)
{
    g_autofree char *cut = fit_cut(text, units, escape);
    append_range(out, cut, cut + strlen(cut), escape);
}

/* Away from a combining mark, and to the beginning of a line if that is not too far. */
static const char *mend_begin(const char *begin, const char *end)
{
    while (begin < end && is_attached(g_utf8_get_char(begin))) {
        begin = g_utf8_next_char(begin);
    }
    const char *newline = memchr(begin, '\n', (size_t)(end - begin));
    return newline && newline + 1 < end && newline - begin < (end - begin) / 2 ? newline + 1
                                                                               : begin;
}

/* The beginning of the longest end that fits. */
static const char *find_begin(const char *text, const char *end, size_t units, fit_escape escape)
{
    g_autoptr(GString) scratch = g_string_new(NULL);
    const char *begin = end;
    while (begin > text) {
        const char *before = g_utf8_prev_char(begin);
        size_t cost = escape_character(scratch, g_utf8_get_char(before), escape);
        if (cost > units) {
            break;
        }
        units -= cost;
        begin = before;
    }
    /* A line that is whole needs no mending. */
    return begin == text || begin[-1] == '\n' ? begin : mend_begin(begin, end);
}

const char *fit_tail_bytes(const char *text, size_t length, size_t limit_bytes)
{
    const char *end = text + length;
    if (length <= limit_bytes) {
        return text;
    }
    const char *begin = end - limit_bytes;
    while (begin < end && ((unsigned char)*begin & 0xc0) == 0x80) {
        begin++;
    }
    return begin[-1] == '\n' ? begin : mend_begin(begin, end);
}

int64_t fit_bytes_before(int64_t before, size_t more)
{
    return MIN(MAX(before, 0), INT64_MAX / 2) + (int64_t)more;
}

void fit_append_tail(GString *out, const char *text, int64_t before, size_t units,
                     fit_escape escape)
{
    /* "[... 9223372036854775807 bytes before]\n" */
    enum { NOTE_UNITS = 40 };
    const char *end = text + strlen(text);
    if (before <= 0 && find_begin(text, end, units, escape) == text) {
        append_range(out, text, end, escape);
        return;
    }
    if (units <= NOTE_UNITS) {
        return;
    }
    const char *begin = find_begin(text, end, units - NOTE_UNITS, escape);
    if (begin == end) {
        return;
    }
    g_string_append_printf(out, "[... %" G_GINT64_FORMAT " bytes before]\n",
                           fit_bytes_before(before, (size_t)(begin - text)));
    append_range(out, begin, end, escape);
}
