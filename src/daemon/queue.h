/* Which queued jobs may start now. Pure. */
#ifndef PHANTOM_CI_DAEMON_QUEUE_H
#define PHANTOM_CI_DAEMON_QUEUE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct queue_job {
    int64_t id;
    const char *repo, *branch;
};

/* `queued`: GArray of struct queue_job in the order of their right to run (priority, then age);
 * `running`: those that run now, wherever. At most max_jobs run at once and one for each repo and
 * branch. Returns a GArray of int64_t ids to start, in that order. */
GArray *queue_pick(const GArray *queued, const GArray *running, unsigned max_jobs);

#endif
