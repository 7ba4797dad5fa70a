/*
 * phantom_ci-job: runs one job to its end. Started by phantom_ci with the section of Repo.toml as
 * JSON on standard input and the job's lock as descriptor 3; see daemon/launch.h. It opens no
 * socket, and of what a commit holds it parses only the workflow file.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "job/guard.h"
#include "job/try_sandbox.h"
#include "job/worker.h"
#include "phantom_ci_config.h"

enum { LOCK_FD = 3, SECTION_MAX_BYTES = 8 * 1024 * 1024 };

static bool parse_output(const char *name, enum worker_output *output)
{
    static const char *const names[] = {[WORKER_OUTPUT_PREFIXED] = "prefixed",
                                        [WORKER_OUTPUT_PLAIN] = "plain",
                                        [WORKER_OUTPUT_QUIET] = "quiet"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_strcmp0(name, names[i]) == 0) {
            *output = (enum worker_output)i;
            return true;
        }
    }
    return false;
}

static bool parse_trial(const char *name, enum try_sandbox *how)
{
    static const char *const names[] = {
        [TRY_SANDBOX_EXPLAIN] = "explain", [TRY_SANDBOX_JSON] = "json", [TRY_SANDBOX_RUN] = "run"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_strcmp0(name, names[i]) == 0) {
            *how = (enum try_sandbox)i;
            return true;
        }
    }
    return false;
}

/* Instead of a job: `phantom_ci sandbox`. */
struct trial_options {
    bool wanted;
    enum try_sandbox how;
    char **command; /* in argv */
};

static bool parse_arguments(int argc, char **argv, struct worker_options *options,
                            struct trial_options *trial, GError **error)
{
    g_autofree char *how = NULL;
    g_autofree char *config = NULL;
    g_autofree char *state = NULL;
    g_autofree char *cache = NULL;
    g_autofree char *output = NULL;
    gint64 job = 0;
    const GOptionEntry entries[] = {
        {"job", 0, 0, G_OPTION_ARG_INT64, &job, "the job to run", "ID"},
        {"config-dir", 0, 0, G_OPTION_ARG_FILENAME, &config, "", "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &state, "", "DIR"},
        {"cache-dir", 0, 0, G_OPTION_ARG_FILENAME, &cache, "", "DIR"},
        {"output", 0, 0, G_OPTION_ARG_STRING, &output, "prefixed, plain or quiet", "HOW"},
        {"try-sandbox", 0, 0, G_OPTION_ARG_STRING, &how, "explain, json or run", "HOW"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, "Runs one job. Started by phantom_ci, not by hand.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        return false;
    }
    trial->wanted = parse_trial(how, &trial->how);
    trial->command = argv + (argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1);
    if (!trial->wanted && (job < 1 || !parse_output(output, &options->output))) {
        g_set_error(
            error, BASE_ERROR, ERROR_INVALID,
            "phantom_ci-job is started by phantom_ci; to run a job by hand: phantom_ci run NAME");
        return false;
    }
    options->job = job;
    return paths_init(&options->paths, config, state, cache, error);
}

static struct repo_config *read_section(GError **error)
{
    size_t length = 0;
    g_autofree char *json = fd_read_to_end(STDIN_FILENO, SECTION_MAX_BYTES, &length, error);
    return json ? repo_config_from_json(json, length, error) : NULL;
}

int main(int argc, char **argv)
{
    struct worker_options options = {.job = 0};
    g_autoptr(GError) error = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("phantom_ci-job " PHANTOM_CI_VERSION);
        return EXIT_CODE_OK;
    }
    struct trial_options trial = {.wanted = false};
    if (!parse_arguments(argc, argv, &options, &trial, &error)) {
        fprintf(stderr, "phantom_ci-job: %s\n", error->message);
        return EXIT_CODE_USAGE;
    }
    if (!trial.wanted) {
        guard_fork(&options.paths, options.job, LOCK_FD);
    }
    options.repo = read_section(&error);
    int code = EXIT_CODE_CONFIG;
    if (options.repo && trial.wanted) {
        code = try_sandbox(&options.paths, options.repo, trial.how,
                           (const char *const *)trial.command);
    } else if (options.repo) {
        code = worker_run(&options);
    } else {
        fprintf(stderr, "phantom_ci-job: %s\n", error->message);
    }
    repo_config_free(options.repo);
    paths_clear(&options.paths);
    return code;
}
