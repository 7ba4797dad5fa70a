#include "base/mask_forms.h"

#include <stdbool.h>
#include <string.h>

#include "base/mask.h"
#include "base/wipe.h"

static void free_form(void *data)
{
    mask_wipe(data);
}

GPtrArray *mask_forms_new(void)
{
    return g_ptr_array_new_with_free_func(free_form);
}

static void add(GPtrArray *forms, const char *bytes, size_t length)
{
    if (length >= MASK_MIN_BYTES) {
        g_ptr_array_add(forms, g_strndup(bytes, length));
    }
}

static void add_lines(GPtrArray *forms, const char *secret)
{
    static const char around[] = " \t\r";
    const char *line = strchr(secret, '\n') ? secret : NULL;
    while (line) {
        const char *end = line + strcspn(line, "\n");
        const char *next = *end ? end + 1 : NULL;
        line += strspn(line, around);
        while (end > line && strchr(around, end[-1])) {
            end--;
        }
        add(forms, line, end > line ? (size_t)(end - line) : 0);
        line = next;
    }
}

/* ------------------------------------------------------------------ base64 */

static void add_url_safe(GPtrArray *forms, const char *text, size_t length)
{
    if (length < MASK_MIN_BYTES || !strpbrk(text, "+/")) {
        return;
    }
    char *safe = g_strdelimit(g_strdelimit(g_strndup(text, length), "+", '-'), "/", '_');
    g_ptr_array_add(forms, safe);
}

/* The lines of what base64(1) and openssl(1) write, from the one on that `from` stands in. */
static void add_wrapped(GPtrArray *forms, const char *encoded, size_t from, size_t end)
{
    static const size_t widths[] = {64, 76};
    for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
        size_t width = widths[i];
        for (size_t at = from / width * width; end > width && at < end; at += width) {
            add(forms, encoded + at, MIN(width, end - at));
        }
    }
}

/* With `before` other bytes in front of it in its first group of three. A character that these have
 * a part in is not known, nor is one that bytes behind it may have a part in. */
static void add_base64(GPtrArray *forms, const char *secret, unsigned before)
{
    static const size_t unknown[] = {0, 2, 3};
    size_t secret_length = strlen(secret);
    size_t length = before + secret_length;
    char *bytes = g_malloc0(length);
    memcpy(bytes + before, secret, secret_length);
    char *encoded = g_base64_encode((const guchar *)bytes, length);
    size_t begin = unknown[before], from = 0;
    const size_t ends[] = {
        length * 8 / 6,        /* more follows */
        strcspn(encoded, "="), /* it is the end, without padding */
        strlen(encoded),       /* and with it */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
        if (ends[i] > from) {
            add(forms, encoded + begin, ends[i] - begin);
            add_url_safe(forms, encoded + begin, ends[i] - begin);
            if (before == 0) {
                add_wrapped(forms, encoded, from, ends[i]);
            }
        }
        from = ends[i];
    }
    wipe_free(&encoded, strlen(encoded));
    wipe_free(&bytes, length);
}

/* --------------------------------------------------------------------- URL */

/* How programs encode a part of a URL: what besides letters and digits they leave as it is. */
static const struct url_way {
    const char *kept;
    bool blank_is_plus;
    const char *digits;
} url_ways[] = {
    {"-._~", false, "0123456789ABCDEF"},      /* RFC 3986, 2.3: curl --data-urlencode, jq @uri */
    {"-._~", false, "0123456789abcdef"},      /* the same in small letters: .NET, some of C */
    {"-._~/", false, "0123456789ABCDEF"},     /* Python's quote() */
    {"-._~", true, "0123456789ABCDEF"},       /* Python's quote_plus(), Go's QueryEscape() */
    {"-._~!*'()", false, "0123456789ABCDEF"}, /* JavaScript's encodeURIComponent() */
    {"-._*", true, "0123456789ABCDEF"},       /* forms of browsers, Java's URLEncoder */
};

static char *encode_url(const char *secret, const struct url_way *way)
{
    char *text = g_malloc(3 * strlen(secret) + 1);
    char *at = text;
    for (; *secret; secret++) {
        unsigned char byte = (unsigned char)*secret;
        if (g_ascii_isalnum(byte) || strchr(way->kept, byte)) {
            *at++ = *secret;
        } else if (byte == ' ' && way->blank_is_plus) {
            *at++ = '+';
        } else {
            *at++ = '%';
            *at++ = way->digits[byte >> 4];
            *at++ = way->digits[byte & 15];
        }
    }
    *at = '\0';
    return text;
}

/* -------------------------------------------------------------------- JSON */

static char *escape_json(const char *secret)
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    char *text = g_malloc(6 * strlen(secret) + 1);
    char *at = text;
    for (; *secret; secret++) {
        const char *found = strchr(special, *secret);
        if (found) {
            *at++ = '\\';
            *at++ = letters[found - special];
        } else if ((unsigned char)*secret < 0x20) {
            at = (char *)memcpy(at, "\\u00", 4) + 4;
            *at++ = digits[*secret >> 4];
            *at++ = digits[*secret & 15];
        } else {
            *at++ = *secret;
        }
    }
    *at = '\0';
    return text;
}

/* ------------------------------------------------------------------------- */

/* Takes `form` over; most secrets are the same in most forms. */
static void add_if_new(GPtrArray *forms, unsigned first, char *form)
{
    for (unsigned i = first; i < forms->len; i++) {
        if (strcmp(g_ptr_array_index(forms, i), form) == 0) {
            mask_wipe(form);
            return;
        }
    }
    g_ptr_array_add(forms, form);
}

void mask_forms_add(GPtrArray *forms, const char *secret)
{
    unsigned first = forms->len;
    add(forms, secret, strlen(secret));
    for (unsigned i = 0; i < G_N_ELEMENTS(url_ways); i++) {
        add_if_new(forms, first, encode_url(secret, &url_ways[i]));
    }
    add_if_new(forms, first, escape_json(secret));
    add_lines(forms, secret);
    for (unsigned before = 0; before < 3; before++) {
        add_base64(forms, secret, before);
    }
}
