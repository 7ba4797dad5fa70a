/*
 * What is checked before the TOML parser sees a text, because toml++ 3.3 leaves it open:
 *
 * - it is UTF-8 without NUL;
 * - no key has so many parts (a.b.c) that the tables made of it exhaust the stack: the nesting of
 *   values is bounded (TOML_MAX_NESTED_VALUES), that of keys is not, and tables are freed by
 * recursion;
 * - the header of a table begins with a name: parse_key() takes that for granted
 * (TOML_ASSERT_ASSUME);
 * - no '}' stands where an array expects a value: parse_value() takes that for granted;
 * - characters beyond ASCII stand in strings and comments only, as TOML 1.0 has it.
 */
#ifndef PHANTOM_CI_CONFIG_TOML_SCAN_H
#define PHANTOM_CI_CONFIG_TOML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/toml.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TOML_KEY_MAX_PARTS = 16 };

/* False with `error` filled (position and message) when the text must not be parsed. */
bool toml_scan(const char *bytes, size_t length, struct toml_error *error);

#ifdef __cplusplus
}
#endif

#endif
