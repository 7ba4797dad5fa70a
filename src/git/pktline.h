/*
 * pkt-lines, the frames of git's protocols (gitprotocol-common(5), "pkt-line Format"), read from
 * bytes that come in pieces of any size. No I/O, and at most one line is ever buffered.
 *
 * 1. pktline_init().
 * 2. pktline_next() in a loop: it takes bytes from the front of the input and says what it found.
 *    After PKTLINE_MORE give it the next bytes. After PKTLINE_BROKEN nothing more can be read.
 * 3. At the end of the input pktline_is_between() tells whether a line was cut.
 * 4. pktline_release().
 */
#ifndef PHANTOM_CI_GIT_PKTLINE_H
#define PHANTOM_CI_GIT_PKTLINE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PKTLINE_MAX_BYTES = 65520 }; /* with its four digits */

enum pktline_kind {
    PKTLINE_MORE,      /* the input is used up */
    PKTLINE_DATA,      /* a line: *data, *length; valid until the next call, and as long as the
                          input is */
    PKTLINE_FLUSH,     /* 0000 */
    PKTLINE_DELIMITER, /* 0001 */
    PKTLINE_END,       /* 0002: the end of a response on stateless connections */
    PKTLINE_BROKEN,    /* no pkt-line: `error` is set (ERROR_INVALID) */
};

struct pktline {
    uint8_t header[4];
    unsigned header_length; /* 0 between two lines */
    size_t expected;        /* bytes of the line's data; known once the header is complete */
    GByteArray *data;       /* of a line that came in pieces */
    bool broken;
};

void pktline_init(struct pktline *pktline);
void pktline_release(struct pktline *pktline);

enum pktline_kind pktline_next(struct pktline *pktline, const uint8_t **bytes, size_t *left,
                               const uint8_t **data, size_t *length, GError **error);

bool pktline_is_between(const struct pktline *pktline);

/* Appends one line of at most PKTLINE_MAX_BYTES - 4, or a special packet. */
void pktline_append(GByteArray *out, const char *data, size_t length);
void pktline_append_special(GByteArray *out, enum pktline_kind kind);

#endif
