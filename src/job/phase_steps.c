/* The last phase of a job: its steps, one after the other. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/text.h"
#include "base/units.h"
#include "base/wipe.h"
#include "job/environment.h"
#include "job/explain.h"
#include "job/ledger.h"
#include "job/step.h"
#include "job/stop.h"
#include "job/worker_internal.h"

static bool keep_output(struct worker *worker, const char *bytes, size_t length, GError **error)
{
    if (worker->echo) {
        echo_write(worker->echo, bytes, length);
    }
    return joblog_writer_append(worker->log, bytes, length, clock_now_ms(), error);
}

static bool keep_masked(struct worker *worker, GError **error)
{
    return worker->masked->len == 0 ||
           keep_output(worker, worker->masked->str, worker->masked->len, error);
}

static bool take_output(const char *bytes, size_t length, void *data, GError **error)
{
    struct worker *worker = data;
    if (!worker->masker) {
        return keep_output(worker, bytes, length, error);
    }
    g_string_truncate(worker->masked, 0);
    mask_stream_write(worker->masker, bytes, length, worker->masked);
    return keep_masked(worker, error);
}

/* What might have gone on to be a secret. */
static bool take_end_of_output(struct worker *worker, GError **error)
{
    if (!worker->masker) {
        return true;
    }
    g_string_truncate(worker->masked, 0);
    mask_stream_end(worker->masker, worker->masked);
    return keep_masked(worker, error);
}

static bool should_stop(void *data)
{
    return worker_is_stopped(data);
}

enum { OUTPUT_TOLD_MAX_BYTES = 64 * 1024 };

struct step_write {
    struct worker *worker;
    struct step *step;
};

static bool write_start(void *data, GError **error)
{
    const struct step_write *write = data;
    return store_step_start(write->worker->store, write->step->job, write->step->number,
                            (const char *const *)write->step->argv, write->step->log_offset,
                            write->step->started_ms, error);
}

static bool write_finish(void *data, GError **error)
{
    const struct step_write *write = data;
    const struct worker *worker = write->worker;
    return store_step_finish(worker->store, write->step, error) &&
           (!worker->failed_step ||
            tell_step_failed(worker->store, worker->repo->notify, write->step,
                             &worker->failed_output, write->step->finished_ms, error));
}

/* The end of what the step wrote, as far as the log kept it in one piece. */
static struct tell_output read_end_of_output(struct worker *worker, const struct step *step)
{
    struct tell_output output = {.bytes = NULL};
    int64_t end = step->log_offset + step->log_length;
    int64_t start = MAX(step->log_offset, end - OUTPUT_TOLD_MAX_BYTES);
    g_autofree char *directory = paths_job_log_directory(&worker->options->paths, step->job);
    struct joblog_reader *reader = joblog_reader_open(directory, NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    if (reader) {
        joblog_reader_seek(reader, start);
    }
    struct joblog_chunk chunk;
    while (reader && joblog_reader_next(reader, &chunk, NULL) &&
           (chunk.length > 0 || chunk.dropped_bytes > 0)) {
        if (chunk.dropped_bytes > 0) {
            g_byte_array_set_size(bytes, 0);
        }
        g_byte_array_append(bytes, (const guint8 *)chunk.bytes, (guint)chunk.length);
    }
    joblog_reader_close(reader);
    if (bytes->len > 0) {
        output.length = bytes->len;
        output.before = step->log_length - (int64_t)bytes->len;
        output.bytes = (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
    }
    return output;
}

/* Takes the step over when it failed. */
static void remember_failure(struct worker *worker, struct step *step)
{
    if (step->state == STEP_FAILED || step->state == STEP_TIMEOUT || step->state == STEP_ERROR) {
        worker->failed_output = read_end_of_output(worker, step);
        worker->failed_step = step;
    }
}

/* "exit 1: pids_max is 20, ..."; either may be NULL, and nothing is said of a success. Frees both.
 */
static char *join_words(char *words, char *cause)
{
    if (!words || !cause) {
        g_free(cause);
        return words;
    }
    char *joined = g_strdup_printf("%s; %s", words, cause);
    g_free(words);
    g_free(cause);
    return joined;
}

static void judge_exit(const struct step_outcome *outcome, const struct repo_config *repo,
                       struct step *step)
{
    int status = outcome->wait_status;
    step->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    step->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    step->state = step->exit_code == 0 && !outcome->over ? STEP_SUCCESS : STEP_FAILED;
    bool too_big =
        repo->disk_max_bytes > 0 && (step->signal == SIGXFSZ || step->exit_code == 128 + SIGXFSZ);
    if (too_big) {
        g_autofree char *ended = spawn_format_status(status);
        g_autofree char *limit = units_format_size(repo->disk_max_bytes);
        step->reason =
            g_strdup_printf("%s: a file would have grown beyond disk_max, %s", ended, limit);
    } else if (outcome->over) {
        step->reason = g_strdup(outcome->over);
    } else if (outcome->cause && step->signal == SIGKILL) {
        /* Without the guesses of explain_status(). */
        g_autofree char *killed = spawn_format_status(status);
        step->reason = g_strdup_printf("%s: %s", killed, outcome->cause);
    } else {
        step->reason = join_words(explain_status(status), g_strdup(outcome->cause));
    }
}

/* What the outcome means for the step, in its state and in words. */
static void judge(struct worker *worker, const struct step_outcome *outcome, const char *path,
                  const GError *error, const struct workflow_step *wanted, struct step *step)
{
    step->exit_code = -1;
    switch (outcome->end) {
    case STEP_END_NOT_STARTED: {
        bool its_own = outcome->failure.stage >= SPAWN_STAGE_DIRECTORY;
        step->state = its_own ? STEP_FAILED : STEP_ERROR;
        step->reason =
            join_words(its_own ? explain_spawn_failure(&outcome->failure, wanted->argv[0], path)
                               : g_strdup(error ? error->message : "it could not be started"),
                       g_strdup(outcome->cause));
        return;
    }
    case STEP_END_TIMEOUT: {
        g_autofree char *timeout = units_format_duration(worker->repo->timeout_ms);
        step->state = STEP_TIMEOUT;
        step->reason = g_strdup_printf("the job's timeout of %s is over", timeout);
        return;
    }
    case STEP_END_IDLE: {
        g_autofree char *idle = units_format_duration(worker->repo->idle_timeout_ms);
        step->state = STEP_TIMEOUT;
        step->reason = g_strdup_printf("it wrote nothing for %s (idle_timeout)", idle);
        return;
    }
    case STEP_END_LIMIT:
        step->state = STEP_FAILED;
        step->reason = g_strdup(outcome->over);
        return;
    case STEP_END_STOPPED:
        step->state = worker->stop == JOB_STOP_KILL ? STEP_INTERRUPTED : STEP_CANCELED;
        step->reason = g_strdup(worker->stop_reason);
        return;
    case STEP_END_SINK_FAILED:
        step->state = STEP_ERROR;
        step->reason = g_strdup(error ? error->message : "its output could not be kept");
        return;
    case STEP_END_EXITED:
        judge_exit(outcome, worker->repo, step);
        return;
    }
}

static bool end_job(struct worker *worker, const struct step *step)
{
    g_autofree char *words = text_join_words(step->argv);
    if (strlen(words) > 200) {
        *(char *)g_utf8_find_prev_char(words, words + 200) = '\0';
    }
    switch (step->state) {
    case STEP_SUCCESS:
        return true;
    case STEP_TIMEOUT:
        return worker_end(worker, JOB_TIMEOUT, "step %" G_GUINT64_FORMAT " (%s): %s", step->number,
                          words, step->reason);
    case STEP_CANCELED:
    case STEP_INTERRUPTED:
        return worker_end_by_error(worker, words, NULL);
    case STEP_ERROR:
        return worker_end(worker, JOB_ERROR, "step %" G_GUINT64_FORMAT " (%s): %s", step->number,
                          words, step->reason);
    case STEP_FAILED:
    case STEP_RUNNING:
        break;
    }
    g_autofree char *hint = confinement_hint(worker->confinement, worker->failed_output.bytes,
                                             worker->failed_output.length);
    return worker_end(worker, JOB_FAILED, "step %" G_GUINT64_FORMAT " (%s) failed: %s%s%s",
                      step->number, words, step->reason, hint ? "; " : "", hint ? hint : "");
}

/* What the job should know although the step's reason does not say it. */
static void tell_of_limits(struct worker *worker, const struct workflow_step *wanted,
                           const struct step_outcome *outcome, const struct step *step)
{
    g_autofree char *note = limits_take_note(worker->step_limits);
    if (note) {
        worker_note(worker, "%s", note);
    }
    if (outcome->cause && step->state == STEP_SUCCESS) {
        worker_note(worker, "step %" G_GUINT64_FORMAT ": %s", wanted->number, outcome->cause);
    }
}

static void run_program(struct worker *worker, const struct workflow_step *wanted,
                        struct step *step)
{
    extern char **environ;
    const struct environment_source source = {
        .paths = &worker->options->paths,
        .repo = worker->repo,
        .job = worker->job,
        .workspace = checkout_path(worker->checkout),
        .temporary = worker->temporary,
        .inherited = (const char *const *)environ,
        .secrets = worker->secrets,
    };
    char **environment =
        confinement_environment(worker->confinement, environment_for_step(&source, wanted->number));
    const char *path = g_environ_getenv(environment, "PATH");
    const struct step_run run = {
        .argv = (const char *const *)wanted->argv,
        .envp = (const char *const *)environment,
        .directory = source.workspace,
        .confinement = worker->confinement,
        .deadline_ms = worker->deadline_ms,
        .grace_ms = worker->repo->grace_ms,
        .idle_ms = worker->repo->idle_timeout_ms,
        .limits = worker->step_limits,
        .stop_fd = worker->stop_fd,
        .should_stop = should_stop,
        .sink = take_output,
        .data = worker,
        .echo = worker->echo,
    };
    struct step_outcome outcome;
    g_autoptr(GError) error = NULL;
    if (step_run(&run, &outcome, &error) && !take_end_of_output(worker, &error)) {
        outcome.end = STEP_END_SINK_FAILED;
    }
    if (worker->echo) {
        echo_end_line(worker->echo);
    }
    judge(worker, &outcome, path, error, wanted, step);
    step->reason = worker_hide(worker, step->reason);
    wipe_free_strings(&environment);
    step->cpu_us = outcome.cpu_us;
    step->max_rss_bytes = outcome.max_rss_bytes;
    step->memory_peak_bytes = outcome.memory_peak_bytes;
    step->pids_peak = outcome.pids_peak;
    tell_of_limits(worker, wanted, &outcome, step);
    if (outcome.left_count > 0) {
        worker_note(worker, "step %" G_GUINT64_FORMAT " left %u process%s behind (%s), killed",
                    wanted->number, outcome.left_count, outcome.left_count == 1 ? "" : "es",
                    outcome.left_names);
    }
    step_outcome_clear(&outcome);
}

static void run_step(struct worker *worker, const struct workflow_step *wanted, struct step *step,
                     GError **error)
{
    struct step_write write = {worker, step};
    step->job = worker->job->id;
    step->number = wanted->number;
    step->argv = g_strdupv(wanted->argv);
    for (char **word = step->argv; *word; word++) {
        *word = worker_hide(worker, *word);
    }
    step->started_ms = clock_now_ms();
    step->log_offset = joblog_writer_offset(worker->log);
    int fault = fault_point("job.step");
    if (fault) {
        error_set_errno(error, JOB_ERROR_DOMAIN, fault, "cannot run the step");
        return;
    }
    if (!ledger_insist(&worker->options->paths, worker->store, write_start, &write, error)) {
        return;
    }
    run_program(worker, wanted, step);
    step->finished_ms = clock_now_ms();
    step->log_length = joblog_writer_offset(worker->log) - step->log_offset;
    remember_failure(worker, step);
    ledger_insist(&worker->options->paths, worker->store, write_finish, &write, error);
}

/* A directory of its own for the temporary files of the steps, new for each job. */
static bool make_temporary(struct worker *worker, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(worker->temporary);
    return file_remove_tree_at_path(worker->temporary, error) &&
           file_ensure_private_directory(parent, error) &&
           file_ensure_private_directory(worker->temporary, error);
}

bool phase_steps(struct worker *worker)
{
    g_autoptr(GError) error = NULL;
    if (!make_temporary(worker, &error)) {
        return worker_end_by_error(worker, "cannot make a directory for temporary files", error);
    }
    if (!confinement_new(worker->repo, &worker->options->paths, checkout_path(worker->checkout),
                         worker->temporary, &worker->confinement, &error)) {
        g_autofree char *what =
            g_strdup_printf("no step was run, for sandbox = \"%s\" can't be had",
                            config_sandbox_name(worker->repo->sandbox));
        return worker_end_by_error(worker, what, error);
    }
    const char *note = confinement_note(worker->confinement);
    if (note) {
        worker_note(worker, "%s", note);
    }
    worker->step_limits =
        limits_new(worker->repo, &worker->options->paths, worker->job->id,
                   checkout_path(worker->checkout), worker->temporary, worker->confinement != NULL);
    bool good = true;
    for (unsigned i = 0; good && i < worker->workflow->steps->len; i++) {
        const struct workflow_step *wanted = g_ptr_array_index(worker->workflow->steps, i);
        if (i > 0 && worker_is_stopped(worker)) {
            return worker_end_by_error(worker, "between two steps", NULL);
        }
        struct step *step = g_new0(struct step, 1);
        run_step(worker, wanted, step, &error);
        good = error ? worker_end_by_error(worker, "cannot record the step", error)
                     : end_job(worker, step);
        if (step != worker->failed_step) {
            step_free(step);
        }
    }
    return good;
}
