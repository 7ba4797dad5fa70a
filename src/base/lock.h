/*
 * Lock files: flock(2) on a file, so that the lock ends with its last holder, however that dies.
 * The descriptor may be handed to a child: the lock is then held until both have closed it.
 */
#ifndef PHANTOM_CI_BASE_LOCK_H
#define PHANTOM_CI_BASE_LOCK_H

#include <glib.h>
#include <stdbool.h>

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

/* Takes the lock without waiting, creating the file (0600, no symlink followed). Returns a
 * close-on-exec descriptor, or -1: ERROR_BUSY when somebody holds it. A file that was unlinked
 * between open and lock is opened anew. */
int lock_take(const char *path, enum lock_mode mode, GError **error);

/* The same, waiting at most `timeout_ms` (-1: for ever), looking every 50 ms. */
int lock_wait(const char *path, enum lock_mode mode, int timeout_ms, GError **error);

/* True when the file exists and somebody holds it exclusively. Asking takes a free lock (shared)
 * for an instant, in which lock_take() is ERROR_BUSY: whoever takes a lock that others ask about
 * uses lock_wait(). */
bool lock_is_held(const char *path);

#endif
