/*
 * Secrets: hidden in text, and wiped from memory after use.
 *
 * 1. mask_new() with the values that must not be seen.
 * 2. mask_apply() to each piece of text, before it is cut: a half of a secret is not recognised.
 * 3. mask_free().
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

/* Of all values together; what does not fit is refused. */
enum { MASK_MAX_BYTES = 1024 * 1024 };

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

/* Overwrites a string and frees it; NULL is allowed. */
void mask_wipe(char *secret);

#endif
