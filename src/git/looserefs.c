#include "git/looserefs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "git/reffile.h"
#include "git/url.h"

enum { READ_TRIES = 3 }; /* of what changes while it is read */

struct loose_directory {
    struct stamp_trust trust;
    bool is_root; /* stays, when it is not there */
    char name[];  /* with a slash at its end */
};

/* --------------------------------------------------------------------------------- what is kept */

static struct loose_ref *ref_new(const char *name, bool is_target)
{
    size_t size = strlen(name) + 1;
    struct loose_ref *ref = g_malloc0(sizeof(*ref) + size);
    ref->is_target = is_target;
    memcpy(ref->name, name, size);
    return ref;
}

static void ref_free(void *data)
{
    struct loose_ref *ref = data;
    g_free(ref->value);
    g_free(ref);
}

static struct loose_directory *directory_new(const char *name, size_t length, bool is_root)
{
    struct loose_directory *directory = g_malloc0(sizeof(*directory) + length + 1);
    directory->is_root = is_root;
    memcpy(directory->name, name, length);
    return directory;
}

const struct loose_ref *loose_refs_find(const struct loose_refs *loose, const char *name)
{
    for (guint i = 0; i < loose->named->len; i++) {
        const struct loose_ref *ref = loose->named->pdata[i];
        if (strcmp(ref->name, name) == 0) {
            return ref;
        }
    }
    return NULL;
}

/* Only what refset_add() keeps: no name leads out of refs/heads and refs/tags. */
static bool name_is_valid(const char *name)
{
    static const char heads[] = "refs/heads/", tags[] = "refs/tags/";
    return (g_str_has_prefix(name, heads) &&
            url_remote_branch_is_valid(name + strlen(heads), NULL)) ||
           (g_str_has_prefix(name, tags) && url_remote_branch_is_valid(name + strlen(tags), NULL));
}

/* The directory that holds all that a glob can match, given the fixed head of it. */
static void add_root(struct loose_refs *loose, const char *head)
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

void loose_refs_init(struct loose_refs *loose, const char *const *names)
{
    *loose = (struct loose_refs){
        .named = g_ptr_array_new_with_free_func(ref_free),
        .found = g_ptr_array_new_with_free_func(ref_free),
        .directories = g_ptr_array_new_with_free_func(g_free),
    };
    g_autoptr(GPtrArray) globs = g_ptr_array_new();
    for (; *names; names++) {
        if (text_is_glob(*names)) {
            g_ptr_array_add(globs, (gpointer)*names);
        } else if (name_is_valid(*names) && !loose_refs_find(loose, *names)) {
            g_ptr_array_add(loose->named, ref_new(*names, false));
        }
    }
    g_ptr_array_add(globs, NULL);
    if (globs->pdata[0]) {
        loose->heads = refset_prefixes((const char *const *)globs->pdata, G_MAXUINT);
    }
    for (char **head = loose->heads; head && *head; head++) {
        add_root(loose, *head);
    }
}

void loose_refs_release(struct loose_refs *loose)
{
    g_clear_pointer(&loose->named, g_ptr_array_unref);
    g_clear_pointer(&loose->found, g_ptr_array_unref);
    g_clear_pointer(&loose->directories, g_ptr_array_unref);
    g_clear_pointer(&loose->heads, g_strfreev);
}

/* ---------------------------------------------------------------------------------- directories */

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
    if (!refset_wants(walk->reading->wanted, name) || !name_is_valid(name) ||
        g_hash_table_contains(walk->files, name)) {
        return;
    }
    if (walk->loose->found->len >= LOOSE_REFS_MAX_FILES) {
        walk_is_full(walk);
        return;
    }
    struct loose_ref *ref = ref_new(name, false);
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
    unsigned count = 0;
    struct dirent *entry;
    while (!walk->full && (entry = readdir(stream))) {
        if (++count > LOOSE_REFS_MAX_ENTRIES) {
            walk_is_full(walk);
        }
        take_entry(walk, directory, fd, entry);
    }
    closedir(stream);
}

/* A file that is renamed over while the directory is listed can be missing from the list (btrfs):
 * so whatever is known, or is in one of several lists, is looked at by its name afterwards. True
 * when the list is that of the stamp which was noted. */
static bool list_once(struct walk *walk, struct loose_directory *directory)
{
    const struct loose_refs_reading *reading = walk->reading;
    struct stamp before = {.mode = 0}, after;
    struct stat status;
    auto_fd fd = openat(reading->directory_fd, directory->name,
                        O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    walk->doubtful = false;
    if (fd >= 0 && fstat(fd, &status) == 0) {
        stamp_from_status(&before, &status);
    } else if (errno != ENOENT && errno != ENOTDIR) {
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

/* False when there are too many. */
static bool walk_directories(struct loose_refs *loose, const struct loose_refs_reading *reading)
{
    struct walk walk = {.loose = loose, .reading = reading};
    /* The array grows while directories are found. */
    for (guint i = 0; i < loose->directories->len && !walk.full; i++) {
        struct loose_directory *directory = loose->directories->pdata[i];
        bool done = directory_holds(reading, directory);
        for (int tries = 0; !done && !walk.full && tries < READ_TRIES; tries++) {
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

/* ---------------------------------------------------------------------------------------- files */

static void ref_set(struct loose_ref *ref, enum loose_ref_kind kind, const char *value)
{
    g_free(ref->value);
    ref->value = g_strdup(value);
    ref->kind = kind;
}

/* What is there and can't be read as a file of its own. */
static void ref_doubt(struct loose_ref *ref, const struct loose_refs_reading *reading,
                      const char *what)
{
    ref_set(ref, LOOSE_REF_BROKEN, NULL);
    ref->trust = (struct stamp_trust){.known = false};
    local_doubt_raise(reading->doubt, true, "%s: %s", ref->name, what);
}

static void ref_cannot_be_opened(struct loose_ref *ref, const struct loose_refs_reading *reading,
                                 int errnum)
{
    struct stamp absent = {.mode = 0};
    if (errnum == ENOENT || errnum == ENOTDIR) {
        stamp_trust_note(&ref->trust, &absent, clock_monotonic_ms(), reading->settle_ms);
        ref_set(ref, LOOSE_REF_ABSENT, NULL);
    } else {
        /* ELOOP for a symbolic link on Linux and macOS; EMLINK on FreeBSD */
        ref_doubt(ref, reading,
                  errnum == ELOOP || errnum == EMLINK ? "it is a symbolic link"
                                                      : g_strerror(errnum));
    }
}

static void ref_parse(struct loose_ref *ref, const struct loose_refs_reading *reading,
                      const char *bytes, size_t length)
{
    char value[REFSET_MAX_NAME + 1];
    switch (reffile_parse_loose(bytes, length, reading->id_length, value)) {
    case REFFILE_ID:
        ref_set(ref, LOOSE_REF_ID, value);
        break;
    case REFFILE_SYMBOLIC:
        ref_set(ref, LOOSE_REF_SYMBOLIC, value);
        break;
    case REFFILE_BROKEN:
        ref_set(ref, LOOSE_REF_BROKEN, NULL);
        break;
    }
}

/* False when it changed meanwhile. */
static bool ref_read_once(struct loose_ref *ref, const struct loose_refs_reading *reading)
{
    char bytes[REFFILE_LOOSE_MAX + 1];
    struct stat status;
    struct stamp before, after;
    auto_fd fd = openat(reading->directory_fd, ref->name,
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        ref_cannot_be_opened(ref, reading, errno);
        return true;
    }
    stamp_from_status(&before, &status);
    stamp_trust_note(&ref->trust, &before, clock_monotonic_ms(), reading->settle_ms);
    if (!S_ISREG(status.st_mode)) {
        /* The directory of refs that are only packed, or what is no ref to git either. */
        ref_set(ref, LOOSE_REF_ABSENT, NULL);
        return true;
    }
    ssize_t length = fd_read(fd, bytes, sizeof(bytes));
    if (length < 0) {
        ref_doubt(ref, reading, g_strerror(errno));
        return true;
    }
    if (length > REFFILE_LOOSE_MAX) {
        ref_set(ref, LOOSE_REF_BROKEN, NULL);
    } else {
        ref_parse(ref, reading, bytes, (size_t)length);
    }
    /* Written in place, and perhaps not yet wholly. */
    if (fstat(fd, &status) == 0) {
        stamp_from_status(&after, &status);
        return stamp_contents_equal(&before, &after);
    }
    return false;
}

static void ref_read(struct loose_ref *ref, const struct loose_refs_reading *reading)
{
    struct stamp stamp;
    if (ref->trust.settled && stamp_take(reading->directory_fd, ref->name, false, &stamp) &&
        stamp_trust_holds(&ref->trust, &stamp)) {
        return;
    }
    bool done = false;
    for (int tries = 0; !done && tries < READ_TRIES; tries++) {
        done = ref_read_once(ref, reading);
    }
    if (!done) {
        ref_doubt(ref, reading, "it changes while it is read");
    }
}

/* -------------------------------------------------------------------------------- symbolic refs */

static bool is_referred_to(const struct loose_refs *loose, const char *name)
{
    const GPtrArray *const arrays[] = {loose->named, loose->found};
    for (size_t a = 0; a < G_N_ELEMENTS(arrays); a++) {
        for (guint i = 0; i < arrays[a]->len; i++) {
            const struct loose_ref *ref = arrays[a]->pdata[i];
            if (ref->kind == LOOSE_REF_SYMBOLIC && strcmp(ref->value, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Adds what the symbolic refs of `refs` from `begin` on point to. */
static void add_targets(struct loose_refs *loose, const GPtrArray *refs, guint begin, guint end,
                        struct local_doubt *doubt)
{
    for (guint i = begin; i < end; i++) {
        const struct loose_ref *ref = refs->pdata[i];
        if (ref->kind != LOOSE_REF_SYMBOLIC || loose_refs_find(loose, ref->value)) {
            continue;
        }
        if (loose->targets >= LOOSE_REFS_MAX_TARGETS) {
            local_doubt_raise(doubt, true, "it has too many symbolic refs");
            return;
        }
        g_ptr_array_add(loose->named, ref_new(ref->value, true));
        loose->targets++;
    }
}

/* The targets of symbolic refs, and theirs. */
static void read_targets(struct loose_refs *loose, const struct loose_refs_reading *reading)
{
    guint done = loose->named->len;
    add_targets(loose, loose->found, 0, loose->found->len, reading->doubt);
    add_targets(loose, loose->named, 0, done, reading->doubt);
    while (done < loose->named->len) {
        guint end = loose->named->len;
        for (guint i = done; i < end; i++) {
            ref_read(loose->named->pdata[i], reading);
        }
        add_targets(loose, loose->named, done, end, reading->doubt);
        done = end;
    }
    for (guint i = loose->targets > 0 ? loose->named->len : 0; i-- > 0;) {
        const struct loose_ref *ref = loose->named->pdata[i];
        if (ref->is_target && !is_referred_to(loose, ref->name)) {
            g_ptr_array_remove_index_fast(loose->named, i);
            loose->targets--;
        }
    }
}

/* ------------------------------------------------------------------------------------------ all */

void loose_refs_read(struct loose_refs *loose, const struct loose_refs_reading *reading)
{
    if (!walk_directories(loose, reading)) {
        return;
    }
    for (guint i = 0; i < loose->named->len; i++) {
        ref_read(loose->named->pdata[i], reading);
    }
    for (guint i = loose->found->len; i-- > 0;) {
        struct loose_ref *ref = loose->found->pdata[i];
        ref_read(ref, reading);
        if (ref->kind == LOOSE_REF_ABSENT) {
            g_ptr_array_remove_index_fast(loose->found, i);
        }
    }
    read_targets(loose, reading);
}

bool loose_refs_are_there(const struct loose_refs *loose)
{
    for (guint i = 0; i < loose->named->len; i++) {
        const struct loose_ref *ref = loose->named->pdata[i];
        if (!stamp_is_absent(&ref->trust.stamp)) {
            return true;
        }
    }
    for (guint i = 0; i < loose->directories->len; i++) {
        const struct loose_directory *directory = loose->directories->pdata[i];
        if (!stamp_is_absent(&directory->trust.stamp)) {
            return true;
        }
    }
    return false;
}

static bool stands(char path[PATH_MAX], size_t at, const char *name, bool follow,
                   const struct stamp_trust *trust)
{
    struct stamp stamp;
    size_t size = strlen(name) + 1;
    if (!trust->settled || at + size > PATH_MAX) {
        return false;
    }
    memcpy(path + at, name, size);
    return stamp_take(AT_FDCWD, path, follow, &stamp) && stamp_trust_holds(trust, &stamp);
}

bool loose_refs_stand(struct loose_refs *loose, const char *directory)
{
    char path[PATH_MAX];
    size_t at = g_strlcpy(path, directory, sizeof(path) - 1);
    if (at >= sizeof(path) - 1) {
        return false;
    }
    path[at++] = '/';
    for (guint i = 0; i < loose->directories->len; i++) {
        const struct loose_directory *known = loose->directories->pdata[i];
        if (!stands(path, at, known->name, true, &known->trust)) {
            return false;
        }
    }
    for (guint i = 0; i < loose->named->len; i++) {
        const struct loose_ref *ref = loose->named->pdata[i];
        if (!stands(path, at, ref->name, false, &ref->trust)) {
            return false;
        }
    }
    for (guint i = 0; i < MIN(loose->found->len, LOOSE_REFS_AT_ONCE); i++) {
        const struct loose_ref *ref = loose->found->pdata[loose->next++ % loose->found->len];
        if (!stands(path, at, ref->name, false, &ref->trust)) {
            return false;
        }
    }
    return true;
}
