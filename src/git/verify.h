/*
 * Whether commits are signed by keys that the user allows.
 *
 * 1. verifier_new() takes copies of the user's files of keys into a private directory.
 * 2. verifier_check() asks about a commit of the mirror, and if wanted about all that are new with
 *    it. Git does the verifying, on the bare mirror, with nothing configured but these keys.
 * 3. verifier_free(). What was written stays in the directory, which is the caller's to remove.
 *
 * A key counts when it is allowed both at the commit's own date and now: whoever signs can write
 * any date into the commit. Who a commit says has written it is never asked.
 */
#ifndef PHANTOM_CI_GIT_VERIFY_H
#define PHANTOM_CI_GIT_VERIFY_H

#include "git/mirror.h"

enum { VERIFY_MAX_COMMITS = 1000, VERIFY_MAX_KEYS_BYTES = 16 * 1024 * 1024 };

struct verify_rules {
    const char *allowed_signers;         /* file as in ssh-keygen(1), ALLOWED SIGNERS; or NULL */
    const char *const *allowed_gpg_keys; /* fingerprints of 40 or 64 hex digits; empty = none */
    const char *gpg_keyring; /* file with those public keys, as gpg --export writes it */
};

struct verifier;

/* `directory`: a private one that exists. ERROR_DENIED for a file of keys that is a symbolic link,
 * of another user, or that others may write; ERROR_NOT_FOUND for an absent one, or without gpg or
 * ssh-keygen; ERROR_INVALID for a key ring that gpg does not take. */
struct verifier *verifier_new(struct mirror *mirror, const struct verify_rules *rules,
                              const char *directory, const struct git_limits *limits,
                              GError **error);
void verifier_free(struct verifier *verifier);

struct verify_result {
    bool good;
    char *
        signer; /* of the commit itself, when good: principal or user id as the key's file has it */
    char *key;  /* fingerprint, when good */
    char *reason; /* in words, when not */
};
void verify_result_clear(struct verify_result *result);

/* `bases` NULL: the commit alone. Else also every ancestor of it that none of `bases` (object ids,
 * NULL-terminated, unknown ones do not count) holds, on all sides of merges; more than
 * VERIFY_MAX_COMMITS of them are not good. False only when no answer could be had. */
bool verifier_check(struct verifier *verifier, const char *sha, const char *const *bases,
                    struct verify_result *result, GError **error);

#endif
