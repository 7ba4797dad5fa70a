#include "poll/remote.h"

#include <string.h>

static void remote_free(void *data)
{
    struct remote *remote = data;
    g_free(remote->url);
    g_free(remote->ssh_key_path);
    g_ptr_array_unref(remote->sections);
    g_strfreev(remote->patterns);
    git_look_free(remote->look);
    g_free(remote);
}

static struct remote *remote_new(const struct repo_config *repo, int64_t now_ms)
{
    struct remote *remote = g_new0(struct remote, 1);
    remote->url = g_strdup(repo->url);
    remote->ssh_key_path = g_strdup(repo->ssh_key_path);
    remote->sections = g_ptr_array_new();
    remote->due_ms = now_ms;
    remote->fds_at = -1;
    return remote;
}

/* The branches that the sections ask for together; one section that wants every branch wants them
 * all. */
static char **union_of_patterns(const GPtrArray *sections)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *patterns = g_ptr_array_new();
    bool every_branch = false;
    for (unsigned i = 0; i < sections->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(sections, i);
        every_branch = every_branch || !repo->target_branches[0];
        for (char **target = repo->target_branches; *target; target++) {
            if (g_hash_table_add(names, *target)) {
                g_ptr_array_add(patterns, g_strdup(*target));
            }
        }
    }
    g_ptr_array_add(patterns, NULL);
    char **result = (char **)g_ptr_array_free(patterns, FALSE);
    if (every_branch) {
        g_strfreev(result);
        result = g_new0(char *, 1);
    }
    return result;
}

static void finish_remote(struct remote *remote, int64_t now_ms)
{
    g_strfreev(remote->patterns);
    remote->patterns = union_of_patterns(remote->sections);
    remote->interval_ms = INT64_MAX;
    for (unsigned i = 0; i < remote->sections->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(remote->sections, i);
        remote->interval_ms = MIN(remote->interval_ms, repo->poll_interval_ms);
    }
    if (!remote->look) {
        remote->due_ms = MIN(remote->due_ms, now_ms + remote->interval_ms);
    }
}

GHashTable *remotes_from_config(const struct config *config, GHashTable *old, int64_t now_ms)
{
    GHashTable *remotes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, remote_free);
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        g_autofree char *key =
            g_strdup_printf("%s\n%s", repo->url, repo->ssh_key_path ? repo->ssh_key_path : "");
        struct remote *remote = g_hash_table_lookup(remotes, key);
        if (!remote) {
            void *old_key = NULL;
            void *old_remote = NULL;
            if (old && g_hash_table_steal_extended(old, key, &old_key, &old_remote)) {
                g_free(old_key);
                remote = old_remote;
                g_ptr_array_set_size(remote->sections, 0);
            } else {
                remote = remote_new(repo, now_ms);
            }
            g_hash_table_insert(remotes, g_steal_pointer(&key), remote);
        }
        g_ptr_array_add(remote->sections, (void *)repo);
    }
    GHashTableIter iterator;
    void *remote = NULL;
    g_hash_table_iter_init(&iterator, remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &remote)) {
        finish_remote(remote, now_ms);
    }
    return remotes;
}
