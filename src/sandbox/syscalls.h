/*
 * The system calls that a sandboxed step is refused, as a seccomp filter in the form that
 * bubblewrap loads (struct sock_filter, seccomp(2)). Everything else is allowed: what a step does
 * is not known beforehand. Refused calls fail with EPERM, and clone3(2) with ENOSYS, so that libc
 * takes clone(2), whose flags can be looked into.
 */
#ifndef PHANTOM_CI_SANDBOX_SYSCALLS_H
#define PHANTOM_CI_SANDBOX_SYSCALLS_H

#include <glib.h>
#include <stdbool.h>

enum syscalls_filter {
    /* What no build or deployment does: loading kernel code, bpf, perf, userfaultfd, keyrings, file
     * handles, swap, reboot, and putting input into terminals. */
    SYSCALLS_BASIC,
    /* That, and mounts, new namespaces, tracing, other processes' memory, io_uring. */
    SYSCALLS_STRICT,
};

/* A descriptor to read the filter from, at its beginning; -1 with `error`. All of one kind share
 * one position: the one before must have been read by then. */
int syscalls_filter_open(enum syscalls_filter filter, GError **error);

#endif
