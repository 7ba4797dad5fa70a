#include "daemon/record.h"

#include <string.h>

#include "base/event.h"
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
    GArray *to_wake;    /* int64_t: running jobs that were asked to stop */
    GPtrArray *printed; /* struct line *, printed after the commit */
};

struct line {
    const char *what;
    char *branch, *sha, *job, *note;
};

static void line_free(void *data)
{
    struct line *line = data;
    g_free(line->branch);
    g_free(line->sha);
    g_free(line->job);
    g_free(line->note);
    g_free(line);
}

static void add_line(struct recording *recording, const char *what,
                     const struct branch_event *event, int64_t job, const char *note)
{
    struct line *line = g_new0(struct line, 1);
    line->what = what;
    line->branch = g_strdup(event->name);
    line->sha = g_strdup(event->new_tip ? event->new_tip : event->old_tip);
    line->job = job ? g_strdup_printf("%" G_GINT64_FORMAT, job) : NULL;
    line->note = g_strdup(note);
    g_ptr_array_add(recording->printed, line);
}

static bool put_branch(struct recording *recording, const struct branch_event *event, bool gone,
                       GError **error)
{
    struct branch branch = {
        .repo = recording->repo->name,
        .name = event->name,
        .tip = event->new_tip ? event->new_tip : event->old_tip,
        .seen_ms = recording->now_ms,
        .gone_ms = gone ? recording->now_ms : 0,
    };
    return store_branch_put(recording->store, &branch, error);
}

static bool put_decision(struct recording *recording, const struct branch_event *event,
                         const char *kind, int64_t job, const char *detail, GError **error)
{
    struct decision decision = {
        .repo = recording->repo->name,
        .branch = event->name,
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
static bool stop_running(struct recording *recording, const struct branch_event *event, int64_t job,
                         GError **error)
{
    if (recording->repo->on_push != ON_PUSH_CANCEL_RUNNING) {
        return true;
    }
    struct job_filter filter = {.repo = recording->repo->name,
                                .branch = event->name,
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

static bool record_push(struct recording *recording, const struct branch_event *event,
                        GError **error)
{
    struct job_request request = {
        .repo = recording->repo->name,
        .branch = event->name,
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
    if (event->kind == BRANCH_CREATED) {
        g_string_append(detail, "the branch is new");
    } else {
        g_string_append(detail, "the branch moved");
    }
    g_string_append_printf(detail, ": job %" G_GINT64_FORMAT " was queued for its tip", job);
    if (superseded > 0) {
        g_string_append_printf(detail, "; it supersedes %u queued job%s", superseded,
                               superseded == 1 ? "" : "s");
    }
    recording->queued = true;
    add_line(recording, "job queued", event, job, superseded > 0 ? detail->str : NULL);
    return put_decision(recording, event, "queued", job, detail->str, error);
}

static bool record_baseline(struct recording *recording, const struct branch_event *event,
                            GError **error)
{
    g_autofree char *detail =
        g_strdup_printf("first sight of the branch: its tip is the baseline, the next push runs; "
                        "to run it now: phantom_ci run %s --branch %s",
                        recording->repo->name, event->name);
    add_line(recording, "branch baselined", event, 0, detail);
    return put_branch(recording, event, false, error) &&
           put_decision(recording, event, "baseline", 0, detail, error);
}

static bool record_event(struct recording *recording, const struct branch_event *event,
                         GError **error)
{
    switch (event->kind) {
    case BRANCH_BASELINE:
        return record_baseline(recording, event, error);
    case BRANCH_CREATED:
    case BRANCH_MOVED:
        return record_push(recording, event, error);
    case BRANCH_GONE:
        add_line(recording, "branch gone", event, 0, "nothing runs until it is there again");
        return put_branch(recording, event, true, error) &&
               put_decision(recording, event, "gone", 0,
                            "the branch is not on the remote any more; nothing runs until it is "
                            "there again",
                            error);
    case BRANCH_RETURNED:
        add_line(recording, "branch returned", event, 0, "with the tip it had, so nothing runs");
        return put_branch(recording, event, false, error) &&
               put_decision(recording, event, "returned", 0,
                            "the branch is there again with the tip it had, so nothing runs",
                            error);
    case BRANCH_MISSING:
        add_line(recording, "branch missing", event, 0,
                 "target_branch names it, the remote does not have it; nothing runs");
        return put_branch(recording, event, true, error) &&
               put_decision(recording, event, "missing", 0,
                            "target_branch names it, but the remote does not have it; no other "
                            "branch runs in its place",
                            error) &&
               tell_branch_missing(recording->store, recording->repo->notify, recording->repo->name,
                                   event->name, recording->now_ms, error);
    case BRANCH_UNWANTED:
        return store_branch_remove(recording->store, recording->repo->name, event->name, error);
    }
    g_assert_not_reached();
}

static bool record_events(struct recording *recording, const GPtrArray *events,
                          const char *selection, GError **error)
{
    if (!store_begin(recording->store, error)) {
        return false;
    }
    bool good = store_repo_put_selection(recording->store, recording->repo->name, selection, error);
    for (unsigned i = 0; good && i < events->len; i++) {
        good = record_event(recording, g_ptr_array_index(events, i), error);
    }
    good = good && store_commit(recording->store, error);
    if (!good) {
        store_rollback(recording->store);
    }
    return good;
}

static GPtrArray *find_changes(struct store *store, const struct repo_config *repo,
                               GHashTable *refs, bool selection_changed, GError **error)
{
    g_autoptr(GPtrArray) branches = store_branches(store, repo->name, error);
    if (!branches) {
        return NULL;
    }
    g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(struct known_branch));
    for (unsigned i = 0; i < branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        struct known_branch entry = {branch->name, branch->tip, branch->gone_ms != 0};
        g_array_append_val(known, entry);
    }
    return detect_changes(repo, known, refs, selection_changed);
}

static void announce(const struct recording *recording)
{
    for (unsigned i = 0; i < recording->printed->len; i++) {
        const struct line *line = g_ptr_array_index(recording->printed, i);
        event_print(EVENT_INFO, line->what, "job", line->job, "repo", recording->repo->name,
                    "branch", line->branch, "sha", line->sha, "note", line->note, NULL);
    }
    for (unsigned i = 0; i < recording->to_wake->len; i++) {
        wake_job(recording->paths, g_array_index(recording->to_wake, int64_t, i));
    }
}

bool record_look(const struct paths *paths, struct store *store, const struct repo_config *repo,
                 GHashTable *refs, int64_t now_ms, bool *queued, bool *told, GError **error)
{
    g_autofree char *selection = repo_config_selection(repo);
    g_autofree char *last_selection = NULL;
    if (!store_repo_get_selection(store, repo->name, &last_selection, error)) {
        return false;
    }
    bool selection_changed = g_strcmp0(selection, last_selection) != 0;
    g_autoptr(GPtrArray) events = find_changes(store, repo, refs, selection_changed, error);
    if (!events) {
        return false;
    }
    if (events->len == 0 && !selection_changed) {
        return true;
    }
    g_autoptr(GArray) to_wake = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autoptr(GPtrArray) printed = g_ptr_array_new_with_free_func(line_free);
    struct recording recording = {paths, store, repo, now_ms, false, to_wake, printed};
    if (!record_events(&recording, events, selection, error)) {
        return false;
    }
    *queued = *queued || recording.queued;
    *told = true;
    announce(&recording);
    return true;
}
