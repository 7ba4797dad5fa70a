/*
 * phantom_ci __complete: what the shells' scripts in packaging/completions/ ask. No command for
 * people, so it is in no list of commands.
 *
 *   phantom_ci __complete -- line WORD...     what may stand in the place of the last word
 *   phantom_ci __complete KIND [WORD]         commands, options COMMAND, repos, branches [REPO],
 *                                             tags [REPO], jobs [active|finished|blocked],
 *                                             messages, states, message-states, targets, formats,
 *                                             levels
 *
 * One candidate a line, with a tab and its meaning if there is one. A line that begins with a tab
 * asks the shell for names that it knows better: "\tfiles" or "\tdirectories".
 *
 * It is called while somebody types: it reads only, makes nothing, waits for nobody, is silent
 * about every trouble and ends within a second. Names that come from elsewhere may hold anything
 * that a shell understands; quoting them is the scripts' part. Names with control characters are
 * left out.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/refkey.h"
#include "base/text.h"
#include "commands/all.h"
#include "commands/complete.h"
#include "git/url.h"
#include "notify/target.h"
#include "store/outbox.h"

enum { MAX_ROWS = 200, MAX_BRANCHES = 1000, MAX_MEANING = 60, LIMIT_S = 1 };

struct listing {
    struct command_context *context;
    const struct completion *completion;
    const char *repo;
    GHashTable *seen; /* candidates so far, owned */
    GString *out;
    bool store_was_tried;
};

static void add(struct listing *listing, const char *word, const char *meaning)
{
    g_autofree char *shown = text_escape(word);
    g_autofree char *escaped = text_escape(meaning);
    if (!*word || strcmp(shown, word) != 0 || !g_hash_table_add(listing->seen, g_strdup(word))) {
        return;
    }
    g_autofree char *cut =
        g_utf8_substring(escaped, 0, MIN(g_utf8_strlen(escaped, -1), MAX_MEANING));
    g_string_append_printf(listing->out, "%s%s%s%s\n",
                           listing->completion->prefix ? listing->completion->prefix : "", word,
                           *cut ? "\t" : "", cut);
}

/* ----------------------------------------------------------- from the program */

static void list_commands(struct listing *listing)
{
    for (const struct command *command = commands; command->name; command++) {
        add(listing, command->name, command->summary);
    }
    add(listing, "help", "what there is, or what a command does");
}

static void list_subcommands(struct listing *listing)
{
    for (unsigned i = 0; i < listing->completion->subcommands->len; i++) {
        const struct command *sub = g_ptr_array_index(listing->completion->subcommands, i);
        add(listing, strchr(sub->name, ' ') + 1, sub->summary);
    }
}

static void list_options(struct listing *listing)
{
    for (unsigned i = 0; i < listing->completion->options->len; i++) {
        const struct completion_option *option =
            &g_array_index(listing->completion->options, struct completion_option, i);
        g_autofree char *word = g_strconcat("--", option->entry.long_name, NULL);
        if (!option->is_given) {
            add(listing, word, option->entry.description);
        }
    }
}

static void list_states(struct listing *listing)
{
    for (enum job_state state = JOB_QUEUED; state <= JOB_BLOCKED; state++) {
        add(listing, job_state_name(state), NULL);
    }
}

static void list_message_states(struct listing *listing)
{
    for (enum outbox_state state = OUTBOX_WAITING; state <= OUTBOX_GIVEN_UP; state++) {
        g_autofree char *name = g_strdelimit(g_strdup(outbox_state_name(state)), " ", '-');
        add(listing, name, NULL);
    }
}

static void list_targets(struct listing *listing)
{
    for (int kind = 0; kind < TARGET_KINDS; kind++) {
        add(listing, target_kind_name((enum target_kind)kind), NULL);
    }
}

static void list_formats(struct listing *listing)
{
    add(listing, "systemd", NULL);
    add(listing, "launchd", NULL);
}

static void list_levels(struct listing *listing)
{
    add(listing, config_sandbox_name(SANDBOX_CHOICE_WORKSPACE), NULL);
    add(listing, config_sandbox_name(SANDBOX_CHOICE_STRICT), NULL);
    add(listing, config_sandbox_name(SANDBOX_CHOICE_OFF), NULL);
}

/* --------------------------------------------- from the configuration and the store */

/* NULL when there is none, or it is of another version: this is no place for a migration. */
static struct store *get_store(struct listing *listing)
{
    struct command_context *context = listing->context;
    if (!listing->store_was_tried) {
        int64_t found = 0;
        int64_t known = 0;
        g_autofree char *path = paths_database(&context->paths);
        listing->store_was_tried = true;
        context->store = store_open_to_read(path, NULL);
        if (context->store &&
            (!store_schema(context->store, &found, &known, NULL) || found != known)) {
            g_clear_pointer(&context->store, store_close);
        }
    }
    return context->store;
}

/* NULL when a file has an error. */
static const struct config *get_config(struct listing *listing)
{
    if (!listing->context->config) {
        struct diagnostics *diagnostics = diagnostics_new();
        listing->context->config = config_load(listing->context->paths.config, diagnostics);
        diagnostics_free(diagnostics);
    }
    return listing->context->config;
}

static GPtrArray *get_branches(struct listing *listing, const char *repo)
{
    struct store *store = get_store(listing);
    return store ? store_branches(store, repo, NULL) : NULL;
}

static void list_repos(struct listing *listing)
{
    const struct config *config = get_config(listing);
    if (config) {
        for (unsigned i = 0; i < config->repos->len; i++) {
            const struct repo_config *repo = g_ptr_array_index(config->repos, i);
            g_autofree char *url = url_for_display(repo->url);
            add(listing, repo->name, url);
        }
        return;
    }
    /* While Repo.toml has a mistake, those that were watched before it. */
    g_autoptr(GPtrArray) branches = get_branches(listing, NULL);
    for (unsigned i = 0; branches && i < branches->len; i++) {
        add(listing, ((const struct branch *)g_ptr_array_index(branches, i))->repo, NULL);
    }
}

/* Those that were seen, and those that are to be watched. */
static void list_branches(struct listing *listing)
{
    g_autoptr(GPtrArray) branches = get_branches(listing, listing->repo);
    for (unsigned i = 0; branches && i < MIN(branches->len, MAX_BRANCHES); i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        g_autofree char *meaning =
            g_strdup_printf("%s%s %s", listing->repo ? "" : branch->repo,
                            listing->repo ? "at" : " at", text_short_id(branch->tip));
        add(listing, refkey_branch(branch->name),
            branch->gone_ms ? "missing on the remote" : meaning);
    }
    const struct config *config = get_config(listing);
    for (unsigned i = 0; config && i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        bool is_wanted = !listing->repo || strcmp(repo->name, listing->repo) == 0;
        for (char **target = repo->target_branches; is_wanted && *target; target++) {
            if (!text_is_glob(*target)) {
                add(listing, *target, "not seen yet");
            }
        }
    }
}

/* The order of names puts the newest versions last. */
static void list_tags(struct listing *listing)
{
    struct store *store = get_store(listing);
    g_autoptr(GPtrArray) tags = store ? store_tags(store, listing->repo, NULL) : NULL;
    for (unsigned i = tags ? tags->len : 0, shown = 0; i > 0 && shown < MAX_BRANCHES; i--) {
        const struct branch *tag = g_ptr_array_index(tags, i - 1);
        g_autofree char *meaning =
            g_strdup_printf("%s%s %s", listing->repo ? "" : tag->repo, listing->repo ? "at" : " at",
                            text_short_id(tag->tip));
        if (tag->gone_ms == 0) {
            add(listing, refkey_tag(tag->name), meaning);
            shown++;
        }
    }
}

static void add_jobs(struct listing *listing, const struct job_filter *filter, bool only_finished)
{
    struct store *store = get_store(listing);
    g_autoptr(GPtrArray) jobs = store ? store_jobs(store, filter, NULL) : NULL;
    for (unsigned i = 0; jobs && i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job->id);
        g_autofree char *ref = refkey_describe(job->branch);
        g_autofree char *meaning =
            g_strdup_printf("%s %s %s %s", job_state_name(job->state), job->repo, ref,
                            job->subject ? job->subject : text_short_id(job->sha));
        if (!only_finished || job_state_is_final(job->state)) {
            add(listing, id, meaning);
        }
    }
}

static void list_jobs(struct listing *listing)
{
    const struct job_filter filter = {.limit = MAX_ROWS};
    add_jobs(listing, &filter, false);
}

static void list_active_jobs(struct listing *listing)
{
    const struct job_filter running = {
        .has_state = true, .state = JOB_RUNNING, .limit = MAX_ROWS / 2};
    const struct job_filter queued = {
        .has_state = true, .state = JOB_QUEUED, .limit = MAX_ROWS / 2};
    add_jobs(listing, &running, false);
    add_jobs(listing, &queued, false);
}

static void list_finished_jobs(struct listing *listing)
{
    const struct job_filter filter = {.limit = MAX_ROWS};
    add_jobs(listing, &filter, true);
}

static void list_blocked_jobs(struct listing *listing)
{
    const struct job_filter filter = {.has_state = true, .state = JOB_BLOCKED, .limit = MAX_ROWS};
    add_jobs(listing, &filter, false);
}

static void list_messages(struct listing *listing)
{
    const struct outbox_filter filter = {.limit = MAX_ROWS};
    struct store *store = get_store(listing);
    g_autoptr(GPtrArray) messages = store ? outbox_list(store, &filter, NULL) : NULL;
    for (unsigned i = 0; messages && i < messages->len; i++) {
        const struct outbox_message *message = g_ptr_array_index(messages, i);
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, message->id);
        g_autofree char *ref = refkey_describe(message->branch);
        g_autofree char *meaning =
            g_strdup_printf("%s, %s: %s %s %s", outbox_state_name(message->state), message->target,
                            message->kind, message->repo, ref);
        add(listing, id, meaning);
    }
}

/* ------------------------------------------------------------- from the shell */

static void ask_for_files(struct listing *listing)
{
    g_string_append(listing->out, "\tfiles\n");
}

static void ask_for_directories(struct listing *listing)
{
    g_string_append(listing->out, "\tdirectories\n");
}

/* ----------------------------------------------------------------------------- */

static void (*const listers[])(struct listing *listing) = {
    [COMPLETION_NOTHING] = NULL,
    [COMPLETION_COMMANDS] = list_commands,
    [COMPLETION_SUBCOMMANDS] = list_subcommands,
    [COMPLETION_OPTIONS] = list_options,
    [COMPLETION_REPOS] = list_repos,
    [COMPLETION_BRANCHES] = list_branches,
    [COMPLETION_TAGS] = list_tags,
    [COMPLETION_JOBS] = list_jobs,
    [COMPLETION_JOBS_ACTIVE] = list_active_jobs,
    [COMPLETION_JOBS_FINISHED] = list_finished_jobs,
    [COMPLETION_JOBS_BLOCKED] = list_blocked_jobs,
    [COMPLETION_MESSAGES] = list_messages,
    [COMPLETION_STATES] = list_states,
    [COMPLETION_MESSAGE_STATES] = list_message_states,
    [COMPLETION_TARGETS] = list_targets,
    [COMPLETION_FORMATS] = list_formats,
    [COMPLETION_LEVELS] = list_levels,
    [COMPLETION_FILES] = ask_for_files,
    [COMPLETION_DIRECTORIES] = ask_for_directories,
};

static void print_all(struct command_context *context, const struct completion *completion,
                      const char *repo)
{
    struct listing listing = {.context = context, .completion = completion, .repo = repo};
    listing.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    listing.out = g_string_new(NULL);
    for (unsigned i = 0; i < COMPLETION_KINDS; i++) {
        if (listers[completion->kinds[i]]) {
            listers[completion->kinds[i]](&listing);
        }
    }
    /* All or nothing: the time may be over before. */
    alarm(0);
    fputs(listing.out->str, stdout);
    g_hash_table_unref(listing.seen);
    g_string_free(listing.out, TRUE);
}

/* The shell's own "~/", which is still there before the line is run. */
static char *expand_home(const char *directory)
{
    const char *home = g_getenv("HOME");
    return directory && home && g_str_has_prefix(directory, "~/")
               ? g_build_filename(home, directory + 2, NULL)
               : g_strdup(directory);
}

/* The line's directories come before those that this very command was given. */
static bool place(struct command_context *context, const struct completion *completion)
{
    g_autofree char *config = expand_home(completion->config_dir);
    g_autofree char *state = expand_home(completion->state_dir);
    g_autofree char *cache = expand_home(completion->cache_dir);
    paths_clear(&context->paths);
    return paths_init(&context->paths, config ? config : context->config_dir,
                      state ? state : context->state_dir, cache ? cache : context->cache_dir, NULL);
}

static void complete_line(struct command_context *context, char *const *words, size_t count)
{
    struct completion completion;
    completion_find(&completion, words, count);
    if (place(context, &completion)) {
        print_all(context, &completion, completion.repo);
    }
    completion_clear(&completion);
}

static void complete_options(struct command_context *context, const char *name)
{
    const struct command *command = command_find(name);
    struct completion completion;
    if (command) {
        completion_describe(&completion, command);
        completion.kinds[0] = COMPLETION_OPTIONS;
        print_all(context, &completion, NULL);
        completion_clear(&completion);
    }
}

static int complete_kind(struct command_context *context, const char *name, const char *word)
{
    static const struct {
        const char *name;
        const char *word; /* NULL = any or none */
        enum completion_kind kind;
    } kinds[] = {
        {"commands", NULL, COMPLETION_COMMANDS},
        {"repos", NULL, COMPLETION_REPOS},
        {"branches", NULL, COMPLETION_BRANCHES},
        {"tags", NULL, COMPLETION_TAGS},
        {"jobs", "active", COMPLETION_JOBS_ACTIVE},
        {"jobs", "finished", COMPLETION_JOBS_FINISHED},
        {"jobs", "blocked", COMPLETION_JOBS_BLOCKED},
        {"jobs", NULL, COMPLETION_JOBS},
        {"messages", NULL, COMPLETION_MESSAGES},
        {"states", NULL, COMPLETION_STATES},
        {"message-states", NULL, COMPLETION_MESSAGE_STATES},
        {"targets", NULL, COMPLETION_TARGETS},
        {"formats", NULL, COMPLETION_FORMATS},
        {"levels", NULL, COMPLETION_LEVELS},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0 &&
            (!kinds[i].word || g_strcmp0(kinds[i].word, word) == 0)) {
            const struct completion completion = {.kinds = {kinds[i].kind}};
            print_all(context, &completion, word);
            return EXIT_CODE_OK;
        }
    }
    return EXIT_CODE_USAGE;
}

static void give_up(int number)
{
    (void)number;
    _exit(EXIT_CODE_OK);
}

int command_complete(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    signal(SIGALRM, give_up);
    alarm(LIMIT_S);
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, -1);
    if (code < 0 && strcmp(argv[1], "line") == 0) {
        complete_line(&context, argv + 2, (size_t)argc - 2);
        code = EXIT_CODE_OK;
    } else if (code < 0 && strcmp(argv[1], "options") == 0) {
        complete_options(&context, argc > 2 ? argv[2] : "");
        code = EXIT_CODE_OK;
    } else if (code < 0) {
        code = complete_kind(&context, argv[1], argc > 2 ? argv[2] : NULL);
    }
    command_context_clear(&context);
    return code;
}
