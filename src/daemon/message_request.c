#include "daemon/message_request.h"

#include <string.h>

#include "base/mask.h"
#include "base/text.h"
#include "notify/message.h"

enum { ANSWER_SHOWN_BYTES = 200 };

bool message_request_init(struct net_request *request, const char *id, const char *idempotency_key,
                          const GPtrArray *targets, const struct target *target,
                          struct notice *notice, GError **error)
{
    struct mask *mask = targets_mask(targets);
    notice_mask(notice, mask);
    mask_free(mask);
    struct message message = {.body = NULL};
    if (!message_format(target, notice, idempotency_key, &message, error)) {
        return false;
    }
    request->id = g_strdup(id);
    request->url = g_strdup(target->url);
    request->method = g_strdup("POST");
    request->headers = g_steal_pointer(&message.headers);
    request->body = g_steal_pointer(&message.body);
    request->body_length = message.length;
    request->timeout_ms = MESSAGE_REQUEST_TIMEOUT_MS;
    return true;
}

char *message_answer_describe(const struct net_answer *answer, const GPtrArray *targets)
{
    g_autoptr(GString) said = g_string_new(NULL);
    bool has_error = answer->error && *answer->error;
    if (has_error) {
        g_string_append(said, answer->error);
    } else if (answer->body_length > 0 && (answer->status < 200 || answer->status > 299)) {
        size_t length = answer->body_length;
        while (length > 0 && g_ascii_isspace(answer->body[length - 1])) {
            length--;
        }
        text_append_escaped(said, answer->body, length, TEXT_ONE_LINE);
    }
    struct mask *mask = targets ? targets_mask(targets) : NULL;
    g_autofree char *masked = mask ? mask_apply(mask, said->str, said->len, NULL) : g_strdup("");
    mask_free(mask);
    if (strlen(masked) > ANSWER_SHOWN_BYTES) {
        *(char *)g_utf8_find_prev_char(masked, masked + ANSWER_SHOWN_BYTES) = '\0';
    }
    if (!answer->status) {
        return *masked ? g_steal_pointer(&masked) : g_strdup(net_outcome_name(answer->outcome));
    }
    return g_strdup_printf("HTTP %d%s%s", answer->status, *masked ? ": " : "", masked);
}
