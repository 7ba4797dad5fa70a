#include "notify/output.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

enum { ESCAPE = 0x1b, BELL = 0x07 };

static bool is_between(char byte, unsigned char low, unsigned char high)
{
    return (unsigned char)byte >= low && (unsigned char)byte <= high;
}

/* ESC ] (and P X ^ _) up to BEL or ESC \. No other escape may stand inside, so that no byte is
 * looked at twice when the end is missing. */
static size_t string_sequence_length(const char *bytes, size_t length)
{
    for (size_t i = 2; i < length && bytes[i] != '\n'; i++) {
        if (bytes[i] == BELL) {
            return i + 1;
        }
        if (bytes[i] == ESCAPE) {
            return i + 1 < length && bytes[i + 1] == '\\' ? i + 2 : 0;
        }
    }
    return 0;
}

/* The length of the escape sequence that begins here with ESC; 0 = it is not complete. ECMA-48, 5.3
 * and 5.4: parameters, intermediate bytes, one final byte. */
static size_t sequence_length(const char *bytes, size_t length)
{
    size_t at = 1;
    if (length < 2) {
        return 0;
    }
    if (memchr("]PX^_", bytes[1], 5)) {
        return string_sequence_length(bytes, length);
    }
    if (bytes[1] == '[') {
        for (at = 2; at < length && is_between(bytes[at], 0x30, 0x3f);) {
            at++;
        }
    }
    while (at < length && is_between(bytes[at], 0x20, 0x2f)) {
        at++;
    }
    unsigned char first_final = bytes[1] == '[' ? 0x40 : 0x30;
    return at < length && is_between(bytes[at], first_final, 0x7e) ? at + 1 : 0;
}

static GString *remove_sequences(const char *bytes, size_t length)
{
    GString *plain = g_string_sized_new(length);
    const char *end = bytes + length;
    while (bytes < end) {
        const char *escape = memchr(bytes, ESCAPE, (size_t)(end - bytes));
        g_string_append_len(plain, bytes, (escape ? escape : end) - bytes);
        if (!escape) {
            break;
        }
        size_t skip = sequence_length(escape, (size_t)(end - escape));
        g_string_append_len(plain, escape, skip == 0 ? 1 : 0);
        bytes = escape + MAX(skip, 1);
    }
    return plain;
}

static bool is_blank(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* memrchr(3), which not every libc has; the bytes may be zeros, too. */
static const char *find_last(const char *bytes, size_t length, char wanted)
{
    while (length > 0 && bytes[length - 1] != wanted) {
        length--;
    }
    return length > 0 ? bytes + length - 1 : NULL;
}

/* One line without its newline. */
static void append_line(GString *out, const char *line, size_t length)
{
    const char *end = line + length;
    while (length > 0) {
        const char *carriage_return = find_last(line, length, '\r');
        const char *begin = carriage_return ? carriage_return + 1 : line;
        if (!is_blank(begin, (size_t)(end - begin))) {
            text_append_escaped(out, begin, (size_t)(end - begin), TEXT_KEEP_LAYOUT);
            return;
        }
        if (!carriage_return) {
            return;
        }
        end = carriage_return;
        length = (size_t)(carriage_return - line);
    }
}

static void trim_end(GString *text)
{
    size_t length = text->len;
    while (length > 0 && memchr(" \t\n", text->str[length - 1], 3)) {
        length--;
    }
    g_string_truncate(text, length);
}

GString *output_render(const char *bytes, size_t length)
{
    g_autoptr(GString) plain = remove_sequences(bytes, length);
    GString *out = g_string_sized_new(plain->len);
    const char *at = plain->str, *end = plain->str + plain->len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        append_line(out, at, (size_t)(line_end - at));
        if (newline && out->len > 0) {
            g_string_append_c(out, '\n');
        }
        at = newline ? newline + 1 : end;
    }
    trim_end(out);
    return out;
}
