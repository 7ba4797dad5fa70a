#include "ssh/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "ssh/mux.h"

struct watch {
    loop_ready *ready; /* NULL: not watched */
    void *data;
    guint place; /* in loop->polled */
};

struct child {
    loop_ended *ended;
    void *data;
};

struct loop {
    GArray *polled;       /* of struct pollfd */
    GArray *watches;      /* of struct watch, by descriptor */
    GSequence *timers;    /* of struct loop_timer, the earliest first */
    GHashTable *children; /* pid -> struct child */
    int signal_fds[2];
};

/* ------------------------------------------------------------------------------------ children */

/* Of the one loop of this process; a handler has no other way to it. */
static int signal_write_fd = -1;

static void on_child_signal(int number)
{
    int saved = errno;
    ssize_t ignored = write(signal_write_fd, "", 1); /* a full pipe says it already */
    (void)ignored;
    (void)number;
    errno = saved;
}

static void reap(struct loop *loop, pid_t pid, struct child *child)
{
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) {
        return;
    }
    struct child ended = *child;
    g_hash_table_remove(loop->children, GINT_TO_POINTER(pid));
    if (ended.ended) {
        ended.ended(ended.data, status);
    }
}

/* Signals that come at once are one signal: each child is asked. */
static void reap_children(void *data, short events)
{
    struct loop *loop = data;
    char bytes[64];
    (void)events;
    while (fd_read(loop->signal_fds[0], bytes, sizeof(bytes)) > 0) {
    }
    g_autoptr(GList) pids = g_hash_table_get_keys(loop->children);
    for (GList *link = pids; link; link = link->next) {
        struct child *child = g_hash_table_lookup(loop->children, link->data);
        if (child) {
            reap(loop, GPOINTER_TO_INT(link->data), child);
        }
    }
}

void loop_child(struct loop *loop, pid_t pid, loop_ended *ended, void *data)
{
    struct child *child = g_new(struct child, 1);
    *child = (struct child){ended, data};
    g_hash_table_replace(loop->children, GINT_TO_POINTER(pid), child);
    /* It may have ended before this loop heard of it: the signal is in the pipe then. */
}

unsigned loop_children(const struct loop *loop)
{
    return g_hash_table_size(loop->children);
}

/* ---------------------------------------------------------------------------------------- life */

static bool take_signals(struct loop *loop, GError **error)
{
    struct sigaction action = {.sa_handler = on_child_signal,
                               .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    if (!fd_pipe(loop->signal_fds, error) ||
        !fd_set_nonblocking(loop->signal_fds[0], true, error) ||
        !fd_set_nonblocking(loop->signal_fds[1], true, error)) {
        return false;
    }
    signal_write_fd = loop->signal_fds[1];
    loop_watch(loop, loop->signal_fds[0], POLLIN, reap_children, loop);
    if (sigaction(SIGCHLD, &action, NULL) != 0) {
        return error_set_errno(error, SSH_ERROR, errno, "cannot hear of children");
    }
    return true;
}

struct loop *loop_new(GError **error)
{
    struct loop *loop = g_new0(struct loop, 1);
    loop->polled = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    loop->watches = g_array_new(FALSE, TRUE, sizeof(struct watch));
    loop->timers = g_sequence_new(NULL);
    loop->children = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    loop->signal_fds[0] = loop->signal_fds[1] = -1;
    if (!take_signals(loop, error)) {
        g_clear_pointer(&loop, loop_free);
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop) {
        signal(SIGCHLD, SIG_DFL);
        signal_write_fd = -1;
        fd_close(&loop->signal_fds[0]);
        fd_close(&loop->signal_fds[1]);
        g_hash_table_unref(loop->children);
        g_sequence_free(loop->timers);
        g_array_unref(loop->watches);
        g_array_unref(loop->polled);
        g_free(loop);
    }
}

/* --------------------------------------------------------------------------------- descriptors */

static struct watch *watch_of(struct loop *loop, int fd)
{
    return (guint)fd < loop->watches->len ? &g_array_index(loop->watches, struct watch, fd) : NULL;
}

static struct pollfd *polled_at(struct loop *loop, guint place)
{
    return &g_array_index(loop->polled, struct pollfd, place);
}

void loop_watch(struct loop *loop, int fd, short events, loop_ready *ready, void *data)
{
    if ((guint)fd >= loop->watches->len) {
        g_array_set_size(loop->watches, (guint)fd + 1);
    }
    struct watch *watch = watch_of(loop, fd);
    if (!watch->ready) {
        const struct pollfd entry = {.fd = fd};
        watch->place = loop->polled->len;
        g_array_append_val(loop->polled, entry);
    }
    watch->ready = ready;
    watch->data = data;
    polled_at(loop, watch->place)->events = events;
}

/* The last one takes its place. */
static void unwatch(struct loop *loop, struct watch *watch)
{
    const struct pollfd *last = polled_at(loop, loop->polled->len - 1);
    watch_of(loop, last->fd)->place = watch->place;
    g_array_remove_index_fast(loop->polled, watch->place);
    watch->ready = NULL;
}

void loop_close(struct loop *loop, int *fd)
{
    struct watch *watch = *fd >= 0 ? watch_of(loop, *fd) : NULL;
    if (watch && watch->ready) {
        unwatch(loop, watch);
    }
    fd_close(fd);
}

/* From the end to the beginning: what is called watches and unwatches, and so moves what was at the
 * end, done by now or new, to places that are still to come. */
static void call_ready(struct loop *loop)
{
    for (guint place = loop->polled->len; place-- > 0;) {
        if (place >= loop->polled->len) {
            continue;
        }
        struct pollfd *entry = polled_at(loop, place);
        short events = entry->revents;
        entry->revents = 0;
        if (events != 0) {
            const struct watch *watch = watch_of(loop, entry->fd);
            watch->ready(watch->data, events);
        }
    }
}

/* The caller's descriptors stand behind ours while poll(2) looks at both. */
static bool poll_all(struct loop *loop, struct pollfd *fds, unsigned count, int timeout_ms,
                     GError **error)
{
    guint ours = loop->polled->len;
    g_array_append_vals(loop->polled, fds, count);
    int result = poll(polled_at(loop, 0), loop->polled->len, timeout_ms);
    int saved = errno;
    for (unsigned i = 0; i < count; i++) {
        fds[i].revents = result > 0 ? polled_at(loop, ours + i)->revents : 0;
    }
    g_array_set_size(loop->polled, ours);
    if (result < 0 && saved != EINTR) {
        return error_set_errno(error, SSH_ERROR, saved, "cannot wait");
    }
    if (result > 0) {
        call_ready(loop);
    }
    return true;
}

/* -------------------------------------------------------------------------------------- timers */

static gint compare_timers(gconstpointer one, gconstpointer other, void *data)
{
    const struct loop_timer *a = one, *b = other;
    (void)data;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms)
{
    loop_timer_stop(loop, timer);
    timer->at_ms = at_ms;
    timer->place = g_sequence_insert_sorted(loop->timers, timer, compare_timers, NULL);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    if (timer->place) {
        g_sequence_remove(g_steal_pointer(&timer->place));
    }
}

static struct loop_timer *first_timer(const struct loop *loop)
{
    GSequenceIter *place = g_sequence_get_begin_iter(loop->timers);
    return g_sequence_iter_is_end(place) ? NULL : g_sequence_get(place);
}

/* Those that are due now; one that is set while they are called waits for the next turn. */
static void call_timers(struct loop *loop)
{
    int64_t now_ms = clock_monotonic_ms();
    struct loop_timer *timer;
    while ((timer = first_timer(loop)) && timer->at_ms <= now_ms) {
        loop_timer_stop(loop, timer);
        timer->due(timer->data);
    }
}

bool loop_wait(struct loop *loop, struct pollfd *fds, unsigned count, int64_t timeout_ms,
               GError **error)
{
    const struct loop_timer *first = first_timer(loop);
    if (first) {
        int64_t left_ms = clock_left_ms(first->at_ms);
        timeout_ms = MIN(left_ms, timeout_ms);
    }
    if (!poll_all(loop, fds, count, (int)MIN(timeout_ms, G_MAXINT), error)) {
        return false;
    }
    call_timers(loop);
    return true;
}
