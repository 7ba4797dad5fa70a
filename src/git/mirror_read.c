/* Questions about the objects of a mirror. */
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/refkey.h"
#include "base/text.h"
#include "git/mirror_internal.h"

enum { MAX_TEXT = 500, MIN_PREFIX = 7, MAX_ID = 64 };

/* mirror_git(); where that fails because objects can't be read, once more in a mirror made anew. */
static bool read_objects(struct mirror *mirror, const char *sha, const char *const *arguments,
                         struct spawn_result *out, GError **error)
{
    GError *failure = NULL;
    mirror_begin(mirror);
    if (mirror_git(mirror, arguments, out, &failure)) {
        return true;
    }
    if (failure->code != ERROR_SYSTEM || !mirror_heal(mirror, sha, NULL)) {
        g_propagate_error(error, failure);
        return false;
    }
    g_clear_error(&failure);
    spawn_result_clear(out);
    *out = (struct spawn_result){.out = NULL};
    return mirror_git(mirror, arguments, out, error);
}

/* Valid UTF-8 of at most MAX_TEXT bytes. */
static char *take_text(const char *bytes)
{
    char *text = g_utf8_make_valid(bytes, -1);
    if (strlen(text) > MAX_TEXT) {
        char *end = g_utf8_find_prev_char(text, text + MAX_TEXT + 1);
        *end = '\0';
    }
    return text;
}

static void remember_parents(struct mirror *mirror, const char *sha, const char *parents)
{
    g_free(mirror->described);
    g_free(mirror->parents);
    mirror->described = g_strdup(sha);
    mirror->parents = g_strdup(parents);
}

/* Most pushes follow on what was there, which needs no walk. */
static bool is_known_parent(const struct mirror *mirror, const char *ancestor,
                            const char *descendant)
{
    g_auto(GStrv) parents =
        g_strcmp0(mirror->described, descendant) == 0 ? g_strsplit(mirror->parents, " ", -1) : NULL;
    return parents && g_strv_contains((const char *const *)parents, ancestor);
}

bool mirror_read_commit(struct mirror *mirror, const char *sha, char **subject, char **author,
                        GError **error)
{
    /* the parents first: what a commit says of itself may hold anything, a NUL as well */
    const char *arguments[] = {"log",
                               "-1",
                               "--no-walk",
                               "--no-show-signature",
                               "--encoding=UTF-8",
                               "--format=%P%x00%s%x00%an <%ae>",
                               "--end-of-options",
                               sha,
                               "--",
                               NULL};
    struct spawn_result result = {0};
    bool ok = read_objects(mirror, sha, arguments, &result, error);
    if (ok) {
        if (result.out_length > 0 && result.out[result.out_length - 1] == '\n') {
            result.out[result.out_length - 1] = '\0';
        }
        const char *fields[] = {result.out, "", ""};
        const char *end = result.out + result.out_length;
        for (unsigned i = 1; i < G_N_ELEMENTS(fields); i++) {
            const char *next = fields[i - 1] + strlen(fields[i - 1]) + 1;
            if (next > end) {
                break;
            }
            fields[i] = next;
        }
        remember_parents(mirror, sha, fields[0]);
        *subject = take_text(fields[1]);
        *author = take_text(fields[2]);
    }
    spawn_result_clear(&result);
    return ok;
}

static bool path_is_plain(const char *path)
{
    if (path[0] == '\0' || path[0] == '/') {
        return false;
    }
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part; part++) {
        if (**part == '\0' || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0) {
            return false;
        }
    }
    return true;
}

/* "100644 blob <id> <size>\t<path>" with blanks before the size. */
static bool check_entry(const char *entry, const char *path, size_t limit_bytes, char **id,
                        GError **error)
{
    g_autofree char *shown = text_escape(path);
    g_auto(GStrv) words = g_strsplit_set(entry, " \t", -1);
    const char *mode = words[0];
    const char *kind = strcmp(mode, "120000") == 0   ? "a symbolic link"
                       : strcmp(mode, "160000") == 0 ? "a submodule"
                       : strcmp(mode, "040000") == 0 ? "a directory"
                                                     : NULL;
    if (kind) {
        g_set_error(error, GIT_ERROR, ERROR_INVALID,
                    "%s is %s in the commit; it must be a regular file", shown, kind);
        return false;
    }
    unsigned size = 3;
    while (g_strv_length(words) > size && words[size][0] == '\0') {
        size++;
    }
    if (g_strv_length(words) <= size || !g_ascii_isdigit(words[size][0])) {
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM,
                    "%s: the size of the file can't be read from the mirror", shown);
        return false;
    }
    guint64 bytes = g_ascii_strtoull(words[size], NULL, 10);
    if (bytes > limit_bytes) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT,
                    "%s has %" G_GUINT64_FORMAT " bytes; at most %" G_GSIZE_FORMAT " are accepted",
                    shown, bytes, limit_bytes);
        return false;
    }
    *id = g_strdup(words[2]);
    return true;
}

static bool find_entry(struct mirror *mirror, const char *sha, const char *path, size_t limit_bytes,
                       char **id, GError **error)
{
    const char *arguments[] = {"ls-tree", "-z", "-l", "--full-tree", sha, "--", path, NULL};
    struct spawn_result result = {0};
    bool ok = read_objects(mirror, sha, arguments, &result, error);
    if (ok && result.out_length == 0) {
        g_autofree char *shown = text_escape(path);
        g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND, "the commit %s has no file %s",
                    text_short_id(sha), shown);
        ok = false;
    }
    ok = ok && check_entry(result.out, path, limit_bytes, id, error);
    spawn_result_clear(&result);
    return ok;
}

char *mirror_read_file(struct mirror *mirror, const char *sha, const char *path, size_t limit_bytes,
                       size_t *length, GError **error)
{
    *length = 0;
    if (!path_is_plain(path)) {
        g_autofree char *shown = text_escape(path);
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "\"%s\" is not a path inside of a repository",
                    shown);
        return NULL;
    }
    g_autofree char *id = NULL;
    GError *failure = NULL;
    bool found = find_entry(mirror, sha, path, limit_bytes, &id, &failure);
    if (!found && failure->code == ERROR_SYSTEM && mirror_heal(mirror, sha, NULL)) {
        g_clear_error(&failure);
        found = find_entry(mirror, sha, path, limit_bytes, &id, &failure);
    }
    if (!found) {
        g_propagate_error(error, failure);
        return NULL;
    }
    const char *arguments[] = {"cat-file", "blob", id, NULL};
    struct spawn_result result = {0};
    char *bytes = NULL;
    if (read_objects(mirror, sha, arguments, &result, error)) {
        *length = result.out_length;
        bytes = g_steal_pointer(&result.out);
    }
    spawn_result_clear(&result);
    return bytes;
}

bool mirror_is_ancestor(struct mirror *mirror, const char *ancestor, const char *descendant,
                        bool *answer, GError **error)
{
    *answer = false;
    if (!text_is_object_id(ancestor) || !text_is_object_id(descendant)) {
        g_set_error_literal(error, GIT_ERROR, ERROR_INVALID,
                            "a commit is named by all of its 40 or 64 digits here");
        return false;
    }
    if (is_known_parent(mirror, ancestor, descendant)) {
        *answer = true;
        return true;
    }
    const char *arguments[] = {"merge-base", "--is-ancestor", ancestor, descendant, NULL};
    struct spawn_result result = {0};
    GError *failure = NULL;
    mirror_begin(mirror);
    *answer = mirror_git(mirror, arguments, &result, &failure);
    /* 1 = no, 128 = one of them is not there */
    bool answered = *answer || (failure->code == ERROR_SYSTEM && WIFEXITED(result.wait_status) &&
                                WEXITSTATUS(result.wait_status) != 0);
    spawn_result_clear(&result);
    if (answered) {
        g_clear_error(&failure);
    } else {
        g_propagate_error(error, failure);
    }
    return answered;
}

/* True when both are commits that are known here and come from one. */
static bool have_common_ancestor(struct mirror *mirror, const char *from, const char *to)
{
    const char *arguments[] = {"merge-base", from, to, NULL};
    return mirror_git(mirror, arguments, NULL, NULL);
}

char *mirror_read_changed(struct mirror *mirror, const char *from, const char *to, size_t *length,
                          GError **error)
{
    *length = 0;
    mirror_begin(mirror);
    if (!text_is_object_id(from) || !text_is_object_id(to) ||
        !have_common_ancestor(mirror, from, to)) {
        g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND,
                    "the commit %s is not known any more, or has nothing in common with %s",
                    text_short_id(from), text_short_id(to));
        return NULL;
    }
    const char *arguments[] = {"diff-tree", "-r", "-z", "--name-only", "--no-renames",
                               from,        to,   "--", NULL};
    struct spawn_result result = {0};
    char *paths = NULL;
    if (mirror_git(mirror, arguments, &result, error)) {
        *length = result.out_length;
        paths = g_steal_pointer(&result.out);
    }
    spawn_result_clear(&result);
    if (paths && *length > MIRROR_MAX_CHANGED_BYTES) {
        g_set_error(error, GIT_ERROR, ERROR_LIMIT, "too many files differ from %s",
                    text_short_id(from));
        g_clear_pointer(&paths, g_free);
    }
    return paths;
}

static bool resolve_prefix(struct mirror *mirror, const char *prefix, char **full, GError **error)
{
    g_autofree char *revision = g_strconcat(prefix, "^{commit}", NULL);
    const char *arguments[] = {"rev-parse", "--verify", "--end-of-options", revision, NULL};
    struct spawn_result result = {0};
    GError *failure = NULL;
    bool ok = mirror_git(mirror, arguments, &result, &failure);
    if (ok) {
        *full = g_strstrip(g_strdup(result.out));
    } else if (failure->code == ERROR_SYSTEM && result.err && strstr(result.err, "ambiguous")) {
        g_set_error(error, GIT_ERROR, ERROR_INVALID,
                    "%s is the beginning of more than one commit's id", prefix);
    } else if (failure->code == ERROR_SYSTEM) {
        g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND, "there is no commit %s", prefix);
    } else {
        g_propagate_error(error, g_steal_pointer(&failure));
    }
    g_clear_error(&failure);
    spawn_result_clear(&result);
    return ok;
}

bool mirror_find_on_branch(struct mirror *mirror, const char *branch, const char *sha, char **full,
                           GError **error)
{
    *full = NULL;
    g_autofree char *prefix = g_ascii_strdown(sha, -1);
    size_t digits = strspn(prefix, "0123456789abcdef");
    if (digits < MIN_PREFIX || digits > MAX_ID || prefix[digits] != '\0') {
        g_autofree char *shown = text_escape(sha);
        g_set_error(error, GIT_ERROR, ERROR_INVALID,
                    "\"%s\" is not a commit: 7 to 64 hexadecimal digits are", shown);
        return false;
    }
    if (!url_remote_branch_is_valid(branch, error)) {
        return false;
    }
    g_autofree char *ref = g_strconcat(REFKEY_HEADS, branch, NULL);
    g_autofree char *tip_ref = NULL;
    g_autofree char *found = NULL;
    if (!mirror_fetch_tip(mirror, ref, &tip_ref, error) ||
        !resolve_prefix(mirror, prefix, &found, error)) {
        return false;
    }
    g_autofree char *tip = NULL;
    bool is_on_it = false;
    if (!resolve_prefix(mirror, tip_ref, &tip, error) ||
        !mirror_is_ancestor(mirror, found, tip, &is_on_it, error)) {
        return false;
    }
    if (!is_on_it) {
        g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND, "the commit %s is not on the branch %s",
                    found, branch);
        return false;
    }
    *full = g_steal_pointer(&found);
    return true;
}
