/*
 * Descriptors that are waited for: the sockets of libcurl, many and changing, and beside them a few
 * of the caller's. By epoll(7) where the kernel has it, and by poll(2) elsewhere; which one it is
 * shows when the program runs, so that both are always built and tested.
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

/* `events`: POLLIN, POLLOUT or both; 0 = no longer, to be said before it is closed. Of a descriptor
 * between sockets_opened() and sockets_closed() the kernel is not told of that 0 before something
 * happens to it: mostly it is watched again before. */
void sockets_watch(struct sockets *sockets, int fd, short events);
void sockets_opened(struct sockets *sockets, int fd); /* it is new */
void sockets_closed(struct sockets *sockets, int fd); /* to be said before close(2) */

/* Waits at most timeout_ms for any of them, sets the revents of `fds` as poll(2) would, and calls
 * `ready` for each socket. A descriptor of the caller's that is closed must not have been in `fds`
 * the last time. */
bool sockets_wait(struct sockets *sockets, struct pollfd *fds, unsigned count, int timeout_ms,
                  sockets_ready *ready, void *data, GError **error);

#endif
