/* Policy, plan, hints and the call of bubblewrap; what they do to a process is tried end to end. */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "sandbox/bubblewrap.h"
#include "sandbox/error.h"
#include "sandbox/hint.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"
#include "sandbox/syscalls.h"

static char *place;

static char *below(const char *name)
{
    return g_build_filename(place, name, NULL);
}

static char *make_directory(const char *name)
{
    char *path = below(name);
    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    return path;
}

struct site {
    char *home, *cache, *state, *workspace, *temporary, *helper;
    const char *own[3];
    struct sandbox_request request;
};

static void site_init(struct site *site, enum sandbox_level level)
{
    *site = (struct site){
        .home = make_directory("home"),
        .cache = make_directory("home/.cache/phantom_ci"),
        .state = make_directory("home/.local/state/phantom_ci"),
        .workspace = make_directory("home/.cache/phantom_ci/workspaces/app/main"),
        .temporary = make_directory("home/.cache/phantom_ci/tmp/1"),
        .helper = below("phantom_ci-sandbox"),
    };
    g_free(make_directory("home/.ssh"));
    g_free(make_directory("srv/www"));
    g_assert_true(g_file_set_contents(site->helper, "", 0, NULL));
    site->own[0] = site->cache;
    site->own[1] = site->state;
    site->request = (struct sandbox_request){
        .level = level,
        .network = true,
        .workspace = site->workspace,
        .temporary = site->temporary,
        .home = site->home,
        .own = site->own,
        .helper = site->helper,
    };
}

static void site_release(struct site *site)
{
    char *all[] = {site->home,      site->cache,     site->state,
                   site->workspace, site->temporary, site->helper};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        g_free(all[i]);
    }
}

static struct sandbox_policy *policy_of(const struct site *site)
{
    g_autoptr(GError) error = NULL;
    struct sandbox_policy *policy = sandbox_policy_new(&site->request, &error);
    g_assert_no_error(error);
    return policy;
}

/* The deepest mount at or above `path`: what decides about it once all are done in their order. */
static const struct sandbox_op *deciding(const GPtrArray *plan, const char *path)
{
    const struct sandbox_op *last = NULL;
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        if (op->path && sandbox_path_is_within(path, op->path)) {
            last = op;
        }
    }
    return last;
}

static int kind_at(const GPtrArray *plan, const char *format, ...) G_GNUC_PRINTF(2, 3);
static int kind_at(const GPtrArray *plan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *path = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    const struct sandbox_op *op = deciding(plan, path);
    return op ? (int)op->kind : -1;
}

static void plan__workspace__shows_all_but_secrets_and_writes_the_workspace(void)
{
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    struct sandbox_policy *policy = policy_of(&site);
    g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
    g_assert_cmpint(kind_at(plan, "/usr/bin"), ==, SANDBOX_OP_READ);
    g_assert_cmpint(kind_at(plan, "%s/notes", site.home), !=, SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s/.ssh/id", site.home), ==, SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s/workspaces/other/main", site.cache), ==,
                    SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s/state.db", site.state), ==, SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s/src", site.workspace), ==, SANDBOX_OP_WRITE);
    g_assert_cmpint(kind_at(plan, "%s", site.temporary), ==, SANDBOX_OP_WRITE);
    g_assert_cmpint(kind_at(plan, "/run/docker.sock"), ==, SANDBOX_OP_EMPTY);
    sandbox_policy_free(policy);
    site_release(&site);
}

static void plan__strict__shows_nothing_of_the_home_but_the_workspace(void)
{
    struct site site;
    site_init(&site, SANDBOX_STRICT);
    site.request.network = false;
    struct sandbox_policy *policy = policy_of(&site);
    g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
    g_assert_cmpint(kind_at(plan, "/srv/www"), ==, SANDBOX_OP_EMPTY);
    g_assert_cmpint(kind_at(plan, "/usr/bin"), ==, SANDBOX_OP_READ);
    g_assert_cmpint(kind_at(plan, "/etc/shadow"), ==, SANDBOX_OP_EMPTY);
    g_assert_cmpint(kind_at(plan, "/etc/passwd"), ==, SANDBOX_OP_FILE);
    g_assert_cmpint(kind_at(plan, "%s", site.workspace), ==, SANDBOX_OP_WRITE);
    bool no_network = false;
    for (unsigned i = 0; i < plan->len; i++) {
        const struct sandbox_op *op = g_ptr_array_index(plan, i);
        no_network = no_network || op->kind == SANDBOX_OP_NO_NETWORK;
    }
    g_assert_true(no_network);
    sandbox_policy_free(policy);
    site_release(&site);
}

static void plan__granted_and_hidden__the_deeper_one_decides(void)
{
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    g_autofree char *known_hosts = make_directory("home/.ssh/known");
    const char *const writable[] = {site.home, NULL};
    const char *const readable[] = {known_hosts, NULL};
    site.request.writable = writable;
    site.request.readable = readable;
    struct sandbox_policy *policy = policy_of(&site);
    g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
    g_assert_cmpint(kind_at(plan, "%s/notes", site.home), ==, SANDBOX_OP_WRITE);
    g_assert_cmpint(kind_at(plan, "%s/.ssh/id", site.home), ==, SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s", known_hosts), ==, SANDBOX_OP_READ);
    g_assert_cmpint(kind_at(plan, "%s/mirrors", site.cache), ==, SANDBOX_OP_HIDE_DIRECTORY);
    g_assert_cmpint(kind_at(plan, "%s", site.workspace), ==, SANDBOX_OP_WRITE);
    sandbox_policy_free(policy);
    site_release(&site);
}

/* Whatever is granted and hidden: a parent is mounted before what lies in it, each path once. */
static void plan__random_lists__parents_come_first_and_nothing_twice(void)
{
    static const char *const names[] = {"a", "a/b", "a/b/c", "a.b", "a-b/c", "b", "b/a", "c/d/e"};
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    char *paths[G_N_ELEMENTS(names)];
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        paths[i] = make_directory(names[i]);
    }
    for (unsigned round = 0; round < 200; round++) {
        const char *lists[3][G_N_ELEMENTS(names) + 1] = {{NULL}};
        unsigned lengths[3] = {0};
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
            unsigned list = (unsigned)g_test_rand_int_range(0, 4);
            if (list < 3) {
                lists[list][lengths[list]++] = paths[i];
            }
        }
        site.request.level = round % 2 ? SANDBOX_STRICT : SANDBOX_WORKSPACE;
        site.request.writable = lists[0];
        site.request.readable = lists[1];
        site.request.hidden = lists[2];
        struct sandbox_policy *policy = policy_of(&site);
        g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        for (unsigned i = 0; i < plan->len; i++) {
            const struct sandbox_op *op = g_ptr_array_index(plan, i);
            if (!op->path) {
                continue;
            }
            g_assert_true(g_hash_table_add(seen, op->path));
            for (unsigned k = 0; k < i; k++) {
                const struct sandbox_op *earlier = g_ptr_array_index(plan, k);
                g_assert_false(earlier->path && sandbox_path_is_within(earlier->path, op->path));
            }
        }
        for (unsigned i = 0; i < lengths[0]; i++) {
            g_assert_cmpint(kind_at(plan, "%s", lists[0][i]), ==, SANDBOX_OP_WRITE);
        }
        sandbox_policy_free(policy);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_free(paths[i]);
    }
    site_release(&site);
}

static void policy__a_path_of_phantom_ci__is_never_granted(void)
{
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    g_autofree char *mirrors = make_directory("home/.cache/phantom_ci/mirrors");
    g_autofree char *link = below("link");
    g_assert_cmpint(symlink(mirrors, link), ==, 0);
    const char *const asked[] = {site.cache, mirrors, link};
    for (unsigned i = 0; i < G_N_ELEMENTS(asked); i++) {
        const char *const list[] = {asked[i], NULL};
        g_autoptr(GError) error = NULL;
        site.request.writable = list;
        g_assert_null(sandbox_policy_new(&site.request, &error));
        g_assert_error(error, SANDBOX_ERROR, ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, asked[i]));
    }
    g_assert_cmpint(unlink(link), ==, 0);
    site_release(&site);
}

static void policy__a_granted_path_that_is_not_there__is_said(void)
{
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    const char *const list[] = {"/nowhere/at/all", NULL};
    g_autoptr(GError) error = NULL;
    site.request.readable = list;
    g_assert_null(sandbox_policy_new(&site.request, &error));
    g_assert_error(error, SANDBOX_ERROR, ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "readable names /nowhere/at/all"));
    site_release(&site);
}

static void hint__output_of_programs__names_the_path_and_the_key(void)
{
    static const struct {
        const char *output, *expected; /* NULL = no hint */
    } cases[] = {
        {"touch: cannot touch '/srv/www/x': Read-only file system\n",
         "writable = [\"/srv/www/x\"]"},
        {"cp: \xe2\x80\x98/opt/x\xe2\x80\x99: Read-only file system\nmake: *** [all] Error 1\n",
         "writable = [\"/opt/x\"]"},
        {"Error: EROFS: read-only file system, open '/opt/a'\n", "writable = [\"/opt/a\"]"},
        {"PermissionError: [Errno 13] Permission denied: '/etc/hidden'\n", NULL},
        {"all is well\n", NULL},
        {"Read-only file system\n", NULL},
        {"curl: (6) Could not resolve host: example.org\n", "network = true"},
        {"\x1b[31m/opt/\x1b[0m: Read-only file system", NULL},
        {"", NULL},
    };
    struct site site;
    site_init(&site, SANDBOX_WORKSPACE);
    site.request.network = false;
    struct sandbox_policy *policy = policy_of(&site);
    g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *hint =
            sandbox_hint(policy, plan, cases[i].output, strlen(cases[i].output));
        if (!cases[i].expected) {
            g_assert_cmpstr(hint, ==, NULL);
        } else {
            g_assert_nonnull(hint);
            g_assert_nonnull(strstr(hint, cases[i].expected));
        }
    }
    g_autofree char *secret =
        g_strdup_printf("cat: %s/.ssh/id: No such file or directory\n", site.home);
    g_autofree char *hint = sandbox_hint(policy, plan, secret, strlen(secret));
    g_assert_nonnull(strstr(hint, "readable"));
    g_autofree char *own =
        g_strdup_printf("cat: %s/state.db: No such file or directory\n", site.state);
    g_assert_cmpstr(sandbox_hint(policy, plan, own, strlen(own)), ==, NULL);
    sandbox_policy_free(policy);
    site_release(&site);
}

static void call__of_a_plan__ends_with_the_helper_and_the_step(void)
{
    static const char *const step[] = {"make", "-k", "all", NULL};
    struct site site;
    site_init(&site, SANDBOX_STRICT);
    struct sandbox_policy *policy = policy_of(&site);
    g_autoptr(GPtrArray) plan = sandbox_plan_new(policy);
    g_autoptr(GError) error = NULL;
    struct bubblewrap_call *call =
        bubblewrap_call_new("/usr/bin/bwrap", policy, plan, step, &error);
    g_assert_no_error(error);
    unsigned count = g_strv_length(call->argv);
    g_assert_cmpstr(call->argv[0], ==, "/usr/bin/bwrap");
    g_assert_cmpstr(call->argv[count - 1], ==, "all");
    g_assert_cmpstr(call->argv[count - 4], ==, "--");
    g_assert_true(g_strv_contains((const char *const *)call->argv, "--die-with-parent"));
    g_assert_true(g_strv_contains((const char *const *)call->argv, "--as-pid-1"));
    g_assert_true(g_strv_contains((const char *const *)call->argv, "--cap-drop"));
    g_assert_true(g_strv_contains((const char *const *)call->argv, "--seccomp"));
    g_assert_cmpint(call->fd_count, ==, 3); /* passwd, group, the filter */
    bubblewrap_call_free(call);
    sandbox_policy_free(policy);
    site_release(&site);
}

static void explain__words_of_bubblewrap__get_a_mend_and_no_control_characters(void)
{
    g_autofree char *denied = bubblewrap_explain(
        "bwrap: No permissions to create new namespace, likely because ...\nmore\n");
    g_assert_nonnull(strstr(denied, "user.max_user_namespaces"));
    g_autofree char *odd = bubblewrap_explain("bwrap: \x1b[31mred\n");
    g_assert_null(strchr(odd, '\x1b'));
    g_autofree char *none = bubblewrap_explain("");
    g_assert_cmpstr(none, ==, "bubblewrap ended before the sandbox was made");
}

static void filter__both_kinds__can_be_made(void)
{
    for (int kind = SYSCALLS_BASIC; kind <= SYSCALLS_STRICT; kind++) {
        g_autoptr(GError) error = NULL;
        int fd = syscalls_filter_open((enum syscalls_filter)kind, &error);
        g_assert_no_error(error);
        struct stat status;
        g_assert_cmpint(fstat(fd, &status), ==, 0);
        /* whole instructions of seccomp(2), eight bytes each */
        g_assert_cmpint(status.st_size, >, 0);
        g_assert_cmpint(status.st_size % 8, ==, 0);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *made = g_dir_make_tmp("phantom_ci-test-XXXXXX", NULL);
    place = realpath(made, NULL);
    g_assert_nonnull(place);
    g_test_add_func("/sandbox/plan__workspace__shows_all_but_secrets_and_writes_the_workspace",
                    plan__workspace__shows_all_but_secrets_and_writes_the_workspace);
    g_test_add_func("/sandbox/plan__strict__shows_nothing_of_the_home_but_the_workspace",
                    plan__strict__shows_nothing_of_the_home_but_the_workspace);
    g_test_add_func("/sandbox/plan__granted_and_hidden__the_deeper_one_decides",
                    plan__granted_and_hidden__the_deeper_one_decides);
    g_test_add_func("/sandbox/plan__random_lists__parents_come_first_and_nothing_twice",
                    plan__random_lists__parents_come_first_and_nothing_twice);
    g_test_add_func("/sandbox/policy__a_path_of_phantom_ci__is_never_granted",
                    policy__a_path_of_phantom_ci__is_never_granted);
    g_test_add_func("/sandbox/policy__a_granted_path_that_is_not_there__is_said",
                    policy__a_granted_path_that_is_not_there__is_said);
    g_test_add_func("/sandbox/hint__output_of_programs__names_the_path_and_the_key",
                    hint__output_of_programs__names_the_path_and_the_key);
    g_test_add_func("/sandbox/call__of_a_plan__ends_with_the_helper_and_the_step",
                    call__of_a_plan__ends_with_the_helper_and_the_step);
    g_test_add_func("/sandbox/explain__words_of_bubblewrap__get_a_mend_and_no_control_characters",
                    explain__words_of_bubblewrap__get_a_mend_and_no_control_characters);
    g_test_add_func("/sandbox/filter__both_kinds__can_be_made", filter__both_kinds__can_be_made);
    int result = g_test_run();
    file_remove_tree_at_path(place, NULL);
    free(place);
    return result;
}
