/*
 * Notices at once when refs of repositories on this machine change: inotify(7) on Linux (one
 * instance for all repositories), kqueue(2) on macOS and BSD; elsewhere refwatch_new() gives NULL
 * without an error and the poll interval alone counts. What it says is "look now", never what
 * changed: a missed or surplus event does no harm but time.
 *
 * 1. refwatch_new(). 2. refwatch_add() for each repository. 3. poll(2) on refwatch_fd(), then
 * refwatch_take(), which calls back once for each repository that had events. 4. refwatch_free().
 */
#ifndef PHANTOM_CI_POLL_REFWATCH_H
#define PHANTOM_CI_POLL_REFWATCH_H

#include <glib.h>
#include <stdbool.h>

struct refwatch;

struct refwatch *refwatch_new(GError **error);
void refwatch_free(struct refwatch *watch);

/* Watches refs/heads (and, when `tags`, refs/tags) with all directories below, packed-refs and HEAD
 * in `git_directory`. `owner` names it. Adding one again renews it. False when it can't be watched
 * wholly (ERROR_LIMIT: the kernel's limit of watches): the caller keeps polling it. After true the
 * caller looks once more, for what changed before the watch stood. */
bool refwatch_add(struct refwatch *watch, void *owner, const char *git_directory, bool tags,
                  GError **error);
void refwatch_remove(struct refwatch *watch, void *owner);

int refwatch_fd(const struct refwatch *watch); /* -1 for NULL */

/* `changed` may call refwatch_add() and refwatch_remove(). `lost`: the watch of this repository is
 * gone (its directory was moved or removed) or events were dropped: poll it, and add it again. */
void refwatch_take(struct refwatch *watch, void (*changed)(void *owner, bool lost, void *data),
                   void *data);

#endif
