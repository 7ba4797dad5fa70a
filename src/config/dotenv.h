/*
 * `.env` files: KEY=VALUE lines, read as the dotenv programs do. A secret may stand in any place of
 * one, so no message quotes what it found, and values are wiped when they are freed.
 *
 *   KEY=value            blanks around "=" and at the end of the line do not count; a "#" after a
 *                        blank begins a comment. Quotes and backslashes inside are plain text.
 *   export KEY=value     the same
 *   KEY='value'          as it stands, also over several lines
 *   KEY="value"          also over several lines; \n \r \t \\ \" \$ are read, any other backslash
 *                        stays
 *   KEY=                 ""
 *   # comment            and empty lines
 *
 * A key is letters, digits, "_", "." and "-", not beginning with a digit, "." or "-". Nothing is
 * expanded: "$" is a dollar sign, whether escaped or not. Lines end with LF or CRLF (inside quotes,
 * too); a byte order mark at the beginning is skipped.
 */
#ifndef PHANTOM_CI_CONFIG_DOTENV_H
#define PHANTOM_CI_CONFIG_DOTENV_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/diagnostics.h"

enum { DOTENV_MAX_BYTES = 64 * 1024 };

struct dotenv_entry {
    char *key;
    char *value; /* never NULL */
    unsigned line;
    unsigned key_column, value_column; /* from 1, in characters */
};

/* Bytes to a GPtrArray of struct dotenv_entry *, in the order of the file (a key may stand there
 * twice); `file` is the name for messages. NULL when anything is wrong; every error is in
 * `diagnostics`. g_ptr_array_unref() wipes and frees. */
GPtrArray *dotenv_parse(const char *bytes, size_t length, const char *file,
                        struct diagnostics *diagnostics);

enum dotenv_access {
    /* Nobody but the owner may read or write it. */
    DOTENV_PRIVATE,
    /* A file below $CREDENTIALS_DIRECTORY: systemd lets the user of the service read it through an
     * ACL, whose mask is what stat(2) shows as the mode of the group (systemd.exec(5)). */
    DOTENV_CREDENTIAL,
};

/* Reads and parses a file. Refused, with the mend in words: what is no regular file, is larger than
 * DOTENV_MAX_BYTES, belongs to another user than this one and root, or may be read or written by
 * others. A symlink is followed: these checks are made on the file that was opened, and who can
 * change the link can as well change the directory it lies in. *absent (may be NULL) is set, and
 * NULL returned without a diagnostic, when there is nothing at `path`. */
GPtrArray *dotenv_load(const char *path, enum dotenv_access access, bool *absent,
                       struct diagnostics *diagnostics);

#endif
