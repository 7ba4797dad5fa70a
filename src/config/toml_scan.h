/*
 * What is checked before the TOML parser sees a text: that it is UTF-8 without NUL, and that no key
 * has so many parts (a.b.c) that the tables made of it exhaust the stack. toml++ 3.3 bounds the
 * nesting of values (TOML_MAX_NESTED_VALUES) but not of dotted keys and headers, and frees nested
 * tables by recursion.
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
