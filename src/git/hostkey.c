#include "git/hostkey.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/file.h"
#include "base/spawn.h"
#include "base/text.h"
#include "git/command.h"

enum { MAX_KNOWN_HOSTS = 8 * 1024 * 1024, MAX_OUTPUT = 256 * 1024, LOCAL_TIMEOUT_MS = 10000 };

/* What `ssh -G` makes of a host: the user's aliases, ports and files count. */
struct target {
    char *host, *port, *alias;
    char **files;
};

static void target_clear(struct target *target)
{
    g_clear_pointer(&target->host, g_free);
    g_clear_pointer(&target->port, g_free);
    g_clear_pointer(&target->alias, g_free);
    g_clear_pointer(&target->files, g_strfreev);
}

/* IPv6 addresses stand in brackets in a URL and nowhere else. */
static char *bare_host(const struct url *url)
{
    size_t length = strlen(url->host);
    bool bracketed = url->host[0] == '[' && length > 2;
    return bracketed ? g_strndup(url->host + 1, length - 2) : g_strdup(url->host);
}

static bool require_ssh(const struct url *url, GError **error)
{
    if (url->scheme == URL_SSH && url->host) {
        return true;
    }
    g_set_error_literal(error, GIT_ERROR, ERROR_INVALID, "host keys belong to ssh addresses only");
    return false;
}

static bool run(const char *const *argv, int timeout_ms, struct spawn_result *result,
                GError **error)
{
    g_auto(GStrv) environment = git_environment_plain();
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = MAX_OUTPUT,
                                        .err_limit_bytes = 4096,
                                        .timeout_ms = timeout_ms,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    options.spawn.envp = (const char *const *)environment;
    options.spawn.new_session = true;
    return spawn_run(&options, result, error);
}

static void add_files(GPtrArray *files, const char *list)
{
    g_auto(GStrv) words = g_strsplit(list, " ", -1);
    for (char **word = words; *word; word++) {
        const char *home = g_getenv("HOME");
        if (g_str_has_prefix(*word, "~/") && home) {
            g_ptr_array_add(files, g_build_filename(home, *word + 2, NULL));
        } else if (**word == '/') {
            g_ptr_array_add(files, g_strdup(*word));
        }
    }
}

static void read_ssh_configuration(const char *text, struct target *target)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    for (char **line = lines; *line; line++) {
        char *value = strchr(*line, ' ');
        if (!value) {
            continue;
        }
        *value++ = '\0';
        char **field = strcmp(*line, "hostname") == 0       ? &target->host
                       : strcmp(*line, "port") == 0         ? &target->port
                       : strcmp(*line, "hostkeyalias") == 0 ? &target->alias
                                                            : NULL;
        if (field) {
            g_free(*field);
            *field = g_strdup(value);
        } else if (strcmp(*line, "userknownhostsfile") == 0 ||
                   strcmp(*line, "globalknownhostsfile") == 0) {
            add_files(files, value);
        }
    }
    g_ptr_array_add(files, NULL);
    target->files = (char **)g_ptr_array_steal(files, NULL);
}

static bool resolve(const struct url *url, struct target *target, GError **error)
{
    *target = (struct target){.host = NULL};
    if (!require_ssh(url, error)) {
        return false;
    }
    g_autofree char *host = bare_host(url);
    const char *argv[10] = {"ssh", "-G"};
    unsigned count = 2;
    if (url->port) {
        argv[count++] = "-p";
        argv[count++] = url->port;
    }
    if (url->user) {
        argv[count++] = "-l";
        argv[count++] = url->user;
    }
    argv[count++] = "--";
    argv[count++] = host;
    struct spawn_result result = {0};
    bool ok = run(argv, LOCAL_TIMEOUT_MS, &result, error);
    if (ok) {
        read_ssh_configuration(result.out, target);
    }
    spawn_result_clear(&result);
    if (ok && (!target->host || !target->port)) {
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM,
                    "`ssh -G %s` did not tell the host's name and port", host);
        ok = false;
    }
    if (!ok) {
        target_clear(target);
    }
    return ok;
}

/* As ssh-keygen(1) prints it: SHA-256 of the key's bytes in base64 without padding. */
static char *fingerprint_of_key(const char *base64)
{
    gsize length = 0;
    g_autofree guchar *bytes = g_base64_decode(base64, &length);
    if (length == 0) {
        return NULL;
    }
    guint8 digest[32];
    gsize digest_length = sizeof digest;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, bytes, (gssize)length);
    g_checksum_get_digest(checksum, digest, &digest_length);
    g_autofree char *encoded = g_base64_encode(digest, digest_length);
    encoded[strcspn(encoded, "=")] = '\0';
    return g_strconcat("SHA256:", encoded, NULL);
}

static const char *type_for_people(const char *type)
{
    if (strcmp(type, "ssh-ed25519") == 0) {
        return "ED25519";
    }
    if (strcmp(type, "ssh-rsa") == 0) {
        return "RSA";
    }
    return g_str_has_prefix(type, "ecdsa-") ? "ECDSA" : type;
}

/* Lines "host type key" of ssh-keyscan; '#' lines are comments. */
static char *format_offered(const char *text)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 4);
        if (**line == '#' || g_strv_length(words) < 3) {
            continue;
        }
        g_autofree char *fingerprint = fingerprint_of_key(words[2]);
        if (!fingerprint) {
            continue;
        }
        g_autofree char *type = text_escape(type_for_people(words[1]));
        g_string_append_printf(out, "%s%s %s", out->len > 0 ? "\n" : "", type, fingerprint);
    }
    return g_string_free(out, FALSE);
}

char *hostkey_offered(const struct url *url, int timeout_ms, GError **error)
{
    struct target target;
    if (!resolve(url, &target, error)) {
        return NULL;
    }
    g_autofree char *seconds = g_strdup_printf("%d", timeout_ms < 1000 ? 1 : timeout_ms / 1000);
    const char *argv[] = {"ssh-keyscan", "-T", seconds, "-p", target.port, "--", target.host, NULL};
    struct spawn_result result = {0};
    char *offered = NULL;
    if (run(argv, timeout_ms, &result, error)) {
        offered = format_offered(result.out);
        if (offered[0] == '\0') {
            g_clear_pointer(&offered, g_free);
            g_set_error(error, GIT_ERROR, ERROR_REMOTE,
                        "%s, port %s, does not tell its host key: no ssh server "
                        "answers there",
                        target.host, target.port);
        }
    }
    spawn_result_clear(&result);
    target_clear(&target);
    return offered;
}

/* As known_hosts has it; free with g_free(). */
static char *known_name(const struct target *target)
{
    if (target->alias) {
        return g_strdup(target->alias);
    }
    return strcmp(target->port, "22") == 0 ? g_strdup(target->host)
                                           : g_strdup_printf("[%s]:%s", target->host, target->port);
}

/* "# Host NAME found: line 3" and "NAME ED25519 SHA256:... comment" lines; a name may be hashed. */
static void append_fingerprints(GString *out, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 4);
        if (**line != '#' && g_strv_length(words) >= 3) {
            g_autofree char *type = text_escape(words[1]);
            g_autofree char *fingerprint = text_escape(words[2]);
            g_string_append_printf(out, "%s%s %s", out->len > 0 ? "\n" : "", type, fingerprint);
        }
    }
}

/* Asks `ssh-keygen OPTIONS -F` of each file of known hosts. Of those that have the host, the
 * fingerprints are appended to `out` when it is not NULL. */
static bool search(const struct url *url, bool *known, GString *out, GError **error)
{
    *known = false;
    struct target target;
    if (!resolve(url, &target, error)) {
        return false;
    }
    g_autofree char *name = known_name(&target);
    bool ok = true;
    for (char **file = target.files; ok && (out || !*known) && *file; file++) {
        if (!g_file_test(*file, G_FILE_TEST_EXISTS)) {
            continue;
        }
        const char *argv[] = {"ssh-keygen", "-F", name, "-f", *file, out ? "-l" : NULL, NULL};
        struct spawn_result result = {0};
        ok = run(argv, LOCAL_TIMEOUT_MS, &result, error);
        bool here = ok && WIFEXITED(result.wait_status) && WEXITSTATUS(result.wait_status) == 0;
        *known = *known || here;
        if (here && out) {
            append_fingerprints(out, result.out);
        }
        spawn_result_clear(&result);
    }
    target_clear(&target);
    return ok;
}

bool hostkey_is_known(const struct url *url, bool *known, GError **error)
{
    return search(url, known, NULL, error);
}

char *hostkey_known(const struct url *url, GError **error)
{
    bool known = false;
    g_autoptr(GString) out = g_string_new(NULL);
    return search(url, &known, out, error) ? g_strdup(out->str) : NULL;
}

/* Through ssh itself, so that aliases, ports and the file of the user's configuration are the right
 * ones; accept-new refuses a key that has changed. */
char *hostkey_accept_command(const struct url *url)
{
    if (!url->host) {
        return g_strdup("");
    }
    g_autofree char *host = bare_host(url);
    return g_strdup_printf(
        "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -T%s%s %s%s%s exit",
        url->port ? " -p " : "", url->port ? url->port : "", url->user ? url->user : "",
        url->user ? "@" : "", host);
}

char *hostkey_fingerprint_of_line(const char *known_hosts_file, unsigned line)
{
    size_t length = 0;
    g_autofree char *text = file_read(known_hosts_file, MAX_KNOWN_HOSTS, &length, NULL);
    if (!text || line == 0) {
        return NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    if (line > g_strv_length(lines)) {
        return NULL;
    }
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(lines[line - 1]), " \t", -1);
    /* "[@marker] hosts type key [comment]" */
    unsigned skip = words[0] && words[0][0] == '@' ? 1 : 0;
    return g_strv_length(words) >= skip + 3 ? fingerprint_of_key(words[skip + 2]) : NULL;
}
