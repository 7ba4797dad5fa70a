#include "job/try_sandbox.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "git/checkout.h"
#include "job/confined.h"
#include "job/environment.h"
#include "job/explain.h"
#include "job/reap.h"
#include "job/step.h"
#include "job/stop.h"

enum { EXIT_NOT_EXECUTED = 127, EXIT_SIGNAL_BASE = 128 };

struct trial {
    const struct paths *paths;
    const struct repo_config *repo;
    const char *branch;
    struct checkout *checkout;
    char *temporary;
    struct confinement *confinement; /* NULL: sandbox = "off" */
};

/* The first that is a name, as "phantom_ci run" would take it. */
static const char *find_branch(const struct repo_config *repo)
{
    for (char **target = repo->target_branches; *target; target++) {
        if (!text_is_glob(*target)) {
            return *target;
        }
    }
    return "master";
}

static bool open_trial(struct trial *trial, GError **error)
{
    g_autofree char *parent = g_build_filename(trial->paths->cache, "tmp", NULL);
    char *temporary = g_build_filename(parent, "try-XXXXXX", NULL);
    if (!file_ensure_private_directory(parent, error) || !g_mkdtemp(temporary)) {
        g_free(temporary);
        return error && *error ? false
                               : error_set_errno(error, JOB_ERROR_DOMAIN, errno,
                                                 "cannot make a directory in %s", parent);
    }
    trial->temporary = temporary;
    trial->checkout = checkout_open(trial->paths->cache, trial->repo->name, trial->branch, error);
    /* Before the first job it is not there yet. */
    return trial->checkout &&
           (g_mkdir_with_parents(checkout_path(trial->checkout), 0755) == 0 ||
            error_set_errno(error, JOB_ERROR_DOMAIN, errno, "cannot make %s",
                            checkout_path(trial->checkout))) &&
           confinement_new(trial->repo, trial->paths, checkout_path(trial->checkout),
                           trial->temporary, &trial->confinement, error);
}

static void close_trial(struct trial *trial)
{
    confinement_free(trial->confinement);
    checkout_close(trial->checkout);
    if (trial->temporary) {
        file_remove_tree_at_path(trial->temporary, NULL);
    }
    g_free(trial->temporary);
}

static int explain(const struct trial *trial)
{
    if (!trial->confinement) {
        printf("sandbox = \"off\": the steps of %s are plain processes of this user\n",
               trial->repo->name);
        return EXIT_CODE_OK;
    }
    g_autofree char *text = confinement_describe(trial->confinement);
    printf("sandbox = \"%s\", in this order:\n%s", config_sandbox_name(trial->repo->sandbox), text);
    return EXIT_CODE_OK;
}

static int print_json(const struct trial *trial)
{
    json_t *root = json_object();
    json_object_set_new(root, "repo", json_string(trial->repo->name));
    json_object_set_new(root, "sandbox", json_string(config_sandbox_name(trial->repo->sandbox)));
    json_object_set_new(root, "operations", confinement_to_json(trial->confinement));
    char *text = json_dumps(root, JSON_INDENT(2));
    puts(text);
    free(text);
    json_decref(root);
    return EXIT_CODE_OK;
}

static bool print_output(const char *bytes, size_t length, void *data, GError **error)
{
    (void)data;
    return fd_write_all(STDOUT_FILENO, bytes, length, error);
}

static bool never_stops(void *data)
{
    (void)data;
    return false;
}

static int exit_code_of(const struct step_outcome *outcome, const char *const *argv,
                        const char *path)
{
    if (outcome->end == STEP_END_NOT_STARTED) {
        g_autofree char *why = explain_spawn_failure(&outcome->failure, argv[0], path);
        fprintf(stderr, "phantom_ci: %s\n", why);
        return EXIT_NOT_EXECUTED;
    }
    return WIFEXITED(outcome->wait_status) ? WEXITSTATUS(outcome->wait_status)
                                           : EXIT_SIGNAL_BASE + WTERMSIG(outcome->wait_status);
}

static int run(const struct trial *trial, const char *const *argv)
{
    extern char **environ;
    const struct job job = {.repo = trial->repo->name, .branch = (char *)trial->branch};
    const struct environment_source source = {
        .paths = trial->paths,
        .repo = trial->repo,
        .job = &job,
        .workspace = checkout_path(trial->checkout),
        .temporary = trial->temporary,
        .inherited = (const char *const *)environ,
    };
    g_auto(GStrv) environment =
        confinement_environment(trial->confinement, environment_for_step(&source, 0));
    const struct step_run step = {
        .argv = argv,
        .envp = (const char *const *)environment,
        .directory = source.workspace,
        .confinement = trial->confinement,
        .deadline_ms = clock_monotonic_ms() + trial->repo->timeout_ms,
        .grace_ms = trial->repo->grace_ms,
        .stop_fd = -1,
        .should_stop = never_stops,
        .sink = print_output,
    };
    struct step_outcome outcome;
    g_autoptr(GError) error = NULL;
    reap_become_subreaper();
    if (!step_run(&step, &outcome, &error)) {
        fprintf(stderr, "phantom_ci: %s\n", error->message);
        step_outcome_clear(&outcome);
        return error_exit_code(error);
    }
    int code = exit_code_of(&outcome, argv, g_environ_getenv(environment, "PATH"));
    step_outcome_clear(&outcome);
    return code;
}

int try_sandbox(const struct paths *paths, const struct repo_config *repo, enum try_sandbox how,
                const char *const *argv)
{
    struct trial trial = {.paths = paths, .repo = repo, .branch = find_branch(repo)};
    g_autoptr(GError) error = NULL;
    int code = EXIT_CODE_OK;
    if (!open_trial(&trial, &error)) {
        fprintf(stderr, "phantom_ci: %s\n", error->message);
        code = error_exit_code(error);
    } else if (how == TRY_SANDBOX_RUN) {
        code = run(&trial, argv);
    } else {
        code = how == TRY_SANDBOX_JSON ? print_json(&trial) : explain(&trial);
    }
    close_trial(&trial);
    return code;
}
