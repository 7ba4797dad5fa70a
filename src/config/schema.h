/*
 * A table of TOML keys as data: what each key is called, what it accepts and where its value goes.
 * schema_read() checks a table against it, reports everything that does not fit, and fills the
 * struct.
 */
#ifndef PHANTOM_CI_CONFIG_SCHEMA_H
#define PHANTOM_CI_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diagnostics.h"
#include "config/toml.h"

enum schema_type {
    SCHEMA_STRING,     /* char * */
    SCHEMA_INTEGER,    /* int, from minimum to maximum */
    SCHEMA_UNSIGNED,   /* unsigned, from minimum to maximum */
    SCHEMA_BOOLEAN,    /* bool */
    SCHEMA_SWITCH,     /* true or false, where absence means a third thing: an enum stored as int,
                        * 0 = absent, 1 = false, 2 = true */
    SCHEMA_DURATION,   /* int64_t milliseconds, from minimum */
    SCHEMA_SIZE,       /* int64_t bytes, from minimum; a string or an integer */
    SCHEMA_PROCESSORS, /* int, thousandths of a processor, from minimum to maximum, or 0 = no limit:
                        * a number (1.5) or a string in percent of one processor ("150%") */
    SCHEMA_CHOICE,     /* an enum stored as int; `choices` in the order of its values */
    SCHEMA_STRING_LIST, /* char **: an array of strings, or one string; "" is the empty list */
    SCHEMA_COMMA_LIST,  /* char **: an array of strings, or one string with commas */
    SCHEMA_ENVIRONMENT, /* char ** of "K=V": a table of strings, integers and booleans */
    SCHEMA_ITEM_LIST, /* char **: an array of at most `maximum` items, as `read_item` writes them */
    SCHEMA_ANY,       /* accepted as it is, not stored: read elsewhere */
};

/* A key of a feature that this version does not have is known, so that nobody believes in what is
 * not there. */
enum schema_state {
    SCHEMA_BUILT,
    SCHEMA_DEFAULT_ONLY, /* SCHEMA_STRING: refused but for the first of `choices`, which is in force
                          * anyway */
};

struct schema_key {
    const char *name;
    enum schema_type type;
    size_t offset;              /* in the struct; unused unless SCHEMA_BUILT */
    int64_t minimum, maximum;   /* maximum 0 = none, for durations and sizes */
    const char *const *choices; /* NULL-terminated */
    enum schema_state state;
    const char *zero_word;   /* durations, sizes: this word stands for 0, whatever the minimum */
    const char *empty_array; /* why an array without elements is refused; NULL = it is not */
    const char *no_string;   /* of a list: why a string alone is refused; NULL = it is not */
    /* A further check of a string or of each string of a list; false with `why` (freed by the
     * schema) set. */
    bool (*check)(const char *text, char **why);
    /* An item of a SCHEMA_ITEM_LIST as text (freed by the schema), NULL with a diagnostic. */
    char *(*read_item)(const struct toml_value *item, const char *file,
                       struct diagnostics *diagnostics);
};

/* `keys` ends with a NULL name. Keys that are absent leave their field alone, as do values that are
 * refused. */
void schema_read(const struct schema_key *keys, const struct toml_value *table, const char *file,
                 void *target, struct diagnostics *diagnostics);

/* Frees the strings and lists of a struct that schema_read() filled. */
void schema_release(const struct schema_key *keys, void *target);

/* Copies every field; `target` must hold no strings or lists yet. */
void schema_copy(const struct schema_key *keys, const void *source, void *target);

/* Whether a variable of this name can be set for a step, and whether it is one that phantom_ci sets
 * itself. */
bool schema_is_variable_name(const char *name);
bool schema_is_own_variable(const char *name);

/* A string as C sees it; false with a diagnostic when it holds a NUL. */
bool schema_check_text(const struct toml_value *value, const char *what, const char *file,
                       struct diagnostics *diagnostics);

#endif
