#include "net/look_head.h"

#include <glib.h>
#include <string.h>

/* What stands behind "Name:", or NULL when this is another header. */
static const char *value_of(const char *line, size_t length, const char *name, const char **end)
{
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' ||
        g_ascii_strncasecmp(line, name, name_length) != 0) {
        return NULL;
    }
    const char *begin = line + name_length + 1;
    *end = line + length;
    while (begin < *end && (*begin == ' ' || *begin == '\t')) {
        begin++;
    }
    while (*end > begin && g_ascii_isspace((*end)[-1])) {
        (*end)--;
    }
    return begin;
}

static void read_type(struct look_head *head, const char *value, const char *end)
{
    size_t length = 0;
    while (value + length < end && length < LOOK_HEAD_TYPE_MAX - 1 && value[length] > 0x20 &&
           value[length] < 0x7f && value[length] != ';') {
        head->type[length] = g_ascii_tolower(value[length]);
        length++;
    }
    head->type[length] = '\0';
}

/* A scheme stands at the beginning or behind a comma (RFC 9110, 11.6.1); a comma within a quoted
 * string may give one that is none, which does no harm. */
static bool names_basic(const char *value, const char *end)
{
    const size_t length = strlen("basic");
    while (value < end) {
        while (value < end && (g_ascii_isspace(*value) || *value == ',')) {
            value++;
        }
        if ((size_t)(end - value) >= length && g_ascii_strncasecmp(value, "basic", length) == 0 &&
            (value + length == end || g_ascii_isspace(value[length]) || value[length] == ',')) {
            return true;
        }
        const char *comma = memchr(value, ',', (size_t)(end - value));
        value = comma ? comma : end;
    }
    return false;
}

bool look_head_read(struct look_head *head, const char *line, size_t length, int64_t now_ms)
{
    const char *end = NULL;
    const char *value;
    head->bytes += length;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        size_t bytes = head->bytes;
        *head = (struct look_head)LOOK_HEAD_INIT;
        head->bytes = bytes;
    } else if ((value = value_of(line, length, "Content-Type", &end))) {
        read_type(head, value, end);
    } else if ((value = value_of(line, length, "WWW-Authenticate", &end))) {
        head->has_challenge = true;
        head->offers_basic = head->offers_basic || names_basic(value, end);
    } else {
        waits_read(&head->waits, line, length, now_ms);
    }
    return head->bytes <= LOOK_HEAD_MAX_BYTES;
}
