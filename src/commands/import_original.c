#include "commands/all.h"

int command_import_original(const struct command *command, int argc, char **argv)
{
    (void)command;
    (void)argc;
    (void)argv;
    return EXIT_CODE_USAGE;
}
