/* The messages between phantom_ci and phantom_ci-net. The first byte is the direction; whatever
 * follows, what is accepted keeps the rules of the header, and comes out the same when it is
 * written and read again. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void require_same(const GByteArray *out, const uint8_t *bytes, size_t used, bool exact)
{
    /* A number may have been written with leading zeros. */
    require(out->len <= used);
    require(!exact || (out->len == used && memcmp(out->data, bytes, used) == 0));
}

static void check_request(const struct net_message *message, const uint8_t *bytes, size_t used)
{
    struct net_request request;
    g_autoptr(GError) error = NULL;
    bool ok = net_request_parse(message, &request, &error);
    require(ok == (error == NULL));
    if (ok) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        require(net_request_encode(out, &request, NULL));
        require_same(out, bytes, used, message->fields[5].bytes[0] != '0');
        require(!strpbrk(request.url, " \r\n\t\\") && !strchr(request.headers, '\r'));
        require(!strstr(request.headers, "\n\n") && request.body[request.body_length] == '\0');
    } else {
        require(!request.url && !request.headers && !request.body);
    }
    net_request_clear(&request);
}

static void check_answer(const struct net_message *message)
{
    struct net_answer answer;
    g_autoptr(GError) error = NULL;
    bool ok = net_answer_parse(message, &answer, &error);
    require(ok == (error == NULL));
    if (ok) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        net_answer_encode(out, &answer);
        require(g_utf8_validate(answer.error, -1, NULL) && !strpbrk(answer.error, "\n\r\x1b"));
    }
    net_answer_clear(&answer);
}

static void check_message(const struct net_message *message, const uint8_t *bytes, size_t used)
{
    if (message->type == NET_REQUEST) {
        check_request(message, bytes, used);
    } else if (message->type == NET_ANSWER) {
        check_answer(message);
    } else {
        g_autofree char *id = net_cancel_parse(message, NULL);
        if (id) {
            g_autoptr(GByteArray) out = g_byte_array_new();
            net_cancel_encode(out, id);
            require_same(out, bytes, used, true);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    enum net_direction direction = data[0] & 1 ? NET_FROM_NET : NET_TO_NET;
    const uint8_t *at = data + 1;
    size_t left = size - 1;
    struct net_message message;
    g_autoptr(GError) error = NULL;
    size_t used = 0;
    enum net_decode result;
    while ((result = net_decode(at, left, direction, &message, &used, &error)) == NET_MESSAGE) {
        require(used >= NET_HEADER_BYTES && used <= left && !error);
        check_message(&message, at, used);
        at += used;
        left -= used;
    }
    require((result == NET_BROKEN) == (error != NULL));
    return 0;
}
