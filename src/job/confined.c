#include "job/confined.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/libexec.h"
#include "base/text.h"
#include "git/mirror.h"
#include "job/stop.h"
#include "sandbox/abilities.h"
#include "sandbox/bubblewrap.h"
#include "sandbox/hint.h"
#include "sandbox/inside.h"
#include "sandbox/plan.h"

enum { SETUP_PATIENCE_MS = 30000, TROUBLE_MAX_BYTES = 4096 };

struct confinement {
    char *bwrap;
    struct sandbox_policy *policy;
    GPtrArray *plan;
};

/* ------------------------------------------------------------------ policy */

static bool network_is_allowed(const struct repo_config *repo)
{
    return repo->network == NETWORK_ALLOWED ||
           (repo->network == NETWORK_BY_LEVEL && repo->sandbox != SANDBOX_CHOICE_STRICT);
}

/* "strict" promises that no process outside is seen. */
static bool find_proc(const struct repo_config *repo, const char *bwrap, bool *shares_proc,
                      GError **error)
{
    *shares_proc = !abilities_can_mount_proc(bwrap);
    if (*shares_proc && repo->sandbox == SANDBOX_CHOICE_STRICT) {
        g_set_error_literal(
            error, JOB_ERROR_DOMAIN, ERROR_DENIED,
            "no new /proc can be mounted in this container, sandbox or service; in "
            "a unit of systemd take ProtectKernelTunables and ProtectKernelLogs out");
        return false;
    }
    return true;
}

/* The files with secrets of all sections, and the credentials of the service. */
static char **list_secrets(const struct repo_config *repo)
{
    const char *credentials = g_getenv("CREDENTIALS_DIRECTORY");
    /* /run is empty in any case. */
    bool is_needed = credentials && *credentials == '/' && !g_str_has_prefix(credentials, "/run/");
    GStrvBuilder *builder = g_strv_builder_new();
    g_strv_builder_addv(builder, (const char **)repo->secret_files);
    if (is_needed) {
        g_strv_builder_add(builder, credentials);
    }
    char **secrets = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
    return secrets;
}

static struct sandbox_policy *make_policy(const struct repo_config *repo, const struct paths *paths,
                                          const char *bwrap, const char *workspace,
                                          const char *temporary, GError **error)
{
    bool shares_proc = false;
    static const enum sandbox_level levels[] = {
        [SANDBOX_CHOICE_OFF] = SANDBOX_OFF,
        [SANDBOX_CHOICE_WORKSPACE] = SANDBOX_WORKSPACE,
        [SANDBOX_CHOICE_STRICT] = SANDBOX_STRICT,
    };
    const struct git_remote remote = {repo->url, repo->ssh_key_path};
    g_autofree char *mirror = mirror_path(paths->cache, &remote);
    g_autofree char *objects = g_build_filename(mirror, "objects", NULL);
    const char *const own[] = {paths->config, paths->state, paths->cache, NULL};
    g_auto(GStrv) secrets = list_secrets(repo);
    g_autofree char *helper = libexec_find("phantom_ci-sandbox", error);
    if (!helper || !find_proc(repo, bwrap, &shares_proc, error)) {
        return NULL;
    }
    const struct sandbox_request request = {
        .level = levels[repo->sandbox],
        .network = network_is_allowed(repo),
        .shares_proc = shares_proc,
        .workspace = workspace,
        .temporary = temporary,
        .home = g_getenv("HOME"),
        .writable = (const char *const *)repo->writable,
        .readable = (const char *const *)repo->readable,
        .hidden = (const char *const *)repo->hidden,
        .secrets = (const char *const *)secrets,
        .own = own,
        .helper = helper,
        .objects = objects,
    };
    return sandbox_policy_new(&request, error);
}

bool confinement_new(const struct repo_config *repo, const struct paths *paths,
                     const char *workspace, const char *temporary, struct confinement **confinement,
                     GError **error)
{
    *confinement = NULL;
    if (repo->sandbox == SANDBOX_CHOICE_OFF) {
        return true;
    }
    struct confinement *made = g_new0(struct confinement, 1);
    made->bwrap = bubblewrap_find(error);
    made->policy =
        made->bwrap ? make_policy(repo, paths, made->bwrap, workspace, temporary, error) : NULL;
    if (!made->policy) {
        confinement_free(made);
        return false;
    }
    made->plan = sandbox_plan_new(made->policy);
    *confinement = made;
    return true;
}

void confinement_free(struct confinement *confinement)
{
    if (confinement) {
        g_free(confinement->bwrap);
        sandbox_policy_free(confinement->policy);
        g_clear_pointer(&confinement->plan, g_ptr_array_unref);
        g_free(confinement);
    }
}

char *confinement_describe(const struct confinement *confinement)
{
    return sandbox_plan_describe(confinement->plan);
}

const char *confinement_note(const struct confinement *confinement)
{
    return confinement && confinement->policy->shares_proc
               ? "no new /proc can be mounted here, so the steps see the processes outside, though "
                 "they can't reach them (in a unit of systemd: ProtectKernelTunables, "
                 "ProtectKernelLogs)"
               : NULL;
}

json_t *confinement_to_json(const struct confinement *confinement)
{
    json_t *list = json_array();
    for (unsigned i = 0; confinement && i < confinement->plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(confinement->plan, i);
        g_autofree char *path = op->path ? text_escape(op->path) : NULL;
        json_array_append_new(list, json_pack("{s:s, s:s*, s:s*, s:s}", "operation",
                                              sandbox_op_name(op->kind), "path", path, "value",
                                              op->text, "why", op->why));
    }
    return list;
}

char **confinement_environment(const struct confinement *confinement, char **environment)
{
    for (unsigned i = 0; confinement && i < confinement->plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(confinement->plan, i);
        if (op->kind != SANDBOX_OP_ENVIRONMENT) {
            continue;
        }
        g_auto(GStrv) parts = g_strsplit(op->text, "=", 2);
        environment = parts[1] ? g_environ_setenv(environment, parts[0], parts[1], TRUE)
                               : g_environ_unsetenv(environment, parts[0]);
    }
    return environment;
}

char *confinement_hint(const struct confinement *confinement, const char *output, size_t length)
{
    return confinement && output
               ? sandbox_hint(confinement->policy, confinement->plan, output, length)
               : NULL;
}

/* ------------------------------------------------------------------- start */

/* The environment in a file in memory: neither bubblewrap's nor the helper's own. */
static int open_environment(const char *const *envp, GError **error)
{
#ifdef __linux__
    auto_fd fd = memfd_create("phantom_ci-environment", MFD_CLOEXEC);
#else
    auto_fd fd = -1;
    errno = ENOSYS;
#endif
    if (fd < 0) {
        error_set_errno(error, JOB_ERROR_DOMAIN, errno, "cannot make a file in memory");
        return -1;
    }
    for (; *envp; envp++) {
        if (!fd_write_all(fd, *envp, strlen(*envp) + 1, error)) {
            return -1;
        }
    }
    return g_steal_fd(&fd);
}

struct pipes {
    int report[2], control[2], trouble[2];
};

static void pipes_close(struct pipes *pipes)
{
    int *const all[] = {pipes->report, pipes->control, pipes->trouble};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        fd_close(&all[i][0]);
        fd_close(&all[i][1]);
    }
}

static bool pipes_open(struct pipes *pipes, GError **error)
{
    return fd_pipe(pipes->report, error) && fd_pipe(pipes->control, error) &&
           fd_pipe(pipes->trouble, error) && fd_set_nonblocking(pipes->trouble[0], true, error);
}

static pid_t spawn(const struct bubblewrap_call *call, const struct pipes *pipes, int environment,
                   int output_fd, const struct spawn_limits *limits, struct spawn_failure *failure,
                   GError **error)
{
    static const char *const nothing[] = {NULL};
    int passed[SPAWN_MAX_PASSED] = {pipes->report[1], pipes->control[0], environment};
    int count = BUBBLEWRAP_FIRST_FD - INSIDE_REPORT_FD;
    for (int i = 0; i < call->fd_count; i++) {
        passed[count++] = call->fds[i];
    }
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = (const char *const *)call->argv;
    options.envp = nothing;
    options.directory = "/";
    options.stdout_fd = output_fd;
    options.stderr_fd = pipes->trouble[1];
    options.pass_fds = passed;
    options.pass_count = count;
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    options.limits = limits;
    struct spawn_failure own = {SPAWN_STAGE_NONE, 0};
    pid_t leader = spawn_start(&options, &own, error);
    /* Any other failure is bubblewrap's, not the step's. */
    if (leader < 0 && own.stage == SPAWN_STAGE_LIMITS) {
        *failure = own;
    }
    return leader;
}

/* The next report, waited for until deadline_ms; false at the end of the pipe, or of the time. */
static bool read_report(int fd, int64_t deadline_ms, struct inside_report *report)
{
    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&item, 1, (int)MIN(left_ms, G_MAXINT)) : 0;
        if (ready > 0) {
            break;
        }
        if (left_ms <= 0) {
            return false;
        }
    }
    bool whole = fd_read(fd, report, sizeof(*report)) == (ssize_t)sizeof(*report);
    report->text[sizeof(report->text) - 1] = '\0';
    return whole;
}

static void explain_trouble(int trouble_fd, GError **error)
{
    char text[TROUBLE_MAX_BYTES + 1];
    ssize_t length = fd_read(trouble_fd, text, TROUBLE_MAX_BYTES);
    text[MAX(length, 0)] = '\0';
    g_autofree char *words = bubblewrap_explain(text);
    g_set_error(error, JOB_ERROR_DOMAIN, ERROR_SYSTEM, "the sandbox could not be made: %s", words);
}

/* True once the step's program runs. */
static bool wait_for_start(const struct pipes *pipes, int64_t deadline_ms,
                           struct spawn_failure *failure, GError **error)
{
    struct inside_report report;
    int64_t patience_ms = clock_monotonic_ms() + SETUP_PATIENCE_MS;
    if (!read_report(pipes->report[0], MIN(deadline_ms, patience_ms), &report)) {
        explain_trouble(pipes->trouble[0], error);
        return false;
    }
    switch ((enum inside_kind)report.kind) {
    case INSIDE_STARTED:
        return true;
    case INSIDE_NOT_EXECUTED:
        *failure = (struct spawn_failure){SPAWN_STAGE_EXEC, report.number};
        return error_set_errno(error, JOB_ERROR_DOMAIN, report.number, "cannot execute %s",
                               report.text);
    case INSIDE_NOT_CONFINED:
    case INSIDE_NOT_STARTED:
    case INSIDE_ENDED:
        break;
    }
    return error_set_errno(error, JOB_ERROR_DOMAIN, report.number,
                           "the sandbox could not be made: %s", report.text);
}

static void end_leader(pid_t leader)
{
    spawn_kill_group(leader, SIGKILL);
    while (waitpid(leader, NULL, 0) < 0 && errno == EINTR) {
    }
}

pid_t confined_start(const struct confinement *confinement, const char *const *argv,
                     const char *const *envp, int output_fd, int64_t deadline_ms,
                     const struct spawn_limits *limits, struct confined *confined,
                     struct spawn_failure *failure, GError **error)
{
    struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    auto_fd environment = open_environment(envp, error);
    struct bubblewrap_call *call =
        environment >= 0 ? bubblewrap_call_new(confinement->bwrap, confinement->policy,
                                               confinement->plan, argv, error)
                         : NULL;
    bool piped = call && pipes_open(&pipes, error);
    pid_t leader = piped ? spawn(call, &pipes, environment, output_fd, limits, failure, error) : -1;
    bubblewrap_call_free(call);
    fd_close(&pipes.report[1]);
    fd_close(&pipes.control[0]);
    fd_close(&pipes.trouble[1]);
    if (leader > 0 && wait_for_start(&pipes, deadline_ms, failure, error)) {
        confined->report_fd = g_steal_fd(&pipes.report[0]);
        confined->control_fd = g_steal_fd(&pipes.control[1]);
        confined->trouble_fd = g_steal_fd(&pipes.trouble[0]);
        return leader;
    }
    if (leader > 0) {
        end_leader(leader);
    }
    pipes_close(&pipes);
    return -1;
}

/* --------------------------------------------------------------------- end */

void confined_terminate(struct confined *confined)
{
    const char order = INSIDE_TERMINATE;
    ssize_t ignored = write(confined->control_fd, &order, 1);
    (void)ignored; /* a sandbox that is gone needs no order */
}

/* bwrap(1) ends with 128 + the signal that killed its child. */
static int status_of_leader(int leader_status)
{
    int code = WIFEXITED(leader_status) ? WEXITSTATUS(leader_status) : 0;
    return code > 128 && code < 128 + NSIG ? code - 128 : leader_status;
}

void confined_finish(struct confined *confined, int leader_status, struct confined_end *end)
{
    struct inside_report report;
    *end = (struct confined_end){.wait_status = status_of_leader(leader_status)};
    if (read_report(confined->report_fd, clock_monotonic_ms() + 1, &report) &&
        report.kind == INSIDE_ENDED) {
        end->wait_status = report.number;
        end->left = report.left;
        end->left_names = report.left > 0 ? g_strdup(report.text) : NULL;
    }
    confined_release(confined);
}

void confined_release(struct confined *confined)
{
    fd_close(&confined->report_fd);
    fd_close(&confined->control_fd);
    fd_close(&confined->trouble_fd);
}
