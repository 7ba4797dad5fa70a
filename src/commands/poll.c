#include <stdio.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/wake.h"
#include "commands/all.h"

static int request(struct command_context *context, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *lock = paths_daemon_lock(&context->paths);
    if (!lock_is_held(lock)) {
        return command_fail_text(EXIT_CODE_TRY_AGAIN,
                                 "no daemon is running on %s, so nobody looks; start phantom_ci",
                                 context->paths.state);
    }
    int code = command_open_store(context, true, NULL);
    if (code >= 0) {
        return code;
    }
    if (!store_request_poll(context->store, name, clock_now_ms(), &error)) {
        return command_fail(error);
    }
    wake_daemon(&context->paths);
    return EXIT_CODE_OK;
}

int command_poll(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 0, 1);
    const char *name = argc > 1 ? argv[1] : NULL;
    if (code < 0 && name) {
        code = command_load_config(&context);
    }
    if (code < 0 && name && !command_find_repo(&context, name)) {
        code = EXIT_CODE_NOT_FOUND;
    }
    if (code < 0) {
        code = request(&context, name);
    }
    command_context_clear(&context);
    return code;
}
