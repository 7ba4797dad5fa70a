#include "poll/refwatch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/mounts.h"
#include "poll/refwatch_kernel.h"

enum role {
    ROLE_GIT_DIRECTORY, /* packed-refs and config count */
    ROLE_TOP,           /* of a tree of refs: it must stay */
    ROLE_BELOW,         /* in such a tree: git makes and removes it */
};

/* A directory that one owner watches. */
struct place {
    struct place *next; /* of other owners with the same id */
    struct watched *watched;
    int id; /* of kernel_watch_add() */
    enum role role;
    char path[]; /* below the git directory */
};

struct watched {
    void *owner;
    char *directory;
    GPtrArray *places; /* struct place *; each is in `places` of struct refwatch, too */
    bool changed, lost;
};

struct refwatch {
    int fd;
    GHashTable *owners; /* owner -> struct watched */
    GHashTable *places; /* id -> struct place, the first of a list */
    GPtrArray *told;    /* owners with events that have not been called back */
};

/* --------------------------------------------------------------------------------------- places */

static void place_forget(struct refwatch *watch, struct place *place, bool kernel_has_it)
{
    struct place *first = g_hash_table_lookup(watch->places, GINT_TO_POINTER(place->id));
    if (first == place && place->next) {
        g_hash_table_insert(watch->places, GINT_TO_POINTER(place->id), place->next);
    } else if (first == place) {
        g_hash_table_remove(watch->places, GINT_TO_POINTER(place->id));
        if (kernel_has_it) {
            kernel_watch_remove(watch->fd, place->id);
        }
    } else {
        while (first->next != place) {
            first = first->next;
        }
        first->next = place->next;
    }
    g_free(place);
}

static void place_add(struct refwatch *watch, struct watched *watched, int id, enum role role,
                      const char *path)
{
    size_t size = strlen(path) + 1;
    struct place *place = g_malloc(sizeof(*place) + size);
    *place = (struct place){
        .next = g_hash_table_lookup(watch->places, GINT_TO_POINTER(id)),
        .watched = watched,
        .id = id,
        .role = role,
    };
    memcpy(place->path, path, size);
    g_hash_table_insert(watch->places, GINT_TO_POINTER(id), place);
    g_ptr_array_add(watched->places, place);
}

static bool has_place(const struct watched *watched, const char *path)
{
    for (guint i = 0; i < watched->places->len; i++) {
        const struct place *place = watched->places->pdata[i];
        if (strcmp(place->path, path) == 0) {
            return true;
        }
    }
    return false;
}

static void watched_free(struct refwatch *watch, struct watched *watched)
{
    for (guint i = 0; i < watched->places->len; i++) {
        place_forget(watch, watched->places->pdata[i], true);
    }
    g_ptr_array_unref(watched->places);
    g_free(watched->directory);
    g_free(watched);
}

/* ---------------------------------------------------------------------------------------- trees */

static bool add_place(struct refwatch *watch, struct watched *watched, const char *path,
                      enum role role, GError **error)
{
    g_autofree char *full = g_build_filename(watched->directory, path, NULL);
    if (watched->places->len >= REFWATCH_MAX_DIRECTORIES) {
        g_set_error(error, REFWATCH_ERROR, ERROR_LIMIT,
                    "%s has more than %d directories of refs, too many to be watched",
                    watched->directory, REFWATCH_MAX_DIRECTORIES);
        return false;
    }
    int id = kernel_watch_add(watch->fd, full, role == ROLE_GIT_DIRECTORY, error);
    if (id >= 0) {
        place_add(watch, watched, id, role, path);
    }
    return id >= 0;
}

static bool is_directory(int directory_fd, const struct dirent *entry)
{
    struct stat status;
    return entry->d_type == DT_DIR ||
           (entry->d_type == DT_UNKNOWN &&
            fstatat(directory_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(status.st_mode));
}

/* Adds the directories in watched->directory/path to `found`. False for a link among them. */
static bool list_directories(const struct watched *watched, const char *path, GPtrArray *found,
                             GError **error)
{
    g_autofree char *full = g_build_filename(watched->directory, path, NULL);
    DIR *stream = opendir(full);
    bool good = true;
    const struct dirent *entry;
    if (!stream) {
        return errno == ENOENT || errno == ENOTDIR ||
               error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch %s", full);
    }
    while (good && (entry = readdir(stream))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (entry->d_type == DT_LNK) {
            g_set_error(error, REFWATCH_ERROR, ERROR_INVALID,
                        "%s/%s is a link: what it leads to is not watched", full, entry->d_name);
            good = false;
        } else if (is_directory(dirfd(stream), entry)) {
            g_ptr_array_add(found, g_build_filename(path, entry->d_name, NULL));
        }
    }
    closedir(stream);
    return good;
}

/* A directory with all below it. Each is listed when it is watched already: what comes up in it
 * later is told of. What is gone by the time that it is watched is no failure. */
static bool add_tree(struct refwatch *watch, struct watched *watched, const char *path,
                     enum role role, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(found, g_strdup(path));
    for (guint i = 0; i < found->len; i++) {
        g_autoptr(GError) local = NULL;
        const char *next = found->pdata[i];
        if (has_place(watched, next)) {
            continue;
        }
        if (add_place(watch, watched, next, i == 0 ? role : ROLE_BELOW, &local)) {
            if (!list_directories(watched, next, found, error)) {
                return false;
            }
        } else if (!error_has_code(local, ERROR_NOT_FOUND) || (i == 0 && role == ROLE_TOP)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
    }
    return true;
}

static bool add_all(struct refwatch *watch, struct watched *watched, bool tags, GError **error)
{
    static const char reftable[] = "reftable";
    g_autofree char *tables = g_build_filename(watched->directory, reftable, NULL);
    struct stat status;
    if (mounts_path_is_remote(watched->directory)) {
        g_set_error(error, REFWATCH_ERROR, ERROR_REMOTE,
                    "%s is on a network file system, which does not tell of every change",
                    watched->directory);
        return false;
    }
    if (!add_place(watch, watched, "", ROLE_GIT_DIRECTORY, error)) {
        return false;
    }
    if (stat(tables, &status) == 0) {
        return add_tree(watch, watched, reftable, ROLE_TOP, error);
    }
    return add_tree(watch, watched, "refs/heads", ROLE_TOP, error) &&
           (!tags || add_tree(watch, watched, "refs/tags", ROLE_TOP, error));
}

/* --------------------------------------------------------------------------------------- public */

struct refwatch *refwatch_new(GError **error)
{
    int fd = kernel_watch_open(error);
    if (fd < 0) {
        return NULL;
    }
    struct refwatch *watch = g_new0(struct refwatch, 1);
    watch->fd = fd;
    watch->owners = g_hash_table_new(NULL, NULL);
    watch->places = g_hash_table_new(NULL, NULL);
    watch->told = g_ptr_array_new();
    return watch;
}

void refwatch_free(struct refwatch *watch)
{
    if (!watch) {
        return;
    }
    GHashTableIter iter;
    gpointer watched;
    g_hash_table_iter_init(&iter, watch->owners);
    while (g_hash_table_iter_next(&iter, NULL, &watched)) {
        watched_free(watch, watched);
    }
    g_hash_table_unref(watch->owners);
    g_hash_table_unref(watch->places);
    g_ptr_array_unref(watch->told);
    fd_close(&watch->fd);
    g_free(watch);
}

int refwatch_fd(const struct refwatch *watch)
{
    return watch ? watch->fd : -1;
}

bool refwatch_add(struct refwatch *watch, void *owner, const char *git_directory, bool tags,
                  GError **error)
{
    struct watched *watched = g_new0(struct watched, 1);
    watched->owner = owner;
    watched->directory = g_strdup(git_directory);
    watched->places = g_ptr_array_new();
    /* The new one first: what both have goes on being watched. */
    bool good = add_all(watch, watched, tags, error);
    refwatch_remove(watch, owner);
    if (good) {
        g_hash_table_insert(watch->owners, owner, watched);
    } else {
        watched_free(watch, watched);
    }
    return good;
}

void refwatch_remove(struct refwatch *watch, void *owner)
{
    struct watched *watched = g_hash_table_lookup(watch->owners, owner);
    if (watched) {
        g_hash_table_remove(watch->owners, owner);
        watched_free(watch, watched);
    }
}

/* --------------------------------------------------------------------------------------- events */

static void note(struct refwatch *watch, struct watched *watched, bool lost)
{
    if (!watched->changed && !watched->lost) {
        g_ptr_array_add(watch->told, watched->owner);
    }
    watched->changed = true;
    watched->lost = watched->lost || lost;
}

/* Directories that came up in a place, and all that are below them by now. */
static void note_directories(struct refwatch *watch, struct place *place, const char *name)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    struct watched *watched = place->watched;
    bool good = true;
    if (name) {
        g_ptr_array_add(found, g_build_filename(place->path, name, NULL));
    } else {
        good = list_directories(watched, place->path, found, NULL);
    }
    for (guint i = 0; good && i < found->len; i++) {
        good = add_tree(watch, watched, found->pdata[i], ROLE_BELOW, NULL);
    }
    note(watch, watched, !good);
}

/* A place that is gone. Where git removed an empty directory it may have made a new one since,
 * which was taken for the old one when it came up. */
static void note_gone(struct refwatch *watch, struct place *place)
{
    struct watched *watched = place->watched;
    bool is_below = place->role == ROLE_BELOW;
    g_autofree char *path = g_strdup(place->path);
    g_ptr_array_remove_fast(watched->places, place);
    place_forget(watch, place, false);
    bool good = is_below && add_tree(watch, watched, path, ROLE_BELOW, NULL);
    note(watch, watched, !good);
}

/* The files that git has in its directory besides refs, an index above all, say nothing. */
static bool name_counts(const struct place *place, const char *name)
{
    if (place->role == ROLE_GIT_DIRECTORY) {
        return strcmp(name, "packed-refs") == 0 || strcmp(name, "config") == 0;
    }
    return name[0] != '.' && !g_str_has_suffix(name, ".lock");
}

static void take_event(struct refwatch *watch, struct place *place,
                       const struct kernel_watch_event *event)
{
    struct watched *watched = place->watched;
    bool is_tree = place->role != ROLE_GIT_DIRECTORY;
    switch (event->kind) {
    case KERNEL_WATCH_MOVED:
        /* What lies below has another path now. */
        note(watch, watched, true);
        break;
    case KERNEL_WATCH_GONE:
        note_gone(watch, place);
        break;
    case KERNEL_WATCH_DIRECTORY:
    case KERNEL_WATCH_ENTRY:
        if (is_tree && (!event->name || (event->kind == KERNEL_WATCH_DIRECTORY &&
                                         name_counts(place, event->name)))) {
            note_directories(watch, place, event->name);
        } else if (!event->name || name_counts(place, event->name)) {
            note(watch, watched, false);
        }
        break;
    case KERNEL_WATCH_OVERFLOW:
        break;
    }
}

static void tell(const struct kernel_watch_event *event, void *data)
{
    struct refwatch *watch = data;
    if (event->kind == KERNEL_WATCH_OVERFLOW) {
        GHashTableIter iter;
        gpointer watched;
        g_hash_table_iter_init(&iter, watch->owners);
        while (g_hash_table_iter_next(&iter, NULL, &watched)) {
            note(watch, watched, true);
        }
        return;
    }
    /* An event of a watch that has been removed finds no place. */
    struct place *next = g_hash_table_lookup(watch->places, GINT_TO_POINTER(event->id));
    while (next) {
        struct place *place = next;
        next = place->next;
        take_event(watch, place, event);
    }
}

void refwatch_take(struct refwatch *watch, void (*changed)(void *owner, bool lost, void *data),
                   void *data)
{
    kernel_watch_read(watch->fd, tell, watch);
    g_autoptr(GPtrArray) told = g_steal_pointer(&watch->told);
    watch->told = g_ptr_array_new();
    for (guint i = 0; i < told->len; i++) {
        struct watched *watched = g_hash_table_lookup(watch->owners, told->pdata[i]);
        /* Removed, or renewed, by an earlier call of this loop. */
        if (!watched || !watched->changed) {
            continue;
        }
        bool lost = watched->lost;
        watched->changed = false;
        if (lost) {
            refwatch_remove(watch, told->pdata[i]);
        }
        changed(told->pdata[i], lost, data);
    }
}
