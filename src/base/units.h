/* Durations ("90s", "1h30m", "250ms", "2d") and sizes ("64M", "2G", "512", powers of 1024). */
#ifndef PHANTOM_CI_BASE_UNITS_H
#define PHANTOM_CI_BASE_UNITS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Units: ms s m h d w, each at most once, largest first; a bare number is an error except "0".
 * ERROR_INVALID says what was found and what is accepted. */
bool units_parse_duration(const char *text, int64_t *milliseconds, GError **error);

/* Suffix K M G T (also KiB, MB, ...: all powers of 1024), none = bytes. */
bool units_parse_size(const char *text, int64_t *bytes, GError **error);

/* "1h30m", "90s" -> "1m30s", "0s"; parses back to the same value. Free with g_free(). */
char *units_format_duration(int64_t milliseconds);

/* For people: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min". Free with g_free(). */
char *units_format_elapsed(int64_t milliseconds);

/* "64.0 MiB", "512 B". Free with g_free(). */
char *units_format_size(int64_t bytes);

#endif
