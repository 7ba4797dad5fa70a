/* pkt-lines: however the input is cut into pieces, the same packets come out; and what was read is,
 * written again, what was there. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/pktline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* The packets that were read, written again. */
static GByteArray *copy_packets(const uint8_t *bytes, size_t size, size_t piece, bool *broken)
{
    GByteArray *out = g_byte_array_new();
    struct pktline pktline;
    enum pktline_kind kind = PKTLINE_MORE;
    pktline_init(&pktline);
    for (size_t at = 0; kind != PKTLINE_BROKEN && at < size; at += piece) {
        size_t left = MIN(piece, size - at), length = 0;
        g_autofree uint8_t *copy = g_memdup2(bytes + at, left);
        const uint8_t *next = copy, *data = NULL;
        g_autoptr(GError) error = NULL;
        do {
            kind = pktline_next(&pktline, &next, &left, &data, &length, &error);
            require((kind == PKTLINE_BROKEN) == (error != NULL));
            require(pktline.data->len <= PKTLINE_MAX_BYTES);
            if (kind == PKTLINE_DATA) {
                pktline_append(out, (const char *)data, length);
            } else if (kind != PKTLINE_MORE && kind != PKTLINE_BROKEN) {
                pktline_append_special(out, kind);
            }
        } while (kind != PKTLINE_MORE && kind != PKTLINE_BROKEN);
        require(kind == PKTLINE_BROKEN || left == 0);
    }
    *broken = kind == PKTLINE_BROKEN;
    require(*broken || !pktline_is_between(&pktline) || out->len == size);
    pktline_release(&pktline);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool broken = false, broken_in_pieces = false;
    g_autoptr(GByteArray) whole = copy_packets(data, size, size + 1, &broken);
    g_autoptr(GByteArray) cut = copy_packets(data, size, 3, &broken_in_pieces);
    require(broken == broken_in_pieces && whole->len == cut->len);
    require(whole->len == 0 || memcmp(whole->data, cut->data, whole->len) == 0);
    require(whole->len <= size);
    for (size_t i = 0; i < whole->len; i++) {
        /* The digits of a length may have been in capitals. */
        require(g_ascii_tolower((char)whole->data[i]) == g_ascii_tolower((char)data[i]));
    }
    return 0;
}
