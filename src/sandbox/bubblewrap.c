#include "sandbox/bubblewrap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "sandbox/abilities.h"
#include "sandbox/error.h"
#include "sandbox/syscalls.h"

enum { TROUBLE_MAX_BYTES = 400 };

char *bubblewrap_find(GError **error)
{
    char *path = abilities_find_bubblewrap();
    if (!path) {
        g_set_error_literal(error, SANDBOX_ERROR, ERROR_NOT_FOUND,
                            "bubblewrap is missing: install it (for example with `apt install "
                            "bubblewrap`), or write sandbox = \"off\" to run the steps as plain "
                            "processes of your user");
    }
    return path;
}

/* ------------------------------------------------------------------- call */

struct building {
    GPtrArray *argv;
    GPtrArray *read_only; /* paths of empty places, not owned */
    struct bubblewrap_call *call;
};

static void put(struct building *building, const char *first, const char *second, const char *third)
{
    const char *const words[] = {first, second, third};
    for (unsigned i = 0; i < G_N_ELEMENTS(words) && words[i]; i++) {
        g_ptr_array_add(building->argv, g_strdup(words[i]));
    }
}

/* A descriptor that bwrap reads: its number goes behind `option`. Takes fd. */
static bool put_fd(struct building *building, const char *option, int fd)
{
    if (fd < 0) {
        return false;
    }
    g_assert(building->call->fd_count < BUBBLEWRAP_MAX_FDS);
    g_autofree char *number = g_strdup_printf("%d", BUBBLEWRAP_FIRST_FD + building->call->fd_count);
    building->call->fds[building->call->fd_count++] = fd;
    put(building, option, number, NULL);
    return true;
}

static int open_text(const char *text, GError **error)
{
#ifdef __linux__
    auto_fd fd = memfd_create("phantom_ci-file", MFD_CLOEXEC);
    if (fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) && lseek(fd, 0, SEEK_SET) == 0) {
        return g_steal_fd(&fd);
    }
#else
    (void)text;
    errno = ENOSYS;
#endif
    error_set_errno(error, SANDBOX_ERROR, errno, "cannot make a file in memory");
    return -1;
}

static void put_namespace(struct building *building, const char *name)
{
    g_autofree char *option = g_strconcat("--unshare-", name, NULL);
    put(building, option, NULL, NULL);
    if (strcmp(name, "uts") == 0) {
        put(building, "--hostname", "phantom-ci", NULL);
    }
}

static void put_empty(struct building *building, const char *path)
{
    /* The root is an empty one by itself. */
    if (strcmp(path, "/") != 0) {
        put(building, "--perms", "0755", NULL);
        put(building, "--tmpfs", path, NULL);
    }
    g_ptr_array_add(building->read_only, (void *)path);
}

static bool put_op(struct building *building, const struct sandbox_op *op, GError **error)
{
    const char *path = op->path;
    switch (op->kind) {
    case SANDBOX_OP_NAMESPACE:
        put_namespace(building, op->text);
        return true;
    case SANDBOX_OP_NO_NETWORK:
        put(building, "--unshare-net", NULL, NULL);
        return true;
    case SANDBOX_OP_CAPABILITIES:
        put(building, "--cap-drop", "ALL", NULL);
        return true;
    case SANDBOX_OP_READ:
        put(building, "--ro-bind", path, path);
        return true;
    case SANDBOX_OP_WRITE:
        put(building, "--bind", op->text ? op->text : path, path);
        return true;
    case SANDBOX_OP_LINK:
        put(building, "--symlink", op->text, path);
        return true;
    case SANDBOX_OP_FILE:
        put(building, "--perms", "0444", NULL);
        return put_fd(building, "--ro-bind-data", open_text(op->text, error)) &&
               (put(building, path, NULL, NULL), true);
    case SANDBOX_OP_EMPTY:
    case SANDBOX_OP_HIDE_DIRECTORY:
        put_empty(building, path);
        return true;
    case SANDBOX_OP_HIDE_FILE:
        put(building, "--ro-bind", "/dev/null", path);
        return true;
    case SANDBOX_OP_DEVICES:
        put(building, "--dev", path, NULL);
        return true;
    case SANDBOX_OP_PROCESSES:
        put(building, "--proc", path, NULL);
        return true;
    case SANDBOX_OP_FILTER:
        return put_fd(
            building, "--seccomp",
            syscalls_filter_open(strcmp(op->text, "strict") == 0 ? SYSCALLS_STRICT : SYSCALLS_BASIC,
                                 error));
    case SANDBOX_OP_LANDLOCK:
    case SANDBOX_OP_ENVIRONMENT:
        return true; /* phantom_ci-sandbox and whoever starts it do these */
    }
    g_assert_not_reached();
}

/* Deepest first: what is mounted in an empty place is not affected. */
static void put_read_only(struct building *building)
{
    for (unsigned i = building->read_only->len; i > 0; i--) {
        put(building, "--remount-ro", g_ptr_array_index(building->read_only, i - 1), NULL);
    }
}

static void put_helper(struct building *building, const struct sandbox_policy *policy,
                       const GPtrArray *plan, const char *const *step_argv)
{
    put(building, "--as-pid-1", "--die-with-parent", NULL);
    put(building, "--chdir", policy->workspace, "--");
    put(building, policy->helper, NULL, NULL);
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        if (op->kind == SANDBOX_OP_LANDLOCK) {
            put(building, strcmp(op->text, "files") == 0 ? "--files" : "--scopes", NULL, NULL);
        }
    }
    g_autofree const char **writable = sandbox_plan_writable(plan);
    for (const char **path = writable; *path; path++) {
        put(building, "--write", *path, NULL);
    }
    put(building, "--", NULL, NULL);
    for (; *step_argv; step_argv++) {
        put(building, *step_argv, NULL, NULL);
    }
    g_ptr_array_add(building->argv, NULL);
}

struct bubblewrap_call *bubblewrap_call_new(const char *bwrap, const struct sandbox_policy *policy,
                                            const GPtrArray *plan, const char *const *step_argv,
                                            GError **error)
{
    g_autoptr(GPtrArray) read_only = g_ptr_array_new();
    struct bubblewrap_call *call = g_new0(struct bubblewrap_call, 1);
    struct building building = {g_ptr_array_new_with_free_func(g_free), read_only, call};
    put(&building, bwrap, NULL, NULL);
    bool good = true;
    for (unsigned i = 0; good && i < plan->len; i++) {
        good = put_op(&building, g_ptr_array_index(plan, i), error);
    }
    put_read_only(&building);
    put_helper(&building, policy, plan, step_argv);
    g_ptr_array_set_free_func(building.argv, NULL);
    call->argv = (char **)g_ptr_array_free(building.argv, FALSE);
    if (!good) {
        g_clear_pointer(&call, bubblewrap_call_free);
    }
    return call;
}

void bubblewrap_call_free(struct bubblewrap_call *call)
{
    if (call) {
        for (int i = 0; i < call->fd_count; i++) {
            fd_close(&call->fds[i]);
        }
        g_strfreev(call->argv);
        g_free(call);
    }
}

/* ---------------------------------------------------------------- trouble */

static const struct {
    const char *words, *mend;
} mends[] = {
    {"No permissions to create new namespace",
     "this machine gives no user namespaces to this user: sysctl "
     "kernel.unprivileged_userns_clone=1 "
     "(Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces"},
    {"setting up uid map",
     "this machine gives no user namespaces to this user: sysctl "
     "kernel.unprivileged_userns_clone=1 "
     "(Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces"},
    {"Creating new namespace failed",
     "no new user namespace can be made here: sysctl user.max_user_namespaces, or a container or "
     "service that forbids it"},
    {"Can't mount proc",
     "no new /proc can be mounted in this container, sandbox or service; in a unit of systemd take "
     "ProtectKernelTunables and ProtectKernelLogs out"},
    {"Unknown option", "this bubblewrap is too old: 0.5 or later is needed"},
    {"seccomp", "the kernel needs CONFIG_SECCOMP_FILTER"},
};

char *bubblewrap_explain(const char *stderr_text)
{
    g_autofree char *first = g_strndup(stderr_text, strcspn(stderr_text, "\n"));
    g_autofree char *line = text_escape(first);
    const char *words = g_str_has_prefix(line, "bwrap: ") ? line + strlen("bwrap: ") : line;
    if (strlen(line) > TROUBLE_MAX_BYTES) {
        *(char *)g_utf8_find_prev_char(line, line + TROUBLE_MAX_BYTES) = '\0';
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(mends); i++) {
        if (strstr(line, mends[i].words)) {
            return g_strdup_printf("bubblewrap: %s (%s)", words, mends[i].mend);
        }
    }
    return *words ? g_strdup_printf("bubblewrap: %s", words)
                  : g_strdup("bubblewrap ended before the sandbox was made");
}
