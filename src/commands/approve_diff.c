#include "commands/approve_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/refkey.h"
#include "base/text.h"
#include "config/host_steps.h"
#include "config/pin.h"
#include "config/workflow.h"
#include "git/mirror.h"

enum { SHOWN_MAX_BYTES = 256 * 1024, PATHS_MAX = 500 };

static void print_bounded(const char *bytes, size_t length)
{
    g_autoptr(GString) text = g_string_new(NULL);
    text_append_escaped(text, bytes, MIN(length, SHOWN_MAX_BYTES), TEXT_KEEP_LAYOUT);
    fputs(text->str, stdout);
    if (length > SHOWN_MAX_BYTES) {
        printf("\n[%zu more bytes are NOT shown: look at the commits with git]\n",
               length - SHOWN_MAX_BYTES);
    }
    putchar('\n');
}

/* The changed paths that the pin covers; the rest is counted. */
static GPtrArray *select_paths(const struct pin *pin, const char *changed, size_t length,
                               unsigned *dropped)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (const char *path = changed; path < changed + length; path += strlen(path) + 1) {
        if (!pin_covers(pin, path, strlen(path))) {
            continue;
        }
        if (paths->len < PATHS_MAX) {
            g_ptr_array_add(paths, g_strdup(path));
        } else {
            (*dropped)++;
        }
    }
    g_ptr_array_add(paths, NULL);
    return paths;
}

static bool print_diff(struct mirror *mirror, const struct pin *pin, const char *from,
                       const char *to, GError **error)
{
    size_t length = 0;
    unsigned dropped = 0;
    g_autofree char *changed = mirror_read_changed(mirror, from, to, &length, error);
    if (!changed) {
        return false;
    }
    g_autoptr(GPtrArray) paths = select_paths(pin, changed, length, &dropped);
    printf("What was approved last is that of %s. The change:\n\n", text_short_id(from));
    if (paths->len > 1) {
        g_autofree char *diff =
            mirror_read_diff(mirror, from, to, (const char *const *)paths->pdata, &length, error);
        if (!diff) {
            return false;
        }
        print_bounded(diff, length);
    } else {
        puts("no file differs: approve_paths was changed in Repo.toml\n");
    }
    if (dropped > 0) {
        printf("[%u more changed files are NOT shown: look at the commits with git]\n\n", dropped);
    }
    return true;
}

static bool print_files(struct mirror *mirror, const struct pin *pin, const char *sha,
                        GError **error)
{
    size_t length = 0;
    unsigned dropped = 0;
    g_autofree char *tree = mirror_read_tree(mirror, sha, &length, error);
    if (!tree) {
        return false;
    }
    g_autoptr(GString) names = g_string_new(NULL);
    for (const char *entry = tree; entry < tree + length; entry += strlen(entry) + 1) {
        const char *tab = strchr(entry, '\t');
        if (tab && pin_covers(pin, tab + 1, strlen(tab + 1))) {
            g_string_append_len(names, tab + 1, (gssize)strlen(tab + 1) + 1);
        }
    }
    g_autoptr(GPtrArray) paths = select_paths(pin, names->str, names->len, &dropped);
    puts("Approved with it, as they are in the commit:");
    for (unsigned i = 0; i + 1 < paths->len; i++) {
        g_autofree char *shown = text_escape(g_ptr_array_index(paths, i));
        printf("  %s\n", shown);
    }
    if (dropped > 0) {
        printf("  and %u more\n", dropped);
    }
    putchar('\n');
    return true;
}

/* What is shown is what will be recorded: the digest that the job was blocked with. `path` is NULL
 * where the steps are the host's, here and below. */
static bool check_pin(struct mirror *mirror, const struct pin *pin, const char *path,
                      const struct job *job, const struct repo_config *repo, GError **error)
{
    size_t length = 0;
    size_t tree_length = 0;
    g_autofree char *workflow =
        path ? mirror_read_file(mirror, job->sha, path, WORKFLOW_MAX_BYTES, &length, error) : NULL;
    if (path && !workflow) {
        return false;
    }
    g_autofree char *tree =
        *repo->approve_paths ? mirror_read_tree(mirror, job->sha, &tree_length, error) : NULL;
    if (*repo->approve_paths && !tree) {
        return false;
    }
    g_autofree char *digest = pin_digest(pin, workflow, length, tree, tree_length);
    if (g_strcmp0(digest, job->pin) == 0) {
        return true;
    }
    g_set_error(
        error, CONFIG_ERROR, ERROR_INVALID,
        "what Repo.toml asks to approve is not what it was when the job was blocked; to ask "
        "anew: phantom_ci retry %" G_GINT64_FORMAT,
        job->id);
    return false;
}

static bool print_workflow(struct mirror *mirror, const char *path, const struct job *job,
                           GError **error)
{
    size_t length = 0;
    g_autofree char *workflow =
        mirror_read_file(mirror, job->sha, path, WORKFLOW_MAX_BYTES, &length, error);
    if (!workflow) {
        return false;
    }
    g_autofree char *shown = text_escape(path);
    printf("%s, the whole of it:\n\n", shown);
    print_bounded(workflow, length);
    return true;
}

static bool print_whole(struct mirror *mirror, const struct pin *pin, const char *path,
                        const struct job *job, const struct repo_config *repo, GError **error)
{
    return (!path || print_workflow(mirror, path, job, error)) &&
           (!*repo->approve_paths || print_files(mirror, pin, job->sha, error));
}

static bool print_change(struct command_context *context, struct mirror *mirror,
                         const struct job *job, const struct repo_config *repo, GError **error)
{
    g_autofree char *path = host_steps_are_set(repo) ? NULL : workflow_path_for_ref(job->branch);
    g_autofree char *ref = refkey_full(job->branch);
    g_autofree char *section = file_component_from_name(job->repo);
    g_autofree char *branch = file_component_from_name(job->branch);
    g_autofree char *keep_ref = g_strdup_printf("%s/%s", section, branch);
    bool rebuilt = false;
    if (!mirror_fetch(mirror, job->sha, ref, keep_ref, &rebuilt, error)) {
        return false;
    }
    GError *failure = NULL;
    struct approval *before = store_approval_find(context->store, job->repo, job->branch,
                                                  JOB_BLOCK_WORKFLOW, NULL, NULL, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    struct pin *pin = pin_new(path, (const char *const *)repo->approve_paths);
    /* Where the approved commit is not to be had any more, all of it is new to whoever reads it. */
    bool good = check_pin(mirror, pin, path, job, repo, error) &&
                ((before && print_diff(mirror, pin, before->sha, job->sha, NULL)) ||
                 print_whole(mirror, pin, path, job, repo, error));
    pin_free(pin);
    approval_free(before);
    return good;
}

bool approve_print_change(struct command_context *context, const struct job *job,
                          const struct repo_config *repo, GError **error)
{
    const struct git_remote remote = {repo->url, repo->ssh_key_path};
    const struct git_limits limits = {(int)repo->fetch_timeout_ms, -1, repo->fetch_max_bytes};
    struct mirror *mirror = mirror_open(context->paths.cache, &remote, &limits, error);
    bool good = mirror && print_change(context, mirror, job, repo, error);
    if (mirror) {
        mirror_close(mirror);
    }
    return good;
}
