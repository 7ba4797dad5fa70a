#include "base/text.h"

#include <fnmatch.h>
#include <string.h>

enum { NEAREST_MAX_LENGTH = 64, NEAREST_MAX_DISTANCE = 2 };

/* Characters that move the cursor, change the terminal or reorder what is read. */
static bool is_hidden_control(gunichar character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
           (character >= 0x202a && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069) || character == 0x2028 ||
           character == 0x2029 || character == 0x200e || character == 0x200f || character == 0xfeff;
}

void text_append_escaped(GString *out, const char *bytes, size_t length, enum text_escape how)
{
    const char *end = bytes + length;
    while (bytes < end) {
        /* The common case at full speed: printable ASCII. */
        const char *run = bytes;
        while (run < end && *run >= 0x20 && *run < 0x7f) {
            run++;
        }
        g_string_append_len(out, bytes, run - bytes);
        bytes = run;
        if (bytes == end) {
            break;
        }
        gunichar character = g_utf8_get_char_validated(bytes, end - bytes);
        if (how == TEXT_KEEP_LAYOUT && (*bytes == '\n' || *bytes == '\t')) {
            g_string_append_c(out, *bytes++);
        } else if (character == (gunichar)-1 || character == (gunichar)-2 ||
                   (unsigned char)*bytes < 0x80) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*bytes++);
        } else if (is_hidden_control(character)) {
            g_string_append_printf(out, "\\u{%04x}", (unsigned)character);
            bytes = g_utf8_next_char(bytes);
        } else {
            const char *next = g_utf8_next_char(bytes);
            g_string_append_len(out, bytes, next - bytes);
            bytes = next;
        }
    }
}

char *text_escape(const char *text)
{
    GString *out = g_string_new(NULL);
    if (text) {
        text_append_escaped(out, text, strlen(text), TEXT_ONE_LINE);
    }
    return g_string_free(out, FALSE);
}

/* Insertions, deletions, replacements, and swaps of neighbours (optimal string alignment). */
static unsigned edit_distance(const char *left, const char *right)
{
    unsigned rows[3][NEAREST_MAX_LENGTH + 1];
    size_t width = strlen(right);
    for (unsigned j = 0; j <= width; j++) {
        rows[0][j] = j;
    }
    size_t height = strlen(left);
    for (unsigned i = 1; i <= height; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            bool same = left[i - 1] == right[j - 1];
            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                row[j] = MIN(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[height % 3][width];
}

const char *text_nearest(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    unsigned least = NEAREST_MAX_DISTANCE + 1;
    if (strlen(word) > NEAREST_MAX_LENGTH) {
        return NULL;
    }
    for (; *candidates; candidates++) {
        size_t length = strlen(*candidates);
        unsigned distance = length <= NEAREST_MAX_LENGTH ? edit_distance(word, *candidates)
                                                         : NEAREST_MAX_DISTANCE + 1;
        if (distance < least && distance * 2 < MAX(strlen(word), length)) {
            least = distance;
            nearest = *candidates;
        }
    }
    return nearest;
}

bool text_glob_match(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, 0) == 0;
}

bool text_is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

static guint64 rotate(guint64 value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(guint64 v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(guint64 v[4], guint64 word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* The words of the state before any text: a key, mixed with SipHash's constants. */
static const guint64 *sip_start(void)
{
    static guint64 start[4];
    static gsize ready;
    if (g_once_init_enter(&ready)) {
        guint64 key[2];
        for (unsigned i = 0; i < G_N_ELEMENTS(key); i++) {
            key[i] = (guint64)g_random_int() << 32 | g_random_int();
        }
        start[0] = key[0] ^ G_GUINT64_CONSTANT(0x736f6d6570736575);
        start[1] = key[1] ^ G_GUINT64_CONSTANT(0x646f72616e646f6d);
        start[2] = key[0] ^ G_GUINT64_CONSTANT(0x6c7967656e657261);
        start[3] = key[1] ^ G_GUINT64_CONSTANT(0x7465646279746573);
        g_once_init_leave(&ready, 1);
    }
    return start;
}

guint text_hash(gconstpointer text)
{
    const char *at = text;
    size_t length = strlen(at), left = length;
    guint64 v[4], word;
    memcpy(v, sip_start(), sizeof(v));
    for (; left >= sizeof(word); at += sizeof(word), left -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sip_word(v, word);
    }
    word = 0;
    memcpy(&word, at, left);
    sip_word(v, word ^ (guint64)length << 56);
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++) {
        sip_round(v);
    }
    guint64 hash = v[0] ^ v[1] ^ v[2] ^ v[3];
    return (guint)(hash ^ hash >> 32);
}

char *text_join_words(char *const *argv)
{
    GString *text = g_string_new(NULL);
    for (; *argv; argv++) {
        bool plain = **argv && !strpbrk(*argv, " \t\n'\"\\$`;&|<>()*?[]#~");
        g_autofree char *quoted = plain ? g_strdup(*argv) : g_shell_quote(*argv);
        g_string_append_printf(text, "%s%s", text->len ? " " : "", quoted);
    }
    return g_string_free(text, FALSE);
}

bool text_is_object_id(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");
    return (length == 40 || length == 64) && text[length] == '\0';
}

const char *text_short_id(const char *object_id)
{
    enum { RING = 8, DIGITS = 10 };
    static char ring[RING][DIGITS + 1];
    static unsigned next;
    if (!object_id || !*object_id) {
        return "-";
    }
    char *slot = ring[next++ % RING];
    g_strlcpy(slot, object_id, DIGITS + 1);
    return slot;
}
