/* ssh: key files, and the keys of hosts. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/wipe.h"
#include "commands/doctor_remotes.h"
#include "git/hostkey.h"
#include "git/ssh_key.h"

/* Only ever one key is in memory, and not for long. */
static enum ssh_key_kind read_kind(const char *path, GError **error)
{
    size_t length = 0;
    char *bytes = file_read(path, SSH_KEY_MAX_BYTES, &length, error);
    enum ssh_key_kind kind = bytes ? ssh_key_kind(bytes, length) : SSH_KEY_UNKNOWN;
    wipe_free(&bytes, length);
    return kind;
}

static void judge_contents(struct doctor *doctor, const char *path)
{
    g_autoptr(GError) error = NULL;
    enum ssh_key_kind kind = read_kind(path, &error);
    if (error) {
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path, "make it readable for this user", "%s",
                   error->message);
        return;
    }
    switch (kind) {
    case SSH_KEY_PLAIN:
        doctor_add(doctor, DOCTOR_OK, "ssh-key", path, NULL, "a private key, for this user alone");
        break;
    case SSH_KEY_ENCRYPTED:
        doctor_add(
            doctor, DOCTOR_WARN, "ssh-key", path,
            "use a key of its own without one (ssh-keygen -t ed25519 -N '' -f FILE), or keep "
            "it loaded in an ssh-agent that the daemon sees",
            "has a passphrase, which nobody can type here%s",
            g_getenv("SSH_AUTH_SOCK") ? "; an ssh-agent is there and may hold it" : "");
        break;
    case SSH_KEY_PUBLIC:
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path,
                   "name the private key in ssh_key_path, mostly the same name without .pub",
                   "is the public half of a key");
        break;
    case SSH_KEY_UNKNOWN:
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path,
                   "name a private key in ssh_key_path; to make one: ssh-keygen -t ed25519 -N '' "
                   "-f FILE",
                   "is no private key that is known here");
        break;
    }
}

void doctor_check_ssh_key(struct doctor *doctor, const char *path)
{
    struct stat status;
    g_autofree char *quoted = g_shell_quote(path);
    doctor_look_at(doctor, path);
    if (stat(path, &status) < 0) {
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path,
                   "mend ssh_key_path in Repo.toml, or put the key there", "can't be used: %s",
                   g_strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path, "mend ssh_key_path in Repo.toml",
                   "is not a regular file");
    } else if (status.st_uid != geteuid() && status.st_uid != 0) {
        g_autofree char *mend = g_strdup_printf("chown %u %s", (unsigned)geteuid(), quoted);
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path, mend,
                   "belongs to user %u, and this is user %u", (unsigned)status.st_uid,
                   (unsigned)geteuid());
    } else if (status.st_mode & 0077) {
        g_autofree char *mend = g_strdup_printf("chmod 600 %s", quoted);
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path, mend,
                   "others may use it (mode %04o), so that ssh does not",
                   (unsigned)(status.st_mode & 07777));
    } else if (!(status.st_mode & 0400) || access(path, R_OK) < 0) {
        g_autofree char *mend = g_strdup_printf("chmod 600 %s", quoted);
        doctor_add(doctor, DOCTOR_FAIL, "ssh-key", path, mend, "can't be read (mode %04o)",
                   (unsigned)(status.st_mode & 07777));
    } else {
        judge_contents(doctor, path);
    }
}

static char *on_one_line(const char *lines)
{
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    return g_strjoinv(", ", parts);
}

static void report_unknown(struct doctor *doctor, const struct url *url, const char *subject,
                           enum doctor_host host)
{
    enum { SCAN_MS = 5000 };
    g_autoptr(GError) error = NULL;
    int left_ms = doctor_time_left_ms(doctor, SCAN_MS);
    g_autofree char *offered =
        host == DOCTOR_HOST_SILENT || left_ms == 0 ? NULL : hostkey_offered(url, left_ms, &error);
    g_autofree char *keys = offered ? on_one_line(offered) : NULL;
    g_autofree char *accept = hostkey_accept_command(url);
    g_autofree char *mend =
        g_strdup_printf("compare %s with what the host's owner publishes, then: %s",
                        keys ? "this" : "its fingerprint", accept);
    doctor_add(doctor, DOCTOR_FAIL, "host-key", subject, mend,
               "its key is not in known_hosts, so that nothing is fetched from there%s%s",
               keys ? "; it offers " : "", keys ? keys : "");
}

void doctor_check_host_key(struct doctor *doctor, const struct url *url, enum doctor_host host)
{
    g_autofree char *subject =
        url->port ? g_strdup_printf("%s port %s", url->host, url->port) : g_strdup(url->host);
    g_autoptr(GError) error = NULL;
    doctor_look_at(doctor, subject);
    g_autofree char *known = hostkey_known(url, &error);
    if (!known) {
        doctor_add(doctor, DOCTOR_FAIL, "host-key", subject,
                   "see whether ssh works: apt install openssh-client", "can't be looked up: %s",
                   error->message);
    } else if (*known) {
        g_autofree char *keys = on_one_line(known);
        doctor_add(doctor, DOCTOR_OK, "host-key", subject, NULL, "known: %s", keys);
    } else if (host == DOCTOR_HOST_ANSWERED) {
        doctor_add(doctor, DOCTOR_INFO, "host-key", subject, NULL,
                   "no known_hosts file has it, and ssh accepts it all the same (KnownHostsCommand "
                   "or VerifyHostKeyDNS in its configuration?)");
    } else {
        report_unknown(doctor, url, subject, host);
    }
}
