#include "job/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/job_group.h"
#include "base/units.h"
#include "sandbox/cgroup.h"

/* Above a daemon's 0 and what a desktop gives, below what is killed first by anybody's wish. */
#define STEP_OOM_SCORE 500

enum {
    SANDBOX_PROCESSES = 2, /* bubblewrap and phantom_ci-sandbox */
    TAKEN_LOOK_MS = 200,
    DISK_LOOK_MS = 500, /* between two walks, and at least ten times as long as one took */
    DISK_REST_FACTOR = 10,
    DISK_BITE_MS = 10, /* a fifth of the time, while a walk is under way */
    DISK_BREATH_MS = 40,
    LAST_WALK_BITE_MS = 1000,
    END_PATIENCE_MS = 5000,
    HUGE_PAGES_BYTES = 4 << 20,
};

struct limits {
    const struct repo_config *repo;
    const struct paths *paths;
    int64_t job;
    const char *workspace, *temporary;
    int64_t own_pids; /* of the sandbox */
    char *group_name;
    GPtrArray *places;
    bool raises_oom_score;
    bool note_taken;
    /* Of the step: */
    struct cgroup *cgroup;
    unsigned kept; /* bits: what the kernel keeps to */
    int64_t next_taken_ms, next_disk_ms;
    struct tree_size *walk; /* under way, or NULL */
    int64_t walk_began_ms;
    int64_t taken_peak_bytes, taken_peak_tasks; /* as far as it was looked at */
};

static bool can_raise_oom_score(void)
{
    size_t length = 0;
    g_autofree char *text = file_read("/proc/self/oom_score_adj", 64, &length, NULL);
    return text && strtol(text, NULL, 10) < STEP_OOM_SCORE;
}

struct limits *limits_new(const struct repo_config *repo, const struct paths *paths, int64_t job,
                          const char *workspace, const char *temporary, bool in_sandbox)
{
    struct limits *limits = g_new0(struct limits, 1);
    limits->repo = repo;
    limits->paths = paths;
    limits->job = job;
    limits->workspace = workspace;
    limits->temporary = temporary;
    limits->own_pids = in_sandbox ? SANDBOX_PROCESSES : 0;
    limits->group_name = job_group_name(paths->state, job);
    limits->places = cgroup_find_places(0);
    limits->raises_oom_score = can_raise_oom_score();
    limits->next_taken_ms = INT64_MAX;
    limits->next_disk_ms = INT64_MAX;
    return limits;
}

void limits_free(struct limits *limits)
{
    if (limits) {
        tree_size_free(limits->walk);
        cgroup_free(limits->cgroup);
        g_ptr_array_unref(limits->places);
        g_free(limits->group_name);
        g_free(limits);
    }
}

/* ------------------------------------------------------------------- begin */

/* The groups are named in the record before they are made. Without a record they are not made: a
 * group that nobody would find could hold a step for ever. */
static void make_groups(struct limits *limits)
{
    const struct repo_config *repo = limits->repo;
    const struct cgroup_limits wanted = {
        .memory_bytes = repo->memory_max_bytes,
        .pids = repo->pids_max > 0 ? repo->pids_max + limits->own_pids : 0,
        .cpu_milli = repo->cpu_max_milli,
    };
    limits->kept = 0;
    limits->cgroup = cgroup_new(limits->places, limits->group_name);
    const char *const *directories = cgroup_directories(limits->cgroup);
    if (*directories && job_group_record(limits->paths, limits->job, directories, NULL)) {
        limits->kept = cgroup_make(limits->cgroup, &wanted);
    }
}

/* What has to be looked at, because the kernel does not keep to it. */
static bool watches_memory(const struct limits *limits)
{
    return limits->repo->memory_max_bytes > 0 && !(limits->kept & CGROUP_MEMORY);
}

static bool watches_pids(const struct limits *limits)
{
    return limits->repo->pids_max > 0 && !(limits->kept & CGROUP_PIDS);
}

void limits_begin(struct limits *limits, struct spawn_limits *spawn)
{
    const struct repo_config *repo = limits->repo;
    make_groups(limits);
    *spawn = (struct spawn_limits){
        .nice = repo->nice,
        .oom_score_adj = limits->raises_oom_score ? G_STRINGIFY(STEP_OOM_SCORE) : NULL,
        .file_max_bytes = repo->disk_max_bytes,
    };
    spawn->groups = cgroup_groups(limits->cgroup, &spawn->group_count);
    if (fault_point("limits.join")) {
        static const struct spawn_group closed = {.fd = -1};
        spawn->groups = &closed;
        spawn->group_count = 1;
    }
    limits->taken_peak_bytes = 0;
    limits->taken_peak_tasks = 0;
    limits->next_taken_ms = INT64_MAX;
    limits->next_disk_ms = INT64_MAX;
    int64_t now_ms = clock_monotonic_ms();
    if (watches_memory(limits) || watches_pids(limits)) {
        limits->next_taken_ms = now_ms;
    }
    if (repo->disk_max_bytes > 0) {
        limits->next_disk_ms = now_ms;
    }
    /* The kernel's own limit counts all of the user, so it stands far enough away not to hit
     * anybody else, and near enough to stop what forks faster than it is looked at. Root has none.
     */
    if (watches_pids(limits) && geteuid() != 0) {
        spawn->processes_max =
            reap_count_tasks_of_user() + 2 * (int64_t)repo->pids_max + limits->own_pids;
    }
}

bool limits_give_groups_up(struct limits *limits, struct spawn_limits *spawn)
{
    if (limits->places->len == 0) {
        return false;
    }
    g_ptr_array_set_size(limits->places, 0);
    g_clear_pointer(&limits->cgroup, cgroup_free);
    job_group_end(limits->paths, limits->job, END_PATIENCE_MS);
    limits_begin(limits, spawn);
    return true;
}

char *limits_take_note(struct limits *limits)
{
    const struct repo_config *repo = limits->repo;
    g_autoptr(GString) note = g_string_new(NULL);
    if (limits->note_taken) {
        return NULL;
    }
    limits->note_taken = true;
    if (watches_memory(limits) || watches_pids(limits)) {
        g_string_append_printf(note,
                               "%s kept to by looking five times a second, for no control groups "
                               "can be had here (see phantom_ci doctor)",
                               !watches_pids(limits)     ? "memory_max is"
                               : !watches_memory(limits) ? "pids_max is"
                                                         : "memory_max and pids_max are");
    }
    if (repo->cpu_max_milli > 0 && !(limits->kept & CGROUP_CPU)) {
        g_string_append_printf(note,
                               "%scpu_max is not kept to, for no control groups can be had here "
                               "(see phantom_ci doctor)",
                               note->len > 0 ? "; " : "");
    }
    return note->len > 0 ? g_string_free(g_steal_pointer(&note), FALSE) : NULL;
}

/* -------------------------------------------------------------------- look */

static char *over_memory(const struct limits *limits, int64_t bytes)
{
    g_autofree char *limit = units_format_size(limits->repo->memory_max_bytes);
    g_autofree char *found = units_format_size(bytes);
    return g_strdup_printf("memory_max is %s, and its processes had %s", limit, found);
}

static char *look_at_processes(struct limits *limits)
{
    struct reap_usage usage;
    reap_measure(&usage);
    usage.tasks = MAX(usage.tasks - limits->own_pids, 0);
    limits->taken_peak_tasks = MAX(limits->taken_peak_tasks, usage.tasks);
    if (watches_pids(limits) && usage.tasks > limits->repo->pids_max) {
        return g_strdup_printf("pids_max is %d, and it had %" G_GINT64_FORMAT
                               " processes and threads",
                               limits->repo->pids_max, usage.tasks);
    }
    int64_t limit = limits->repo->memory_max_bytes;
    int64_t bytes = usage.memory_bytes;
    if (watches_memory(limits) && bytes > limit) {
        bytes = reap_measure_shared_bytes();
    }
    limits->taken_peak_bytes = MAX(limits->taken_peak_bytes, bytes);
    return watches_memory(limits) && bytes > limit ? over_memory(limits, bytes) : NULL;
}

/* Where all that its file system holds is less than the limit, nothing need be counted. */
static bool has_room(const char *path, int64_t limit)
{
    struct statvfs status;
    return statvfs(path, &status) == 0 && status.f_blocks > 0 &&
           (int64_t)(status.f_blocks - status.f_bfree) <=
               limit / 2 / (int64_t)MAX(status.f_frsize, 1);
}

static char *over_disk(const struct limits *limits, int64_t bytes)
{
    g_autofree char *limit = units_format_size(limits->repo->disk_max_bytes);
    g_autofree char *found = units_format_size(bytes);
    return g_strdup_printf("disk_max is %s, and workspace and TMPDIR hold %s", limit, found);
}

static struct tree_size *begin_walk(const struct limits *limits)
{
    struct tree_size *walk = tree_size_new();
    tree_size_add(walk, AT_FDCWD, limits->workspace);
    tree_size_add(walk, AT_FDCWD, limits->temporary);
    return walk;
}

static void end_walk(struct limits *limits, int64_t now_ms)
{
    int64_t took_ms = now_ms - limits->walk_began_ms;
    limits->next_disk_ms = now_ms + MAX(DISK_LOOK_MS, took_ms * DISK_REST_FACTOR);
    g_clear_pointer(&limits->walk, tree_size_free);
}

static char *look_at_disk(struct limits *limits, int64_t now_ms)
{
    int64_t limit = limits->repo->disk_max_bytes;
    if (!limits->walk) {
        limits->walk_began_ms = now_ms;
        if (has_room(limits->workspace, limit) && has_room(limits->temporary, limit)) {
            end_walk(limits, now_ms);
            return NULL;
        }
        limits->walk = begin_walk(limits);
    }
    bool done = tree_size_walk(limits->walk, DISK_BITE_MS);
    int64_t bytes = tree_size_bytes(limits->walk);
    limits->next_disk_ms = clock_monotonic_ms() + DISK_BREATH_MS;
    if (done || bytes > limit) {
        end_walk(limits, clock_monotonic_ms());
    }
    return bytes > limit ? over_disk(limits, bytes) : NULL;
}

char *limits_look(struct limits *limits, int64_t now_ms)
{
    char *over = NULL;
    if (now_ms >= limits->next_taken_ms) {
        limits->next_taken_ms = now_ms + TAKEN_LOOK_MS;
        over = look_at_processes(limits);
    }
    if (!over && now_ms >= limits->next_disk_ms) {
        over = look_at_disk(limits, now_ms);
    }
    return over;
}

int64_t limits_next_look_ms(const struct limits *limits)
{
    return MIN(limits->next_taken_ms, limits->next_disk_ms);
}

reap_groups limits_groups(const struct limits *limits)
{
    reap_groups groups = limits->cgroup ? cgroup_directories(limits->cgroup) : NULL;
    return groups && *groups ? groups : NULL;
}

/* --------------------------------------------------------------------- end */

void limits_end_clear(struct limits_end *end)
{
    g_clear_pointer(&end->cause, g_free);
    g_clear_pointer(&end->over, g_free);
}

/* Whether it was memory_max that made the kernel kill: by what it counts, or by the peak, which
 * comes to within two huge pages of the limit. */
static bool met_memory_max(const struct limits *limits, const struct cgroup_figures *figures)
{
    return (limits->kept & CGROUP_MEMORY) &&
           (figures->memory_refusals > 0 ||
            figures->memory_peak_bytes + HUGE_PAGES_BYTES >= limits->repo->memory_max_bytes);
}

/* Which limit the kernel has enforced, in words. */
static char *find_cause(const struct limits *limits, const struct cgroup_figures *figures)
{
    const struct repo_config *repo = limits->repo;
    if (figures->oom_kills > 0) {
        g_autofree char *peak = units_format_size(MAX(figures->memory_peak_bytes, 0));
        g_autofree char *limit = units_format_size(repo->memory_max_bytes);
        const char *ended =
            figures->oom_kills == 1 ? "a process of it was killed" : "processes of it were killed";
        if (met_memory_max(limits, figures)) {
            return g_strdup_printf("%s because memory_max is %s (at most %s were used)", ended,
                                   limit, peak);
        }
        return g_strdup_printf("%s because the memory of the machine, or of the service, ran out "
                               "(at most %s were its own)",
                               ended, peak);
    }
    if (figures->pids_refusals > 0 && (limits->kept & CGROUP_PIDS)) {
        return g_strdup_printf(
            "pids_max is %d, and %" G_GINT64_FORMAT " more process%s or thread%s refused",
            repo->pids_max, figures->pids_refusals, figures->pids_refusals == 1 ? "" : "es",
            figures->pids_refusals == 1 ? " was" : "s were");
    }
    return NULL;
}

/* Nothing writes any more: what is counted now is exact, and what can't be counted is refused. */
static char *measure_what_is_left(const struct limits *limits)
{
    int64_t limit = limits->repo->disk_max_bytes;
    if (limit == 0 || (has_room(limits->workspace, limit) && has_room(limits->temporary, limit))) {
        return NULL;
    }
    struct tree_size *walk = begin_walk(limits);
    char *over = NULL;
    while (!tree_size_walk(walk, LAST_WALK_BITE_MS) && tree_size_bytes(walk) <= limit) {
    }
    if (tree_size_bytes(walk) > limit) {
        over = over_disk(limits, tree_size_bytes(walk));
    } else if (!tree_size_is_whole(walk)) {
        g_autofree char *text = units_format_size(limit);
        over = g_strdup_printf("disk_max is %s, and it has left directories that can't be counted "
                               "(unreadable, or too deep)",
                               text);
    }
    tree_size_free(walk);
    return over;
}

void limits_end(struct limits *limits, struct limits_end *end)
{
    struct cgroup_figures figures;
    cgroup_read(limits->cgroup, &figures);
    *end = (struct limits_end){
        .memory_peak_bytes =
            figures.memory_peak_bytes >= 0 ? figures.memory_peak_bytes : limits->taken_peak_bytes,
        .pids_peak = figures.pids_peak >= 0 ? MAX(figures.pids_peak - limits->own_pids, 0)
                                            : limits->taken_peak_tasks,
        .cpu_us = figures.cpu_us,
        .cause = find_cause(limits, &figures),
        .over = measure_what_is_left(limits),
    };
    g_clear_pointer(&limits->walk, tree_size_free);
    g_clear_pointer(&limits->cgroup, cgroup_free);
    limits->next_taken_ms = INT64_MAX;
    limits->next_disk_ms = INT64_MAX;
    job_group_end(limits->paths, limits->job, END_PATIENCE_MS);
}
