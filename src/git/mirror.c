#include "git/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/refkey.h"
#include "base/text.h"
#include "git/mirror_internal.h"
#include "git/settings.h"
#include "git/trash.h"

enum { LOCK_SLICE_MS = 200, REF_NAME_MAX = 160 };

struct git_limits mirror_limits(const struct mirror *mirror)
{
    struct git_limits limits = mirror->limits;
    if (limits.timeout_ms >= 0 && mirror->end_ms > 0) {
        int64_t left_ms = clock_left_ms(mirror->end_ms);
        limits.timeout_ms = (int)MAX(left_ms, 1);
    }
    return limits;
}

void mirror_begin(struct mirror *mirror)
{
    mirror->end_ms =
        mirror->limits.timeout_ms < 0 ? 0 : clock_monotonic_ms() + mirror->limits.timeout_ms;
}

bool mirror_git(struct mirror *mirror, const char *const *arguments, struct spawn_result *out,
                GError **error)
{
    static const char *const none[] = {NULL};
    return mirror_git_with(mirror, none, arguments, out, error);
}

bool mirror_git_with(struct mirror *mirror, const char *const *variables,
                     const char *const *arguments, struct spawn_result *out, GError **error)
{
    g_auto(GStrv) environment = git_environment_replace(git_environment_local(NULL), variables);
    g_autofree char *git_dir = g_strconcat("--git-dir=", mirror->git_dir, NULL);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_ptr_array_add(all, git_dir);
    for (; *arguments; arguments++) {
        g_ptr_array_add(all, (gpointer)*arguments);
    }
    g_ptr_array_add(all, NULL);
    struct git_limits limits = mirror_limits(mirror);
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

char *mirror_ref_name(const char *text, const char *suffix)
{
    g_assert(text);
    g_autoptr(GString) name = g_string_new(NULL);
    for (const char *p = text; *p; p++) {
        if (g_ascii_isalnum(*p) || *p == '-' || *p == '_') {
            g_string_append_c(name, *p);
        } else {
            g_string_append_printf(name, "%%%02X", (unsigned char)*p);
        }
    }
    if (name->len > REF_NAME_MAX) {
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
        g_string_truncate(name, REF_NAME_MAX - 64);
        g_string_append(name, hash);
    }
    return g_strconcat("refs/phantom_ci/", name->str, suffix, NULL);
}

/* ---- locks ---- */

static bool is_canceled(int cancel_fd)
{
    struct pollfd item = {.fd = cancel_fd, .events = POLLIN};
    return cancel_fd >= 0 && poll(&item, 1, 0) > 0;
}

static int wait_for_lock(struct mirror *mirror, const char *suffix, enum lock_mode mode,
                         GError **error)
{
    g_autofree char *path = g_strconcat(mirror->stem, suffix, NULL);
    mirror->waited = false;
    for (;;) {
        GError *failure = NULL;
        int fd = lock_wait(path, mode, mirror->waited ? LOCK_SLICE_MS : 0, &failure);
        if (fd >= 0) {
            return fd;
        }
        if (!error_has_code(failure, ERROR_BUSY)) {
            g_propagate_error(error, failure);
            return -1;
        }
        g_clear_error(&failure);
        mirror->waited = true;
        if (is_canceled(mirror->limits.cancel_fd)) {
            g_set_error(error, GIT_ERROR, ERROR_CANCELED, "canceled while waiting for %s", path);
            return -1;
        }
        if (mirror->end_ms > 0 && clock_monotonic_ms() >= mirror->end_ms) {
            g_set_error(error, GIT_ERROR, ERROR_LIMIT,
                        "no time left after waiting for %s, which another job holds", path);
            return -1;
        }
    }
}

int mirror_lock_for_fetch(struct mirror *mirror, GError **error)
{
    int fd = wait_for_lock(mirror, ".fetch-lock", LOCK_EXCLUSIVE, error);
    if (fd >= 0) {
        mirror_remove_leftovers(mirror->git_dir);
    }
    return fd;
}

/* ---- making and replacing ---- */

/* True when the directory is the one that was seen last; remembers the one that is there. */
static bool remember_directory(struct mirror *mirror)
{
    struct stat status = {0};
    if (lstat(mirror->git_dir, &status) != 0) {
        return false;
    }
    bool same = status.st_dev == mirror->device && status.st_ino == mirror->inode;
    mirror->device = status.st_dev;
    mirror->inode = status.st_ino;
    return same;
}

static bool init_at(struct mirror *mirror, const char *path, const char *object_format,
                    GError **error)
{
    if (!file_remove_tree_at_path(path, error)) {
        return false;
    }
    g_autofree char *format = g_strconcat("--object-format=", object_format, NULL);
    const char *arguments[] = {"init", "-q", "--bare", "--template=", format, "--", path, NULL};
    g_auto(GStrv) environment = git_environment_local(NULL);
    struct git_limits limits = mirror_limits(mirror);
    if (!git_run(arguments, (const char *const *)environment, &limits, NULL, error)) {
        g_prefix_error(error, "can't make the mirror %s: ", path);
        return false;
    }
    if (chmod(path, S_IRWXU) != 0) {
        return error_set_errno(error, GIT_ERROR, errno, "can't make %s private", path);
    }
    return true;
}

/* Puts the finished directory `path` into the mirror's place; the old one goes to the trash. */
static bool take_place(struct mirror *mirror, const char *path, GError **error)
{
    bool exchanged = false;
#ifdef RENAME_EXCHANGE
    /* so that readers find one of the two at every instant */
    exchanged = renameat2(AT_FDCWD, path, AT_FDCWD, mirror->git_dir, RENAME_EXCHANGE) == 0;
#endif
    if (exchanged) {
        trash_set_aside(mirror->cache, path, NULL);
    } else {
        if (!trash_set_aside(mirror->cache, mirror->git_dir, error)) {
            return false;
        }
        if (rename(path, mirror->git_dir) != 0) {
            return error_set_errno(error, GIT_ERROR, errno, "can't rename %s to %s", path,
                                   mirror->git_dir);
        }
    }
    remember_directory(mirror);
    return true;
}

static char *path_of_new(const struct mirror *mirror)
{
    return g_strconcat(mirror->stem, ".new", NULL);
}

static bool make(struct mirror *mirror, const char *object_format, GError **error)
{
    g_autofree char *path = path_of_new(mirror);
    mirror->fresh = init_at(mirror, path, object_format, error) && take_place(mirror, path, error);
    return mirror->fresh;
}

static bool is_there(struct mirror *mirror)
{
    struct stat status;
    if (lstat(mirror->git_dir, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return false;
    }
    remember_directory(mirror);
    return true;
}

/* With --git-dir git itself does not ask whose configuration it reads (safe.directory). */
static bool check_owner(const struct mirror *mirror, GError **error)
{
    struct stat status;
    if (lstat(mirror->git_dir, &status) == 0 && status.st_uid != geteuid()) {
        g_set_error(error, GIT_ERROR, ERROR_DENIED,
                    "the mirror %s belongs to another user (uid %lu): remove it, it will be made "
                    "anew",
                    mirror->git_dir, (unsigned long)status.st_uid);
        return false;
    }
    return true;
}

static bool make_if_absent(struct mirror *mirror, GError **error)
{
    if (is_there(mirror)) {
        return check_owner(mirror, error);
    }
    auto_fd lock = mirror_lock_for_fetch(mirror, error);
    return lock >= 0 && (is_there(mirror) || make(mirror, "sha1", error));
}

/* "<last component of the URL>-<hash of URL and key>": readable, and no two remotes meet. */
char *mirror_stem(const char *cache, const struct git_remote *remote)
{
    g_autofree char *trimmed = g_strdup(remote->url);
    for (size_t length = strlen(trimmed); length > 0 && trimmed[length - 1] == '/'; length--) {
        trimmed[length - 1] = '\0';
    }
    const char *last = trimmed + strlen(trimmed);
    while (last > trimmed && !strchr("/:", last[-1])) {
        last--;
    }
    g_autofree char *name = g_strndup(last, MIN(strlen(last), 60));
    if (g_str_has_suffix(name, ".git")) {
        name[strlen(name) - 4] = '\0';
    }
    g_autofree char *component = file_component_from_name(name[0] ? name : "mirror");
    g_autofree char *identity = g_strconcat(remote->url, "\n", remote->ssh_key_path, NULL);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, identity, -1);
    return g_strdup_printf("%s/mirrors/%s-%.16s", cache, component, hash);
}

char *mirror_path(const char *cache_directory, const struct git_remote *remote)
{
    g_autofree char *stem = mirror_stem(cache_directory, remote);
    return g_strconcat(stem, ".git", NULL);
}

struct mirror *mirror_open(const char *cache_directory, const struct git_remote *remote,
                           const struct git_limits *limits, GError **error)
{
    struct url url;
    if (!url_parse(remote->url, &url, error)) {
        return NULL;
    }
    url_clear(&url);
    g_autofree char *mirrors = g_build_filename(cache_directory, "mirrors", NULL);
    if (!file_ensure_private_directory(mirrors, error)) {
        return NULL;
    }
    struct mirror *mirror = g_new0(struct mirror, 1);
    mirror->cache = g_strdup(cache_directory);
    mirror->stem = mirror_stem(cache_directory, remote);
    mirror->git_dir = g_strconcat(mirror->stem, ".git", NULL);
    mirror->url = g_strdup(remote->url);
    mirror->ssh_key_path = g_strdup(remote->ssh_key_path);
    mirror->remote = (struct git_remote){.url = mirror->url, .ssh_key_path = mirror->ssh_key_path};
    mirror->limits = limits ? *limits : (struct git_limits){.timeout_ms = -1, .cancel_fd = -1};
    mirror_begin(mirror);
    mirror->lock_fd = wait_for_lock(mirror, ".lock", LOCK_SHARED, error);
    if (mirror->lock_fd >= 0 && make_if_absent(mirror, error)) {
        return mirror;
    }
    mirror_close(mirror);
    return NULL;
}

void mirror_close(struct mirror *mirror)
{
    if (!mirror) {
        return;
    }
    fd_close(&mirror->lock_fd);
    g_free(mirror->cache);
    g_free(mirror->stem);
    g_free(mirror->git_dir);
    g_free(mirror->url);
    g_free(mirror->ssh_key_path);
    g_free(mirror->ref);
    g_free(mirror->keep_ref);
    g_free(mirror->described);
    g_free(mirror->parents);
    g_free(mirror);
}

const char *mirror_git_dir(const struct mirror *mirror)
{
    return mirror->git_dir;
}

/* ---- fetching ---- */

static bool contains_any(const char *text, const char *const *signs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(text, signs[i])) {
            return true;
        }
    }
    return false;
}

/* The server answered, and does not have or does not give what was asked for. */
static bool is_refused(const char *text)
{
    static const char *const signs[] = {"not our ref", "unadvertised object",
                                        "couldn't find remote ref", "no such remote ref",
                                        "dumb http transport"};
    return contains_any(text, signs, G_N_ELEMENTS(signs));
}

/* The connection or the server is at fault, not what lies in the mirror. */
static bool is_about_the_remote(const char *text)
{
    static const char *const signs[] = {"Could not read from remote repository",
                                        "unable to access '",
                                        "Authentication failed",
                                        "terminal prompts disabled",
                                        "dubious ownership",
                                        "unable to connect",
                                        "' not allowed",
                                        "unable to find remote helper",
                                        "cannot run ssh"};
    return contains_any(text, signs, G_N_ELEMENTS(signs));
}

/* What a fetch is to bring: one commit under a ref that keeps it, or (sha = NULL) what a ref of the
 * remote points to. */
struct wanted {
    const char *sha, *ref, *keep_ref;
};

bool mirror_fetch_into(struct mirror *mirror, const char *source, const char *ref, char **said,
                       GError **error)
{
    g_auto(GStrv) environment = git_environment_remote(&mirror->remote, error);
    if (!environment) {
        return false;
    }
    if (git_redirects_leak(mirror->url)) {
        environment = git_environment_add_config(environment, "http.followRedirects", "false");
    }
    g_autofree char *git_dir = g_strconcat("--git-dir=", mirror->git_dir, NULL);
    g_autofree char *refspec = g_strdup_printf("+%s:%s", source, ref);
    const char *arguments[] = {git_dir,
                               "fetch",
                               "--quiet",
                               "--no-write-fetch-head",
                               "--no-auto-gc",
                               "--force",
                               "--no-recurse-submodules",
                               "--",
                               mirror->url,
                               refspec,
                               NULL};
    struct git_limits limits = mirror_limits(mirror);
    struct spawn_result result = {0};
    GError *failure = NULL;
    bool ok = git_run(arguments, (const char *const *)environment, &limits, &result, &failure);
    g_free(*said);
    *said = g_strdup(result.err ? result.err : "");
    spawn_result_clear(&result);
    if (ok) {
        return true;
    }
    if (failure->code == ERROR_REMOTE) {
        /* said again with the address, which the hints need */
        g_autofree char *words = git_explain_failure(*said, &mirror->remote);
        g_autofree char *url = url_for_display(mirror->url);
        int code = is_refused(*said) ? ERROR_NOT_FOUND : ERROR_REMOTE;
        g_clear_error(&failure);
        /* git tells of the end of its child, not of the reason */
        int64_t most = limits.file_max_bytes;
        if (most > 0 && mirror_has_cut_pack(mirror->git_dir, most)) {
            g_propagate_error(error, git_too_large(most));
            return false;
        }
        failure = g_error_new(GIT_ERROR, code, "can't fetch from %s: %s", url, words);
    }
    g_propagate_error(error, failure);
    return false;
}

/* The commit and its tree can be read; with the refs it would be their word alone. */
static bool is_present(struct mirror *mirror, const char *sha)
{
    g_autofree char *tree = g_strconcat(sha, "^{commit}^{tree}", NULL);
    const char *arguments[] = {"cat-file", "-e", tree, NULL};
    return mirror_git(mirror, arguments, NULL, NULL);
}

/* After a fetch that went well: why the commit is not there. */
static bool explain_absence(struct mirror *mirror, const char *sha, GError **error)
{
    const char *arguments[] = {"cat-file", "-t", sha, NULL};
    struct spawn_result result = {0};
    bool is_there =
        mirror_git(mirror, arguments, &result, NULL) && !g_str_has_prefix(result.out, "commit");
    if (is_there) {
        /* a tag can be put on anything */
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "%s is a %s, not a commit", sha,
                    g_strchomp(result.out));
    } else {
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM,
                    "the mirror %s does not have the commit %s after fetching it", mirror->git_dir,
                    sha);
    }
    spawn_result_clear(&result);
    return false;
}

bool mirror_update_ref(struct mirror *mirror, const char *ref, const char *sha, GError **error)
{
    const char *arguments[] = {"update-ref", "--no-deref", ref, sha, NULL};
    if (mirror_git(mirror, arguments, NULL, NULL)) {
        return true;
    }
    /* git refuses to write over a ref file that a crash has left empty */
    g_autofree char *path = g_build_filename(mirror->git_dir, ref, NULL);
    unlink(path);
    return mirror_git(mirror, arguments, NULL, error);
}

static bool fetch_by_ref(struct mirror *mirror, const struct wanted *wanted, char **said,
                         GError **error)
{
    g_autofree char *branch_ref = mirror_ref_name(wanted->keep_ref, "-branch");
    g_autofree char *ref = mirror_ref_name(wanted->keep_ref, "");
    if (!mirror_fetch_into(mirror, wanted->ref, branch_ref, said, error)) {
        return false;
    }
    if (is_present(mirror, wanted->sha)) {
        return mirror_update_ref(mirror, ref, wanted->sha, error);
    }
    g_autofree char *url = url_for_display(mirror->url);
    g_autofree char *name = text_escape(refkey_of(wanted->ref));
    bool is_tag = refkey_tag(wanted->ref) != NULL;
    g_set_error(error, GIT_ERROR, ERROR_NOT_FOUND,
                "%s no longer has the commit %s on its %s %s: the %s was %s", url, wanted->sha,
                is_tag ? "tag" : "branch", name, is_tag ? "tag" : "branch",
                is_tag ? "moved" : "rewritten");
    return false;
}

static bool fetch_wanted(struct mirror *mirror, const struct wanted *wanted, char **said,
                         GError **error)
{
    int fault = fault_point("git.fetch");
    if (fault != 0) {
        return error_set_errno(error, GIT_ERROR, fault, "git fetch");
    }
    if (!wanted->sha) {
        g_autofree char *tip_ref = mirror_ref_name(wanted->ref, "-tip");
        return mirror_fetch_into(mirror, wanted->ref, tip_ref, said, error);
    }
    g_autofree char *ref = mirror_ref_name(wanted->keep_ref, "");
    GError *failure = NULL;
    if (!mirror_fetch_into(mirror, wanted->sha, ref, said, &failure)) {
        if (failure->code != ERROR_NOT_FOUND || !wanted->ref) {
            g_propagate_error(error, failure);
            return false;
        }
        g_clear_error(&failure);
        return fetch_by_ref(mirror, wanted, said, error);
    }
    return is_present(mirror, wanted->sha) || explain_absence(mirror, wanted->sha, error);
}

/* A repository with ids of 64 digits is known by the commit's, or by what git says about a mirror
 * of the other kind. */
static const char *object_format(const struct wanted *wanted, const char *said)
{
    bool long_ids = wanted->sha ? strlen(wanted->sha) == 64
                                : strstr(said, "client sha1; server sha256") != NULL;
    return long_ids ? "sha256" : "sha1";
}

static bool rebuild(struct mirror *mirror, const struct wanted *wanted, char **said, GError **error)
{
    /* a directory that is not the one we know is the work of somebody who found the old one broken,
     * too */
    struct stat status;
    bool there = lstat(mirror->git_dir, &status) == 0;
    g_autofree char *format = g_strdup(object_format(wanted, *said ? *said : ""));
    if (there && !remember_directory(mirror) && fetch_wanted(mirror, wanted, said, NULL)) {
        return true;
    }
    struct mirror fresh = *mirror;
    g_autofree char *path = path_of_new(mirror);
    fresh.git_dir = path;
    if (init_at(&fresh, path, format, error) && fetch_wanted(&fresh, wanted, said, error) &&
        take_place(mirror, path, error)) {
        return true;
    }
    file_remove_tree_at_path(path, NULL);
    return false;
}

bool mirror_rebuild(struct mirror *mirror, const char *sha, const char *ref, const char *keep_ref,
                    GError **error)
{
    struct wanted wanted = {.sha = sha, .ref = ref, .keep_ref = keep_ref};
    g_autofree char *said = NULL;
    mirror_begin(mirror);
    mirror->rebuilt = true;
    auto_fd lock = mirror_lock_for_fetch(mirror, error);
    return lock >= 0 && rebuild(mirror, &wanted, &said, error);
}

bool mirror_heal(struct mirror *mirror, const char *sha, GError **error)
{
    if (mirror->rebuilt || !mirror->keep_ref) {
        g_set_error(error, GIT_ERROR, ERROR_SYSTEM, "the mirror %s can't be read", mirror->git_dir);
        return false;
    }
    return mirror_rebuild(mirror, sha, mirror->ref, mirror->keep_ref, error);
}

/* Whether a new mirror could do better than this one did. */
static bool mirror_may_be_broken(const struct mirror *mirror, const GError *failure,
                                 const char *said)
{
    bool wrong_kind = strstr(said, "mismatched algorithms") != NULL;
    if ((mirror->fresh && !wrong_kind) ||
        (failure->code != ERROR_REMOTE && failure->code != ERROR_SYSTEM)) {
        return false;
    }
    return wrong_kind || !is_about_the_remote(said);
}

static bool fetch_locked(struct mirror *mirror, const struct wanted *wanted, bool *rebuilt,
                         GError **error)
{
    g_autofree char *said = g_strdup("");
    GError *failure = NULL;
    if (mirror->fresh && wanted->sha && strlen(wanted->sha) == 64 &&
        !make(mirror, "sha256", error)) {
        return false;
    }
    if (fetch_wanted(mirror, wanted, &said, &failure)) {
        return true;
    }
    if (failure->code == ERROR_INVALID) {
        mirror_remove_leftovers(mirror->git_dir); /* of what was too large */
    }
    if (failure->code == ERROR_SYSTEM) {
        /* git itself came to grief (killed, say): once more, before the mirror is suspected */
        g_clear_error(&failure);
        mirror_remove_leftovers(mirror->git_dir);
        if (fetch_wanted(mirror, wanted, &said, &failure)) {
            return true;
        }
    }
    if (mirror_may_be_broken(mirror, failure, said)) {
        GError *second = NULL;
        mirror_begin(mirror);
        if (rebuild(mirror, wanted, &said, &second)) {
            mirror->rebuilt = *rebuilt = true;
            g_clear_error(&failure);
            return true;
        }
        /* the first failure says more, unless the second one was asked for */
        if (error_has_code(second, ERROR_CANCELED) || error_has_code(second, ERROR_NO_SPACE)) {
            g_clear_error(&failure);
            failure = g_steal_pointer(&second);
        }
        g_clear_error(&second);
    }
    g_propagate_error(error, failure);
    return false;
}

bool mirror_fetch_tip(struct mirror *mirror, const char *ref, char **tip_ref, GError **error)
{
    struct wanted wanted = {.ref = ref};
    bool rebuilt = false;
    mirror_begin(mirror);
    auto_fd lock = mirror_lock_for_fetch(mirror, error);
    if (lock < 0 || !fetch_locked(mirror, &wanted, &rebuilt, error)) {
        return false;
    }
    mirror->fresh = false;
    *tip_ref = mirror_ref_name(ref, "-tip");
    return true;
}

/* A full name of a branch or a tag, that git takes for nothing else. */
static bool check_ref(const char *ref, GError **error)
{
    const char *key = refkey_of(ref);
    if (!key) {
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "\"%s\" is no branch and no tag", ref);
        return false;
    }
    const char *tag = refkey_tag(key);
    return url_remote_branch_is_valid(tag ? tag : refkey_branch(key), error);
}

bool mirror_fetch(struct mirror *mirror, const char *sha, const char *ref, const char *keep_ref,
                  bool *rebuilt, GError **error)
{
    *rebuilt = false;
    if (!text_is_object_id(sha)) {
        g_set_error_literal(error, GIT_ERROR, ERROR_INVALID,
                            "a commit is named by all of its 40 or 64 digits here");
        return false;
    }
    if (ref && !check_ref(ref, error)) {
        return false;
    }
    mirror_begin(mirror);
    g_free(mirror->ref);
    g_free(mirror->keep_ref);
    mirror->ref = g_strdup(ref);
    mirror->keep_ref = g_strdup(keep_ref);
    struct wanted wanted = {.sha = sha, .ref = ref, .keep_ref = keep_ref};
    g_autofree char *own_ref = mirror_ref_name(keep_ref, "");
    bool ok =
        !mirror->fresh && is_present(mirror, sha) && mirror_update_ref(mirror, own_ref, sha, NULL);
    if (!ok) {
        auto_fd lock = mirror_lock_for_fetch(mirror, error);
        if (lock < 0) {
            return false;
        }
        /* asked again only where somebody may have fetched it meanwhile */
        ok = ((mirror->fresh || mirror->waited) && is_present(mirror, sha) &&
              mirror_update_ref(mirror, own_ref, sha, NULL)) ||
             fetch_locked(mirror, &wanted, rebuilt, error);
    }
    mirror->fresh = mirror->fresh && !ok;
    return ok;
}

void mirror_collect_garbage(struct mirror *mirror)
{
    g_autofree char *path = g_strconcat(mirror->stem, ".lock", NULL);
    fd_close(&mirror->lock_fd);
    mirror_begin(mirror);
    int fd = lock_take(path, LOCK_EXCLUSIVE, NULL);
    if (fd >= 0) {
        auto_fd fetch_lock = mirror_lock_for_fetch(mirror, NULL);
        const char *arguments[] = {"-c", "gc.auto=6700", "-c",      "gc.autoDetach=false",
                                   "gc", "--auto",       "--quiet", NULL};
        if (fetch_lock >= 0) {
            mirror_git(mirror, arguments, NULL, NULL);
        }
        fd_close(&fd);
    }
    mirror->lock_fd = lock_wait(path, LOCK_SHARED, -1, NULL);
}
