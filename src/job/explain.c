#include "job/explain.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

char *explain_status(int wait_status)
{
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        return NULL;
    }
    g_autofree char *status = spawn_format_status(wait_status);
    const char *hint = NULL;
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL) {
        hint = "by itself, by another process, or because memory ran out (see the kernel's log)";
    } else if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGXFSZ) {
        hint = "a file grew beyond the limit on file sizes";
    } else if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGPIPE) {
        hint = "it wrote into a pipe that nobody reads";
    } else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 127) {
        hint = "by the custom of shells: a command was not found";
    } else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 126) {
        hint = "by the custom of shells: a command was found but could not be executed";
    } else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > 128 &&
               WEXITSTATUS(wait_status) < 128 + NSIG) {
        return g_strdup_printf("%s: by the custom of shells, a command was killed by %s", status,
                               spawn_signal_name(WEXITSTATUS(wait_status) - 128));
    }
    return hint ? g_strdup_printf("%s: %s", status, hint) : g_steal_pointer(&status);
}

char *explain_spawn_failure(const struct spawn_failure *failure, const char *program,
                            const char *path)
{
    bool is_path = strchr(program, '/') != NULL;
    if (failure->stage == SPAWN_STAGE_EXEC && failure->errnum == ENOENT && !is_path) {
        return g_strdup_printf("command not found: %s (PATH=%s)", program, path);
    }
    if (failure->stage == SPAWN_STAGE_EXEC && failure->errnum == ENOENT) {
        return g_strdup_printf("no such file: %s (or the interpreter that its first line names)",
                               program);
    }
    if (failure->stage == SPAWN_STAGE_EXEC && failure->errnum == EACCES) {
        return g_strdup_printf(
            "not executable: %s (git update-index --chmod=+x, or name its interpreter)", program);
    }
    if (failure->stage == SPAWN_STAGE_EXEC && failure->errnum == ENOEXEC) {
        return g_strdup_printf(
            "exec format error: %s is neither a program for this machine nor a script "
            "whose first line begins with #!",
            program);
    }
    if (failure->errnum == E2BIG) {
        return g_strdup_printf("cannot start %s: its arguments and environment are too long",
                               program);
    }
    return g_strdup_printf("cannot start %s: %s", program, g_strerror(failure->errnum));
}
