#include <stdio.h>

#include "commands/all.h"
#include "phantom_ci_config.h"

int command_version(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int code = command_parse(command, &context, NULL, COMMAND_WITHOUT_HOME, &argc, &argv, 0, 0);
    if (code < 0) {
        puts("phantom_ci " PHANTOM_CI_VERSION);
        code = EXIT_CODE_OK;
    }
    command_context_clear(&context);
    return code;
}
