/*
 * The refs that a look tells of: a table of full ref name ("refs/heads/main", "refs/tags/v1") ->
 * object id in hexadecimal, both char * and owned. A tag's object id is that of what it points to,
 * through annotated tags (peeled). And what a look asks for: full ref names and globs. Pure.
 */
#ifndef PHANTOM_CI_GIT_REFSET_H
#define PHANTOM_CI_GIT_REFSET_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    REFSET_MAX_REFS = 200000,
    REFSET_MAX_NAME = 1024,    /* bytes of a full ref name; longer ones are passed over */
    REFSET_DIGEST_LENGTH = 64, /* SHA-256 in hexadecimal */
};

GHashTable *refset_new(void);

/* Keeps a ref when `wanted` asks for it, its name is one that url_remote_branch_is_valid() takes
 * (behind refs/heads/ or refs/tags/) and its object id is 40 or 64 hexadecimal digits and not all
 * zeros. False when the set is full (REFSET_MAX_REFS); a ref that is not kept is no failure. The
 * same name again replaces the id. */
bool refset_add(GHashTable *refs, const char *const *wanted, const char *name, size_t name_length,
                const char *id, size_t id_length);

/* True when a full ref name is one of `wanted`: full ref names, and globs as text_glob_match()
 * knows them ('*' matches '/'). */
bool refset_is_wanted(const char *const *wanted, const char *name);

/* The same digest for the same refs with the same ids, whatever their order. Free with g_free(). */
char *refset_digest(GHashTable *refs);

/* The fixed heads of `wanted`, for ref-prefix lines and for `git ls-remote`: without duplicates and
 * without those that another one covers; at most `most`, else just the common "refs/heads/" and
 * "refs/tags/" that are needed. Free with g_strfreev(). */
char **refset_prefixes(const char *const *wanted, unsigned most);

#endif
