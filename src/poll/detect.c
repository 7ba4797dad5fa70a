#include "poll/detect.h"

#include <string.h>

#include "base/refkey.h"
#include "base/text.h"

static void event_free(void *data)
{
    struct branch_event *event = data;
    g_free(event->name);
    g_free(event->old_tip);
    g_free(event->new_tip);
    g_free(event);
}

static void add_event(GPtrArray *events, enum branch_event_kind kind, const char *name,
                      const char *old_tip, const char *new_tip)
{
    struct branch_event *event = g_new0(struct branch_event, 1);
    event->kind = kind;
    event->name = g_strdup(name);
    event->old_tip = g_strdup(old_tip);
    event->new_tip = g_strdup(new_tip);
    g_ptr_array_add(events, event);
}

static int compare_events(const void *left, const void *right)
{
    const struct branch_event *const *a = left;
    const struct branch_event *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static void judge_known(GPtrArray *events, const struct known_branch *branch, const char *seen)
{
    if (!seen) {
        if (!branch->gone) {
            add_event(events, BRANCH_GONE, branch->name, branch->tip, NULL);
        }
    } else if (!branch->tip) {
        add_event(events, BRANCH_CREATED, branch->name, NULL, seen);
    } else if (strcmp(branch->tip, seen) != 0) {
        add_event(events, BRANCH_MOVED, branch->name, branch->tip, seen);
    } else if (branch->gone) {
        add_event(events, BRANCH_RETURNED, branch->name, branch->tip, seen);
    }
}

static void judge_new(GPtrArray *events, const struct repo_config *repo, GHashTable *known_names,
                      GHashTable *refs, bool selection_changed)
{
    GHashTableIter iterator;
    void *name = NULL;
    void *tip = NULL;
    g_hash_table_iter_init(&iterator, refs);
    while (g_hash_table_iter_next(&iterator, &name, &tip)) {
        const char *key = refkey_of(name);
        const char *branch = key ? refkey_branch(key) : NULL;
        if (branch && !g_hash_table_contains(known_names, key) &&
            repo_config_wants_branch(repo, branch)) {
            add_event(events, selection_changed ? BRANCH_BASELINE : BRANCH_CREATED, key, NULL, tip);
        }
    }
    for (char **target = repo->target_branches; *target; target++) {
        g_autofree char *full = g_strconcat(REFKEY_HEADS, *target, NULL);
        const char *key = refkey_of(full);
        if (!text_is_glob(*target) && !g_hash_table_contains(known_names, key) &&
            !g_hash_table_contains(refs, full) && repo_config_wants_branch(repo, *target)) {
            add_event(events, BRANCH_MISSING, key, NULL, NULL);
        }
    }
}

GPtrArray *detect_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                          bool selection_changed)
{
    GPtrArray *events = g_ptr_array_new_with_free_func(event_free);
    g_autoptr(GHashTable) known_names = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < known->len; i++) {
        const struct known_branch *branch = &g_array_index(known, struct known_branch, i);
        g_hash_table_add(known_names, (char *)branch->name);
        if (repo_config_wants_branch(repo, refkey_branch(branch->name))) {
            g_autofree char *full = refkey_full(branch->name);
            judge_known(events, branch, g_hash_table_lookup(refs, full));
        } else {
            add_event(events, BRANCH_UNWANTED, branch->name, branch->tip, NULL);
        }
    }
    judge_new(events, repo, known_names, refs, selection_changed);
    g_ptr_array_sort(events, compare_events);
    return events;
}
