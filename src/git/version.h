/* Versions of git: read from `git --version`, compared, and judged. No I/O. */
#ifndef PHANTOM_CI_GIT_VERSION_H
#define PHANTOM_CI_GIT_VERSION_H

#include <stdbool.h>

/* GIT_CONFIG_GLOBAL and GIT_CONFIG_COUNT, with which our git commands read no configuration that a
 * step can write, came with 2.31 and 2.32: an older git ignores them silently. */
#define GIT_VERSION_LEAST "2.32.0"

struct git_version {
    unsigned major, minor, patch;
    bool candidate; /* "2.50.1-rc0": comes before 2.50.1 */
};

/* "git version 2.39.5 (Apple Git-154)\n", "2.45.2.windows.1", "2.50.0-rc1", "2.43". False for
 * anything else. */
bool git_version_parse(const char *text, struct git_version *version);

/* < 0, 0, > 0 as strcmp(3). */
int git_version_compare(const struct git_version *left, const struct git_version *right);

/* The release that mends, in this version's own line, the holes through which a repository could
 * run commands of its own (last: CVE-2025-48384, a carriage return in a submodule's path), or the
 * oldest mended line for lines that are no longer kept. NULL when the version has it. */
const char *git_version_lacks(const struct git_version *version);

#endif
