/*
 * File descriptors: ownership by scope, complete reads and writes, bounded buffers.
 * "No descriptor" is -1, never 0. Every descriptor is close-on-exec from its creation.
 */
#ifndef PHANTOM_CI_BASE_FD_H
#define PHANTOM_CI_BASE_FD_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* `auto_fd fd = -1;` is closed at the end of its scope; take it out with g_steal_fd(&fd). */
#define auto_fd __attribute__((cleanup(fd_cleanup))) int
void fd_cleanup(int *fd);

/* Closes *fd if it is open and sets it to -1. */
void fd_close(int *fd);

/* Both ends close-on-exec. ends[0] reads, ends[1] writes; both -1 on failure. */
bool fd_pipe(int ends[2], GError **error);
/* The same; neither end blocks. */
bool fd_pipe_nonblocking(int ends[2], GError **error);

bool fd_set_nonblocking(int fd, bool nonblocking, GError **error);

/* Writes all of it, through EINTR and short writes. */
bool fd_write_all(int fd, const void *bytes, size_t length, GError **error);

/* One read through EINTR: > 0 bytes, 0 at the end, -1 with errno. */
ssize_t fd_read(int fd, void *bytes, size_t size);

/* How many bytes could be read now from a pipe or socket; 0 when that is not known. */
int fd_waiting_bytes(int fd);

/* Reads to the end into a NUL-terminated buffer (the NUL is not counted). ERROR_LIMIT when there is
 * more than `limit_bytes`. The caller frees with g_free(). NULL on failure. */
char *fd_read_to_end(int fd, size_t limit_bytes, size_t *length, GError **error);

#endif
