/*
 * What this machine lets an unprivileged program isolate with. Asking changes nothing; what has to
 * be tried is tried in a child, with a time limit.
 */
#ifndef PHANTOM_CI_SANDBOX_ABILITIES_H
#define PHANTOM_CI_SANDBOX_ABILITIES_H

#include <glib.h>
#include <stdbool.h>

/* Whether a new user namespace can be made: 0, or the errno that forbids it (ETIMEDOUT: no answer
 * in time, ENOSYS: not on this system). */
int abilities_try_user_namespace(int timeout_ms);

/* The path of bubblewrap, bwrap(1), or NULL. Free with g_free(). */
char *abilities_find_bubblewrap(void);

/* Whether bubblewrap at this path can mount a new /proc; where parts of the present one are covered
 * (in containers, and in units with ProtectKernelTunables) the kernel refuses that alone. */
bool abilities_can_mount_proc(const char *bubblewrap);

/* The Landlock ABI, 1 and up; 0 when the kernel has none or it is switched off. */
int abilities_landlock_abi(void);

/* Whether system call filters are compiled in. */
bool abilities_has_seccomp(void);

#endif
