/*
 * A notice as the body of the HTTP request that a receiver expects. Bytes in, bytes out; no I/O.
 *
 * Whatever a notice holds, the message is valid JSON within the limits of its receiver, so that it
 * is never refused for its form: of all messages, the one about a failure with much output would be
 * the one that is lost. Limits count UTF-16 code units after escaping.
 *
 *   discord  Discord developer documentation, "Message: Embed Limits" (title 256, description
 *            4,096, footer 2,048, 6,000 altogether) and "Allowed Mentions Object"; one embed, its
 *            colour by the state. See notify/discord.c for what is escaped.
 *   slack    Slack, "Block Kit: Text object" (3,000), "Header block" (150), 50 blocks, and
 *            "Formatting message text: Escaping text". See notify/slack.c.
 *   custom   an object with "version": 1, at most MESSAGE_CUSTOM_MAX_BYTES; see notify/custom.c.
 */
#ifndef PHANTOM_CI_NOTIFY_MESSAGE_H
#define PHANTOM_CI_NOTIFY_MESSAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "notify/notice.h"
#include "notify/target.h"

#define MESSAGE_ERROR (g_quark_from_static_string("phantom-ci-message"))

enum { MESSAGE_CUSTOM_MAX_BYTES = 64 * 1024, MESSAGE_KEY_MAX_BYTES = 128 };

struct message {
    char *body;
    size_t length;
    char *headers; /* lines "Name: value", joined by newlines */
};
void message_clear(struct message *message);

/* `idempotency_key` is the same for every attempt to deliver the same message: 1 to
 * MESSAGE_KEY_MAX_BYTES letters, digits, "-", "_", "." and ":", else ERROR_INVALID. Nothing else
 * fails. `out` is only written on success. */
bool message_format(const struct target *target, const struct notice *notice,
                    const char *idempotency_key, struct message *out, GError **error);

#endif
