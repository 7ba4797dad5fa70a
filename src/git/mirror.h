/*
 * The bare mirror of one remote: cache/mirrors/<name>-<hash of URL and key>.git, outside of every
 * workspace.
 *
 * 1. mirror_open() makes it if absent and takes its shared lock; a lock file is left beside it.
 * 2. mirror_fetch() brings one commit in (exclusive while it fetches). A mirror that proves broken
 *    is set aside and made anew once; *rebuilt says so.
 * 3. mirror_read_*() ask about objects; objects that can't be read make the mirror anew, too, once.
 * 4. mirror_close().
 *
 * Leftover *.lock files of a killed git are removed under the exclusive lock.
 */
#ifndef PHANTOM_CI_GIT_MIRROR_H
#define PHANTOM_CI_GIT_MIRROR_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "git/command.h"

struct mirror;

struct mirror *mirror_open(const char *cache_directory, const struct git_remote *remote,
                           const struct git_limits *limits, GError **error);
void mirror_close(struct mirror *mirror);
const char *mirror_git_dir(const struct mirror *mirror);

/* Where the mirror of a remote is, or would be: a name alone, nothing is opened. Free with
 * g_free(). */
char *mirror_path(const char *cache_directory, const struct git_remote *remote);

/* Makes `sha` present and keeps it from being collected under refs/phantom_ci/<keep_ref, encoded>.
 * Transfers nothing when it is there. Asks for the SHA itself, and where the server refuses, for
 * `ref`, the full name of its branch or tag (NULL: for nothing else). ERROR_NOT_FOUND when the
 * remote no longer has the commit; ERROR_REMOTE, ERROR_LIMIT (time), ERROR_CANCELED,
 * ERROR_NO_SPACE. */
bool mirror_fetch(struct mirror *mirror, const char *sha, const char *ref, const char *keep_ref,
                  bool *rebuilt, GError **error);

/* After that, of a tag (`ref`: its full name): makes it a ref of the mirror, with what an annotated
 * tag says of itself, so that git knows it in a step. Where the remote does not give it any more,
 * or on another commit, it becomes a plain tag of `sha`, and *why says so (else NULL). */
bool mirror_fetch_tag(struct mirror *mirror, const char *sha, const char *ref, char **why,
                      GError **error);

/* Objects of `sha` proved unreadable: fetches it into a new mirror, which takes the place of the
 * old one. After a failure the old one stays. Does nothing but a fetch when somebody else has made
 * the mirror anew meanwhile. */
bool mirror_rebuild(struct mirror *mirror, const char *sha, const char *ref, const char *keep_ref,
                    GError **error);

/* mirror_rebuild() with what mirror_fetch() was given, at most once for each mirror_open(); false
 * without an attempt after that, or when nothing was fetched. */
bool mirror_heal(struct mirror *mirror, const char *sha, GError **error);

/* Fetches the branch's tip and answers whether `sha` (any revision prefix of >= 7 digits) is on it;
 * full id in *full. ERROR_NOT_FOUND when it is not, or the branch does not exist; ERROR_INVALID for
 * an ambiguous or malformed prefix. */
bool mirror_find_on_branch(struct mirror *mirror, const char *branch, const char *sha, char **full,
                           GError **error);

/* Whether `ancestor` is `descendant` or one of its ancestors; false without error when it is
 * unknown. */
bool mirror_is_ancestor(struct mirror *mirror, const char *ancestor, const char *descendant,
                        bool *answer, GError **error);

/* False when the mirror has surely no tag: told without a process. */
bool mirror_may_have_tags(const struct mirror *mirror);

/* Subject and "Name <mail>" of a commit, valid UTF-8, at most 500 bytes each. */
bool mirror_read_commit(struct mirror *mirror, const char *sha, char **subject, char **author,
                        GError **error);

/* The paths that differ between the trees of two commits, each ended by a NUL, as git orders them.
 * ERROR_NOT_FOUND when `from` is not known here or they have no common ancestor; ERROR_LIMIT above
 * MIRROR_MAX_CHANGED_BYTES. Free with g_free(). */
enum { MIRROR_MAX_CHANGED_BYTES = 16 * 1024 * 1024 };
char *mirror_read_changed(struct mirror *mirror, const char *from, const char *to, size_t *length,
                          GError **error);

/* A regular file of the commit's tree, from the object database. ERROR_NOT_FOUND when absent;
 * ERROR_INVALID for a symlink, a submodule or a directory (named so); ERROR_LIMIT above
 * limit_bytes. */
char *mirror_read_file(struct mirror *mirror, const char *sha, const char *path, size_t limit_bytes,
                       size_t *length, GError **error);

/* All files of the commit's tree, as git ls-tree -r -z tells them: "MODE TYPE ID\tPATH", each ended
 * by a NUL. ERROR_LIMIT above MIRROR_MAX_TREE_BYTES. Free with g_free(). */
enum { MIRROR_MAX_TREE_BYTES = 64 * 1024 * 1024 };
char *mirror_read_tree(struct mirror *mirror, const char *sha, size_t *length, GError **error);

/* How these files (full paths) differ between two commits, for a person, with the prefixes
 * "approved/" and "new/". Any bytes of the files stand in it. Free with g_free(). */
char *mirror_read_diff(struct mirror *mirror, const char *from, const char *to,
                       const char *const *paths, size_t *length, GError **error);

/* Lets go of the commits that no keep_ref of the set `keep` holds, at most MIRROR_REFS_AT_ONCE refs
 * a call; git collects them some weeks later. `stem` is the mirror's path without ".git". Does
 * nothing while anybody uses the mirror. *released counts the refs. */
enum { MIRROR_REFS_AT_ONCE = 100 };
bool mirror_release_refs(const char *stem, GHashTable *keep, unsigned *released, GError **error);

/* `git gc --auto` if nobody else uses the mirror now. */
void mirror_collect_garbage(struct mirror *mirror);

#endif
