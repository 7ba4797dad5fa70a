#include "sandbox/hint.h"

#include <string.h>

#include "base/text.h"

enum { LINE_MAX_BYTES = 4096, PATH_MAX_BYTES = 1024 };

enum denial { DENIAL_NONE, DENIAL_READ_ONLY, DENIAL_NO_ACCESS, DENIAL_ABSENT, DENIAL_NETWORK };

/* As libc, curl, git and pip word it. */
static const struct {
    const char *words;
    enum denial denial;
} wordings[] = {
    {"Read-only file system", DENIAL_READ_ONLY},
    {"EROFS", DENIAL_READ_ONLY},
    {"Permission denied", DENIAL_NO_ACCESS},
    {"EACCES", DENIAL_NO_ACCESS},
    {"No such file or directory", DENIAL_ABSENT},
    {"ENOENT", DENIAL_ABSENT},
    {"Temporary failure in name resolution", DENIAL_NETWORK},
    {"Could not resolve host", DENIAL_NETWORK},
    {"Name or service not known", DENIAL_NETWORK},
    {"Network is unreachable", DENIAL_NETWORK},
    {"EAI_AGAIN", DENIAL_NETWORK},
    {"ENETUNREACH", DENIAL_NETWORK},
};

static enum denial denial_of(const char *line)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(wordings); i++) {
        if (strstr(line, wordings[i].words)) {
            return wordings[i].denial;
        }
    }
    return DENIAL_NONE;
}

/* The last word that looks like an absolute path: behind a blank, a quote or the like, up to the
 * next one or a colon. */
static char *path_in(const char *line)
{
    static const char borders[] = " \t'\"`:=([<>])|,;";
    char *found = NULL;
    for (const char *at = line; *at; at++) {
        /* U+2018, the quote of UTF-8 locales, ends in the byte 0x98 */
        bool begins = at == line || strchr(borders, at[-1]) || (unsigned char)at[-1] == 0x98;
        if (*at != '/' || !begins) {
            continue;
        }
        size_t length = 0;
        while (at[length] && !strchr(borders, at[length]) &&
               strncmp(at + length, "\xe2\x80\x99", 3) != 0) {
            length++;
        }
        if (length <= PATH_MAX_BYTES) {
            g_free(found);
            found = g_strndup(at, length);
        }
        at += length - 1;
    }
    return found;
}

/* The mount that decides about a path: the deepest. */
static const struct sandbox_op *mount_of(const GPtrArray *plan, const char *path)
{
    const struct sandbox_op *deepest = NULL;
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        if (op->path && sandbox_path_is_within(path, op->path) &&
            (!deepest || strlen(op->path) >= strlen(deepest->path))) {
            deepest = op;
        }
    }
    return deepest;
}

static const char *key_for(const struct sandbox_op *op, enum denial denial)
{
    bool is_empty = op->kind == SANDBOX_OP_HIDE_DIRECTORY || op->kind == SANDBOX_OP_HIDE_FILE ||
                    op->kind == SANDBOX_OP_EMPTY;
    if (denial == DENIAL_READ_ONLY) {
        return is_empty || op->kind == SANDBOX_OP_READ ? "writable" : NULL;
    }
    return is_empty ? "readable" : NULL;
}

static bool is_own(const struct sandbox_policy *policy, const char *path)
{
    for (char **own = policy->own; *own; own++) {
        if (sandbox_path_is_within(path, *own)) {
            return true;
        }
    }
    return false;
}

static char *hint_of_line(const struct sandbox_policy *policy, const GPtrArray *plan,
                          const char *line)
{
    enum denial denial = denial_of(line);
    const char *level = sandbox_level_name(policy->level);
    if (denial == DENIAL_NETWORK) {
        return policy->network
                   ? NULL
                   : g_strdup_printf("the sandbox \"%s\" has no network here; network = true in "
                                     "the section gives it",
                                     level);
    }
    g_autofree char *path = denial == DENIAL_NONE ? NULL : path_in(line);
    const struct sandbox_op *op = path ? mount_of(plan, path) : NULL;
    const char *key = op && !is_own(policy, path) ? key_for(op, denial) : NULL;
    if (!key) {
        return NULL;
    }
    g_autofree char *shown = text_escape(path);
    return g_strdup_printf("the sandbox \"%s\" denies %s; %s = [\"%s\"] in the section, or a "
                           "directory above it, allows it",
                           level, shown, key, shown);
}

char *sandbox_hint(const struct sandbox_policy *policy, const GPtrArray *plan, const char *output,
                   size_t length)
{
    while (length > 0) {
        size_t start = length - 1;
        while (start > 0 && output[start - 1] != '\n') {
            start--;
        }
        const char *begin = output + start;
        size_t size = length - start;
        if (size <= LINE_MAX_BYTES && !memchr(begin, '\0', size)) {
            g_autofree char *line = g_strndup(begin, size);
            char *hint = hint_of_line(policy, plan, g_strchomp(line));
            if (hint) {
                return hint;
            }
        }
        length = start;
    }
    return NULL;
}
