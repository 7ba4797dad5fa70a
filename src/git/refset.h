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

/* What a look asks for, made ready for being compared with a million names: a ref costs about the
 * same whether one name is wanted or a thousand. A glob costs more only for refs that begin with
 * its fixed head. */
struct refset_wanted;

/* `names`: full ref names, and globs of them as text_glob_match() knows them ('*' matches '/');
 * copied. */
struct refset_wanted *refset_wanted_new(const char *const *names);
void refset_wanted_free(struct refset_wanted *wanted);
bool refset_wants(const struct refset_wanted *wanted, const char *name);

/* An empty table. Free with g_hash_table_unref(). */
GHashTable *refset_new(void);

/* True when the name is one that url_remote_branch_is_valid() takes, behind refs/heads/ or
 * refs/tags/: no such name leads out of these two as the path of a file. */
bool refset_name_is_valid(const char *name);

/* True when the name is valid, and the object id is 40 or 64 lower-case hexadecimal digits and not
 * all zeros. */
bool refset_is_valid(const char *name, size_t name_length, const char *id, size_t id_length);

/* Keeps a ref when `wanted` asks for it (NULL: whatever it is) and it is valid. False when the set
 * is full (REFSET_MAX_REFS); a ref that is not kept is no failure. The same name again replaces the
 * id. */
bool refset_add(GHashTable *refs, const struct refset_wanted *wanted, const char *name,
                size_t name_length, const char *id, size_t id_length);

/* The same digest for the same refs with the same ids, whatever their order. Free with g_free(). */
char *refset_digest(GHashTable *refs);

/* The fixed heads of `names` (as of refset_wanted_new()), for ref-prefix lines and, with a '*'
 * behind each, as patterns of `git ls-remote`: sorted, without duplicates and without those that
 * another one covers; more than `most` are replaced by those of "refs/heads/" and "refs/tags/" that
 * are needed. Never empty, for an empty list would ask for everything. Free with g_strfreev(). */
char **refset_prefixes(const char *const *names, unsigned most);

#endif
