/*
 * Control groups for the steps of a job, of version 2 where this process's group was delegated to
 * it, of version 1 where this user may make groups, or both (the "hybrid" layout).
 *
 * 1. cgroup_find_places() once a job: the directories in which groups can be made, and what each of
 *    them can do. Version 2 lets no group have both processes and controllers for its children, so
 *    the limits of version 2 are to be had where the daemon was started in a group of its own below
 *    the delegated one: CGROUP_OWN_NAME, which systemd makes (DelegateSubgroup=). The groups of the
 *    steps are then its siblings.
 * 2. cgroup_new() for each step names the groups, without making them: their directories are to be
 *    recorded first (base/job_group.h). cgroup_make() makes them and sets the limits.
 * 3. The leader joins by cgroup_groups() (struct spawn_limits).
 * 4. When everything in them has ended, cgroup_read() tells what the step took, and which limits it
 *    ran into; then job_group_remove() and cgroup_free().
 */
#ifndef PHANTOM_CI_SANDBOX_CGROUP_H
#define PHANTOM_CI_SANDBOX_CGROUP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The group that the unit of the service asks for with DelegateSubgroup=. */
#define CGROUP_OWN_NAME "phantom_ci"

/* What a place can do, as bits. */
enum cgroup_ability {
    CGROUP_MEMORY = 1 << 0,
    CGROUP_PIDS = 1 << 1,
    CGROUP_CPU = 1 << 2,
    CGROUP_CPU_TIME = 1 << 3, /* tell the time that was used */
    CGROUP_END = 1 << 4,      /* end everything in a group at once: cgroup.kill, freezer */
};

struct cgroup_place {
    char *directory;    /* groups are made in it */
    bool unified;       /* version 2 */
    unsigned abilities; /* bits of enum cgroup_ability */
};

/* Of the texts of /proc/<pid>/cgroup and /proc/self/mountinfo: the places of that process, whether
 * or not they can be used; of version 2 its own group, without controllers. Pure. An array of
 * struct cgroup_place *. */
GPtrArray *cgroup_parse_places(const char *membership, const char *mounts);

/* Those of this process (`pid` 0) or another that this user can make groups in. In a place of
 * version 2 the controllers that it can have for its children are switched on. */
GPtrArray *cgroup_find_places(int pid);

/* All bits of all places. */
unsigned cgroup_abilities(const GPtrArray *places);

/* 0 = no limit. */
struct cgroup_limits {
    int64_t memory_bytes; /* no swap on top of it */
    int64_t pids;
    int cpu_milli; /* thousandths of a processor */
};

struct cgroup;
struct cgroup *cgroup_new(const GPtrArray *places, const char *name);
void cgroup_free(struct cgroup *cgroup);

/* NULL-terminated; after cgroup_make() those that it has not left out. */
const char *const *cgroup_directories(const struct cgroup *cgroup);

/* Makes the groups that are needed: none for what another of them does already, none for a limit
 * that is not asked for. Returns the bits of the limits that the
 * kernel now keeps to (MEMORY, PIDS, CPU, each only if asked for) and of END and CPU_TIME. */
unsigned cgroup_make(struct cgroup *cgroup, const struct cgroup_limits *limits);

/* Those that are made, for struct spawn_limits. */
const struct spawn_group *cgroup_groups(const struct cgroup *cgroup, int *count);

struct cgroup_figures {
    int64_t memory_peak_bytes, pids_peak, cpu_us; /* -1 = unknown */
    int64_t oom_kills;       /* processes that the kernel killed for want of memory */
    int64_t memory_refusals; /* how often its own limit was in the way; Linux 6.18 does not count
                              * that in version 1 */
    int64_t pids_refusals;   /* forks and new threads that its own limit refused */
};
void cgroup_read(const struct cgroup *cgroup, struct cgroup_figures *figures);

/* The number behind `key` in lines of "key number"; false when there is none. Pure. */
bool cgroup_parse_flat(const char *text, const char *key, int64_t *number);

#endif
