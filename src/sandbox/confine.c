#include "sandbox/confine.h"

#ifdef __linux__

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/error.h"
#include "sandbox/error.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"

/* What resolving a name and trusting a certificate read on the systems that we know. /etc as a
 * whole, for its files are replaced by new ones while a process runs, and a rule is about the one
 * that was there. */
static const char *const system_paths[] = {
    "/etc",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/nix/store",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/share/zoneinfo",
    "/usr/share/crypto-policies",
    "/var/lib/ca-certificates",
    "/run/systemd/resolve",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/sys/vm",
    "/proc/sys/crypto",
    "/sys/devices/system/cpu",
    NULL,
};

/* The directory in which the resolv.conf of this machine really lies, wherever that is. */
static char *resolver_directory(void)
{
    char *file = realpath("/etc/resolv.conf", NULL);
    char *directory = file ? g_path_get_dirname(file) : g_strdup("/etc");
    free(file);
    if (g_str_equal(directory, "/")) {
        g_free(directory);
        return g_strdup("/etc");
    }
    return directory;
}

static bool confine_files(const char *const *readable_paths, GError **error)
{
    g_autofree char *resolver = resolver_directory();
    g_autoptr(GPtrArray) more = g_ptr_array_new();
    int version = 0;
    g_ptr_array_add(more, resolver);
    for (; *readable_paths; readable_paths++) {
        g_ptr_array_add(more, (void *)*readable_paths);
    }
    g_ptr_array_add(more, NULL);
    if (!landlock_read_only(system_paths, (const char *const *)more->pdata, &version, error)) {
        return false;
    }
    if (version == 0) {
        fprintf(stderr, "phantom_ci-net: this kernel has no Landlock (Linux 5.13 and \"landlock\" "
                        "in its lsm= list): seccomp alone confines this process, which can read "
                        "the files of its user\n");
    }
    return true;
}

bool confine_network_client(const char *const *readable_paths, GError **error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return error_set_errno(error, SANDBOX_ERROR, errno, "no_new_privs can't be set");
    }
    return confine_files(readable_paths, error) && filter_network_client(error);
}

#else

bool confine_network_client(const char *const *readable_paths, GError **error)
{
    (void)readable_paths;
    (void)error;
    return true;
}

#endif
