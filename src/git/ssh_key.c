#include "git/ssh_key.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

/* PROTOCOL.key: the magic with its NUL, then the cipher's name as a string with a length. */
static const char magic[] = "openssh-key-v1";

static const char *const public_prefixes[] = {"ssh-ed25519 ",
                                              "ssh-rsa ",
                                              "ssh-dss ",
                                              "ecdsa-sha2-",
                                              "sk-ssh-ed25519@",
                                              "sk-ecdsa-sha2-",
                                              "---- BEGIN SSH2 PUBLIC KEY"};

static enum ssh_key_kind kind_of_openssh(const char *body, const char *end)
{
    enum { HEAD_CHARACTERS = 64 }; /* base64 of the magic, a length and the longest cipher's name */
    g_autoptr(GString) head = g_string_new(NULL);
    for (const char *at = body; at < end && head->len < HEAD_CHARACTERS; at++) {
        if (g_ascii_isalnum(*at) || *at == '+' || *at == '/') {
            g_string_append_c(head, *at);
        } else if (*at != '\n' && *at != '\r') {
            break;
        }
    }
    g_string_truncate(head, head->len / 4 * 4);
    gsize length = 0;
    g_autofree guchar *bytes = g_base64_decode(head->str, &length);
    gsize name_at = sizeof(magic) + 4;
    if (length < name_at + 4 || memcmp(bytes, magic, sizeof(magic)) != 0) {
        return SSH_KEY_UNKNOWN;
    }
    bool none = bytes[name_at - 1] == 4 && memcmp(bytes + name_at, "none", 4) == 0;
    return none ? SSH_KEY_PLAIN : SSH_KEY_ENCRYPTED;
}

enum ssh_key_kind ssh_key_kind(const char *bytes, size_t length)
{
    const char *end = bytes + length;
    for (size_t i = 0; i < G_N_ELEMENTS(public_prefixes); i++) {
        size_t prefix = strlen(public_prefixes[i]);
        if (length > prefix && memcmp(bytes, public_prefixes[i], prefix) == 0) {
            return SSH_KEY_PUBLIC;
        }
    }
    static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    const char *begin = g_strstr_len(bytes, (gssize)length, openssh);
    if (begin) {
        return kind_of_openssh(begin + strlen(openssh), end);
    }
    if (g_strstr_len(bytes, (gssize)length, "-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
        return SSH_KEY_ENCRYPTED;
    }
    if (!g_strstr_len(bytes, (gssize)length, "PRIVATE KEY-----")) {
        return g_strstr_len(bytes, (gssize)length, "-----BEGIN PUBLIC KEY-----") ? SSH_KEY_PUBLIC
                                                                                 : SSH_KEY_UNKNOWN;
    }
    /* RFC 1421: the headers of an encrypted PEM file. */
    return g_strstr_len(bytes, (gssize)length, "Proc-Type: 4,ENCRYPTED") ? SSH_KEY_ENCRYPTED
                                                                         : SSH_KEY_PLAIN;
}
