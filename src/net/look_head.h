/* The head of an answer to a look, line by line: the headers that decide. Foreign bytes; no I/O. */
#ifndef PHANTOM_CI_NET_LOOK_HEAD_H
#define PHANTOM_CI_NET_LOOK_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/waits.h"

enum { LOOK_HEAD_MAX_BYTES = 64 * 1024, LOOK_HEAD_TYPE_MAX = 80 };

struct look_head {
    size_t bytes; /* of all heads of this exchange, interim ones and trailers too */
    char type[LOOK_HEAD_TYPE_MAX]; /* the media type in lower case without parameters; "" = none */
    bool has_challenge;            /* WWW-Authenticate */
    bool offers_basic;             /* one of its schemes is Basic */
    struct waits waits;
};

#define LOOK_HEAD_INIT                                                                             \
    {                                                                                              \
        .waits = WAITS_INIT                                                                        \
    }

/* Takes one line with or without its line end; a status line makes all but `bytes` new. `now_ms`:
 * UTC. False: there was more than LOOK_HEAD_MAX_BYTES. */
bool look_head_read(struct look_head *head, const char *line, size_t length, int64_t now_ms);

#endif
