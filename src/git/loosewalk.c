#include "git/looserefs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

static struct loose_directory *directory_new(const char *name, size_t length, bool is_root)
{
    struct loose_directory *directory = g_malloc0(sizeof(*directory) + length + 1);
    directory->is_root = is_root;
    memcpy(directory->name, name, length);
    return directory;
}

void loose_walk_add_root(struct loose_refs *loose, const char *head)
{
    const char *slash = strrchr(head, '/');
    size_t length = slash ? (size_t)(slash - head) + 1 : 0;
    for (guint i = 0; i < loose->directories->len; i++) {
        const struct loose_directory *known = loose->directories->pdata[i];
        if (strncmp(known->name, head, length) == 0 && known->name[length] == '\0') {
            return;
        }
    }
    g_ptr_array_add(loose->directories, directory_new(head, length, true));
}

/* One pass over the directories. The sets are of names that are known already; they are made when
 * the first directory has to be listed. */
struct walk {
    struct loose_refs *loose;
    const struct loose_refs_reading *reading;
    GHashTable *files, *directories;
    bool doubtful; /* the directory that is being listed has what is not understood here */
    bool full;     /* there are too many of them */
};

static void walk_prepare(struct walk *walk)
{
    if (walk->files) {
        return;
    }
    walk->files = g_hash_table_new(g_str_hash, g_str_equal);
    walk->directories = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < walk->loose->found->len; i++) {
        struct loose_ref *ref = walk->loose->found->pdata[i];
        g_hash_table_add(walk->files, ref->name);
    }
    for (guint i = 0; i < walk->loose->directories->len; i++) {
        struct loose_directory *directory = walk->loose->directories->pdata[i];
        g_hash_table_add(walk->directories, directory->name);
    }
}

static void walk_doubt(struct walk *walk, const char *name, const char *what)
{
    walk->doubtful = true;
    local_doubt_raise(walk->reading->doubt, true, "%s: %s", name, what);
}

static void walk_is_full(struct walk *walk)
{
    walk->full = true;
    walk_doubt(walk, "refs", "there are too many loose refs");
}

/* Can a wanted name lie below this directory (with a slash at its end)? */
static bool leads_to_wanted(const struct walk *walk, const char *name, size_t length)
{
    for (char **head = walk->loose->heads; *head; head++) {
        if (strncmp(*head, name, MIN(strlen(*head), length)) == 0) {
            return true;
        }
    }
    return false;
}

static void add_directory(struct walk *walk, const char *name, size_t length)
{
    if (!leads_to_wanted(walk, name, length) || g_hash_table_contains(walk->directories, name)) {
        return;
    }
    if (walk->loose->directories->len >= LOOSE_REFS_MAX_DIRECTORIES) {
        walk_is_full(walk);
        return;
    }
    struct loose_directory *directory = directory_new(name, length, false);
    g_ptr_array_add(walk->loose->directories, directory);
    g_hash_table_add(walk->directories, directory->name);
}

static void add_file(struct walk *walk, const char *name)
{
    if (!refset_wants(walk->reading->wanted, name) || !refset_name_is_valid(name) ||
        g_hash_table_contains(walk->files, name)) {
        return;
    }
    if (walk->loose->found->len >= LOOSE_REFS_MAX_FILES) {
        walk_is_full(walk);
        return;
    }
    struct loose_ref *ref = loose_ref_new(name, false);
    g_ptr_array_add(walk->loose->found, ref);
    g_hash_table_add(walk->files, ref->name);
}

static unsigned char entry_type(int directory_fd, const struct dirent *entry)
{
    struct stamp stamp;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type;
    }
    if (!stamp_take(directory_fd, entry->d_name, false, &stamp)) {
        return DT_UNKNOWN;
    }
    return S_ISDIR(stamp.mode)   ? DT_DIR
           : S_ISREG(stamp.mode) ? DT_REG
           : S_ISLNK(stamp.mode) ? DT_LNK
                                 : DT_UNKNOWN;
}

/* Git passes over names with a dot in front and over lock files. FIFOs and devices are no refs to
 * it either, or it waits at them for ever (2.39). */
static void take_entry(struct walk *walk, const struct loose_directory *directory, int directory_fd,
                       const struct dirent *entry)
{
    char name[REFSET_MAX_NAME + 2];
    int length = g_snprintf(name, sizeof(name) - 1, "%s%s", directory->name, entry->d_name);
    if (entry->d_name[0] == '.' || g_str_has_suffix(entry->d_name, ".lock") ||
        length > REFSET_MAX_NAME) {
        return;
    }
    unsigned char type = entry_type(directory_fd, entry);
    if (type == DT_REG) {
        add_file(walk, name);
        return;
    }
    bool is_wanted_link = type == DT_LNK && refset_wants(walk->reading->wanted, name);
    memcpy(name + length, "/", 2);
    if (type == DT_DIR) {
        add_directory(walk, name, (size_t)length + 1);
    } else if (is_wanted_link ||
               (type == DT_LNK && leads_to_wanted(walk, name, (size_t)length + 1))) {
        walk_doubt(walk, name, "it is a symbolic link");
    }
}

/* Takes over the descriptor. */
static void list_entries(struct walk *walk, const struct loose_directory *directory, int fd)
{
    DIR *stream = fdopendir(fd);
    if (!stream) {
        walk_doubt(walk, directory->name, g_strerror(errno));
        close(fd);
        return;
    }
    const struct dirent *entry;
    unsigned count = 0;
    errno = 0;
    while (!walk->full && (entry = readdir(stream))) {
        take_entry(walk, directory, fd, entry);
        if (++count > LOOSE_REFS_MAX_ENTRIES) {
            walk_is_full(walk);
        }
        errno = 0;
    }
    if (errno != 0) {
        walk_doubt(walk, directory->name, g_strerror(errno));
    }
    closedir(stream);
}

/* A file that is renamed over while the directory is listed can be missing from the list (btrfs):
 * so whatever is known, or is in one of several lists, is looked at by its name afterwards. True
 * when the list is that of the stamp which was noted. */
static bool list_once(struct walk *walk, struct loose_directory *directory)
{
    const struct loose_refs_reading *reading = walk->reading;
    struct stamp before, after;
    struct stat status;
    auto_fd fd = openat(reading->directory_fd, directory->name,
                        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    walk->doubtful = false;
    if (fd >= 0 && fstat(fd, &status) == 0) {
        stamp_from_status(&before, &status);
    } else if (!stamp_from_errno(&before, errno)) {
        walk_doubt(walk, directory->name, g_strerror(errno));
    }
    stamp_trust_note(&directory->trust, &before, clock_monotonic_ms(), reading->settle_ms);
    if (fd >= 0) {
        walk_prepare(walk);
        list_entries(walk, directory, g_steal_fd(&fd));
    }
    if (walk->doubtful) {
        directory->trust = (struct stamp_trust){.known = false};
        return true;
    }
    return !stamp_take(reading->directory_fd, directory->name, true, &after) ||
           stamp_equals(&before, &after);
}

static bool directory_holds(const struct loose_refs_reading *reading,
                            const struct loose_directory *directory)
{
    struct stamp stamp;
    return directory->trust.settled &&
           stamp_take(reading->directory_fd, directory->name, true, &stamp) &&
           stamp_trust_holds(&directory->trust, &stamp);
}

/* Directories that are gone, or all that came up when there are too many. */
static void drop_directories(struct loose_refs *loose, bool all)
{
    for (guint i = loose->directories->len; i-- > 0;) {
        struct loose_directory *directory = loose->directories->pdata[i];
        bool gone = directory->trust.known && stamp_is_absent(&directory->trust.stamp);
        if (directory->is_root && all) {
            directory->trust = (struct stamp_trust){.known = false};
        } else if (!directory->is_root && (all || gone)) {
            g_ptr_array_remove_index_fast(loose->directories, i);
        }
    }
}

bool loose_walk(struct loose_refs *loose, const struct loose_refs_reading *reading)
{
    struct walk walk = {.loose = loose, .reading = reading};
    /* The array grows while directories are found. */
    for (guint i = 0; i < loose->directories->len && !walk.full; i++) {
        struct loose_directory *directory = loose->directories->pdata[i];
        bool done = directory_holds(reading, directory);
        for (int tries = 0; !done && !walk.full && tries < LOOSE_READ_TRIES; tries++) {
            done = list_once(&walk, directory);
        }
    }
    g_clear_pointer(&walk.files, g_hash_table_unref);
    g_clear_pointer(&walk.directories, g_hash_table_unref);
    drop_directories(loose, walk.full);
    if (walk.full) {
        g_ptr_array_set_size(loose->found, 0);
    }
    return !walk.full;
}
