/*
 * A policy as the ordered list of what is done: printed by `phantom_ci sandbox NAME --explain`, and
 * carried out by bubblewrap (sandbox/bubblewrap.h) and phantom_ci-sandbox. Files are asked for
 * their kind only; nothing is changed.
 *
 * Mounts are ordered so that a directory comes before what lies in it: a writable home, then the
 * hidden ~/.ssh in it, then the hidden cache of phantom_ci, then this one workspace of it,
 * writable.
 */
#ifndef PHANTOM_CI_SANDBOX_PLAN_H
#define PHANTOM_CI_SANDBOX_PLAN_H

#include <glib.h>
#include <stdbool.h>

#include "sandbox/policy.h"

enum sandbox_op_kind {
    SANDBOX_OP_NAMESPACE,      /* text: user, pid, ipc, uts */
    SANDBOX_OP_CAPABILITIES,   /* all are dropped */
    SANDBOX_OP_READ,           /* path: as on the host, read-only */
    SANDBOX_OP_WRITE,          /* path: as on the host, writable; text: another place that is shown
                                  there, or NULL */
    SANDBOX_OP_LINK,           /* path: a symbolic link to text */
    SANDBOX_OP_FILE,           /* path: a read-only file with the contents text */
    SANDBOX_OP_EMPTY,          /* path: an empty directory; read-only once all is mounted */
    SANDBOX_OP_HIDE_DIRECTORY, /* path: the same in place of what the host has */
    SANDBOX_OP_HIDE_FILE,      /* path: a file that can't be opened in its place */
    SANDBOX_OP_DEVICES,        /* path: a new /dev with null, zero, full, random, tty and ptys */
    SANDBOX_OP_PROCESSES,      /* path: a new /proc, of the processes inside */
    SANDBOX_OP_FILTER,         /* text: the system calls refused (sandbox/syscalls.h) */
    SANDBOX_OP_LANDLOCK,       /* the kernel is told once more what may be written */
    SANDBOX_OP_NO_NETWORK,     /* not even a loopback to the host */
    SANDBOX_OP_ENVIRONMENT,    /* text: "NAME=value", or "NAME" when it is taken out */
};

struct sandbox_op {
    enum sandbox_op_kind kind;
    char *path;      /* or NULL */
    char *text;      /* or NULL */
    const char *why; /* in words, for people */
};

/* Of struct sandbox_op *, owned; empty for SANDBOX_OFF. */
GPtrArray *sandbox_plan_new(const struct sandbox_policy *policy);

/* "mount   /home/me/.ssh   hidden    keys and tokens": one line an operation, newline at the end of
 * each. */
char *sandbox_plan_describe(const GPtrArray *plan);

/* One operation's kind in a word, for the JSON form: "read", "hide-directory", ... */
const char *sandbox_op_name(enum sandbox_op_kind kind);

/* The paths that may be written, of the operations of a plan; NULL-terminated, not owned but for
 * the vector (g_free). */
const char **sandbox_plan_writable(const GPtrArray *plan);

#endif
