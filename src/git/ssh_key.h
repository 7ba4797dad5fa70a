/* What the bytes of an ssh key file are, without any use of the key. No I/O. */
#ifndef PHANTOM_CI_GIT_SSH_KEY_H
#define PHANTOM_CI_GIT_SSH_KEY_H

#include <stddef.h>

enum ssh_key_kind {
    SSH_KEY_PLAIN,     /* a private key without a passphrase */
    SSH_KEY_ENCRYPTED, /* a private key that needs a passphrase, and so an agent */
    SSH_KEY_PUBLIC,    /* the other half of the pair: a common mistake */
    SSH_KEY_UNKNOWN,
};

enum { SSH_KEY_MAX_BYTES = 64 * 1024 };

/* Knows OpenSSH's own format (PROTOCOL.key) and the PEM forms (PKCS#1, PKCS#8, SEC1). */
enum ssh_key_kind ssh_key_kind(const char *bytes, size_t length);

#endif
