/*
 * Errors: one set of codes for the whole program, one GError domain for each module.
 *
 * 1. A function that can fail returns bool (or a pointer, NULL on failure, or a descriptor, -1 on
 *    failure) and takes a `GError **error` last.
 * 2. A code says what a caller would do about the failure; callers branch on codes, never on text.
 * 3. The message says what was found, where, what was expected, and what to do. Context is added
 *    while unwinding with g_prefix_error().
 */
#ifndef PHANTOM_CI_BASE_ERROR_H
#define PHANTOM_CI_BASE_ERROR_H

#include <glib.h>
#include <stdbool.h>

enum error_code {
    ERROR_INVALID,   /* the input is malformed: nothing but a changed input helps */
    ERROR_NOT_FOUND, /* the thing named does not exist */
    ERROR_BUSY,      /* somebody else holds it now: try again later */
    ERROR_REMOTE,    /* a peer (git server, ssh, webhook) failed or refused */
    ERROR_LIMIT,     /* a named maximum was reached (size, time) */
    ERROR_DENIED,    /* permissions, owner or mode are not what safety needs */
    ERROR_NO_SPACE,  /* the disk is full or the quota used up (ENOSPC, EDQUOT, SQLITE_FULL) */
    ERROR_SYSTEM,    /* any other failed system call or library */
    ERROR_CANCELED,  /* the caller's own request ended it */
};

#define BASE_ERROR (g_quark_from_static_string("phantom-ci-base"))

/* Sets `error` from `errnum` as "FORMAT: strerror". ENOENT, ENOSPC/EDQUOT, EACCES/EPERM and
 * EWOULDBLOCK map to their codes, everything else to ERROR_SYSTEM. Always returns false. */
bool error_set_errno(GError **error, GQuark domain, int errnum, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* True when `error` is one of ours (any domain that begins with "phantom-ci-") with this code. */
bool error_has_code(const GError *error, enum error_code code);

/* The process exit codes that the manual promises. */
enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_NEGATIVE = 1, /* it worked, and the answer is no (failed job, stale, ...) */
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NOT_FOUND = 3,
    EXIT_CODE_TRY_AGAIN = 75,
    EXIT_CODE_CONFIG = 78,
};

/* The exit code that fits an error's code: INVALID -> 78, NOT_FOUND -> 3, BUSY, REMOTE, NO_SPACE
 * and LIMIT -> 75, otherwise 1. */
int error_exit_code(const GError *error);

#endif
