/*
 * Notices at once when refs of repositories on this machine change: inotify(7) on Linux (one
 * instance for all repositories), kqueue(2) on macOS and BSD; elsewhere refwatch_new() gives NULL
 * without an error and the poll interval alone counts. What it says is "look now", never what
 * changed: a missed or surplus event does no harm but time.
 *
 * 1. refwatch_new(). 2. refwatch_add() for each repository. 3. poll(2) on refwatch_fd(), then
 * refwatch_take(), which calls back once for each repository that had events. 4. refwatch_free().
 *
 * A push makes a lock file and renames it: with inotify that is one call. kqueue does not tell
 * names: there a lock file, or a new index beside it, is reason enough. Missed are: files that are
 * written in place in the git directory itself, a directory above it that is moved, and what other
 * machines do on a network file system, which refwatch_add() refuses for that.
 */
#ifndef PHANTOM_CI_POLL_REFWATCH_H
#define PHANTOM_CI_POLL_REFWATCH_H

#include <glib.h>
#include <stdbool.h>

enum { REFWATCH_MAX_DIRECTORIES = 5000 }; /* of one repository */

struct refwatch;

/* ERROR_LIMIT: the kernel's limit of instances is reached. */
struct refwatch *refwatch_new(GError **error);
void refwatch_free(struct refwatch *watch);

/* Watches refs/heads (and, when `tags`, refs/tags) with all directories below, or reftable/, and
 * packed-refs and config in `git_directory`, the common directory of worktrees
 * (local_refs_directory()). `owner` names it; several may watch the same. Adding one again renews
 * it. False when it can't be watched wholly, and then nothing of it is: ERROR_LIMIT for the
 * kernel's limit of watches and for REFWATCH_MAX_DIRECTORIES, ERROR_REMOTE for a file system that
 * does not tell, ERROR_INVALID for links among the refs: the caller keeps polling it. After true
 * the caller looks once more, for what changed before the watch stood. */
bool refwatch_add(struct refwatch *watch, void *owner, const char *git_directory, bool tags,
                  GError **error);
/* Nothing happens for an owner that watches nothing. */
void refwatch_remove(struct refwatch *watch, void *owner);

int refwatch_fd(const struct refwatch *watch); /* -1 for NULL */

/* `changed` may call refwatch_add() and refwatch_remove(). `lost`: the watch of this repository is
 * gone (its directory was moved or removed, a new one in it can't be watched) or events were
 * dropped: poll it, and add it again. */
void refwatch_take(struct refwatch *watch, void (*changed)(void *owner, bool lost, void *data),
                   void *data);

#endif
