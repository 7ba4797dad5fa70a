#include "commands/show.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/refkey.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"
#include "daemon/timetable.h"

enum tty_colour show_state_colour(enum job_state state)
{
    static const enum tty_colour colours[] = {
        [JOB_QUEUED] = TTY_PLAIN,    [JOB_RUNNING] = TTY_BLUE,    [JOB_SUCCESS] = TTY_GREEN,
        [JOB_FAILED] = TTY_RED,      [JOB_ERROR] = TTY_RED,       [JOB_TIMEOUT] = TTY_RED,
        [JOB_CANCELED] = TTY_YELLOW, [JOB_INTERRUPTED] = TTY_RED, [JOB_SUPERSEDED] = TTY_DIM,
        [JOB_SKIPPED] = TTY_DIM,     [JOB_BLOCKED] = TTY_YELLOW,
    };
    return colours[state];
}

char *show_elapsed(int64_t started_ms, int64_t finished_ms)
{
    if (started_ms == 0) {
        return g_strdup("-");
    }
    int64_t end_ms = finished_ms ? finished_ms : clock_now_ms();
    return units_format_elapsed(MAX(end_ms - started_ms, 0));
}

json_t *show_json_text(const char *text)
{
    if (!text) {
        return json_null();
    }
    if (g_utf8_validate(text, -1, NULL)) {
        return json_string(text);
    }
    g_autofree char *escaped = text_escape(text);
    return json_string(escaped);
}

json_t *show_json_number(int64_t number)
{
    return number ? json_integer(number) : json_null();
}

void show_json_set_ref(json_t *object, const char *key)
{
    json_object_set_new(object, "branch", show_json_text(refkey_branch(key)));
    json_object_set_new(object, "tag", show_json_text(refkey_tag(key)));
}

char *show_ref(const char *key)
{
    g_autofree char *words = refkey_describe(key);
    return text_escape(words);
}

static json_t *step_to_json(const struct step *step)
{
    json_t *argv = json_array();
    for (char **word = step->argv; *word; word++) {
        json_array_append_new(argv, show_json_text(*word));
    }
    json_t *object = json_object();
    json_object_set_new(object, "number", json_integer((json_int_t)step->number));
    json_object_set_new(object, "argv", argv);
    json_object_set_new(object, "state", json_string(step_state_name(step->state)));
    json_object_set_new(object, "exit_code",
                        step->exit_code >= 0 ? json_integer(step->exit_code) : json_null());
    json_object_set_new(object, "signal",
                        step->signal ? json_string(spawn_signal_name(step->signal)) : json_null());
    json_object_set_new(object, "reason", show_json_text(step->reason));
    json_object_set_new(object, "started", show_json_number(step->started_ms));
    json_object_set_new(object, "finished", show_json_number(step->finished_ms));
    json_object_set_new(object, "cpu_us", json_integer(step->cpu_us));
    json_object_set_new(object, "max_rss", json_integer(step->max_rss_bytes));
    json_object_set_new(object, "memory_peak", show_json_number(step->memory_peak_bytes));
    json_object_set_new(object, "pids_peak", show_json_number(step->pids_peak));
    json_object_set_new(object, "log_offset", json_integer(step->log_offset));
    json_object_set_new(object, "log_length",
                        step->log_length >= 0 ? json_integer(step->log_length) : json_null());
    return object;
}

struct show_taken show_taken(const GPtrArray *steps)
{
    struct show_taken taken = {0, 0, 0};
    for (unsigned i = 0; steps && i < steps->len; i++) {
        const struct step *step = g_ptr_array_index(steps, i);
        taken.cpu_us += step->cpu_us;
        taken.memory_peak_bytes = MAX(taken.memory_peak_bytes, step->memory_peak_bytes);
        taken.pids_peak = MAX(taken.pids_peak, step->pids_peak);
    }
    return taken;
}

json_t *show_json_job(const struct job *job, const GPtrArray *steps)
{
    json_t *list = json_array();
    for (unsigned i = 0; steps && i < steps->len; i++) {
        json_array_append_new(list, step_to_json(g_ptr_array_index(steps, i)));
    }
    const struct show_taken taken = show_taken(steps);
    json_t *object = json_object();
    json_object_set_new(object, "id", json_integer(job->id));
    json_object_set_new(object, "repo", show_json_text(job->repo));
    show_json_set_ref(object, job->branch);
    json_object_set_new(object, "sha", show_json_text(job->sha));
    json_object_set_new(object, "previous_sha", show_json_text(job->previous_sha));
    json_object_set_new(object, "subject", show_json_text(job->subject));
    json_object_set_new(object, "author", show_json_text(job->author));
    json_object_set_new(object, "signer", show_json_text(job->signer));
    json_object_set_new(object, "signing_key", show_json_text(job->signing_key));
    json_object_set_new(object, "trigger", json_string(job_trigger_name(job->trigger)));
    json_object_set_new(object, "state", json_string(job_state_name(job->state)));
    json_object_set_new(object, "reason", show_json_text(job->reason));
    json_object_set_new(object, "blocked_by", show_json_text(job_block_name(job->block)));
    json_object_set_new(object, "attempt", json_integer(job->attempt));
    json_object_set_new(object, "retry_of", show_json_number(job->retry_of));
    json_object_set_new(object, "priority", json_integer(job->priority));
    json_object_set_new(object, "created", show_json_number(job->created_ms));
    json_object_set_new(object, "started", show_json_number(job->started_ms));
    json_object_set_new(object, "finished", show_json_number(job->finished_ms));
    json_object_set_new(object, "cpu_us", json_integer(taken.cpu_us));
    json_object_set_new(object, "memory_peak", show_json_number(taken.memory_peak_bytes));
    json_object_set_new(object, "pids_peak", show_json_number(taken.pids_peak));
    json_object_set_new(object, "steps", list);
    return object;
}

int64_t show_next_schedule_ms(struct store *store, const struct repo_config *repo)
{
    if (!repo->schedule[0]) {
        return INT64_MAX;
    }
    struct repo_schedule *stored = NULL;
    g_autofree char *lines = timetable_lines(repo);
    if (store) {
        store_schedule_get(store, repo->name, &stored, NULL);
    }
    bool is_known = stored && strcmp(stored->lines, lines) == 0;
    int64_t next_ms = timetable_next_ms(repo, is_known ? stored->done_ms : clock_now_ms());
    repo_schedule_free(stored);
    return next_ms;
}

int show_json_print(json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    puts(text ? text : "null");
    free(text);
    json_decref(root);
    return EXIT_CODE_OK;
}
