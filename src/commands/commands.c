#include "commands/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/refkey.h"
#include "base/text.h"
#include "commands/all.h"

const struct command commands[] = {
    {"add",
     "URL BRANCH [--name N] [--ssh-key FILE] [--sandbox LEVEL] "
     "[--workflow-file FILE] [--run] [--no-check]",
     "watch a branch of a repository",
     "URL is https, http, ssh, git, [user@]host:path, file:// or an absolute path. BRANCH may be a "
     "glob "
     "(\"release/*\") or \"\" for every branch.\nThe present tip is the baseline: the next push "
     "runs, or "
     "this one at once with --run. Comments and order of Repo.toml are kept.",
     command_add},
    {"remove", "NAME", "stop watching a repository; its history stays", NULL, command_remove},
    {"repo", "[FILTER]", "list repositories, their branches, last jobs and looks", NULL,
     command_repo},
    {"jobs", "[FILTER] [--state S] [--limit N]", "list jobs, newest first",
     "FILTER is a part of a repository's, branch's or tag's name, the beginning of a SHA, or a "
     "state.",
     command_jobs},
    {"job", "ID", "show one job with its steps", NULL, command_job},
    {"logs",
     "[FILTER|JOB] [--repo R] [--branch B | --tag T] [--limit N] [--step N] [-f] [--timestamps] "
     "[--raw]",
     "print what the steps of jobs wrote",
     "With a job's number: its whole output, byte for byte unless it goes to a terminal. Without: "
     "the newest "
     "50 lines over all matching jobs (--limit 0: all), each led by its job.",
     command_logs},
    {"run", "NAME [--branch B [--sha S] | --tag T] [--detach] [--force]",
     "run a branch's tip, an older commit of it, or a tag, now",
     "In the foreground with live output; the exit code is 0 when the job succeeded. Ctrl-C "
     "cancels the job. On a disk with less than min_free it is not run (exit code 75), unless with "
     "--force.",
     command_run},
    {"sandbox", "NAME [--explain] [--json] [-- COMMAND...]",
     "say what the sandbox of a repository's steps is, or try a command in it",
     "Without a command: the operations that make the sandbox, in their order. A command runs as a "
     "step would, in the workspace as it is, and its exit code is that of this command.",
     command_sandbox},
    {"retry", "JOB", "run the commit of a finished job again, as a new job", NULL, command_retry},
    {"approve", "JOB [--yes]", "run a job after all that a rule has blocked",
     "It shows what would be approved, asks, and queues a new job for that very commit. What was "
     "approved, when and by whom is kept. Signatures that strict_signatures asks for can't be "
     "approved.",
     command_approve},
    {"cancel", "JOB", "cancel a queued or running job", NULL, command_cancel},
    {"poll", "[NAME]", "look now (for a post-receive hook)", NULL, command_poll},
    {"why", "NAME [--branch B | --tag T]",
     "say in words what was decided last, and on which commits", NULL, command_why},
    {"status", "[--stale DURATION]", "say whether all is well",
     "Exit code 1 when no daemon runs, when the disk has less than min_free, or, with --stale, "
     "when "
     "looking at a repository has not succeeded for so long.",
     command_status},
    {"pause", "NAME", "go on recording pushes of a repository, but start no job", NULL,
     command_pause},
    {"resume", "NAME", "start jobs of a paused repository again", NULL, command_resume},
    {"notify", "list | retry ID... | test [TARGET]",
     "messages to Discord, Slack or a webhook: list them, send one again, try one", NULL,
     command_notify},
    {"gc", "[--dry-run] [--quiet]", "remove old jobs, logs and unused workspaces now",
     "What keep_jobs_for, keep_jobs, keep_bytes and keep_cache_for of config.toml say. The daemon "
     "does it by itself, too. Exit code 1 when something could not be removed.",
     command_gc},
    {"check", "[FILE...]", "check the configuration, or the files named",
     "A file called neither Repo.toml nor config.toml is checked as a workflow.", command_check},
    {"doctor", "[--json] [--offline] [--timeout DURATION] [NAME...]",
     "look for everything that may be wrong, and say how to mend it",
     "One line each: versions, clock, disk, limits, directories, configuration, database, daemon, "
     "service, "
     "sandbox, remotes (of the sections NAME alone, when named) with their keys and branches.\nIt "
     "changes "
     "nothing and asks nothing. Exit code 1 when a line says FAIL.",
     command_doctor},
    {"configure", "service ...", "install, print or remove the service", NULL, command_configure},
    {"reset", "[--yes] [--kill-jobs] [--history]",
     "remove mirrors and workspaces, and with --history everything but the configuration", NULL,
     command_reset},
    {"backup", "FILE [--logs] [--force]", "write the history and the configuration into one file",
     "Also while the daemon and jobs run. The file (mode 600) holds the database, Repo.toml, "
     "config.toml and .env.",
     command_backup},
    {"restore", "FILE [--yes] [--force]", "put a backup in the place of the present state",
     "The daemon must be stopped. What is replaced is kept beside it. A restore that was "
     "interrupted is finished by "
     "running it again.",
     command_restore},
    {"import-original", "[DIR] [--dry-run]",
     "take over from the original phantom_ci, written in Rust",
     "DIR is the original's directory with Repo.toml and db.sqlite (default: where it kept them, "
     "~/.config/phantom_ci). Says for each repository what is different from now on.",
     command_import_original},
    {"version", "", "print the version", NULL, command_version},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct command command_without_name = {
    "", "[--quiet] [--kill-jobs] [--ready-fd N]",
    "the daemon: watch the repositories, run the jobs",
    "SIGHUP reloads the configuration (a changed file does, too). SIGTERM stops: running jobs "
    "go on and "
    "the next daemon adopts them; a second SIGTERM ends them.",
    command_daemon};

/* For the shells' completion scripts, see complete.c; no command for people. */
static const struct command hidden = {
    "__complete", "[--] KIND [WORD...]", "print what may stand at a place of a command line",
    "KIND is line (with the words up to the cursor), commands, options, repos, branches, tags, "
    "jobs, "
    "messages, states, "
    "message-states, targets, formats or levels. One candidate a line, with a tab and its meaning.",
    command_complete};

const struct command *command_find(const char *name)
{
    if (strcmp(hidden.name, name) == 0) {
        return &hidden;
    }
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

int command_find_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool takes_value =
            strcmp(argv[i], "--config-dir") == 0 || strcmp(argv[i], "--state-dir") == 0 ||
            strcmp(argv[i], "--cache-dir") == 0 || strcmp(argv[i], "--ready-fd") == 0;
        if (takes_value) {
            i++;
        } else if (argv[i][0] != '-') {
            return i;
        }
    }
    return 0;
}

static void print_sub_overview(const struct command *command, const struct command *subs)
{
    printf("Usage: phantom_ci %s %s\n\n%s\n\n", command->name, command->arguments,
           command->summary);
    for (; subs->name; subs++) {
        printf("  phantom_ci %s%s%s\n      %s\n", subs->name, *subs->arguments ? " " : "",
               subs->arguments, subs->summary);
    }
}

/* Set while command_visit() calls a command, which then gets no further than to its options. */
static const struct command_visitor *visiting;

static void add_entries(GOptionContext *options, const GOptionEntry *entries)
{
    for (const GOptionEntry *entry = entries; visiting && entry->long_name; entry++) {
        visiting->option(entry, visiting->data);
    }
    g_option_context_add_main_entries(options, entries, NULL);
}

static GOptionContext *make_option_context(const struct command *command,
                                           struct command_context *context,
                                           const GOptionEntry *entries, int flags)
{
    const GOptionEntry common[] = {
        {"config-dir", 0, 0, G_OPTION_ARG_FILENAME, &context->config_dir, "where Repo.toml is",
         "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &context->state_dir, "where the history is",
         "DIR"},
        {"cache-dir", 0, 0, G_OPTION_ARG_FILENAME, &context->cache_dir, "where checkouts are",
         "DIR"},
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry json[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &context->json, "print JSON; times are UTC milliseconds",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    GOptionContext *options = g_option_context_new(NULL);
    g_autofree char *summary = g_strconcat(command->summary, command->details ? "\n\n" : "",
                                           command->details ? command->details : "", NULL);
    g_option_context_set_summary(options, summary);
    if (entries) {
        add_entries(options, entries);
    }
    if (flags & COMMAND_JSON) {
        add_entries(options, json);
    }
    add_entries(options, common);
    g_option_context_set_help_enabled(options, FALSE);
    return options;
}

void command_visit(const struct command *command, const struct command_visitor *visitor)
{
    static const GOptionEntry help = {"help", 'h', 0, G_OPTION_ARG_NONE, NULL, "say how it is used",
                                      NULL};
    char *arguments[] = {(char *)command->name, NULL};
    g_assert(!visiting);
    visiting = visitor;
    command->run(command, 1, arguments);
    visitor->option(&help, visitor->data);
    visiting = NULL;
}

int command_run_sub(const struct command *command, const struct command *subs, int argc,
                    char **argv)
{
    if (visiting) {
        struct command_context context = {.json = false};
        g_option_context_free(make_option_context(command, &context, NULL, 0));
        for (const struct command *sub = subs; sub->name; sub++) {
            visiting->subcommand(sub, visiting->data);
        }
        return EXIT_CODE_OK;
    }
    int word = command_find_word(argc, argv);
    for (const struct command *sub = subs; word > 0 && sub->name; sub++) {
        if (strcmp(strchr(sub->name, ' ') + 1, argv[word]) == 0) {
            memmove(&argv[word], &argv[word + 1], (size_t)(argc - word) * sizeof(*argv));
            return sub->run(sub, argc - 1, argv);
        }
    }
    if (word == 0 && asks_for_help(argc, argv)) {
        print_sub_overview(command, subs);
        return EXIT_CODE_OK;
    }
    return command_fail_text(EXIT_CODE_USAGE, "usage: phantom_ci %s %s", command->name,
                             command->arguments);
}

void command_print_overview(void)
{
    printf(
        "Usage: phantom_ci [--quiet] [--kill-jobs]     the daemon: watch and run\n"
        "       phantom_ci COMMAND ...\n\n"
        "A self-hosted CI runner that pulls: it looks at the repositories of Repo.toml and runs\n"
        "workflow/<branch>.toml when their branches move. It listens on nothing.\n\nCommands:\n");
    for (const struct command *command = commands; command->name; command++) {
        printf("  %-15s %s\n", command->name, command->summary);
    }
    printf(
        "\nOptions of every command: --config-dir DIR, --state-dir DIR, --cache-dir DIR, --help;\n"
        "listing commands have --json. phantom_ci COMMAND --help says more.\n\n"
        "Exit codes: 0 ok, 1 negative answer, 2 usage, 3 not found, 75 try again, 78 "
        "configuration.\n");
}

void command_context_clear(struct command_context *context)
{
    g_clear_pointer(&context->store, store_close);
    g_clear_pointer(&context->config, config_free);
    g_clear_pointer(&context->config_dir, g_free);
    g_clear_pointer(&context->state_dir, g_free);
    g_clear_pointer(&context->cache_dir, g_free);
    paths_clear(&context->paths);
}

static void print_help(const struct command *command, GOptionContext *options)
{
    g_autofree char *help = g_option_context_get_help(options, TRUE, NULL);
    /* GLib leads with a usage line of its own; ours names the command and its arguments. */
    const char *rest = strstr(help, "\n\n");
    printf("Usage: phantom_ci%s%s %s%s", *command->name ? " " : "", command->name,
           command->arguments, rest ? rest : "\n");
}

int command_parse(const struct command *command, struct command_context *context,
                  const GOptionEntry *entries, int flags, int *argc, char ***argv, int least,
                  int most)
{
    g_autoptr(GOptionContext) options = make_option_context(command, context, entries, flags);
    g_autoptr(GError) error = NULL;
    if (visiting) {
        return EXIT_CODE_OK;
    }
    if (asks_for_help(*argc, *argv)) {
        print_help(command, options);
        return EXIT_CODE_OK;
    }
    if (!g_option_context_parse(options, argc, argv, &error)) {
        g_autofree char *message = text_escape(error->message);
        return command_fail_text(EXIT_CODE_USAGE, "%s; see phantom_ci%s%s --help", message,
                                 *command->name ? " " : "", command->name);
    }
    if (*argc > 1 && strcmp((*argv)[1], "--") == 0) {
        memmove(*argv + 1, *argv + 2, (size_t)(*argc - 1) * sizeof(**argv));
        (*argc)--;
    }
    int words = *argc - 1;
    if (words < least || (most >= 0 && words > most)) {
        return command_fail_text(EXIT_CODE_USAGE, "usage: phantom_ci %s %s", command->name,
                                 command->arguments);
    }
    bool good = paths_init(&context->paths, context->config_dir, context->state_dir,
                           context->cache_dir, &error);
    return good || (flags & COMMAND_WITHOUT_HOME) ? -1 : command_fail(error);
}

int command_open_store(struct command_context *context, bool create, bool *exists)
{
    g_autofree char *database = paths_database(&context->paths);
    g_autoptr(GError) error = NULL;
    bool there = access(database, F_OK) == 0;
    if (exists) {
        *exists = there;
    }
    if (!there && !create) {
        return -1;
    }
    if (!there && !paths_ensure(&context->paths, &error)) {
        return command_fail(error);
    }
    context->store = store_open(database, &error);
    return context->store ? -1 : command_fail(error);
}

int command_load_config(struct command_context *context)
{
    struct diagnostics *diagnostics = diagnostics_new();
    context->config = config_load(context->paths.config, diagnostics);
    if (!context->config) {
        g_autofree char *text = diagnostics_format(diagnostics);
        fputs(text, stderr);
    }
    diagnostics_free(diagnostics);
    return context->config ? -1 : EXIT_CODE_CONFIG;
}

const struct repo_config *command_find_repo(const struct command_context *context, const char *name)
{
    const struct repo_config *repo = config_find_repo(context->config, name);
    if (!repo) {
        const char *nearest = config_nearest_repo(context->config, name);
        g_autofree char *escaped = text_escape(name);
        command_fail_text(EXIT_CODE_NOT_FOUND, "no repository \"%s\"%s%s%s", escaped,
                          nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                          nearest ? "\"?" : " (see: phantom_ci repo)");
    }
    return repo;
}

char *command_describe_shortage(const struct command_context *context)
{
    const char *const places[] = {context->paths.state, context->paths.cache, NULL};
    struct disk_shortage shortage;
    return disk_find_shortage(places, context->config->min_free_bytes, &shortage)
               ? disk_describe_shortage(&shortage)
               : NULL;
}

int command_take_ref(const char *branch, const char *tag, char **key)
{
    if (branch && tag) {
        return command_fail_text(EXIT_CODE_USAGE, "--branch or --tag, not both");
    }
    g_autofree char *full = branch ? g_strconcat(REFKEY_HEADS, branch, NULL)
                            : tag  ? g_strconcat(REFKEY_TAGS, tag, NULL)
                                   : NULL;
    *key = full ? g_strdup(refkey_of(full)) : NULL;
    return -1;
}

bool command_parse_job(const char *text, int64_t *job)
{
    guint64 number = 0;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT64, &number, NULL)) {
        return false;
    }
    *job = (int64_t)number;
    return true;
}

int command_parse_with_job(const struct command *command, struct command_context *context,
                           int flags, int *argc, char ***argv, int64_t *job)
{
    bool exists = false;
    int code = command_parse(command, context, NULL, flags, argc, argv, 1, 1);
    if (code < 0 && !command_parse_job((*argv)[1], job)) {
        code = command_fail_text(EXIT_CODE_USAGE,
                                 "a job is named by its number (see: phantom_ci jobs)");
    }
    if (code < 0) {
        code = command_open_store(context, false, &exists);
    }
    if (code < 0 && !exists) {
        code = command_fail_text(EXIT_CODE_NOT_FOUND, "there is no job %" G_GINT64_FORMAT, *job);
    }
    return code;
}

int command_fail(const GError *error)
{
    g_autoptr(GString) message = g_string_new(NULL);
    text_append_escaped(message, error->message, strlen(error->message), TEXT_KEEP_LAYOUT);
    fprintf(stderr, "phantom_ci: %s\n", message->str);
    return error_exit_code(error);
}

int command_fail_text(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("phantom_ci: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return code;
}
