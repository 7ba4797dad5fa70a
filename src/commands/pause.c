/* pause and resume */
#include <stdio.h>

#include "base/wake.h"
#include "commands/all.h"

static int set_paused(const struct command *command, int argc, char **argv, bool paused)
{
    struct command_context context = {.json = false};
    g_autoptr(GError) error = NULL;
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0 && !command_find_repo(&context, argv[1])) {
        code = EXIT_CODE_NOT_FOUND;
    }
    if (code < 0) {
        code = command_open_store(&context, true, NULL);
    }
    if (code < 0 && !store_repo_set_paused(context.store, argv[1], paused, &error)) {
        code = command_fail(error);
    }
    if (code < 0) {
        wake_daemon(&context.paths);
        printf(paused ? "%s is paused: pushes are recorded, no job starts; phantom_ci resume %s\n"
                      : "%s is at work again\n",
               argv[1], argv[1]);
        code = EXIT_CODE_OK;
    }
    command_context_clear(&context);
    return code;
}

int command_pause(const struct command *command, int argc, char **argv)
{
    return set_paused(command, argc, argv, true);
}

int command_resume(const struct command *command, int argc, char **argv)
{
    return set_paused(command, argc, argv, false);
}
