/* What a git that was stopped leaves in a mirror. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/mirror_internal.h"

/* Locks that stop the next git, and half-written packs. Under refs/ anything but a name that ends
 * in ".lock" may be a ref. */
static bool is_leftover(const char *directory, const char *name, const char *git_dir)
{
    bool among_objects = g_str_has_prefix(directory + strlen(git_dir), "/objects");
    return g_str_has_suffix(name, ".lock") ||
           (strcmp(directory, git_dir) == 0 && strcmp(name, "gc.pid") == 0) ||
           (among_objects && (g_str_has_prefix(name, "tmp_") || g_str_has_prefix(name, ".tmp-")));
}

void mirror_remove_leftovers(const char *git_dir)
{
    g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(directories, g_strdup(git_dir));
    while (directories->len > 0) {
        g_autofree char *path = g_ptr_array_steal_index_fast(directories, directories->len - 1);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;
        while (directory && (name = g_dir_read_name(directory)) != NULL) {
            g_autofree char *entry = g_build_filename(path, name, NULL);
            struct stat status;
            if (lstat(entry, &status) != 0) {
                continue;
            }
            if (S_ISDIR(status.st_mode)) {
                g_ptr_array_add(directories, g_steal_pointer(&entry));
            } else if (is_leftover(path, name, git_dir)) {
                unlink(entry);
            }
        }
    }
}

bool mirror_has_cut_pack(const char *git_dir, int64_t size_bytes)
{
    g_autofree char *packs = g_build_filename(git_dir, "objects", "pack", NULL);
    g_autoptr(GDir) directory = g_dir_open(packs, 0, NULL);
    const char *name;
    bool found = false;
    while (!found && directory && (name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *path = g_build_filename(packs, name, NULL);
        struct stat status;
        found = g_str_has_prefix(name, "tmp_pack_") && lstat(path, &status) == 0 &&
                status.st_size >= size_bytes;
    }
    return found;
}
