/*
 * Runs a program as on a kernel that gives no new user namespace: unshare(2) and clone(2) with
 * CLONE_NEWUSER fail with EPERM, clone3(2) with ENOSYS, and so do Landlock and openat2(2). For
 * tests: what needs them must be refused, never done without.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

static int deny(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp user = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER);
    static const char *const absent[] = {"clone3", "openat2", "landlock_create_ruleset"};
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, user) |
                 seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, user);
    for (unsigned i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
        int call = seccomp_syscall_resolve_name(absent[i]);
        result |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
    }
    return result;
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (argc < 2 || !filter || deny(filter) < 0 || seccomp_load(filter) < 0) {
        fputs("usage: without_namespaces PROGRAM ARGUMENTS...\n", stderr);
        return 125;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
