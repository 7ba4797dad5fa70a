/*
 * What in the cache directory no watched branch uses any more: workspaces (with their index and
 * lock) and mirrors. Each is removed under its own lock only, so never while a job uses it, and
 * first renamed into trash/, so that it is there as a whole or not at all.
 */
#ifndef PHANTOM_CI_GIT_CACHE_H
#define PHANTOM_CI_GIT_CACHE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "git/command.h"

/* The names by which cache_prune() knows them: "<section>/<branch>" as directories, and the
 * mirror's without a suffix. Free with g_free(). */
char *cache_checkout_name(const char *section, const char *branch);
char *cache_mirror_name(const struct git_remote *remote);

struct cache_rules {
    GHashTable *checkouts; /* set of names that stay */
    GHashTable *mirrors;   /* set of names that stay */
    /* How long the others stay after their last use; 0 = they go now; -1 = for ever. */
    int64_t keep_for_ms;
    int64_t now_ms;
    bool dry_run; /* only counts */
};

struct cache_removals {
    unsigned workspaces, mirrors;
    unsigned refs;   /* of mirrors that stay: commits of branches that are not in `checkouts` */
    unsigned in_use; /* not wanted any more, but a job is at work in them */
    unsigned trash; /* entries of trash/ that were removed, not counting those put there just now */
    int64_t bytes;  /* disk space of all that was removed */
    GPtrArray *failures; /* of char *: what could not be removed, one sentence each */
};
void cache_removals_init(struct cache_removals *removals);
void cache_removals_clear(struct cache_removals *removals);

/* Adds to *removals. An absent directory is nothing to do. */
void cache_prune(const char *cache_directory, const struct cache_rules *rules,
                 struct cache_removals *removals);

/* Removes what lies in trash/: from cache_prune(), and from jobs that could not clean a workspace.
 */
void cache_empty_trash(const char *cache_directory, bool dry_run, struct cache_removals *removals);

#endif
