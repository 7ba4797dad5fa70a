#include <signal.h>

#include "base/clock.h"
#include "base/fd.h"
#include "git_fixture.h"
#include "ssh/loop.h"

enum { LIMIT_MS = 60 * 1000 };

static struct loop *new_loop(void)
{
    GError *error = NULL;
    struct loop *loop = loop_new(&error);
    g_assert_no_error(error);
    return loop;
}

static void wait_once(struct loop *loop, int64_t timeout_ms)
{
    GError *error = NULL;
    g_assert_true(loop_wait(loop, NULL, 0, timeout_ms, &error));
    g_assert_no_error(error);
}

/* ---------------------------------------------------------------------------------------------- */

struct spot {
    struct loop *loop;
    int fds[2];
    unsigned calls;
    short events;
    struct spot *victim; /* closed when this one is called */
    struct spot *fresh;  /* opened then */
};

static void spot_ready(void *data, short events);

static void spot_open(struct spot *spot, struct loop *loop, bool ready)
{
    GError *error = NULL;
    spot->loop = loop;
    g_assert_true(fd_pipe_nonblocking(spot->fds, &error));
    if (ready) {
        g_assert_cmpint(write(spot->fds[1], "x", 1), ==, 1);
    }
    loop_watch(loop, spot->fds[0], POLLIN, spot_ready, spot);
}

static void spot_ready(void *data, short events)
{
    struct spot *spot = data;
    char byte;
    spot->calls++;
    spot->events = events;
    g_assert_cmpint(spot->fds[0], >=, 0);
    (void)!read(spot->fds[0], &byte, 1);
    if (spot->victim) {
        loop_close(spot->loop, &spot->victim->fds[0]);
    }
    if (spot->fresh) {
        spot_open(spot->fresh, spot->loop, true);
        spot->fresh = NULL;
    }
}

static void spot_close(struct spot *spot)
{
    loop_close(spot->loop, &spot->fds[0]);
    fd_close(&spot->fds[1]);
}

static void watch__several_ready__each_is_called_once(void)
{
    struct loop *loop = new_loop();
    struct spot spots[5] = {{.loop = NULL}};
    for (unsigned i = 0; i < G_N_ELEMENTS(spots); i++) {
        spot_open(&spots[i], loop, i != 2);
    }
    wait_once(loop, LIMIT_MS);
    for (unsigned i = 0; i < G_N_ELEMENTS(spots); i++) {
        g_assert_cmpuint(spots[i].calls, ==, i != 2);
        g_assert_cmpint(spots[i].events, ==, i != 2 ? POLLIN : 0);
    }
    wait_once(loop, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(spots); i++) {
        g_assert_cmpuint(spots[i].calls, ==, i != 2);
        spot_close(&spots[i]);
    }
    loop_free(loop);
}

/* Whoever is called first closes the others: none of them may be called any more, and who is not
 * closed must be. */
static void watch__closed_in_a_call__is_not_called(void)
{
    for (unsigned closer = 0; closer < 4; closer++) {
        for (unsigned victim = 0; victim < 4; victim++) {
            struct loop *loop = new_loop();
            struct spot spots[4] = {{.loop = NULL}};
            for (unsigned i = 0; i < 4; i++) {
                spot_open(&spots[i], loop, true);
            }
            spots[closer].victim = &spots[victim];
            wait_once(loop, LIMIT_MS);
            for (unsigned i = 0; i < 4; i++) {
                if (i != victim) {
                    g_assert_cmpuint(spots[i].calls, ==, 1);
                }
                g_assert_cmpuint(spots[i].calls, <=, 1);
                spot_close(&spots[i]);
            }
            loop_free(loop);
        }
    }
}

static void watch__opened_in_a_call__is_called_later(void)
{
    for (unsigned opener = 0; opener < 3; opener++) {
        struct loop *loop = new_loop();
        struct spot spots[3] = {{.loop = NULL}}, fresh = {.loop = NULL};
        for (unsigned i = 0; i < 3; i++) {
            spot_open(&spots[i], loop, true);
        }
        spots[opener].victim = &spots[opener]; /* its number is taken by the fresh one */
        spots[opener].fresh = &fresh;
        wait_once(loop, LIMIT_MS);
        g_assert_cmpuint(fresh.calls, ==, 0);
        wait_once(loop, LIMIT_MS);
        g_assert_cmpuint(fresh.calls, ==, 1);
        for (unsigned i = 0; i < 3; i++) {
            g_assert_cmpuint(spots[i].calls, ==, 1);
            spot_close(&spots[i]);
        }
        spot_close(&fresh);
        loop_free(loop);
    }
}

static void watch__without_events__tells_the_end_alone(void)
{
    struct loop *loop = new_loop();
    struct spot spot = {.loop = NULL};
    spot_open(&spot, loop, true);
    loop_watch(loop, spot.fds[0], 0, spot_ready, &spot);
    wait_once(loop, 0);
    g_assert_cmpuint(spot.calls, ==, 0);
    fd_close(&spot.fds[1]);
    wait_once(loop, LIMIT_MS);
    g_assert_cmpuint(spot.calls, ==, 1);
    g_assert_true(spot.events & POLLHUP);
    spot_close(&spot);
    loop_free(loop);
}

static void wait__descriptors_of_the_caller__have_their_events(void)
{
    struct loop *loop = new_loop();
    struct spot spot = {.loop = NULL}, quiet = {.loop = NULL};
    spot_open(&spot, loop, true);
    spot_open(&quiet, loop, false);
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    struct pollfd fds[] = {{.fd = ends[1], .events = POLLOUT, .revents = POLLERR},
                           {.fd = ends[0], .events = POLLIN, .revents = POLLERR}};
    g_assert_true(loop_wait(loop, fds, 2, LIMIT_MS, NULL));
    g_assert_cmpint(fds[0].revents, ==, POLLOUT);
    g_assert_cmpint(fds[1].revents, ==, 0);
    g_assert_cmpuint(spot.calls, ==, 1);
    fds[0].fd = -1;
    g_assert_true(loop_wait(loop, fds, 2, 0, NULL));
    g_assert_cmpint(fds[0].revents, ==, 0);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    spot_close(&spot);
    spot_close(&quiet);
    loop_free(loop);
}

/* ---------------------------------------------------------------------------------------------- */

struct alarm {
    struct loop *loop;
    struct loop_timer timer;
    GString *log;
    char name;
    struct alarm *stops;
};

static void alarm_due(void *data)
{
    struct alarm *alarm = data;
    g_string_append_c(alarm->log, alarm->name);
    if (alarm->stops) {
        loop_timer_stop(alarm->loop, &alarm->stops->timer);
    }
}

static void timer__several__are_due_in_order_and_stopped_ones_never(void)
{
    struct loop *loop = new_loop();
    g_autoptr(GString) log = g_string_new(NULL);
    struct alarm alarms[4];
    int64_t now_ms = clock_monotonic_ms();
    static const int after_ms[] = {30, 10, 20, 40};
    for (unsigned i = 0; i < 4; i++) {
        alarms[i] = (struct alarm){.loop = loop, .log = log, .name = (char)('a' + i)};
        alarms[i].timer.due = alarm_due;
        alarms[i].timer.data = &alarms[i];
        loop_timer_set(loop, &alarms[i].timer, now_ms + LIMIT_MS);
        loop_timer_set(loop, &alarms[i].timer, now_ms + after_ms[i]);
    }
    alarms[2].stops = &alarms[3];
    while (log->len < 3) {
        wait_once(loop, LIMIT_MS);
    }
    g_assert_cmpint(clock_monotonic_ms(), >=, now_ms + 30);
    wait_once(loop, 50);
    g_assert_cmpstr(log->str, ==, "bca");
    loop_timer_stop(loop, &alarms[3].timer);
    loop_free(loop);
}

static void timer__none_set__waits_no_longer_than_asked(void)
{
    struct loop *loop = new_loop();
    int64_t begun_ms = clock_monotonic_ms();
    wait_once(loop, 20);
    g_assert_cmpint(clock_monotonic_ms(), >=, begun_ms + 20);
    loop_free(loop);
}

/* ---------------------------------------------------------------------------------------------- */

struct ends {
    unsigned count;
    int status;
};

static void note_end(void *data, int wait_status)
{
    struct ends *ends = data;
    ends->count++;
    ends->status = wait_status;
}

static pid_t start(const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.new_session = true;
    GError *error = NULL;
    pid_t pid = spawn_start(&options, NULL, &error);
    g_assert_no_error(error);
    return pid;
}

static void child__each__is_reaped_with_its_status(void)
{
    struct loop *loop = new_loop();
    struct ends good = {0}, bad = {0}, killed = {0};
    loop_child(loop, start("exit 0"), note_end, &good);
    loop_child(loop, start("exit 3"), note_end, &bad);
    pid_t sleeper = start("exec sleep 1000");
    loop_child(loop, sleeper, note_end, &killed);
    pid_t nobodys = start("exit 0");
    loop_child(loop, nobodys, note_end, &good);
    loop_child(loop, nobodys, NULL, NULL);
    while (loop_children(loop) > 1) {
        wait_once(loop, LIMIT_MS);
    }
    g_assert_cmpuint(good.count, ==, 1);
    g_assert_cmpuint(bad.count, ==, 1);
    g_assert_cmpint(WEXITSTATUS(bad.status), ==, 3);
    g_assert_cmpuint(killed.count, ==, 0);
    spawn_kill_group(sleeper, SIGKILL);
    while (loop_children(loop) > 0) {
        wait_once(loop, LIMIT_MS);
    }
    g_assert_true(killed.count == 1 && WIFSIGNALED(killed.status));
    loop_free(loop);
}

static void child__dead_before_it_is_told_of__is_reaped(void)
{
    struct loop *loop = new_loop();
    struct ends ends = {0};
    pid_t pid = start("exit 4");
    siginfo_t info;
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
    loop_child(loop, pid, note_end, &ends);
    while (loop_children(loop) > 0) {
        wait_once(loop, LIMIT_MS);
    }
    g_assert_cmpint(WEXITSTATUS(ends.status), ==, 4);
    loop_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/ssh_loop/" #name, name)
    ADD(watch__several_ready__each_is_called_once);
    ADD(watch__closed_in_a_call__is_not_called);
    ADD(watch__opened_in_a_call__is_called_later);
    ADD(watch__without_events__tells_the_end_alone);
    ADD(wait__descriptors_of_the_caller__have_their_events);
    ADD(timer__several__are_due_in_order_and_stopped_ones_never);
    ADD(timer__none_set__waits_no_longer_than_asked);
    ADD(child__each__is_reaped_with_its_status);
    ADD(child__dead_before_it_is_told_of__is_reaped);
    return g_test_run();
}
