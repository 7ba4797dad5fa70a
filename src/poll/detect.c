#include "poll/detect.h"

#include <string.h>

#include "base/refkey.h"
#include "base/text.h"

static void event_free(void *data)
{
    struct ref_event *event = data;
    g_free(event->key);
    g_free(event->old_tip);
    g_free(event->new_tip);
    g_free(event);
}

static void add_event(GPtrArray *events, enum ref_event_kind kind, const char *key,
                      const char *old_tip, const char *new_tip)
{
    struct ref_event *event = g_new0(struct ref_event, 1);
    event->kind = kind;
    event->key = g_strdup(key);
    event->old_tip = g_strdup(old_tip);
    event->new_tip = g_strdup(new_tip);
    g_ptr_array_add(events, event);
}

static int compare_events(const void *left, const void *right)
{
    const struct ref_event *const *a = left;
    const struct ref_event *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

static bool is_wanted(const struct repo_config *repo, const char *key)
{
    const char *tag = refkey_tag(key);
    return tag ? repo_config_wants_tag(repo, tag)
               : repo_config_wants_branch(repo, refkey_branch(key));
}

static void judge_known(GPtrArray *events, const struct known_ref *ref, const char *seen)
{
    if (!seen) {
        if (!ref->gone) {
            add_event(events, REF_GONE, ref->key, ref->tip, NULL);
        }
    } else if (!ref->tip) {
        add_event(events, REF_CREATED, ref->key, NULL, seen);
    } else if (strcmp(ref->tip, seen) != 0) {
        add_event(events, REF_MOVED, ref->key, ref->tip, seen);
    } else if (ref->gone) {
        add_event(events, REF_RETURNED, ref->key, ref->tip, seen);
    }
}

/* What was not known, of tags or of branches. */
static void judge_new(GPtrArray *events, const struct repo_config *repo, bool tags,
                      GHashTable *known_keys, GHashTable *refs, bool selection_changed)
{
    GHashTableIter iterator;
    void *name = NULL;
    void *tip = NULL;
    g_hash_table_iter_init(&iterator, refs);
    while (g_hash_table_iter_next(&iterator, &name, &tip)) {
        const char *key = refkey_of(name);
        if (key && (refkey_tag(key) != NULL) == tags && !g_hash_table_contains(known_keys, key) &&
            is_wanted(repo, key)) {
            add_event(events, selection_changed ? REF_BASELINE : REF_CREATED, key, NULL, tip);
        }
    }
}

static void judge_absent(GPtrArray *events, const struct repo_config *repo, GHashTable *known_keys,
                         GHashTable *refs)
{
    for (char **target = repo->target_branches; *target; target++) {
        g_autofree char *full = g_strconcat(REFKEY_HEADS, *target, NULL);
        const char *key = refkey_of(full);
        if (!text_is_glob(*target) && !g_hash_table_contains(known_keys, key) &&
            !g_hash_table_contains(refs, full) && repo_config_wants_branch(repo, *target)) {
            add_event(events, REF_MISSING, key, NULL, NULL);
        }
    }
}

static GPtrArray *detect(const struct repo_config *repo, bool tags, const GArray *known,
                         GHashTable *refs, bool selection_changed)
{
    GPtrArray *events = g_ptr_array_new_with_free_func(event_free);
    g_autoptr(GHashTable) known_keys = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < known->len; i++) {
        const struct known_ref *ref = &g_array_index(known, struct known_ref, i);
        g_hash_table_add(known_keys, (char *)ref->key);
        if (is_wanted(repo, ref->key)) {
            g_autofree char *full = refkey_full(ref->key);
            judge_known(events, ref, g_hash_table_lookup(refs, full));
        } else {
            add_event(events, REF_UNWANTED, ref->key, ref->tip, NULL);
        }
    }
    judge_new(events, repo, tags, known_keys, refs, selection_changed);
    if (!tags) {
        judge_absent(events, repo, known_keys, refs);
    }
    g_ptr_array_sort(events, compare_events);
    return events;
}

GPtrArray *detect_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                          bool selection_changed)
{
    return detect(repo, false, known, refs, selection_changed);
}

GPtrArray *detect_tag_changes(const struct repo_config *repo, const GArray *known, GHashTable *refs,
                              bool selection_changed)
{
    return detect(repo, true, known, refs, selection_changed);
}
