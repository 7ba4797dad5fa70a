/*
 * File systems that are not this machine's own: those of other machines, and of programs (FUSE).
 * They can keep whoever touches them waiting for ever, so that a process that must go on leaves
 * them to a child that it can kill; and they change without a word to this kernel's inotify(7).
 */
#ifndef PHANTOM_CI_BASE_MOUNTS_H
#define PHANTOM_CI_BASE_MOUNTS_H

#include <glib.h>
#include <stdbool.h>

/* Does an absolute path, through its symbolic links, lead over such a file system? Nothing on one
 * is touched to find out; the table of mounts is read again when it has changed. False where the
 * system does not tell. What the root directory lies on does not count: this program is there, too.
 */
bool mounts_path_is_remote(const char *path);

/* The parts of it, for tests. The mount points of such file systems in the text of a
 * proc_pid_mountinfo(5) file, as a set. */
GHashTable *mounts_parse(const char *mountinfo);
bool mounts_lead_to(GHashTable *mount_points, const char *path);

#endif
