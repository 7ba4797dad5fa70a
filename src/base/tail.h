/* The last of what a child writes into a pipe: what ended it stands there. */
#ifndef PHANTOM_CI_BASE_TAIL_H
#define PHANTOM_CI_BASE_TAIL_H

#include <stdbool.h>
#include <stddef.h>

enum { TAIL_MAX_BYTES = 4095 };

/* Zeroed at first. */
struct tail {
    char text[TAIL_MAX_BYTES + 1]; /* always a string */
    size_t length;
};

void tail_append(struct tail *tail, const char *bytes, size_t length);

/* Reads what is there now from a descriptor that does not block; of an endless stream a pipe full.
 * False at its end, or when it can't be read. */
bool tail_read(struct tail *tail, int fd);

#endif
