#include "base/refkey.h"

#include <string.h>

static const char *behind(const char *text, const char *prefix)
{
    return g_str_has_prefix(text, prefix) ? text + strlen(prefix) : NULL;
}

const char *refkey_of(const char *full)
{
    const char *branch = behind(full, REFKEY_HEADS);
    if (branch) {
        return g_str_has_prefix(branch, "refs/") ? full : branch;
    }
    return behind(full, REFKEY_TAGS) ? full : NULL;
}

char *refkey_full(const char *key)
{
    return g_str_has_prefix(key, "refs/") ? g_strdup(key) : g_strconcat(REFKEY_HEADS, key, NULL);
}

const char *refkey_branch(const char *key)
{
    const char *branch = behind(key, REFKEY_HEADS);
    return branch ? branch : (refkey_tag(key) ? NULL : key);
}

const char *refkey_tag(const char *key)
{
    return behind(key, REFKEY_TAGS);
}

char *refkey_describe(const char *key)
{
    const char *tag = refkey_tag(key);
    return tag ? g_strconcat("tag ", tag, NULL) : g_strdup(refkey_branch(key));
}
