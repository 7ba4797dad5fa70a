/* The texts of services: systemd units and a launchd property list. Pure. */
#ifndef PHANTOM_CI_COMMANDS_SERVICE_UNIT_H
#define PHANTOM_CI_COMMANDS_SERVICE_UNIT_H

#include <glib.h>
#include <stdbool.h>

#include "base/paths.h"

#define SERVICE_NAME "phantom_ci.service"

struct service {
    const char *executable; /* absolute */
    const char *user;       /* of a system service; NULL = the unit of a user's own manager */
    const char *home;       /* of that user */
    /* Directories that differ from the user's defaults, else NULL. */
    const char *config_dir, *state_dir, *cache_dir;
    const struct paths *paths; /* as they will be, for what may be written */
    const char *env_file;      /* what LoadCredential= reads, or NULL */
};

/* Whether a unit can hold these names so that systemd reads them as they are. Not so control
 * characters and bytes that are no UTF-8; in the executable's path quotes, backslashes and `$`.
 * ERROR_INVALID. */
bool service_check_names(const struct service *service, GError **error);

/* The unit, led by a line with the digest of the rest: by it a unit that somebody changed is told
 * from one that an older version wrote. Free with g_free(). */
char *service_format_systemd(const struct service *service);

/* True when the text is exactly what some version of this program wrote. */
bool service_unit_is_untouched(const char *text);

/* launchd.plist(5). Free with g_free(). */
char *service_format_launchd(const struct service *service);

#endif
