#include "commands/confirm.h"

#include <stdio.h>
#include <unistd.h>

#include "commands/commands.h"

int confirm(const char *question, const char *hint)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "there is no terminal to ask on; nothing was changed. %s", hint);
    }
    char answer[16] = "";
    printf("%s [y/N] ", question);
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y')) {
        return -1;
    }
    puts("nothing was changed");
    return EXIT_CODE_NEGATIVE;
}
