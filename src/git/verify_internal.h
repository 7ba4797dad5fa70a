/* What verify.c, verify_keys.c and verify_words.c share. */
#ifndef PHANTOM_CI_GIT_VERIFY_INTERNAL_H
#define PHANTOM_CI_GIT_VERIFY_INTERNAL_H

#include "git/verify.h"

struct verifier {
    struct mirror *mirror;
    struct git_limits limits;
    char *directory;
    char *signers;      /* private copy of allowed_signers, or NULL */
    char *signers_text; /* its bytes */
    char **gpg_keys;    /* upper case */
    char *gpg_home;     /* private, with the key ring imported; or NULL */
    char *gpg, *ssh_keygen;
    char **variables;      /* "K=V", for git and its tools */
    GHashTable *valid_now; /* fingerprints of SSH keys that are allowed now */
};

/* What git says about one commit; the fields of a record in the order of verify.c's format. */
struct signature {
    const char *sha;
    char status; /* as %G? of git-log(1) */
    const char *key_id, *fingerprint, *primary, *signer;
};

enum signature_format { SIGNATURE_NONE, SIGNATURE_SSH, SIGNATURE_GPG, SIGNATURE_OTHER };

/* The signature of a commit, as the object has it; NULL without error when there is none, and when
 * there is more than one. Free with g_free(). */
char *verify_read_signature(struct verifier *verifier, const char *sha,
                            enum signature_format *format, GError **error);

/* Why a commit whose key is not allowed is refused, "abc is not signed ...". Free with g_free(). */
char *verify_explain(struct verifier *verifier, const struct signature *signature, GError **error);

/* True when one of the lines of allowed_signers has the key, whatever its options say. */
bool verify_signers_name_key(const char *allowed_signers, const char *fingerprint);

/* Copies the files of keys, finds the programs. */
bool verify_prepare_ssh(struct verifier *verifier, const struct verify_rules *rules,
                        GError **error);
bool verify_prepare_gpg(struct verifier *verifier, const struct verify_rules *rules,
                        GError **error);

/* Whether allowed_signers lets a key of `signature` sign for `principal` now. */
bool verify_is_valid_now(struct verifier *verifier, const char *signature, const char *principal,
                         bool *answer, GError **error);

#endif
