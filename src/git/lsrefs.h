/*
 * The client's half of git's reference look-up: bytes in, refs out, no I/O. Version 2
 * (gitprotocol-v2(5), "ls-refs") and the ref advertisement of versions 0 and 1
 * (gitprotocol-pack(5), "Reference Discovery"), of sha1 and sha256 repositories.
 *
 * Over HTTP (gitprotocol-http(5)):
 *   - the answer to a POST of lsrefs_request() is read with LSREFS_ANSWER. Sent at once, without
 *     asking for the advertisement before, a server of version 0 or 1 and one whose repository has
 *     another object format than the command says answer with 200 and an empty body;
 *   - the answer to GET info/refs?service=git-upload-pack is read with LSREFS_ADVERTISEMENT: of a
 *     server of version 0 or 1 it has the refs; of version 2 only capabilities, and the POST
 *     follows, with a parser of its own.
 * Over a pipe to git-upload-pack (ssh): LSREFS_PIPE. lsrefs_request() may be written at once, while
 * the advertisement is read (by poll(2), not in turns: either side's pipe may fill):
 *   - a server of version 2 reads it after its capabilities, answers, and waits for the next
 *     command: close the pipe when lsrefs_is_done(). When the object format is not that of the
 *     command it ends without an answer.
 *   - a server of version 0 or 1 reads it, behind its whole advertisement, as a list of wants, and
 *     dies of it: lsrefs_is_done() is true before that, and its exit status and its complaint
 *     mean nothing. (Only on a bare TCP connection could its end destroy what was not read yet.)
 *   - a server that is known to be of version 0 or 1 is better sent a flush packet ("0000"), for
 *     which it ends in peace; if it is of version 2 by now it ends as well, without an answer.
 *
 * 1. lsrefs_new(). 2. lsrefs_take() with what comes, until it fails or lsrefs_is_done(). 3. At the
 * end of the input lsrefs_finish(): the refs, or why the answer is none, and then lsrefs_next()
 * says whether another question gets a better answer. 4. lsrefs_free().
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

/* Bytes behind the end of an answer are not looked at. After a failure: the same failure. */
bool lsrefs_take(struct lsrefs *lsrefs, const uint8_t *bytes, size_t length, GError **error);

/* Nothing more needs to be read. Of an LSREFS_ADVERTISEMENT of version 2: its capabilities were. */
bool lsrefs_is_done(const struct lsrefs *lsrefs);

/* 0, 1 or 2; -1 while it is not known. Of an LSREFS_ANSWER always 2. */
int lsrefs_version(const struct lsrefs *lsrefs);
/* "sha1" or "sha256"; "" before it is known. */
const char *lsrefs_object_format(const struct lsrefs *lsrefs);
/* True when a version 2 server announced ls-refs. */
bool lsrefs_can_ls_refs(const struct lsrefs *lsrefs);

/* A table as git/refset.h has it, owned by the caller. NULL without one: ERROR_REMOTE when the
 * answer was cut, is an ERR packet, or has no refs but only capabilities; ERROR_INVALID when it was
 * none (an HTML page, say); ERROR_LIMIT. Only once. */
GHashTable *lsrefs_finish(struct lsrefs *lsrefs, GError **error);

/* What to do when there are no refs: after lsrefs_take() failed, or after lsrefs_finish(). The
 * parser does not know what was asked before: ask no question twice in one look. */
enum lsrefs_next {
    LSREFS_NEXT_NOTHING,       /* there are refs, or the failure is what there is to tell */
    LSREFS_NEXT_COMMAND,       /* a version 2 server told its capabilities: send lsrefs_request()
                                  with lsrefs_object_format(). Of a pipe as soon as they are there:
                                  a command that was not written yet may be written now */
    LSREFS_NEXT_ADVERTISEMENT, /* a command that was sent at once was not understood */
    LSREFS_NEXT_GIT, /* what is spoken there is not known here (dumb HTTP, a later version,
                        another object format, no ls-refs): `git ls-remote` may know */
};
enum lsrefs_next lsrefs_next(const struct lsrefs *lsrefs);

/* The version 2 command with its ref-prefix lines, peeled when tags are wanted. `object_format`:
 * NULL, "" or "sha1" for what goes without saying (older servers refuse to hear it), or "sha256".
 * Free with g_byte_array_unref(). */
GByteArray *lsrefs_request(const char *const *wanted, const char *object_format);

#endif
