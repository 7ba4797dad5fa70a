#include "git/repoconfig.h"

#include <string.h>

#include "base/error.h"
#include "git/url.h"

enum { SHA1_DIGITS = 40, SHA256_DIGITS = 64, NEWEST_FORMAT = 1 };

struct cursor {
    const char *at, *end;
    unsigned line;
};

enum { END = -1 };

/* The next character, as git reads them: CR LF is one newline. */
static int next(struct cursor *cursor)
{
    if (cursor->at == cursor->end) {
        return END;
    }
    if (cursor->at[0] == '\r' && cursor->end - cursor->at > 1 && cursor->at[1] == '\n') {
        cursor->at++;
    }
    unsigned char c = (unsigned char)*cursor->at++;
    cursor->line += c == '\n';
    return c;
}

static bool is_line_end(int c)
{
    return c == '\n' || c == END;
}

/* To git no other character is a blank. */
static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_key_character(int c)
{
    return c != END && (g_ascii_isalnum((char)c) || c == '-');
}

/* The rest of [section "subsection"] behind the first blank. Only whether there is one counts here
 * and its name, which is case-sensitive, is kept for nothing but telling apart. */
static bool parse_subsection(struct cursor *cursor, GString *key)
{
    int c = next(cursor);
    while (is_space(c) && c != '\n') {
        c = next(cursor);
    }
    if (c != '"') {
        return false;
    }
    g_string_append_c(key, '.');
    for (c = next(cursor); c != '"'; c = next(cursor)) {
        if (c == '\\') {
            c = next(cursor);
        }
        if (is_line_end(c)) {
            return false;
        }
        g_string_append_c(key, (char)c);
    }
    return next(cursor) == ']';
}

/* Behind '[': leaves "section." or "section.subsection." in `key`. */
static bool parse_section(struct cursor *cursor, GString *key)
{
    g_string_truncate(key, 0);
    int c = next(cursor);
    for (; is_key_character(c) || c == '.'; c = next(cursor)) {
        g_string_append_c(key, g_ascii_tolower((char)c));
    }
    bool good =
        key->len > 0 && (c == ']' || (is_space(c) && c != '\n' && parse_subsection(cursor, key)));
    g_string_append_c(key, '.');
    return good;
}

/* A backslash in a value; false for one that git does not know. */
static bool parse_escape(struct cursor *cursor, GString *value)
{
    int c = next(cursor);
    switch (c) {
    case '\n':
    case END:
        return true;
    case 't':
        g_string_append_c(value, '\t');
        return true;
    case 'b':
        g_string_append_c(value, '\b');
        return true;
    case 'n':
        g_string_append_c(value, '\n');
        return true;
    case '\\':
    case '"':
        g_string_append_c(value, (char)c);
        return true;
    default:
        return false;
    }
}

/* Behind '=', to the end of the line and of those that continue it. */
static bool parse_value(struct cursor *cursor, GString *value)
{
    bool quoted = false, comment = false;
    size_t solid = 0; /* up to here no blank is one that is cut off at the end */
    for (int c = next(cursor); !is_line_end(c); c = next(cursor)) {
        if (comment || (is_space(c) && !quoted && value->len == 0)) {
            continue;
        }
        if (!quoted && (c == ';' || c == '#')) {
            comment = true;
        } else if (c == '\\') {
            if (!parse_escape(cursor, value)) {
                return false;
            }
            solid = value->len;
        } else if (c == '"') {
            quoted = !quoted;
            solid = value->len;
        } else {
            g_string_append_c(value, is_space(c) && !quoted ? ' ' : (char)c);
            solid = is_space(c) && !quoted ? solid : value->len;
        }
    }
    g_string_truncate(value, solid);
    return !quoted;
}

static void take_extension(struct repoconfig *config, const char *name, const char *value)
{
    static const char *const harmless[] = {"noop",
                                           "noop-v1",
                                           "partialclone",
                                           "preciousobjects",
                                           "compatobjectformat",
                                           "relativeworktrees",
                                           NULL};
    if (strcmp(name, "worktreeconfig") == 0) {
        config->worktree_config = true;
    } else if (strcmp(name, "objectformat") == 0 && strcmp(value, "sha1") == 0) {
        config->id_length = SHA1_DIGITS;
    } else if (strcmp(name, "objectformat") == 0 && strcmp(value, "sha256") == 0) {
        config->id_length = SHA256_DIGITS;
    } else if (strcmp(name, "refstorage") == 0 && strcmp(value, "files") == 0) {
        config->is_reftable = false;
    } else if (strcmp(name, "refstorage") == 0 && strcmp(value, "reftable") == 0) {
        config->is_reftable = true;
    } else if (!g_strv_contains(harmless, name)) {
        config->unknown_format = true;
    }
}

/* `key` in full, its section and name in lower case; `value` "" for a key alone. */
static void take_key(struct repoconfig *config, const char *key, const char *value)
{
    static const char extensions[] = "extensions.";
    if (strcmp(key, "core.repositoryformatversion") == 0) {
        bool is_known = strcmp(value, "0") == 0 || strcmp(value, "1") == 0;
        config->format_version = is_known ? (unsigned)(value[0] - '0') : NEWEST_FORMAT + 1;
    } else if (g_str_has_prefix(key, extensions)) {
        take_extension(config, key + strlen(extensions), value);
    } else if (strcmp(key, "transfer.hiderefs") == 0 || strcmp(key, "uploadpack.hiderefs") == 0) {
        config->hides_refs = true;
    } else if (strcmp(key, "include.path") == 0 ||
               (g_str_has_prefix(key, "includeif.") && g_str_has_suffix(key, ".path"))) {
        config->has_includes = true;
    }
}

/* A key whose first letter is `c`, behind its section in `key`. */
static bool parse_key(struct cursor *cursor, int c, GString *key, GString *value)
{
    for (; is_key_character(c); c = next(cursor)) {
        g_string_append_c(key, g_ascii_tolower((char)c));
    }
    while (c == ' ' || c == '\t') {
        c = next(cursor);
    }
    g_string_truncate(value, 0);
    return is_line_end(c) || (c == '=' && parse_value(cursor, value));
}

static bool parse(struct repoconfig *config, struct cursor *cursor)
{
    g_autoptr(GString) key = g_string_new(NULL);
    g_autoptr(GString) value = g_string_new(NULL);
    size_t section_length = 0;
    bool comment = false;
    for (int c = next(cursor); c != END; c = next(cursor)) {
        comment = c == '\n' ? false : comment || c == '#' || c == ';';
        if (comment || is_space(c)) {
            continue;
        }
        if (c == '[') {
            if (!parse_section(cursor, key)) {
                return false;
            }
            section_length = key->len;
            continue;
        }
        g_string_truncate(key, section_length);
        if (!g_ascii_isalpha((char)c) || !parse_key(cursor, c, key, value)) {
            return false;
        }
        take_key(config, key->str, value->str);
    }
    return true;
}

void repoconfig_init(struct repoconfig *config)
{
    *config = (struct repoconfig){.id_length = SHA1_DIGITS};
}

bool repoconfig_parse(struct repoconfig *config, const char *text, size_t length, GError **error)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct cursor cursor = {.at = text, .end = text + length, .line = 1};
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        cursor.at += 3;
    }
    if (memchr(text, '\0', length) || !parse(config, &cursor)) {
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "line %u is not configuration of git",
                    cursor.line);
        return false;
    }
    /* Git refuses what came with version 1 in a repository that says 0. */
    bool needs_version_1 = config->is_reftable || config->id_length != SHA1_DIGITS;
    if (config->format_version > NEWEST_FORMAT ||
        (config->format_version == 0 && needs_version_1)) {
        config->unknown_format = true;
    }
    return true;
}
