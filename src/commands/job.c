#include <stdio.h>

#include "base/clock.h"
#include "base/refkey.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"
#include "store/retention.h"

static void print_line(const char *name, const char *value)
{
    if (value && *value) {
        g_autofree char *escaped = text_escape(value);
        printf("%-10s %s\n", name, escaped);
    }
}

static void print_time(const char *name, int64_t time_ms)
{
    if (time_ms) {
        g_autofree char *time = clock_format(time_ms);
        print_line(name, time);
    }
}

static void print_steps(const GPtrArray *steps)
{
    static const char *const headings[] = {"STEP", "STATE",  "EXIT",    "TOOK",
                                           "CPU",  "MEMORY", "COMMAND", NULL};
    struct tty_table *table = tty_table_new(headings);
    for (unsigned i = 0; i < steps->len; i++) {
        const struct step *step = g_ptr_array_index(steps, i);
        g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, step->number);
        g_autofree char *took = show_elapsed(step->started_ms, step->finished_ms);
        g_autofree char *cpu = units_format_elapsed(step->cpu_us / 1000);
        g_autofree char *memory = units_format_size(step->max_rss_bytes);
        g_autofree char *words = text_join_words(step->argv);
        g_autofree char *code =
            step->signal
                ? g_strdup(spawn_signal_name(step->signal))
                : (step->exit_code >= 0 ? g_strdup_printf("%d", step->exit_code) : g_strdup("-"));
        enum tty_colour colour = step->state == STEP_SUCCESS ? TTY_GREEN : TTY_RED;
        tty_table_cell(table, TTY_BOLD, number);
        tty_table_cell(table, step->state == STEP_RUNNING ? TTY_BLUE : colour,
                       step_state_name(step->state));
        tty_table_cell(table, TTY_PLAIN, code);
        tty_table_cell(table, TTY_PLAIN, took);
        tty_table_cell(table, TTY_PLAIN, cpu);
        tty_table_cell(table, TTY_PLAIN, memory);
        tty_table_cell(table, TTY_PLAIN, words);
    }
    tty_table_print(table, stdout);
}

/* What became of a log that retention has removed; NULL = nothing. */
static char *find_dropped_log(const struct command_context *context, const struct job *job)
{
    char *text = NULL;
    store_retention_dropped_log(context->store, job->id, &text, NULL);
    return text;
}

static void print_job(const struct command_context *context, const struct job *job)
{
    g_autofree char *took = show_elapsed(job->started_ms, job->finished_ms);
    g_autofree char *log = paths_job_log_directory(&context->paths, job->id);
    g_autofree char *dropped = find_dropped_log(context, job);
    printf("job %" G_GINT64_FORMAT " ", job->id);
    tty_print(stdout, show_state_colour(job->state), job_state_name(job->state));
    putchar('\n');
    print_line("reason", job->reason);
    print_line("repo", job->repo);
    print_line("branch", refkey_branch(job->branch));
    print_line("tag", refkey_tag(job->branch));
    print_line("commit", job->sha);
    print_line("previous", job->previous_sha);
    print_line("subject", job->subject);
    print_line("author", job->author);
    print_line("signer", job->signer);
    print_line("key", job->signing_key);
    print_line("trigger", job_trigger_name(job->trigger));
    if (job->retry_of) {
        printf("%-10s job %" G_GINT64_FORMAT " (attempt %d)\n", "retry of", job->retry_of,
               job->attempt);
    }
    print_time("created", job->created_ms);
    print_time("started", job->started_ms);
    print_time("finished", job->finished_ms);
    print_line("took", took);
    print_line("log", dropped ? dropped : log);
}

/* What the job took, in one line; nothing when only its time is known, which the steps tell. */
static void print_taken(const GPtrArray *steps)
{
    const struct show_taken taken = show_taken(steps);
    if (taken.memory_peak_bytes == 0 && taken.pids_peak == 0) {
        return;
    }
    g_autofree char *cpu = units_format_elapsed(taken.cpu_us / 1000);
    g_autofree char *memory = units_format_size(taken.memory_peak_bytes);
    printf("%-10s %s of processor time; at most %s of memory and %" G_GINT64_FORMAT
           " processes and threads at a time\n",
           "used", cpu, memory, taken.pids_peak);
}

static void print_rest(struct command_context *context, const struct job *job)
{
    g_autoptr(GPtrArray) steps = store_steps(context->store, job->id, NULL);
    g_autoptr(GPtrArray) notes = store_notes(context->store, job->id, NULL);
    if (steps && steps->len > 0) {
        print_taken(steps);
        putchar('\n');
        print_steps(steps);
    }
    for (unsigned i = 0; notes && i < notes->len; i++) {
        print_line(i == 0 ? "\nnotes" : "",
                   ((const struct note *)g_ptr_array_index(notes, i))->text);
    }
    if (job->state == JOB_BLOCKED) {
        printf("\nphantom_ci approve %" G_GINT64_FORMAT "\n", job->id);
    } else if (job_state_is_final(job->state)) {
        printf("\nphantom_ci logs %" G_GINT64_FORMAT " | phantom_ci retry %" G_GINT64_FORMAT "\n",
               job->id, job->id);
    } else {
        printf("\nphantom_ci logs -f %" G_GINT64_FORMAT " | phantom_ci cancel %" G_GINT64_FORMAT
               "\n",
               job->id, job->id);
    }
}

static json_t *notes_to_json(const struct command_context *context, const struct job *job)
{
    g_autoptr(GPtrArray) notes = store_notes(context->store, job->id, NULL);
    json_t *list = json_array();
    for (unsigned i = 0; notes && i < notes->len; i++) {
        const struct note *note = g_ptr_array_index(notes, i);
        json_array_append_new(list, show_json_text(note->text));
    }
    return list;
}

static int show(struct command_context *context, int64_t id)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(context->store, id, &error);
    if (!job) {
        return command_fail(error);
    }
    if (context->json) {
        g_autoptr(GPtrArray) steps = store_steps(context->store, id, NULL);
        json_t *list = json_array();
        g_autofree char *dropped = find_dropped_log(context, job);
        json_t *object = show_json_job(job, steps);
        json_object_set_new(object, "notes", notes_to_json(context, job));
        if (dropped) {
            json_object_set_new(object, "log_removed", show_json_text(dropped));
        }
        json_array_append_new(list, object);
        show_json_print(list);
    } else {
        print_job(context, job);
        print_rest(context, job);
    }
    job_free(job);
    return EXIT_CODE_OK;
}

int command_job(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    int code = command_parse_with_job(command, &context, COMMAND_JSON, &argc, &argv, &id);
    if (code < 0) {
        code = show(&context, id);
    }
    command_context_clear(&context);
    return code;
}
