/* mirror_release_refs(), mirror_may_have_tags(): see mirror.h. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "git/mirror_internal.h"

#define REFS "refs/phantom_ci/"

enum { PACKED_REFS_MAX_BYTES = 16 * 1024 * 1024, GIT_TIMEOUT_MS = 30000 };

/* Names as mirror_ref_name() makes them; anything else is not ours to delete. */
static bool is_ours(const char *ref)
{
    if (!g_str_has_prefix(ref, REFS) || !ref[strlen(REFS)]) {
        return false;
    }
    for (const char *p = ref + strlen(REFS); *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("%-_", *p)) {
            return false;
        }
    }
    return true;
}

static void add_if_unwanted(GHashTable *unwanted, GHashTable *wanted, const char *ref)
{
    if (is_ours(ref) && !g_hash_table_contains(wanted, ref)) {
        g_hash_table_add(unwanted, g_strdup(ref));
    }
}

static void add_packed(GHashTable *unwanted, GHashTable *wanted, const char *git_dir)
{
    size_t length = 0;
    g_autofree char *path = g_build_filename(git_dir, "packed-refs", NULL);
    g_autofree char *text = file_read(path, PACKED_REFS_MAX_BYTES, &length, NULL);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
    for (char **line = lines; line && *line; line++) {
        const char *ref = strchr(*line, ' ');
        if (ref && **line != '#') {
            add_if_unwanted(unwanted, wanted, ref + 1);
        }
    }
}

static void add_loose(GHashTable *unwanted, GHashTable *wanted, const char *git_dir)
{
    g_autofree char *path = g_build_filename(git_dir, "refs", "phantom_ci", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *ref = g_strconcat(REFS, name, NULL);
        add_if_unwanted(unwanted, wanted, ref);
    }
}

/* Read from the files: most mirrors have none, and a git process for each would be felt. */
static GHashTable *list_unwanted(const char *git_dir, GHashTable *wanted)
{
    GHashTable *unwanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    add_packed(unwanted, wanted, git_dir);
    add_loose(unwanted, wanted, git_dir);
    return unwanted;
}

static GHashTable *list_wanted(GHashTable *keep)
{
    GHashTable *wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iterator;
    void *name = NULL;
    g_hash_table_iter_init(&iterator, keep);
    while (g_hash_table_iter_next(&iterator, &name, NULL)) {
        g_hash_table_add(wanted, mirror_ref_name(name, ""));
        g_hash_table_add(wanted, mirror_ref_name(name, "-branch"));
    }
    return wanted;
}

/* Absent, or there and empty. */
static bool holds_nothing(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) directory = g_dir_open(path, 0, &error);
    return directory ? !g_dir_read_name(directory)
                     : g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

bool mirror_may_have_tags(const struct mirror *mirror)
{
    size_t length = 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *loose = g_build_filename(mirror->git_dir, "refs", "tags", NULL);
    g_autofree char *tables = g_build_filename(mirror->git_dir, "reftable", NULL);
    g_autofree char *packed = g_build_filename(mirror->git_dir, "packed-refs", NULL);
    if (!holds_nothing(loose) || !holds_nothing(tables)) {
        return true;
    }
    g_autofree char *text = file_read(packed, PACKED_REFS_MAX_BYTES, &length, &error);
    return text ? strstr(text, " refs/tags/") != NULL : !error_has_code(error, ERROR_NOT_FOUND);
}

static bool delete_ref(struct mirror *mirror, const char *ref, GError **error)
{
    const char *arguments[] = {"update-ref", "--no-deref", "-d", ref, NULL};
    int fault = fault_point("gc.refs");
    if (fault) {
        return error_set_errno(error, GIT_ERROR, fault, "cannot delete %s", ref);
    }
    if (mirror_git(mirror, arguments, NULL, NULL)) {
        return true;
    }
    /* git refuses to touch a ref file that a crash has left empty. */
    g_autofree char *path = g_build_filename(mirror->git_dir, ref, NULL);
    unlink(path);
    return mirror_git(mirror, arguments, NULL, error);
}

static bool release(struct mirror *mirror, GHashTable *unwanted, unsigned *released, GError **error)
{
    GHashTableIter iterator;
    void *ref = NULL;
    g_hash_table_iter_init(&iterator, unwanted);
    while (*released < MIRROR_REFS_AT_ONCE && g_hash_table_iter_next(&iterator, &ref, NULL)) {
        if (!delete_ref(mirror, ref, error)) {
            return false;
        }
        (*released)++;
    }
    return true;
}

/* Both locks, as whoever fetches or reads has one of them; -1 when somebody does. */
static bool take_locks(const char *stem, int *use_fd, int *fetch_fd)
{
    g_autofree char *use = g_strconcat(stem, ".lock", NULL);
    g_autofree char *fetch = g_strconcat(stem, ".fetch-lock", NULL);
    *use_fd = lock_take(use, LOCK_EXCLUSIVE, NULL);
    *fetch_fd = *use_fd < 0 ? -1 : lock_take(fetch, LOCK_EXCLUSIVE, NULL);
    return *fetch_fd >= 0;
}

bool mirror_release_refs(const char *stem, GHashTable *keep, unsigned *released, GError **error)
{
    *released = 0;
    g_autofree char *git_dir = g_strconcat(stem, ".git", NULL);
    g_autoptr(GHashTable) wanted = list_wanted(keep);
    g_autoptr(GHashTable) unwanted = list_unwanted(git_dir, wanted);
    auto_fd use_fd = -1;
    auto_fd fetch_fd = -1;
    if (g_hash_table_size(unwanted) == 0 || !take_locks(stem, &use_fd, &fetch_fd)) {
        return true;
    }
    struct mirror mirror = {.git_dir = git_dir,
                            .limits = {.timeout_ms = GIT_TIMEOUT_MS, .cancel_fd = -1}};
    mirror_begin(&mirror);
    return release(&mirror, unwanted, released, error);
}
