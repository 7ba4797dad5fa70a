#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/text.h"
#include "git/pktline.h"
#include "ssh/mux.h"
#include "ssh/talk_internal.h"

enum {
    READ_BYTES = 64 * 1024,
    SHORT_REFS = 16, /* and what else begins with their names */
};

/* -------------------------------------------------------------------------------- what is said */

static void write_in(void *data, short events)
{
    struct talk *talk = data;
    (void)events;
    ssize_t written = write(talk->in_fd, talk->unsent->data, talk->unsent->len);
    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        loop_close(talk->loop, &talk->in_fd); /* nobody listens: its answer will say why */
        return;
    }
    g_byte_array_remove_range(talk->unsent, 0, (guint)MAX(written, 0));
    /* Mostly all of it fits into the pipe at once. */
    if (talk->unsent->len > 0 || talk->in_is_watched) {
        talk->in_is_watched = talk->unsent->len > 0;
        loop_watch(talk->loop, talk->in_fd, talk->in_is_watched ? POLLOUT : 0, write_in, talk);
    }
}

static void say(struct talk *talk, const GByteArray *question)
{
    if (question) {
        g_byte_array_append(talk->unsent, question->data, question->len);
    }
    /* A flush where a command could begin: the server ends in peace. */
    pktline_append_special(talk->unsent, PKTLINE_FLUSH);
    talk->asked = true;
    if (talk->in_fd >= 0) {
        write_in(talk, POLLOUT);
    }
}

static void ask(struct talk *talk, const char *object_format)
{
    g_autoptr(GByteArray) question =
        lsrefs_request((const char *const *)talk->wanted, object_format);
    say(talk, question);
}

/* -------------------------------------------------------------------------------- what is heard */

static void decide(struct talk *talk)
{
    if (!talk->failure) {
        talk->refs = lsrefs_finish(talk->lsrefs, &talk->failure);
    }
    talk->next = lsrefs_next(talk->lsrefs);
    talk->decided = true;
}

/* Takes bytes of the answer. True: it is decided. */
static bool take_answer(struct talk *talk, const uint8_t *bytes, size_t length)
{
    talk->is_alive = true;
    if (talk->decided) {
        return false;
    }
    bool good = lsrefs_take(talk->lsrefs, bytes, length, &talk->failure);
    enum lsrefs_next next = lsrefs_next(talk->lsrefs);
    if (good && !talk->asked && next == LSREFS_NEXT_COMMAND) {
        ask(talk, lsrefs_object_format(talk->lsrefs));
    }
    if (good && !lsrefs_is_done(talk->lsrefs) && next != LSREFS_NEXT_GIT) {
        return false;
    }
    decide(talk);
    return true;
}

static void read_err(void *data, short events);

static void read_out(void *data, short events);

/* Hears everything from now on, as it comes. */
static void listen_closely(struct talk *talk)
{
    if (talk->out_fd >= 0) {
        loop_watch(talk->loop, talk->out_fd, POLLIN, read_out, talk);
    }
    if (talk->err_fd >= 0) {
        loop_watch(talk->loop, talk->err_fd, POLLIN, read_err, talk);
    }
    talk_watch_control(talk, POLLIN);
}

static void report_decision(struct talk *talk)
{
    loop_close(talk->loop, &talk->out_fd);
    loop_close(talk->loop, &talk->err_fd);
    if (!talk->asked) {
        say(talk, NULL);
    }
    loop_timer_set(talk->loop, &talk->timer, clock_monotonic_ms() + TALK_EOF_MS);
    talk->events.decided(talk->events.data);
}

static void read_out(void *data, short events)
{
    static uint8_t bytes[READ_BYTES];
    struct talk *talk = data;
    (void)events;
    ssize_t got = fd_read(talk->out_fd, bytes, sizeof(bytes));
    if (got > 0 && take_answer(talk, bytes, (size_t)got)) {
        report_decision(talk);
    } else if (got == 0 || (got < 0 && errno != EAGAIN)) {
        loop_close(talk->loop, &talk->out_fd);
    }
}

static void read_err(void *data, short events)
{
    struct talk *talk = data;
    (void)events;
    if (!tail_read(&talk->words, talk->err_fd)) {
        loop_close(talk->loop, &talk->err_fd);
    }
    talk->is_alive = talk->is_alive || talk->words.length > 0;
}

/* All that was written before the end is in the pipes by now. What holds them open beyond it (a
 * connection that ssh keeps in the background) is not waited for. */
static void read_the_rest(struct talk *talk)
{
    static uint8_t bytes[READ_BYTES];
    ssize_t got;
    while (talk->out_fd >= 0 && (got = fd_read(talk->out_fd, bytes, sizeof(bytes))) > 0) {
        take_answer(talk, bytes, (size_t)got);
    }
    if (talk->err_fd >= 0) {
        tail_read(&talk->words, talk->err_fd);
    }
}

/* ---------------------------------------------------------------------------------------- life */

static void await_opening(struct talk *talk)
{
    if (talk->control_fd >= 0) {
        loop_timer_set(talk->loop, &talk->timer, clock_monotonic_ms() + TALK_OPEN_MS);
    }
}

static void timer_is_due(void *data)
{
    struct talk *talk = data;
    if (!talk->decided && talk->is_quick) {
        talk->is_quick = false;
        listen_closely(talk);
        await_opening(talk);
    } else if (!talk->decided) {
        talk_end(talk, TALK_STUCK);
    } else if (talk->in_fd >= 0) {
        talk->lingers = true;
        loop_close(talk->loop, &talk->in_fd);
        loop_timer_set(talk->loop, &talk->timer, clock_monotonic_ms() + TALK_LINGER_MS);
    } else {
        talk_end(talk, TALK_ENDED);
    }
}

/* ssh would make its ends non-blocking, too. */
static bool make_pipe(int *read_end, int *write_end, GError **error)
{
    int ends[2];
    bool good = fd_pipe_nonblocking(ends, error);
    *read_end = ends[0];
    *write_end = ends[1];
    return good;
}

struct talk *talk_new(struct loop *loop, const struct talk_question *question,
                      const struct talk_events *events, int theirs[3], GError **error)
{
    struct talk *talk = g_new0(struct talk, 1);
    talk->loop = loop;
    talk->events = *events;
    talk->wanted = g_strdupv((char **)question->wanted);
    talk->lsrefs = lsrefs_new(LSREFS_PIPE, question->wanted);
    talk->in_fd = talk->out_fd = talk->err_fd = talk->control_fd = -1;
    theirs[0] = theirs[1] = theirs[2] = -1;
    talk->unsent = g_byte_array_new();
    talk->exit_code = -1;
    talk->lingers = question->is_lingering;
    talk->timer.due = timer_is_due;
    talk->timer.data = talk;
    if (!make_pipe(&theirs[0], &talk->in_fd, error) ||
        !make_pipe(&talk->out_fd, &theirs[1], error) ||
        !make_pipe(&talk->err_fd, &theirs[2], error)) {
        talk_close_ends(theirs);
        g_clear_pointer(&talk, talk_free);
    }
    return talk;
}

void talk_close_ends(int theirs[3])
{
    for (int i = 0; i < 3; i++) {
        fd_close(&theirs[i]);
    }
}

/* Of a few refs: the pipe holds all of the answer. */
static bool answer_is_short(const struct talk *talk, enum net_road road)
{
    bool is_short = (road == NET_ROAD_V2 || road == NET_ROAD_V2_SHA256) &&
                    g_strv_length(talk->wanted) <= SHORT_REFS;
    for (char **wanted = talk->wanted; is_short && *wanted; wanted++) {
        is_short = !text_is_glob(*wanted);
    }
    return is_short;
}

void talk_ask(struct talk *talk, enum net_road road)
{
    talk->at_once = true;
    talk->is_quick = !talk->lingers && answer_is_short(talk, road);
    switch (road) {
    case NET_ROAD_V2:
        ask(talk, NULL);
        break;
    case NET_ROAD_V2_SHA256:
        ask(talk, "sha256");
        break;
    case NET_ROAD_V0:
        say(talk, NULL);
        break;
    case NET_ROAD_UNKNOWN:
    case NET_ROAD_V2_ASKED:
    case NET_ROAD_GIT:
        talk->at_once = false;
        break;
    }
}

void talk_listen(struct talk *talk)
{
    if (talk->is_quick) {
        talk_watch_control(talk, 0);
        loop_timer_set(talk->loop, &talk->timer, clock_monotonic_ms() + TALK_QUICK_MS);
    } else {
        listen_closely(talk);
        await_opening(talk);
    }
}

static void close_all(struct talk *talk)
{
    loop_timer_stop(talk->loop, &talk->timer);
    loop_close(talk->loop, &talk->in_fd);
    loop_close(talk->loop, &talk->out_fd);
    loop_close(talk->loop, &talk->err_fd);
    loop_close(talk->loop, &talk->control_fd);
    if (talk->child > 0) {
        spawn_kill_group(talk->child, SIGKILL);
        loop_child(talk->loop, talk->child, NULL, NULL);
        talk->child = 0;
    }
}

void talk_end(struct talk *talk, enum talk_end end)
{
    read_the_rest(talk);
    if (!talk->decided) {
        decide(talk);
    }
    close_all(talk);
    talk->events.ended(talk->events.data, end);
}

void talk_free(struct talk *talk)
{
    if (talk) {
        close_all(talk);
        lsrefs_free(talk->lsrefs);
        g_clear_pointer(&talk->refs, g_hash_table_unref);
        g_clear_error(&talk->failure);
        g_byte_array_unref(talk->unsent);
        g_clear_pointer(&talk->control_in, g_byte_array_unref);
        g_strfreev(talk->wanted);
        g_free(talk);
    }
}

GHashTable *talk_take_refs(struct talk *talk)
{
    return g_steal_pointer(&talk->refs);
}

const GError *talk_failure(const struct talk *talk)
{
    return talk->failure;
}

enum lsrefs_next talk_next(const struct talk *talk)
{
    return talk->next;
}

bool talk_asked_at_once(const struct talk *talk)
{
    return talk->at_once;
}

enum net_road talk_road(const struct talk *talk)
{
    if (lsrefs_version(talk->lsrefs) < 2) {
        return NET_ROAD_V0;
    }
    bool is_sha1 = strcmp(lsrefs_object_format(talk->lsrefs), "sha256") != 0;
    return is_sha1 ? NET_ROAD_V2 : NET_ROAD_V2_SHA256;
}

const char *talk_words(const struct talk *talk)
{
    return talk->words.text;
}

int talk_exit_code(const struct talk *talk)
{
    return talk->exit_code;
}

bool talk_lingers(const struct talk *talk)
{
    return talk->lingers;
}

/* What was not read yet (is_quick) counts, too. */
bool talk_is_alive(const struct talk *talk)
{
    return talk->is_alive || fd_waiting_bytes(talk->out_fd) > 0 ||
           fd_waiting_bytes(talk->err_fd) > 0 ||
           fd_waiting_bytes(talk->control_fd) > MUX_HELLO_BYTES;
}
