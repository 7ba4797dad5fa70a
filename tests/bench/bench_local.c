/*
 * For bench/local.py: what a look at repositories on this machine costs, without anything around
 * it.
 *
 * usage: bench_local look ROUNDS URL...    looks for one branch, and two stat(2) on its files
 *        bench_local watch DIRECTORY...    watching git directories
 *
 * One line of JSON; times are CPU time of this process, user and system, in nanoseconds each.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/stamp.h"
#include "git/localrefs.h"
#include "poll/refwatch.h"

static double cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec) * 1e9 +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e3;
}

static void fail(const char *what, const GError *error)
{
    fprintf(stderr, "bench_local: %s: %s\n", what, error ? error->message : "unexpected");
    exit(1);
}

struct repository {
    struct local_refs *local;
    char *branch, *packed; /* paths */
};

static void look(struct repository *repository, enum local_refs_result expected)
{
    GHashTable *refs;
    GError *error = NULL;
    if (local_refs_look(repository->local, &refs, &error) != expected) {
        fail("a look", error);
    }
    g_clear_pointer(&refs, g_hash_table_unref);
}

static void look_first(struct repository *repository)
{
    look(repository, LOCAL_REFS_READ);
    const char *directory = local_refs_directory(repository->local);
    repository->branch = g_build_filename(directory, "refs/heads/main", NULL);
    repository->packed = g_build_filename(directory, "packed-refs", NULL);
}

static void look_again(struct repository *repository)
{
    look(repository, LOCAL_REFS_SAME);
}

static void stat_twice(struct repository *repository)
{
    struct stat status;
    (void)!stat(repository->branch, &status);
    (void)!stat(repository->packed, &status);
}

static double cost(void (*act)(struct repository *), struct repository *all, int count, long rounds)
{
    double begin = cpu_ns();
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            act(&all[i]);
        }
    }
    return (cpu_ns() - begin) / (double)(rounds * count);
}

static long resident_kib(void)
{
    g_autofree char *text = NULL;
    const char *line =
        g_file_get_contents("/proc/self/status", &text, NULL, NULL) ? strstr(text, "VmRSS:") : NULL;
    return line ? strtol(line + strlen("VmRSS:"), NULL, 10) : 0;
}

static int measure_looks(long rounds, char **urls, int count)
{
    static const char *const names[] = {"refs/heads/main", NULL};
    g_autofree struct repository *all = g_new0(struct repository, (gsize)count);
    long resident = resident_kib();
    for (int i = 0; i < count; i++) {
        all[i].local = local_refs_new(urls[i], names);
    }
    double first = cost(look_first, all, count, 1);
    g_usleep((STAMP_SETTLE_MS + 500) * 1000);
    double settling = cost(look_again, all, count, 1);
    resident = resident_kib() - resident;
    double quiet = cost(look_again, all, count, rounds);
    double stats = cost(stat_twice, all, count, rounds);
    printf("{\"first\": %.0f, \"settling\": %.0f, \"quiet\": %.0f, \"stats\": %.0f, "
           "\"resident_bytes\": %.0f}\n",
           first, settling, quiet, stats, (double)resident * 1024 / count);
    for (int i = 0; i < count; i++) {
        local_refs_free(all[i].local);
        g_free(all[i].branch);
        g_free(all[i].packed);
    }
    return 0;
}

static int measure_watches(char **directories, int count)
{
    GError *error = NULL;
    struct refwatch *watch = refwatch_new(&error);
    if (!watch) {
        fail("a watch", error);
    }
    long resident = resident_kib();
    double begin = cpu_ns();
    for (int i = 0; i < count; i++) {
        if (!refwatch_add(watch, directories[i], directories[i], false, &error)) {
            fail("a watch", error);
        }
    }
    double setup = (cpu_ns() - begin) / count;
    printf("{\"setup\": %.0f, \"resident_bytes\": %.0f}\n", setup,
           (double)(resident_kib() - resident) * 1024 / count);
    refwatch_free(watch);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "look") == 0) {
        return measure_looks(strtol(argv[2], NULL, 10), argv + 3, argc - 3);
    }
    if (argc > 2 && strcmp(argv[1], "watch") == 0) {
        return measure_watches(argv + 2, argc - 2);
    }
    fputs("usage: bench_local look ROUNDS URL... | watch DIRECTORY...\n", stderr);
    return 2;
}
