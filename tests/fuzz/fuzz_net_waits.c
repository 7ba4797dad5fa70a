/* Header lines of a server, each a line of the input: whatever they say, the wait stays within its
 * bounds. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/protocol.h"
#include "net/waits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_within(int64_t value, int64_t most)
{
    if (value < -1 || value > most) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct waits waits = WAITS_INIT;
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        /* A copy of just that length, so that the sanitizer sees a byte read too far. */
        g_autofree char *line = g_memdup2(data, length);
        waits_read(&waits, line, length, INT64_C(784111777000));
        data += length;
        size -= length;
    }
    require_within(waits.retry_after_ms, NET_WAIT_MAX_MS);
    require_within(waits.rate_remaining, G_MAXINT32);
    require_within(waits.rate_reset_ms, NET_WAIT_MAX_MS);
    return 0;
}
