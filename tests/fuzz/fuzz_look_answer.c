/* The head of an answer to a look, each line of the input one of its lines; and the whole input as
 * where a redirect leads to: it never leads away from TLS, to somebody's user name or, unless
 * configured, to another host. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/look_head.h"
#include "net/look_place.h"
#include "net/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

static void read_head(const uint8_t *data, size_t size)
{
    struct look_head head = LOOK_HEAD_INIT;
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        /* A copy of just that length, so that the sanitizer sees a byte read too far. */
        g_autofree char *line = g_memdup2(data, length);
        bool good = look_head_read(&head, line, length, INT64_C(784111777000));
        require(good == (head.bytes <= LOOK_HEAD_MAX_BYTES));
        require(strlen(head.type) < LOOK_HEAD_TYPE_MAX);
        require(head.waits.retry_after_ms >= -1 && head.waits.retry_after_ms <= NET_WAIT_MAX_MS);
        require(head.has_challenge || !head.offers_basic);
        data += length;
        size -= length;
    }
}

static void redirect(const char *from_url, const char *target, enum look_follow follow)
{
    struct look_place from, to;
    require(look_place_parse(from_url, &from, NULL));
    enum look_redirect result = look_place_redirect(&from, LOOK_ADVERTISEMENT, target, follow, &to);
    require((result == LOOK_REDIRECT_NOWHERE) == (to.base == NULL));
    if (to.base) {
        const char *at = strchr(to.base, '@');
        require(g_str_has_suffix(to.base, "/") && !strpbrk(to.base, "?# \n") && to.path[0] == '/');
        require((!at || at > to.path) && (!to.user || strcmp(from.origin, to.origin) == 0));
    }
    if (result == LOOK_REDIRECT_GO) {
        require(follow != LOOK_FOLLOW_NONE);
        require(g_str_has_prefix(to.origin, "https:") || g_str_has_prefix(from.origin, "http:"));
        require(follow == LOOK_FOLLOW_ALL || strcmp(from.origin, to.origin) == 0 ||
                (strcmp(from.origin, "http://h.example:80") == 0 &&
                 strcmp(to.origin, "https://h.example:443") == 0));
    }
    look_place_clear(&from);
    look_place_clear(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const from[] = {"http://h.example/a", "https://me@h.example:8443/a"};
    static const enum look_follow follows[] = {LOOK_FOLLOW_HOST, LOOK_FOLLOW_ALL, LOOK_FOLLOW_NONE};
    read_head(data, size);
    g_autofree char *target = g_strndup((const char *)data, size);
    g_autofree char *with_end = g_strconcat(target, "/info/refs?service=git-upload-pack", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(from); i++) {
        for (unsigned f = 0; f < G_N_ELEMENTS(follows); f++) {
            redirect(from[i], target, follows[f]);
            redirect(from[i], with_end, follows[f]);
        }
    }
    return 0;
}
