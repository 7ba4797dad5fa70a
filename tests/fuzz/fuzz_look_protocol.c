/* Looks, their answers and logins as messages. The first byte is the direction; what is accepted
 * keeps the rules of the header, and comes out the same when it is written and read again. */
#include <glib.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "git/refset.h"
#include "net/look_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Numbers may have been written with leading zeros. */
static void require_same(const GByteArray *out, const uint8_t *bytes, size_t used,
                         const struct net_field *number)
{
    bool exact = !number || number->bytes[0] != '0' || number->length == 1;
    require(out->len <= used);
    require(!exact || (out->len == used && memcmp(out->data, bytes, used) == 0));
}

static void check_look(const struct net_message *message, const uint8_t *bytes, size_t used)
{
    struct net_look look;
    g_autoptr(GError) error = NULL;
    bool ok = net_look_parse(message, &look, &error);
    require(ok == (error == NULL));
    if (ok) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        require(net_look_encode(out, &look, NULL));
        require_same(out, bytes, used, &message->fields[6]);
        require(!strpbrk(look.url, " \r\n\t") && look.url[0] != '-' && look.wanted[0] != '\0');
        require(!strstr(look.wanted, "\n\n") && !strstr(look.options, "\n\n"));
        g_auto(GStrv) wanted = g_strsplit(look.wanted, "\n", -1);
        g_auto(GStrv) prefixes = refset_prefixes((const char *const *)wanted, 16);
        require(prefixes[0] && g_strv_length(prefixes) <= 16);
    } else {
        require(!look.url && !look.wanted && !look.known && !look.options);
    }
    net_look_clear(&look);
}

static void check_refs(const struct net_message *message)
{
    g_autoptr(GHashTable) refs = refset_new(), again = refset_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *id = net_refs_parse(message, refs, &error);
    require((id == NULL) == (error != NULL));
    if (!id) {
        return;
    }
    g_autoptr(GByteArray) out = g_byte_array_new();
    net_refs_encode_table(out, id, refs);
    for (size_t at = 0, used = 0; at < out->len; at += used) {
        struct net_message part;
        require(net_decode(out->data + at, out->len - at, NET_FROM_NET, &part, &used, NULL) ==
                NET_MESSAGE);
        g_autofree char *same = net_refs_parse(&part, again, NULL);
        require(g_strcmp0(same, id) == 0);
    }
    g_autofree char *first = refset_digest(refs), *second = refset_digest(again);
    require(strcmp(first, second) == 0);
}

static void check_looked(const struct net_message *message, const uint8_t *bytes, size_t used)
{
    struct net_looked looked;
    g_autoptr(GError) error = NULL;
    bool ok = net_looked_parse(message, &looked, &error);
    require(ok == (error == NULL));
    if (ok) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        net_looked_encode(out, &looked);
        /* Characters that text_escape() shows otherwise came through, and go out escaped. */
        g_autofree char *escaped = text_escape(looked.error);
        if (strcmp(escaped, looked.error) == 0) {
            require_same(out, bytes, used, &message->fields[5]);
        }
        require(g_utf8_validate(looked.error, -1, NULL) && !strpbrk(looked.error, "\n\r\x1b"));
    } else {
        require(!looked.id && !looked.digest && !looked.location && !looked.error);
    }
    net_looked_clear(&looked);
}

static void check_login(const struct net_message *message, const uint8_t *bytes, size_t used)
{
    struct net_login login;
    g_autoptr(GError) error = NULL;
    bool ok = net_login_parse(message, &login, &error);
    require(ok == (error == NULL));
    if (ok) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        require(used <= PIPE_BUF && net_login_encode(out, &login, NULL));
        require_same(out, bytes, used, NULL);
        require(!strpbrk(login.user, "\r\n") && !strpbrk(login.password, "\r\n"));
    } else {
        require(!login.prefix && !login.user && !login.password);
    }
    net_login_clear(&login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    enum net_direction direction = data[0] & 1 ? NET_FROM_NET : NET_TO_NET;
    const uint8_t *at = data + 1;
    size_t left = size - 1, used = 0;
    struct net_message message;
    while (net_decode(at, left, direction, &message, &used, NULL) == NET_MESSAGE) {
        require(used >= NET_HEADER_BYTES && used <= left);
        if (message.type == NET_LOOK) {
            check_look(&message, at, used);
        } else if (message.type == NET_REFS) {
            check_refs(&message);
        } else if (message.type == NET_LOOKED) {
            check_looked(&message, at, used);
        } else {
            check_login(&message, at, used);
        }
        at += used;
        left -= used;
    }
    return 0;
}
