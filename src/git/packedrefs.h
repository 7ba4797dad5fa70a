/*
 * The packed-refs of a repository: what of it is wanted, remembered until the file changes.
 *
 * 1. All zeros is a struct that knows nothing. 2. packed_refs_read(). 3. packed_refs_stand() says
 * from stat(2) whether that still counts. 4. packed_refs_release().
 */
#ifndef PHANTOM_CI_GIT_PACKEDREFS_H
#define PHANTOM_CI_GIT_PACKEDREFS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/stamp.h"
#include "git/localrepo.h"
#include "git/reffile.h"
#include "git/refset.h"

/* About 50 ms of reading. Git, which searches in the file, takes a bigger one in its stride. */
enum { PACKED_REFS_MAX_BYTES = 64 * 1024 * 1024 };

struct packed_ref {
    bool is_peeled; /* see git/reffile.h */
    char id[REFFILE_ID_MAX + 1];
    char peeled_id[REFFILE_ID_MAX + 1]; /* "": it points to no other object, or it is not known */
    char name[];
};

struct packed_refs {
    GPtrArray *refs; /* struct packed_ref *, in the order of the file; NULL: nothing was read */
    /* private */
    struct stamp_trust trust;
    char *fault;       /* why the file can't be used as it is; or NULL */
    GHashTable *extra; /* names that were kept besides what is wanted; or NULL */
};

struct packed_refs_reading {
    int directory_fd; /* the common directory of the repository */
    const struct refset_wanted *wanted;
    GHashTable *extra; /* a set of names that are to be kept besides; or NULL */
    size_t id_length;
    int64_t settle_ms;
    struct local_doubt *doubt; /* raised when git would see more, or other things */
};
void packed_refs_read(struct packed_refs *packed, const struct packed_refs_reading *reading);
void packed_refs_release(struct packed_refs *packed);

/* The one with this name, or NULL. */
const struct packed_ref *packed_refs_find(const struct packed_refs *packed, const char *name);

/* Is there such a file? */
bool packed_refs_are_there(const struct packed_refs *packed);

/* `directory`: path of the common directory. */
bool packed_refs_stand(const struct packed_refs *packed, const char *directory);

#endif
