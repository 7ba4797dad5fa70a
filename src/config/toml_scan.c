#include "config/toml_scan.h"

#include <glib.h>
#include <string.h>

/* Fills `error` with the position of `at`: lines from 1, columns in characters from 1. */
static bool refuse(struct toml_error *error, const char *bytes, const char *at, const char *message)
{
    const char *line_begin = bytes;
    error->line = 1;
    for (const char *c = bytes; c < at; c++) {
        if (*c == '\n') {
            error->line++;
            line_begin = c + 1;
        }
    }
    error->column = (unsigned)g_utf8_strlen(line_begin, at - line_begin) + 1;
    g_strlcpy(error->message, message, sizeof(error->message));
    return false;
}

/* The end of a string that begins at `at` with a quote (TOML 1.0, "String"); broken ones end with
 * their line. */
static const char *skip_string(const char *at, const char *end)
{
    char quote = *at;
    bool is_long = end - at >= 3 && at[1] == quote && at[2] == quote;
    at += is_long ? 3 : 1;
    while (at < end) {
        if (*at == '\\' && quote == '"') {
            at += end - at >= 2 ? 2 : 1;
        } else if (is_long && end - at >= 3 && at[0] == quote && at[1] == quote && at[2] == quote) {
            at += 3;
            /* Up to two quotes may stand directly before the closing three. */
            for (int i = 0; i < 2 && at < end && *at == quote; i++) {
                at++;
            }
            return at;
        } else if (!is_long && (*at == quote || *at == '\n')) {
            return at + 1;
        } else {
            at++;
        }
    }
    return end;
}

static const char *skip_comment(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline : end;
}

/* The dot that makes a key too long, or NULL. Numbers hold one dot and are not in the way. */
static const char *find_long_key(const char *bytes, const char *end)
{
    unsigned parts = 1;
    const char *at = bytes;
    while (at < end) {
        if (*at == '#') {
            at = skip_comment(at, end);
        } else if (*at == '"' || *at == '\'') {
            at = skip_string(at, end);
        } else {
            if (*at == '.' && ++parts > TOML_KEY_MAX_PARTS) {
                return at;
            }
            if (strchr("=,[]{}\n", *at)) {
                parts = 1;
            }
            at++;
        }
    }
    return NULL;
}

bool toml_scan(const char *bytes, size_t length, struct toml_error *error)
{
    const char *bad = NULL;
    if (!g_utf8_validate_len(bytes, length, &bad)) {
        g_autofree char *message =
            *bad ? g_strdup_printf("the byte 0x%02X is not UTF-8 text", (unsigned char)*bad)
                 : g_strdup("a NUL character does not belong in a text file");
        return refuse(error, bytes, bad, message);
    }
    bad = find_long_key(bytes, bytes + length);
    if (bad) {
        g_autofree char *message =
            g_strdup_printf("a key of more than %d parts", TOML_KEY_MAX_PARTS);
        return refuse(error, bytes, bad, message);
    }
    return true;
}
