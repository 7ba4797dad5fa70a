#include <stdio.h>

#include "commands/all.h"
#include "commands/log_view.h"

enum { DEFAULT_LINES = 50 };

/* Whether a job's number was given; otherwise the words filter. */
static bool is_one_job(const struct log_request *request)
{
    return request->job > 0;
}

static int check_options(struct log_request *request, const char *word)
{
    int64_t job = 0;
    if (word && command_parse_job(word, &job)) {
        request->job = job;
    } else {
        request->filter = word;
    }
    if (request->lines < -1) {
        return command_fail_text(EXIT_CODE_USAGE, "--limit takes a number from 0");
    }
    if (request->step >= 0 && !is_one_job(request)) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "--step needs a job: phantom_ci logs JOB --step N");
    }
    if (request->lines == -1) {
        request->lines = is_one_job(request) ? 0 : DEFAULT_LINES;
    }
    return -1;
}

int command_logs(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct log_request request = {.context = &context, .lines = -1, .step = -1};
    g_autofree char *branch = NULL;
    g_autofree char *tag = NULL;
    const GOptionEntry entries[] = {
        {"repo", 0, 0, G_OPTION_ARG_STRING, &request.repo, "only jobs of this repository", "NAME"},
        {"branch", 'b', 0, G_OPTION_ARG_FILENAME, &branch, "only jobs of this branch", "BRANCH"},
        {"tag", 0, 0, G_OPTION_ARG_FILENAME, &tag, "only jobs of this tag", "TAG"},
        {"limit", 'n', 0, G_OPTION_ARG_INT, &request.lines, "only the last lines (0 = all)", "N"},
        {"step", 0, 0, G_OPTION_ARG_INT64, &request.step, "only this step", "N"},
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &request.follow, "go on as output comes", NULL},
        {"timestamps", 't', 0, G_OPTION_ARG_NONE, &request.timestamps,
         "lead each line with its time", NULL},
        {"raw", 0, 0, G_OPTION_ARG_NONE, &request.raw,
         "do not escape control characters on a terminal", NULL},
        G_OPTION_ENTRY_NULL,
    };
    bool exists = false;
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 0, 1);
    if (code < 0) {
        code = command_take_ref(branch, tag, &request.branch);
    }
    if (code < 0) {
        code = check_options(&request, argc > 1 ? argv[1] : NULL);
    }
    if (code < 0) {
        code = command_open_store(&context, request.follow && !is_one_job(&request), &exists);
    }
    if (code < 0 && !context.store) {
        code = is_one_job(&request)
                   ? command_fail_text(EXIT_CODE_NOT_FOUND, "there is no job %" G_GINT64_FORMAT,
                                       request.job)
                   : (puts("no jobs yet"), EXIT_CODE_OK);
    }
    if (code < 0) {
        code = is_one_job(&request) ? log_view_job(&request) : log_view_all(&request);
    }
    g_free(request.repo);
    g_free(request.branch);
    command_context_clear(&context);
    return code;
}
