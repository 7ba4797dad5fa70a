#include "commands/service_manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/file.h"
#include "base/spawn.h"
#include "commands/service_unit.h"

enum {
    OUTPUT_MAX_BYTES = 64 * 1024,
    PATIENCE_MS = 2 * 60 * 1000,
    LOCKS_MAX_BYTES = 4 * 1024 * 1024
};

bool service_manager_is_there(void)
{
    struct stat status;
    return lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode);
}

bool service_manager_run(bool for_user, const char *const *words, char **out, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (char *)"systemctl");
    g_ptr_array_add(argv, (char *)"--no-pager");
    /* Without it polkit may ask somebody at a desktop, and wait for the answer. */
    g_ptr_array_add(argv, (char *)"--no-ask-password");
    g_ptr_array_add(argv, (char *)(for_user ? "--user" : "--system"));
    for (const char *const *word = words; *word; word++) {
        g_ptr_array_add(argv, (char *)*word);
    }
    g_ptr_array_add(argv, NULL);
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = OUTPUT_MAX_BYTES,
                                        .err_limit_bytes = OUTPUT_MAX_BYTES,
                                        .timeout_ms = PATIENCE_MS,
                                        .cancel_fd = -1};
    options.spawn.argv = (const char *const *)argv->pdata;
    struct spawn_result result = {0};
    bool good = spawn_run(&options, &result, error);
    if (good && (!WIFEXITED(result.wait_status) || WEXITSTATUS(result.wait_status) != 0)) {
        g_autofree char *status = spawn_format_status(result.wait_status);
        g_strstrip(result.err);
        g_set_error(error, SERVICE_ERROR, ERROR_SYSTEM, "systemctl %s%s: %s",
                    for_user ? "--user " : "", words[0], *result.err ? result.err : status);
        good = false;
    }
    if (good && out) {
        *out = g_steal_pointer(&result.out);
    }
    spawn_result_clear(&result);
    return good;
}

pid_t service_manager_main_pid(bool for_user)
{
    static const char *const words[] = {"show", "--property=MainPID", "--value", SERVICE_NAME,
                                        NULL};
    g_autofree char *out = NULL;
    if (!service_manager_is_there() || !service_manager_run(for_user, words, &out, NULL)) {
        return 0;
    }
    return (pid_t)strtol(out, NULL, 10);
}

pid_t service_lock_holder(const struct paths *paths)
{
    g_autofree char *path = paths_daemon_lock(paths);
    struct stat status;
    size_t length = 0;
    g_autofree char *locks = file_read("/proc/locks", LOCKS_MAX_BYTES, &length, NULL);
    if (!locks || stat(path, &status) < 0) {
        return 0;
    }
    /* "1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF" (proc_locks(5)) */
    g_auto(GStrv) lines = g_strsplit(locks, "\n", -1);
    for (char **line = lines; *line; line++) {
        int holder = 0;
        unsigned major = 0;
        unsigned minor = 0;
        unsigned long inode = 0;
        const char *at = strstr(*line, "FLOCK");
        if (at &&
            sscanf(at, "FLOCK ADVISORY WRITE %d %x:%x:%lu", &holder, &major, &minor, &inode) == 4 &&
            holder > 1 && inode == (unsigned long)status.st_ino) {
            return holder;
        }
    }
    return 0;
}

bool service_holds_lock(const struct paths *paths, pid_t pid)
{
    return pid > 1 && service_lock_holder(paths) == pid;
}
