/*
 * Secrets: hidden in text, and wiped from memory after use.
 *
 * 1. mask_new() with the values that must not be seen.
 * 2. mask_apply() to each piece of text, before it is cut: a half of a secret is not recognised.
 *    Or, for text that comes piece by piece: mask_stream_new(), mask_stream_write() for each piece,
 *    mask_stream_end() at its end, mask_stream_free().
 * 3. mask_free().
 *
 * What is hidden are the very bytes of the values: their encoded forms are values of their own
 * (base/mask_forms.h).
 *
 * A mask is a help against accidents, not a boundary: a program that wants to tell a secret can
 * write it backwards.
 */
#ifndef PHANTOM_CI_BASE_MASK_H
#define PHANTOM_CI_BASE_MASK_H

#include <glib.h>
#include <stddef.h>

/* Shorter values stand everywhere ("1", "true"): hiding them destroys the text and tells what they
 * are. */
enum { MASK_MIN_BYTES = 6 };

/* Of all values together, beginnings that they share counted once; what does not fit is refused. In
 * memory each byte takes 24. */
enum { MASK_MAX_BYTES = 2 * 1024 * 1024 };

struct mask;

/* Takes copies. `values` is NULL-terminated; "" is no value. *refused (may be NULL) is the number
 * of values that are not hidden, being too short or too many: the caller warns. Never NULL. */
struct mask *mask_new(const char *const *values, unsigned *refused);
void mask_free(struct mask *mask);

/* The text with every byte that belongs to an occurrence of a value taken out, and "***" in its
 * place; occurrences that overlap share one "***", so that of two values neither leaves a rest. The
 * time is proportional to `length`, however many values there are. NUL-terminated; *masked_length
 * may be NULL. Free with g_free(). */
char *mask_apply(const struct mask *mask, const char *text, size_t length, size_t *masked_length);

struct mask_stream;

/* `mask` must stay until the stream is freed. */
struct mask_stream *mask_stream_new(const struct mask *mask);
void mask_stream_free(struct mask_stream *stream);

/* Appends to `out` what is known of the text now. Held back is only what may be the beginning of a
 * value, less than the longest value, and for as long as it may be: a secret that comes in two
 * pieces with an hour between them is hidden like any other. All that `out` gets in the end is what
 * mask_apply() makes of the whole, however it was cut. */
void mask_stream_write(struct mask_stream *stream, const char *bytes, size_t length, GString *out);

/* The text is over: appends what was held back. The stream is as new. */
void mask_stream_end(struct mask_stream *stream, GString *out);

/* Overwrites a string and frees it; NULL is allowed. */
void mask_wipe(char *secret);

#endif
