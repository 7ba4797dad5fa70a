/* The body for each receiver, and what their files share. */
#ifndef PHANTOM_CI_NOTIFY_MESSAGE_INTERNAL_H
#define PHANTOM_CI_NOTIFY_MESSAGE_INTERNAL_H

#include <glib.h>
#include <jansson.h>
#include <stddef.h>

#include "notify/fit.h"
#include "notify/notice.h"

json_t *discord_body(const struct notice *notice);
json_t *slack_body(const struct notice *notice);
json_t *custom_body(const struct notice *notice);

/* The tail of the notice between `fence_begin` and `fence_end`, all of it in `units` UTF-16 code
 * units; "" when there is none or no room for it. `escape` sees to it that the tail does not hold
 * the fence. Free with g_free(). */
char *message_fenced_tail(const struct notice *notice, const char *fence_begin,
                          const char *fence_end, size_t units, fit_escape escape);

#endif
