/*
 * TOML 1.0 documents as a plain C tree with the position of every key and value. The parser is
 * toml++ (https://marzer.github.io/tomlplusplus/), behind toml_shim.cpp, which lets no exception
 * out.
 */
#ifndef PHANTOM_CI_CONFIG_TOML_H
#define PHANTOM_CI_CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TOML_MAX_DEPTH = 64 }; /* of tables and arrays within each other */

enum toml_type {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOLEAN,
    TOML_DATE
};

struct toml_value {
    enum toml_type type;
    unsigned line, column; /* where the value begins, from 1 */
    char *key;             /* in a table; NULL in an array and for the root */
    size_t key_length;     /* keys may hold any character, also NUL as \u0000 */
    unsigned key_line, key_column;
    union {
        struct {
            struct toml_value **items; /* in the order of the document */
            size_t count;
        } children; /* TOML_TABLE, TOML_ARRAY */
        struct {
            char *bytes; /* NUL-terminated UTF-8 */
            size_t length;
        } string;
        int64_t integer;
        double real;
        bool boolean;
    } as;
};

struct toml_error {
    unsigned line, column;
    char message[512];
};

/* Parses `length` bytes (need not be NUL-terminated). NULL with `error` filled on bad input. */
struct toml_value *toml_parse(const char *bytes, size_t length, struct toml_error *error);
void toml_free(struct toml_value *root);

const struct toml_value *toml_find(const struct toml_value *table, const char *key);

/* True when both hold the same keys and values in the same order; positions do not count, of dates
 * only the type does. */
bool toml_equal(const struct toml_value *left, const struct toml_value *right);

const char *toml_type_name(enum toml_type type); /* "a string", "a table", ... */

#ifdef __cplusplus
}
#endif

#endif
