#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

#ifdef __linux__
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

enum { FIRST_PASSED_FD = 3, FALLBACK_MAX_FD = 4096 };

/* Everything that the child needs, made before the fork: after it only async-signal-safe calls are
 * allowed. */
struct plan {
    char **programs; /* paths to try, in order */
    const struct spawn_options *options;
    const char *const *envp;
    int null_fd;
    int status_fd;
    int born_in; /* the number of the group that the child begins in, or -1 */
    sigset_t no_signals;
};

static const char *find_variable(const char *const *envp, const char *name)
{
    size_t length = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') {
            return *envp + length + 1;
        }
    }
    return NULL;
}

/* As execvp(3) looks: a name with a slash is a path, else it is tried in each directory of PATH.
 * The empty name is nowhere, though each directory of PATH could be opened under it. */
static char **list_programs(const char *name, const char *const *envp)
{
    GPtrArray *programs = g_ptr_array_new();
    if (!*name || strchr(name, '/')) {
        g_ptr_array_add(programs, g_strdup(name));
    } else {
        const char *path = find_variable(envp, "PATH");
        g_auto(GStrv) directories =
            g_strsplit(path ? path : "/usr/local/bin:/usr/bin:/bin", ":", -1);
        for (char **directory = directories; *directory; directory++) {
            g_ptr_array_add(programs, g_strconcat(**directory ? *directory : ".", "/", name, NULL));
        }
    }
    g_ptr_array_add(programs, NULL);
    return (char **)g_ptr_array_free(programs, FALSE);
}

static void reset_signals(const struct plan *plan)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &action, NULL);
    }
    if (plan->options->ignore_sigpipe) {
        action.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, &plan->no_signals, NULL);
}

static void close_the_rest(int first)
{
#if defined(__linux__) && defined(SYS_close_range)
    enum { CLOSE_ON_EXEC = 1U << 2 }; /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */
    if (syscall(SYS_close_range, (unsigned)first, ~0U, CLOSE_ON_EXEC) == 0) {
        return;
    }
#endif
    for (int fd = first; fd < FALLBACK_MAX_FD; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) {
            fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
        }
    }
}

static int first_closed_fd(const struct spawn_options *options)
{
    return FIRST_PASSED_FD + options->pass_count;
}

static int wanted_fd(const struct plan *plan, int number)
{
    const struct spawn_options *options = plan->options;
    if (number >= FIRST_PASSED_FD) {
        return options->pass_fds[number - FIRST_PASSED_FD];
    }
    const int standard[FIRST_PASSED_FD] = {options->stdin_fd, options->stdout_fd,
                                           options->stderr_fd};
    return standard[number] == SPAWN_FD_NULL      ? plan->null_fd
           : standard[number] == SPAWN_FD_INHERIT ? number
                                                  : standard[number];
}

/* Puts the wanted descriptors at 0 and up. All are first copied above them, so that none is
 * overwritten before its turn. */
static bool place_fds(const struct plan *plan)
{
    int count = first_closed_fd(plan->options);
    int copies[FIRST_PASSED_FD + SPAWN_MAX_PASSED];
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(wanted_fd(plan, i), F_DUPFD_CLOEXEC, count);
        if (copies[i] < 0) {
            return false;
        }
    }
    for (int i = 0; i < count; i++) {
        if (dup2(copies[i], i) < 0) {
            return false;
        }
    }
    return true;
}

static void fail_child(const struct plan *plan, enum spawn_stage stage, int errnum)
{
    const struct spawn_failure failure = {stage, errnum};
    ssize_t ignored = write(plan->status_fd, &failure, sizeof(failure));
    (void)ignored;
    _exit(127);
}

/* EACCES is remembered over later ENOENTs, as execvp(3) does; ENOEXEC is never retried through a
 * shell. */
static int try_programs(const struct plan *plan)
{
    int result = ENOENT;
    for (char **program = plan->programs; *program; program++) {
        execve(*program, (char *const *)plan->options->argv, (char *const *)plan->envp);
        if (errno == EACCES) {
            result = EACCES;
        } else if (errno != ENOENT && errno != ENOTDIR) {
            return errno;
        }
    }
    return result;
}

/* A hard limit below the wanted one stands: only some may raise it, and it is stricter. */
static bool limit_resource(int resource, int64_t most)
{
    struct rlimit limit;
    if (most <= 0) {
        return true;
    }
    if (getrlimit(resource, &limit) != 0) {
        return false;
    }
    rlim_t wanted = MIN((rlim_t)most, limit.rlim_max);
    limit = (struct rlimit){.rlim_cur = wanted, .rlim_max = wanted};
    return setrlimit(resource, &limit) == 0;
}

/* Raising it needs no privilege; without /proc it stays as it is. */
static void set_oom_score(const char *path, const char *score)
{
#ifdef __linux__
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, score, strlen(score));
        (void)ignored;
        close(fd);
    }
#else
    (void)path;
    (void)score;
#endif
}

/* A copy of a process that can't be dumped (PR_SET_DUMPABLE, prctl(2)) may not open its own file in
 * /proc, unless it is root. With exec(2) it can be dumped again, and its parent may. */
static void set_oom_score_of(pid_t child, const struct spawn_limits *limits)
{
#ifdef __linux__
    if (limits && limits->oom_score_adj && prctl(PR_GET_DUMPABLE) != 1) {
        g_autofree char *path = g_strdup_printf("/proc/%d/oom_score_adj", (int)child);
        set_oom_score(path, limits->oom_score_adj);
    }
#else
    (void)child;
    (void)limits;
#endif
}

/* "0" is the writing process itself: in "tasks" its only thread, cgroups(7). */
static bool join_group(const struct spawn_group *group)
{
    int fd = group->unified ? openat(group->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC) : group->fd;
    return fd >= 0 && write(fd, "0", 1) == 1;
}

/* The groups first: what the rest costs is theirs. */
static bool apply_limits(const struct spawn_limits *limits, int born_in)
{
    for (int i = 0; i < limits->group_count; i++) {
        if (i != born_in && !join_group(&limits->groups[i])) {
            return false;
        }
    }
    if (limits->oom_score_adj) {
        set_oom_score("/proc/self/oom_score_adj", limits->oom_score_adj);
    }
    if (limits->nice > 0 &&
        setpriority(PRIO_PROCESS, 0,
                    MIN(getpriority(PRIO_PROCESS, 0) + limits->nice, PRIO_MAX - 1)) != 0) {
        return false;
    }
    return limit_resource(RLIMIT_FSIZE, limits->file_max_bytes) &&
           limit_resource(RLIMIT_NPROC, limits->processes_max);
}

static void run_child(struct plan *plan, pid_t parent)
{
    const struct spawn_options *options = plan->options;
    /* Out of the way of those that are passed. */
    int first_closed = first_closed_fd(options);
    int status_fd = fcntl(plan->status_fd, F_DUPFD_CLOEXEC, first_closed);
    if (status_fd < 0) {
        fail_child(plan, SPAWN_STAGE_SETUP, errno);
    }
    plan->status_fd = status_fd;
    if (options->new_session) {
        setsid();
    }
#ifdef __linux__
    if (options->parent_death_signal) {
        prctl(PR_SET_PDEATHSIG, options->parent_death_signal);
        if (getppid() != parent) {
            _exit(127);
        }
    }
#else
    (void)parent;
#endif
    if (options->limits && !apply_limits(options->limits, plan->born_in)) {
        fail_child(plan, SPAWN_STAGE_LIMITS, errno);
    }
    if (!place_fds(plan)) {
        fail_child(plan, SPAWN_STAGE_SETUP, errno);
    }
    close_the_rest(first_closed);
    if (options->directory && chdir(options->directory) < 0) {
        fail_child(plan, SPAWN_STAGE_DIRECTORY, errno);
    }
    reset_signals(plan);
    fail_child(plan, SPAWN_STAGE_EXEC, try_programs(plan));
}

/* fork(2) into a group of version 2, clone(2), Linux 5.7. Only where the child calls nothing but
 * what is async-signal-safe: the C library does not know of it. -1 when that can't be had here. */
static pid_t fork_into(const struct spawn_group *group)
{
#if defined(__linux__) && defined(SYS_clone3) && defined(CLONE_INTO_CGROUP)
    struct clone_args arguments = {
        .flags = CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)group->fd,
    };
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
#else
    (void)group;
    return -1;
#endif
}

static pid_t fork_child(struct plan *plan)
{
    const struct spawn_limits *limits = plan->options->limits;
    for (int i = 0; limits && i < limits->group_count; i++) {
        if (limits->groups[i].unified) {
            plan->born_in = i;
            pid_t child = fork_into(&limits->groups[i]);
            if (child >= 0) {
                return child;
            }
        }
    }
    plan->born_in = -1;
    return fork();
}

static bool report_failure(const struct spawn_options *options, const struct spawn_failure *told,
                           struct spawn_failure *failure, GError **error)
{
    if (failure) {
        *failure = *told;
    }
    const char *what = told->stage == SPAWN_STAGE_DIRECTORY ? options->directory : options->argv[0];
    static const char *const verbs[] = {[SPAWN_STAGE_NONE] = "start",
                                        [SPAWN_STAGE_FORK] = "make a process for",
                                        [SPAWN_STAGE_SETUP] = "set up a process for",
                                        [SPAWN_STAGE_LIMITS] =
                                            "set limits (disk_max, nice, ...) of",
                                        [SPAWN_STAGE_DIRECTORY] = "enter the directory",
                                        [SPAWN_STAGE_EXEC] = "execute"};
    return error_set_errno(error, BASE_ERROR, told->errnum, "cannot %s %s", verbs[told->stage],
                           what);
}

pid_t spawn_start(const struct spawn_options *options, struct spawn_failure *failure,
                  GError **error)
{
    extern char **environ;
    struct spawn_failure told = {SPAWN_STAGE_NONE, 0};
    g_assert(options->pass_count >= 0 && options->pass_count <= SPAWN_MAX_PASSED);
    struct plan plan = {.options = options,
                        .envp = options->envp ? options->envp : (const char *const *)environ};
    int ends[2];
    if (!fd_pipe(ends, error)) {
        return -1;
    }
    auto_fd read_end = ends[0];
    auto_fd write_end = ends[1];
    auto_fd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        told = (struct spawn_failure){SPAWN_STAGE_SETUP, errno};
        report_failure(options, &told, failure, error);
        return -1;
    }
    g_auto(GStrv) programs = list_programs(options->argv[0], plan.envp);
    plan.programs = programs;
    plan.null_fd = null_fd;
    plan.status_fd = write_end;
    sigemptyset(&plan.no_signals);
    sigset_t all;
    sigset_t saved;
    sigfillset(&all);
    pid_t parent = getpid();
    /* No handler of ours may run in the child before it has reset them. */
    sigprocmask(SIG_SETMASK, &all, &saved);
    pid_t child = fork_child(&plan);
    if (child == 0) {
        run_child(&plan, parent);
    }
    int fork_errno = errno;
    sigprocmask(SIG_SETMASK, &saved, NULL);
    fd_close(&write_end);
    if (child < 0) {
        told = (struct spawn_failure){SPAWN_STAGE_FORK, fork_errno};
    } else if (fd_read(read_end, &told, sizeof(told)) == (ssize_t)sizeof(told)) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
        }
    } else {
        set_oom_score_of(child, options->limits);
        return child;
    }
    report_failure(options, &told, failure, error);
    return -1;
}

void spawn_kill_group(pid_t leader, int signal_number)
{
    g_assert(leader > 1);
    kill(-leader, signal_number);
}

int spawn_open_pidfd(pid_t pid)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself, pidfd_open(2) */
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

const char *spawn_signal_name(int signal_number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"},
                 {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},     {SIGABRT, "SIGABRT"},
                 {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},       {SIGKILL, "SIGKILL"},
                 {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"},     {SIGUSR2, "SIGUSR2"},
                 {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"},
                 {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},     {SIGSYS, "SIGSYS"},
                 {SIGSTOP, "SIGSTOP"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].number == signal_number) {
            return names[i].name;
        }
    }
    g_autofree char *text = g_strdup_printf("signal %d", signal_number);
    return g_intern_string(text);
}

char *spawn_format_status(int wait_status)
{
    if (WIFSIGNALED(wait_status)) {
        return g_strdup_printf("killed by %s (signal %d)", spawn_signal_name(WTERMSIG(wait_status)),
                               WTERMSIG(wait_status));
    }
    return g_strdup_printf("exit %d", WEXITSTATUS(wait_status));
}
