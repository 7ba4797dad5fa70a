/* The rules that keep a pushed commit from running, in the order in which they are asked: no rule
 * that a commit can invoke for itself comes before one that protects from it. */
#include <string.h>

#include "base/error.h"
#include "base/refkey.h"
#include "base/text.h"
#include "config/path_filter.h"
#include "job/skip_mark.h"
#include "job/worker_internal.h"

enum { PATHS_SHOWN = 3, PATHS_SHOWN_MAX_BYTES = 200 };

/* ---------------------------------------------------------------- on_rewind */

/* Whether the branch left an earlier commit behind instead of growing from it. */
static bool is_rewind(struct worker *worker, const char *previous)
{
    if (!previous || strcmp(previous, worker->job->sha) == 0) {
        return false;
    }
    bool grew = false;
    g_autoptr(GError) error = NULL;
    /* An earlier commit that is unknown here can't be an ancestor: all of those came with the
     * commit. */
    return mirror_is_ancestor(worker->mirror, previous, worker->job->sha, &grew, &error) && !grew;
}

static bool check_rewind(struct worker *worker, const char *previous)
{
    if (!is_rewind(worker, previous)) {
        return true;
    }
    g_autofree char *from = g_strdup(text_short_id(previous));
    const char *to = text_short_id(worker->job->sha);
    const char *noun = refkey_tag(worker->job->branch) ? "tag" : "branch";
    bool is_approved = worker->repo->on_rewind != ON_REWIND_BLOCK;
    /* Only what a person asked for: the same move, pushed once more, is not what was approved. */
    if (!is_approved && worker->job->trigger == JOB_TRIGGER_RETRY &&
        !worker_is_approved(worker, JOB_BLOCK_REWIND, NULL, &is_approved)) {
        return false;
    }
    if (!is_approved) {
        return worker_block(worker, JOB_BLOCK_REWIND, NULL,
                            "the %s was rewound from %s to %s and on_rewind = \"block\"; to run it "
                            "all the same: phantom_ci approve %" G_GINT64_FORMAT,
                            noun, from, to, worker->job->id);
    }
    worker_note(worker, "the %s was rewound from %s to %s", noun, from, to);
    return true;
}

/* To ask again for what was refused is not to approve it. */
static bool check_retried(struct worker *worker)
{
    struct job *before = store_job_get(worker->store, worker->job->retry_of, NULL);
    bool was_refused = !before || before->state == JOB_BLOCKED;
    job_free(before);
    return !was_refused || check_rewind(worker, worker->job->previous_sha);
}

/* A schedule runs whatever tip is known, also one that the push before it was blocked for: so it is
 * compared with what ran last. */
static bool check_scheduled(struct worker *worker)
{
    const struct job *job = worker->job;
    g_autofree char *base = NULL;
    g_autoptr(GError) error = NULL;
    int64_t run = 0;
    if (!store_job_last_run(worker->store, job->repo, job->branch, job->id, &run, &base, &error)) {
        return worker_end_by_error(worker, "cannot find the last run", error);
    }
    return check_rewind(worker, base);
}

/* ------------------------------------------------------------------ skip_ci */

static bool check_subject(struct worker *worker)
{
    const char *mark = worker->repo->skip_ci ? skip_mark_find(worker->job->subject) : NULL;
    return !mark || worker_end(worker, JOB_SKIPPED,
                               "its subject says %s, and skip_ci = true; to run it all the same: "
                               "phantom_ci retry %" G_GINT64_FORMAT,
                               mark, worker->job->id);
}

/* -------------------------------------------------------------------- paths */

/* Paths, each ended by a NUL. */
struct changes {
    char *paths;
    size_t length;
};

static const char *next_path(const struct changes *changes, const char *path)
{
    const char *next = path ? path + strlen(path) + 1 : changes->paths;
    return next < changes->paths + changes->length ? next : NULL;
}

static bool any_matches(const struct changes *changes, const char *const *patterns)
{
    struct path_filter *filter = path_filter_new(patterns);
    bool found = false;
    for (const char *path = next_path(changes, NULL); path && !found;
         path = next_path(changes, path)) {
        found = path_filter_matches(filter, path, strlen(path));
    }
    path_filter_free(filter);
    return found;
}

/* "a.md, docs/b.md, docs/c.md and 4 more" */
static char *describe_changes(const struct changes *changes)
{
    unsigned count = 0;
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *path = next_path(changes, NULL); path; path = next_path(changes, path)) {
        if (count++ < PATHS_SHOWN) {
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", path);
        }
    }
    g_autofree char *shown = text_escape(text->str);
    bool is_long = strlen(shown) > PATHS_SHOWN_MAX_BYTES;
    if (is_long) {
        *(char *)g_utf8_find_prev_char(shown, shown + PATHS_SHOWN_MAX_BYTES) = '\0';
    }
    g_autofree char *more =
        count > PATHS_SHOWN ? g_strdup_printf(" and %u more", count - PATHS_SHOWN) : g_strdup("");
    return g_strconcat(shown, is_long ? "..." : "", more, NULL);
}

static bool end_as_unchanged(struct worker *worker, const struct changes *changes, const char *base,
                             int64_t run)
{
    g_autofree char *what = describe_changes(changes);
    g_autofree char *since =
        run ? g_strdup_printf("%s, which job %" G_GINT64_FORMAT " ran", text_short_id(base), run)
            : g_strdup_printf("%s, which was there first", text_short_id(base));
    return worker_end(worker, JOB_SKIPPED,
                      "since %s, no file has changed that paths asks for, but %s; to run it all "
                      "the same: phantom_ci retry %" G_GINT64_FORMAT,
                      since, *what ? what : "nothing at all", worker->job->id);
}

/* Compared with the commit that ran last, not with the one before: what came with commits that
 * never ran, because they were superseded, say, has changed, too. In doubt the commit runs. */
static bool check_paths(struct worker *worker)
{
    const struct job *job = worker->job;
    const char *const *patterns = (const char *const *)worker->repo->paths;
    struct changes changes = {.paths = NULL};
    g_autofree char *base = NULL;
    g_autoptr(GError) error = NULL;
    int64_t run = 0;
    if (!*patterns) {
        return true;
    }
    if (!store_job_last_run(worker->store, job->repo, job->branch, job->id, &run, &base, &error)) {
        return worker_end_by_error(worker, "cannot find the last run", error);
    }
    if (base) {
        changes.paths =
            mirror_read_changed(worker->mirror, base, job->sha, &changes.length, &error);
    }
    if (!changes.paths) {
        worker_note(worker, "paths is not asked: %s",
                    error ? error->message : "nothing of this branch has run before");
        return true;
    }
    bool good = any_matches(&changes, patterns) || end_as_unchanged(worker, &changes, base, run);
    g_free(changes.paths);
    return good;
}

/* ------------------------------------------------------------------------- */

/* A person who asks for a commit gets it, unless it was refused before. A schedule does not care
 * what changed. A tag is set on purpose: neither its commit's subject nor what changed says
 * anything against it. */
bool phase_rules(struct worker *worker)
{
    const struct job *job = worker->job;
    if (job->trigger == JOB_TRIGGER_SCHEDULE) {
        return check_scheduled(worker);
    }
    if (job->trigger == JOB_TRIGGER_RETRY) {
        return check_retried(worker);
    }
    return job->trigger != JOB_TRIGGER_PUSH ||
           (check_rewind(worker, job->previous_sha) &&
            (refkey_tag(job->branch) || (check_subject(worker) && check_paths(worker))));
}
