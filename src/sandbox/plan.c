#include "sandbox/plan.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Which of two operations at one path counts. */
enum rank {
    RANK_SYSTEM,
    RANK_HIDDEN,
    RANK_READABLE,
    RANK_WRITABLE,
    RANK_OWN,
    RANK_JOB,
};

struct mount {
    struct sandbox_op *op;
    enum rank rank;
};

static void op_free(void *data)
{
    struct sandbox_op *op = data;
    g_free(op->path);
    g_free(op->text);
    g_free(op);
}

static struct sandbox_op *op_new(enum sandbox_op_kind kind, const char *path, const char *text,
                                 const char *why)
{
    struct sandbox_op *op = g_new0(struct sandbox_op, 1);
    op->kind = kind;
    op->path = g_strdup(path);
    op->text = g_strdup(text);
    op->why = why;
    return op;
}

static void add(GPtrArray *plan, enum sandbox_op_kind kind, const char *text, const char *why)
{
    g_ptr_array_add(plan, op_new(kind, NULL, text, why));
}

static void add_mount(GArray *mounts, enum rank rank, struct sandbox_op *op)
{
    const struct mount mount = {op, rank};
    g_array_append_val(mounts, mount);
}

/* "/a" before "/a/b" before "/a.b": as if '/' were the lowest byte of all. */
static int compare_paths(const char *left, const char *right)
{
    for (; *left && *left == *right; left++, right++) {
    }
    int a = *left == '/' ? 1 : *left ? 1 + (unsigned char)*left : 0;
    int b = *right == '/' ? 1 : *right ? 1 + (unsigned char)*right : 0;
    return a - b;
}

static int compare_mounts(const void *left, const void *right)
{
    const struct mount *a = left;
    const struct mount *b = right;
    int order = compare_paths(a->op->path, b->op->path);
    return order != 0 ? order : (int)a->rank - (int)b->rank;
}

/* In order, and of those at one path the one that counts. */
static void move_mounts(GArray *mounts, GPtrArray *plan)
{
    g_array_sort(mounts, compare_mounts);
    for (unsigned i = 0; i < mounts->len; i++) {
        struct sandbox_op *op = g_array_index(mounts, struct mount, i).op;
        const struct mount *next =
            i + 1 < mounts->len ? &g_array_index(mounts, struct mount, i + 1) : NULL;
        if (next && strcmp(next->op->path, op->path) == 0) {
            op_free(op);
        } else {
            g_ptr_array_add(plan, op);
        }
    }
}

/* ------------------------------------------------------------ common to both */

static void hide(GArray *mounts, enum rank rank, const char *path, const char *why)
{
    struct stat status;
    bool is_directory = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    add_mount(
        mounts, rank,
        op_new(is_directory ? SANDBOX_OP_HIDE_DIRECTORY : SANDBOX_OP_HIDE_FILE, path, NULL, why));
}

static void add_private_places(const struct sandbox_policy *policy, GArray *mounts)
{
    static const char *const temporary[] = {"/tmp", "/var/tmp"};
    for (unsigned i = 0; i < G_N_ELEMENTS(temporary); i++) {
        add_mount(mounts, RANK_SYSTEM,
                  op_new(SANDBOX_OP_WRITE, temporary[i], policy->temporary,
                         "the job's own directory for temporary files"));
    }
    add_mount(mounts, RANK_SYSTEM,
              op_new(SANDBOX_OP_EMPTY, "/run", NULL,
                     "sockets of services that act for the user lie there"));
    add_mount(mounts, RANK_SYSTEM,
              op_new(SANDBOX_OP_DEVICES, "/dev", NULL, "no disks, no host's terminals"));
    add_mount(
        mounts, RANK_SYSTEM,
        policy->shares_proc
            ? op_new(SANDBOX_OP_READ, "/proc", NULL,
                     "a new one can't be mounted here: processes outside are seen, not reached")
            : op_new(SANDBOX_OP_PROCESSES, "/proc", NULL, "the steps' own processes alone"));
    if (policy->resolver) {
        add_mount(mounts, RANK_JOB,
                  op_new(SANDBOX_OP_READ, policy->resolver, NULL, "name resolution"));
    }
}

/* In an empty root only what lies in something that is granted need be hidden. */
static bool is_shown(const struct sandbox_policy *policy, const char *path)
{
    char *const *const lists[] = {policy->readable, policy->writable};
    bool shown = policy->level != SANDBOX_STRICT || sandbox_path_is_within(path, "/usr");
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        for (char *const *granted = lists[i]; *granted; granted++) {
            shown = shown || sandbox_path_is_within(path, *granted);
        }
    }
    return shown;
}

static void hide_all(const struct sandbox_policy *policy, GArray *mounts, char *const *paths,
                     enum rank rank, const char *why)
{
    for (; *paths; paths++) {
        if (is_shown(policy, *paths)) {
            hide(mounts, rank, *paths, why);
        }
    }
}

static void add_granted(const struct sandbox_policy *policy, GArray *mounts)
{
    hide_all(policy, mounts, policy->hidden, RANK_HIDDEN, "keys, tokens, histories");
    for (char **path = policy->readable; *path; path++) {
        add_mount(mounts, RANK_READABLE, op_new(SANDBOX_OP_READ, *path, NULL, "readable"));
    }
    for (char **path = policy->writable; *path; path++) {
        add_mount(mounts, RANK_WRITABLE, op_new(SANDBOX_OP_WRITE, *path, NULL, "writable"));
    }
    hide_all(policy, mounts, policy->own, RANK_OWN, "phantom_ci's own");
    add_mount(mounts, RANK_JOB, op_new(SANDBOX_OP_WRITE, policy->workspace, NULL, "the workspace"));
    add_mount(mounts, RANK_JOB,
              op_new(SANDBOX_OP_WRITE, policy->temporary, NULL,
                     "the job's own directory for temporary files"));
    add_mount(mounts, RANK_JOB,
              op_new(SANDBOX_OP_READ, policy->helper, NULL, "phantom_ci-sandbox"));
    if (policy->objects) {
        add_mount(mounts, RANK_JOB,
                  op_new(SANDBOX_OP_READ, policy->objects, NULL, "the commits, for git in a step"));
    }
}

/* An agent signs with keys that the step may not see, and its socket is out of reach. */
static void add_agent(const struct sandbox_policy *policy, GPtrArray *plan)
{
    const char *socket = g_getenv("SSH_AUTH_SOCK");
    for (char **path = policy->writable; socket && *path; path++) {
        if (sandbox_path_is_within(socket, *path)) {
            return;
        }
    }
    add(plan, SANDBOX_OP_ENVIRONMENT, "SSH_AUTH_SOCK", "the ssh-agent is not for the steps");
}

/* ------------------------------------------------------------------ strict */

/* What programs need of /etc; that of others stays out of sight. */
static const char *const system_files[] = {
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/crypto-policies",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/protocols",
    "/etc/services",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/locale.alias",
    "/etc/terminfo",
    "/etc/inputrc",
    "/etc/fonts",
    "/etc/perl",
    "/etc/python3",
    "/etc/php",
    "/etc/java-11-openjdk",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/nix/store",
    NULL,
};

/* Links of a merged /usr, or directories of their own. */
static const char *const top_directories[] = {"/bin",   "/sbin",   "/lib", "/lib32",
                                              "/lib64", "/libx32", NULL};

static void add_system(GArray *mounts)
{
    add_mount(mounts, RANK_SYSTEM, op_new(SANDBOX_OP_READ, "/usr", NULL, "programs"));
    for (unsigned i = 0; top_directories[i]; i++) {
        char target[256];
        ssize_t length = readlink(top_directories[i], target, sizeof(target) - 1);
        if (length > 0) {
            target[length] = '\0';
            add_mount(mounts, RANK_SYSTEM,
                      op_new(SANDBOX_OP_LINK, top_directories[i], target, "programs"));
        } else if (access(top_directories[i], F_OK) == 0) {
            add_mount(mounts, RANK_SYSTEM,
                      op_new(SANDBOX_OP_READ, top_directories[i], NULL, "programs"));
        }
    }
    for (unsigned i = 0; system_files[i]; i++) {
        if (access(system_files[i], F_OK) == 0) {
            add_mount(mounts, RANK_SYSTEM,
                      op_new(SANDBOX_OP_READ, system_files[i], NULL, "what programs need"));
        }
    }
}

static void add_accounts(const struct sandbox_policy *policy, GArray *mounts)
{
    unsigned uid = (unsigned)geteuid();
    unsigned gid = (unsigned)getegid();
    g_autofree char *passwd =
        g_strdup_printf("ci:x:%u:%u:phantom_ci:%s:/bin/sh\n"
                        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                        uid, gid, policy->temporary);
    g_autofree char *group = g_strdup_printf("ci:x:%u:\nnogroup:x:65534:\n", gid);
    add_mount(mounts, RANK_SYSTEM,
              op_new(SANDBOX_OP_FILE, "/etc/passwd", passwd, "one user, of the same number"));
    add_mount(mounts, RANK_SYSTEM,
              op_new(SANDBOX_OP_FILE, "/etc/group", group, "one group, of the same number"));
}

static void plan_strict(const struct sandbox_policy *policy, GPtrArray *plan)
{
    g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(struct mount));
    g_autofree char *home = g_strconcat("HOME=", policy->temporary, NULL);
    add(plan, SANDBOX_OP_NAMESPACE, "uts", "a host name of its own");
    add_mount(mounts, RANK_SYSTEM, op_new(SANDBOX_OP_EMPTY, "/", NULL, "nothing but what follows"));
    add_system(mounts);
    add_accounts(policy, mounts);
    if (policy->network) {
        add_mount(mounts, RANK_SYSTEM,
                  op_new(SANDBOX_OP_READ, "/etc/resolv.conf", NULL, "name resolution"));
    }
    add_private_places(policy, mounts);
    add_granted(policy, mounts);
    move_mounts(mounts, plan);
    add(plan, SANDBOX_OP_ENVIRONMENT, home, "nothing of the user's home");
    add_agent(policy, plan);
    add(plan, SANDBOX_OP_FILTER, "strict",
        "no mounts, no namespaces, no tracing, no bpf, no keys, no io_uring, ...");
    add(plan, SANDBOX_OP_LANDLOCK, "files",
        "written only where it says so above; no signal, no abstract socket goes outside");
}

/* --------------------------------------------------------------- workspace */

static void plan_workspace(const struct sandbox_policy *policy, GPtrArray *plan)
{
    g_autoptr(GArray) mounts = g_array_new(FALSE, FALSE, sizeof(struct mount));
    struct stat status;
    add_mount(mounts, RANK_SYSTEM,
              op_new(SANDBOX_OP_READ, "/", NULL, "the machine as it is, read-only"));
    add_private_places(policy, mounts);
    if (lstat("/var/run", &status) == 0 && S_ISDIR(status.st_mode)) {
        add_mount(mounts, RANK_SYSTEM, op_new(SANDBOX_OP_EMPTY, "/var/run", NULL, "as /run"));
    }
    add_granted(policy, mounts);
    move_mounts(mounts, plan);
    add_agent(policy, plan);
    add(plan, SANDBOX_OP_FILTER, "basic",
        "no kernel modules, no bpf, no keys, no perf, no userfaultfd, no input to terminals");
    add(plan, SANDBOX_OP_LANDLOCK, "scopes", "no signal, no abstract socket goes outside");
}

GPtrArray *sandbox_plan_new(const struct sandbox_policy *policy)
{
    GPtrArray *plan = g_ptr_array_new_with_free_func(op_free);
    if (policy->level == SANDBOX_OFF) {
        return plan;
    }
    add(plan, SANDBOX_OP_NAMESPACE, "user", "no rights over anything outside");
    add(plan, SANDBOX_OP_NAMESPACE, "pid", "no process outside is seen, all inside end together");
    add(plan, SANDBOX_OP_NAMESPACE, "ipc", "no shared memory with others");
    if (!policy->network) {
        add(plan, SANDBOX_OP_NO_NETWORK, NULL, "network = false");
    }
    add(plan, SANDBOX_OP_CAPABILITIES, NULL, "also when phantom_ci runs as root");
    if (policy->level == SANDBOX_STRICT) {
        plan_strict(policy, plan);
    } else {
        plan_workspace(policy, plan);
    }
    return plan;
}

/* ----------------------------------------------------------------- reading */

static const struct {
    const char *name, *group, *words;
} kinds[] = {
    [SANDBOX_OP_NAMESPACE] = {"namespace", "namespace", "of its own"},
    [SANDBOX_OP_CAPABILITIES] = {"capabilities", "privileges", "all dropped"},
    [SANDBOX_OP_READ] = {"read", "files", "read-only"},
    [SANDBOX_OP_WRITE] = {"write", "files", "writable"},
    [SANDBOX_OP_LINK] = {"link", "files", "link"},
    [SANDBOX_OP_FILE] = {"file", "files", "made up"},
    [SANDBOX_OP_EMPTY] = {"empty", "files", "empty"},
    [SANDBOX_OP_HIDE_DIRECTORY] = {"hide-directory", "files", "hidden"},
    [SANDBOX_OP_HIDE_FILE] = {"hide-file", "files", "hidden"},
    [SANDBOX_OP_DEVICES] = {"devices", "files", "new"},
    [SANDBOX_OP_PROCESSES] = {"processes", "files", "new"},
    [SANDBOX_OP_FILTER] = {"filter", "system calls", "filtered"},
    [SANDBOX_OP_LANDLOCK] = {"landlock", "landlock", "where the kernel has it"},
    [SANDBOX_OP_NO_NETWORK] = {"no-network", "network", "none"},
    [SANDBOX_OP_ENVIRONMENT] = {"environment", "environment", "set"},
};

const char *sandbox_op_name(enum sandbox_op_kind kind)
{
    return kinds[kind].name;
}

char *sandbox_plan_describe(const GPtrArray *plan)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        bool taken_out = op->kind == SANDBOX_OP_ENVIRONMENT && !strchr(op->text, '=');
        const char *what = op->path ? op->path : op->text ? op->text : "-";
        g_string_append_printf(text, "%-13s %-44s %-10s %s\n", kinds[op->kind].group, what,
                               taken_out ? "taken out" : kinds[op->kind].words, op->why);
    }
    return g_string_free(text, FALSE);
}

const char **sandbox_plan_writable(const GPtrArray *plan)
{
    GPtrArray *paths = g_ptr_array_new();
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        if (op->kind == SANDBOX_OP_WRITE) {
            g_ptr_array_add(paths, op->path);
        }
    }
    g_ptr_array_add(paths, NULL);
    return (const char **)g_ptr_array_free(paths, FALSE);
}
