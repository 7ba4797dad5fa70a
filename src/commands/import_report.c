#include "commands/import_report.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "commands/show.h"

/* What is different for all of them. */
static const char *const general[] = {
    "stop and disable the original first: both must not watch the same repositories",
    "`run` is split by the shell's quoting rules (no shell): run = 'bash -lc \"a && b\"' works now",
    "a workflow with any key but `run` is an error: phantom_ci check workflow/BRANCH.toml",
    "steps see a fresh environment: neither the daemon's nor what is in .env",
    "the first failed step ends a job; each job has a time limit of 1 h (timeout)",
    "the original's clones in its cache directory are not used and may be deleted",
};

static const char *state_of(const struct import *import, const struct original_entry *entry)
{
    if (entry->left_out) {
        return "left out";
    }
    return g_hash_table_contains(import->kept, entry) ? "kept" : "imported";
}

/* The message about .env or Repo.toml that others may use; NULL = all is well. */
static char *complain_about_mode(const char *path, unsigned forbidden, const char *mend)
{
    struct stat status;
    if (stat(path, &status) < 0 || !(status.st_mode & forbidden)) {
        return NULL;
    }
    g_autofree char *quoted = g_shell_quote(path);
    return g_strdup_printf("%s has mode %03o and is refused so: chmod %s %s", path,
                           (unsigned)(status.st_mode & 0777), mend, quoted);
}

static GPtrArray *collect_warnings(const struct import *import)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *env = g_build_filename(import->context->paths.config, ".env", NULL);
    char *found = complain_about_mode(import->repo_toml, 0022, "go-w");
    if (found) {
        g_ptr_array_add(warnings, found);
    }
    found = complain_about_mode(env, 0077, "600");
    if (found) {
        g_ptr_array_add(warnings, found);
    }
    g_autofree char *theirs = g_build_filename(import->directory, ".env", NULL);
    if (!import->in_place && access(theirs, F_OK) == 0 && access(env, F_OK) < 0) {
        g_ptr_array_add(warnings, g_strdup_printf("%s holds its webhooks; the names are the same "
                                                  "here: install -m 600 %s %s",
                                                  theirs, theirs, env));
    }
    if (!import->has_database) {
        g_ptr_array_add(warnings, g_strdup("there is no db.sqlite: what is on the branches now is "
                                           "the baseline, the next push runs"));
    }
    if (import->ignored > 0) {
        g_ptr_array_add(warnings,
                        g_strdup_printf("%u row%s of db.sqlite held no usable commit",
                                        import->ignored, import->ignored == 1 ? "" : "s"));
    }
    return warnings;
}

/* -------------------------------------------------------------------- JSON */

static json_t *texts_to_json(const GPtrArray *texts)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < texts->len; i++) {
        json_array_append_new(list, show_json_text(g_ptr_array_index(texts, i)));
    }
    return list;
}

static json_t *tips_to_json(const struct import *import, const struct original_entry *entry)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < import->matched->len; i++) {
        const struct import_tip *tip = g_ptr_array_index(import->matched, i);
        if (tip->entry == entry) {
            json_t *object = json_object();
            json_object_set_new(object, "branch", show_json_text(tip->branch));
            json_object_set_new(object, "sha", show_json_text(tip->sha));
            json_object_set_new(object, "recorded", json_boolean(!tip->known));
            json_array_append_new(list, object);
        }
    }
    return list;
}

static void print_json(const struct import *import, const GPtrArray *warnings)
{
    json_t *root = json_object();
    json_t *list = json_array();
    json_t *differences = json_array();
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        const struct original_entry *entry = g_ptr_array_index(import->original->entries, i);
        json_t *object = json_object();
        json_object_set_new(object, "header", show_json_text(entry->header));
        json_object_set_new(object, "name", show_json_text(entry->name));
        json_object_set_new(object, "path", show_json_text(entry->path));
        json_object_set_new(object, "state", json_string(state_of(import, entry)));
        json_object_set_new(object, "notes", texts_to_json(entry->notes));
        json_object_set_new(object, "tips", tips_to_json(import, entry));
        json_array_append_new(list, object);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(general); i++) {
        json_array_append_new(differences, json_string(general[i]));
    }
    json_object_set_new(root, "directory", show_json_text(import->directory));
    json_object_set_new(root, "repo_toml", show_json_text(import->repo_toml));
    json_object_set_new(root, "dry_run", json_boolean(import->dry_run));
    json_object_set_new(root, "in_place", json_boolean(import->in_place));
    json_object_set_new(root, "changed", json_boolean(import->changed));
    json_object_set_new(root, "kept_as", show_json_text(import->kept_as));
    json_object_set_new(root, "repos", list);
    json_object_set_new(root, "warnings", texts_to_json(warnings));
    json_object_set_new(root, "differences", differences);
    show_json_print(root);
}

/* -------------------------------------------------------------------- text */

static void print_tips(const struct import *import, const struct original_entry *entry)
{
    for (unsigned i = 0; i < import->matched->len; i++) {
        const struct import_tip *tip = g_ptr_array_index(import->matched, i);
        if (tip->entry == entry) {
            g_autofree char *branch = text_escape(tip->branch);
            printf("  %s: %s\n", branch,
                   tip->known ? "its tip is known here already" : text_short_id(tip->sha));
        }
    }
}

static void print_entry(const struct import *import, const struct original_entry *entry)
{
    g_autofree char *name = text_escape(entry->name);
    g_autofree char *path = text_escape(entry->path ? entry->path : "no path");
    printf("%s (%s): %s\n", name, path, state_of(import, entry));
    for (unsigned i = 0; i < entry->notes->len; i++) {
        printf("  - %s\n", (const char *)g_ptr_array_index(entry->notes, i));
    }
    print_tips(import, entry);
}

static void print_outcome(const struct import *import)
{
    if (!import->changed) {
        printf("%s is used as it is\n", import->repo_toml);
    } else if (import->dry_run) {
        printf("%s would be written%s\n", import->repo_toml,
               import->in_place ? ", and the present one kept as Repo.toml.original" : "");
    } else {
        printf("%s is written%s%s\n", import->repo_toml, import->kept_as ? "; as it was: " : "",
               import->kept_as ? import->kept_as : "");
    }
}

static void print_text(const struct import *import, const GPtrArray *warnings)
{
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        print_entry(import, g_ptr_array_index(import->original->entries, i));
    }
    if (import->original->entries->len == 0) {
        printf("%s names no repository\n", import->directory);
    }
    puts("\nDifferent from now on:");
    for (unsigned i = 0; i < G_N_ELEMENTS(general); i++) {
        printf("  - %s\n", general[i]);
    }
    putchar('\n');
    for (unsigned i = 0; i < warnings->len; i++) {
        g_autofree char *warning = text_escape(g_ptr_array_index(warnings, i));
        printf("warning: %s\n", warning);
    }
    print_outcome(import);
}

int import_report(const struct import *import)
{
    g_autoptr(GPtrArray) warnings = collect_warnings(import);
    if (import->context->json) {
        print_json(import, warnings);
    } else {
        print_text(import, warnings);
    }
    for (unsigned i = 0; i < import->original->entries->len; i++) {
        const struct original_entry *entry = g_ptr_array_index(import->original->entries, i);
        if (entry->left_out) {
            return EXIT_CODE_NEGATIVE;
        }
    }
    return EXIT_CODE_OK;
}
