/*
 * The Repo.toml of the original phantom_ci (Rust, up to 0.2.3) as one of ours.
 *
 * The original took what it could make sense of and said nothing about the rest: unknown keys,
 * empty values, and headers such as [app.git], which its own `add` wrote and TOML reads as a table
 * within a table. The text is changed line by line, only where this version would refuse it, so
 * that comments, order and keys of ours stay. No I/O.
 */
#ifndef PHANTOM_CI_CONFIG_ORIGINAL_H
#define PHANTOM_CI_CONFIG_ORIGINAL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct original_entry {
    char *header;            /* what the original's file calls it */
    char *name;              /* what it is called from now on */
    char *path;              /* as written: the original's database names the repository so */
    char *target_branch;     /* one name, "" for every branch; NULL = none written, or a list */
    char *branch_exclusions; /* with commas; NULL = none */
    char *ssh_key_path;      /* NULL = none */
    unsigned line;           /* of the header, from 1 */
    bool left_out;           /* it can't be used: its lines are comments now */
    GPtrArray *notes;        /* char *: what is different from now on, one sentence each */
};

struct original {
    GPtrArray *entries; /* of struct original_entry *, in the order of the file */
    char *text;         /* a Repo.toml that config_check_text() accepts */
    bool changed;       /* it differs from what was read */
};

/* The branch that the original last ran for a repository without a target branch, or NULL. */
typedef const char *(*original_branch_of)(const char *path, void *data);

/* ERROR_INVALID for what is not TOML, even with sections of the same name told apart. */
struct original *original_convert(const char *file, const char *bytes, size_t length,
                                  original_branch_of branch_of, void *data, GError **error);
void original_free(struct original *original);

void original_note(struct original_entry *entry, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
