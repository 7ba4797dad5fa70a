#include "git/looserefs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "git/reffile.h"

/* --------------------------------------------------------------------------------- what is kept */

struct loose_ref *loose_ref_new(const char *name, bool is_target)
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
        } else if (refset_name_is_valid(*names) && !loose_refs_find(loose, *names)) {
            g_ptr_array_add(loose->named, loose_ref_new(*names, false));
        }
    }
    g_ptr_array_add(globs, NULL);
    if (globs->pdata[0]) {
        loose->heads = refset_prefixes((const char *const *)globs->pdata, G_MAXUINT);
    }
    for (char **head = loose->heads; head && *head; head++) {
        loose_walk_add_root(loose, *head);
    }
}

void loose_refs_release(struct loose_refs *loose)
{
    g_clear_pointer(&loose->named, g_ptr_array_unref);
    g_clear_pointer(&loose->found, g_ptr_array_unref);
    g_clear_pointer(&loose->directories, g_ptr_array_unref);
    g_clear_pointer(&loose->heads, g_strfreev);
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
    struct stamp absent;
    if (stamp_from_errno(&absent, errnum)) {
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
    for (int tries = 0; !done && tries < LOOSE_READ_TRIES; tries++) {
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
        g_ptr_array_add(loose->named, loose_ref_new(ref->value, true));
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
    if (!loose_walk(loose, reading)) {
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

bool loose_refs_hide_packed(const struct loose_refs *loose)
{
    for (guint i = 0; i < loose->named->len; i++) {
        const struct loose_ref *ref = loose->named->pdata[i];
        if (ref->kind == LOOSE_REF_ABSENT) {
            return false;
        }
    }
    return !loose->heads;
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
