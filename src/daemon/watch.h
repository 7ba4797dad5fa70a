/*
 * Watches the configuration files, so that an edit is noticed without a signal and without a timer.
 * inotify(7) on Linux, on the directories that hold the files (and those that links of theirs point
 * into), since editors replace files by rename. Elsewhere watch_open() gives NULL without an error,
 * and SIGHUP reloads.
 */
#ifndef PHANTOM_CI_DAEMON_WATCH_H
#define PHANTOM_CI_DAEMON_WATCH_H

#include <glib.h>
#include <stdbool.h>

struct watch;

/* `paths`: NULL-terminated; they need not exist, their directories must. */
struct watch *watch_open(const char *const *paths, GError **error);
int watch_fd(const struct watch *watch); /* -1 for NULL */
/* Takes the pending events; true when one was about a watched file. */
bool watch_take(struct watch *watch);
void watch_close(struct watch *watch);

/* What tells these files (NULL-terminated) from what they were: compared by whoever can't wait for
 * the watch, or has none. Free with g_free(). */
char *watch_fingerprint(const char *const *paths);

#endif
