/*
 * What a single thread waits for: descriptors, times, and the ends of children. By poll(2):
 * descriptors come and go with each look, and there are few at a time, so that telling epoll(7) of
 * each would cost more than it saves.
 *
 * 1. loop_new(): takes SIGCHLD for itself; one in a process. 2. loop_watch(), loop_timer_set(),
 * loop_child(); each call back may do the same and undo it. 3. loop_wait() again and again.
 * 4. loop_free(); children that are left are nobody's.
 */
#ifndef PHANTOM_CI_SSH_LOOP_H
#define PHANTOM_CI_SSH_LOOP_H

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

struct loop *loop_new(GError **error);
void loop_free(struct loop *loop);

/* `events`: POLLIN, POLLOUT or both; 0 = its end alone (POLLHUP, POLLERR). Again for the same
 * descriptor: instead of what was. */
typedef void loop_ready(void *data, short events);
void loop_watch(struct loop *loop, int fd, short events, loop_ready *ready, void *data);

/* Closes a descriptor, watched or not, and sets it to -1. */
void loop_close(struct loop *loop, int *fd);

/* Zeroed at first, but for `due` and `data`. */
struct loop_timer {
    void (*due)(void *data);
    void *data;
    int64_t at_ms;
    GSequenceIter *place; /* NULL: not set */
};

/* On the monotonic clock (base/clock.h). A timer that is set is set anew. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Reaps a child when it ends. `ended` may be NULL; loop_child() again changes it. */
typedef void loop_ended(void *data, int wait_status);
void loop_child(struct loop *loop, pid_t child, loop_ended *ended, void *data);
unsigned loop_children(const struct loop *loop);

/* Waits at most timeout_ms (not negative) for anything, and calls back. The revents of `fds` are
 * set as poll(2) would. */
bool loop_wait(struct loop *loop, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error);

#endif
