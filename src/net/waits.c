#include "net/waits.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "net/protocol.h"

enum { VALUE_MAX = 64 };

static int64_t digits_value(const char *digits, size_t count)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = MIN(value * 10 + (digits[i] - '0'), G_MAXINT32);
    }
    return value;
}

/* All of the text: digits. */
static bool parse_count(const char *text, int64_t *count)
{
    size_t length = strspn(text, "0123456789");
    if (length == 0 || text[length] != '\0') {
        return false;
    }
    *count = digits_value(text, length);
    return true;
}

/* Digits, and perhaps '.' and digits; a part of a millisecond counts as a whole one. */
static bool parse_seconds(const char *text, int64_t *milliseconds)
{
    size_t whole = strspn(text, "0123456789");
    if (whole == 0) {
        return false;
    }
    int64_t value = digits_value(text, whole) * 1000;
    const char *rest = text + whole;
    if (*rest == '.') {
        size_t digits = strspn(++rest, "0123456789");
        if (digits == 0) {
            return false;
        }
        for (size_t i = 0, unit = 100; i < MIN(digits, 3); i++, unit /= 10) {
            value += (int64_t)unit * (rest[i] - '0');
        }
        value += digits > 3 && strspn(rest + 3, "0") < digits - 3;
        rest += digits;
    }
    *milliseconds = MIN(value, NET_WAIT_MAX_MS);
    return *rest == '\0';
}

static int find_name(const char *text, const char *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(text, names + i * 3, 3) == 0) {
            return i;
        }
    }
    return -1;
}

/* IMF-fixdate, the one form that a server may send: "Sun, 06 Nov 1994 08:49:37 GMT". */
static bool parse_date(const char *text, int64_t *utc_ms)
{
    static const char shape[] = "aaa, 00 aaa 0000 00:00:00 GMT";
    if (strlen(text) != strlen(shape)) {
        return false;
    }
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == '0'   ? !g_ascii_isdigit(text[i])
            : shape[i] == 'a' ? !g_ascii_isalpha(text[i])
                              : text[i] != shape[i]) {
            return false;
        }
    }
    int month = find_name(text + 8, "JanFebMarAprMayJunJulAugSepOctNovDec", 12);
    if (find_name(text, "MonTueWedThuFriSatSun", 7) < 0 || month < 0) {
        return false;
    }
    g_autoptr(GDateTime) date =
        g_date_time_new_utc((int)digits_value(text + 12, 4), month + 1,
                            (int)digits_value(text + 5, 2), (int)digits_value(text + 17, 2),
                            (int)digits_value(text + 20, 2), (double)digits_value(text + 23, 2));
    if (!date) {
        return false;
    }
    *utc_ms = g_date_time_to_unix(date) * 1000;
    return true;
}

static void read_retry_after(struct waits *waits, const char *value, int64_t now_ms)
{
    int64_t seconds = 0;
    int64_t until_ms = 0;
    int64_t wait_ms;
    if (parse_count(value, &seconds)) {
        wait_ms = seconds * 1000;
    } else if (parse_date(value, &until_ms)) {
        wait_ms = MAX(until_ms - now_ms, 0);
    } else {
        return;
    }
    waits->retry_after_ms = MAX(waits->retry_after_ms, MIN(wait_ms, NET_WAIT_MAX_MS));
}

/* The value without the blanks around it, or false when this is another header. */
static bool value_of(const char *line, size_t length, const char *name, char value[VALUE_MAX])
{
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' ||
        g_ascii_strncasecmp(line, name, name_length) != 0) {
        return false;
    }
    const char *begin = line + name_length + 1;
    const char *end = line + length;
    while (begin < end && strchr(" \t", *begin) && *begin) {
        begin++;
    }
    while (end > begin && strchr(" \t\r\n", end[-1]) && end[-1]) {
        end--;
    }
    if (end - begin >= VALUE_MAX || memchr(begin, '\0', (size_t)(end - begin))) {
        return false;
    }
    memcpy(value, begin, (size_t)(end - begin));
    value[end - begin] = '\0';
    return true;
}

void waits_read(struct waits *waits, const char *line, size_t length, int64_t now_ms)
{
    char value[VALUE_MAX] = "";
    int64_t number = 0;
    if (value_of(line, length, "Retry-After", value)) {
        read_retry_after(waits, value, now_ms);
    } else if (value_of(line, length, "X-RateLimit-Remaining", value)) {
        if (parse_count(value, &number)) {
            waits->rate_remaining = number;
        }
    } else if (value_of(line, length, "X-RateLimit-Reset-After", value)) {
        if (parse_seconds(value, &number)) {
            waits->rate_reset_ms = number;
        }
    }
}
