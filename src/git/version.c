#include "git/version.h"

#include <glib.h>
#include <string.h>

/* Git's release notes 2.43.7 (July 2025): each line that was kept then had such a release, and
 * newer lines began with the fixes. */
static const char *const mended[] = {"2.43.7", "2.44.4", "2.45.4", "2.46.4",
                                     "2.47.3", "2.48.2", "2.49.1", "2.50.1"};

static bool take_number(const char **at, unsigned *number)
{
    enum { DIGITS_MAX = 6 };
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX) {
        return false;
    }
    *number = (unsigned)g_ascii_strtoull(*at, NULL, 10);
    *at += digits;
    return true;
}

bool git_version_parse(const char *text, struct git_version *version)
{
    static const char prefix[] = "git version ";
    *version = (struct git_version){.major = 0};
    const char *at = g_str_has_prefix(text, prefix) ? text + strlen(prefix) : text;
    if (!take_number(&at, &version->major) || *at++ != '.' || !take_number(&at, &version->minor)) {
        return false;
    }
    if (*at == '.' && g_ascii_isdigit(at[1])) {
        at++;
        if (!take_number(&at, &version->patch)) {
            return false;
        }
    }
    version->candidate = g_str_has_prefix(at, "-rc") || g_str_has_prefix(at, ".rc");
    return *at == '\0' || strchr(".- \t\r\n+~(", *at) != NULL;
}

int git_version_compare(const struct git_version *left, const struct git_version *right)
{
    if (left->major != right->major) {
        return left->major < right->major ? -1 : 1;
    }
    if (left->minor != right->minor) {
        return left->minor < right->minor ? -1 : 1;
    }
    if (left->patch != right->patch) {
        return left->patch < right->patch ? -1 : 1;
    }
    return (int)right->candidate - (int)left->candidate;
}

const char *git_version_lacks(const struct git_version *version)
{
    struct git_version fix = {.major = 0};
    for (unsigned i = 0; i < G_N_ELEMENTS(mended); i++) {
        bool known = git_version_parse(mended[i], &fix);
        g_assert(known);
        bool is_line = fix.major == version->major && fix.minor == version->minor;
        if (is_line || i == 0) {
            if (git_version_compare(version, &fix) < 0) {
                return mended[i];
            }
        }
    }
    return NULL;
}
