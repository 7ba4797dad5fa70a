#include "notify/message.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "notify/message_internal.h"
#include "notify/output.h"
#include "notify/wording.h"

void message_clear(struct message *message)
{
    g_free(message->body);
    g_free(message->headers);
    *message = (struct message){NULL, 0, NULL};
}

char *message_fenced_tail(const struct notice *notice, const char *fence_begin,
                          const char *fence_end, size_t units, fit_escape escape)
{
    size_t fences =
        fit_units(fence_begin, strlen(fence_begin)) + fit_units(fence_end, strlen(fence_end));
    if (!notice->tail || !wording_has_output(notice->kind) || units <= fences) {
        return g_strdup("");
    }
    g_autoptr(GString) readable = output_render(notice->tail, strlen(notice->tail));
    g_autoptr(GString) tail = g_string_new(NULL);
    fit_append_tail(tail, readable->str, notice->before, units - fences, escape);
    return tail->len > 0 ? g_strconcat(fence_begin, tail->str, fence_end, NULL) : g_strdup("");
}

/* What could be more than one header, or is none, is refused: it would be ours to have made it. */
static bool check_key(const char *key, GError **error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_.:";
    size_t length = strlen(key);
    if (length == 0 || length > MESSAGE_KEY_MAX_BYTES || strspn(key, allowed) != length) {
        g_set_error(error, MESSAGE_ERROR, ERROR_INVALID,
                    "the idempotency key of a message is not 1 to %d letters, digits and \"-_.:\"",
                    MESSAGE_KEY_MAX_BYTES);
        return false;
    }
    return true;
}

static json_t *format_body(enum target_kind kind, const struct notice *notice)
{
    switch (kind) {
    case TARGET_DISCORD:
        return discord_body(notice);
    case TARGET_SLACK:
        return slack_body(notice);
    case TARGET_CUSTOM:
        break;
    }
    return custom_body(notice);
}

static char *format_headers(const struct target *target, const char *key, const char *body,
                            size_t length)
{
    static const char type[] = "Content-Type: application/json";
    if (target->kind != TARGET_CUSTOM) {
        return g_strdup(type);
    }
    if (!target->secret || *target->secret == '\0') {
        return g_strdup_printf("%s\nIdempotency-Key: %s", type, key);
    }
    g_autofree char *signature =
        g_compute_hmac_for_data(G_CHECKSUM_SHA256, (const guint8 *)target->secret,
                                strlen(target->secret), (const guint8 *)body, length);
    return g_strdup_printf("%s\nIdempotency-Key: %s\nX-Phantom-CI-Signature-256: sha256=%s", type,
                           key, signature);
}

bool message_format(const struct target *target, const struct notice *notice,
                    const char *idempotency_key, struct message *out, GError **error)
{
    if (!check_key(idempotency_key, error)) {
        return false;
    }
    json_t *body = format_body(target->kind, notice);
    char *dumped = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    g_assert(dumped);
    out->body = g_strdup(dumped);
    out->length = strlen(dumped);
    free(dumped);
    out->headers = format_headers(target, idempotency_key, out->body, out->length);
    return true;
}
