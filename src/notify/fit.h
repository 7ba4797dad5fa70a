/*
 * Text into limited room. Receivers count characters as JavaScript and Java do, in UTF-16 code
 * units (an emoji is two), and after escaping; so does everything here. Texts are valid UTF-8, cuts
 * lie on the borders of characters and keep a combining mark at its letter. No I/O.
 */
#ifndef PHANTOM_CI_NOTIFY_FIT_H
#define PHANTOM_CI_NOTIFY_FIT_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* Appends what stands for the character in the receiver's markup ("…" stays itself in any); NULL =
 * the character itself. */
typedef void (*fit_escape)(GString *out, gunichar character);

/* In UTF-16 code units. */
size_t fit_units(const char *text, size_t length);

/* As much of the text as fits into `units` when it is escaped later; when it is cut, its end is "…"
 * (nothing when there is no room even for that). Free with g_free(). */
char *fit_cut(const char *text, size_t units, fit_escape escape);

/* Appends the same, escaped. */
void fit_append(GString *out, const char *text, size_t units, fit_escape escape);

/* Appends the end of the text that fits into `units`, escaped. When the front is cut, or `before`
 * is not 0, a first line says how much is missing: "[... 1234 bytes before]"; the cut is made at
 * the end of a line, if that costs less than half of the bytes. Nothing at all when `units` is too
 * small for that line and something after it. */
void fit_append_tail(GString *out, const char *text, int64_t before, size_t units,
                     fit_escape escape);

/* before + more, where neither a negative nor an immense `before` does harm. */
int64_t fit_bytes_before(int64_t before, size_t more);

/* The first byte of the last characters of at most `limit_bytes` bytes; at the beginning of a line
 * if that costs less than half. */
const char *fit_tail_bytes(const char *text, size_t length, size_t limit_bytes);

#endif
