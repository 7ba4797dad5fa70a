#include "sandbox/landlock.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "sandbox/error.h"
#include "sandbox/landlock_abi.h"

static bool allow_path(int ruleset_fd, const char *path, GError **error)
{
    auto_fd fd = open(path, O_PATH | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        /* What is not there, or not to be reached by this user, needs no permission. */
        return true;
    }
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(status.st_mode)
                              ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
                              : LANDLOCK_ACCESS_FS_READ_FILE,
        .parent_fd = fd,
    };
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
        return error_set_errno(error, SANDBOX_ERROR, errno, "Landlock takes no rule for \"%s\"",
                               path);
    }
    return true;
}

static bool allow_paths(int ruleset_fd, const char *const *paths, GError **error)
{
    for (; *paths; paths++) {
        if (!allow_path(ruleset_fd, *paths, error)) {
            return false;
        }
    }
    return true;
}

bool landlock_read_only(const char *const *system_paths, const char *const *readable_paths,
                        int *version, GError **error)
{
    long known = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *version = known > 0 ? (int)known : 0;
    if (*version == 0) {
        return true;
    }
    const struct landlock_ruleset rules = landlock_everything_known(*version);
    auto_fd ruleset_fd =
        (int)syscall(SYS_landlock_create_ruleset, &rules, landlock_ruleset_size(*version), 0);
    if (ruleset_fd < 0) {
        return error_set_errno(error, SANDBOX_ERROR, errno, "Landlock makes no set of rules");
    }
    if (!allow_paths(ruleset_fd, system_paths, error) ||
        !allow_paths(ruleset_fd, readable_paths, error)) {
        return false;
    }
    if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) != 0) {
        return error_set_errno(error, SANDBOX_ERROR, errno, "Landlock does not take its rules");
    }
    return true;
}

#else
/* An empty file is no C. */
typedef int landlock_is_linux_only;
#endif
