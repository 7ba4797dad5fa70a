#include "git/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "git/mirror_internal.h"
#include "git/trash.h"

#define MIRROR_SUFFIX ".git"

struct prune {
    const char *cache;
    const struct cache_rules *rules;
    struct cache_removals *removals;
};

char *cache_checkout_name(const char *section, const char *branch)
{
    g_autofree char *section_name = file_component_from_name(section);
    g_autofree char *branch_name = file_component_from_name(branch);
    return g_build_filename(section_name, branch_name, NULL);
}

char *cache_mirror_name(const struct git_remote *remote)
{
    g_autofree char *stem = mirror_stem("", remote);
    return g_path_get_basename(stem);
}

void cache_removals_init(struct cache_removals *removals)
{
    *removals = (struct cache_removals){.failures = g_ptr_array_new_with_free_func(g_free)};
}

void cache_removals_clear(struct cache_removals *removals)
{
    g_clear_pointer(&removals->failures, g_ptr_array_unref);
}

static void note_failure(const struct prune *prune, const char *path, const GError *error)
{
    g_ptr_array_add(prune->removals->failures, g_strdup_printf("%s: %s", path, error->message));
}

/* A directory below the cache, no link; -1 when it is absent (or something else). */
static int open_below(const char *cache, const char *name)
{
    auto_fd cache_fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return cache_fd < 0 ? -1
                        : openat(cache_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* The names in a directory but those that begin with a dot; whole before anything in it is changed.
 */
static GPtrArray *list_names(int directory_fd)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int fd = directory_fd < 0 ? -1 : openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] != '.') {
            g_ptr_array_add(names, g_strdup(entry->d_name));
        }
    }
    if (directory) {
        closedir(directory);
    } else {
        fd_close(&fd);
    }
    return names;
}

static int64_t changed_ms(int directory_fd, const char *path)
{
    struct stat status;
    if (directory_fd < 0 || fstatat(directory_fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return 0;
    }
    return file_modified_ms(&status);
}

static int64_t newest_change_ms(int directory_fd, const char *const *paths)
{
    int64_t newest_ms = 0;
    for (; *paths; paths++) {
        newest_ms = MAX(newest_ms, changed_ms(directory_fd, *paths));
    }
    return newest_ms;
}

static bool is_due(const struct prune *prune, int64_t used_ms)
{
    const struct cache_rules *rules = prune->rules;
    return rules->keep_for_ms == 0 ||
           (rules->keep_for_ms > 0 && rules->now_ms - used_ms > rules->keep_for_ms);
}

/* Moves parent/name into the trash, whatever it is; a link is moved, never followed. An absent name
 * is success. */
static bool set_aside(const struct prune *prune, int parent_fd, const char *name, GError **error)
{
    g_autofree char *trash = g_build_filename(prune->cache, "trash", NULL);
    struct stat status;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT || error_set_errno(error, GIT_ERROR, errno, "cannot use %s", name);
    }
    if (!file_ensure_private_directory(trash, error)) {
        return false;
    }
    auto_fd trash_fd = open_below(prune->cache, "trash");
    g_autofree char *target = trash_name(name);
    /* A directory changes its parent only when it can itself be written. */
    if (S_ISDIR(status.st_mode) && (status.st_mode & S_IRWXU) != S_IRWXU) {
        auto_fd fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
            fchmod(fd, S_IRWXU);
        }
    }
    if (trash_fd < 0 || renameat(parent_fd, name, trash_fd, target) < 0) {
        return error_set_errno(error, GIT_ERROR, errno, "cannot move %s to %s", name, trash);
    }
    return true;
}

/* ------------------------------------------------------------- workspaces */

/* One branch: its names and the directories of its section, -1 where there is none. */
struct place {
    const char *section, *branch;
    int checkouts_fd, workspaces_fd;
    char *directory; /* cache/checkouts/<section>/<branch> */
};

/* The index is written by every checkout, and no step can touch it. */
static int64_t checkout_used_ms(const struct place *place)
{
    g_autofree char *index = g_build_filename(place->branch, "index", NULL);
    g_autofree char *lock = g_build_filename(place->branch, "lock", NULL);
    const char *const ours[] = {place->branch, index, lock, NULL};
    int64_t used_ms = newest_change_ms(place->checkouts_fd, ours);
    return used_ms > 0 ? used_ms : changed_ms(place->workspaces_fd, place->branch);
}

static bool is_link_or_file(int parent_fd, const char *name)
{
    struct stat status;
    return parent_fd >= 0 && fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISDIR(status.st_mode);
}

/* -1 with ERROR_BUSY when a job is at work there. */
static int lock_place(const struct place *place, GError **error)
{
    g_autofree char *lock = g_build_filename(place->directory, "lock", NULL);
    if (is_link_or_file(place->checkouts_fd, place->branch)) {
        g_set_error(error, GIT_ERROR, ERROR_DENIED, "is not a directory; remove it by hand");
        return -1;
    }
    return file_ensure_private_directory(place->directory, error)
               ? lock_take(lock, LOCK_EXCLUSIVE, error)
               : -1;
}

/* The section's directory below checkouts/, which may have been made just now, for the lock. */
static int open_checkouts_of(const struct prune *prune, const struct place *place)
{
    g_autofree char *section = g_build_filename("checkouts", place->section, NULL);
    return open_below(prune->cache, section);
}

/* The directory with the lock goes last and as a whole: till then nobody else gets at the
 * workspace, and whoever comes then makes everything anew. */
static bool remove_place(const struct prune *prune, const struct place *place, GError **error)
{
    g_autofree char *index = g_build_filename(place->branch, "index", NULL);
    auto_fd parent_fd = open_checkouts_of(prune, place);
    int fault = fault_point("gc.workspace");
    if (fault) {
        return error_set_errno(error, GIT_ERROR, fault, "cannot remove the workspace");
    }
    if (parent_fd < 0) {
        return error_set_errno(error, GIT_ERROR, errno, "cannot use %s", place->directory);
    }
    /* It would promise files that are not there to a job that comes after a crash. */
    unlinkat(parent_fd, index, 0);
    if (place->workspaces_fd >= 0 &&
        !set_aside(prune, place->workspaces_fd, place->branch, error)) {
        return false;
    }
    fault = fault_point("gc.checkout");
    if (fault) {
        return error_set_errno(error, GIT_ERROR, fault, "cannot remove the checkout");
    }
    return set_aside(prune, parent_fd, place->branch, error);
}

static void prune_place(const struct prune *prune, const struct place *place)
{
    int64_t bytes = 0;
    g_autofree char *name = g_build_filename(place->section, place->branch, NULL);
    g_autofree char *lock = g_build_filename(place->directory, "lock", NULL);
    if (g_hash_table_contains(prune->rules->checkouts, name) ||
        !is_due(prune, checkout_used_ms(place))) {
        return;
    }
    if (lock_is_held(lock)) {
        prune->removals->in_use++;
        return;
    }
    if (place->workspaces_fd >= 0) {
        bytes += file_tree_bytes(place->workspaces_fd, place->branch);
    }
    if (place->checkouts_fd >= 0) {
        bytes += file_tree_bytes(place->checkouts_fd, place->branch);
    }
    g_autoptr(GError) error = NULL;
    auto_fd lock_fd = prune->rules->dry_run ? -1 : lock_place(place, &error);
    if (prune->rules->dry_run || (lock_fd >= 0 && remove_place(prune, place, &error))) {
        prune->removals->workspaces++;
        prune->removals->bytes += bytes;
    } else if (lock_fd < 0 && error_has_code(error, ERROR_BUSY)) {
        prune->removals->in_use++;
    } else {
        note_failure(prune, place->directory, error);
    }
}

/* The names in both directories: a workspace may be there without the rest, and the other way
 * round. */
static GPtrArray *list_both(int first_fd, int second_fd)
{
    g_autoptr(GPtrArray) first = list_names(first_fd);
    g_autoptr(GPtrArray) second = list_names(second_fd);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *both[] = {first, second};
    for (unsigned i = 0; i < G_N_ELEMENTS(both); i++) {
        for (unsigned j = 0; j < both[i]->len; j++) {
            char *name = g_ptr_array_index(both[i], j);
            if (g_hash_table_add(seen, name)) {
                g_ptr_array_add(all, g_strdup(name));
            }
        }
    }
    return all;
}

static int open_section(int folder_fd, const char *section)
{
    return folder_fd < 0
               ? -1
               : openat(folder_fd, section, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void prune_section(const struct prune *prune, int checkouts_fd, int workspaces_fd,
                          const char *section)
{
    auto_fd first_fd = open_section(checkouts_fd, section);
    auto_fd second_fd = open_section(workspaces_fd, section);
    g_autoptr(GPtrArray) branches = list_both(first_fd, second_fd);
    /* A link in the place of a section leads out of here. */
    bool is_strange =
        is_link_or_file(checkouts_fd, section) || is_link_or_file(workspaces_fd, section);
    for (unsigned i = 0; !is_strange && i < branches->len; i++) {
        const char *branch = g_ptr_array_index(branches, i);
        g_autofree char *directory =
            g_build_filename(prune->cache, "checkouts", section, branch, NULL);
        const struct place place = {section, branch, first_fd, second_fd, directory};
        prune_place(prune, &place);
    }
    if (is_strange) {
        g_ptr_array_add(prune->removals->failures,
                        g_strdup_printf("%s: a section \"%s\" of workspaces/ or checkouts/ is not "
                                        "a directory; remove it by hand",
                                        prune->cache, section));
    } else if (!prune->rules->dry_run) {
        /* Only when they are empty. */
        unlinkat(checkouts_fd, section, AT_REMOVEDIR);
        unlinkat(workspaces_fd, section, AT_REMOVEDIR);
    }
}

/* A folder of the cache whose place a link has taken leads out of here. */
static bool leads_away(const struct prune *prune, const char *folder)
{
    auto_fd cache_fd = open(prune->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!is_link_or_file(cache_fd, folder)) {
        return false;
    }
    g_ptr_array_add(
        prune->removals->failures,
        g_strdup_printf("%s/%s is not a directory; remove it by hand", prune->cache, folder));
    return true;
}

static void prune_checkouts(const struct prune *prune)
{
    if (leads_away(prune, "checkouts") || leads_away(prune, "workspaces")) {
        return;
    }
    auto_fd checkouts_fd = open_below(prune->cache, "checkouts");
    auto_fd workspaces_fd = open_below(prune->cache, "workspaces");
    g_autoptr(GPtrArray) sections = list_both(checkouts_fd, workspaces_fd);
    for (unsigned i = 0; i < sections->len; i++) {
        prune_section(prune, checkouts_fd, workspaces_fd, g_ptr_array_index(sections, i));
    }
}

/* ---------------------------------------------------------------- mirrors */

/* What fetches and jobs write. */
static int64_t mirror_used_ms(int mirrors_fd, const char *name)
{
    static const char *const parts[] = {"", "FETCH_HEAD", "refs/phantom_ci", "packed-refs",
                                        "objects/pack"};
    int64_t used_ms = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path =
            g_strconcat(name, MIRROR_SUFFIX, *parts[i] ? "/" : "", parts[i], NULL);
        used_ms = MAX(used_ms, changed_ms(mirrors_fd, path));
    }
    return used_ms;
}

static bool remove_mirror(const struct prune *prune, int mirrors_fd, const char *name,
                          GError **error)
{
    g_autofree char *git_dir = g_strconcat(name, MIRROR_SUFFIX, NULL);
    g_autofree char *unfinished = g_strconcat(name, ".new", NULL);
    int fault = fault_point("gc.mirror");
    if (fault) {
        return error_set_errno(error, GIT_ERROR, fault, "cannot remove %s", git_dir);
    }
    return set_aside(prune, mirrors_fd, git_dir, error) &&
           set_aside(prune, mirrors_fd, unfinished, error);
}

/* Both locks are held, and go with the mirror: whoever waits for one of them finds out that its
 * file is gone, and opens it anew. */
static void remove_locked_mirror(const struct prune *prune, int mirrors_fd, const char *name,
                                 GError **error)
{
    g_autofree char *git_dir = g_strconcat(name, MIRROR_SUFFIX, NULL);
    g_autofree char *lock = g_strconcat(name, ".lock", NULL);
    g_autofree char *fetch_lock = g_strconcat(name, ".fetch-lock", NULL);
    int64_t bytes = file_tree_bytes(mirrors_fd, git_dir);
    if (remove_mirror(prune, mirrors_fd, name, error)) {
        unlinkat(mirrors_fd, fetch_lock, 0);
        unlinkat(mirrors_fd, lock, 0);
        prune->removals->mirrors++;
        prune->removals->bytes += bytes;
    }
}

/* A mirror that stays keeps no commits of branches that don't. */
static void release_refs(const struct prune *prune, const char *name)
{
    g_autofree char *stem = g_build_filename(prune->cache, "mirrors", name, NULL);
    g_autoptr(GError) error = NULL;
    unsigned released = 0;
    if (!prune->rules->dry_run &&
        !mirror_release_refs(stem, prune->rules->checkouts, &released, &error)) {
        note_failure(prune, stem, error);
    }
    prune->removals->refs += released;
}

static void prune_mirror(const struct prune *prune, int mirrors_fd, const char *name)
{
    if (g_hash_table_contains(prune->rules->mirrors, name)) {
        release_refs(prune, name);
        return;
    }
    if (!is_due(prune, mirror_used_ms(mirrors_fd, name))) {
        return;
    }
    g_autofree char *stem = g_build_filename(prune->cache, "mirrors", name, NULL);
    g_autofree char *git_dir = g_strconcat(name, MIRROR_SUFFIX, NULL);
    g_autofree char *lock = g_strconcat(stem, ".lock", NULL);
    g_autofree char *fetch_lock = g_strconcat(stem, ".fetch-lock", NULL);
    if (prune->rules->dry_run) {
        prune->removals->mirrors++;
        prune->removals->bytes += file_tree_bytes(mirrors_fd, git_dir);
        return;
    }
    g_autoptr(GError) error = NULL;
    auto_fd lock_fd = lock_take(lock, LOCK_EXCLUSIVE, &error);
    auto_fd fetch_fd = lock_fd < 0 ? -1 : lock_take(fetch_lock, LOCK_EXCLUSIVE, &error);
    if (fetch_fd >= 0) {
        remove_locked_mirror(prune, mirrors_fd, name, &error);
    } else if (error_has_code(error, ERROR_BUSY)) {
        prune->removals->in_use++;
        return;
    }
    if (error) {
        note_failure(prune, stem, error);
    }
}

static void prune_mirrors(const struct prune *prune)
{
    auto_fd mirrors_fd = open_below(prune->cache, "mirrors");
    g_autoptr(GPtrArray) names = list_names(mirrors_fd);
    for (unsigned i = 0; i < names->len; i++) {
        char *name = g_ptr_array_index(names, i);
        if (g_str_has_suffix(name, MIRROR_SUFFIX)) {
            name[strlen(name) - strlen(MIRROR_SUFFIX)] = '\0';
            prune_mirror(prune, mirrors_fd, name);
        }
    }
}

void cache_prune(const char *cache_directory, const struct cache_rules *rules,
                 struct cache_removals *removals)
{
    g_autofree char *cache = g_canonicalize_filename(cache_directory, NULL);
    struct prune prune = {cache, rules, removals};
    if (rules->keep_for_ms >= 0) {
        prune_checkouts(&prune);
        prune_mirrors(&prune);
    }
}

/* ------------------------------------------------------------------ trash */

void cache_empty_trash(const char *cache_directory, bool dry_run, struct cache_removals *removals)
{
    auto_fd trash_fd = open_below(cache_directory, "trash");
    g_autoptr(GPtrArray) names = list_names(trash_fd);
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        int64_t bytes = file_tree_bytes(trash_fd, name);
        g_autoptr(GError) error = NULL;
        int fault = fault_point("gc.trash");
        if (fault) {
            error_set_errno(&error, GIT_ERROR, fault, "cannot remove %s", name);
        } else if (dry_run || file_remove_tree(trash_fd, name, &error)) {
            removals->trash++;
            removals->bytes += bytes;
        }
        if (error) {
            g_ptr_array_add(removals->failures, g_strdup_printf("%s/trash/%s: %s", cache_directory,
                                                                name, error->message));
        }
    }
}
