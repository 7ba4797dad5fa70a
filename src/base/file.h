/*
 * Files and directories: whole-file reads with a bound, private directories, removal of trees that
 * a hostile process has filled. Atomic writes are g_file_set_contents_full().
 */
#ifndef PHANTOM_CI_BASE_FILE_H
#define PHANTOM_CI_BASE_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Reads a regular file (a symlink to one is followed; a FIFO, device or directory is ERROR_INVALID
 * and never blocks). ERROR_NOT_FOUND when absent, ERROR_LIMIT above `limit_bytes`. NUL-terminated;
 * free with g_free(). */
char *file_read(const char *path, size_t limit_bytes, size_t *length, GError **error);

/* The same for a file that decides what may run: no symlink is followed at its end, it must belong
 * to this user or root and be writable by nobody else (as sshd's StrictModes); ERROR_DENIED names
 * path, owner and mode, and how to mend it. */
char *file_read_trusted(const char *path, size_t limit_bytes, size_t *length, GError **error);

/* Writes with fsync and rename, keeping the mode of an existing file (else `mode`); a symlink at
 * `path` is resolved, so that the file it points to is replaced, not the link. */
bool file_write_atomic(const char *path, const char *bytes, size_t length, int mode,
                       GError **error);

/* Makes the directory (with parents) mode 0700 if absent. An existing one must be a real directory,
 * owned by this user and not writable by others: ERROR_DENIED names path, owner and mode. */
bool file_ensure_private_directory(const char *path, GError **error);

/* Removes directory/name with everything below it. No symlink is followed, no mount point entered
 * (it is an obstacle, and stays with what is mounted there), nothing above or beside is touched,
 * unreadable directories are made readable first, depth is no limit and no recursion is used. An
 * absent name is success. On failure as much as possible is gone and `error` names the first
 * obstacle. */
bool file_remove_tree(int directory_fd, const char *name, GError **error);

/* The same for a path; its parent directory is opened following symlinks. */
bool file_remove_tree_at_path(const char *path, GError **error);

/* The disk space that directory/name takes with everything below it: no symlink is followed, no
 * other file system entered, and what cannot be read counts for nothing. 0 when it is absent. */
int64_t file_tree_bytes(int directory_fd, const char *name);

/* The same of several trees together, in bites: for whoever must not stop for as long as it takes.
 *
 * 1. tree_size_new(); tree_size_add() for each tree.
 * 2. tree_size_walk() goes on for about that long; true once everything is counted.
 * 3. tree_size_bytes(): what was counted so far; tree_size_is_whole(): false when there were
 *    directories that could not be counted (without permission, too deep, too many). What has gone
 *    meanwhile is nothing to count. tree_size_free(). */
struct tree_size;
struct tree_size *tree_size_new(void);
void tree_size_free(struct tree_size *size);
void tree_size_add(struct tree_size *size, int directory_fd, const char *name);
bool tree_size_walk(struct tree_size *size, int64_t milliseconds);
int64_t tree_size_bytes(const struct tree_size *size);
bool tree_size_is_whole(const struct tree_size *size);

/* When the contents changed last, UTC. */
int64_t file_modified_ms(const struct stat *status);

/* Percent-encodes `name` into one safe path component: letters, digits, '.', '_', '-' stay (a
 * leading '.' does not), all other bytes become %XX, "" becomes "%"; longer than 200 bytes is cut
 * and ends in a hash of the whole. Distinct names give distinct components. Free with g_free(). */
char *file_component_from_name(const char *name);

#endif
