/*
 * How refs are called. Pure.
 *
 * - The full name is git's: "refs/heads/main", "refs/tags/v1". A look tells it, a fetch asks for
 * it.
 * - The key is ours: the store, the queue, directories and logs know a ref by it. A branch has its
 *   short name, "main"; a tag its full one, "refs/tags/v1". A branch whose short name begins with
 *   "refs/" has its full name as key, too ("refs/heads/refs/tags/v1"), so that no two refs share
 *   one.
 */
#ifndef PHANTOM_CI_BASE_REFKEY_H
#define PHANTOM_CI_BASE_REFKEY_H

#include <glib.h>
#include <stdbool.h>

#define REFKEY_HEADS "refs/heads/"
#define REFKEY_TAGS  "refs/tags/"

/* The key of a full name below refs/heads/ or refs/tags/, into which it points; NULL for any other.
 */
const char *refkey_of(const char *full);

/* The full name of a key. Free with g_free(). */
char *refkey_full(const char *key);

/* The short name of the branch or of the tag that a key means, into which it points; NULL when it
 * means the other kind. */
const char *refkey_branch(const char *key);
const char *refkey_tag(const char *key);

/* For people: "main", "tag v1". Not escaped. Free with g_free(). */
char *refkey_describe(const char *key);

#endif
