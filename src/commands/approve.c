#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/approve_diff.h"
#include "commands/confirm.h"
#include "commands/show.h"

/* Who approves, for the record alone: nothing is decided by it. */
static char *describe_approver(void)
{
    const char *name = g_getenv("SUDO_USER");
    name = name && *name ? name : g_getenv("USER");
    g_autofree char *escaped = text_escape(name && *name ? name : "user");
    return g_strdup_printf("%.64s (uid %u)", escaped, (unsigned)getuid());
}

static void print_line(const char *name, const char *value)
{
    g_autofree char *escaped = text_escape(value);
    if (*escaped) {
        printf("%-10s %s\n", name, escaped);
    }
}

static void print_request(const struct job *job)
{
    g_autofree char *ref = show_ref(job->branch);
    printf("job %" G_GINT64_FORMAT " is blocked\n", job->id);
    print_line("reason", job->reason);
    print_line("repo", job->repo);
    printf("%-10s %s\n", "branch", ref);
    print_line("commit", job->sha);
    print_line("previous", job->previous_sha);
    print_line("subject", job->subject);
    if (job->author) {
        g_autofree char *author = g_strconcat(job->author, " (so the commit says)", NULL);
        print_line("author", author);
    }
    print_line("signer", job->signer);
    print_line("key", job->signing_key);
    putchar('\n');
}

/* -1 when it may be asked for. */
static int check(const struct job *job, const struct repo_config *repo)
{
    if (job->state != JOB_BLOCKED) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "job %" G_GINT64_FORMAT
                                 " is %s; only a blocked job can be approved",
                                 job->id, job_state_name(job->state));
    }
    if (job->block == JOB_BLOCK_SIGNATURE && repo->strict_signatures) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "job %" G_GINT64_FORMAT
                                 " can't be approved: strict_signatures = true; push a commit "
                                 "that is signed",
                                 job->id);
    }
    return -1;
}

static int record(struct command_context *context, const struct job *job,
                  const struct repo_config *repo)
{
    int64_t id = 0;
    bool is_new = false;
    g_autoptr(GError) error = NULL;
    g_autofree char *approver = describe_approver();
    if (!store_approve(context->store, job->id, approver, repo->priority, clock_now_ms(), &id,
                       &is_new, &error)) {
        return command_fail(error);
    }
    if (!is_new) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "job %" G_GINT64_FORMAT
                                 " was approved already; job %" G_GINT64_FORMAT
                                 " was queued in its place",
                                 job->id, id);
    }
    wake_daemon(&context->paths);
    g_autofree char *ref = show_ref(job->branch);
    printf("job %" G_GINT64_FORMAT " queued: %s of %s %s, approved in place of job "
           "%" G_GINT64_FORMAT "\n",
           id, text_short_id(job->sha), job->repo, ref, job->id);
    g_autofree char *lock = paths_daemon_lock(&context->paths);
    if (!lock_is_held(lock)) {
        fprintf(stderr, "phantom_ci: no daemon is running; the job waits for one\n");
    }
    return EXIT_CODE_OK;
}

static int ask_and_record(struct command_context *context, const struct job *job, bool yes)
{
    const struct repo_config *repo = command_find_repo(context, job->repo);
    if (!repo) {
        return EXIT_CODE_NOT_FOUND;
    }
    g_autoptr(GError) error = NULL;
    int code = check(job, repo);
    if (code < 0) {
        print_request(job);
    }
    if (code < 0 && job->block == JOB_BLOCK_WORKFLOW &&
        !approve_print_change(context, job, repo, &error)) {
        g_prefix_error(&error, "what would be approved can't be shown, so nothing was: ");
        code = command_fail(error);
    }
    if (code < 0 && !yes) {
        code = confirm("Run it all the same?", "With --yes it is not asked.");
    }
    return code < 0 ? record(context, job, repo) : code;
}

static int approve(struct command_context *context, const char *word, bool yes)
{
    int64_t id = 0;
    bool exists = false;
    g_autoptr(GError) error = NULL;
    if (!command_parse_job(word, &id)) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "a job is named by its number (see: phantom_ci jobs blocked)");
    }
    int code = command_open_store(context, false, &exists);
    if (code < 0 && !exists) {
        return command_fail_text(EXIT_CODE_NOT_FOUND, "there is no job %" G_GINT64_FORMAT, id);
    }
    if (code >= 0) {
        return code;
    }
    struct job *job = store_job_get(context->store, id, &error);
    code = job ? ask_and_record(context, job, yes) : command_fail(error);
    job_free(job);
    return code;
}

int command_approve(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    gboolean yes = FALSE;
    const GOptionEntry entries[] = {
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "do not ask", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = approve(&context, argv[1], yes);
    }
    command_context_clear(&context);
    return code;
}
