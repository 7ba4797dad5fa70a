/* How this machine keeps to the limits of jobs: tried, with groups that are gone a moment later. */
#include <sys/wait.h>
#include <unistd.h>

#include "base/job_group.h"
#include "commands/doctor.h"
#include "commands/service_manager.h"
#include "sandbox/cgroup.h"

enum { TRIED_PIDS = 64, TRIED_CPU_MILLI = 1000, GROUP_PATIENCE_MS = 1000, ERR_LIMIT_BYTES = 4096 };
#define TRIED_MEMORY_BYTES (256LL << 20)

static const char mend[] = "run it as a service of systemd 254 or newer (phantom_ci configure "
                           "service), or as root with control groups of version 1";

/* Whether a program starts with these limits; the words of what goes wrong otherwise. */
static bool try_limits(const struct spawn_limits *limits, GError **error)
{
    static const char *const argv[] = {"true", NULL};
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .err_limit_bytes = ERR_LIMIT_BYTES,
                                        .timeout_ms = DOCTOR_PROGRAM_MS,
                                        .cancel_fd = -1};
    struct spawn_result result = {0};
    options.spawn.argv = argv;
    options.spawn.limits = limits;
    bool good = spawn_run(&options, &result, error);
    spawn_result_clear(&result);
    return good;
}

/* What is kept to, as bits. In another process's place nothing is started: to move a process there
 * needs rights on the way to it, which only that process has. */
static unsigned try_places(const GPtrArray *places, bool are_ours)
{
    const struct cgroup_limits wanted = {TRIED_MEMORY_BYTES, TRIED_PIDS, TRIED_CPU_MILLI};
    g_autofree char *name = g_strdup_printf("phantom_ci-doctor-%d", (int)getpid());
    struct cgroup *cgroup = cgroup_new(places, name);
    unsigned kept = cgroup_make(cgroup, &wanted);
    struct spawn_limits limits = {.nice = 0};
    limits.groups = cgroup_groups(cgroup, &limits.group_count);
    if (are_ours && !try_limits(&limits, NULL)) {
        kept = 0;
    }
    job_group_kill(cgroup_directories(cgroup), GROUP_PATIENCE_MS);
    job_group_remove(cgroup_directories(cgroup));
    cgroup_free(cgroup);
    return kept;
}

static bool asks_for_memory(const struct repo_config *repo)
{
    return repo->memory_max_bytes > 0;
}

static bool asks_for_pids(const struct repo_config *repo)
{
    return repo->pids_max > 0;
}

static bool asks_for_cpu(const struct repo_config *repo)
{
    return repo->cpu_max_milli > 0;
}

static bool asks_for_nice(const struct repo_config *repo)
{
    return repo->nice > 0;
}

static bool any_section(const struct doctor *doctor, bool (*asks)(const struct repo_config *repo))
{
    const GPtrArray *repos = doctor->context->config ? doctor->context->config->repos : NULL;
    for (unsigned i = 0; repos && i < repos->len; i++) {
        if (asks(g_ptr_array_index(repos, i))) {
            return true;
        }
    }
    return false;
}

static void report_limits(struct doctor *doctor, unsigned kept)
{
    static const struct {
        const char *key;
        unsigned ability;
        const char *otherwise;
        bool (*asks)(const struct repo_config *repo);
        bool is_trouble; /* it is not kept to at all */
    } limits[] = {
        {"memory_max", CGROUP_MEMORY, "is kept to by looking at the processes five times a second",
         asks_for_memory, false},
        {"pids_max", CGROUP_PIDS, "is kept to by looking at the processes five times a second",
         asks_for_pids, false},
        {"cpu_max", CGROUP_CPU, "can't be kept to", asks_for_cpu, true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        bool trouble = limits[i].is_trouble && any_section(doctor, limits[i].asks);
        if (kept & limits[i].ability) {
            doctor_add(doctor, DOCTOR_INFO, "sandbox", limits[i].key, NULL,
                       "is kept to by the kernel");
        } else {
            doctor_add(doctor, trouble ? DOCTOR_WARN : DOCTOR_INFO, "sandbox", limits[i].key, mend,
                       "%s", limits[i].otherwise);
        }
    }
    doctor_add(doctor, DOCTOR_INFO, "sandbox", "ends of jobs", kept & CGROUP_END ? NULL : mend,
               kept & CGROUP_END ? "all processes of a step are ended at once, by its control group"
                                 : "the processes of a step are found and ended one by one");
}

static void check_nice(struct doctor *doctor)
{
    const struct spawn_limits limits = {.nice = 1};
    g_autoptr(GError) error = NULL;
    if (try_limits(&limits, &error)) {
        doctor_add(doctor, DOCTOR_INFO, "sandbox", "nice", NULL, "can be set");
        return;
    }
    doctor_add(doctor, any_section(doctor, asks_for_nice) ? DOCTOR_FAIL : DOCTOR_INFO, "sandbox",
               "nice",
               "in the service: systemctl edit phantom_ci, [Service], SystemCallFilter=setpriority",
               "%s", error->message);
}

void doctor_check_limits(struct doctor *doctor)
{
    doctor_look_at(doctor, "control groups");
    pid_t daemon = service_lock_holder(&doctor->context->paths);
    g_autoptr(GPtrArray) places = cgroup_find_places(daemon);
    g_autoptr(GString) where = g_string_new(NULL);
    for (unsigned i = 0; i < places->len; i++) {
        const struct cgroup_place *place = g_ptr_array_index(places, i);
        g_string_append_printf(where, "%s%s", i > 0 ? ", " : "", place->directory);
    }
    doctor_add(doctor, DOCTOR_INFO, "sandbox", "control groups", places->len > 0 ? NULL : mend,
               places->len > 0 ? "can be made in %s%s" : "can't be made%s%s", where->str,
               daemon > 0 ? ", for the daemon" : "");
    report_limits(doctor, try_places(places, daemon == 0));
    check_nice(doctor);
}
