#include "git/pktline.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/url.h"

enum { HEADER_BYTES = 4 };

void pktline_init(struct pktline *pktline)
{
    *pktline = (struct pktline){.data = g_byte_array_new()};
}

void pktline_release(struct pktline *pktline)
{
    g_clear_pointer(&pktline->data, g_byte_array_unref);
}

bool pktline_is_between(const struct pktline *pktline)
{
    return pktline->header_length == 0;
}

static enum pktline_kind refuse(struct pktline *pktline, GError **error)
{
    g_autoptr(GString) shown = g_string_new(NULL);
    text_append_escaped(shown, (const char *)pktline->header, HEADER_BYTES, TEXT_ONE_LINE);
    g_set_error(error, GIT_ERROR, ERROR_INVALID,
                "\"%s\" stands where the length of a pkt-line is expected: four hexadecimal "
                "digits, at most %04x",
                shown->str, PKTLINE_MAX_BYTES);
    pktline->broken = true;
    return PKTLINE_BROKEN;
}

/* The value of the four digits, or -1. */
static int header_value(const uint8_t *header)
{
    int value = 0;
    for (unsigned i = 0; i < HEADER_BYTES; i++) {
        int digit = g_ascii_xdigit_value((char)header[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* PKTLINE_DATA when the line's data are to follow. */
static enum pktline_kind take_header(struct pktline *pktline, GError **error)
{
    int value = header_value(pktline->header);
    if (value < 0 || value == 3 || value > PKTLINE_MAX_BYTES) {
        return refuse(pktline, error);
    }
    if (value >= HEADER_BYTES) {
        pktline->expected = (size_t)value - HEADER_BYTES;
        return PKTLINE_DATA;
    }
    pktline->header_length = 0;
    return value == 0 ? PKTLINE_FLUSH : value == 1 ? PKTLINE_DELIMITER : PKTLINE_END;
}

enum pktline_kind pktline_next(struct pktline *pktline, const uint8_t **bytes, size_t *left,
                               const uint8_t **data, size_t *length, GError **error)
{
    if (pktline->broken) {
        return refuse(pktline, error);
    }
    if (pktline->header_length < HEADER_BYTES) {
        while (*left > 0 && pktline->header_length < HEADER_BYTES) {
            pktline->header[pktline->header_length++] = *(*bytes)++;
            (*left)--;
        }
        if (pktline->header_length < HEADER_BYTES) {
            return PKTLINE_MORE;
        }
        enum pktline_kind kind = take_header(pktline, error);
        if (kind != PKTLINE_DATA) {
            return kind;
        }
        g_byte_array_set_size(pktline->data, 0);
    }
    if (*left == 0 && pktline->expected > 0) {
        return PKTLINE_MORE;
    }
    size_t part = MIN(*left, pktline->expected - pktline->data->len);
    const uint8_t *start = *bytes;
    *bytes += part;
    *left -= part;
    /* A line that is there as a whole needs no copy. */
    bool whole = part == pktline->expected; /* which is never true of the rest of a line */
    if (!whole) {
        g_byte_array_append(pktline->data, start, (guint)part);
        if (pktline->data->len < pktline->expected) {
            return PKTLINE_MORE;
        }
    }
    *data = whole ? start : pktline->data->data;
    *length = pktline->expected;
    pktline->header_length = 0;
    return PKTLINE_DATA;
}

void pktline_append(GByteArray *out, const char *data, size_t length)
{
    char header[HEADER_BYTES + 1];
    g_assert(length <= PKTLINE_MAX_BYTES - HEADER_BYTES);
    g_snprintf(header, sizeof(header), "%04x", (unsigned)(length + HEADER_BYTES));
    g_byte_array_append(out, (const guint8 *)header, HEADER_BYTES);
    g_byte_array_append(out, (const guint8 *)data, (guint)length);
}

void pktline_append_special(GByteArray *out, enum pktline_kind kind)
{
    g_assert(kind == PKTLINE_FLUSH || kind == PKTLINE_DELIMITER || kind == PKTLINE_END);
    const char *bytes = kind == PKTLINE_FLUSH       ? "0000"
                        : kind == PKTLINE_DELIMITER ? "0001"
                                                    : "0002";
    g_byte_array_append(out, (const guint8 *)bytes, HEADER_BYTES);
}
