#include "daemon/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/environ.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/libexec.h"
#include "base/lock.h"
#include "base/spawn.h"

/* Somebody who only asks whether the lock is held has it for an instant. */
enum { LOCK_PATIENCE_MS = 100 };

int launch_take_lock(const struct paths *paths, int64_t job, GError **error)
{
    g_autofree char *path = paths_job_lock(paths, job);
    return lock_wait(path, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, error);
}

/* What git, ssh and the steps may learn of this process's environment; everything else stays here.
 */
static char **make_environment(void)
{
    static const char *const allowed[] = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TZ",
        "TMPDIR",
        "SSH_AUTH_SOCK",
        "CREDENTIALS_DIRECTORY",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "JOURNAL_STREAM",
        "TERM",
        "NO_COLOR",
        NULL,
    };
    GPtrArray *environment = g_ptr_array_new();
    environ_pick(environment, allowed);
    environ_pick_sanitizers(environment);
#ifdef PHANTOM_CI_FAULTS
    const char *fault = g_getenv("PHANTOM_CI_FAULT_JOB");
    if (fault) {
        g_ptr_array_add(environment, g_strconcat("PHANTOM_CI_FAULT=", fault, NULL));
    }
#endif
    g_auto(GStrv) names = g_listenv();
    for (char **name = names; *name; name++) {
        if (g_str_has_prefix(*name, "LC_")) {
            g_ptr_array_add(environment, g_strdup_printf("%s=%s", *name, g_getenv(*name)));
        }
    }
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}

/* The section, in a file without a name, positioned at its beginning. */
static int write_section(const struct paths *paths, const struct config *config,
                         const struct repo_config *repo, GError **error)
{
    g_auto(GStrv) secret_files = config_secret_files(config);
    g_autofree char *json = repo_config_to_json(repo, (const char *const *)secret_files);
    g_autofree char *path = g_build_filename(paths->state, "section-XXXXXX", NULL);
    auto_fd fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot write in %s", paths->state);
        return -1;
    }
    unlink(path);
    if (!fd_write_all(fd, json, strlen(json), error)) {
        return -1;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot rewind %s", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

pid_t launch_job(const struct paths *paths, const struct config *config,
                 const struct repo_config *repo, int64_t job, int lock_fd,
                 enum launch_output output, GError **error)
{
    static const char *const outputs[] = {[LAUNCH_OUTPUT_PREFIXED] = "prefixed",
                                          [LAUNCH_OUTPUT_PLAIN] = "plain",
                                          [LAUNCH_OUTPUT_QUIET] = "quiet"};
    g_autofree char *executable = libexec_find("phantom_ci-job", error);
    if (!executable) {
        return -1;
    }
    auto_fd section = write_section(paths, config, repo, error);
    if (section < 0) {
        return -1;
    }
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, job);
    const char *const argv[] = {
        executable,   "--job",       id,           "--config-dir", paths->config,   "--state-dir",
        paths->state, "--cache-dir", paths->cache, "--output",     outputs[output], NULL};
    g_auto(GStrv) environment = make_environment();
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.envp = (const char *const *)environment;
    options.directory = "/";
    options.stdin_fd = section;
    options.stdout_fd = SPAWN_FD_INHERIT;
    options.stderr_fd = SPAWN_FD_INHERIT;
    options.pass_fds = &lock_fd;
    options.pass_count = 1;
    options.new_session = true;
    return spawn_start(&options, NULL, error);
}

pid_t launch_sandbox_trial(const struct paths *paths, const struct config *config,
                           const struct repo_config *repo, const char *how,
                           const char *const *command, GError **error)
{
    g_autofree char *executable = libexec_find("phantom_ci-job", error);
    if (!executable || !paths_ensure(paths, error)) {
        return -1;
    }
    auto_fd section = write_section(paths, config, repo, error);
    if (section < 0) {
        return -1;
    }
    const char *const fixed[] = {
        executable,    "--try-sandbox", how,           "--config-dir", paths->config,
        "--state-dir", paths->state,    "--cache-dir", paths->cache,   "--"};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++) {
        g_ptr_array_add(argv, (gpointer)fixed[i]);
    }
    for (; *command; command++) {
        g_ptr_array_add(argv, (gpointer)*command);
    }
    g_ptr_array_add(argv, NULL);
    g_auto(GStrv) environment = make_environment();
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = (const char *const *)argv->pdata;
    options.envp = (const char *const *)environment;
    options.directory = "/";
    options.stdin_fd = section;
    options.stdout_fd = SPAWN_FD_INHERIT;
    options.stderr_fd = SPAWN_FD_INHERIT;
    options.parent_death_signal = SIGKILL;
    return spawn_start(&options, NULL, error);
}
