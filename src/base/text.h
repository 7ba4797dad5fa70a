/* Foreign text: made safe for a terminal or a log line, compared, matched. No I/O. */
#ifndef PHANTOM_CI_BASE_TEXT_H
#define PHANTOM_CI_BASE_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum text_escape {
    TEXT_ONE_LINE,    /* newline and tab are escaped too */
    TEXT_KEEP_LAYOUT, /* newline and tab stay */
};

/* Appends `bytes` to `out` with every control character (C0, DEL, C1 in UTF-8, bidi overrides
 * U+202A-E and U+2066-9, line separators U+2028/9) and every byte that is not valid UTF-8 shown as
 * \xNN or \u{NNNN}. A backslash stays as it is. */
void text_append_escaped(GString *out, const char *bytes, size_t length, enum text_escape how);

/* The same into a new string (TEXT_ONE_LINE); NULL gives "". Free with g_free(). */
char *text_escape(const char *text);

/* The candidate nearest to `word` (edit distance at most 2 and less than half of its length), or
 * NULL. `candidates` is NULL-terminated; the answer points into it. */
const char *text_nearest(const char *word, const char *const *candidates);

/* fnmatch(3) without flags, so `*` also matches `/`, as `git branch --list` does. */
bool text_glob_match(const char *pattern, const char *name);
bool text_is_glob(const char *text);

/* For hash tables whose keys others choose, in the place of g_str_hash(): keyed with a random
 * number of this process (SipHash-1-3), so that nobody can choose keys that all fall on one value
 * and make each of a hundred thousand look-ups walk past all the others. */
guint text_hash(gconstpointer text);

/* argv as a person would type it, quoted where needed: g_shell_parse_argv() makes it argv again.
 * Free with g_free(). */
char *text_join_words(char *const *argv);

/* True for 40 or 64 lower-case hex digits. */
bool text_is_object_id(const char *text);

/* First 10 digits of an object id in a static ring of buffers; "-" for NULL or "". For messages
 * only. */
const char *text_short_id(const char *object_id);

#endif
