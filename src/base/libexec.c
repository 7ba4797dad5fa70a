#include "base/libexec.h"

#include <unistd.h>

#include "base/error.h"
#include "phantom_ci_config.h"

static GPtrArray *list_candidates(const char *name)
{
    GPtrArray *candidates = g_ptr_array_new_with_free_func(g_free);
    const char *directory = g_getenv("PHANTOM_CI_LIBEXEC_DIR");
    if (directory) {
        g_ptr_array_add(candidates, g_build_filename(directory, name, NULL));
        return candidates;
    }
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *beside = self ? g_path_get_dirname(self) : NULL;
    if (beside) {
        g_ptr_array_add(candidates, g_build_filename(beside, name, NULL));
        g_autofree char *prefix = g_path_get_dirname(beside);
        g_ptr_array_add(candidates, g_build_filename(prefix, "libexec", "phantom_ci", name, NULL));
    }
    g_ptr_array_add(candidates, g_build_filename(PHANTOM_CI_LIBEXECDIR, name, NULL));
    return candidates;
}

char *libexec_find(const char *name, GError **error)
{
    g_autoptr(GPtrArray) candidates = list_candidates(name);
    for (unsigned i = 0; i < candidates->len; i++) {
        const char *path = g_ptr_array_index(candidates, i);
        if (access(path, X_OK) == 0) {
            return g_strdup(path);
        }
    }
    g_set_error(error, BASE_ERROR, ERROR_NOT_FOUND,
                "%s is not at %s; install phantom_ci as a whole, or set PHANTOM_CI_LIBEXEC_DIR",
                name, (const char *)g_ptr_array_index(candidates, candidates->len - 1));
    return NULL;
}
