/* Why a signature does not count, in words. */
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/mirror_internal.h"
#include "git/verify_internal.h"

/* The value of a header, with the lines that continue it (each behind one blank). */
static char *take_value(const char *value)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *line = value;; line++) {
        const char *end = strchr(line, '\n');
        g_string_append_len(text, line, end ? end - line : (gssize)strlen(line));
        g_string_append_c(text, '\n');
        if (!end || end[1] != ' ') {
            return g_string_free(g_steal_pointer(&text), FALSE);
        }
        line = end + 1;
    }
}

/* The headers end with an empty line. Git itself takes several headers for one signature, which
 * nothing writes but who wants to confuse. */
static char *find_signature(const char *commit, bool is_sha256)
{
    const char *name = is_sha256 ? "gpgsig-sha256 " : "gpgsig ";
    char *found = NULL;
    for (const char *line = commit; *line && *line != '\n';) {
        if (g_str_has_prefix(line, name)) {
            if (found) {
                g_free(found);
                return NULL;
            }
            found = take_value(line + strlen(name));
        }
        const char *end = strchr(line, '\n');
        line = end ? end + 1 : line + strlen(line);
    }
    return found;
}

static enum signature_format find_format(const char *signature)
{
    return !signature                                                     ? SIGNATURE_NONE
           : g_str_has_prefix(signature, "-----BEGIN SSH SIGNATURE-----") ? SIGNATURE_SSH
           : g_str_has_prefix(signature, "-----BEGIN PGP ")               ? SIGNATURE_GPG
                                                                          : SIGNATURE_OTHER;
}

char *verify_read_signature(struct verifier *verifier, const char *sha,
                            enum signature_format *format, GError **error)
{
    const char *arguments[] = {"cat-file", "commit", sha, NULL};
    struct spawn_result result = {0};
    char *signature = NULL;
    *format = SIGNATURE_NONE;
    if (mirror_git(verifier->mirror, arguments, &result, error)) {
        signature = find_signature(result.out, strlen(sha) > 40);
        *format = find_format(signature);
    }
    spawn_result_clear(&result);
    return signature;
}

/* The blob of a public key is base64 that begins with the length of its type's name. */
static bool word_is_key(const char *word, const char *fingerprint)
{
    gsize length = 0;
    if (!g_str_has_prefix(word, "AAAA")) {
        return false;
    }
    g_autofree guchar *blob = g_base64_decode(word, &length);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize size = sizeof(digest);
    g_checksum_update(checksum, blob, (gssize)length);
    g_checksum_get_digest(checksum, digest, &size);
    g_autofree char *text = g_base64_encode(digest, size);
    text[strcspn(text, "=")] = '\0';
    return strcmp(text, fingerprint + strlen("SHA256:")) == 0;
}

bool verify_signers_name_key(const char *allowed_signers, const char *fingerprint)
{
    g_auto(GStrv) words = g_strsplit_set(allowed_signers, " \t\r\n", -1);
    bool found = false;
    for (char **word = words; g_str_has_prefix(fingerprint, "SHA256:") && *word && !found; word++) {
        found = word_is_key(*word, fingerprint);
    }
    return found;
}

/* A signature that its program could not, or was not asked to, make out. */
static char *explain_format(const struct verifier *verifier, const char *id,
                            enum signature_format format)
{
    switch (format) {
    case SIGNATURE_NONE:
        return g_strdup_printf("%s is not signed", id);
    case SIGNATURE_SSH:
        return verifier->signers
                   ? g_strdup_printf("%s has an SSH signature that can't be verified (git 2.34 "
                                     "or newer and ssh-keygen of OpenSSH 8.9 or newer do it)",
                                     id)
                   : g_strdup_printf("%s is signed with an SSH key, and only GPG keys are "
                                     "allowed (allowed_gpg_keys)",
                                     id);
    case SIGNATURE_GPG:
        return verifier->gpg_home
                   ? g_strdup_printf("%s has a GPG signature that gpg can't make out", id)
                   : g_strdup_printf("%s is signed with a GPG key, and only SSH keys are "
                                     "allowed (allowed_signers)",
                                     id);
    case SIGNATURE_OTHER:
        break;
    }
    return g_strdup_printf("%s has a signature that is neither of SSH nor of GPG", id);
}

/* The signature is good, its key is not allowed. */
static char *explain_key(const struct verifier *verifier, const char *id,
                         const struct signature *signature)
{
    const char *key = *signature->primary ? signature->primary : signature->fingerprint;
    g_autofree char *signer = text_escape(signature->signer);
    if (!g_str_has_prefix(signature->fingerprint, "SHA256:")) {
        return g_strdup_printf("%s is signed with the key %s (%s), which allowed_gpg_keys does "
                               "not name",
                               id, key, signer);
    }
    if (verify_signers_name_key(verifier->signers_text ? verifier->signers_text : "",
                                signature->fingerprint)) {
        return g_strdup_printf("%s is signed with the key %s, which allowed_signers has, but does "
                               "not allow at the commit's date (valid-after, valid-before)",
                               id, signature->fingerprint);
    }
    return g_strdup_printf("%s is signed with the key %s, which allowed_signers does not have", id,
                           signature->fingerprint);
}

char *verify_explain(struct verifier *verifier, const struct signature *signature, GError **error)
{
    const char *id = text_short_id(signature->sha);
    const char *key = *signature->primary ? signature->primary : signature->key_id;
    enum signature_format format;
    GError *failure = NULL;
    g_autofree char *text = verify_read_signature(verifier, signature->sha, &format, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return NULL;
    }
    bool is_asked = (format == SIGNATURE_SSH && verifier->signers) ||
                    (format == SIGNATURE_GPG && verifier->gpg_home);
    switch (is_asked ? signature->status : 'N') {
    case 'G':
    case 'U':
        return explain_key(verifier, id, signature);
    case 'B':
        /* ssh-keygen says no more of a key whose namespaces= does not name git. */
        return g_strdup_printf("%s has a bad signature: it is broken, or of something else%s", id,
                               format == SIGNATURE_SSH ? ", or its key is not allowed for git"
                                                       : "");
    case 'X':
        return g_strdup_printf("%s has a signature that has expired (key %s)", id, key);
    case 'Y':
        return g_strdup_printf("%s is signed with the key %s, which has expired", id, key);
    case 'R':
        return g_strdup_printf("%s is signed with the key %s, which was revoked", id, key);
    case 'E':
        return g_strdup_printf("%s is signed with the key %s, which gpg_keyring does not have", id,
                               key);
    default:
        return explain_format(verifier, id, format);
    }
}
