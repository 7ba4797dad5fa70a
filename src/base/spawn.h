/*
 * Child processes.
 *
 * 1. Fill a struct spawn_options (SPAWN_OPTIONS_INIT, then fields).
 * 2. spawn_start() forks and execs. A failure before or at exec is data: stage and errno, read from
 *    a close-on-exec pipe before the function returns, so there is never a half-started child.
 * 3. Wait with waitpid()/the pidfd, or use spawn_run() for "run this to its end, with a time
 *    limit".
 *
 * Children get every signal unblocked and at its default action, and no descriptor but 0, 1, 2 and
 * those passed.
 */
#ifndef PHANTOM_CI_BASE_SPAWN_H
#define PHANTOM_CI_BASE_SPAWN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A control group, cgroups(7). To write into its cgroup.procs makes the kernel wait for all its
 * processors: so a child is made in its group of version 2 where clone3(2) can be had, and joins
 * those of version 1 by their "tasks". */
struct spawn_group {
    bool unified; /* version 2 */
    int fd;       /* its directory; of version 1 its file "tasks", opened for writing */
};

/* What the child does to itself before it executes, so that nothing it starts escapes it. */
struct spawn_limits {
    const struct spawn_group *groups; /* that it joins; at most SPAWN_MAX_GROUPS */
    int group_count;
    int nice;                  /* added to this process's; 0 = nothing */
    const char *oom_score_adj; /* "500", as proc(5) takes it, if it can be set; NULL = as it is */
    int64_t file_max_bytes;    /* RLIMIT_FSIZE; 0 = as it is */
    int64_t processes_max;     /* RLIMIT_NPROC; 0 = as it is */
};

enum { SPAWN_FD_NULL = -1, SPAWN_FD_INHERIT = -2, SPAWN_MAX_PASSED = 8, SPAWN_MAX_GROUPS = 8 };

struct spawn_options {
    /* argv[0] with a slash is a path, else it is looked for in PATH of `envp` */
    const char *const *argv;
    const char *const *envp; /* "K=V" list, NULL-terminated; NULL = this process's environment */
    const char *directory;   /* NULL = this process's */
    /* SPAWN_FD_NULL = /dev/null, SPAWN_FD_INHERIT, or a descriptor */
    int stdin_fd, stdout_fd, stderr_fd;
    /* more descriptors, passed as 3, 4, ...; at most SPAWN_MAX_PASSED */
    const int *pass_fds;
    int pass_count;
    bool new_session; /* setsid(): own session and process group */
    /* Linux: sent to the child when this thread's process ends; 0 = none */
    int parent_death_signal;
    bool ignore_sigpipe;               /* SIGPIPE, which else has its default as every signal */
    const struct spawn_limits *limits; /* or NULL */
};

#define SPAWN_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .argv = NULL, .envp = NULL, .directory = NULL, .stdin_fd = SPAWN_FD_NULL,                  \
        .stdout_fd = SPAWN_FD_NULL, .stderr_fd = SPAWN_FD_NULL, .pass_fds = NULL, .pass_count = 0, \
        .new_session = false, .parent_death_signal = 0, .ignore_sigpipe = false, .limits = NULL    \
    }

enum spawn_stage {
    SPAWN_STAGE_NONE,
    SPAWN_STAGE_FORK,
    SPAWN_STAGE_SETUP,
    SPAWN_STAGE_LIMITS,
    SPAWN_STAGE_DIRECTORY,
    SPAWN_STAGE_EXEC
};

struct spawn_failure {
    enum spawn_stage stage;
    int errnum;
};

/* Starts the child; returns its pid, or -1 with `error` and, if not NULL, `failure`. */
pid_t spawn_start(const struct spawn_options *options, struct spawn_failure *failure,
                  GError **error);

/* What spawn_run() collected. `out` and `err` are NUL-terminated, cut at their limits. */
struct spawn_result {
    char *out;
    size_t out_length;
    char *err;
    size_t err_length;
    int wait_status; /* as of waitpid() */
    bool out_truncated;
};
void spawn_result_clear(struct spawn_result *result);

struct spawn_run_options {
    /* stdout_fd and stderr_fd are set by spawn_run(); new_session is implied */
    struct spawn_options spawn;
    const char *input; /* bytes for stdin, or NULL for /dev/null */
    size_t input_length;
    size_t out_limit_bytes; /* what lies beyond is read and dropped, and out_truncated set */
    bool out_is_secret;     /* it is in no memory but result.out, which the caller wipes */
    bool end_at_out_limit;  /* beyond: SIGKILL instead, ERROR_LIMIT; out_truncated is set, too */
    size_t err_limit_bytes; /* beyond: the tail is kept */
    int timeout_ms;         /* -1 = none; at the end the process group gets SIGKILL, ERROR_LIMIT */
    int cancel_fd;          /* when it becomes readable: SIGKILL, ERROR_CANCELED; -1 = none */
};

/* Runs to the end of the leader. Whatever is left of its process group is killed before the leader
 * is reaped. A non-zero exit is a result, not an error. `result` is always safe to clear. */
bool spawn_run(const struct spawn_run_options *options, struct spawn_result *result,
               GError **error);

/* SIGKILL to the process group of an unreaped child that leads it (asserts pgid > 1). */
void spawn_kill_group(pid_t leader, int signal_number);

/* A pidfd for an unreaped child or other process, close-on-exec; -1 where the system has none. */
int spawn_open_pidfd(pid_t pid);

/* "exit 3", "killed by SIGKILL (signal 9)"; free with g_free(). */
char *spawn_format_status(int wait_status);

/* "SIGKILL" for 9; "signal 64" when it has no name. Static or interned string. */
const char *spawn_signal_name(int signal_number);

#endif
