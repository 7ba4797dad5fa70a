/*
 * Free space of the disks that phantom_ci writes to, and the guard `min_free`: below it no job is
 * started, so that a job that was pushed waits instead of failing.
 */
#ifndef PHANTOM_CI_BASE_DISK_H
#define PHANTOM_CI_BASE_DISK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A min_free that nobody has set: 1 GiB, or the twentieth part of a disk that is small. */
#define DISK_MIN_FREE_DEFAULT (-1)

struct disk_space {
    int64_t free_bytes; /* that this user may take */
    int64_t total_bytes;
};

/* Of the file system that holds `path`, or the nearest directory above it that exists. False when
 * it cannot be told (no such directory, or a file system that does not say). */
bool disk_measure(const char *path, struct disk_space *space);

/* What DISK_MIN_FREE_DEFAULT means on a disk of this size; any other min_free is itself. */
int64_t disk_least_free(int64_t min_free_bytes, int64_t total_bytes);

struct disk_shortage {
    const char *path; /* as given */
    int64_t free_bytes, least_bytes;
};

/* The first of `paths` (NULL-terminated) on a disk with less than min_free_bytes (0 = off); a disk
 * that does not tell has enough. */
bool disk_find_shortage(const char *const *paths, int64_t min_free_bytes,
                        struct disk_shortage *shortage);

/* "waiting for disk space: 409.6 MiB free on /x, min_free is 1.0 GiB". Free with g_free(). */
char *disk_describe_shortage(const struct disk_shortage *shortage);

#endif
