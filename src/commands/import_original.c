/*
 * `phantom_ci import-original`: the repositories of the original's Repo.toml become ours, and the
 * last commits of its database the known tips, so that what was pushed since then runs.
 *
 * The tips are written before Repo.toml: a running daemon that sees the new sections knows their
 * branches already, and takes nothing for a baseline.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/import_report.h"
#include "config/edit.h"
#include "git/hostkey.h"
#include "git/url.h"

#define COMMAND_ERROR (g_quark_from_static_string("phantom-ci-command"))

/* ------------------------------------------------------------------ reading */

static bool holds_original(const char *directory)
{
    g_autofree char *repo_toml = g_build_filename(directory, "Repo.toml", NULL);
    return access(repo_toml, F_OK) == 0;
}

/* Where the original kept its files: the names are fixed in it, below the home directory. */
static char *find_directory(GError **error)
{
#ifdef __APPLE__
    static const char *const places[] = {"Library/Application Support/com.helloimalemur.phantom_ci",
                                         ".config/phantom_ci"};
#else
    static const char *const places[] = {".config/phantom_ci", ".config/phantomCI"};
#endif
    const char *home = g_getenv("HOME");
    g_autoptr(GString) looked = g_string_new(NULL);
    for (unsigned i = 0; home && i < G_N_ELEMENTS(places); i++) {
        g_autofree char *directory = g_build_filename(home, places[i], NULL);
        if (holds_original(directory)) {
            return g_steal_pointer(&directory);
        }
        g_string_append_printf(looked, "%s%s", i ? " and " : "", directory);
    }
    g_set_error(error, COMMAND_ERROR, ERROR_NOT_FOUND,
                "there is no Repo.toml of the original in %s; name its directory: phantom_ci "
                "import-original DIR",
                home ? looked->str : "the home directory (HOME is not set)");
    return NULL;
}

/* Without a database the tips of the first look are the baseline. */
static bool load_tips(struct import *import, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *path = g_build_filename(import->directory, "db.sqlite", NULL);
    import->tips = original_tips_load(path, &import->ignored, &local);
    if (!import->tips && !error_has_code(local, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    import->has_database = import->tips != NULL;
    return true;
}

/* Only one that can't be mistaken: the original had one branch for such a section. */
static const char *find_branch(const char *path, void *data)
{
    const struct import *import = data;
    const char *found = NULL;
    for (unsigned i = 0; import->tips && i < import->tips->len; i++) {
        const struct original_tip *tip = g_ptr_array_index(import->tips, i);
        if (tip->branch && strcmp(tip->path, path) == 0) {
            if (found) {
                return NULL;
            }
            found = tip->branch;
        }
    }
    return found && url_branch_name_is_valid(found, NULL) ? found : NULL;
}

static bool is_same_file(const char *left, const char *right)
{
    struct stat a;
    struct stat b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static bool read_original(struct import *import, GError **error)
{
    size_t length = 0;
    g_autofree char *file = g_build_filename(import->directory, "Repo.toml", NULL);
    g_autofree char *text = file_read(file, CONFIG_FILE_MAX_BYTES, &length, error);
    if (!text || !load_tips(import, error)) {
        return false;
    }
    import->in_place = is_same_file(file, import->repo_toml);
    import->original = original_convert(file, text, length, find_branch, import, error);
    return import->original != NULL;
}

/* ------------------------------------------------------------------- merging */

static const struct repo_config *find_by_path(const struct config *config, const char *path)
{
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (strcmp(repo->url, path) == 0) {
            return repo;
        }
    }
    return NULL;
}

/* Of an entry that is here already, ours is kept as it is. */
static bool is_here(const struct config *ours, struct original_entry *entry)
{
    const struct repo_config *same = config_find_repo(ours, entry->name);
    if (!same || strcmp(same->url, entry->path) != 0) {
        same = find_by_path(ours, entry->path);
    }
    if (!same || (entry->target_branch && *entry->target_branch &&
                  !repo_config_wants_branch(same, entry->target_branch))) {
        return false;
    }
    g_free(entry->name);
    entry->name = g_strdup(same->name);
    original_note(entry, "it is here already as %s, and stays as it is", same->name);
    return true;
}

static void choose_name(const struct config *ours, const GHashTable *taken,
                        struct original_entry *entry)
{
    g_autofree char *wanted = g_strdup(entry->name);
    for (unsigned i = 2; config_find_repo(ours, entry->name) ||
                         g_hash_table_contains((GHashTable *)taken, entry->name);
         i++) {
        g_free(entry->name);
        entry->name = g_strdup_printf("%s-%u", wanted, i);
    }
    if (strcmp(entry->name, wanted) != 0) {
        original_note(entry, "there is another %s here, so it is called %s now", wanted,
                      entry->name);
    }
}

static bool append_section(char **text, const char *file, const struct original_entry *entry,
                           GError **error)
{
    const struct edit_section section = {entry->name, entry->path, entry->target_branch,
                                         entry->ssh_key_path};
    g_autofree char *changed = edit_add_section(*text, strlen(*text), file, &section, error);
    if (!changed) {
        return false;
    }
    g_autoptr(GString) whole = g_string_new(changed);
    if (entry->branch_exclusions && *entry->branch_exclusions) {
        g_string_append(whole, "branch_exclusions = ");
        edit_append_string(whole, entry->branch_exclusions);
        g_string_append_c(whole, '\n');
    }
    g_free(*text);
    *text = g_string_free(g_steal_pointer(&whole), FALSE);
    return true;
}

/* Our own file keeps every byte; the new sections come behind it. */
static bool merge(struct import *import, const char *present, GError **error)
{
    const struct config *ours = import->context->config;
    g_autoptr(GHashTable) taken = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *text = g_strdup(present);
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        struct original_entry *entry = g_ptr_array_index(import->original->entries, i);
        if (entry->left_out) {
            continue;
        }
        if (is_here(ours, entry)) {
            g_hash_table_add(import->kept, entry);
            continue;
        }
        choose_name(ours, taken, entry);
        g_hash_table_add(taken, entry->name);
        if (!append_section(&text, import->repo_toml, entry, error)) {
            return false;
        }
    }
    import->changed = strcmp(text, present) != 0;
    import->text = g_steal_pointer(&text);
    return true;
}

static bool make_text(struct import *import, GError **error)
{
    g_autoptr(GError) local = NULL;
    size_t length = 0;
    g_autofree char *present = file_read(import->repo_toml, CONFIG_FILE_MAX_BYTES, &length, &local);
    if (!present && !error_has_code(local, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    if (present && !import->in_place) {
        return merge(import, present, error);
    }
    import->changed = import->original->changed || !present;
    import->text = g_strdup(import->original->text);
    return true;
}

/* ---------------------------------------------------------------------- tips */

/* The sections as the daemon will see them, from a directory that lasts only for this. */
static struct config *load_result(const struct import *import, GError **error)
{
    g_autofree char *directory = g_dir_make_tmp("phantom_ci-import-XXXXXX", error);
    if (!directory) {
        return NULL;
    }
    g_autofree char *path = g_build_filename(directory, "Repo.toml", NULL);
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = NULL;
    if (file_write_atomic(path, import->text, strlen(import->text), 0600, error)) {
        config = config_load(directory, diagnostics);
    }
    if (!config && diagnostics_any(diagnostics)) {
        g_autofree char *text = diagnostics_format(diagnostics);
        g_set_error(error, COMMAND_ERROR, ERROR_INVALID,
                    "the result would not be accepted, so nothing was written:\n%s", text);
    }
    diagnostics_free(diagnostics);
    file_remove_tree_at_path(directory, NULL);
    return config;
}

static void match_tip(struct import *import, const struct original_entry *entry,
                      const struct repo_config *repo, const struct original_tip *tip)
{
    /* A database too old to name branches had one a repository. */
    const char *branch = tip->branch
                             ? tip->branch
                             : (repo_config_has_named_branches(repo) && !repo->target_branches[1]
                                    ? repo->target_branches[0]
                                    : NULL);
    if (strcmp(tip->path, entry->path) == 0 && branch && url_branch_name_is_valid(branch, NULL) &&
        repo_config_wants_branch(repo, branch)) {
        struct import_tip *found = g_new0(struct import_tip, 1);
        found->entry = entry;
        found->repo = g_strdup(repo->name);
        found->branch = g_strdup(branch);
        found->sha = g_strdup(tip->sha);
        g_ptr_array_add(import->matched, found);
    }
}

static void match_tips(struct import *import, const struct config *result)
{
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        const struct original_entry *entry = g_ptr_array_index(import->original->entries, i);
        const struct repo_config *repo =
            entry->left_out ? NULL : config_find_repo(result, entry->name);
        for (unsigned k = 0; repo && import->tips && k < import->tips->len; k++) {
            match_tip(import, entry, repo, g_ptr_array_index(import->tips, k));
        }
    }
}

static bool is_known(struct store *store, const struct import_tip *tip, bool *known, GError **error)
{
    g_autoptr(GPtrArray) branches = store_branches(store, tip->repo, error);
    *known = false;
    for (unsigned i = 0; branches && i < branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        *known = *known || (strcmp(refkey_branch(branch->name), tip->branch) == 0 && branch->tip);
    }
    return branches != NULL;
}

static bool put_tip(struct store *store, const struct import_tip *tip, GError **error)
{
    int64_t now_ms = clock_now_ms();
    g_autofree char *full = g_strconcat(REFKEY_HEADS, tip->branch, NULL);
    char *key = (char *)refkey_of(full);
    struct branch branch = {.repo = tip->repo, .name = key, .tip = tip->sha, .seen_ms = now_ms};
    struct decision decision = {
        .repo = tip->repo,
        .branch = key,
        .at_ms = now_ms,
        .kind = (char *)"imported",
        .new_sha = tip->sha,
        .detail = (char *)"taken over from the original phantom_ci: this commit counts as handled, "
                          "what was pushed after it runs"};
    return store_branch_put(store, &branch, error) && store_decision_put(store, &decision, error);
}

/* A tip that this installation knows is newer than any that the original knew. */
static bool put_tips(struct import *import, struct store *store, GError **error)
{
    for (unsigned i = 0; i < import->matched->len; i++) {
        struct import_tip *tip = g_ptr_array_index(import->matched, i);
        if (!is_known(store, tip, &tip->known, error) ||
            (!tip->known && !import->dry_run && !put_tip(store, tip, error))) {
            return false;
        }
    }
    return true;
}

static int record_tips(struct import *import)
{
    g_autoptr(GError) error = NULL;
    struct command_context *context = import->context;
    bool exists = false;
    int code = import->matched->len == 0 ? EXIT_CODE_OK
                                         : command_open_store(context, !import->dry_run, &exists);
    if (code >= 0 || !context->store) {
        return code == EXIT_CODE_OK ? -1 : code;
    }
    if (import->dry_run) {
        return put_tips(import, context->store, &error) ? -1 : command_fail(error);
    }
    bool good = store_begin(context->store, &error) && put_tips(import, context->store, &error) &&
                store_commit(context->store, &error);
    if (!good) {
        store_rollback(context->store);
        return command_fail(error);
    }
    return -1;
}

/* ------------------------------------------------------------------- writing */

static bool holds(const char *path, const char *bytes, size_t length)
{
    size_t found_length = 0;
    g_autofree char *found = file_read(path, CONFIG_FILE_MAX_BYTES, &found_length, NULL);
    return found && found_length == length && memcmp(found, bytes, length) == 0;
}

/* Repo.toml.original, and when that holds something else already, Repo.toml.original-2, ... */
static bool keep_file(struct import *import, GError **error)
{
    g_autofree char *first = g_strconcat(import->repo_toml, ".original", NULL);
    size_t length = 0;
    g_autofree char *bytes = file_read(import->repo_toml, CONFIG_FILE_MAX_BYTES, &length, error);
    import->kept_as = g_strdup(first);
    for (unsigned i = 2;
         bytes && access(import->kept_as, F_OK) == 0 && !holds(import->kept_as, bytes, length);
         i++) {
        g_free(import->kept_as);
        import->kept_as = g_strdup_printf("%s-%u", first, i);
    }
    return bytes && file_write_atomic(import->kept_as, bytes, length, 0600, error);
}

static int write_result(struct import *import)
{
    g_autoptr(GError) error = NULL;
    if (!import->changed || import->dry_run) {
        return -1;
    }
    g_mkdir_with_parents(import->context->paths.config, 0700);
    bool good = !import->in_place || keep_file(import, &error);
    int fault = good ? fault_point("import.write") : 0;
    if (fault) {
        good = error_set_errno(&error, COMMAND_ERROR, fault, "cannot write %s", import->repo_toml);
    }
    good = good &&
           file_write_atomic(import->repo_toml, import->text, strlen(import->text), 0600, &error);
    return good ? -1 : command_fail(error);
}

/* ------------------------------------------------------------ what to look at */

static void note_host_key(struct original_entry *entry)
{
    struct url url = {.host = NULL};
    bool known = true;
    if (!url_parse(entry->path, &url, NULL)) {
        return;
    }
    if (url.scheme == URL_SSH && hostkey_is_known(&url, &known, NULL) && !known) {
        g_autofree char *accept = hostkey_accept_command(&url);
        original_note(entry,
                      "the host key of %s is checked now and is not known yet; compare its "
                      "fingerprint, then: %s",
                      url.host, accept);
    }
    url_clear(&url);
}

static void note_ssh_key(struct original_entry *entry)
{
    const char *home = g_getenv("HOME");
    struct stat status;
    if (!entry->ssh_key_path) {
        return;
    }
    g_autofree char *path = g_str_has_prefix(entry->ssh_key_path, "~/") && home
                                ? g_build_filename(home, entry->ssh_key_path + 2, NULL)
                                : g_strdup(entry->ssh_key_path);
    g_autofree char *quoted = g_shell_quote(path);
    if (stat(path, &status) < 0) {
        original_note(entry, "its ssh key can't be used: %s: %s", path, g_strerror(errno));
    } else if (status.st_mode & 0077) {
        original_note(entry,
                      "its ssh key may be read by others (mode %03o), which ssh refuses: "
                      "chmod 600 %s",
                      (unsigned)(status.st_mode & 0777), quoted);
    }
}

static void note_surroundings(struct import *import)
{
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        struct original_entry *entry = g_ptr_array_index(import->original->entries, i);
        if (!entry->left_out) {
            note_host_key(entry);
            note_ssh_key(entry);
        }
    }
}

static int carry_out(struct import *import)
{
    g_autoptr(GError) error = NULL;
    if (!read_original(import, &error)) {
        return command_fail(error);
    }
    int code = import->in_place ? -1 : command_load_config(import->context);
    if (code >= 0) {
        return code;
    }
    struct config *result = make_text(import, &error) ? load_result(import, &error) : NULL;
    if (!result) {
        return command_fail(error);
    }
    match_tips(import, result);
    config_free(result);
    code = record_tips(import);
    if (code < 0) {
        code = write_result(import);
    }
    if (code < 0) {
        note_surroundings(import);
        code = import_report(import);
        wake_daemon(&import->context->paths);
    }
    return code;
}

static void free_tip(void *data)
{
    struct import_tip *tip = data;
    g_free(tip->repo);
    g_free(tip->branch);
    g_free(tip->sha);
    g_free(tip);
}

static void import_clear(struct import *import)
{
    original_free(import->original);
    g_clear_pointer(&import->tips, g_ptr_array_unref);
    g_clear_pointer(&import->matched, g_ptr_array_unref);
    g_clear_pointer(&import->kept, g_hash_table_unref);
    g_free(import->directory);
    g_free(import->repo_toml);
    g_free(import->text);
    g_free(import->kept_as);
}

int command_import_original(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct import import = {.context = &context};
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &import.dry_run, "only say what would be done", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, 1);
    if (code < 0) {
        import.matched = g_ptr_array_new_with_free_func(free_tip);
        import.kept = g_hash_table_new(g_direct_hash, g_direct_equal);
        import.repo_toml = paths_repo_toml(&context.paths);
        import.directory =
            argc > 1 ? g_canonicalize_filename(argv[1], NULL) : find_directory(&error);
        code = import.directory ? carry_out(&import) : command_fail(error);
    }
    import_clear(&import);
    command_context_clear(&context);
    return code;
}
