#include "sandbox/syscalls.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "sandbox/error.h"

/* clone(2) has its flags first, but for one machine. */
#if defined(__s390__)
enum { CLONE_FLAGS_AT = 1 };
#else
enum { CLONE_FLAGS_AT = 0 };
#endif

static const char *const basic[] = {
    "init_module",   "finit_module",      "delete_module", "kexec_load", "kexec_file_load",
    "bpf",           "perf_event_open",   "userfaultfd",   "add_key",    "request_key",
    "keyctl",        "open_by_handle_at", "swapon",        "swapoff",    "reboot",
    "acct",          "quotactl",          "quotactl_fd",   "syslog",     "settimeofday",
    "clock_settime", "clock_settime64",   "clock_adjtime", "adjtimex",   "iopl",
    "ioperm",        "nfsservctl",        "vhangup",       NULL,
};

static const char *const strict[] = {
    "mount",
    "umount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "name_to_handle_at",
    "fanotify_init",
    "lookup_dcookie",
    "move_pages",
    "migrate_pages",
    "personality",
    NULL,
};

static bool refuse(scmp_filter_ctx filter, int errnum, const char *name, unsigned count,
                   const struct scmp_arg_cmp *arguments, GError **error)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) {
        return true; /* unknown to this libseccomp, and so to the machine's libc */
    }
    int result =
        seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)errnum), call, count, arguments);
    /* -EDOM: a call that this machine does not have */
    return result >= 0 || result == -EDOM ||
           error_set_errno(error, SANDBOX_ERROR, -result,
                           "libseccomp takes no rule for the system call %s", name);
}

static bool refuse_all(scmp_filter_ctx filter, const char *const *names, GError **error)
{
    for (; *names; names++) {
        if (!refuse(filter, EPERM, *names, 0, NULL, error)) {
            return false;
        }
    }
    return true;
}

/* What is put into a terminal's input runs as whoever reads it. The kernel looks at 32 bits alone.
 */
static bool refuse_terminal_input(scmp_filter_ctx filter, GError **error)
{
    static const scmp_datum_t requests[] = {TIOCSTI, TIOCLINUX};
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        const struct scmp_arg_cmp request = SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, requests[i]);
        if (!refuse(filter, EPERM, "ioctl", 1, &request, error)) {
            return false;
        }
    }
    return true;
}

static bool refuse_namespaces(scmp_filter_ctx filter, GError **error)
{
    static const scmp_datum_t flags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                         CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        const struct scmp_arg_cmp flag =
            SCMP_CMP(CLONE_FLAGS_AT, SCMP_CMP_MASKED_EQ, flags[i], flags[i]);
        if (!refuse(filter, EPERM, "clone", 1, &flag, error)) {
            return false;
        }
    }
    return refuse(filter, ENOSYS, "clone3", 0, NULL, error);
}

/* 32-bit programs of the same machine are held to the same rules. */
static bool add_architectures(scmp_filter_ctx filter, GError **error)
{
    static const uint32_t twins[][2] = {{SCMP_ARCH_X86_64, SCMP_ARCH_X86},
                                        {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM}};
    for (unsigned i = 0; i < G_N_ELEMENTS(twins); i++) {
        int result =
            seccomp_arch_native() == twins[i][0] ? seccomp_arch_add(filter, twins[i][1]) : 0;
        if (result < 0 && result != -EEXIST) {
            return error_set_errno(error, SANDBOX_ERROR, -result,
                                   "libseccomp does not know this machine's 32-bit programs");
        }
    }
    return true;
}

static bool fill(scmp_filter_ctx filter, enum syscalls_filter kind, GError **error)
{
    return add_architectures(filter, error) && refuse_all(filter, basic, error) &&
           refuse_terminal_input(filter, error) &&
           (kind == SYSCALLS_BASIC ||
            (refuse_all(filter, strict, error) && refuse_namespaces(filter, error)));
}

static int make_filter(enum syscalls_filter kind, GError **error)
{
    auto_fd fd = memfd_create("phantom_ci-filter", MFD_CLOEXEC);
    if (fd < 0) {
        error_set_errno(error, SANDBOX_ERROR, errno, "cannot make a file for the filter");
        return -1;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool good = filter && fill(filter, kind, error);
    int result = good ? seccomp_export_bpf(filter, fd) : 0;
    seccomp_release(filter);
    if (!filter || result < 0 || (good && lseek(fd, 0, SEEK_SET) < 0)) {
        error_set_errno(error, SANDBOX_ERROR, result < 0 ? -result : ENOMEM,
                        "libseccomp makes no filter");
        return -1;
    }
    return good ? g_steal_fd(&fd) : -1;
}

int syscalls_filter_open(enum syscalls_filter kind, GError **error)
{
    /* Made once a process: it is the same for each step, and takes milliseconds. */
    static int made[] = {[SYSCALLS_BASIC] = -1, [SYSCALLS_STRICT] = -1};
    if (made[kind] < 0) {
        made[kind] = make_filter(kind, error);
    }
    if (made[kind] < 0) {
        return -1;
    }
    /* Its position is shared with the one before, which has been read to its end. */
    int fd = fcntl(made[kind], F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        error_set_errno(error, SANDBOX_ERROR, errno, "cannot use the filter again");
        fd_close(&fd);
    }
    return fd;
}

#else

#include "base/error.h"
#include "sandbox/error.h"

int syscalls_filter_open(enum syscalls_filter kind, GError **error)
{
    (void)kind;
    g_set_error_literal(error, SANDBOX_ERROR, ERROR_SYSTEM,
                        "system call filters are a matter of Linux");
    return -1;
}

#endif
