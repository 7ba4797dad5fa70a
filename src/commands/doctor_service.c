/* Whether a service manager runs the daemon: by the units' files and `systemctl is-active`. */
#include <string.h>
#include <unistd.h>

#include "commands/doctor.h"
#include "commands/service_manager.h"
#include "commands/service_unit.h"

/* The path of the unit's file in the first of the directories that has it, or NULL. */
static char *find_unit(const char *const *directories)
{
    for (; *directories; directories++) {
        char *path = g_build_filename(*directories, SERVICE_NAME, NULL);
        if (access(path, F_OK) == 0) {
            return path;
        }
        g_free(path);
    }
    return NULL;
}

static char *find_user_unit(void)
{
    const char *home = g_getenv("HOME");
    const char *xdg = g_getenv("XDG_CONFIG_HOME");
    g_autofree char *config = xdg && *xdg == '/' ? g_strdup(xdg)
                              : home             ? g_build_filename(home, ".config", NULL)
                                                 : NULL;
    g_autofree char *own = config ? g_build_filename(config, "systemd", "user", NULL) : NULL;
    const char *directories[] = {"/etc/systemd/user", "/usr/local/lib/systemd/user",
                                 "/usr/lib/systemd/user", own, NULL};
    return find_unit(directories);
}

/* Not by service_manager_run(): it has more patience than a visit. */
static void judge_unit(struct doctor *doctor, const char *path, bool for_user)
{
    const char *argv[] = {"systemctl", "--no-ask-password", for_user ? "--user" : "--system",
                          "is-active", SERVICE_NAME,        NULL};
    struct spawn_result result = {0};
    g_autoptr(GError) error = NULL;
    /* Our own environment: the user's manager is found by XDG_RUNTIME_DIR. */
    if (!doctor_run(doctor, argv, NULL, &result, &error)) {
        doctor_add(doctor, DOCTOR_WARN, "service", path, "systemctl status phantom_ci",
                   "systemctl does not answer: %s", error->message);
        spawn_result_clear(&result);
        return;
    }
    g_strstrip(result.out);
    g_strstrip(result.err);
    const char *state = *result.out ? result.out : *result.err ? result.err : "unknown";
    g_autofree char *start =
        g_strdup_printf("systemctl %senable --now phantom_ci, and journalctl %s-u phantom_ci when "
                        "it fails",
                        for_user ? "--user " : "", for_user ? "--user " : "");
    bool active = strcmp(state, "active") == 0 || strcmp(state, "reloading") == 0;
    doctor_add(doctor, active ? DOCTOR_OK : DOCTOR_WARN, "service", path, active ? NULL : start,
               "%s", state);
    spawn_result_clear(&result);
}

void doctor_check_service(struct doctor *doctor)
{
    if (!service_manager_is_there()) {
        doctor_add(doctor, DOCTOR_INFO, "service", "systemd", NULL,
                   "does not run here: start phantom_ci by other means");
        return;
    }
    static const char *const system_directories[] = {
        "/etc/systemd/system",     "/run/systemd/system", "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system", "/lib/systemd/system", NULL};
    g_autofree char *system_unit = find_unit(system_directories);
    g_autofree char *user_unit = find_user_unit();
    if (system_unit) {
        judge_unit(doctor, system_unit, false);
    }
    if (user_unit) {
        judge_unit(doctor, user_unit, true);
    }
    if (!system_unit && !user_unit) {
        doctor_add(doctor, DOCTOR_INFO, "service", SERVICE_NAME, "phantom_ci configure service",
                   "there is no such unit: the daemon does not start with the machine");
    }
}
