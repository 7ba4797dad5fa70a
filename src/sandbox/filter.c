#include "sandbox/filter.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "sandbox/error.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_SANITIZER 1
#endif

/* clone(2) has its flags first, but for one machine. */
#if defined(__s390__)
enum { CLONE_FLAGS_AT = 1 };
#else
enum { CLONE_FLAGS_AT = 0 };
#endif

/* With any arguments. Names that this machine or this libseccomp does not know are left out: the
 * list is for all of them. */
static const char *const allowed[] = {
    /* descriptors that are there */
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "close",
    "lseek",
    "_llseek",
    "poll",
    "ppoll",
    "ppoll_time64",
    "select",
    "_newselect",
    "pselect6",
    "pselect6_time64",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "eventfd2",
    "pipe",
    "pipe2",
    /* files: what may be opened is decided below and by Landlock */
    "fstat",
    "fstat64",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "fstatfs",
    "fstatfs64",
    "statfs",
    "statfs64",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    /* connections: what sockets there are is decided below */
    "connect",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "recvmmsg_time64",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
#ifndef __GLIBC__
    "bind", /* musl's resolver binds its UDP socket to port 0; listen is refused all the same */
#endif
    /* memory and threads */
    "mmap",
    "mmap2",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "membarrier",
    "futex",
    "futex_time64",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "exit",
    "exit_group",
    "gettid",
    "arch_prctl",
    "set_thread_area",
    "set_tls",
    /* signals to itself: tgkill is decided below */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigreturn",
    "sigaltstack",
    "restart_syscall",
    /* time and chance */
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "clock_getres_time64",
    "gettimeofday",
    "time",
    "nanosleep",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getrandom",
    /* who and where this is */
    "getpid",
    "getppid",
    "getuid",
    "getuid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getegid",
    "getegid32",
    "uname",
    "sysinfo",
    "getrlimit",
    "ugetrlimit",
    "getrusage",
    "getcpu",
#ifdef WITH_SANITIZER
    "personality",
    "times",
    "sched_getparam",
#endif
};

/* Fails as it would on a kernel without it, so that libc takes the older call, which can be looked
 * into: their arguments lie behind a pointer. */
static const char *const absent[] = {"clone3", "openat2"};

static bool add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *arguments, GError **error)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) {
        return true;
    }
    int result = seccomp_rule_add_array(filter, action, call, count, arguments);
    /* -EDOM: a call that this machine does not have */
    if (result < 0 && result != -EDOM) {
        return error_set_errno(error, SANDBOX_ERROR, -result,
                               "libseccomp takes no rule for the system call %s", name);
    }
    return true;
}

static bool add_tables(scmp_filter_ctx filter, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (!add(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
        if (!add(filter, SCMP_ACT_ERRNO(ENOSYS), absent[i], 0, NULL, error)) {
            return false;
        }
    }
    return true;
}

/* Reading only: no O_WRONLY, O_RDWR, O_CREAT, O_TRUNC; O_TMPFILE needs one of the first two. */
static bool add_opening(scmp_filter_ctx filter, GError **error)
{
    const scmp_datum_t writes = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
    const struct scmp_arg_cmp of_open = SCMP_A1(SCMP_CMP_MASKED_EQ, writes, O_RDONLY);
    const struct scmp_arg_cmp of_openat = SCMP_A2(SCMP_CMP_MASKED_EQ, writes, O_RDONLY);
    return add(filter, SCMP_ACT_ALLOW, "open", 1, &of_open, error) &&
           add(filter, SCMP_ACT_ALLOW, "openat", 1, &of_openat, error);
}

/* TCP and UDP over IPv4 and IPv6, and for libcurl's own wake-ups a pair that leads nowhere else. */
static bool add_sockets(scmp_filter_ctx filter, GError **error)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM};
    const scmp_datum_t kind_mask = (uint32_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (unsigned i = 0; i < G_N_ELEMENTS(families); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
            const struct scmp_arg_cmp arguments[] = {
                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
                SCMP_A1(SCMP_CMP_MASKED_EQ, kind_mask, (scmp_datum_t)kinds[k]),
            };
            if (!add(filter, SCMP_ACT_ALLOW, "socket", 2, arguments, error)) {
                return false;
            }
        }
    }
    const struct scmp_arg_cmp pair = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
    return add(filter, SCMP_ACT_ALLOW, "socketpair", 1, &pair, error);
}

/* Threads of this process, no processes; signals to itself (abort), to nobody else. */
static bool add_threads(scmp_filter_ctx filter, GError **error)
{
    const struct scmp_arg_cmp thread =
        SCMP_CMP(CLONE_FLAGS_AT, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    const struct scmp_arg_cmp name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);
    /* prlimit64 on itself, and without new values */
    const struct scmp_arg_cmp limits[] = {SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0)};
    return add(filter, SCMP_ACT_ALLOW, "clone", 1, &thread, error) &&
           add(filter, SCMP_ACT_ALLOW, "tgkill", 1, &self, error) &&
           add(filter, SCMP_ACT_ALLOW, "prctl", 1, &name, error) &&
           add(filter, SCMP_ACT_ALLOW, "prlimit64", 2, limits, error);
}

static bool add_controls(scmp_filter_ctx filter, GError **error)
{
    static const int fcntls[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};
    static const unsigned long ioctls[] = {FIONREAD, FIONBIO};
    static const char *const fcntl_names[] = {"fcntl", "fcntl64"};
    for (unsigned i = 0; i < G_N_ELEMENTS(fcntls); i++) {
        const struct scmp_arg_cmp what = SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]);
        for (unsigned n = 0; n < G_N_ELEMENTS(fcntl_names); n++) {
            if (!add(filter, SCMP_ACT_ALLOW, fcntl_names[n], 1, &what, error)) {
                return false;
            }
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ioctls); i++) {
        const struct scmp_arg_cmp what = SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)ioctls[i]);
        if (!add(filter, SCMP_ACT_ALLOW, "ioctl", 1, &what, error)) {
            return false;
        }
    }
    return true;
}

bool filter_network_client(GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return error_set_errno(error, SANDBOX_ERROR, ENOMEM, "libseccomp makes no filter");
    }
    bool good = add_tables(filter, error) && add_opening(filter, error) &&
                add_sockets(filter, error) && add_threads(filter, error) &&
                add_controls(filter, error);
    int result = good ? seccomp_load(filter) : 0;
    seccomp_release(filter);
    if (result < 0) {
        return error_set_errno(error, SANDBOX_ERROR, -result,
                               "this kernel takes no seccomp filter (CONFIG_SECCOMP_FILTER), and "
                               "phantom_ci-net does not run without one");
    }
    return good;
}

#else
/* An empty file is no C. */
typedef int filter_is_linux_only;
#endif
