#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "commands/all.h"
#include "daemon/launch.h"

/* phantom_ci-job does it, for what is told here must be what its steps get. */
static int hand_over(const struct command_context *context, const struct repo_config *repo,
                     char **words)
{
    g_autoptr(GError) error = NULL;
    const char *how = *words ? "run" : context->json ? "json" : "explain";
    pid_t child = launch_sandbox_trial(&context->paths, context->config, repo, how,
                                       (const char *const *)words, &error);
    int status = 0;
    if (child < 0) {
        return command_fail(error);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_NEGATIVE;
}

int command_sandbox(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    gboolean explain = FALSE;
    const GOptionEntry entries[] = {
        {"explain", 0, 0, G_OPTION_ARG_NONE, &explain,
         "print what it does, in its order (default without a command)", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 1, -1);
    if (code >= 0) {
        command_context_clear(&context);
        return code;
    }
    char **words = argv + 2;
    if (*words && strcmp(*words, "--") == 0) {
        words++;
    }
    if (*words && (explain || context.json)) {
        code = command_fail_text(
            EXIT_CODE_USAGE, "--explain and --json print what the sandbox does; they go without "
                             "a command");
    }
    if (code < 0) {
        code = command_load_config(&context);
    }
    const struct repo_config *repo = code < 0 ? command_find_repo(&context, argv[1]) : NULL;
    if (code < 0) {
        code = repo ? hand_over(&context, repo, words) : EXIT_CODE_NOT_FOUND;
    }
    command_context_clear(&context);
    return code;
}
