#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "commands/all.h"
#include "commands/show.h"

enum { DEFAULT_LIMIT = 20 };

static int print_json(struct command_context *context, const GPtrArray *jobs)
{
    json_t *list = json_array();
    for (unsigned i = 0; jobs && i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_autoptr(GPtrArray) steps = store_steps(context->store, job->id, NULL);
        json_array_append_new(list, show_json_job(job, steps));
    }
    return show_json_print(list);
}

static void print_table(const GPtrArray *jobs)
{
    static const char *const headings[] = {"JOB",     "REPO", "BRANCH",  "SHA", "STATE",
                                           "CREATED", "TOOK", "SUBJECT", NULL};
    struct tty_table *table = tty_table_new(headings);
    int64_t now_ms = clock_now_ms();
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job->id);
        g_autofree char *created = clock_format_relative(job->created_ms, now_ms);
        g_autofree char *took = show_elapsed(job->started_ms, job->finished_ms);
        g_autofree char *ref = show_ref(job->branch);
        tty_table_cell(table, TTY_BOLD, id);
        tty_table_cell(table, TTY_PLAIN, job->repo);
        tty_table_cell(table, TTY_PLAIN, ref);
        tty_table_cell(table, TTY_PLAIN, text_short_id(job->sha));
        tty_table_cell(table, show_state_colour(job->state), job_state_name(job->state));
        tty_table_cell(table, TTY_PLAIN, created);
        tty_table_cell(table, TTY_PLAIN, took);
        tty_table_cell(table, TTY_PLAIN, job->subject ? job->subject : "");
    }
    tty_table_print(table, stdout);
}

static int list(struct command_context *context, const struct job_filter *filter, bool exists)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) jobs = exists ? store_jobs(context->store, filter, &error) : NULL;
    if (error) {
        return command_fail(error);
    }
    if (context->json) {
        return print_json(context, jobs);
    }
    if (!jobs || jobs->len == 0) {
        puts(filter->text || filter->has_state
                 ? "no such jobs"
                 : "no jobs yet: the next push runs one, or phantom_ci run NAME does now");
        return EXIT_CODE_OK;
    }
    print_table(jobs);
    return EXIT_CODE_OK;
}

int command_jobs(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    g_autofree char *state = NULL;
    int limit = DEFAULT_LIMIT;
    const GOptionEntry entries[] = {
        {"state", 's', 0, G_OPTION_ARG_STRING, &state, "only jobs in this state", "STATE"},
        {"limit", 'n', 0, G_OPTION_ARG_INT, &limit, "at most so many (default 20, 0 = all)", "N"},
        G_OPTION_ENTRY_NULL,
    };
    struct job_filter filter = {.text = NULL};
    bool exists = false;
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, 1);
    if (code < 0 && (limit < 0 || (state && !job_state_from_name(state, &filter.state)))) {
        code = command_fail_text(
            EXIT_CODE_USAGE, limit < 0 ? "--limit takes a number from 0"
                                       : "--state takes one of queued running success failed error "
                                         "timeout canceled interrupted superseded skipped blocked");
    }
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0) {
        filter.text = argc > 1 ? argv[1] : NULL;
        filter.has_state = state != NULL;
        filter.limit = (unsigned)limit;
        code = list(&context, &filter, exists);
    }
    command_context_clear(&context);
    return code;
}
