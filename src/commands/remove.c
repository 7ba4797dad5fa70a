#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/wake.h"
#include "commands/all.h"
#include "config/edit.h"

static int remove_section(const struct command_context *context, const char *name)
{
    g_autofree char *path = paths_repo_toml(&context->paths);
    size_t length = 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = file_read(path, CONFIG_FILE_MAX_BYTES, &length, &error);
    g_autofree char *changed = text ? edit_remove_section(text, length, path, name, &error) : NULL;
    if (!changed || !file_write_atomic(path, changed, strlen(changed), 0600, &error)) {
        return command_fail(error);
    }
    return -1;
}

static int forget(struct command_context *context, const char *name)
{
    bool exists = false;
    g_autoptr(GError) error = NULL;
    int code = command_open_store(context, false, &exists);
    if (code < 0 && exists && !store_repo_forget(context->store, name, clock_now_ms(), &error)) {
        code = command_fail(error);
    }
    return code;
}

int command_remove(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0 && !command_find_repo(&context, argv[1])) {
        code = EXIT_CODE_NOT_FOUND;
    }
    if (code < 0) {
        code = remove_section(&context, argv[1]);
    }
    if (code < 0) {
        code = forget(&context, argv[1]);
    }
    if (code < 0) {
        wake_daemon(&context.paths);
        printf("%s is not watched any more; its jobs and logs stay for keep_jobs_for (phantom_ci "
               "jobs %s)\n",
               argv[1], argv[1]);
        code = EXIT_CODE_OK;
    }
    command_context_clear(&context);
    return code;
}
