/* What gc.c (the command, the caches, the report) and gc_jobs.c (jobs and their logs) share. */
#ifndef PHANTOM_CI_COMMANDS_GC_H
#define PHANTOM_CI_COMMANDS_GC_H

#include "commands/commands.h"
#include "git/cache.h"
#include "store/retention.h"

struct gc {
    struct command_context *context;
    gboolean dry_run, quiet;
    int64_t now_ms;
    /* What was, or would be, removed. */
    unsigned jobs_by_age, jobs_by_count;
    unsigned logs;         /* of jobs that stay */
    unsigned leftovers;    /* what jobs and earlier passes left: directories, locks */
    unsigned branches;     /* forgotten, for they have been gone for long */
    unsigned unknown_logs; /* of jobs that this database does not know; kept */
    int64_t bytes;         /* disk space, without the database and the caches */
    int64_t database_bytes;
    struct cache_removals cache;
    GPtrArray *failures; /* of char *, one sentence each */
};

void gc_note_failure(struct gc *gc, const char *what, const GError *error);

/* Between transactions others get as much time as the last one took. */
void gc_give_way(int64_t begun_ms);

/* "section\nbranch" of every branch that is watched and there on the remote, as a set; NULL with a
 * failure noted. */
GHashTable *gc_living_branches(struct gc *gc);

/* Jobs, logs and what they left, by the rules of the configuration. `living` as above. */
void gc_jobs(struct gc *gc, GHashTable *living);

#endif
