/* Talking to systemd by its own program. */
#ifndef PHANTOM_CI_COMMANDS_SERVICE_MANAGER_H
#define PHANTOM_CI_COMMANDS_SERVICE_MANAGER_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/paths.h"

#define SERVICE_ERROR (g_quark_from_static_string("phantom-ci-service"))

/* sd_booted(3): systemd is the first process here. */
bool service_manager_is_there(void);

/* systemctl with these words behind it (and --user); NULL-terminated. What it printed goes into
 * *out (may be NULL; free with g_free()). False when it could not be run, took longer than two
 * minutes, or said no; then `error` holds its words. */
bool service_manager_run(bool for_user, const char *const *words, char **out, GError **error);

/* The main process of the unit, 0 = it does not run or there is no such unit. */
pid_t service_manager_main_pid(bool for_user);

/* The daemon of this state directory: the process that holds its lock (Linux, by /proc/locks); 0 =
 * there is none, or it can't be told. */
pid_t service_lock_holder(const struct paths *paths);

/* Whether that process is the daemon that holds the lock of this state directory (Linux, by
 * /proc/locks). */
bool service_holds_lock(const struct paths *paths, pid_t pid);

#endif
