/* Landlock (Linux 5.13, landlock(7)): which files a process may read, and nothing else. */
#ifndef PHANTOM_CI_SANDBOX_LANDLOCK_H
#define PHANTOM_CI_SANDBOX_LANDLOCK_H

#include <glib.h>
#include <stdbool.h>

/* Lets this process read below `readable_paths` (NULL-terminated lists, both of them; what does not
 * exist is left out), and takes every other right over files that the kernel's Landlock knows; from
 * version 4 on no TCP port may be bound, from version 6 on no abstract socket and no signal goes
 * outside. Needs no_new_privs. *version is 0, and nothing is done, when the kernel has no Landlock
 * or it is switched off. */
bool landlock_read_only(const char *const *system_paths, const char *const *readable_paths,
                        int *version, GError **error);

#endif
