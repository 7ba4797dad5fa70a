#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/wake.h"
#include "commands/all.h"
#include "config/edit.h"
#include "config/host_steps.h"
#include "git/hostkey.h"
#include "git/look.h"
#include "git/url.h"
#include "sandbox/abilities.h"

enum { LOOK_TIMEOUT_MS = 30000, HOST_KEY_TIMEOUT_MS = 10000, BRANCHES_SHOWN = 10 };

struct addition {
    struct command_context *context;
    const char *url, *branch;
    char *name, *ssh_key;
    char *sandbox; /* the level, as it is written */
    char *workflow_file;
    gboolean run, no_check;
    GHashTable *refs; /* the remote's branches (git/refset.h); NULL with --no-check */
};

/* An unknown host is never trusted by us: a person compares fingerprints. */
static int check_host_key(const struct url *url)
{
    bool known = true;
    g_autoptr(GError) error = NULL;
    if (url->scheme != URL_SSH || !hostkey_is_known(url, &known, &error) || known) {
        return -1;
    }
    g_autofree char *offered = hostkey_offered(url, HOST_KEY_TIMEOUT_MS, &error);
    if (!offered) {
        return command_fail(error);
    }
    g_autofree char *accept = hostkey_accept_command(url);
    fprintf(stderr,
            "phantom_ci: the host key of %s is not known. It offers:\n%s\nCompare this with what "
            "the host's "
            "owner publishes. If it is the same, accept it with\n  %s\nand add the repository "
            "again. Nothing "
            "was added.\n",
            url->host, offered, accept);
    return EXIT_CODE_TRY_AGAIN;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static const char *find_tip(const struct addition *addition)
{
    g_autofree char *full = g_strconcat(REFKEY_HEADS, addition->branch, NULL);
    return addition->refs ? g_hash_table_lookup(addition->refs, full) : NULL;
}

static int report_missing_branch(const struct addition *addition)
{
    unsigned count = 0;
    g_autofree const char **names =
        (const char **)g_hash_table_get_keys_as_array(addition->refs, &count);
    for (unsigned i = 0; i < count; i++) {
        names[i] += strlen(REFKEY_HEADS);
    }
    qsort(names, count, sizeof(*names), compare_names);
    const char *nearest = text_nearest(addition->branch, names);
    g_autoptr(GString) list = g_string_new(NULL);
    for (unsigned i = 0; i < count && i < BRANCHES_SHOWN; i++) {
        g_autofree char *name = text_escape(names[i]);
        g_string_append_printf(list, "%s%s", i ? ", " : "", name);
    }
    return command_fail_text(
        EXIT_CODE_NOT_FOUND,
        "the repository has no branch \"%s\"%s%s%s (it has: %s); --no-check adds it all "
        "the same",
        addition->branch, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
        nearest ? "\"?" : "", count > 0 ? list->str : "none");
}

static int check_remote(struct addition *addition, const struct url *url)
{
    int code = check_host_key(url);
    if (code >= 0) {
        return code;
    }
    const struct git_remote remote = {addition->url, addition->ssh_key};
    static const char *const every_branch[] = {REFKEY_HEADS "*", NULL};
    g_autoptr(GError) error = NULL;
    addition->refs = git_look_now(&remote, every_branch, LOOK_TIMEOUT_MS, &error);
    if (!addition->refs) {
        g_prefix_error(&error, "the repository does not answer: ");
        code = command_fail(error);
        fprintf(stderr, "phantom_ci: nothing was added; --no-check adds it all the same\n");
        return code;
    }
    bool is_name = *addition->branch && !text_is_glob(addition->branch);
    if (is_name && !find_tip(addition)) {
        return report_missing_branch(addition);
    }
    return -1;
}

/* A level that can't be had here is written all the same: the jobs say what is missing, and nothing
 * runs without it. */
static int check_sandbox(struct addition *addition)
{
    if (!addition->sandbox) {
        addition->sandbox = g_strdup(config_sandbox_name(SANDBOX_CHOICE_WORKSPACE));
    }
    if (!config_sandbox_is_known(addition->sandbox)) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "--sandbox is off, workspace or strict, found \"%s\"",
                                 addition->sandbox);
    }
    g_autofree char *bubblewrap = abilities_find_bubblewrap();
    if (!bubblewrap && strcmp(addition->sandbox, "off") != 0) {
        fprintf(stderr,
                "phantom_ci: note: sandbox = \"%s\" needs bubblewrap, which is not installed here "
                "(apt install bubblewrap); until then no step runs. Without a sandbox: --sandbox "
                "off\n",
                addition->sandbox);
    }
    return -1;
}

static void make_absolute(char **path)
{
    if (*path && !g_path_is_absolute(*path)) {
        char *absolute = g_canonicalize_filename(*path, NULL);
        g_free(*path);
        *path = absolute;
    }
}

static int check_workflow_file(const struct addition *addition)
{
    if (!addition->workflow_file) {
        return -1;
    }
    struct diagnostics *diagnostics = diagnostics_new();
    g_autoptr(GError) error = NULL;
    struct workflow *workflow =
        host_steps_read_file(addition->workflow_file, NULL, diagnostics, &error);
    g_autofree char *report = diagnostics_format(diagnostics);
    bool good = workflow != NULL;
    workflow_free(workflow);
    diagnostics_free(diagnostics);
    fputs(report, stderr);
    if (error) {
        return command_fail(error);
    }
    return good ? -1 : EXIT_CODE_CONFIG;
}

static int check_arguments(struct addition *addition, struct url *url)
{
    g_autoptr(GError) error = NULL;
    bool is_name = *addition->branch && !text_is_glob(addition->branch);
    if (!url_parse(addition->url, url, &error) ||
        (is_name && !url_branch_name_is_valid(addition->branch, &error))) {
        command_fail(error);
        return EXIT_CODE_USAGE;
    }
    if (!addition->name) {
        addition->name = edit_name_from_url(addition->url);
    }
    make_absolute(&addition->ssh_key);
    make_absolute(&addition->workflow_file);
    int code = check_workflow_file(addition);
    return code < 0 ? check_sandbox(addition) : code;
}

/* The whole new Repo.toml is checked as the daemon will check it, before the old one is touched. */
static int write_section(const struct addition *addition)
{
    const struct edit_section section = {addition->name,    addition->url,
                                         addition->branch,  addition->ssh_key,
                                         addition->sandbox, addition->workflow_file};
    const char *directory = addition->context->paths.config;
    g_autofree char *path = paths_repo_toml(&addition->context->paths);
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *text = file_read(path, CONFIG_FILE_MAX_BYTES, &length, &error);
    if (!text && !error_has_code(error, ERROR_NOT_FOUND)) {
        return command_fail(error);
    }
    g_clear_error(&error);
    g_autofree char *changed = edit_add_section(text ? text : "", length, path, &section, &error);
    if (!changed) {
        return command_fail(error);
    }
    struct diagnostics *diagnostics = diagnostics_new();
    config_check_text(path, changed, strlen(changed), diagnostics);
    bool good = !diagnostics_any(diagnostics);
    if (!good) {
        g_autofree char *report = diagnostics_format(diagnostics);
        fputs(report, stderr);
    }
    diagnostics_free(diagnostics);
    if (!good) {
        return EXIT_CODE_CONFIG;
    }
    g_mkdir_with_parents(directory, 0700);
    return file_write_atomic(path, changed, strlen(changed), 0600, &error) ? -1
                                                                           : command_fail(error);
}

/* The tips as the look saw them become known and queued in one transaction, so that the daemon's
 * first look finds no news in them. */
static bool queue_tips(const struct addition *addition, const struct repo_config *repo,
                       GError **error)
{
    struct store *store = addition->context->store;
    int64_t now_ms = clock_now_ms();
    g_autofree char *selection = repo_config_selection(repo);
    bool good = store_repo_put_selection(store, repo->name, selection, error);
    GHashTableIter iterator;
    void *full = NULL;
    void *tip = NULL;
    g_hash_table_iter_init(&iterator, addition->refs);
    while (good && g_hash_table_iter_next(&iterator, &full, &tip)) {
        const char *key = refkey_of(full);
        if (!repo_config_wants_branch(repo, refkey_branch(key))) {
            continue;
        }
        struct branch branch = {
            .repo = repo->name, .name = (char *)key, .tip = tip, .seen_ms = now_ms};
        struct job_request request = {.repo = repo->name,
                                      .branch = key,
                                      .sha = tip,
                                      .trigger = JOB_TRIGGER_ADD,
                                      .priority = repo->priority};
        int64_t id = 0;
        good = store_branch_put(store, &branch, error) &&
               store_job_enqueue(store, &request, now_ms, &id, NULL, error);
        if (good) {
            g_autofree char *shown = text_escape(refkey_branch(key));
            printf("job %" G_GINT64_FORMAT " queued: %s of %s\n", id, text_short_id(tip), shown);
        }
    }
    return good;
}

static int run_now(const struct addition *addition, const struct repo_config *repo)
{
    g_autoptr(GError) error = NULL;
    int code = command_open_store(addition->context, true, NULL);
    if (code >= 0) {
        return code;
    }
    bool good = store_begin(addition->context->store, &error) &&
                queue_tips(addition, repo, &error) &&
                store_commit(addition->context->store, &error);
    if (!good) {
        store_rollback(addition->context->store);
        return command_fail(error);
    }
    return -1;
}

static int finish(const struct addition *addition)
{
    int code = command_load_config(addition->context);
    const struct repo_config *repo =
        code < 0 ? config_find_repo(addition->context->config, addition->name) : NULL;
    if (!repo) {
        return code < 0 ? EXIT_CODE_CONFIG : code;
    }
    if (addition->run && addition->refs) {
        code = run_now(addition, repo);
    }
    if (code >= 0) {
        return code;
    }
    wake_daemon(&addition->context->paths);
    const char *tip = find_tip(addition);
    g_autofree char *branch = text_escape(addition->branch);
    printf("%s is watched now, %s%s\n", addition->name, *branch ? "branch " : "every branch",
           branch);
    if (!addition->run) {
        printf("%s%s%sis the baseline: the next push runs. To run it now: phantom_ci run %s\n",
               tip ? "Its tip " : "What is there now ", tip ? text_short_id(tip) : "",
               tip ? " " : "", addition->name);
    }
    return EXIT_CODE_OK;
}

int command_add(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct addition addition = {.context = &context};
    struct url url = {.host = NULL};
    const GOptionEntry entries[] = {
        {"name", 0, 0, G_OPTION_ARG_STRING, &addition.name,
         "its name (default: the last part of the URL)", "NAME"},
        {"ssh-key", 0, 0, G_OPTION_ARG_FILENAME, &addition.ssh_key, "the private key for ssh",
         "FILE"},
        {"sandbox", 0, 0, G_OPTION_ARG_STRING, &addition.sandbox,
         "off, workspace (default) or strict: what its steps may see and do", "LEVEL"},
        {"workflow-file", 0, 0, G_OPTION_ARG_FILENAME, &addition.workflow_file,
         "run the steps of this file in place of the repository's workflow", "FILE"},
        {"run", 0, 0, G_OPTION_ARG_NONE, &addition.run, "run the present tip at once", NULL},
        {"no-check", 0, 0, G_OPTION_ARG_NONE, &addition.no_check, "do not ask the remote first",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 2, 2);
    if (code < 0 && addition.run && addition.no_check) {
        code = command_fail_text(EXIT_CODE_USAGE,
                                 "--run needs to ask the remote; leave --no-check out");
    }
    if (code < 0) {
        addition.url = argv[1];
        addition.branch = argv[2];
        code = check_arguments(&addition, &url);
    }
    if (code < 0) {
        code = command_load_config(&context);
        g_clear_pointer(&context.config, config_free);
    }
    if (code < 0 && !addition.no_check) {
        code = check_remote(&addition, &url);
    }
    if (code < 0) {
        code = write_section(&addition);
    }
    if (code < 0) {
        code = finish(&addition);
    }
    url_clear(&url);
    g_clear_pointer(&addition.refs, g_hash_table_unref);
    g_free(addition.name);
    g_free(addition.ssh_key);
    g_free(addition.sandbox);
    g_free(addition.workflow_file);
    command_context_clear(&context);
    return code;
}
