#include "job/step.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/job_group.h"
#include "job/reap.h"

enum {
    CHUNK_BYTES = 64 * 1024,
    PIPE_BYTES = 1024 * 1024,
    LEFTOVER_GRACE_MS = 1000,
    LEADER_CHECK_MS = 20, /* without a pidfd */
    LONGEST_WAIT_MS = 60000,
    GROUP_PATIENCE_MS = 100,
};

struct attendance {
    const struct step_run *run;
    struct step_outcome *outcome;
    pid_t leader;
    int pidfd;
    int output_fd; /* -1 at its end */
    bool ending;   /* SIGTERM was sent */
    bool killed;
    int64_t kill_at_ms;
    int64_t heard_ms; /* when its last output came, or it began */
    struct spawn_limits spawn_limits;
    struct confined confined; /* when there is a sandbox */
    GError *sink_error;
};

void step_outcome_clear(struct step_outcome *outcome)
{
    g_clear_pointer(&outcome->left_names, g_free);
    g_clear_pointer(&outcome->over, g_free);
    g_clear_pointer(&outcome->cause, g_free);
}

static reap_groups groups_of(const struct attendance *attendance)
{
    return attendance->run->limits ? limits_groups(attendance->run->limits) : NULL;
}

static bool leader_has_ended(const struct attendance *attendance)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)attendance->leader, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == attendance->leader;
}

/* The first reason counts. */
static void begin_end(struct attendance *attendance, enum step_end why)
{
    if (attendance->ending) {
        return;
    }
    attendance->ending = true;
    attendance->outcome->end = why;
    attendance->kill_at_ms = clock_monotonic_ms() + attendance->run->grace_ms;
    if (attendance->run->confinement) {
        /* Only inside: a sandbox whose outermost process ends is gone at once, without the grace.
         */
        confined_terminate(&attendance->confined);
        return;
    }
    reap_signal_all(SIGTERM);
    spawn_kill_group(attendance->leader, SIGTERM);
    /* What is stopped would sleep through its SIGTERM. */
    reap_signal_all(SIGCONT);
}

/* One read; false when there is nothing (more) to read now. */
static bool take_output(struct attendance *attendance)
{
    static char chunk[CHUNK_BYTES];
    ssize_t length =
        attendance->output_fd >= 0 ? fd_read(attendance->output_fd, chunk, sizeof(chunk)) : 0;
    if (length <= 0) {
        if (length == 0 || errno != EAGAIN) {
            fd_close(&attendance->output_fd);
        }
        return false;
    }
    const struct step_run *run = attendance->run;
    attendance->heard_ms = clock_monotonic_ms();
    /* After a failed sink the pipe is drained all the same, so that the step can end. */
    if (!attendance->sink_error &&
        !run->sink(chunk, (size_t)length, run->data, &attendance->sink_error)) {
        begin_end(attendance, STEP_END_SINK_FAILED);
    }
    return true;
}

/* When it is ended for its silence. */
static int64_t idle_due_ms(const struct attendance *attendance)
{
    int64_t idle_ms = attendance->run->idle_ms;
    return idle_ms > 0 ? attendance->heard_ms + idle_ms : INT64_MAX;
}

static int time_to_wait(const struct attendance *attendance)
{
    const struct step_run *run = attendance->run;
    int64_t limit_ms = attendance->pidfd >= 0 ? LONGEST_WAIT_MS : LEADER_CHECK_MS;
    int64_t due_ms = attendance->kill_at_ms;
    if (attendance->killed) {
        return LEADER_CHECK_MS;
    }
    if (!attendance->ending) {
        int64_t look_ms = run->limits ? limits_next_look_ms(run->limits) : INT64_MAX;
        due_ms = idle_due_ms(attendance);
        due_ms = MIN(MIN(run->deadline_ms, due_ms), look_ms);
    }
    int64_t left_ms = clock_left_ms(due_ms);
    return (int)MIN(left_ms, limit_ms);
}

/* What is over a limit goes at once: in the time of a grace it would only take more. */
static void look_at_limits(struct attendance *attendance)
{
    struct limits *limits = attendance->run->limits;
    char *over = limits && !attendance->ending ? limits_look(limits, clock_monotonic_ms()) : NULL;
    if (over) {
        begin_end(attendance, STEP_END_LIMIT);
        attendance->outcome->over = over;
        attendance->kill_at_ms = clock_monotonic_ms();
    }
}

static void kill_everything(struct attendance *attendance)
{
    attendance->killed = true;
    if (groups_of(attendance)) {
        job_group_kill(groups_of(attendance), GROUP_PATIENCE_MS);
    }
    reap_signal_all(SIGKILL);
}

static void keep_time(struct attendance *attendance)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms >= attendance->run->deadline_ms) {
        begin_end(attendance, STEP_END_TIMEOUT);
    } else if (now_ms >= idle_due_ms(attendance)) {
        begin_end(attendance, STEP_END_IDLE);
    }
    look_at_limits(attendance);
    if (attendance->ending && now_ms >= attendance->kill_at_ms) {
        kill_everything(attendance);
    }
}

static void attend(struct attendance *attendance)
{
    const struct step_run *run = attendance->run;
    while (!leader_has_ended(attendance)) {
        struct pollfd fds[] = {
            {.fd = attendance->output_fd, .events = POLLIN},
            {.fd = attendance->pidfd, .events = POLLIN},
            {.fd = attendance->ending ? -1 : run->stop_fd, .events = POLLIN},
            {.fd = run->echo ? echo_pending_fd(run->echo) : -1, .events = POLLOUT},
        };
        if (poll(fds, G_N_ELEMENTS(fds), time_to_wait(attendance)) < 0) {
            continue;
        }
        if (fds[0].revents) {
            take_output(attendance);
        }
        if (fds[2].revents && run->should_stop(run->data)) {
            begin_end(attendance, STEP_END_STOPPED);
        }
        if (fds[3].revents) {
            echo_pump(run->echo);
        }
        keep_time(attendance);
    }
}

static int64_t cpu_us_of_children(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int64_t max_rss_bytes(const struct rusage *usage)
{
#ifdef __APPLE__
    return usage->ru_maxrss;
#else
    return (int64_t)usage->ru_maxrss * 1024;
#endif
}

/* The leader has ended: it is reaped, and then everything else that the step left is killed. */
static void clean_up(struct attendance *attendance)
{
    struct step_outcome *outcome = attendance->outcome;
    struct rusage usage = {.ru_maxrss = 0};
    g_autoptr(GString) names = g_string_new(NULL);
    struct reap_report report = {0, names};
    int64_t grace_ms =
        attendance->ending ? clock_left_ms(attendance->kill_at_ms) : LEFTOVER_GRACE_MS;
#ifndef __linux__
    /* Without a subreaper the process group is all that is known, and only while its leader is not
     * reaped. */
    spawn_kill_group(attendance->leader, SIGKILL);
#endif
    while (wait4(attendance->leader, &outcome->wait_status, 0, &usage) < 0 && errno == EINTR) {
    }
    reap_everything((int)MIN(grace_ms, INT_MAX), groups_of(attendance), &report);
    outcome->max_rss_bytes = max_rss_bytes(&usage);
    if (attendance->run->confinement) {
        struct confined_end end;
        confined_finish(&attendance->confined, outcome->wait_status, &end);
        outcome->wait_status = end.wait_status;
        report.count = end.left;
        g_string_assign(names, end.left_names ? end.left_names : "");
        g_free(end.left_names);
    }
    if (!attendance->ending && report.count > 0) {
        outcome->left_count = report.count;
        outcome->left_names = g_strdup(names->str);
    }
}

static bool start(struct attendance *attendance, GError **error)
{
    int ends[2];
    if (!fd_pipe(ends, error)) {
        return false;
    }
    attendance->output_fd = ends[0];
    auto_fd write_end = ends[1];
#ifdef F_SETPIPE_SZ
    fcntl(write_end, F_SETPIPE_SZ, PIPE_BYTES); /* the system may allow less */
#endif
    if (!fd_set_nonblocking(attendance->output_fd, true, error)) {
        return false;
    }
    const struct step_run *run = attendance->run;
    if (run->confinement) {
        attendance->leader = confined_start(
            run->confinement, run->argv, run->envp, write_end, run->deadline_ms,
            &attendance->spawn_limits, &attendance->confined, &attendance->outcome->failure, error);
        return attendance->leader > 0;
    }
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = run->argv;
    options.envp = run->envp;
    options.directory = run->directory;
    options.stdout_fd = write_end;
    options.stderr_fd = write_end;
    options.new_session = true;
    options.limits = &attendance->spawn_limits;
    attendance->leader = spawn_start(&options, &attendance->outcome->failure, error);
    return attendance->leader > 0;
}

/* Nothing of the step is alive any more, or it was never started. */
static void settle_limits(struct attendance *attendance)
{
    struct step_outcome *outcome = attendance->outcome;
    struct limits_end end;
    if (!attendance->run->limits) {
        return;
    }
    limits_end(attendance->run->limits, &end);
    outcome->memory_peak_bytes = end.memory_peak_bytes;
    outcome->pids_peak = end.pids_peak;
    outcome->cpu_us = end.cpu_us >= 0 ? end.cpu_us : outcome->cpu_us;
    outcome->cause = g_steal_pointer(&end.cause);
    if (!outcome->over) {
        outcome->over = g_steal_pointer(&end.over);
    }
    limits_end_clear(&end);
}

/* Where groups can be made but not joined, the step runs without them, and a note says so. */
static bool start_within_limits(struct attendance *attendance, GError **error)
{
    struct limits *limits = attendance->run->limits;
    struct spawn_failure *failure = &attendance->outcome->failure;
    g_autoptr(GError) first_error = NULL;
    if (limits) {
        limits_begin(limits, &attendance->spawn_limits);
    }
    if (start(attendance, &first_error)) {
        return true;
    }
    if (limits && failure->stage == SPAWN_STAGE_LIMITS &&
        limits_give_groups_up(limits, &attendance->spawn_limits)) {
        *failure = (struct spawn_failure){SPAWN_STAGE_NONE, 0};
        fd_close(&attendance->output_fd);
        return start(attendance, error);
    }
    g_propagate_error(error, g_steal_pointer(&first_error));
    return false;
}

bool step_run(const struct step_run *run, struct step_outcome *outcome, GError **error)
{
    *outcome = (struct step_outcome){.end = STEP_END_EXITED};
    struct attendance attendance = {.run = run,
                                    .outcome = outcome,
                                    .leader = -1,
                                    .pidfd = -1,
                                    .output_fd = -1,
                                    .confined = CONFINED_INIT};
    int64_t cpu_before_us = cpu_us_of_children();
    g_autoptr(GError) start_error = NULL;
    if (!start_within_limits(&attendance, &start_error)) {
        settle_limits(&attendance);
        fd_close(&attendance.output_fd);
        outcome->end = STEP_END_NOT_STARTED;
        if (outcome->failure.stage >= SPAWN_STAGE_DIRECTORY) {
            return true;
        }
        g_propagate_error(error, g_steal_pointer(&start_error));
        return false;
    }
    attendance.heard_ms = clock_monotonic_ms();
    attendance.pidfd = spawn_open_pidfd(attendance.leader);
    attend(&attendance);
    clean_up(&attendance);
    while (take_output(&attendance)) {
    }
    fd_close(&attendance.output_fd);
    fd_close(&attendance.pidfd);
    outcome->cpu_us = cpu_us_of_children() - cpu_before_us;
    settle_limits(&attendance);
    if (attendance.sink_error) {
        outcome->end = STEP_END_SINK_FAILED;
        g_propagate_error(error, attendance.sink_error);
        return false;
    }
    return true;
}
