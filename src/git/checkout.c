#include "git/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/text.h"
#include "git/checkout_clean.h"
#include "git/throwaway_git.h"
#include "git/trash.h"

enum { MAX_STAMP = 4096, OPEN_ATTEMPTS = 10 };

struct checkout {
    char *cache;
    char *workspace; /* cache/workspaces/<section>/<branch> */
    char *directory, *index,
        *stamp; /* cache/checkouts/<section>/<branch>; stamp: of the .gitattributes */
    int lock_fd;
};

/* Makes the directories and takes the lock. cache_prune() may remove an unused directory in
 * between: then once more. */
static int take_lock(const struct checkout *checkout, const char *above, GError **error)
{
    g_autofree char *lock = g_build_filename(checkout->directory, "lock", NULL);
    for (int attempt = 1;; attempt++) {
        g_autoptr(GError) local = NULL;
        int fd = -1;
        if (file_ensure_private_directory(above, &local) &&
            file_ensure_private_directory(checkout->directory, &local)) {
            fd = lock_take(lock, LOCK_EXCLUSIVE, &local);
        }
        if (fd < 0 && error_has_code(local, ERROR_NOT_FOUND) && attempt < OPEN_ATTEMPTS) {
            continue;
        }
        if (local) {
            g_propagate_error(error, g_steal_pointer(&local));
        }
        return fd;
    }
}

/* What failed decides what can mend it. */
enum trouble {
    TROUBLE_NONE,
    TROUBLE_WORKSPACE, /* something in it can't be cleaned: a new workspace */
    TROUBLE_OBJECTS,   /* the mirror can't be read: a new mirror */
    TROUBLE_WRITING,   /* the one, or else the other */
    TROUBLE_READING,   /* the other, or else the one */
    TROUBLE_FINAL,
};

struct fill {
    struct checkout *checkout;
    const struct checkout_request *request;
    int64_t end_ms; /* monotonic; 0 = none */
    int root_fd;
    struct clean_tree *tree;
    enum trouble trouble;
};

struct checkout *checkout_open(const char *cache_directory, const char *section, const char *branch,
                               GError **error)
{
    g_autofree char *section_name = file_component_from_name(section);
    g_autofree char *branch_name = file_component_from_name(branch);
    g_autofree char *above = g_build_filename(cache_directory, "workspaces", section_name, NULL);
    struct checkout *checkout = g_new0(struct checkout, 1);
    checkout->lock_fd = -1;
    checkout->cache = g_canonicalize_filename(cache_directory, NULL);
    checkout->workspace =
        g_build_filename(checkout->cache, "workspaces", section_name, branch_name, NULL);
    checkout->directory =
        g_build_filename(checkout->cache, "checkouts", section_name, branch_name, NULL);
    checkout->index = g_build_filename(checkout->directory, "index", NULL);
    checkout->stamp = g_build_filename(checkout->directory, "attributes", NULL);
    checkout->lock_fd = take_lock(checkout, above, error);
    if (checkout->lock_fd >= 0) {
        return checkout;
    }
    g_prefix_error(error, "the workspace of %s, branch %s: ", section, branch);
    checkout_close(checkout);
    return NULL;
}

void checkout_close(struct checkout *checkout)
{
    if (!checkout) {
        return;
    }
    fd_close(&checkout->lock_fd);
    g_free(checkout->cache);
    g_free(checkout->workspace);
    g_free(checkout->directory);
    g_free(checkout->index);
    g_free(checkout->stamp);
    g_free(checkout);
}

const char *checkout_path(const struct checkout *checkout)
{
    return checkout->workspace;
}

unsigned checkout_empty_trash(const char *cache_directory)
{
    return trash_empty(cache_directory);
}

static bool trouble(struct fill *fill, enum trouble kind)
{
    fill->trouble = kind;
    return false;
}

static struct git_limits remaining_limits(const struct fill *fill)
{
    struct git_limits limits = fill->request->limits;
    if (fill->end_ms > 0) {
        int64_t left_ms = clock_left_ms(fill->end_ms);
        limits.timeout_ms = (int)MAX(left_ms, 1);
    }
    return limits;
}

/* git with the mirror as its directory, the private index and the workspace: of all three no step
 * can write the first two. */
static bool run_git(struct fill *fill, const char *const *arguments, struct spawn_result *out,
                    GError **error)
{
    g_auto(GStrv) environment = git_environment_local(fill->checkout->index);
    g_autofree char *git_dir =
        g_strconcat("--git-dir=", mirror_git_dir(fill->request->mirror), NULL);
    g_autofree char *work_tree = g_strconcat("--work-tree=", fill->checkout->workspace, NULL);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_ptr_array_add(all, git_dir);
    g_ptr_array_add(all, work_tree);
    g_ptr_array_add(all, (gpointer) "-c");
    g_ptr_array_add(all, (gpointer) "core.bare=false");
    for (; *arguments; arguments++) {
        g_ptr_array_add(all, (gpointer)*arguments);
    }
    g_ptr_array_add(all, NULL);
    struct git_limits limits = remaining_limits(fill);
    GError *failure = NULL;
    if (git_run((const char *const *)all->pdata, (const char *const *)environment, &limits, out,
                &failure)) {
        return true;
    }
    if (failure->code == ERROR_REMOTE) {
        failure->code = ERROR_SYSTEM;
    }
    g_propagate_error(error, failure);
    return false;
}

/* ---- the steps of filling ---- */

/* cache_prune() removes the directory above as long as it is empty: then once more. */
static bool make_workspace(const char *path, GError **error)
{
    g_autofree char *above = g_path_get_dirname(path);
    int attempt = 1;
    while (mkdir(path, 0755) != 0 && errno != EEXIST) {
        if (errno != ENOENT || attempt++ == OPEN_ATTEMPTS) {
            return error_set_errno(error, GIT_ERROR, errno, "can't make the workspace %s", path);
        }
        if (!file_ensure_private_directory(above, error)) {
            return false;
        }
    }
    return true;
}

/* Whatever took the workspace's place (a step may rename it) is not followed. */
static bool open_workspace(struct fill *fill, GError **error)
{
    const char *path = fill->checkout->workspace;
    if (!make_workspace(path, error)) {
        return false;
    }
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid()) {
        g_set_error(error, GIT_ERROR, ERROR_DENIED,
                    "the workspace %s is not a directory of this user", path);
        return trouble(fill, TROUBLE_WORKSPACE);
    }
    if ((status.st_mode & 07777) != 0755 && chmod(path, 0755) != 0) {
        error_set_errno(error, GIT_ERROR, errno, "can't change the mode of %s", path);
        return trouble(fill, TROUBLE_WORKSPACE);
    }
    fill->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fill->root_fd >= 0 && file_remove_tree(fill->root_fd, ".git", error)) {
        return true;
    }
    if (fill->root_fd < 0) {
        error_set_errno(error, GIT_ERROR, errno, "can't open the workspace %s", path);
    }
    return trouble(fill, TROUBLE_WORKSPACE);
}

/* No system call takes such a path, and git dies of the depth of one before it comes to that. */
static bool paths_are_short(const char *listing, size_t length, GError **error)
{
    enum { SHOWN_BYTES = 60 };
    for (const char *entry = listing; entry < listing + length; entry += strlen(entry) + 1) {
        const char *tab = strchr(entry, '\t');
        if (tab && strlen(tab + 1) >= PATH_MAX) {
            g_autofree char *head = g_strndup(tab + 1, SHOWN_BYTES);
            g_autofree char *shown = text_escape(head);
            g_set_error(error, GIT_ERROR, ERROR_INVALID,
                        "the commit is refused: it has a path longer than %d bytes, %s...",
                        PATH_MAX - 1, shown);
            return false;
        }
    }
    return true;
}

static bool list_tree(struct fill *fill, GError **error)
{
    const char *arguments[] = {"ls-tree", "-r", "-z", "--full-tree", fill->request->sha, NULL};
    struct spawn_result result = {0};
    GError *failure = NULL;
    bool ok = run_git(fill, arguments, &result, &failure);
    if (result.out_truncated) {
        g_clear_error(&failure);
        ok = false;
        g_set_error(&failure, GIT_ERROR, ERROR_INVALID,
                    "the commit is refused: the list of its files is longer than %d MiB",
                    GIT_MAX_OUTPUT / (1024 * 1024));
    }
    ok = ok && paths_are_short(result.out, result.out_length, &failure);
    if (ok) {
        fill->tree =
            clean_tree_new(g_steal_pointer(&result.out), result.out_length, fill->request->keep);
    }
    bool refused = error_has_code(failure, ERROR_INVALID);
    if (failure) {
        g_propagate_error(error, failure);
    }
    spawn_result_clear(&result);
    return ok || trouble(fill, refused ? TROUBLE_FINAL : TROUBLE_OBJECTS);
}

static bool clean(struct fill *fill, bool before, struct clean_counts *counts, GError **error)
{
    if (!clean_walk(fill->root_fd, fill->tree, counts, error)) {
        return trouble(fill, TROUBLE_WORKSPACE);
    }
    if (before || (counts->removed == 0 && counts->missing == 0)) {
        return true;
    }
    g_set_error(error, GIT_ERROR, ERROR_SYSTEM,
                "the workspace %s is not the commit's tree: %u entries too many, %u missing",
                fill->checkout->workspace, counts->removed, counts->missing);
    return trouble(fill, TROUBLE_WRITING);
}

/* Without an index git takes no file for up to date and writes every one. */
static void forget_index(const struct checkout *checkout)
{
    unlink(checkout->index);
    unlink(checkout->stamp);
}

/* Other attributes make other files of the same blobs, which git does not see by itself. */
static void check_attributes(struct fill *fill)
{
    size_t length = 0;
    g_autofree char *stamp = file_read(fill->checkout->stamp, MAX_STAMP, &length, NULL);
    if (!stamp || strcmp(stamp, clean_tree_attributes(fill->tree)) != 0) {
        forget_index(fill->checkout);
    }
}

static bool words_are_about_objects(const char *words)
{
    static const char *const signs[] = {
        "unable to read",        "corrupt",         "packfile",    "bad object",
        "not a git repository",  "bad config",      "inflate",     "is empty",
        "failed to unpack tree", "object file",     "not a tree",  "missing blob",
        "missing tree",          "unable to parse", "loose object"};
    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++) {
        if (strstr(words, signs[i])) {
            return true;
        }
    }
    return false;
}

static bool read_tree(struct fill *fill, GError **error)
{
    const char *arguments[] = {"read-tree", "--reset", "-u", fill->request->sha, NULL};
    GError *failure = NULL;
    if (run_git(fill, arguments, NULL, &failure)) {
        return true;
    }
    if (failure->code == ERROR_SYSTEM && strstr(failure->message, "invalid path")) {
        failure->code = ERROR_INVALID;
    }
    if (failure->code == ERROR_INVALID) {
        fill->trouble = TROUBLE_FINAL;
    } else {
        fill->trouble =
            words_are_about_objects(failure->message) ? TROUBLE_READING : TROUBLE_WRITING;
    }
    g_propagate_error(error, failure);
    return false;
}

/* With the old index, and when it is no good (a crash may have cut it off) without. */
static bool write_files(struct fill *fill, GError **error)
{
    g_autofree char *lock = g_strconcat(fill->checkout->index, ".lock", NULL);
    int fault = fault_point("git.checkout");
    if (fault != 0) {
        fill->trouble = TROUBLE_FINAL;
        return error_set_errno(error, GIT_ERROR, fault, "git read-tree");
    }
    unlink(lock);
    bool had_index = g_file_test(fill->checkout->index, G_FILE_TEST_EXISTS);
    GError *failure = NULL;
    bool ok = read_tree(fill, &failure);
    if (!ok && had_index && failure->code == ERROR_SYSTEM) {
        g_clear_error(&failure);
        forget_index(fill->checkout);
        unlink(lock);
        ok = read_tree(fill, &failure);
    }
    if (!ok) {
        g_propagate_error(error, failure);
        return false;
    }
    const char *attributes = clean_tree_attributes(fill->tree);
    g_file_set_contents(fill->checkout->stamp, attributes, -1, NULL);
    return true;
}

/* Whether git finds every file as the index has it. */
static bool compare(struct fill *fill, bool *same, GError **error)
{
    const char *arguments[] = {"ls-files", "-z", "--modified", "--deleted", NULL};
    struct spawn_result result = {0};
    bool ok = run_git(fill, arguments, &result, error);
    *same = ok && result.out_length == 0;
    spawn_result_clear(&result);
    return ok || trouble(fill, TROUBLE_OBJECTS);
}

/* A mode that was changed after the files were written leaves the index with old times of change:
 * git compares those files byte by byte until they are refreshed. The exit status tells only that
 * some differ. */
static bool refresh_index(struct fill *fill, GError **error)
{
    const char *arguments[] = {"update-index", "-q", "--refresh", NULL};
    GError *failure = NULL;
    if (run_git(fill, arguments, NULL, &failure) || failure->code == ERROR_SYSTEM) {
        g_clear_error(&failure);
        return true;
    }
    fill->trouble = TROUBLE_FINAL;
    g_propagate_error(error, failure);
    return false;
}

/* Files whose blobs are not as .gitattributes would have them (carriage returns under `text`) count
 * as modified in a fresh clone, too: so what differs is written a second time, every file, and then
 * is what a fresh clone has. */
static bool fill_and_prove(struct fill *fill, GError **error)
{
    for (int pass = 0; pass < 2; pass++) {
        struct clean_counts counts;
        bool same = false;
        if (!clean(fill, true, &counts, error) || !write_files(fill, error) ||
            !clean(fill, false, &counts, error)) {
            return false;
        }
        if (counts.changed_modes > 0 && !refresh_index(fill, error)) {
            return false;
        }
        if (!compare(fill, &same, error)) {
            return false;
        }
        if (same) {
            break;
        }
        if (pass == 0) {
            forget_index(fill->checkout);
        }
    }
    return true;
}

/* "ID NAME PEELED" lines of for-each-ref as lines of packed-refs. */
static char *packed_tags(const char *listing)
{
    GString *packed = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(listing, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 3);
        if (g_strv_length(words) < 2) {
            continue;
        }
        g_string_append_printf(packed, "%s %s\n", words[0], words[1]);
        if (words[2] && *words[2]) {
            g_string_append_printf(packed, "^%s\n", words[2]);
        }
    }
    return g_string_free(packed, FALSE);
}

static char *list_tags(struct fill *fill, GError **error)
{
    const char *arguments[] = {"for-each-ref", "--format=%(objectname) %(refname) %(*objectname)",
                               "refs/tags", NULL};
    struct spawn_result result = {0};
    if (!mirror_may_have_tags(fill->request->mirror)) {
        return g_strdup("");
    }
    char *tags = run_git(fill, arguments, &result, error) ? packed_tags(result.out) : NULL;
    spawn_result_clear(&result);
    return tags;
}

static bool write_throwaway_git(struct fill *fill, GError **error)
{
    g_autofree char *tags = list_tags(fill, error);
    if (!tags) {
        return trouble(fill, TROUBLE_OBJECTS);
    }
    g_autofree char *git_dir = g_canonicalize_filename(mirror_git_dir(fill->request->mirror), NULL);
    g_autofree char *objects = g_build_filename(git_dir, "objects", NULL);
    struct throwaway_git what = {.objects = objects,
                                 .index_file = fill->checkout->index,
                                 .sha = fill->request->sha,
                                 .ref = fill->request->ref,
                                 .url = fill->request->remote->url,
                                 .tags = tags};
    return throwaway_git_write(fill->root_fd, &what, error) || trouble(fill, TROUBLE_FINAL);
}

/* In the .git that was written a moment ago, before any step could touch it. */
static bool update_submodules(struct fill *fill, GError **error)
{
    const struct git_remote *remote = fill->request->remote;
    struct url url;
    if (!fill->request->submodules || !clean_tree_has_submodules(fill->tree)) {
        return true;
    }
    if (!url_parse(remote->url, &url, error)) {
        return trouble(fill, TROUBLE_FINAL);
    }
    g_autofree char *protocols = g_strconcat(url_scheme_protocol(url.scheme), ":https", NULL);
    url_clear(&url);
    char **environment = git_environment_remote(remote, error);
    if (!environment) {
        return trouble(fill, TROUBLE_FINAL);
    }
    environment = g_environ_setenv(environment, "GIT_ALLOW_PROTOCOL", protocols, TRUE);
    /* Whose header would go along to where is not known of submodules (git/settings.h). */
    environment = git_environment_add_config(environment, "http.followRedirects", "false");
    /* git clones a path with hard links, through which a step could write into the source. */
    environment = git_environment_add_config(environment, "url.file:///.insteadOf", "/");
    const char *arguments[] = {"-C",         fill->checkout->workspace,
                               "submodule",  "update",
                               "--init",     "--recursive",
                               "--checkout", "--force",
                               NULL};
    struct git_limits limits = remaining_limits(fill);
    bool ok = git_run(arguments, (const char *const *)environment, &limits, NULL, error);
    g_strfreev(environment);
    if (!ok) {
        g_prefix_error(error, "can't fetch the submodules: ");
    }
    return ok || trouble(fill, TROUBLE_FINAL);
}

static bool fill_workspace(struct fill *fill, GError **error)
{
    fill->trouble = TROUBLE_FINAL;
    fill->root_fd = -1;
    fill->tree = NULL;
    /* First the directory: git refuses a work tree whose parent is not there. */
    bool ok = open_workspace(fill, error) && list_tree(fill, error);
    if (ok) {
        check_attributes(fill);
        ok = fill_and_prove(fill, error) && write_throwaway_git(fill, error) &&
             update_submodules(fill, error);
    }
    clean_tree_free(fill->tree);
    fd_close(&fill->root_fd);
    return ok;
}

/* ---- and again, after what failed was replaced ---- */

static bool replace_workspace(struct fill *fill, bool *replaced)
{
    if (*replaced || !trash_set_aside(fill->checkout->cache, fill->checkout->workspace, NULL)) {
        return false;
    }
    forget_index(fill->checkout);
    *replaced = true;
    return true;
}

static bool mend(struct fill *fill, const GError *failure, bool *replaced)
{
    const struct checkout_request *request = fill->request;
    if (failure->code == ERROR_CANCELED || failure->code == ERROR_LIMIT ||
        failure->code == ERROR_NO_SPACE) {
        return false;
    }
    switch (fill->trouble) {
    case TROUBLE_WORKSPACE:
        return replace_workspace(fill, replaced);
    case TROUBLE_OBJECTS:
        return mirror_heal(request->mirror, request->sha, NULL);
    case TROUBLE_WRITING:
        return replace_workspace(fill, replaced) ||
               mirror_heal(request->mirror, request->sha, NULL);
    case TROUBLE_READING:
        return mirror_heal(request->mirror, request->sha, NULL) ||
               replace_workspace(fill, replaced);
    case TROUBLE_NONE:
    case TROUBLE_FINAL:
        return false;
    }
    return false;
}

bool checkout_prepare(struct checkout *checkout, const struct checkout_request *request,
                      bool *replaced, GError **error)
{
    struct fill fill = {.checkout = checkout, .request = request, .root_fd = -1};
    if (request->limits.timeout_ms >= 0) {
        fill.end_ms = clock_monotonic_ms() + request->limits.timeout_ms;
    }
    *replaced = false;
    /* git gives files the modes of a fresh clone under this one */
    mode_t old_umask = umask(022);
    GError *failure = NULL;
    bool ok = fill_workspace(&fill, &failure);
    while (!ok && mend(&fill, failure, replaced)) {
        g_clear_error(&failure);
        ok = fill_workspace(&fill, &failure);
    }
    umask(old_umask);
    if (!ok) {
        g_propagate_error(error, failure);
    }
    return ok;
}
