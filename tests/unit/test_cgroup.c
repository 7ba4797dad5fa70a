/* Control groups: what the kernel's texts say, and groups of simulated trees of files where this
 * kernel can't have them (the controllers of version 2). */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/job_group.h"
#include "base/job_token.h"
#include "base/spawn.h"
#include "sandbox/cgroup.h"

#define ADD(function) g_test_add_func("/cgroup/" #function, function)

static const struct cgroup_place *place_at(const GPtrArray *places, unsigned i)
{
    return g_ptr_array_index(places, i);
}

static void places__hybrid__are_found_with_what_each_can(void)
{
    g_autoptr(GPtrArray) places = cgroup_parse_places(
        "9:name=systemd:/x\n8:pids:/a\n7:blkio:/\n6:freezer:/\n4:memory:/b\n1:cpu,cpuacct:/c\n0::/"
        "d\n",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
        "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    static const struct {
        const char *directory;
        unsigned abilities;
        bool unified;
    } expected[] = {
        {"/sys/fs/cgroup/pids/a", CGROUP_PIDS, false},
        {"/sys/fs/cgroup/freezer/", CGROUP_END, false},
        {"/sys/fs/cgroup/memory/b", CGROUP_MEMORY, false},
        {"/sys/fs/cgroup/cpu,cpuacct/c", CGROUP_CPU | CGROUP_CPU_TIME, false},
        {"/sys/fs/cgroup/unified/d", 0, true},
    };
    g_assert_cmpuint(places->len, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < places->len; i++) {
        g_assert_cmpstr(place_at(places, i)->directory, ==, expected[i].directory);
        g_assert_cmpuint(place_at(places, i)->abilities, ==, expected[i].abilities);
        g_assert_cmpint(place_at(places, i)->unified, ==, expected[i].unified);
    }
}

/* In a container the mount shows a part of the hierarchy, or the path is that of a namespace. */
static void places__part_of_a_hierarchy__are_found_below_the_mount(void)
{
    g_autoptr(GPtrArray) places = cgroup_parse_places(
        "4:memory:/docker/abc/job\n8:pids:/elsewhere\n",
        "35 31 0:32 /docker/abc /mnt/with\\040blank ro - cgroup cgroup rw,memory\n"
        "36 31 0:33 /docker/abc /mnt/pids ro - cgroup cgroup rw,pids\n");
    g_assert_cmpuint(places->len, ==, 1);
    g_assert_cmpstr(place_at(places, 0)->directory, ==, "/mnt/with blank/job");
    g_autoptr(GPtrArray) whole =
        cgroup_parse_places("0::/docker/abc\n", "1 2 0:3 /docker/abc /c rw - cgroup2 c rw\n");
    g_assert_cmpstr(place_at(whole, 0)->directory, ==, "/c");
    g_autoptr(GPtrArray) outside =
        cgroup_parse_places("0::/../other\n", "1 2 0:3 / /c rw - cgroup2 c rw\n");
    g_assert_cmpuint(outside->len, ==, 0);
    g_autoptr(GPtrArray) sibling =
        cgroup_parse_places("0::/docker/abcd\n", "1 2 0:3 /docker/abc /c rw - cgroup2 c rw\n");
    g_assert_cmpuint(sibling->len, ==, 0);
}

static void places__nonsense__are_none(void)
{
    static const char *const texts[][2] = {
        {"", ""},
        {"0::/\n", ""},
        {"", "41 31 0:38 / /c rw - cgroup2 cgroup2 rw\n"},
        {"4:memory\n::\n0:\n", "nonsense\n - cgroup2 x\n - \n"},
        {"4:memory:relative\n", "35 31 0:32 / /m rw - cgroup cgroup rw,memory\n"},
        {"4:memory:/\n", "35 31 0:32 / m rw - cgroup cgroup rw,memory\n"},
        {"4:memory:/\n", "35 31 0:32 / /m rw - cgroup cgroup rw,memory2\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GPtrArray) places = cgroup_parse_places(texts[i][0], texts[i][1]);
        g_assert_cmpuint(places->len, ==, 0);
    }
}

static void flat_keys__are_read_by_whole_name(void)
{
    static const char text[] = "low 0\nhigh 1\nmax 22\noom 3\noom_kill 4\noom_group_kill 5\n"
                               "bad x\nhuge 99999999999999999999999\n";
    int64_t number = -7;
    g_assert_true(cgroup_parse_flat(text, "oom_kill", &number));
    g_assert_cmpint(number, ==, 4);
    g_assert_true(cgroup_parse_flat(text, "low", &number));
    g_assert_cmpint(number, ==, 0);
    g_assert_true(cgroup_parse_flat(text, "huge", &number));
    g_assert_cmpint(number, ==, INT64_MAX);
    number = -7;
    g_assert_false(cgroup_parse_flat(text, "oo", &number));
    g_assert_false(cgroup_parse_flat(text, "bad", &number));
    g_assert_false(cgroup_parse_flat(text, "ow", &number));
    g_assert_false(cgroup_parse_flat("", "max", &number));
    g_assert_cmpint(number, ==, -7);
}

static void membership__is_of_a_whole_component(void)
{
    static const char text[] = "8:pids:/a/phantom_ci-0123-12\n0::/s/phantom_ci-0123-12/inner\n";
    g_assert_true(job_group_is_in(text, "phantom_ci-0123-12"));
    g_assert_false(job_group_is_in(text, "phantom_ci-0123-1"));
    g_assert_false(job_group_is_in(text, "hantom_ci-0123-12"));
    g_assert_false(job_group_is_in("", "phantom_ci-0123-12"));
    g_assert_true(job_group_is_in("0::/../phantom_ci-0123-12", "phantom_ci-0123-12"));
}

static void name__is_that_of_the_token(void)
{
    g_autofree char *token = job_token("/state", 12);
    g_autofree char *name = job_group_name("/state", 12);
    g_assert_true(g_str_has_suffix(name, "-12"));
    g_assert_cmpstr(name + strlen("phantom_ci-"), ==, token + strlen("PHANTOM_CI_JOB_TOKEN="));
}

/* ------------------------------------------------------- a simulated tree */

static void put(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *get(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void assert_file(const char *directory, const char *name, const char *expected)
{
    g_autofree char *text = get(directory, name);
    g_assert_cmpstr(text, ==, expected);
}

static void free_place(void *data)
{
    struct cgroup_place *place = data;
    g_free(place->directory);
    g_free(place);
}

static GPtrArray *place_of(const char *directory, bool unified, unsigned abilities)
{
    struct cgroup_place *place = g_new0(struct cgroup_place, 1);
    *place = (struct cgroup_place){g_strdup(directory), unified, abilities};
    GPtrArray *places = g_ptr_array_new_with_free_func(free_place);
    g_ptr_array_add(places, place);
    return places;
}

static void version_2__limits__go_into_its_files_and_figures_come_out(void)
{
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-cgroup-XXXXXX", NULL);
    g_autofree char *group = g_build_filename(directory, "job", NULL);
    g_assert_cmpint(g_mkdir(group, 0700), ==, 0);
    static const char *const files[] = {"cgroup.procs",     "memory.max", "memory.swap.max",
                                        "memory.oom.group", "pids.max",   "cpu.max"};
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        put(group, files[i], "");
    }
    put(group, "memory.peak", "4096\n");
    put(group, "memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\n");
    put(group, "pids.peak", "17\n");
    put(group, "pids.events", "max 5\n");
    put(group, "cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
    g_autoptr(GPtrArray) places =
        place_of(directory, true, CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU | CGROUP_CPU_TIME);
    struct cgroup *cgroup = cgroup_new(places, "job");
    const struct cgroup_limits limits = {1 << 20, 20, 1500};
    unsigned kept = cgroup_make(cgroup, &limits);
    g_assert_cmpuint(kept, ==, CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU | CGROUP_CPU_TIME);
    assert_file(group, "memory.max", "1048576");
    assert_file(group, "memory.swap.max", "0");
    assert_file(group, "memory.oom.group", "1");
    assert_file(group, "pids.max", "20");
    assert_file(group, "cpu.max", "150000 100000");
    int count = 0;
    cgroup_groups(cgroup, &count);
    g_assert_cmpint(count, ==, 1);
    struct cgroup_figures figures;
    cgroup_read(cgroup, &figures);
    g_assert_cmpint(figures.memory_peak_bytes, ==, 4096);
    g_assert_cmpint(figures.pids_peak, ==, 17);
    g_assert_cmpint(figures.cpu_us, ==, 1500);
    g_assert_cmpint(figures.oom_kills, ==, 3);
    g_assert_cmpint(figures.memory_refusals, ==, 2);
    g_assert_cmpint(figures.pids_refusals, ==, 5);
    cgroup_free(cgroup);
    g_assert_true(file_remove_tree_at_path(directory, NULL));
}

/* What can't be written is not said to be kept to; what can't be read is unknown. */
static void limits__without_files__are_not_kept_to(void)
{
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-cgroup-XXXXXX", NULL);
    g_autofree char *group = g_build_filename(directory, "job", NULL);
    g_assert_cmpint(g_mkdir(group, 0700), ==, 0);
    put(group, "cgroup.procs", "");
    put(group, "tasks", "");
    for (int unified = 0; unified < 2; unified++) {
        g_autoptr(GPtrArray) places =
            place_of(directory, unified, CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU);
        struct cgroup *cgroup = cgroup_new(places, "job");
        const struct cgroup_limits limits = {1 << 20, 20, 1500};
        g_assert_cmpuint(cgroup_make(cgroup, &limits), ==, 0);
        struct cgroup_figures figures;
        cgroup_read(cgroup, &figures);
        g_assert_cmpint(figures.memory_peak_bytes, ==, -1);
        g_assert_cmpint(figures.pids_peak, ==, -1);
        g_assert_cmpint(figures.cpu_us, ==, -1);
        g_assert_cmpint(figures.oom_kills, ==, 0);
        cgroup_free(cgroup);
    }
    g_assert_true(file_remove_tree_at_path(directory, NULL));
}

/* The hybrid layout: version 2 counts the time, and kills where it can. */
static void several_places__only_those_that_add_something_are_taken(void)
{
    static const struct {
        const char *name;
        bool unified;
        unsigned abilities;
    } known[] = {
        {"freezer", false, CGROUP_END},      {"cpu", false, CGROUP_CPU},
        {"cpuacct", false, CGROUP_CPU_TIME}, {"memory", false, CGROUP_MEMORY},
        {"pids", false, CGROUP_PIDS},        {"unified", true, CGROUP_CPU_TIME | CGROUP_END},
    };
    static const struct {
        bool kills;
        int cpu_milli;
        const char *expected;
    } cases[] = {
        {true, 0, "unified memory pids"},
        {false, 0, "unified freezer memory pids"},
        {true, 500, "unified cpu memory pids"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *root = g_dir_make_tmp("phantom_ci-cgroup-XXXXXX", NULL);
        g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(free_place);
        for (unsigned p = 0; p < G_N_ELEMENTS(known); p++) {
            g_autofree char *directory = g_build_filename(root, known[p].name, NULL);
            g_autofree char *group = g_build_filename(directory, "job", NULL);
            g_assert_cmpint(g_mkdir_with_parents(group, 0700), ==, 0);
            put(group, "tasks", "");
            if (known[p].unified && cases[i].kills) {
                put(group, "cgroup.kill", "");
            }
            struct cgroup_place *place = g_new0(struct cgroup_place, 1);
            *place = (struct cgroup_place){g_steal_pointer(&directory), known[p].unified,
                                           known[p].abilities};
            g_ptr_array_add(places, place);
        }
        struct cgroup *cgroup = cgroup_new(places, "job");
        const struct cgroup_limits limits = {.cpu_milli = cases[i].cpu_milli};
        cgroup_make(cgroup, &limits);
        g_autoptr(GString) taken = g_string_new(NULL);
        int count = 0;
        const struct spawn_group *groups = cgroup_groups(cgroup, &count);
        for (const char *const *at = cgroup_directories(cgroup); *at; at++) {
            g_autofree char *directory = g_path_get_dirname(*at);
            g_autofree char *name = g_path_get_basename(directory);
            g_string_append_printf(taken, "%s%s", taken->len ? " " : "", name);
        }
        g_assert_cmpstr(taken->str, ==, cases[i].expected);
        g_assert_cmpint(count, ==, (int)g_strv_length((char **)cgroup_directories(cgroup)));
        g_assert_true(groups[0].unified);
        cgroup_free(cgroup);
        g_assert_true(file_remove_tree_at_path(root, NULL));
    }
}

static void no_place__nothing_is_made_or_kept_to(void)
{
    g_autoptr(GPtrArray) places = g_ptr_array_new();
    struct cgroup *cgroup = cgroup_new(places, "job");
    const struct cgroup_limits limits = {1 << 20, 20, 1500};
    int count = -1;
    g_assert_cmpuint(cgroup_make(cgroup, &limits), ==, 0);
    g_assert_null(*cgroup_directories(cgroup));
    cgroup_groups(cgroup, &count);
    g_assert_cmpint(count, ==, 0);
    cgroup_free(cgroup);
}

static char *run_in_groups(const struct cgroup *cgroup, const char *const *argv)
{
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = 1 << 16,
                                        .err_limit_bytes = 100,
                                        .timeout_ms = 20000,
                                        .cancel_fd = -1};
    struct spawn_limits limits = {.nice = 0};
    struct spawn_result result;
    GError *error = NULL;
    limits.groups = cgroup_groups(cgroup, &limits.group_count);
    options.spawn.argv = argv;
    options.spawn.limits = &limits;
    g_assert_true(spawn_run(&options, &result, &error));
    g_assert_no_error(error);
    char *out = g_strdup(result.out);
    spawn_result_clear(&result);
    return out;
}

static void groups_of_this_kernel__the_child_is_in_each_when_it_executes(void)
{
    const char *const argv[] = {"cat", "/proc/self/cgroup", NULL};
    g_autoptr(GPtrArray) places = cgroup_find_places(0);
    g_autofree char *name = g_strdup_printf("phantom_ci-test-%d", (int)getpid());
    g_autofree char *ending = g_strdup_printf("/%s\n", name);
    if (places->len == 0) {
        g_test_skip("no control groups can be made here");
        return;
    }
    struct cgroup *cgroup = cgroup_new(places, name);
    const struct cgroup_limits limits = {.memory_bytes = 0};
    int count = 0;
    cgroup_make(cgroup, &limits);
    g_assert_nonnull(cgroup_groups(cgroup, &count));
    g_assert_cmpint(count, >, 0);
    g_autofree char *membership = run_in_groups(cgroup, argv);
    g_auto(GStrv) parts = g_strsplit(membership, ending, -1);
    g_assert_cmpint((int)g_strv_length(parts) - 1, ==, count);
    g_assert_true(job_group_remove(cgroup_directories(cgroup)));
    cgroup_free(cgroup);
}

/* As on a kernel that can't make a process in a group. */
static void group_that_nothing_is_born_in__is_joined_by_its_file(void)
{
    const char *const argv[] = {"true", NULL};
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-cgroup-XXXXXX", NULL);
    g_autofree char *group = g_build_filename(directory, "job", NULL);
    g_assert_cmpint(g_mkdir(group, 0700), ==, 0);
    put(group, "cgroup.procs", "");
    g_autoptr(GPtrArray) places = place_of(directory, true, CGROUP_END);
    struct cgroup *cgroup = cgroup_new(places, "job");
    const struct cgroup_limits limits = {.memory_bytes = 0};
    cgroup_make(cgroup, &limits);
    g_free(run_in_groups(cgroup, argv));
    assert_file(group, "cgroup.procs", "0");
    cgroup_free(cgroup);
    g_assert_true(file_remove_tree_at_path(directory, NULL));
}

/* A record names nothing but groups of its job: a directory of the user with the same name stays.
 */
static void end__record_with_foreign_lines__touches_nothing(void)
{
    g_autofree char *state = g_dir_make_tmp("phantom_ci-cgroup-XXXXXX", NULL);
    struct paths paths = {.config = state, .state = state, .cache = state};
    g_autofree char *jobs = g_build_filename(state, "jobs", NULL);
    g_autofree char *name = job_group_name(state, 3);
    g_autofree char *same = g_build_filename(state, name, NULL);
    g_autofree char *record = paths_job_groups(&paths, 3);
    g_assert_cmpint(g_mkdir(jobs, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(same, 0700), ==, 0);
    const char *const directories[] = {same, "/sys/fs/cgroup", "/", "", "relative", NULL};
    g_assert_true(job_group_record(&paths, 3, directories, NULL));
    g_assert_true(job_group_end(&paths, 3, 100));
    g_assert_cmpint(access(same, F_OK), ==, 0);
    g_assert_cmpint(access(record, F_OK), !=, 0);
    /* Without a record there is nothing to do. */
    g_assert_true(job_group_end(&paths, 3, 100));
    g_assert_true(file_remove_tree_at_path(state, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(places__hybrid__are_found_with_what_each_can);
    ADD(places__part_of_a_hierarchy__are_found_below_the_mount);
    ADD(places__nonsense__are_none);
    ADD(flat_keys__are_read_by_whole_name);
    ADD(membership__is_of_a_whole_component);
    ADD(name__is_that_of_the_token);
    ADD(version_2__limits__go_into_its_files_and_figures_come_out);
    ADD(limits__without_files__are_not_kept_to);
    ADD(several_places__only_those_that_add_something_are_taken);
    ADD(no_place__nothing_is_made_or_kept_to);
    ADD(groups_of_this_kernel__the_child_is_in_each_when_it_executes);
    ADD(group_that_nothing_is_born_in__is_joined_by_its_file);
    ADD(end__record_with_foreign_lines__touches_nothing);
    return g_test_run();
}
