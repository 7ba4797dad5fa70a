#include "git/localrepo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mounts.h"
#include "git/repoconfig.h"
#include "git/url.h"

enum {
    CONFIG_MAX_BYTES = 1024 * 1024,
    LINK_MAX_BYTES = 8192, /* a .git or commondir file: one path */
    HEAD_BYTES = 255,      /* as many as git looks at */
    HEAD_DIGITS = 40,
};

static const char *const suffixes[] = {"/.git", "", ".git/.git", ".git"};

enum { ITSELF = 1 }; /* among the suffixes */

/* ------------------------------------------------------------------------------------ addresses */

/* %XX as git decodes it (url.c): an escape that is none stays, and so does %00. */
static char *decode(const char *text)
{
    GString *out = g_string_new(NULL);
    for (; *text; text++) {
        int high = text[0] == '%' ? g_ascii_xdigit_value(text[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(text[2]) : -1;
        if (low >= 0 && high * 16 + low > 0) {
            g_string_append_c(out, (char)(high * 16 + low));
            text += 2;
        } else {
            g_string_append_c(out, *text);
        }
    }
    return g_string_free(out, FALSE);
}

char *local_repository_path(const char *url)
{
    static const char scheme[] = "file://";
    bool is_url = g_str_has_prefix(url, scheme);
    char *path = is_url ? decode(url + strlen(scheme)) : g_strdup(url);
    if (path[0] != '/') {
        g_free(path);
        return NULL;
    }
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/'; length--) {
        path[length - 1] = '\0';
    }
    return path;
}

/* ------------------------------------------------------------------------- what is a repository */

/* "ref: refs/..." or an object id: what makes git take HEAD for the head of a repository. */
static bool head_text_is_valid(const char *text)
{
    static const char symbolic[] = "ref:";
    if (g_str_has_prefix(text, symbolic)) {
        text += strlen(symbolic);
        text += strspn(text, " \t\n\r");
        return g_str_has_prefix(text, "refs/");
    }
    return strspn(text, "0123456789abcdefABCDEF") >= HEAD_DIGITS;
}

static bool head_is_valid(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "HEAD", NULL);
    char text[HEAD_BYTES + 1] = "";
    struct stat status;
    ssize_t length = readlink(path, text, HEAD_BYTES);
    if (length >= 0) {
        text[length] = '\0';
        return g_str_has_prefix(text, "refs/");
    }
    /* O_NONBLOCK: git would wait for the writer of a FIFO. */
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    length = fd_read(fd, text, HEAD_BYTES);
    text[MAX(length, 0)] = '\0';
    return head_text_is_valid(text);
}

/* The one line of a .git or commondir file behind `head`, made absolute; NULL for anything else. */
static char *read_link(const char *path, const char *head)
{
    size_t length;
    g_autofree char *text = file_read(path, LINK_MAX_BYTES, &length, NULL);
    if (!text || strlen(text) != length || !g_str_has_prefix(text, head)) {
        return NULL;
    }
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        text[--length] = '\0';
    }
    const char *target = text + strlen(head);
    if (length <= strlen(head)) {
        return NULL;
    }
    g_autofree char *directory = g_path_get_dirname(path);
    return target[0] == '/' ? g_strdup(target) : g_build_filename(directory, target, NULL);
}

static bool is_searchable(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* Whoever touches it may have to wait for another machine for ever. */
static bool is_out_of_reach(const char *path, struct local_doubt *doubt)
{
    bool is_remote = mounts_path_is_remote(path);
    if (is_remote) {
        local_doubt_raise(doubt, true, "%s is on a network file system, which may hang", path);
    }
    return is_remote;
}

/* The common directory of a git directory, or NULL when it is none (is_git_directory() of git's
 * setup.c) or there is a doubt. */
static char *common_directory_of(const char *directory, struct local_doubt *doubt)
{
    if (!head_is_valid(directory)) {
        return NULL;
    }
    g_autofree char *link = g_build_filename(directory, "commondir", NULL);
    struct stat status;
    g_autofree char *common = stat(link, &status) == 0 ? read_link(link, "") : g_strdup(directory);
    if (!common || is_out_of_reach(common, doubt) || !is_searchable(common, "objects") ||
        !is_searchable(common, "refs")) {
        return NULL;
    }
    return g_steal_pointer(&common);
}

/* ------------------------------------------------------------------------------- doubts, proofs */

void local_doubt_raise(struct local_doubt *doubt, bool always, const char *format, ...)
{
    doubt->always = doubt->always || always;
    if (!doubt->reason) {
        va_list arguments;
        va_start(arguments, format);
        doubt->reason = g_strdup_vprintf(format, arguments);
        va_end(arguments);
    }
}

void local_doubt_clear(struct local_doubt *doubt)
{
    g_free(doubt->reason);
    *doubt = (struct local_doubt){.reason = NULL};
}

bool local_proof_stands(const struct local_proof *proof)
{
    struct stamp stamp;
    return !proof->path || (stamp_take(AT_FDCWD, proof->path, true, &stamp) &&
                            stamp_trust_holds(&proof->trust, &stamp));
}

void local_proof_set(struct local_proof *proof, const struct local_proof *known, const char *path,
                     int64_t settle_ms)
{
    struct stamp stamp;
    proof->path = g_strdup(path);
    if (g_strcmp0(known->path, path) == 0) {
        proof->trust = known->trust;
    }
    if (stamp_take(AT_FDCWD, path, true, &stamp)) {
        stamp_trust_note(&proof->trust, &stamp, clock_monotonic_ms(), settle_ms);
    } else {
        proof->trust = (struct stamp_trust){.known = false};
    }
}

void local_proof_clear(struct local_proof *proof)
{
    g_free(proof->path);
    *proof = (struct local_proof){.path = NULL};
}

bool local_repository_stands(const struct local_repository *repository)
{
    bool stands = repository->git_directory && !repository->search_always &&
                  local_proof_stands(&repository->config) &&
                  local_proof_stands(&repository->worktree_config) &&
                  local_proof_stands(&repository->link);
    for (size_t i = 0; stands && i < LOCAL_REPOSITORY_NEARER; i++) {
        stands = local_proof_stands(&repository->nearer[i]);
    }
    return stands;
}

void local_repository_clear(struct local_repository *repository)
{
    g_free(repository->git_directory);
    g_free(repository->common_directory);
    local_doubt_clear(&repository->doubt);
    local_proof_clear(&repository->config);
    local_proof_clear(&repository->worktree_config);
    local_proof_clear(&repository->link);
    for (size_t i = 0; i < LOCAL_REPOSITORY_NEARER; i++) {
        local_proof_clear(&repository->nearer[i]);
    }
    *repository = (struct local_repository){.git_directory = NULL};
}

/* --------------------------------------------------------------------------------------- search */

/* Earlier candidates, for as long as nothing is there, need no other proof than that. */
static void prove_nothing_nearer(struct local_repository *found,
                                 const struct local_repository *known, const char *path,
                                 size_t candidate, int64_t settle_ms)
{
    size_t count = 0;
    /* PATH/.git is not there when PATH is not. */
    for (size_t i = candidate > ITSELF ? ITSELF : 0; i < candidate; i++) {
        g_autofree char *nearer = g_strconcat(path, suffixes[i], NULL);
        local_proof_set(&found->nearer[count], &known->nearer[count], nearer, settle_ms);
        if (!stamp_is_absent(&found->nearer[count].trust.stamp)) {
            found->search_always = true;
        }
        count++;
    }
}

static void note_owner(struct local_repository *repository, const char *git_directory,
                       const struct stat *link)
{
    struct stat directory;
    if (stat(git_directory, &directory) < 0) {
        return;
    }
    repository->owner = (struct local_owner){
        .device = (uint64_t)directory.st_dev,
        .inode = (uint64_t)directory.st_ino,
        .directory = directory.st_uid,
        .link = link ? link->st_uid : geteuid(),
    };
    repository->is_foreign = directory.st_uid != geteuid() || (link && link->st_uid != geteuid());
}

/* A .git file. What git would die of is for git to tell. */
static void follow_link(struct local_repository *found, const struct local_repository *known,
                        const char *path, const struct stat *status, int64_t settle_ms)
{
    local_proof_set(&found->link, &known->link, path, settle_ms);
    g_autofree char *directory = read_link(path, "gitdir: ");
    if (directory && !is_out_of_reach(directory, &found->doubt)) {
        found->common_directory = common_directory_of(directory, &found->doubt);
    }
    if (directory && found->common_directory) {
        note_owner(found, directory, status);
        found->git_directory = g_steal_pointer(&directory);
    } else {
        local_doubt_raise(&found->doubt, true, "%s leads to no repository", path);
    }
}

/* True when git would take this candidate, for better or worse. */
static bool try_candidate(struct local_repository *found, const struct local_repository *known,
                          const char *path, size_t candidate, int64_t settle_ms)
{
    g_autofree char *directory = g_strconcat(path, suffixes[candidate], NULL);
    struct stat status;
    if (is_out_of_reach(directory, &found->doubt)) {
        return true;
    }
    if (stat(directory, &status) < 0) {
        return false;
    }
    if (S_ISREG(status.st_mode) && candidate == ITSELF) {
        local_doubt_raise(&found->doubt, true, "%s is a file: a bundle, perhaps", path);
        return true;
    }
    if (S_ISREG(status.st_mode)) {
        follow_link(found, known, directory, &status, settle_ms);
        return true;
    }
    if (S_ISDIR(status.st_mode)) {
        found->common_directory = common_directory_of(directory, &found->doubt);
    }
    if (found->common_directory) {
        note_owner(found, directory, NULL);
        found->git_directory = g_steal_pointer(&directory);
    }
    return found->common_directory || found->doubt.reason;
}

/* -------------------------------------------------------------------------------- configuration */

/* False when the file is there and can't be read as git would read it. */
static bool read_config(struct local_proof *proof, const struct local_proof *known,
                        const char *directory, const char *name, int64_t settle_ms,
                        struct repoconfig *config, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *path = g_build_filename(directory, name, NULL);
    size_t length;
    local_proof_set(proof, known, path, settle_ms);
    g_autofree char *text = file_read(path, CONFIG_MAX_BYTES, &length, &local);
    if (!text && error_has_code(local, ERROR_NOT_FOUND)) {
        return true;
    }
    if (!text) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    return repoconfig_parse(config, text, length, error) ||
           (g_prefix_error(error, "%s: ", path), false);
}

static void apply_config(struct local_repository *found, const struct local_repository *known,
                         int64_t settle_ms)
{
    g_autoptr(GError) error = NULL;
    struct repoconfig config;
    repoconfig_init(&config);
    bool good = read_config(&found->config, &known->config, found->common_directory, "config",
                            settle_ms, &config, &error) &&
                (!config.worktree_config ||
                 read_config(&found->worktree_config, &known->worktree_config, found->git_directory,
                             "config.worktree", settle_ms, &config, &error));
    found->id_length = config.id_length;
    found->is_reftable = config.is_reftable;
    if (!good) {
        local_doubt_raise(&found->doubt, false, "%s", error->message);
    }
    if (config.has_includes) {
        local_doubt_raise(&found->doubt, true, "its configuration includes other files");
    }
    if (config.unknown_format) {
        local_doubt_raise(&found->doubt, false, "its format is not one that is known here");
    }
    if (config.hides_refs) {
        local_doubt_raise(&found->doubt, false, "its configuration hides refs");
    }
    if (config.is_reftable) {
        local_doubt_raise(&found->doubt, false, "its refs are in reftables");
    }
}

/* --------------------------------------------------------------------------------------- result */

static bool refuse(const char *path, int errnum, GError **error)
{
    const char *advice = "check the path, and that this user may read what is there";
    if (errnum == ENOENT || errnum == ENOTDIR) {
        advice = "there is no such directory";
    } else if (errnum != 0) {
        advice = g_strerror(errnum);
    }
    g_set_error(error, GIT_ERROR, ERROR_REMOTE, "%s is not a repository: %s", path, advice);
    return false;
}

bool local_repository_find(struct local_repository *repository, const char *path, int64_t settle_ms,
                           GError **error)
{
    struct local_repository known = *repository, found = {.git_directory = NULL};
    size_t candidate = 0;
    while (candidate < G_N_ELEMENTS(suffixes) &&
           !try_candidate(&found, &known, path, candidate, settle_ms)) {
        candidate++;
    }
    if (candidate == G_N_ELEMENTS(suffixes)) {
        struct stat status;
        int errnum = stat(path, &status) < 0 ? errno : 0;
        local_repository_clear(repository);
        return refuse(path, errnum, error);
    }
    if (found.common_directory) {
        prove_nothing_nearer(&found, &known, path, candidate, settle_ms);
        apply_config(&found, &known, settle_ms);
    }
    local_repository_clear(repository);
    *repository = found;
    return true;
}
