/* The phases of a job up to its steps. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "base/wake.h"
#include "job/ledger.h"
#include "job/stop.h"
#include "job/worker_internal.h"

/* Together about a minute and a half of trouble. */
enum { FETCH_ATTEMPTS = 8, RETRY_FIRST_MS = 1000, RETRY_CAP_MS = 30000 };

enum { REASON_MAX_BYTES = 2000, WORKSPACE_WAIT_US = 200 * 1000 };

/* A git call was canceled because the stop descriptor became readable, but nobody asks to stop:
 * once more. */
static bool was_false_alarm(struct worker *worker, const GError *error)
{
    return error_has_code(error, ERROR_CANCELED) && !worker_is_stopped(worker);
}

static bool fetch_commit(struct worker *worker, GError **error)
{
    int fault = fault_point("job.fetch");
    if (fault) {
        return error_set_errno(error, JOB_ERROR_DOMAIN, fault, "cannot fetch");
    }
    if (!worker->mirror) {
        worker->mirror =
            mirror_open(worker->options->paths.cache, &worker->remote, &worker->limits, error);
    }
    bool rebuilt = false;
    bool good =
        worker->mirror && mirror_fetch(worker->mirror, worker->job->sha, worker->job->branch,
                                       worker->keep_ref, &rebuilt, error);
    if (good && rebuilt) {
        worker_note(worker, "the local mirror was broken and has been made anew");
    }
    return good;
}

/* Trouble of the remote or the network may pass: a look has just seen the commit there. */
static bool may_pass(const struct worker *worker, const GError *error)
{
    return (error_has_code(error, ERROR_REMOTE) || error_has_code(error, ERROR_LIMIT)) &&
           clock_monotonic_ms() < worker->deadline_ms;
}

/* Waits before the next attempt, doubled each time up to a cap, less up to a fifth of jitter; a
 * stop ends the wait. */
static void wait_before_retry(struct worker *worker, unsigned failures)
{
    int64_t wait_ms = MIN((int64_t)RETRY_FIRST_MS << (failures - 1), RETRY_CAP_MS);
    wait_ms -= g_random_int_range(0, (int)wait_ms / 5);
    int64_t end_ms = MIN(clock_monotonic_ms() + wait_ms, worker->deadline_ms);
    int64_t left_ms;
    while ((left_ms = end_ms - clock_monotonic_ms()) > 0 && !worker_is_stopped(worker)) {
        struct pollfd stop = {.fd = worker->stop_fd, .events = POLLIN};
        poll(&stop, 1, (int)left_ms);
    }
}

struct description {
    struct worker *worker;
    char *subject, *author;
};

static bool write_description(void *data, GError **error)
{
    const struct description *found = data;
    const struct worker *worker = found->worker;
    return store_job_describe(worker->store, worker->job->id, found->subject, found->author,
                              error) &&
           tell_started(worker->store, worker->repo->notify, worker->job->id, clock_now_ms(),
                        error);
}

/* What the commit says of itself; with it the start of the job can be told. */
static bool describe_commit(struct worker *worker, GError **error)
{
    struct description found = {worker, NULL, NULL};
    bool good =
        mirror_read_commit(worker->mirror, worker->job->sha, &found.subject, &found.author,
                           error) &&
        ledger_insist(&worker->options->paths, worker->store, write_description, &found, error);
    wake_daemon(&worker->options->paths);
    g_free(found.subject);
    g_free(found.author);
    return good;
}

bool phase_fetch(struct worker *worker)
{
    unsigned failures = 0;
    for (;;) {
        g_autoptr(GError) error = NULL;
        if (fetch_commit(worker, &error)) {
            break;
        }
        if (was_false_alarm(worker, error)) {
            continue;
        }
        failures++;
        if (failures == FETCH_ATTEMPTS || !may_pass(worker, error) || worker_is_stopped(worker)) {
            g_autofree char *what =
                g_strdup_printf("cannot fetch %s", text_short_id(worker->job->sha));
            return worker_end_by_error(worker, what, error);
        }
        if (failures == 1) {
            worker_note(worker, "the fetch failed and is tried again: %s", error->message);
        }
        wait_before_retry(worker, failures);
    }
    g_autoptr(GError) error = NULL;
    return describe_commit(worker, &error) ||
           worker_end_by_error(worker, "cannot read the commit", error);
}

/* Whether the branch left its earlier tip behind instead of growing from it. */
static bool is_rewind(struct worker *worker)
{
    const char *previous = worker->job->previous_sha;
    if (!previous || strcmp(previous, worker->job->sha) == 0) {
        return false;
    }
    bool grew = false;
    g_autoptr(GError) error = NULL;
    /* An earlier tip that is unknown here can't be an ancestor: all of those came with the commit.
     */
    return mirror_is_ancestor(worker->mirror, previous, worker->job->sha, &grew, &error) && !grew;
}

bool phase_rules(struct worker *worker)
{
    if (worker->job->trigger != JOB_TRIGGER_PUSH || !is_rewind(worker)) {
        return true;
    }
    g_autofree char *from = g_strdup(text_short_id(worker->job->previous_sha));
    const char *to = text_short_id(worker->job->sha);
    if (worker->repo->on_rewind == ON_REWIND_BLOCK) {
        return worker_end(
            worker, JOB_BLOCKED,
            "the branch was rewound from %s to %s and on_rewind = \"block\"; to run it all "
            "the same: phantom_ci retry %" G_GINT64_FORMAT,
            from, to, worker->job->id);
    }
    worker_note(worker, "the branch was rewound from %s to %s", from, to);
    return true;
}

static bool end_as_invalid(struct worker *worker, const struct diagnostics *diagnostics)
{
    g_autofree char *text = diagnostics_format(diagnostics);
    g_strchomp(text);
    if (strlen(text) > REASON_MAX_BYTES) {
        *(char *)g_utf8_find_prev_char(text, text + REASON_MAX_BYTES) = '\0';
    }
    return worker_end(worker, JOB_ERROR, "%s", text);
}

bool phase_workflow(struct worker *worker)
{
    g_autofree char *path = workflow_path_for_branch(worker->job->branch);
    if (!path) {
        return worker_end(worker, JOB_ERROR, "no workflow file can be named after the branch");
    }
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *bytes = mirror_read_file(worker->mirror, worker->job->sha, path,
                                              WORKFLOW_MAX_BYTES, &length, &error);
    if (!bytes && error_has_code(error, ERROR_NOT_FOUND)) {
        return worker_end(worker, JOB_SKIPPED, "the commit has no %s", path);
    }
    if (!bytes) {
        return worker_end_by_error(worker, "cannot use the workflow", error);
    }
    struct diagnostics *diagnostics = diagnostics_new();
    worker->workflow = workflow_parse(bytes, length, path, diagnostics);
    bool good = worker->workflow || end_as_invalid(worker, diagnostics);
    diagnostics_free(diagnostics);
    return good;
}

/* Another job of this branch, run by hand, may still be at work in the workspace. */
static bool open_workspace(struct worker *worker, GError **error)
{
    for (;;) {
        g_autoptr(GError) local = NULL;
        worker->checkout = checkout_open(worker->options->paths.cache, worker->job->repo,
                                         worker->job->branch, &local);
        bool wait = error_has_code(local, ERROR_BUSY) && !worker_is_stopped(worker) &&
                    clock_monotonic_ms() < worker->deadline_ms;
        if (!wait) {
            if (local) {
                g_propagate_error(error, g_steal_pointer(&local));
            }
            return worker->checkout != NULL;
        }
        g_usleep(WORKSPACE_WAIT_US);
    }
}

static bool check_out(struct worker *worker, GError **error)
{
    int fault = fault_point("job.checkout");
    if (fault) {
        return error_set_errno(error, JOB_ERROR_DOMAIN, fault, "cannot check out");
    }
    const struct checkout_request request = {
        .mirror = worker->mirror,
        .remote = &worker->remote,
        .sha = worker->job->sha,
        .branch = worker->job->branch,
        .keep = (const char *const *)worker->repo->keep,
        .submodules = worker->repo->submodules,
        .limits = worker->limits,
    };
    bool replaced = false;
    bool good = checkout_prepare(worker->checkout, &request, &replaced, error);
    if (replaced) {
        worker_note(worker,
                    "the workspace could not be cleaned: it was set aside (trash/ in the cache "
                    "directory) and a new one made");
    }
    return good;
}

bool phase_checkout(struct worker *worker)
{
    g_autoptr(GError) open_error = NULL;
    if (!open_workspace(worker, &open_error)) {
        return worker_end_by_error(worker, "cannot use the workspace", open_error);
    }
    for (;;) {
        g_autoptr(GError) error = NULL;
        if (check_out(worker, &error)) {
            return true;
        }
        if (!was_false_alarm(worker, error)) {
            return worker_end_by_error(worker, "cannot check out", error);
        }
    }
}
