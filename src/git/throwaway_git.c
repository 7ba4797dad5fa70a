#include "git/throwaway_git.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/refkey.h"
#include "git/url.h"

enum { COPY_SIZE = 64 * 1024 };

static bool make_directories(int workspace_fd, GError **error)
{
    static const char *const names[] = {
        ".git",      ".git/objects",    ".git/objects/info", ".git/objects/pack",
        ".git/refs", ".git/refs/heads", ".git/refs/tags",    ".git/hooks",
        ".git/info"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (mkdirat(workspace_fd, names[i], 0755) != 0) {
            return error_set_errno(error, GIT_ERROR, errno, "can't make %s in the workspace",
                                   names[i]);
        }
    }
    return true;
}

static int create(int workspace_fd, const char *name, GError **error)
{
    int fd = openat(workspace_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        error_set_errno(error, GIT_ERROR, errno, "can't make %s in the workspace", name);
    }
    return fd;
}

static bool write_file(int workspace_fd, const char *name, const char *text, GError **error)
{
    auto_fd fd = create(workspace_fd, name, error);
    return fd >= 0 && fd_write_all(fd, text, strlen(text), error);
}

static bool copy_index(int workspace_fd, const char *index_file, GError **error)
{
    auto_fd from = open(index_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0) {
        return error_set_errno(error, GIT_ERROR, errno, "can't open %s", index_file);
    }
    auto_fd to = create(workspace_fd, ".git/index", error);
    if (to < 0) {
        return false;
    }
    g_autofree char *bytes = g_malloc(COPY_SIZE);
    for (;;) {
        ssize_t got = fd_read(from, bytes, COPY_SIZE);
        if (got < 0) {
            return error_set_errno(error, GIT_ERROR, errno, "can't read %s", index_file);
        }
        if (got == 0) {
            return true;
        }
        if (!fd_write_all(to, bytes, (size_t)got, error)) {
            return false;
        }
    }
}

/* Addresses have neither blanks nor control characters; '"', '\', '#' and ';' mean something in the
 * file. */
static char *config_text(const struct throwaway_git *what)
{
    g_autoptr(GString) url = g_string_new(NULL);
    for (const char *p = what->url; *p; p++) {
        if (*p == '"' || *p == '\\') {
            g_string_append_c(url, '\\');
        }
        g_string_append_c(url, *p);
    }
    bool long_ids = strlen(what->sha) == 64;
    return g_strdup_printf(
        "[core]\n\trepositoryformatversion = %d\n\tfilemode = true\n\tbare = false\n"
        "\tlogallrefupdates = true\n%s"
        "[remote \"origin\"]\n\turl = \"%s\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        long_ids ? 1 : 0, long_ids ? "[extensions]\n\tobjectformat = sha256\n" : "", url->str);
}

static char *branch_lines(const struct throwaway_git *what)
{
    const char *branch = refkey_branch(refkey_of(what->ref));
    return branch ? g_strdup_printf("%s refs/heads/%s\n%s refs/remotes/origin/%s\n", what->sha,
                                    branch, what->sha, branch)
                  : g_strdup("");
}

bool throwaway_git_write(int workspace_fd, const struct throwaway_git *what, GError **error)
{
    g_autofree char *head = g_strconcat(what->sha, "\n", NULL);
    g_autofree char *alternates = g_strconcat(what->objects, "\n", NULL);
    g_autofree char *config = config_text(what);
    g_autofree char *branches = branch_lines(what);
    g_autofree char *refs = g_strdup_printf("# pack-refs with: peeled fully-peeled sorted \n%s%s",
                                            branches, what->tags);
    return make_directories(workspace_fd, error) &&
           write_file(workspace_fd, ".git/config", config, error) &&
           write_file(workspace_fd, ".git/objects/info/alternates", alternates, error) &&
           write_file(workspace_fd, ".git/packed-refs", refs, error) &&
           copy_index(workspace_fd, what->index_file, error) &&
           write_file(workspace_fd, ".git/HEAD", head, error);
}
