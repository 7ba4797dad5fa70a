#include "daemon/queue.h"

/* Branch names hold no newline (git check-ref-format), so the pair is unambiguous. */
static char *branch_key(const struct queue_job *job)
{
    return g_strdup_printf("%s\n%s", job->repo, job->branch);
}

GArray *queue_pick(const GArray *queued, const GArray *running, unsigned max_jobs)
{
    GArray *picked = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GHashTable) busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < running->len; i++) {
        g_hash_table_add(busy, branch_key(&g_array_index(running, struct queue_job, i)));
    }
    for (unsigned i = 0; i < queued->len && running->len + picked->len < max_jobs; i++) {
        const struct queue_job *job = &g_array_index(queued, struct queue_job, i);
        char *key = branch_key(job);
        if (g_hash_table_contains(busy, key)) {
            g_free(key);
            continue;
        }
        g_hash_table_add(busy, key);
        g_array_append_val(picked, job->id);
    }
    return picked;
}
