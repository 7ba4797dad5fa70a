#include "config/toml_scan.h"

#include <glib.h>
#include <string.h>

/* Fills `error` with the position of `at`: lines from 1, columns in characters from 1. */
static bool refuse(struct toml_error *error, const char *bytes, const char *at, const char *message)
{
    const char *line_begin = bytes;
    error->line = 1;
    for (const char *c = line_begin; c < at; c++) {
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

/* Where a scan is: what decides whether a '[' begins the header of a table and a '.' parts a key.
 */
enum { KINDS_MAX = 512 }; /* twice what the parser lets stand within each other */

struct scan {
    const char *at, *end;
    char kinds[KINDS_MAX]; /* '[' or '{' of what is open */
    char last;             /* the character before, without blanks and comments */
    unsigned parts; /* of the key that may be here; numbers hold one dot and are not in the way */
    unsigned depth; /* brackets and braces that are open */
    bool in_value;  /* behind the '=' of a line */
};

static bool begins_key(char c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '_' || c == '"' || c == '\'';
}

static void open_bracket(struct scan *scan, char c)
{
    if (scan->depth < KINDS_MAX) {
        scan->kinds[scan->depth] = c;
    }
    scan->depth++;
}

/* "[", or "[[", with a name or the closing bracket behind it; at the last bracket afterwards. */
static bool scan_header(struct scan *scan)
{
    if (scan->end - scan->at >= 2 && scan->at[1] == '[') {
        scan->at++;
        open_bracket(scan, '[');
    }
    const char *name = scan->at + 1;
    while (name < scan->end && (*name == ' ' || *name == '\t')) {
        name++;
    }
    if (name < scan->end && !begins_key(*name) && *name != ']') {
        scan->at = name;
        return false;
    }
    return true;
}

/* "[}" and "[1, }": parse_value() takes it for granted that a value begins there. */
static bool is_brace_for_value(const struct scan *scan)
{
    bool in_array =
        scan->depth > 0 && scan->depth <= KINDS_MAX && scan->kinds[scan->depth - 1] == '[';
    return *scan->at == '}' && in_array && (scan->last == '[' || scan->last == ',');
}

/* One character outside of strings and comments. */
static bool scan_character(struct scan *scan)
{
    char c = *scan->at;
    if (is_brace_for_value(scan)) {
        return false;
    }
    if (!strchr(" \t\r\n", c)) {
        scan->last = c;
    }
    if ((unsigned char)c >= 0x80) {
        return false;
    }
    if (c == '.') {
        return ++scan->parts <= TOML_KEY_MAX_PARTS;
    }
    if (strchr("=,[]{}\n", c)) {
        scan->parts = 1;
    }
    if (c == '[' || c == '{') {
        bool is_header = c == '[' && scan->depth == 0 && !scan->in_value;
        open_bracket(scan, c);
        return !is_header || scan_header(scan);
    }
    if ((c == ']' || c == '}') && scan->depth > 0) {
        scan->depth--;
    } else if (c == '=' || c == '\n') {
        scan->in_value = c == '=' || scan->depth > 0;
    }
    return true;
}

/* False at the first character that must not reach the parser. */
static bool scan_structure(struct scan *scan)
{
    while (scan->at < scan->end) {
        if (*scan->at == '#') {
            scan->at = skip_comment(scan->at, scan->end);
        } else if (*scan->at == '"' || *scan->at == '\'') {
            scan->last = *scan->at;
            scan->at = skip_string(scan->at, scan->end);
        } else if (scan_character(scan)) {
            scan->at++;
        } else {
            return false;
        }
    }
    return true;
}

static char *describe(const struct scan *scan)
{
    if (*scan->at == '}') {
        return g_strdup("a '}' where a value of the array, or its ']', is expected");
    }
    if (*scan->at == '.' && scan->parts > TOML_KEY_MAX_PARTS) {
        return g_strdup_printf("a key of more than %d parts", TOML_KEY_MAX_PARTS);
    }
    if ((unsigned char)*scan->at >= 0x80) {
        int length = (int)(g_utf8_next_char(scan->at) - scan->at);
        return g_strdup_printf("'%.*s' needs quotes around the word that it is in", length,
                               scan->at);
    }
    return g_strdup("the header of a table needs a name, as in [app] or [\"my app\"]");
}

bool toml_scan(const char *bytes, size_t length, struct toml_error *error)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *bad = NULL;
    if (length >= 3 && memcmp(bytes, byte_order_mark, 3) == 0) {
        bytes += 3;
        length -= 3;
    }
    if (!g_utf8_validate_len(bytes, length, &bad)) {
        g_autofree char *message =
            *bad ? g_strdup_printf("the byte 0x%02X is not UTF-8 text", (unsigned char)*bad)
                 : g_strdup("a NUL character does not belong in a text file");
        return refuse(error, bytes, bad, message);
    }
    struct scan scan = {.at = bytes, .end = bytes + length, .parts = 1};
    if (scan_structure(&scan)) {
        return true;
    }
    g_autofree char *message = describe(&scan);
    return refuse(error, bytes, scan.at, message);
}
