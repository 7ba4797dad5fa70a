#include "poll/remote.h"

#include <string.h>

#include "base/refkey.h"
#include "poll/schedule.h"

static void remote_free(void *data)
{
    struct remote *remote = data;
    g_free(remote->url);
    g_free(remote->ssh_key_path);
    g_ptr_array_unref(remote->sections);
    g_strfreev(remote->wanted);
    g_free(remote->wanted_lines);
    g_free(remote);
}

static struct remote *remote_new(const struct repo_config *repo)
{
    struct remote *remote = g_new0(struct remote, 1);
    remote->url = g_strdup(repo->url);
    remote->ssh_key_path = g_strdup(repo->ssh_key_path);
    remote->sections = g_ptr_array_new();
    remote->interval_ms = INT64_MAX;
    remote->least_ms = INT64_MAX;
    remote->most_ms = INT64_MAX;
    return remote;
}

static void add_section(struct remote *remote, const struct repo_config *repo)
{
    g_ptr_array_add(remote->sections, (void *)repo);
    remote->by_git = remote->by_git || repo->road == ROAD_CHOICE_GIT;
    if (repo->poll_interval_ms != POLL_INTERVAL_AUTO) {
        remote->interval_ms = MIN(remote->interval_ms, repo->poll_interval_ms);
    } else {
        remote->is_automatic = true;
        remote->least_ms = MIN(remote->least_ms, repo->poll_interval_min_ms);
        remote->most_ms = MIN(remote->most_ms, repo->poll_interval_max_ms);
    }
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

GHashTable *remotes_from_config(const struct config *config)
{
    GHashTable *remotes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, remote_free);
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        g_autofree char *key =
            g_strdup_printf("%s\n%s", repo->url, repo->ssh_key_path ? repo->ssh_key_path : "");
        struct remote *remote = g_hash_table_lookup(remotes, key);
        if (!remote) {
            remote = remote_new(repo);
            g_hash_table_insert(remotes, g_steal_pointer(&key), remote);
        }
        add_section(remote, repo);
    }
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct remote *remote = value;
        remote->wanted = union_of_wanted(remote->sections);
        remote->wanted_lines = g_strjoinv("\n", remote->wanted);
    }
    return remotes;
}

bool remote_is_asked_the_same(const struct remote *one, const struct remote *other)
{
    bool same = one->sections->len == other->sections->len &&
                strcmp(one->wanted_lines, other->wanted_lines) == 0;
    for (unsigned i = 0; same && i < one->sections->len; i++) {
        const struct repo_config *left = g_ptr_array_index(one->sections, i);
        const struct repo_config *right = g_ptr_array_index(other->sections, i);
        g_autofree char *selection = repo_config_selection(left);
        g_autofree char *other_selection = repo_config_selection(right);
        same = strcmp(left->name, right->name) == 0 && strcmp(selection, other_selection) == 0;
    }
    return same;
}

int64_t remote_interval_ms(const struct remote *remote, int64_t quiet_ms)
{
    if (!remote->is_automatic) {
        return remote->interval_ms;
    }
    int64_t most_ms = MAX(remote->most_ms, remote->least_ms);
    return MIN(schedule_automatic(quiet_ms, remote->least_ms, most_ms), remote->interval_ms);
}
