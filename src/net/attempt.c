#include "net/attempt.h"

#ifdef PHANTOM_CI_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#include <sys/prctl.h>
#endif

static int errno_unless(bool worked)
{
    return worked ? 0 : errno;
}

static int try_open(const char *path, int flags)
{
    return errno_unless(open(path, flags | O_CLOEXEC, 0600) >= 0);
}

static int try_read(const char *path)
{
    return try_open(path, O_RDONLY);
}

static int try_list(const char *path)
{
    return try_open(path, O_RDONLY | O_DIRECTORY);
}

static int try_write(const char *path)
{
    return try_open(path, O_WRONLY);
}

static int try_append(const char *path)
{
    return try_open(path, O_RDWR | O_APPEND);
}

static int try_empty(const char *path)
{
    return try_open(path, O_RDONLY | O_TRUNC);
}

static int try_truncate(const char *path)
{
    return errno_unless(truncate(path, 0) == 0);
}

static char *beside(const char *path)
{
    return g_strconcat(path, ".new", NULL);
}

static int try_create(const char *path)
{
    g_autofree char *other = beside(path);
    return try_open(other, O_WRONLY | O_CREAT | O_EXCL);
}

static int try_rename(const char *path)
{
    g_autofree char *other = beside(path);
    return errno_unless(rename(path, other) == 0);
}

static int try_link(const char *path)
{
    g_autofree char *other = beside(path);
    return errno_unless(link(path, other) == 0);
}

static int try_symlink(const char *path)
{
    g_autofree char *other = beside(path);
    return errno_unless(symlink(path, other) == 0);
}

static int try_mkdir(const char *path)
{
    g_autofree char *other = beside(path);
    return errno_unless(mkdir(other, 0700) == 0);
}

static int try_mkfifo(const char *path)
{
    g_autofree char *other = beside(path);
    return errno_unless(mkfifo(other, 0600) == 0);
}

static int try_unlink(const char *path)
{
    return errno_unless(unlink(path) == 0);
}

static int try_chmod(const char *path)
{
    return errno_unless(chmod(path, 0644) == 0);
}

static int try_exec(const char *path)
{
    char *const argv[] = {(char *)path, NULL};
    char *const envp[] = {NULL};
    execve(path, argv, envp);
    return errno;
}

/* What counts is the process that was made: to wait for it is another call. */
static int try_fork(const char *path)
{
    (void)path;
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    int result = errno_unless(child > 0);
    waitpid(child, NULL, 0);
    return result;
}

static int try_fork_exec(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        _exit(try_exec(path));
    }
    int result = errno_unless(child > 0);
    int status = 0;
    if (result == 0 && waitpid(child, &status, 0) == child) {
        result = WIFEXITED(status) ? WEXITSTATUS(status) : EINVAL;
    }
    return result;
}

/* A socket that is bound (or not) and listens; on Linux listen() binds by itself. */
static int try_listen_after(bool binds)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || (binds && bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)) {
        return errno;
    }
    return errno_unless(listen(fd, 1) == 0);
}

static int try_bind(const char *path)
{
    (void)path;
    return try_listen_after(true);
}

static int try_listen(const char *path)
{
    (void)path;
    return try_listen_after(false);
}

static int try_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return errno;
    }
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    return errno_unless(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

static int try_kill(const char *path)
{
    (void)path;
    return errno_unless(kill(getppid(), 0) == 0);
}

static int try_ptrace(const char *path)
{
    (void)path;
#ifdef __linux__
    return errno_unless(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
#else
    return errno_unless(ptrace(PT_TRACE_ME, 0, NULL, 0) == 0);
#endif
}

#ifdef __linux__
static int try_netlink(const char *path)
{
    (void)path;
    return errno_unless(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
}

static int try_memfd(const char *path)
{
    return errno_unless(memfd_create(path, MFD_CLOEXEC) >= 0);
}

static int try_undump(const char *path)
{
    (void)path;
    return errno_unless(prctl(PR_SET_DUMPABLE, 1) == 0);
}

/* What would be open to others of the same user: core files, ptrace, /proc/PID/mem. */
static int try_dumpable(const char *path)
{
    (void)path;
    int dumpable = prctl(PR_GET_DUMPABLE);
    return dumpable < 0 ? errno : dumpable == 1 ? 0 : ESRCH;
}
#endif

int attempt(const char *act, const char *path)
{
    static const struct {
        const char *name;
        int (*try)(const char *path);
    } acts[] = {
        {"read", try_read},         {"list", try_list},           {"write", try_write},
        {"append", try_append},     {"empty", try_empty},         {"truncate", try_truncate},
        {"create", try_create},     {"rename", try_rename},       {"link", try_link},
        {"symlink", try_symlink},   {"mkdir", try_mkdir},         {"mkfifo", try_mkfifo},
        {"unlink", try_unlink},     {"chmod", try_chmod},         {"exec", try_exec},
        {"fork", try_fork},         {"fork-exec", try_fork_exec}, {"bind", try_bind},
        {"listen", try_listen},     {"unix", try_unix},           {"kill", try_kill},
        {"ptrace", try_ptrace},
#ifdef __linux__
        {"netlink", try_netlink},   {"memfd", try_memfd},         {"undump", try_undump},
        {"dumpable", try_dumpable},
#endif
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(acts); i++) {
        if (strcmp(acts[i].name, act) == 0) {
            return acts[i].try(path ? path : "");
        }
    }
    return ATTEMPT_UNKNOWN;
}

#else
/* An empty file is no C. */
typedef int attempt_is_not_built;
#endif
