#include "job/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/refkey.h"
#include "base/units.h"
#include "base/wake.h"
#include "job/ledger.h"
#include "job/reap.h"
#include "job/stop.h"
#include "job/worker_internal.h"

enum { ECHO_PATIENCE_MS = 2000, WORKER_EXIT_TROUBLE = 70 };

bool worker_end(struct worker *worker, enum job_state state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_free(worker->reason);
    worker->reason = worker_hide(worker, g_strdup_vprintf(format, arguments));
    va_end(arguments);
    worker->state = state;
    return false;
}

bool worker_block(struct worker *worker, enum job_block block, const char *pin, const char *format,
                  ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    worker->block = block;
    g_free(worker->pin);
    worker->pin = g_strdup(pin);
    return worker_end(worker, JOB_BLOCKED, "%s", reason);
}

bool worker_is_stopped(struct worker *worker)
{
    g_autofree char *reason = NULL;
    enum job_stop stop = stop_check(worker->stop_fd, worker->store, worker->job->id, &reason);
    if (stop != JOB_STOP_NONE && worker->stop == JOB_STOP_NONE) {
        worker->stop = stop;
        worker->stop_reason = g_steal_pointer(&reason);
    }
    return worker->stop != JOB_STOP_NONE;
}

static bool end_as_stopped(struct worker *worker)
{
    static const enum job_state states[] = {[JOB_STOP_NONE] = JOB_ERROR,
                                            [JOB_STOP_CANCEL] = JOB_CANCELED,
                                            [JOB_STOP_SUPERSEDE] = JOB_SUPERSEDED,
                                            [JOB_STOP_KILL] = JOB_INTERRUPTED};
    return worker_end(worker, states[worker->stop], "%s",
                      worker->stop_reason ? worker->stop_reason : "it was told to stop");
}

bool worker_end_by_error(struct worker *worker, const char *what, const GError *error)
{
    if (worker_is_stopped(worker)) {
        return end_as_stopped(worker);
    }
    if (clock_monotonic_ms() >= worker->deadline_ms) {
        g_autofree char *timeout = units_format_duration(worker->repo->timeout_ms);
        return worker_end(worker, JOB_TIMEOUT, "%s: the job's timeout of %s is over", what,
                          timeout);
    }
    return worker_end(worker, JOB_ERROR, "%s: %s", what, error ? error->message : "unknown");
}

struct note_write {
    struct worker *worker;
    char *text;
};

static bool write_note(void *data, GError **error)
{
    struct note_write *note = data;
    int64_t offset = note->worker->log ? joblog_writer_offset(note->worker->log) : 0;
    return store_note_add(note->worker->store, note->worker->job->id, offset, note->text,
                          clock_now_ms(), error);
}

void worker_note(struct worker *worker, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = worker_hide(worker, g_strdup_vprintf(format, arguments));
    va_end(arguments);
    struct note_write note = {worker, text};
    ledger_insist(&worker->options->paths, worker->store, write_note, &note, NULL);
    if (worker->echo) {
        echo_end_line(worker->echo);
        echo_write(worker->echo, "[phantom_ci: ", strlen("[phantom_ci: "));
        echo_write(worker->echo, text, strlen(text));
        echo_write(worker->echo, "]\n", 2);
    }
}

/* ------------------------------------------------------------------ claim */

struct claim {
    struct worker *worker;
    bool claimed;
};

static bool write_claim(void *data, GError **error)
{
    struct claim *claim = data;
    return store_job_claim(claim->worker->store, claim->worker->options->job, clock_now_ms(),
                           &claim->claimed, error);
}

/* queued -> running; from here on the job has happened, whatever comes. */
static bool claim_job(struct worker *worker, GError **error)
{
    struct claim claim = {worker, false};
    if (fault_point("job.claim") ||
        !ledger_insist(&worker->options->paths, worker->store, write_claim, &claim, error)) {
        return false;
    }
    if (claim.claimed) {
        worker->job = store_job_get(worker->store, worker->options->job, error);
    }
    return worker->job != NULL;
}

static bool open_log(struct worker *worker)
{
    g_autofree char *directory = paths_job_log_directory(&worker->options->paths, worker->job->id);
    g_autoptr(GError) error = NULL;
    worker->log = joblog_writer_open(directory, worker->repo->log_cap_bytes, &error);
    return worker->log || worker_end_by_error(worker, "cannot keep the log", error);
}

static void open_echo(struct worker *worker)
{
    if (worker->options->output == WORKER_OUTPUT_QUIET) {
        return;
    }
    g_autofree char *prefix =
        g_strdup_printf("%s#%" G_GINT64_FORMAT, worker->job->repo, worker->job->id);
    worker->echo =
        echo_new(STDOUT_FILENO, worker->options->output == WORKER_OUTPUT_PLAIN ? NULL : prefix,
                 worker->job->id);
}

static void prepare(struct worker *worker)
{
    g_autofree char *section = file_component_from_name(worker->job->repo);
    g_autofree char *branch = file_component_from_name(worker->job->branch);
    worker->ref = refkey_full(worker->job->branch);
    worker->keep_ref = g_strdup_printf("%s/%s", section, branch);
    worker->deadline_ms = clock_monotonic_ms() + worker->repo->timeout_ms;
    worker->remote = (struct git_remote){worker->repo->url, worker->repo->ssh_key_path};
    worker->limits =
        (struct git_limits){(int)MIN(worker->repo->fetch_timeout_ms, worker->repo->timeout_ms),
                            worker->stop_fd, worker->repo->fetch_max_bytes};
    worker->temporary = paths_job_temporary(&worker->options->paths, worker->job->id);
    open_echo(worker);
}

/* ----------------------------------------------------------------- finish */

static bool write_finish(void *data, GError **error)
{
    struct worker *worker = data;
    int fault = fault_point("job.finish");
    if (fault) {
        return error_set_errno(error, JOB_ERROR_DOMAIN, fault, "cannot record the end of the job");
    }
    int64_t now_ms = clock_now_ms();
    bool changed = false;
    return (worker->state != JOB_BLOCKED ||
            store_job_set_block(worker->store, worker->job->id, worker->block, worker->pin,
                                error)) &&
           store_job_finish(worker->store, worker->job->id, worker->state, worker->reason, now_ms,
                            &changed, error) &&
           (!changed || tell_end(worker->store, worker->repo->notify, worker->job->id,
                                 worker->failed_step, &worker->failed_output, now_ms, error));
}

/* Nothing of the job is alive or lies about when its final state is written. */
static void finish(struct worker *worker)
{
    g_autoptr(GError) error = NULL;
    reap_everything(0, NULL, NULL);
    g_clear_pointer(&worker->checkout, checkout_close);
    if (worker->mirror) {
        mirror_collect_garbage(worker->mirror);
        g_clear_pointer(&worker->mirror, mirror_close);
    }
    if (!file_remove_tree_at_path(worker->temporary, &error)) {
        worker_note(worker, "%s", error->message);
        g_clear_error(&error);
    }
    if (worker->log && !joblog_writer_close(g_steal_pointer(&worker->log), &error)) {
        worker_note(worker, "%s", error->message);
        g_clear_error(&error);
    }
    if (worker->echo) {
        echo_free(g_steal_pointer(&worker->echo), ECHO_PATIENCE_MS);
    }
    if (ledger_insist(&worker->options->paths, worker->store, write_finish, worker, &error)) {
        wake_daemon(&worker->options->paths);
    } else {
        fprintf(stderr, "phantom_ci-job: job %" G_GINT64_FORMAT " ended as %s, but: %s\n",
                worker->job->id, job_state_name(worker->state), error->message);
    }
}

static void release(struct worker *worker)
{
    g_clear_pointer(&worker->workflow, workflow_free);
    confinement_free(worker->confinement);
    limits_free(worker->step_limits);
    mask_stream_free(worker->masker);
    secrets_free(worker->secrets);
    if (worker->masked) {
        g_string_free(worker->masked, TRUE);
    }
    job_free(worker->job);
    store_close(worker->store);
    fd_close(&worker->stop_fd);
    g_free(worker->ref);
    g_free(worker->keep_ref);
    g_free(worker->temporary);
    g_free(worker->stop_reason);
    g_free(worker->reason);
    g_free(worker->pin);
    step_free(worker->failed_step);
    g_free((char *)worker->failed_output.bytes);
}

/* In this order; the first that gives a verdict is the last. */
static bool (*const job_phases[])(struct worker *worker) = {
    phase_fetch,    phase_trust,    phase_approval, phase_rules, phase_announce,
    phase_workflow, phase_checkout, phase_secrets,  phase_steps,
};

static int run_claimed(struct worker *worker)
{
    prepare(worker);
    worker->state = JOB_SUCCESS;
    bool good = open_log(worker);
    for (unsigned i = 0; good && i < G_N_ELEMENTS(job_phases); i++) {
        good = worker_is_stopped(worker) ? end_as_stopped(worker) : job_phases[i](worker);
    }
    finish(worker);
    return worker->state == JOB_SUCCESS ? EXIT_CODE_OK : EXIT_CODE_NEGATIVE;
}

int worker_run(const struct worker_options *options)
{
    struct worker worker = {.options = options, .repo = options->repo, .stop_fd = -1};
    g_autoptr(GError) error = NULL;
    g_autofree char *database = paths_database(&options->paths);
    int code = WORKER_EXIT_TROUBLE;
    worker.store = store_open(database, &error);
    worker.stop_fd = worker.store ? stop_open(&options->paths, options->job, &error) : -1;
    if (worker.stop_fd >= 0 && claim_job(&worker, &error)) {
        code = run_claimed(&worker);
    } else if (!error) {
        code = EXIT_CODE_TRY_AGAIN;
    }
    if (error) {
        fprintf(stderr, "phantom_ci-job: job %" G_GINT64_FORMAT ": %s\n", options->job,
                error->message);
    }
    release(&worker);
    return code;
}
