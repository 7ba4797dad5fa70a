#include "git/verify.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/mirror_internal.h"
#include "git/verify_internal.h"

struct verifier *verifier_new(struct mirror *mirror, const struct verify_rules *rules,
                              const char *directory, const struct git_limits *limits,
                              GError **error)
{
    struct verifier *verifier = g_new0(struct verifier, 1);
    verifier->mirror = mirror;
    verifier->limits = *limits;
    verifier->directory = g_strdup(directory);
    verifier->gpg_keys = g_new0(char *, 1);
    verifier->valid_now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    verifier->variables = g_environ_setenv(NULL, "TMPDIR", directory, TRUE);
    if ((rules->allowed_signers && !verify_prepare_ssh(verifier, rules, error)) ||
        (*rules->allowed_gpg_keys && !verify_prepare_gpg(verifier, rules, error))) {
        verifier_free(verifier);
        return NULL;
    }
    return verifier;
}

void verifier_free(struct verifier *verifier)
{
    if (verifier) {
        g_free(verifier->directory);
        g_free(verifier->signers);
        g_free(verifier->signers_text);
        g_strfreev(verifier->gpg_keys);
        g_free(verifier->gpg_home);
        g_free(verifier->gpg);
        g_free(verifier->ssh_keygen);
        g_strfreev(verifier->variables);
        g_hash_table_unref(verifier->valid_now);
        g_free(verifier);
    }
}

void verify_result_clear(struct verify_result *result)
{
    g_free(result->signer);
    g_free(result->key);
    g_free(result->reason);
    *result = (struct verify_result){.good = false};
}

/* ------------------------------------------------------------- asking git */

/* The fields of struct signature, each ended by a NUL (-z ends the last). */
static const char record_format[] = "--format=tformat:%H%x00%G?%x00%GK%x00%GF%x00%GP%x00%GS";
enum { RECORD_FIELDS = 6 };

/* What a signature of a kind that is not allowed is verified with: it says yes to nothing. */
static const char no_program[] = "/dev/null";

static void add_setting(GPtrArray *arguments, const char *key, const char *value)
{
    g_ptr_array_add(arguments, g_strdup("-c"));
    g_ptr_array_add(arguments, g_strconcat(key, "=", value, NULL));
}

static void add(GPtrArray *arguments, const char *text)
{
    g_ptr_array_add(arguments, g_strdup(text));
}

/* gpg.minTrustLevel: nobody has told the private key ring whom its owner trusts; the list of
 * fingerprints says so. */
static GPtrArray *begin_arguments(const struct verifier *verifier)
{
    GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
    add_setting(arguments, "gpg.program", verifier->gpg ? verifier->gpg : no_program);
    add_setting(arguments, "gpg.openpgp.program", verifier->gpg ? verifier->gpg : no_program);
    add_setting(arguments, "gpg.x509.program", no_program);
    add_setting(arguments, "gpg.ssh.program",
                verifier->ssh_keygen ? verifier->ssh_keygen : no_program);
    if (verifier->signers) {
        add_setting(arguments, "gpg.ssh.allowedSignersFile", verifier->signers);
    }
    add_setting(arguments, "gpg.minTrustLevel", "undefined");
    add(arguments, "log");
    add(arguments, "-z");
    add(arguments, "--no-show-signature");
    add(arguments, "--no-color");
    add(arguments, record_format);
    return arguments;
}

/* Objects that can't be read make the mirror anew, once. */
static bool ask_git(struct verifier *verifier, GPtrArray *arguments, const char *sha,
                    struct spawn_result *out, GError **error)
{
    const char *const *vector = (const char *const *)arguments->pdata;
    const char *const *variables = (const char *const *)verifier->variables;
    GError *failure = NULL;
    mirror_begin(verifier->mirror);
    if (mirror_git_with(verifier->mirror, variables, vector, out, &failure)) {
        return true;
    }
    if (failure->code != ERROR_SYSTEM || !mirror_heal(verifier->mirror, sha, NULL)) {
        g_propagate_error(error, failure);
        return false;
    }
    g_clear_error(&failure);
    spawn_result_clear(out);
    *out = (struct spawn_result){.out = NULL};
    return mirror_git_with(verifier->mirror, variables, vector, out, error);
}

/* The next record of the output, or false at its end. */
static bool next_signature(const char **at, const char *end, struct signature *signature)
{
    const char *fields[RECORD_FIELDS];
    for (unsigned i = 0; i < RECORD_FIELDS; i++) {
        const char *stop = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
        if (!stop) {
            return false;
        }
        fields[i] = *at;
        *at = stop + 1;
    }
    *signature =
        (struct signature){fields[0], *fields[1], fields[2], fields[3], fields[4], fields[5]};
    return true;
}

/* --------------------------------------------------------------- judging */

static bool is_listed(const struct verifier *verifier, const char *fingerprint)
{
    g_autofree char *upper = g_ascii_strup(fingerprint, -1);
    return *upper && g_strv_contains((const char *const *)verifier->gpg_keys, upper);
}

/* Git verifies an SSH signature as of the committer's date, which the signer has chosen. *why stays
 * NULL when the key is allowed now as well. */
static bool check_now(struct verifier *verifier, const struct signature *signature, char **why,
                      GError **error)
{
    const char *id = text_short_id(signature->sha);
    enum signature_format format;
    bool is_valid = false;
    GError *failure = NULL;
    if (g_hash_table_contains(verifier->valid_now, signature->fingerprint)) {
        return true;
    }
    g_autofree char *text = verify_read_signature(verifier, signature->sha, &format, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    if (!text) {
        *why = g_strdup_printf("%s has more than one signature", id);
        return true;
    }
    if (!verify_is_valid_now(verifier, text, signature->signer, &is_valid, error)) {
        return false;
    }
    if (is_valid) {
        g_hash_table_add(verifier->valid_now, g_strdup(signature->fingerprint));
    } else {
        g_autofree char *signer = text_escape(signature->signer);
        *why = g_strdup_printf("%s is signed with the key %s of %s, which allowed_signers allows "
                               "at the commit's date but not now",
                               id, signature->fingerprint, signer);
    }
    return true;
}

/* *why is NULL when the commit is good. */
static bool judge(struct verifier *verifier, const struct signature *signature, char **why,
                  GError **error)
{
    bool is_good = signature->status == 'G';
    bool is_ssh = g_str_has_prefix(signature->fingerprint, "SHA256:");
    *why = NULL;
    if ((is_good || signature->status == 'U') && verifier->gpg_home &&
        (is_listed(verifier, signature->fingerprint) || is_listed(verifier, signature->primary))) {
        return true;
    }
    if (is_good && is_ssh && verifier->signers) {
        return check_now(verifier, signature, why, error);
    }
    *why = verify_explain(verifier, signature, error);
    return *why != NULL;
}

static bool check_tip(struct verifier *verifier, const char *sha, struct verify_result *result,
                      GError **error)
{
    g_autoptr(GPtrArray) arguments = begin_arguments(verifier);
    struct signature signature = {.sha = NULL};
    struct spawn_result out = {0};
    add(arguments, "--no-walk");
    add(arguments, "--end-of-options");
    add(arguments, sha);
    add(arguments, "--");
    g_ptr_array_add(arguments, NULL);
    bool good = ask_git(verifier, arguments, sha, &out, error);
    const char *at = out.out;
    if (good && (!next_signature(&at, out.out + out.out_length, &signature) ||
                 strcmp(signature.sha, sha) != 0)) {
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM, "git log says nothing about the commit %s",
                    sha);
        good = false;
    }
    good = good && judge(verifier, &signature, &result->reason, error);
    if (good && !result->reason) {
        bool is_ssh = g_str_has_prefix(signature.fingerprint, "SHA256:");
        result->good = true;
        result->signer = g_utf8_make_valid(signature.signer, -1);
        result->key =
            g_strdup(is_ssh || !*signature.primary ? signature.fingerprint : signature.primary);
    }
    spawn_result_clear(&out);
    return good;
}

static unsigned count_records(const struct spawn_result *out)
{
    unsigned count = 0;
    struct signature signature;
    const char *at = out->out;
    while (next_signature(&at, out->out + out->out_length, &signature)) {
        count++;
    }
    return count;
}

static void refuse(struct verify_result *result, char *reason)
{
    verify_result_clear(result);
    result->reason = reason;
}

static bool judge_all(struct verifier *verifier, const struct spawn_result *out,
                      struct verify_result *result, GError **error)
{
    const char *end = out->out + out->out_length;
    struct signature signature;
    if (count_records(out) > VERIFY_MAX_COMMITS) {
        refuse(result, g_strdup_printf("more than %d commits come with it, which is more than are "
                                       "verified for one job",
                                       (int)VERIFY_MAX_COMMITS));
        return true;
    }
    for (const char *at = out->out; result->good && next_signature(&at, end, &signature);) {
        g_autofree char *why = NULL;
        if (!judge(verifier, &signature, &why, error)) {
            return false;
        }
        if (why) {
            refuse(result, g_strdup_printf("of the commits that come with it, %s", why));
        }
    }
    return true;
}

static bool check_range(struct verifier *verifier, const char *sha, const char *const *bases,
                        struct verify_result *result, GError **error)
{
    g_autoptr(GPtrArray) arguments = begin_arguments(verifier);
    struct spawn_result out = {0};
    g_ptr_array_add(arguments, g_strdup_printf("--max-count=%d", VERIFY_MAX_COMMITS + 1));
    add(arguments, "--ignore-missing");
    add(arguments, "--end-of-options");
    add(arguments, sha);
    for (; *bases; bases++) {
        if (text_is_object_id(*bases)) {
            g_ptr_array_add(arguments, g_strconcat("^", *bases, NULL));
        }
    }
    add(arguments, "--");
    g_ptr_array_add(arguments, NULL);
    bool good =
        ask_git(verifier, arguments, sha, &out, error) && judge_all(verifier, &out, result, error);
    spawn_result_clear(&out);
    return good;
}

bool verifier_check(struct verifier *verifier, const char *sha, const char *const *bases,
                    struct verify_result *result, GError **error)
{
    *result = (struct verify_result){.good = false};
    g_assert(text_is_object_id(sha));
    bool good = check_tip(verifier, sha, result, error) &&
                (!bases || !result->good || check_range(verifier, sha, bases, result, error));
    if (!good) {
        verify_result_clear(result);
    }
    return good;
}
