/* Landlock's interface, as linux/landlock.h has it today: the headers of a build may be older than
 * the kernel that it runs on. */
#ifndef PHANTOM_CI_SANDBOX_LANDLOCK_ABI_H
#define PHANTOM_CI_SANDBOX_LANDLOCK_ABI_H

#include <stddef.h>
#include <stdint.h>

struct landlock_ruleset {
    uint64_t files;   /* handled_access_fs */
    uint64_t network; /* handled_access_net, version 4 */
    uint64_t scopes;  /* scoped, version 6 */
};

enum {
    LANDLOCK_EXECUTE_TO_MAKE_SYM = (1 << 13) - 1, /* version 1: thirteen rights */
    LANDLOCK_REFER = 1 << 13,                     /* 2 */
    LANDLOCK_TRUNCATE = 1 << 14,                  /* 3 */
    LANDLOCK_IOCTL_DEV = 1 << 15,                 /* 5 */
    LANDLOCK_BIND_TCP = 1 << 0,                   /* 4 */
    LANDLOCK_ABSTRACT_UNIX = 1 << 0,              /* 6 */
    LANDLOCK_SIGNAL = 1 << 1,                     /* 6 */
};

static inline struct landlock_ruleset landlock_everything_known(int version)
{
    struct landlock_ruleset rules = {.files = LANDLOCK_EXECUTE_TO_MAKE_SYM};
    rules.files |= version >= 2 ? LANDLOCK_REFER : 0;
    rules.files |= version >= 3 ? LANDLOCK_TRUNCATE : 0;
    rules.files |= version >= 5 ? LANDLOCK_IOCTL_DEV : 0;
    rules.network = version >= 4 ? LANDLOCK_BIND_TCP : 0;
    rules.scopes = version >= 6 ? LANDLOCK_ABSTRACT_UNIX | LANDLOCK_SIGNAL : 0;
    return rules;
}

/* As long as the kernel of that version knows the struct: it grew with versions 4 and 6. */
static inline size_t landlock_ruleset_size(int version)
{
    return version >= 6   ? sizeof(struct landlock_ruleset)
           : version >= 4 ? offsetof(struct landlock_ruleset, scopes)
                          : offsetof(struct landlock_ruleset, network);
}

#endif
