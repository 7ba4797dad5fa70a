/* The programs that phantom_ci consists of and runs: found where, which version, new enough. */
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/libexec.h"
#include "commands/doctor.h"
#include "git/command.h"
#include "git/version.h"
#include "phantom_ci_config.h"

static bool succeeded(const struct spawn_result *result)
{
    return WIFEXITED(result->wait_status) && WEXITSTATUS(result->wait_status) == 0;
}

/* The first line of what a program wrote; free with g_free(). */
static char *first_line(const char *text)
{
    return g_strndup(text, strcspn(text, "\r\n"));
}

/* Runs `argv` in our own environment; its first line of output (of standard error when `from_err`),
 * or NULL with the finding reported. */
static char *ask_version(struct doctor *doctor, const char *check, const char *const *argv,
                         bool from_err, enum doctor_status when_not, const char *mend)
{
    struct spawn_result result = {0};
    g_autoptr(GError) error = NULL;
    char *line = NULL;
    if (!doctor_run(doctor, argv, NULL, &result, &error)) {
        doctor_add(doctor, when_not, check, argv[0], mend, "%s", error->message);
    } else if (!succeeded(&result)) {
        g_autofree char *status = spawn_format_status(result.wait_status);
        g_autofree char *words = first_line(result.err);
        doctor_add(doctor, when_not, check, argv[0], mend, "\"%s %s\" ended with %s%s%s", argv[0],
                   argv[1], status, *words ? ": " : "", words);
    } else {
        line = first_line(from_err ? result.err : result.out);
    }
    spawn_result_clear(&result);
    return line;
}

static void judge_git(struct doctor *doctor, const char *path, const char *line)
{
    static const char upgrade[] =
        "update git with your package manager (apt install git), or put a newer one first in PATH";
    struct git_version version;
    struct git_version least;
    bool good = git_version_parse(GIT_VERSION_LEAST, &least);
    g_assert(good);
    if (!git_version_parse(line, &version)) {
        doctor_add(doctor, DOCTOR_WARN, "git", path, "see what is called git there",
                   "tells no version that is understood: \"%s\"", line);
        return;
    }
    const char *lacks = git_version_lacks(&version);
    if (git_version_compare(&version, &least) < 0) {
        doctor_add(doctor, DOCTOR_FAIL, "git", path, upgrade,
                   "version %u.%u.%u is too old: %s or newer is needed, for older ones read "
                   "configuration that a job can write",
                   version.major, version.minor, version.patch, GIT_VERSION_LEAST);
    } else if (lacks) {
        doctor_add(doctor, DOCTOR_WARN, "git", path, upgrade,
                   "version %u.%u.%u is older than %s, which mends CVE-2025-48384 and others, "
                   "unless your distribution has patched it",
                   version.major, version.minor, version.patch, lacks);
    } else {
        doctor_add(doctor, DOCTOR_OK, "git", path, NULL, "version %u.%u.%u", version.major,
                   version.minor, version.patch);
    }
}

static void check_git(struct doctor *doctor)
{
    g_autoptr(GError) error = NULL;
    const char *path = git_executable(&error);
    if (!path) {
        doctor_add(doctor, DOCTOR_FAIL, "git", "git", "apt install git", "%s", error->message);
        return;
    }
    const char *argv[] = {path, "--version", NULL};
    g_autofree char *line = ask_version(doctor, "git", argv, false, DOCTOR_FAIL,
                                        "see why this git does not run, or put another one first "
                                        "in PATH");
    if (line) {
        judge_git(doctor, path, line);
    }
}

/* Only remotes with ssh addresses need it, which are not known yet: their lines say more. */
static void check_ssh(struct doctor *doctor)
{
    static const char install[] = "apt install openssh-client (only ssh addresses need it)";
    const char *argv[] = {"ssh", "-V", NULL};
    g_autofree char *line = ask_version(doctor, "ssh", argv, true, DOCTOR_WARN, install);
    if (!line) {
        return;
    }
    /* The options of git/command.c; -F none: no configuration, and so no name to resolve. */
    const char *options[] = {"ssh", "-G",
                             "-F",  "none",
                             "-o",  "BatchMode=yes",
                             "-o",  "StrictHostKeyChecking=accept-new",
                             "-o",  "ConnectTimeout=15",
                             "-o",  "ServerAliveInterval=15",
                             "-o",  "ServerAliveCountMax=2",
                             "-o",  "IdentitiesOnly=yes",
                             "--",  "localhost",
                             NULL};
    g_auto(GStrv) environment = git_environment_plain();
    struct spawn_result result = {0};
    g_autoptr(GError) error = NULL;
    bool ran = doctor_run(doctor, options, (const char *const *)environment, &result, &error);
    if (ran && succeeded(&result)) {
        doctor_add(doctor, DOCTOR_OK, "ssh", "ssh", NULL, "%s", line);
    } else {
        g_autofree char *words = ran ? first_line(result.err) : g_strdup(error->message);
        doctor_add(doctor, DOCTOR_WARN, "ssh", "ssh",
                   "install OpenSSH 7.6 or newer: apt install openssh-client",
                   "%s does not know an option that is used: %s", line, words);
    }
    spawn_result_clear(&result);
}

static void check_bubblewrap(struct doctor *doctor)
{
    g_autofree char *path = g_find_program_in_path("bwrap");
    if (!path) {
        doctor_add(doctor, DOCTOR_INFO, "bubblewrap", "bwrap", "apt install bubblewrap",
                   "not installed (this version does not need it; sandboxed jobs will)");
        return;
    }
    const char *argv[] = {path, "--version", NULL};
    g_autofree char *line = ask_version(doctor, "bubblewrap", argv, false, DOCTOR_INFO,
                                        "install it anew: apt install bubblewrap");
    if (line) {
        doctor_add(doctor, DOCTOR_OK, "bubblewrap", path, NULL, "%s", line);
    }
}

static void judge_helper(struct doctor *doctor, const char *name, const char *path)
{
    static const char mend[] =
        "install phantom_ci as a whole (all its programs from one build), or set "
        "PHANTOM_CI_LIBEXEC_DIR to where this version's programs are";
    const char *argv[] = {path, "--version", NULL};
    g_autofree char *line = ask_version(doctor, "program", argv, false, DOCTOR_FAIL, mend);
    if (!line) {
        return;
    }
    g_autofree char *expected = g_strconcat(name, " " PHANTOM_CI_VERSION, NULL);
    if (strcmp(line, expected) == 0) {
        doctor_add(doctor, DOCTOR_OK, "program", path, NULL, "version %s", PHANTOM_CI_VERSION);
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "program", path, mend,
                   "is of another version: it says \"%s\", expected \"%s\"", line, expected);
    }
}

static void check_helpers(struct doctor *doctor)
{
    static const struct {
        const char *name;
        bool required; /* else a build without it is well */
    } helpers[] = {{"phantom_ci-job", true},
                   {"phantom_ci-net", false},
                   {"phantom_ci-ssh", false},
                   {"phantom_ci-credential", false}};
    for (unsigned i = 0; i < G_N_ELEMENTS(helpers); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = libexec_find(helpers[i].name, &error);
        if (path) {
            judge_helper(doctor, helpers[i].name, path);
        } else if (helpers[i].required) {
            doctor_add(doctor, DOCTOR_FAIL, "program", helpers[i].name,
                       "install phantom_ci as a whole, or set PHANTOM_CI_LIBEXEC_DIR", "%s",
                       error->message);
        }
    }
}

void doctor_check_versions(struct doctor *doctor)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    doctor_add(doctor, DOCTOR_OK, "program", self ? self : "phantom_ci", NULL, "version %s",
               PHANTOM_CI_VERSION);
    check_helpers(doctor);
    check_git(doctor);
    check_ssh(doctor);
    check_bubblewrap(doctor);
}
