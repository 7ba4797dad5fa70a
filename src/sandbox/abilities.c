#include "sandbox/abilities.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "base/clock.h"
#include "base/fd.h"
#include "base/spawn.h"

enum { TROUBLE_MAX_BYTES = 4096, TRY_MS = 10000 };

enum { WAIT_STEP_MS = 20 };

/* ---------------------------------------------------------- user namespaces */

#ifdef __linux__
/* Reaps. The exit code, or -1 when the child had to be killed. */
static int wait_bounded(pid_t child, int timeout_ms)
{
    int64_t end_ms = clock_monotonic_ms() + timeout_ms;
    int status = 0;
    auto_fd pidfd = spawn_open_pidfd(child);
    for (;;) {
        pid_t reaped = waitpid(child, &status, WNOHANG);
        if (reaped == child) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            kill(child, SIGKILL);
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
            return -1;
        }
        struct pollfd item = {.fd = pidfd, .events = POLLIN};
        poll(&item, 1, (int)(pidfd >= 0 ? left_ms : MIN(left_ms, WAIT_STEP_MS)));
    }
}
#endif

char *abilities_find_bubblewrap(void)
{
    /* The system's one first: a step must not be able to put another in its place. */
    static const char *const places[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"};
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return g_strdup(places[i]);
        }
    }
    g_autofree char *found = g_find_program_in_path("bwrap");
    return found && g_path_is_absolute(found) ? g_steal_pointer(&found) : NULL;
}

bool abilities_can_mount_proc(const char *bubblewrap)
{
    const char *const argv[] = {bubblewrap, "--unshare-user", "--unshare-pid", "--ro-bind", "/",
                                "/",        "--proc",         "/proc",         "true",      NULL};
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .err_limit_bytes = TROUBLE_MAX_BYTES,
                                        .timeout_ms = TRY_MS,
                                        .cancel_fd = -1};
    struct spawn_result result = {0};
    options.spawn.argv = argv;
    bool refused = spawn_run(&options, &result, NULL) && result.wait_status != 0 &&
                   strstr(result.err, "Can't mount proc");
    spawn_result_clear(&result);
    return !refused;
}

int abilities_try_user_namespace(int timeout_ms)
{
#ifdef __linux__
    pid_t child = fork();
    if (child < 0) {
        return errno;
    }
    if (child == 0) {
        /* errno values of the kernel fit into an exit code; those above do not come from here */
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : MIN(errno, 255));
    }
    int code = wait_bounded(child, timeout_ms);
    return code < 0 ? ETIMEDOUT : code;
#else
    (void)timeout_ms;
    return ENOSYS;
#endif
}

/* ------------------------------------------------------- Landlock, seccomp */

int abilities_landlock_abi(void)
{
#if defined(__linux__) && defined(SYS_landlock_create_ruleset)
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
#else
    return 0;
#endif
}

bool abilities_has_seccomp(void)
{
#ifdef __linux__
    /* EINVAL without CONFIG_SECCOMP; a process under a strict filter would not come so far. */
    bool has_mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
    /* Since 4.14, with CONFIG_SECCOMP_FILTER. */
    return has_mode && access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0;
#else
    return false;
#endif
}
