#include "daemon/record.h"

#include <string.h>

#include "base/event.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/wake.h"
#include "notify/tell.h"
#include "poll/detect.h"

struct recording {
    const struct paths *paths;
    struct store *store;
    const struct repo_config *repo;
    int64_t now_ms;
    bool queued;
    unsigned tag_baselines; /* tags that were recorded as there before */
    GArray *to_wake;        /* int64_t: running jobs that were asked to stop */
    GPtrArray *printed;     /* struct line *, printed after the commit */
};

struct line {
    char *what, *key, *sha, *job, *note;
};

static void line_free(void *data)
{
    struct line *line = data;
    g_free(line->what);
    g_free(line->key);
    g_free(line->sha);
    g_free(line->job);
    g_free(line->note);
    g_free(line);
}

static const char *noun_of(const struct ref_event *event)
{
    return refkey_tag(event->key) ? "tag" : "branch";
}

static void add_line(struct recording *recording, const char *what, const struct ref_event *event,
                     int64_t job, const char *note)
{
    struct line *line = g_new0(struct line, 1);
    line->what = g_strdup(what);
    line->key = g_strdup(event->key);
    line->sha = g_strdup(event->new_tip ? event->new_tip : event->old_tip);
    line->job = job ? g_strdup_printf("%" G_GINT64_FORMAT, job) : NULL;
    line->note = g_strdup(note);
    g_ptr_array_add(recording->printed, line);
}

/* "branch gone", "tag gone" */
static void add_ref_line(struct recording *recording, const struct ref_event *event,
                         const char *verb, const char *note)
{
    g_autofree char *what = g_strdup_printf("%s %s", noun_of(event), verb);
    add_line(recording, what, event, 0, note);
}

static bool put_branch(struct recording *recording, const struct ref_event *event, bool gone,
                       GError **error)
{
    struct branch branch = {
        .repo = recording->repo->name,
        .name = event->key,
        .tip = event->new_tip ? event->new_tip : event->old_tip,
        .seen_ms = recording->now_ms,
        .gone_ms = gone ? recording->now_ms : 0,
    };
    return store_branch_put(recording->store, &branch, error);
}

static bool put_decision(struct recording *recording, const struct ref_event *event,
                         const char *kind, int64_t job, const char *detail, GError **error)
{
    struct decision decision = {
        .repo = recording->repo->name,
        .branch = event->key,
        .at_ms = recording->now_ms,
        .kind = (char *)kind,
        .old_sha = event->old_tip,
        .new_sha = event->new_tip,
        .job = job,
        .detail = (char *)detail,
    };
    return store_decision_put(recording->store, &decision, error);
}

/* on_push = "cancel_running": what runs for an older commit of this branch is asked to stop. */
static bool stop_running(struct recording *recording, const struct ref_event *event, int64_t job,
                         GError **error)
{
    if (recording->repo->on_push != ON_PUSH_CANCEL_RUNNING) {
        return true;
    }
    struct job_filter filter = {.repo = recording->repo->name,
                                .branch = event->key,
                                .has_state = true,
                                .state = JOB_RUNNING};
    g_autoptr(GPtrArray) running = store_jobs(recording->store, &filter, error);
    g_autofree char *reason =
        g_strdup_printf("superseded by %s (job %" G_GINT64_FORMAT "); on_push = \"cancel_running\"",
                        text_short_id(event->new_tip), job);
    for (unsigned i = 0; running && i < running->len; i++) {
        const struct job *older = g_ptr_array_index(running, i);
        enum cancel_outcome outcome;
        if (!store_job_stop(recording->store, older->id, JOB_STOP_SUPERSEDE, reason,
                            recording->now_ms, &outcome, error)) {
            return false;
        }
        g_array_append_val(recording->to_wake, older->id);
    }
    return running != NULL;
}

static bool record_push(struct recording *recording, const struct ref_event *event, GError **error)
{
    struct job_request request = {
        .repo = recording->repo->name,
        .branch = event->key,
        .sha = event->new_tip,
        .previous_sha = event->old_tip,
        .trigger = JOB_TRIGGER_PUSH,
        .priority = recording->repo->priority,
    };
    int64_t job = 0;
    unsigned superseded = 0;
    if (!put_branch(recording, event, false, error) ||
        !store_job_enqueue(recording->store, &request, recording->now_ms, &job, &superseded,
                           error) ||
        !stop_running(recording, event, job, error)) {
        return false;
    }
    g_autoptr(GString) detail = g_string_new(NULL);
    g_string_append_printf(detail, "the %s %s", noun_of(event),
                           event->kind == REF_CREATED ? "is new" : "moved");
    g_string_append_printf(detail, ": job %" G_GINT64_FORMAT " was queued for its %s", job,
                           refkey_tag(event->key) ? "commit" : "tip");
    if (superseded > 0) {
        g_string_append_printf(detail, "; it supersedes %u queued job%s", superseded,
                               superseded == 1 ? "" : "s");
    }
    recording->queued = true;
    add_line(recording, "job queued", event, job, superseded > 0 ? detail->str : NULL);
    return put_decision(recording, event, "queued", job, detail->str, error);
}

/* Tags that were there before may be thousands: one decision for all of them. */
static bool record_tag_baselines(struct recording *recording, GError **error)
{
    const struct ref_event all = {.key = (char *)REFKEY_TAGS "*"};
    unsigned count = recording->tag_baselines;
    g_autofree char *detail = g_strdup_printf(
        "first sight of %u tag%s: %s before, the next new one runs; to run one now: phantom_ci run "
        "%s --tag TAG",
        count, count == 1 ? "" : "s", count == 1 ? "it was there" : "they were there",
        recording->repo->name);
    if (count == 0) {
        return true;
    }
    add_line(recording, "tags baselined", &all, 0, detail);
    return put_decision(recording, &all, "baseline", 0, detail, error);
}

static bool record_baseline(struct recording *recording, const struct ref_event *event,
                            GError **error)
{
    if (refkey_tag(event->key)) {
        recording->tag_baselines++;
        return put_branch(recording, event, false, error);
    }
    g_autofree char *detail =
        g_strdup_printf("first sight of the branch: its tip is the baseline, the next push runs; "
                        "to run it now: phantom_ci run %s --branch %s",
                        recording->repo->name, refkey_branch(event->key));
    add_line(recording, "branch baselined", event, 0, detail);
    return put_branch(recording, event, false, error) &&
           put_decision(recording, event, "baseline", 0, detail, error);
}

static bool record_absence(struct recording *recording, const struct ref_event *event,
                           GError **error)
{
    bool is_tag = refkey_tag(event->key) != NULL;
    add_ref_line(recording, event, "gone", is_tag ? NULL : "nothing runs until it is there again");
    return put_branch(recording, event, true, error) &&
           put_decision(recording, event, "gone", 0,
                        is_tag ? "the tag is not on the remote any more; if it comes back on "
                                 "another commit, that runs"
                               : "the branch is not on the remote any more; nothing runs until it "
                                 "is there again",
                        error);
}

static bool record_return(struct recording *recording, const struct ref_event *event,
                          GError **error)
{
    bool is_tag = refkey_tag(event->key) != NULL;
    add_ref_line(recording, event, "returned",
                 is_tag ? "on the commit it had, so nothing runs"
                        : "with the tip it had, so nothing runs");
    return put_branch(recording, event, false, error) &&
           put_decision(recording, event, "returned", 0,
                        is_tag ? "the tag is there again on the commit it had, so nothing runs"
                               : "the branch is there again with the tip it had, so nothing runs",
                        error);
}

static bool record_missing(struct recording *recording, const struct ref_event *event,
                           GError **error)
{
    add_line(recording, "branch missing", event, 0,
             "target_branch names it, the remote does not have it; nothing runs");
    return put_branch(recording, event, true, error) &&
           put_decision(recording, event, "missing", 0,
                        "target_branch names it, but the remote does not have it; no other "
                        "branch runs in its place",
                        error) &&
           tell_branch_missing(recording->store, recording->repo->notify, recording->repo->name,
                               event->key, recording->now_ms, error);
}

static bool record_event(struct recording *recording, const struct ref_event *event, GError **error)
{
    switch (event->kind) {
    case REF_BASELINE:
        return record_baseline(recording, event, error);
    case REF_CREATED:
    case REF_MOVED:
        return record_push(recording, event, error);
    case REF_GONE:
        return record_absence(recording, event, error);
    case REF_RETURNED:
        return record_return(recording, event, error);
    case REF_MISSING:
        return record_missing(recording, event, error);
    case REF_UNWANTED:
        return store_branch_remove(recording->store, recording->repo->name, event->key, error);
    }
    g_assert_not_reached();
}

static bool record_all(struct recording *recording, const GPtrArray *events, GError **error)
{
    bool good = true;
    for (unsigned i = 0; good && i < events->len; i++) {
        good = record_event(recording, g_ptr_array_index(events, i), error);
    }
    return good;
}

/* What a look saw of branches or of tags, beside what was known of them. */
struct news {
    char *selection, *last_selection; /* NULL: none are asked for, or were */
    GPtrArray *events;                /* NULL: not found out, for none are asked for */
};

static bool selection_changed(const struct news *news)
{
    return g_strcmp0(news->selection, news->last_selection) != 0;
}

static bool has_news(const struct news *news)
{
    return selection_changed(news) || (news->events && news->events->len > 0);
}

static void news_clear(struct news *news)
{
    g_free(news->selection);
    g_free(news->last_selection);
    g_clear_pointer(&news->events, g_ptr_array_unref);
}

static GArray *known_from(const GPtrArray *rows)
{
    GArray *known = g_array_new(FALSE, FALSE, sizeof(struct known_ref));
    for (unsigned i = 0; i < rows->len; i++) {
        const struct branch *row = g_ptr_array_index(rows, i);
        struct known_ref entry = {row->name, row->tip, row->gone_ms != 0};
        g_array_append_val(known, entry);
    }
    return known;
}

static bool find_branch_news(struct store *store, const struct repo_config *repo, GHashTable *refs,
                             struct news *news, GError **error)
{
    news->selection = repo_config_selection(repo);
    if (!store_repo_get_selection(store, repo->name, &news->last_selection, error)) {
        return false;
    }
    g_autoptr(GPtrArray) branches = store_branches(store, repo->name, error);
    if (!branches) {
        return false;
    }
    g_autoptr(GArray) known = known_from(branches);
    news->events = detect_changes(repo, known, refs, selection_changed(news));
    return true;
}

static bool find_tag_news(struct store *store, const struct repo_config *repo, GHashTable *refs,
                          struct news *news, GError **error)
{
    news->selection = repo_config_tag_selection(repo);
    if (!store_repo_get_tag_selection(store, repo->name, &news->last_selection, error)) {
        return false;
    }
    if (!news->selection) {
        return true;
    }
    g_autoptr(GPtrArray) tags = store_tags(store, repo->name, error);
    if (!tags) {
        return false;
    }
    g_autoptr(GArray) known = known_from(tags);
    news->events = detect_tag_changes(repo, known, refs, selection_changed(news));
    return true;
}

static bool record_news(struct recording *recording, const struct news *branches,
                        const struct news *tags, GError **error)
{
    struct store *store = recording->store;
    const char *repo = recording->repo->name;
    if (!store_begin(store, error)) {
        return false;
    }
    bool good = !selection_changed(branches) ||
                store_repo_put_selection(store, repo, branches->selection, error);
    good = good && (!selection_changed(tags) ||
                    store_repo_put_tag_selection(store, repo, tags->selection, error));
    good = good && record_all(recording, branches->events, error);
    good = good && (!tags->events || record_all(recording, tags->events, error));
    good = good && record_tag_baselines(recording, error) && store_commit(store, error);
    if (!good) {
        store_rollback(store);
    }
    return good;
}

static void announce(const struct recording *recording)
{
    for (unsigned i = 0; i < recording->printed->len; i++) {
        const struct line *line = g_ptr_array_index(recording->printed, i);
        event_print(EVENT_INFO, line->what, "job", line->job, "repo", recording->repo->name,
                    "branch", refkey_branch(line->key), "tag", refkey_tag(line->key), "sha",
                    line->sha, "note", line->note, NULL);
    }
    for (unsigned i = 0; i < recording->to_wake->len; i++) {
        wake_job(recording->paths, g_array_index(recording->to_wake, int64_t, i));
    }
}

static bool record(const struct paths *paths, struct store *store, const struct repo_config *repo,
                   const struct news *branches, const struct news *tags, int64_t now_ms,
                   bool *queued, GError **error)
{
    g_autoptr(GArray) to_wake = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GPtrArray) printed = g_ptr_array_new_with_free_func(line_free);
    struct recording recording = {.paths = paths,
                                  .store = store,
                                  .repo = repo,
                                  .now_ms = now_ms,
                                  .to_wake = to_wake,
                                  .printed = printed};
    if (!record_news(&recording, branches, tags, error)) {
        return false;
    }
    *queued = *queued || recording.queued;
    announce(&recording);
    return true;
}

bool record_look(const struct paths *paths, struct store *store, const struct repo_config *repo,
                 GHashTable *refs, int64_t now_ms, bool *queued, bool *told, GError **error)
{
    struct news branches = {.selection = NULL};
    struct news tags = {.selection = NULL};
    bool good = find_branch_news(store, repo, refs, &branches, error) &&
                find_tag_news(store, repo, refs, &tags, error);
    if (good && (has_news(&branches) || has_news(&tags))) {
        good = record(paths, store, repo, &branches, &tags, now_ms, queued, error);
        *told = *told || good;
    }
    news_clear(&branches);
    news_clear(&tags);
    return good;
}
