/* What this machine can isolate jobs with; what is missing is trouble only for sections that ask
 * for it, and their jobs say so. */
#include <errno.h>
#include <sys/wait.h>

#include "commands/doctor.h"
#include "sandbox/abilities.h"

static void check_user_namespaces(struct doctor *doctor)
{
    int errnum = abilities_try_user_namespace(DOCTOR_PROGRAM_MS);
    if (errnum == 0) {
        doctor_add(doctor, DOCTOR_INFO, "sandbox", "user namespaces", NULL, "can be made");
        return;
    }
    doctor_add(doctor, DOCTOR_INFO, "sandbox", "user namespaces",
               "see kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns "
               "and user.max_user_namespaces in sysctl, or the container's seccomp profile",
               "can't be made: %s", g_strerror(errnum));
}

/* Whether a section's steps run in a sandbox. */
static bool is_asked_for(const struct doctor *doctor)
{
    const GPtrArray *repos = doctor->context->config ? doctor->context->config->repos : NULL;
    for (unsigned i = 0; repos && i < repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(repos, i);
        if (repo->sandbox != SANDBOX_CHOICE_OFF) {
            return true;
        }
    }
    return false;
}

static void check_bubblewrap(struct doctor *doctor)
{
    enum doctor_status trouble = is_asked_for(doctor) ? DOCTOR_FAIL : DOCTOR_INFO;
    g_autofree char *path = abilities_find_bubblewrap();
    if (!path) {
        doctor_add(doctor, trouble, "sandbox", "bubblewrap", "apt install bubblewrap",
                   "is not installed, and sandbox = \"workspace\" and \"strict\" need it");
        return;
    }
    /* As a sandbox is made (sandbox/plan.h), but for the mounts. */
    const char *argv[] = {path,     "--unshare-user", "--unshare-pid", "--unshare-ipc",
                          "--proc", "/proc",          "--ro-bind",     "/",
                          "/",      "--cap-drop",     "ALL",           "true",
                          NULL};
    struct spawn_result result = {0};
    g_autoptr(GError) error = NULL;
    bool ran = doctor_run(doctor, argv, NULL, &result, &error);
    if (ran && WIFEXITED(result.wait_status) && WEXITSTATUS(result.wait_status) == 0) {
        doctor_add(doctor, DOCTOR_INFO, "sandbox", "bubblewrap", NULL, "works");
    } else {
        g_strchomp(result.err);
        doctor_add(doctor, trouble, "sandbox", "bubblewrap",
                   "it needs user namespaces, or to be installed setuid root",
                   "does not work here: %s", ran ? result.err : error->message);
    }
    spawn_result_clear(&result);
}

static void check_kernel(struct doctor *doctor)
{
    int abi = abilities_landlock_abi();
    if (abi > 0) {
        doctor_add(doctor, DOCTOR_INFO, "sandbox", "Landlock", NULL, "ABI %d", abi);
    } else {
        doctor_add(doctor, DOCTOR_INFO, "sandbox", "Landlock",
                   "Linux 5.13 or newer, with landlock in the kernel's lsm= list",
                   "is not available");
    }
    doctor_add(doctor, DOCTOR_INFO, "sandbox", "seccomp", NULL, "%s",
               abilities_has_seccomp() ? "filters can be used" : "filters are not available");
}

void doctor_check_sandbox(struct doctor *doctor)
{
    doctor_look_at(doctor, "sandbox");
    check_user_namespaces(doctor);
    check_bubblewrap(doctor);
    check_kernel(doctor);
}
