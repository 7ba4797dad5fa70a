/* The phases of a job up to its steps. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/wake.h"
#include "job/ledger.h"
#include "job/stop.h"
#include "job/worker_internal.h"

/* Together about a minute and a half of trouble. */
enum { FETCH_ATTEMPTS = 8, RETRY_FIRST_MS = 1000, RETRY_CAP_MS = 30000 };

enum { WORKSPACE_WAIT_US = 200 * 1000 };

bool worker_was_false_alarm(struct worker *worker, const GError *error)
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
    bool good = worker->mirror && mirror_fetch(worker->mirror, worker->job->sha, worker->ref,
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
    int64_t end_ms = clock_monotonic_ms() + wait_ms;
    end_ms = MIN(end_ms, worker->deadline_ms);
    int64_t left_ms;
    while ((left_ms = clock_left_ms(end_ms)) > 0 && !worker_is_stopped(worker)) {
        struct pollfd stop = {.fd = worker->stop_fd, .events = POLLIN};
        poll(&stop, 1, (int)left_ms);
    }
}

static bool write_description(void *data, GError **error)
{
    const struct worker *worker = data;
    return store_job_describe(worker->store, worker->job->id, worker->job->subject,
                              worker->job->author, error);
}

/* What the commit says of itself. */
static bool describe_commit(struct worker *worker, GError **error)
{
    struct job *job = worker->job;
    return mirror_read_commit(worker->mirror, job->sha, &job->subject, &job->author, error) &&
           ledger_insist(&worker->options->paths, worker->store, write_description, worker, error);
}

/* For `git describe` in a step, and for what an annotated tag says. */
static bool fetch_tag(struct worker *worker)
{
    for (;;) {
        g_autofree char *why = NULL;
        g_autoptr(GError) error = NULL;
        if (mirror_fetch_tag(worker->mirror, worker->job->sha, worker->ref, &why, &error)) {
            if (why) {
                worker_note(worker, "the tag could not be fetched, git sees a plain one: %s", why);
            }
            return true;
        }
        if (!worker_was_false_alarm(worker, error)) {
            return worker_end_by_error(worker, "cannot take the tag", error);
        }
    }
}

bool phase_fetch(struct worker *worker)
{
    unsigned failures = 0;
    for (;;) {
        g_autoptr(GError) error = NULL;
        if (fetch_commit(worker, &error)) {
            break;
        }
        if (worker_was_false_alarm(worker, error)) {
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
    if (!describe_commit(worker, &error)) {
        return worker_end_by_error(worker, "cannot read the commit", error);
    }
    return !refkey_tag(worker->job->branch) || fetch_tag(worker);
}

static bool write_announcement(void *data, GError **error)
{
    const struct worker *worker = data;
    return tell_started(worker->store, worker->repo->notify, worker->job->id, clock_now_ms(),
                        error);
}

bool phase_announce(struct worker *worker)
{
    g_autoptr(GError) error = NULL;
    if (!ledger_insist(&worker->options->paths, worker->store, write_announcement, worker,
                       &error)) {
        return worker_end_by_error(worker, "cannot tell of the start", error);
    }
    wake_daemon(&worker->options->paths);
    return true;
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
        .ref = worker->ref,
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
        if (!worker_was_false_alarm(worker, error)) {
            return worker_end_by_error(worker, "cannot check out", error);
        }
    }
}
