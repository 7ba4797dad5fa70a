#include "git/packedrefs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "git/url.h"

enum { BUFFER_BYTES = 64 * 1024, READ_TRIES = 3 };

static const char file_name[] = "packed-refs";

struct reader {
    const struct packed_refs_reading *reading;
    GPtrArray *refs;
    bool full;
};

static bool is_wanted(const char *name, size_t length, void *data)
{
    const struct reader *reader = data;
    char text[REFSET_MAX_NAME + 1];
    if (length > REFSET_MAX_NAME || memchr(name, '\0', length)) {
        return false;
    }
    memcpy(text, name, length);
    text[length] = '\0';
    return refset_wants(reader->reading->wanted, text) ||
           (reader->reading->extra && g_hash_table_contains(reader->reading->extra, text));
}

static bool keep(const struct reffile_packed_ref *found, void *data)
{
    struct reader *reader = data;
    size_t id_length = reader->reading->id_length;
    reader->full = reader->refs->len >= REFSET_MAX_REFS;
    if (reader->full) {
        return false;
    }
    struct packed_ref *ref = g_malloc0(sizeof(*ref) + found->name_length + 1);
    ref->is_peeled = found->is_peeled;
    memcpy(ref->id, found->id, id_length);
    if (found->peeled_id) {
        memcpy(ref->peeled_id, found->peeled_id, id_length);
    }
    memcpy(ref->name, found->name, found->name_length);
    g_ptr_array_add(reader->refs, ref);
    return true;
}

/* The whole file, through a buffer. */
static bool stream(int fd, struct reader *reader, GError **error)
{
    struct reffile_packed packed;
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);
    size_t held = 0;
    off_t total = 0;
    reffile_packed_init(&packed, reader->reading->id_length, is_wanted, keep, reader);
    for (;;) {
        ssize_t got = fd_read(fd, buffer + held, BUFFER_BYTES - held);
        if (got < 0) {
            return error_set_errno(error, GIT_ERROR, errno, "cannot be read");
        }
        if (got == 0) {
            return reffile_packed_finish(&packed, held, error);
        }
        total += got;
        held += (size_t)got;
        gssize used = reffile_packed_read(&packed, buffer, held, error);
        if (used < 0) {
            return false;
        }
        held -= (size_t)used;
        memmove(buffer, buffer + used, held);
        /* It may grow while it is read. */
        if (total > PACKED_REFS_MAX_BYTES) {
            g_set_error(error, GIT_ERROR, ERROR_LIMIT, "is bigger than %d MiB",
                        PACKED_REFS_MAX_BYTES / (1024 * 1024));
            return false;
        }
    }
}

static void set_fault(struct packed_refs *packed, const char *what)
{
    g_free(packed->fault);
    packed->fault = g_strdup_printf("%s %s", file_name, what);
}

/* What an open file holds, whose stamp is noted. */
static void read_file(struct packed_refs *packed, const struct packed_refs_reading *reading, int fd,
                      const struct stat *status)
{
    g_autoptr(GError) error = NULL;
    struct reader reader = {.reading = reading, .refs = packed->refs};
    if (!S_ISREG(status->st_mode)) {
        set_fault(packed, "is not a regular file");
    } else if (status->st_size > PACKED_REFS_MAX_BYTES) {
        set_fault(packed, "is big");
    } else if (!stream(fd, &reader, &error)) {
        set_fault(packed, error->message);
    } else if (reader.full) {
        set_fault(packed, "has too many refs");
    }
}

/* False when it changed meanwhile. */
static bool read_once(struct packed_refs *packed, const struct packed_refs_reading *reading)
{
    struct stamp before, after;
    struct stat status;
    auto_fd fd =
        openat(reading->directory_fd, file_name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0;
    int errnum = errno;
    g_clear_pointer(&packed->refs, g_ptr_array_unref);
    g_clear_pointer(&packed->fault, g_free);
    packed->refs = g_ptr_array_new_with_free_func(g_free);
    if (is_open) {
        stamp_from_status(&before, &status);
    } else if (!stamp_from_errno(&before, errnum)) {
        set_fault(packed, g_strerror(errnum));
        packed->trust = (struct stamp_trust){.known = false};
        return true;
    }
    stamp_trust_note(&packed->trust, &before, clock_monotonic_ms(), reading->settle_ms);
    if (!is_open) {
        return true;
    }
    read_file(packed, reading, fd, &status);
    if (fstat(fd, &status) < 0) {
        return false;
    }
    stamp_from_status(&after, &status);
    return stamp_contents_equal(&before, &after);
}

static bool holds(const struct packed_refs *packed, int directory_fd, const char *path)
{
    struct stamp stamp;
    return packed->trust.settled && stamp_take(directory_fd, path, true, &stamp) &&
           stamp_trust_holds(&packed->trust, &stamp);
}

/* Was everything kept that is to be kept now? */
static bool has_all(const struct packed_refs *packed, GHashTable *extra)
{
    GHashTableIter iter;
    gpointer name;
    if (!extra) {
        return true;
    }
    g_hash_table_iter_init(&iter, extra);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!packed->extra || !g_hash_table_contains(packed->extra, name)) {
            return false;
        }
    }
    return true;
}

void packed_refs_read(struct packed_refs *packed, const struct packed_refs_reading *reading)
{
    if (!has_all(packed, reading->extra) || !holds(packed, reading->directory_fd, file_name)) {
        bool done = false;
        for (int tries = 0; !done && tries < READ_TRIES; tries++) {
            done = read_once(packed, reading);
        }
        if (!done) {
            set_fault(packed, "changes while it is read");
            packed->trust = (struct stamp_trust){.known = false};
        }
        g_clear_pointer(&packed->extra, g_hash_table_unref);
        packed->extra = reading->extra ? g_hash_table_ref(reading->extra) : NULL;
    }
    if (packed->fault) {
        local_doubt_raise(reading->doubt, !packed->trust.known, "%s", packed->fault);
    }
}

void packed_refs_release(struct packed_refs *packed)
{
    g_clear_pointer(&packed->refs, g_ptr_array_unref);
    g_clear_pointer(&packed->extra, g_hash_table_unref);
    g_free(packed->fault);
    *packed = (struct packed_refs){.refs = NULL};
}

const struct packed_ref *packed_refs_find(const struct packed_refs *packed, const char *name)
{
    for (guint i = 0; packed->refs && i < packed->refs->len; i++) {
        const struct packed_ref *ref = packed->refs->pdata[i];
        if (strcmp(ref->name, name) == 0) {
            return ref;
        }
    }
    return NULL;
}

bool packed_refs_are_there(const struct packed_refs *packed)
{
    return !stamp_is_absent(&packed->trust.stamp);
}

bool packed_refs_stand(const struct packed_refs *packed, const char *directory)
{
    char path[PATH_MAX];
    size_t length = g_strlcpy(path, directory, sizeof(path));
    if (length + sizeof(file_name) + 1 > sizeof(path)) {
        return false;
    }
    path[length] = '/';
    memcpy(path + length + 1, file_name, sizeof(file_name));
    return holds(packed, AT_FDCWD, path);
}
