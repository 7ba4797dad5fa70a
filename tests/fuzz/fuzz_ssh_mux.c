/* What an ssh master says: whatever comes, a decoded message lies within the bytes, more bytes
 * never change what was decided, and what is broken says why. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

#include "ssh/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_message(const struct mux_message *message, const uint8_t *bytes, size_t used)
{
    const uint8_t *reason = (const uint8_t *)message->reason;
    require(used >= 8 && used <= MUX_MAX_BYTES + 4);
    if (message->kind == MUX_REFUSED) {
        require(reason >= bytes && reason + message->reason_length == bytes + used);
    } else {
        require(message->reason_length == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size > 0) {
        struct mux_message message, again;
        size_t used = 0, used_again = 0;
        g_autoptr(GError) error = NULL;
        enum mux_decode result = mux_decode(data, size, &message, &used, &error);
        require((result == MUX_BROKEN) == (error != NULL));
        if (result != MUX_MESSAGE) {
            break;
        }
        require(used <= size);
        check_message(&message, data, used);
        require(mux_decode(data, used, &again, &used_again, NULL) == MUX_MESSAGE &&
                used_again == used && again.kind == message.kind);
        require(mux_decode(data, used - 1, &again, &used_again, NULL) == MUX_INCOMPLETE);
        data += used;
        size -= used;
    }
    return 0;
}
