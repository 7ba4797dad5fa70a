#include "base/tail.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

enum { READS_AT_ONCE = 16 };

void tail_append(struct tail *tail, const char *bytes, size_t length)
{
    if (length > TAIL_MAX_BYTES) {
        bytes += length - TAIL_MAX_BYTES;
        length = TAIL_MAX_BYTES;
    }
    if (tail->length + length > TAIL_MAX_BYTES) {
        size_t drop = tail->length + length - TAIL_MAX_BYTES;
        memmove(tail->text, tail->text + drop, tail->length - drop);
        tail->length -= drop;
    }
    memcpy(tail->text + tail->length, bytes, length);
    tail->length += length;
    tail->text[tail->length] = '\0';
}

bool tail_read(struct tail *tail, int fd)
{
    char bytes[TAIL_MAX_BYTES + 1];
    for (int i = 0; i < READS_AT_ONCE; i++) {
        ssize_t got = fd_read(fd, bytes, sizeof(bytes));
        if (got <= 0) {
            return got < 0 && errno == EAGAIN;
        }
        tail_append(tail, bytes, (size_t)got);
    }
    return true;
}
