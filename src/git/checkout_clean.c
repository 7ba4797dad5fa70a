#include "git/checkout_clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "git/url.h"

enum { FILE_MODE = 0644, EXECUTABLE_MODE = 0755 }; /* the latter for directories, too */

enum kind {
    KIND_NONE, /* g_hash_table_lookup() of an absent key */
    KIND_FILE,
    KIND_PROGRAM,
    KIND_SYMLINK,
    KIND_SUBMODULE,
    KIND_DIRECTORY,
};

struct clean_tree {
    GHashTable *kinds;     /* path -> enum kind */
    GHashTable *keep;      /* path without trailing '/' -> 1, or 2 when it must be a directory */
    GHashTable *keep_ways; /* directories that lead to a kept path */
    unsigned entries;      /* without directories */
    bool submodules;
    char *attributes;
};

static enum kind kind_from_mode(const char *mode)
{
    if (g_str_has_prefix(mode, "120000")) {
        return KIND_SYMLINK;
    }
    if (g_str_has_prefix(mode, "160000")) {
        return KIND_SUBMODULE;
    }
    return g_str_has_prefix(mode, "100755") ? KIND_PROGRAM : KIND_FILE;
}

/* Every directory above `path`, up to the first one that is known. */
static void add_directories_above(GHashTable *set, const char *path, gpointer value)
{
    g_autofree char *above = g_strdup(path);
    for (char *slash = strrchr(above, '/'); slash; slash = strrchr(above, '/')) {
        *slash = '\0';
        if (g_hash_table_contains(set, above)) {
            return;
        }
        g_hash_table_insert(set, g_strdup(above), value);
    }
}

static bool is_attributes_file(const char *path)
{
    return strcmp(path, ".gitattributes") == 0 || g_str_has_suffix(path, "/.gitattributes");
}

/* Entries "MODE TYPE ID\tPATH", each ended by a NUL. */
static void read_listing(struct clean_tree *tree, const char *listing, size_t length)
{
    g_autoptr(GChecksum) attributes = g_checksum_new(G_CHECKSUM_SHA256);
    for (const char *entry = listing; entry < listing + length; entry += strlen(entry) + 1) {
        const char *tab = strchr(entry, '\t');
        if (!tab) {
            continue;
        }
        enum kind kind = kind_from_mode(entry);
        if (is_attributes_file(tab + 1)) {
            g_checksum_update(attributes, (const guchar *)entry, (gssize)strlen(entry) + 1);
        }
        if (g_hash_table_insert(tree->kinds, g_strdup(tab + 1), GUINT_TO_POINTER(kind))) {
            tree->entries++;
        }
        add_directories_above(tree->kinds, tab + 1, GUINT_TO_POINTER(KIND_DIRECTORY));
        tree->submodules = tree->submodules || kind == KIND_SUBMODULE;
    }
    tree->attributes = g_strdup(g_checksum_get_string(attributes));
}

static bool keep_is_usable(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part; part++) {
        if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0) {
            return false;
        }
    }
    return parts[0] && strcmp(parts[0], ".git") != 0;
}

struct clean_tree *clean_tree_new(char *listing, size_t length, const char *const *keep)
{
    struct clean_tree *tree = g_new0(struct clean_tree, 1);
    tree->kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    tree->keep = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    tree->keep_ways = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    read_listing(tree, listing, length);
    g_free(listing);
    for (; keep && *keep; keep++) {
        size_t size = strlen(*keep);
        bool directory = size > 0 && (*keep)[size - 1] == '/';
        g_autofree char *path = g_strndup(*keep, directory ? size - 1 : size);
        if (!keep_is_usable(path)) {
            continue;
        }
        add_directories_above(tree->keep_ways, path, GUINT_TO_POINTER(1));
        g_hash_table_replace(tree->keep, g_steal_pointer(&path),
                             GUINT_TO_POINTER(directory ? 2 : 1));
    }
    return tree;
}

void clean_tree_free(struct clean_tree *tree)
{
    if (!tree) {
        return;
    }
    g_hash_table_unref(tree->kinds);
    g_hash_table_unref(tree->keep);
    g_hash_table_unref(tree->keep_ways);
    g_free(tree->attributes);
    g_free(tree);
}

bool clean_tree_has_submodules(const struct clean_tree *tree)
{
    return tree->submodules;
}

const char *clean_tree_attributes(const struct clean_tree *tree)
{
    return tree->attributes;
}

/* ---- the walk ---- */

struct directory {
    char *path; /* "" = the root */
    bool kept;  /* what is not of the tree is left alone in it */
};

struct walk {
    const struct clean_tree *tree;
    int root_fd;
    uid_t owner;
    GPtrArray *todo; /* struct directory */
    GPtrArray *ways; /* directories that are there only for a kept path below */
    unsigned found;
    struct clean_counts *counts;
};

static void directory_free(gpointer data)
{
    struct directory *directory = data;
    g_free(directory->path);
    g_free(directory);
}

static void push(struct walk *walk, const char *path, bool kept)
{
    struct directory *directory = g_new0(struct directory, 1);
    directory->path = g_strdup(path);
    directory->kept = kept;
    g_ptr_array_add(walk->todo, directory);
}

/* Component by component, so that no symlink is followed anywhere on the way. */
static int open_beneath(int root_fd, const char *path, GError **error)
{
    auto_fd fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; fd >= 0 && *part && **part; part++) {
        int next = openat(fd, *part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        fd_close(&fd);
        fd = next;
        errno = saved;
    }
    if (fd < 0) {
        int errnum = errno;
        g_autofree char *shown = text_escape(path);
        error_set_errno(error, GIT_ERROR, errnum, "can't open the directory %s of the workspace",
                        shown);
    }
    return g_steal_fd(&fd);
}

/* fchmodat() would follow a symlink that takes the entry's place in between. */
static int change_mode(int directory_fd, const char *name, mode_t mode)
{
#if defined(__linux__) && defined(O_PATH)
    auto_fd fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return -1;
    }
    if (S_ISLNK(status.st_mode)) {
        errno = ELOOP;
        return -1;
    }
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int result = chmod(link, mode);
    /* ENOENT: no /proc here */
    return result != 0 && errno == ENOENT ? fchmodat(directory_fd, name, mode, 0) : result;
#else
    return fchmodat(directory_fd, name, mode, 0);
#endif
}

static bool put_mode_right(struct walk *walk, int directory_fd, const char *name, const char *path,
                           const struct stat *status, mode_t mode, GError **error)
{
    if ((status->st_mode & 07777) == mode) {
        return true;
    }
    if (change_mode(directory_fd, name, mode) != 0) {
        int errnum = errno;
        g_autofree char *shown = text_escape(path);
        return error_set_errno(error, GIT_ERROR, errnum,
                               "can't change the mode of %s in the workspace", shown);
    }
    walk->counts->changed_modes++;
    return true;
}

static bool remove_entry(struct walk *walk, int directory_fd, const char *name, const char *path,
                         GError **error)
{
    walk->counts->removed++;
    if (unlinkat(directory_fd, name, 0) == 0) {
        return true;
    }
    if (file_remove_tree(directory_fd, name, error)) {
        return true;
    }
    g_autofree char *shown = text_escape(path);
    g_prefix_error(error, "can't remove %s from the workspace: ", shown);
    return false;
}

static bool directory_is_empty(int directory_fd, const char *name)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        fd_close(&fd);
        return false;
    }
    bool empty = true;
    const struct dirent *entry;
    while (empty && (entry = readdir(stream)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(stream);
    return empty;
}

/* Whether the entry can stay, for git to write over or leave as it is. A file with a second name
 * somewhere is not written to; an entry of another user could not be changed back. */
static bool fits(const struct walk *walk, enum kind kind, int directory_fd, const char *name,
                 const struct stat *status)
{
    if (kind == KIND_SYMLINK) {
        return S_ISLNK(status->st_mode);
    }
    if (status->st_uid != walk->owner) {
        return false;
    }
    if (kind == KIND_DIRECTORY) {
        return S_ISDIR(status->st_mode);
    }
    if (kind == KIND_SUBMODULE) {
        return S_ISDIR(status->st_mode) && directory_is_empty(directory_fd, name);
    }
    return S_ISREG(status->st_mode) && status->st_nlink == 1;
}

/* An entry that the tree knows. */
static bool visit_known(struct walk *walk, const struct directory *above, int directory_fd,
                        const char *name, const char *path, const struct stat *status,
                        enum kind kind, GError **error)
{
    if (!fits(walk, kind, directory_fd, name, status)) {
        return remove_entry(walk, directory_fd, name, path, error);
    }
    if (kind == KIND_DIRECTORY) {
        push(walk, path, above->kept || g_hash_table_contains(walk->tree->keep, path));
    } else {
        walk->found++;
    }
    if (kind == KIND_SYMLINK) {
        return true;
    }
    mode_t mode = kind == KIND_FILE ? FILE_MODE : EXECUTABLE_MODE;
    return put_mode_right(walk, directory_fd, name, path, status, mode, error);
}

static bool visit(struct walk *walk, const struct directory *above, int directory_fd,
                  const char *name, GError **error)
{
    const struct clean_tree *tree = walk->tree;
    g_autofree char *path =
        *above->path ? g_strconcat(above->path, "/", name, NULL) : g_strdup(name);
    struct stat status;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        int errnum = errno;
        g_autofree char *shown = text_escape(path);
        return errnum == ENOENT
                   ? true
                   : error_set_errno(error, GIT_ERROR, errnum, "can't look at %s", shown);
    }
    enum kind kind = GPOINTER_TO_UINT(g_hash_table_lookup(tree->kinds, path));
    if (kind != KIND_NONE) {
        return visit_known(walk, above, directory_fd, name, path, &status, kind, error);
    }
    unsigned keep = GPOINTER_TO_UINT(g_hash_table_lookup(tree->keep, path));
    if (above->kept ||
        (keep && !S_ISLNK(status.st_mode) && (keep == 1 || S_ISDIR(status.st_mode)))) {
        return true;
    }
    if (S_ISDIR(status.st_mode) && status.st_uid == walk->owner &&
        g_hash_table_contains(tree->keep_ways, path)) {
        push(walk, path, false);
        g_ptr_array_add(walk->ways, g_strdup(path));
        return put_mode_right(walk, directory_fd, name, path, &status, EXECUTABLE_MODE, error);
    }
    return remove_entry(walk, directory_fd, name, path, error);
}

static bool walk_directory(struct walk *walk, const struct directory *directory, GError **error)
{
    int fd = open_beneath(walk->root_fd, directory->path, error);
    if (fd < 0) {
        return false;
    }
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int errnum = errno;
        fd_close(&fd);
        return error_set_errno(error, GIT_ERROR, errnum, "can't read a directory of the workspace");
    }
    bool ok = true;
    const struct dirent *entry;
    while (ok && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            ok = visit(walk, directory, dirfd(stream), entry->d_name, error);
        }
    }
    closedir(stream);
    return ok;
}

/* Deepest first: a way was found after the ones above it. */
static void remove_empty_ways(const struct walk *walk)
{
    for (guint i = walk->ways->len; i > 0; i--) {
        g_autofree char *parent = g_path_get_dirname(walk->ways->pdata[i - 1]);
        g_autofree char *name = g_path_get_basename(walk->ways->pdata[i - 1]);
        auto_fd fd = open_beneath(walk->root_fd, strcmp(parent, ".") == 0 ? "" : parent, NULL);
        if (fd >= 0) {
            unlinkat(fd, name, AT_REMOVEDIR);
        }
    }
}

bool clean_walk(int root_fd, const struct clean_tree *tree, struct clean_counts *counts,
                GError **error)
{
    *counts = (struct clean_counts){.removed = 0};
    struct walk walk = {.tree = tree, .root_fd = root_fd, .owner = geteuid(), .counts = counts};
    walk.todo = g_ptr_array_new_with_free_func(directory_free);
    walk.ways = g_ptr_array_new_with_free_func(g_free);
    push(&walk, "", false);
    bool ok = true;
    while (ok && walk.todo->len > 0) {
        struct directory *directory = g_ptr_array_steal_index_fast(walk.todo, walk.todo->len - 1);
        ok = walk_directory(&walk, directory, error);
        directory_free(directory);
    }
    if (ok) {
        remove_empty_ways(&walk);
    }
    counts->missing = tree->entries > walk.found ? tree->entries - walk.found : 0;
    g_ptr_array_unref(walk.todo);
    g_ptr_array_unref(walk.ways);
    return ok;
}
