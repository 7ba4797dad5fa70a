/*
 * Descriptors that are waited for: the sockets of libcurl, many and changing, by epoll(7) where the
 * kernel has it and by poll(2) elsewhere; and beside them a few of the caller's, by poll(2).
 */
#ifndef PHANTOM_CI_NET_SOCKETS_H
#define PHANTOM_CI_NET_SOCKETS_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>

enum { SOCKETS_FDS_MAX = 4 };

struct sockets;

/* Something happened to `fd`: POLLIN, POLLOUT, POLLERR, POLLHUP. It may watch and close others. */
typedef void sockets_ready(int fd, short events, void *data);

struct sockets *sockets_new(void);
void sockets_free(struct sockets *sockets);

/* `events`: POLLIN, POLLOUT or both; 0 = no longer, to be said before it is closed. */
void sockets_watch(struct sockets *sockets, int fd, short events);

/* Waits at most timeout_ms for any of them, sets the revents of `fds` and calls `ready` for each
 * socket. */
bool sockets_wait(struct sockets *sockets, struct pollfd *fds, unsigned count, int timeout_ms,
                  sockets_ready *ready, void *data, GError **error);

#endif
