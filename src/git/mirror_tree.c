/* Trees of the mirror: what they hold, and how two of them differ, for a person to read. */
#include "base/error.h"
#include "git/mirror_internal.h"

static char *read_bounded(struct mirror *mirror, const char *const *arguments, size_t limit_bytes,
                          size_t *length, GError **error)
{
    struct spawn_result result = {0};
    char *bytes = NULL;
    mirror_begin(mirror);
    bool good = mirror_git(mirror, arguments, &result, error);
    if (good && result.out_length > limit_bytes) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT,
                    "the list of the commit's files has %" G_GSIZE_FORMAT
                    " bytes; at most %" G_GSIZE_FORMAT " are accepted",
                    result.out_length, limit_bytes);
    } else if (good) {
        *length = result.out_length;
        bytes = g_steal_pointer(&result.out);
    }
    spawn_result_clear(&result);
    return bytes;
}

char *mirror_read_tree(struct mirror *mirror, const char *sha, size_t *length, GError **error)
{
    const char *arguments[] = {"ls-tree", "-r", "-z", "--full-tree", sha, "--", NULL};
    return read_bounded(mirror, arguments, MIRROR_MAX_TREE_BYTES, length, error);
}

char *mirror_read_diff(struct mirror *mirror, const char *from, const char *to,
                       const char *const *paths, size_t *length, GError **error)
{
    static const char *const options[] = {
        "diff",         "--no-ext-diff",    "--no-textconv",          "--no-color",
        "--no-renames", "--full-index",     "--src-prefix=approved/", "--dst-prefix=new/",
        "--text",       "--submodule=short"};
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_ptr_array_add(arguments, (gpointer)options[i]);
    }
    g_ptr_array_add(arguments, (gpointer)from);
    g_ptr_array_add(arguments, (gpointer)to);
    g_ptr_array_add(arguments, (gpointer) "--");
    for (; *paths; paths++) {
        g_ptr_array_add(arguments, (gpointer)*paths);
    }
    g_ptr_array_add(arguments, NULL);
    return read_bounded(mirror, (const char *const *)arguments->pdata, GIT_MAX_OUTPUT, length,
                        error);
}
