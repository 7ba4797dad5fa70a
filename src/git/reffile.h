/*
 * The two kinds of files that hold refs, as foreign bytes: a loose ref ("<id>\n" or "ref:
 * <name>\n") and packed-refs (git-pack-refs(1), gitrepository-layout(5)). Pure; what git would die
 * of, or what it never writes, is an error here.
 */
#ifndef PHANTOM_CI_GIT_REFFILE_H
#define PHANTOM_CI_GIT_REFFILE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "git/refset.h"

enum {
    REFFILE_ID_MAX = 64,           /* hexadecimal digits of SHA-256; SHA-1 has 40 */
    REFFILE_LOOSE_MAX = 4096,      /* bytes of a loose ref */
    REFFILE_PACKED_LINE_MAX = 8192 /* bytes of a line of packed-refs with its newline */
};

enum reffile_kind {
    REFFILE_ID,       /* value: the object id, in lower case */
    REFFILE_SYMBOLIC, /* value: the full name of another ref, below refs/ */
    REFFILE_BROKEN,   /* empty, torn, or not understood */
};

/* `id_length`: 40 or 64, as the repository's objects have it. */
enum reffile_kind reffile_parse_loose(const char *bytes, size_t length, size_t id_length,
                                      char value[REFSET_MAX_NAME + 1]);

/*
 * packed-refs, in pieces of any size:
 * 1. reffile_packed_init(). 2. Give reffile_packed_read() all that is there; what it left is to be
 * given again, with more behind it. 3. reffile_packed_finish() when the file is at its end.
 */
struct reffile_packed_ref {
    const char *name; /* without a NUL behind it */
    size_t name_length;
    const char *id; /* id_length digits, not checked unless `wanted` said yes; without a NUL */
    /* What an annotated tag points to, in digits; NULL: nothing, or not known (`peeled`) */
    const char *peeled_id;
    bool is_peeled; /* false: whether this is an annotated tag can't be told from the file */
};

struct reffile_packed {
    size_t id_length;
    bool (*wanted)(const char *name, size_t length, void *data);
    /* In the order of the file; false ends the reading without an error. */
    bool (*found)(const struct reffile_packed_ref *ref, void *data);
    void *data;
    /* private */
    bool begun, all_peeled, tags_peeled, stopped;
    bool pending; /* a wanted ref whose peeled line may follow */
    size_t name_length;
    char name[REFSET_MAX_NAME], id[REFFILE_ID_MAX];
};

void reffile_packed_init(struct reffile_packed *packed, size_t id_length,
                         bool (*wanted)(const char *name, size_t length, void *data),
                         bool (*found)(const struct reffile_packed_ref *ref, void *data),
                         void *data);

/* How many of the bytes were used up: whole lines. -1 with ERROR_INVALID (or ERROR_LIMIT: a line
 * above REFFILE_PACKED_LINE_MAX). Names above REFSET_MAX_NAME are passed over. */
gssize reffile_packed_read(struct reffile_packed *packed, const char *bytes, size_t length,
                           GError **error);

/* `left`: bytes that were never used up: a file whose last line has no end is broken. */
bool reffile_packed_finish(struct reffile_packed *packed, size_t left, GError **error);

#endif
