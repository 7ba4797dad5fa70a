#include "poll/remote.h"

#include "base/refkey.h"

static void remote_free(void *data)
{
    struct remote *remote = data;
    g_free(remote->url);
    g_free(remote->ssh_key_path);
    g_ptr_array_unref(remote->sections);
    g_strfreev(remote->wanted);
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

static void add_wanted(GPtrArray *wanted, GHashTable *known, const char *prefix, const char *name)
{
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    if (!g_hash_table_contains(known, full)) {
        g_hash_table_add(known, full);
        g_ptr_array_add(wanted, g_steal_pointer(&full));
    }
}

/* The refs that the sections ask for together, each once. */
static char **union_of_wanted(const GPtrArray *sections)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *wanted = g_ptr_array_new();
    for (unsigned i = 0; i < sections->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(sections, i);
        if (!repo->target_branches[0]) {
            add_wanted(wanted, known, REFKEY_HEADS, "*");
        }
        for (char **target = repo->target_branches; *target; target++) {
            add_wanted(wanted, known, REFKEY_HEADS, *target);
        }
        for (char **target = repo->target_tags; *target; target++) {
            add_wanted(wanted, known, REFKEY_TAGS, *target);
        }
    }
    g_ptr_array_add(wanted, NULL);
    return (char **)g_ptr_array_free(wanted, FALSE);
}

static void finish_remote(struct remote *remote, int64_t now_ms)
{
    g_strfreev(remote->wanted);
    remote->wanted = union_of_wanted(remote->sections);
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
