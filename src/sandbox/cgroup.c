#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/spawn.h"

enum { PROC_MAX_BYTES = 4 * 1024 * 1024, VALUE_MAX_BYTES = 64 * 1024, PERIOD_US = 100000 };

static void place_free(void *data)
{
    struct cgroup_place *place = data;
    g_free(place->directory);
    g_free(place);
}

/* --------------------------------------------------------------- parsing */

/* A line of mountinfo, proc(5): "36 35 98:0 /root /mount/point options [optional] - type source
 * super-options". */
struct mount_line {
    char *root, *point; /* octal escapes undone */
    char *type, *options;
};

static void mount_line_clear(struct mount_line *line)
{
    g_free(line->root);
    g_free(line->point);
    g_free(line->type);
    g_free(line->options);
}

static bool parse_mount(const char *text, struct mount_line *line)
{
    const char *separator = strstr(text, " - ");
    if (!separator) {
        return false;
    }
    g_auto(GStrv) front = g_strsplit(text, " ", 6);
    g_auto(GStrv) back = g_strsplit(separator + 3, " ", 3);
    if (g_strv_length(front) < 6 || g_strv_length(back) < 3 || *front[4] != '/') {
        return false;
    }
    *line = (struct mount_line){g_strcompress(front[3]), g_strcompress(front[4]), g_strdup(back[0]),
                                g_strdup(back[2])};
    return true;
}

/* One of the words between commas. */
static bool has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    return g_strv_contains((const char *const *)words, word);
}

/* Where the group `path` is in the file system, when the mount shows that part of the hierarchy.
 * The path of a process outside of our cgroup namespace begins with "/..". */
static char *find_directory(const struct mount_line *mount, const char *path)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    if (strncmp(path, mount->root, length) != 0 || (path[length] != '/' && path[length] != '\0') ||
        g_str_has_prefix(path, "/..")) {
        return NULL;
    }
    return g_build_filename(mount->point, path + length, NULL);
}

static unsigned abilities_of(const char *controllers)
{
    static const struct {
        const char *name;
        unsigned ability;
    } known[] = {{"memory", CGROUP_MEMORY},
                 {"pids", CGROUP_PIDS},
                 {"cpu", CGROUP_CPU},
                 {"cpuacct", CGROUP_CPU_TIME},
                 {"freezer", CGROUP_END}};
    unsigned abilities = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        abilities |= has_word(controllers, known[i].name) ? known[i].ability : 0;
    }
    return abilities;
}

/* The mount of a hierarchy: of version 2 for "", else the one with these controllers. */
static char *find_mounted(const char *mounts, const char *controllers, const char *path)
{
    g_auto(GStrv) lines = g_strsplit(mounts, "\n", -1);
    g_auto(GStrv) names = g_strsplit(controllers, ",", -1);
    char *directory = NULL;
    for (char **line = lines; *line && !directory; line++) {
        struct mount_line mount = {NULL};
        if (!parse_mount(*line, &mount)) {
            continue;
        }
        bool fits = *controllers
                        ? strcmp(mount.type, "cgroup") == 0 && has_word(mount.options, names[0])
                        : strcmp(mount.type, "cgroup2") == 0;
        directory = fits ? find_directory(&mount, path) : NULL;
        mount_line_clear(&mount);
    }
    return directory;
}

GPtrArray *cgroup_parse_places(const char *membership, const char *mounts)
{
    GPtrArray *places = g_ptr_array_new_with_free_func(place_free);
    g_auto(GStrv) lines = g_strsplit(membership, "\n", -1);
    for (char **line = lines; *line; line++) {
        /* cgroups(7): "4:memory:/path", of version 2 "0::/path". */
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        if (g_strv_length(parts) != 3 || *parts[2] != '/') {
            continue;
        }
        unsigned abilities = abilities_of(parts[1]);
        bool unified = strcmp(parts[0], "0") == 0 && !*parts[1];
        char *directory = abilities || unified ? find_mounted(mounts, parts[1], parts[2]) : NULL;
        if (directory && places->len < SPAWN_MAX_GROUPS) {
            struct cgroup_place *place = g_new0(struct cgroup_place, 1);
            *place = (struct cgroup_place){g_steal_pointer(&directory), unified, abilities};
            g_ptr_array_add(places, place);
        }
        g_free(directory);
    }
    return places;
}

bool cgroup_parse_flat(const char *text, const char *key, int64_t *number)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, key, length) == 0 && line[length] == ' ' &&
            g_ascii_isdigit(line[length + 1])) {
            guint64 value = g_ascii_strtoull(line + length + 1, NULL, 10);
            *number = (int64_t)MIN(value, (guint64)INT64_MAX);
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- finding */

static char *read_value(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    size_t length = 0;
    char *text = file_read(path, VALUE_MAX_BYTES, &length, NULL);
    return text ? g_strchomp(text) : NULL;
}

static bool write_value(const char *directory, const char *name, const char *value)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

static bool can_make_groups(const char *directory)
{
    g_autofree char *procs = g_build_filename(directory, "cgroup.procs", NULL);
    return access(directory, W_OK | X_OK) == 0 && access(procs, W_OK) == 0;
}

/* From our own group to the one that was delegated, and to its controllers. */
static void settle_unified(struct cgroup_place *place)
{
    static const struct {
        const char *name, *order;
        unsigned ability;
    } controllers[] = {{"memory", "+memory", CGROUP_MEMORY},
                       {"pids", "+pids", CGROUP_PIDS},
                       {"cpu", "+cpu", CGROUP_CPU}};
    g_autofree char *name = g_path_get_basename(place->directory);
    if (strcmp(name, CGROUP_OWN_NAME) == 0) {
        char *parent = g_path_get_dirname(place->directory);
        g_free(place->directory);
        place->directory = parent;
    }
    if (!can_make_groups(place->directory)) {
        return;
    }
    /* Version 2 counts the time, and kills, without a controller. */
    place->abilities |= CGROUP_CPU_TIME | CGROUP_END;
    for (unsigned i = 0; i < G_N_ELEMENTS(controllers); i++) {
        g_autofree char *on = read_value(place->directory, "cgroup.subtree_control");
        g_auto(GStrv) words = g_strsplit(on ? on : "", " ", -1);
        g_autofree char *there = read_value(place->directory, "cgroup.controllers");
        g_auto(GStrv) can = g_strsplit(there ? there : "", " ", -1);
        bool is_on =
            g_strv_contains((const char *const *)words, controllers[i].name) ||
            (g_strv_contains((const char *const *)can, controllers[i].name) &&
             write_value(place->directory, "cgroup.subtree_control", controllers[i].order));
        place->abilities |= is_on ? controllers[i].ability : 0;
    }
}

GPtrArray *cgroup_find_places(int pid)
{
    g_autofree char *path =
        pid > 0 ? g_strdup_printf("/proc/%d/cgroup", pid) : g_strdup("/proc/self/cgroup");
    size_t length = 0;
    g_autofree char *membership = file_read(path, PROC_MAX_BYTES, &length, NULL);
    g_autofree char *mounts = file_read("/proc/self/mountinfo", PROC_MAX_BYTES, &length, NULL);
    GPtrArray *places = cgroup_parse_places(membership ? membership : "", mounts ? mounts : "");
    for (unsigned i = places->len; i > 0; i--) {
        struct cgroup_place *place = g_ptr_array_index(places, i - 1);
        if (place->unified) {
            settle_unified(place);
        }
        if (!can_make_groups(place->directory)) {
            g_ptr_array_remove_index(places, i - 1);
        }
    }
    return places;
}

unsigned cgroup_abilities(const GPtrArray *places)
{
    unsigned abilities = 0;
    for (unsigned i = 0; i < places->len; i++) {
        abilities |= ((const struct cgroup_place *)g_ptr_array_index(places, i))->abilities;
    }
    return abilities;
}

/* ----------------------------------------------------------------- making */

struct cgroup {
    unsigned count;
    char **directories; /* of `count` groups, NULL-terminated */
    bool unified[SPAWN_MAX_GROUPS];
    unsigned abilities[SPAWN_MAX_GROUPS];
    struct spawn_group groups[SPAWN_MAX_GROUPS]; /* those that are made */
    int group_count;
};

static void add_places(struct cgroup *cgroup, const GPtrArray *places, const char *name,
                       bool unified)
{
    for (unsigned i = 0; i < places->len && cgroup->count < SPAWN_MAX_GROUPS; i++) {
        const struct cgroup_place *place = g_ptr_array_index(places, i);
        if (place->unified == unified) {
            cgroup->directories[cgroup->count] = g_build_filename(place->directory, name, NULL);
            cgroup->unified[cgroup->count] = place->unified;
            cgroup->abilities[cgroup->count] = place->abilities;
            cgroup->count++;
        }
    }
}

struct cgroup *cgroup_new(const GPtrArray *places, const char *name)
{
    struct cgroup *cgroup = g_new0(struct cgroup, 1);
    cgroup->directories = g_new0(char *, places->len + 1);
    /* Version 2 first: one group of it may be all that is needed. */
    add_places(cgroup, places, name, true);
    add_places(cgroup, places, name, false);
    return cgroup;
}

void cgroup_free(struct cgroup *cgroup)
{
    if (cgroup) {
        for (int i = 0; i < cgroup->group_count; i++) {
            fd_close(&cgroup->groups[i].fd);
        }
        g_strfreev(cgroup->directories);
        g_free(cgroup);
    }
}

const char *const *cgroup_directories(const struct cgroup *cgroup)
{
    return (const char *const *)cgroup->directories;
}

const struct spawn_group *cgroup_groups(const struct cgroup *cgroup, int *count)
{
    *count = cgroup->group_count;
    return cgroup->groups;
}

static int open_group(const char *directory, bool unified)
{
    g_autofree char *tasks = g_build_filename(directory, "tasks", NULL);
    return unified ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                   : open(tasks, O_WRONLY | O_CLOEXEC);
}

static bool write_number(const char *directory, const char *name, int64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
    return write_value(directory, name, text);
}

/* A file that this kernel does not have (swap is not counted) leaves nothing to limit. */
static bool write_number_if_there(const char *directory, const char *name, int64_t number)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    return access(path, F_OK) != 0 || write_number(directory, name, number);
}

static bool limit_memory(const char *directory, bool unified, int64_t bytes)
{
    if (unified) {
        /* All of the step or nothing: half a build makes no sense. */
        write_value(directory, "memory.oom.group", "1");
        return write_number(directory, "memory.max", bytes) &&
               write_number_if_there(directory, "memory.swap.max", 0);
    }
    return write_number(directory, "memory.limit_in_bytes", bytes) &&
           write_number_if_there(directory, "memory.memsw.limit_in_bytes", bytes);
}

static bool limit_cpu(const char *directory, bool unified, int milli)
{
    int64_t quota_us = (int64_t)milli * PERIOD_US / 1000;
    if (unified) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %d", quota_us, PERIOD_US);
        return write_value(directory, "cpu.max", text);
    }
    return write_number(directory, "cpu.cfs_period_us", PERIOD_US) &&
           write_number(directory, "cpu.cfs_quota_us", quota_us);
}

/* One group: made, limited, opened. The bits of what it keeps to and does; none when it failed. */
static unsigned make_group(struct cgroup *cgroup, unsigned at, const struct cgroup_limits *limits)
{
    const char *directory = cgroup->directories[at];
    bool unified = cgroup->unified[at];
    unsigned can = cgroup->abilities[at];
    unsigned does = can & (CGROUP_CPU_TIME | CGROUP_END);
    if (mkdir(directory, 0755) != 0 && errno != EEXIST) {
        return 0;
    }
    if ((can & CGROUP_MEMORY) && limits->memory_bytes > 0 &&
        limit_memory(directory, unified, limits->memory_bytes)) {
        does |= CGROUP_MEMORY;
    }
    if ((can & CGROUP_PIDS) && limits->pids > 0 &&
        write_number(directory, "pids.max", limits->pids)) {
        does |= CGROUP_PIDS;
    }
    if ((can & CGROUP_CPU) && limits->cpu_milli > 0 &&
        limit_cpu(directory, unified, limits->cpu_milli)) {
        does |= CGROUP_CPU;
    }
    int fd = open_group(directory, unified);
    if (fd < 0) {
        return 0;
    }
    cgroup->groups[cgroup->group_count++] = (struct spawn_group){.unified = unified, .fd = fd};
    return does;
}

/* Of a group that is made: what no other group is needed for any more. */
static unsigned covered_by(const struct cgroup *cgroup, unsigned at)
{
    unsigned covers = cgroup->abilities[at];
    if (cgroup->unified[at]) {
        /* Linux 5.14; before, only the freezer keeps them from forking while they die. */
        g_autofree char *kill = g_build_filename(cgroup->directories[at], "cgroup.kill", NULL);
        covers &= access(kill, W_OK) == 0 ? ~0U : ~(unsigned)CGROUP_END;
    }
    return covers;
}

static void leave_out(struct cgroup *cgroup, unsigned at)
{
    g_free(cgroup->directories[at]);
    cgroup->count--;
    for (unsigned i = at; i < cgroup->count; i++) {
        cgroup->directories[i] = cgroup->directories[i + 1];
        cgroup->unified[i] = cgroup->unified[i + 1];
        cgroup->abilities[i] = cgroup->abilities[i + 1];
    }
    cgroup->directories[cgroup->count] = NULL;
}

unsigned cgroup_make(struct cgroup *cgroup, const struct cgroup_limits *limits)
{
    unsigned does = 0;
    unsigned wanted = CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU_TIME | CGROUP_END;
    wanted |= limits->cpu_milli > 0 ? CGROUP_CPU : 0;
    for (unsigned i = 0; i < cgroup->count;) {
        int made = cgroup->group_count;
        if (!(cgroup->abilities[i] & wanted)) {
            leave_out(cgroup, i);
            continue;
        }
        does |= make_group(cgroup, i, limits);
        wanted &= cgroup->group_count > made ? ~covered_by(cgroup, i) : ~0U;
        i++;
    }
    return does;
}

/* ---------------------------------------------------------------- reading */

/* What is there replaces what is not known; of several places the greatest counts. */
static void take(const char *directory, const char *name, const char *key, int64_t divisor,
                 int64_t *number)
{
    g_autofree char *text = read_value(directory, name);
    g_autofree char *line = text && !key ? g_strconcat("value ", text, NULL) : NULL;
    int64_t found = 0;
    if (text && cgroup_parse_flat(key ? text : line, key ? key : "value", &found)) {
        *number = MAX(*number, found / divisor);
    }
}

void cgroup_read(const struct cgroup *cgroup, struct cgroup_figures *figures)
{
    *figures = (struct cgroup_figures){.memory_peak_bytes = -1, .pids_peak = -1, .cpu_us = -1};
    for (unsigned i = 0; i < cgroup->count; i++) {
        const char *directory = cgroup->directories[i];
        if (cgroup->unified[i]) {
            take(directory, "memory.peak", NULL, 1, &figures->memory_peak_bytes);
            take(directory, "memory.events", "oom_kill", 1, &figures->oom_kills);
            take(directory, "memory.events", "oom", 1, &figures->memory_refusals);
            take(directory, "cpu.stat", "usage_usec", 1, &figures->cpu_us);
        } else {
            take(directory, "memory.max_usage_in_bytes", NULL, 1, &figures->memory_peak_bytes);
            take(directory, "memory.oom_control", "oom_kill", 1, &figures->oom_kills);
            /* Where swap is counted, both limits are the same, and the second is met first. */
            take(directory, "memory.failcnt", NULL, 1, &figures->memory_refusals);
            take(directory, "memory.memsw.failcnt", NULL, 1, &figures->memory_refusals);
            take(directory, "cpuacct.usage", NULL, 1000, &figures->cpu_us);
        }
        take(directory, "pids.peak", NULL, 1, &figures->pids_peak);
        take(directory, "pids.events", "max", 1, &figures->pids_refusals);
    }
}
