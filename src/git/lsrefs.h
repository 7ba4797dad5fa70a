/*
 * The client's half of git's reference look-up: bytes in, refs out, no I/O. Version 2
 * (gitprotocol-v2(5), "ls-refs") and the ref advertisement of versions 0 and 1
 * (gitprotocol-pack(5), "Reference Discovery"), of sha1 and sha256 repositories.
 *
 * Over HTTP (gitprotocol-http(5)):
 *   - the answer to a POST of lsrefs_request() is read with LSREFS_ANSWER;
 *   - the answer to GET info/refs?service=git-upload-pack is read with LSREFS_ADVERTISEMENT: when
 * it turns out to be version 2 (lsrefs_version()), it holds capabilities and no refs, and the POST
 *     follows with a parser of its own.
 * Over a pipe to git-upload-pack (ssh, `git daemon`): LSREFS_PIPE. The request may be written at
 * once, before the advertisement was read, for a server of version 0 or 1 reads it as a list of
 * wants that it refuses or, given a flush in front of it, ends; lsrefs_is_done() says when all refs
 * are there and the pipe can be closed.
 *
 * 1. lsrefs_new(). 2. lsrefs_take() with what comes, until it fails or lsrefs_is_done(). 3. At the
 * end of the input lsrefs_finish(): the refs, or why the answer is none. 4. lsrefs_free().
 *
 * Memory is bounded: one pkt-line, and REFSET_MAX_REFS refs that are asked for; more is
 * ERROR_LIMIT, and so is more than LSREFS_MAX_BYTES in all. An ERR packet is ERROR_REMOTE with the
 * server's words, escaped.
 */
#ifndef PHANTOM_CI_GIT_LSREFS_H
#define PHANTOM_CI_GIT_LSREFS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LSREFS_MAX_BYTES = 256 * 1024 * 1024, LSREFS_MAX_PREFIXES = 64 };

enum lsrefs_form { LSREFS_ANSWER, LSREFS_ADVERTISEMENT, LSREFS_PIPE };

struct lsrefs;

/* `wanted`: full ref names and globs (git/refset.h); copied. */
struct lsrefs *lsrefs_new(enum lsrefs_form form, const char *const *wanted);
void lsrefs_free(struct lsrefs *lsrefs);

bool lsrefs_take(struct lsrefs *lsrefs, const uint8_t *bytes, size_t length, GError **error);
bool lsrefs_is_done(const struct lsrefs *lsrefs);

/* 0, 1 or 2; -1 while it is not known. Of an LSREFS_ANSWER always 2. */
int lsrefs_version(const struct lsrefs *lsrefs);
/* "sha1" or "sha256", as far as the server said; "" before. */
const char *lsrefs_object_format(const struct lsrefs *lsrefs);
/* True when a version 2 server announced ls-refs. */
bool lsrefs_can_ls_refs(const struct lsrefs *lsrefs);

/* A table as git/refset.h has it, owned by the caller; NULL with ERROR_REMOTE when the answer was
 * cut, or ERROR_INVALID when it was none (an HTML page, say). An advertisement of version 2 has no
 * refs: an empty table. */
GHashTable *lsrefs_finish(struct lsrefs *lsrefs, GError **error);

/* The version 2 command with its ref-prefix lines, peeled when tags are wanted. `object_format` is
 * NULL for what goes without saying (sha1). */
GByteArray *lsrefs_request(const char *const *wanted, const char *object_format);

#endif
