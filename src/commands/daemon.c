/* phantom_ci without a command. */
#include "daemon/daemon.h"
#include "commands/all.h"

int command_daemon(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    gboolean quiet = FALSE;
    gboolean kill_jobs = FALSE;
    int ready_fd = -1;
    const GOptionEntry entries[] = {
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "job output goes to the logs alone", NULL},
        {"kill-jobs", 0, 0, G_OPTION_ARG_NONE, &kill_jobs, "a stop ends the running jobs", NULL},
        {"ready-fd", 0, 0, G_OPTION_ARG_INT, &ready_fd, "write a byte there when ready", "N"},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 0, 0);
    if (code < 0) {
        const struct daemon_options options = {quiet, kill_jobs, ready_fd};
        code = daemon_main(&context.paths, &options);
    }
    command_context_clear(&context);
    return code;
}
