/*
 * usage: local_look LOOKS URL...
 *
 * What a look at an unchanged repository on this machine costs, for bench/local.py: nanoseconds of
 * CPU time (user and system) and of wall time of local_refs_look() for one named branch, and of two
 * stat(2) on the branch and packed-refs. One line of JSON.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/stamp.h"
#include "git/localrefs.h"

struct cost {
    double cpu_ns, wall_ns;
};

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct cost cost_of(void (*act)(void *), GPtrArray *items, unsigned rounds)
{
    double cpu = cpu_seconds();
    gint64 wall = g_get_monotonic_time();
    for (unsigned round = 0; round < rounds; round++) {
        for (guint i = 0; i < items->len; i++) {
            act(items->pdata[i]);
        }
    }
    double count = (double)rounds * items->len;
    return (struct cost){.cpu_ns = (cpu_seconds() - cpu) * 1e9 / count,
                         .wall_ns = (double)(g_get_monotonic_time() - wall) * 1e3 / count};
}

static void look(void *item)
{
    GHashTable *refs;
    GError *error = NULL;
    if (local_refs_look(item, &refs, &error) != LOCAL_REFS_SAME) {
        fprintf(stderr, "local_look: %s\n", error ? error->message : "not unchanged");
        exit(1);
    }
}

static void look_first(void *item)
{
    GHashTable *refs = NULL;
    GError *error = NULL;
    if (local_refs_look(item, &refs, &error) > LOCAL_REFS_READ) {
        fprintf(stderr, "local_look: %s\n", error->message);
        exit(1);
    }
    g_clear_pointer(&refs, g_hash_table_unref);
}

struct paths {
    char *branch, *packed;
};

static void stat_twice(void *item)
{
    const struct paths *paths = item;
    struct stat status;
    (void)stat(paths->branch, &status);
    (void)stat(paths->packed, &status);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"refs/heads/main", NULL};
    if (argc < 3) {
        fputs("usage: local_look LOOKS URL...\n", stderr);
        return 2;
    }
    unsigned rounds = MAX(1u, (unsigned)strtoul(argv[1], NULL, 10) / (unsigned)(argc - 2));
    g_autoptr(GPtrArray) looks = g_ptr_array_new();
    g_autoptr(GPtrArray) stats = g_ptr_array_new();
    for (char **url = argv + 2; *url; url++) {
        struct paths *paths = g_new0(struct paths, 1);
        g_ptr_array_add(looks, local_refs_new(*url, names));
        g_ptr_array_add(stats, paths);
    }
    struct cost first = cost_of(look_first, looks, 1);
    for (guint i = 0; i < looks->len; i++) {
        const char *directory = local_refs_directory(looks->pdata[i]);
        struct paths *paths = stats->pdata[i];
        paths->branch = g_build_filename(directory, "refs/heads/main", NULL);
        paths->packed = g_build_filename(directory, "packed-refs", NULL);
    }
    g_usleep((STAMP_SETTLE_MS + 500) * 1000);
    struct cost second = cost_of(look, looks, 1);
    struct cost quiet = cost_of(look, looks, rounds);
    struct cost stat_cost = cost_of(stat_twice, stats, rounds);
    printf(
        "{\"first\": [%.0f, %.0f], \"second\": [%.0f, %.0f], \"quiet\": [%.0f, %.0f], \"stats\": "
        "[%.0f, %.0f]}\n",
        first.cpu_ns, first.wall_ns, second.cpu_ns, second.wall_ns, quiet.cpu_ns, quiet.wall_ns,
        stat_cost.cpu_ns, stat_cost.wall_ns);
    return 0;
}
