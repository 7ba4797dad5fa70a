/* Secrets in memory: overwritten when they are no longer needed, so that neither a later read out
 * of bounds nor a page that is swapped out holds them. */
#ifndef PHANTOM_CI_BASE_WIPE_H
#define PHANTOM_CI_BASE_WIPE_H

#include <glib.h>
#include <stddef.h>

/* Overwrites with zeros; no optimizer takes it for a store that nobody reads. NULL is fine when
 * length is 0. */
void wipe_bytes(void *bytes, size_t length);

/* Overwrites the `length` bytes at *text, frees with g_free() and sets *text to NULL. NULL is
 * fine. */
void wipe_free(char **text, size_t length);

/* The same for a string, whose length is that up to its NUL. */
void wipe_free_string(char **text);

/* The same for a NULL-terminated vector of strings. */
void wipe_free_strings(char ***strings);

/* Removes the first `length` bytes of `array` and overwrites what they leave behind. */
void wipe_array_front(GByteArray *array, size_t length);

/* Overwrites and frees an array; sets *array to NULL. */
void wipe_array_free(GByteArray **array);

/* Before the first secret is read: no core of this process is written, and no other process of the
 * same user reads its memory (Linux: PR_SET_DUMPABLE; it ends at exec). */
void wipe_forbid_dumps(void);

/* The same for this process and all that it starts: none of them ever writes a core. */
void wipe_forbid_cores(void);

#endif
