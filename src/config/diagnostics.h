/*
 * What is wrong with a configuration file: file:line:column, what was found, what was expected.
 * All errors of all files are collected in one pass; at most DIAGNOSTICS_MAX are kept.
 */
#ifndef PHANTOM_CI_CONFIG_DIAGNOSTICS_H
#define PHANTOM_CI_CONFIG_DIAGNOSTICS_H

#include <glib.h>
#include <stdbool.h>

enum { DIAGNOSTICS_MAX = 100 };

struct diagnostic {
    char *file;
    unsigned line;   /* from 1; 0 = the file as a whole */
    unsigned column; /* from 1, in characters as TOML counts them; 0 = none */
    char *message;
};

struct diagnostics {
    GPtrArray *items; /* of struct diagnostic * */
    unsigned dropped; /* beyond DIAGNOSTICS_MAX */
};

struct diagnostics *diagnostics_new(void);
void diagnostics_free(struct diagnostics *diagnostics);

void diagnostics_add(struct diagnostics *diagnostics, const char *file, unsigned line,
                     unsigned column, const char *format, ...) G_GNUC_PRINTF(5, 6);
bool diagnostics_any(const struct diagnostics *diagnostics);

/* "Repo.toml:3:1: unknown key ..." each with a newline, sorted by file, line, column; foreign text
 * escaped. Free with g_free(). */
char *diagnostics_format(const struct diagnostics *diagnostics);

#endif
