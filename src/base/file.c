#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

enum { COMPONENT_MAX_BYTES = 200, COMPONENT_HASH_DIGITS = 16 };

/* O_NONBLOCK: opening a FIFO that nobody writes would wait for ever. */
static int open_to_read(const char *path, int flags, struct stat *status, GError **error)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    if (fd < 0 && errno == ELOOP) {
        g_set_error(error, BASE_ERROR, ERROR_DENIED,
                    "%s is a symbolic link, which is not followed here; name the file itself",
                    path);
        return -1;
    }
    if (fd < 0 || fstat(fd, status) < 0) {
        error_set_errno(error, BASE_ERROR, errno, "cannot read %s", path);
        return -1;
    }
    if (!S_ISREG(status->st_mode)) {
        g_set_error(error, BASE_ERROR, ERROR_INVALID, "%s is not a regular file", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

static bool is_trusted(const char *path, const struct stat *status, GError **error)
{
    g_autofree char *quoted = g_shell_quote(path);
    if (status->st_uid != geteuid() && status->st_uid != 0) {
        g_set_error(error, BASE_ERROR, ERROR_DENIED,
                    "%s belongs to user %u, neither to the user who runs this (%u) nor to root; "
                    "mend it with: chown %u %s",
                    path, (unsigned)status->st_uid, (unsigned)geteuid(), (unsigned)geteuid(),
                    quoted);
        return false;
    }
    if (status->st_mode & 0022) {
        g_set_error(error, BASE_ERROR, ERROR_DENIED,
                    "%s may be written by others (mode %03o); mend it with: chmod go-w %s", path,
                    (unsigned)(status->st_mode & 0777), quoted);
        return false;
    }
    return true;
}

static char *read_opened(int fd, const char *path, size_t limit_bytes, size_t *length,
                         GError **error)
{
    char *bytes = fd_read_to_end(fd, limit_bytes, length, error);
    if (!bytes) {
        g_prefix_error(error, "%s: ", path);
    }
    return bytes;
}

char *file_read(const char *path, size_t limit_bytes, size_t *length, GError **error)
{
    struct stat status;
    auto_fd fd = open_to_read(path, 0, &status, error);
    return fd < 0 ? NULL : read_opened(fd, path, limit_bytes, length, error);
}

char *file_read_trusted(const char *path, size_t limit_bytes, size_t *length, GError **error)
{
    struct stat status;
    auto_fd fd = open_to_read(path, O_NOFOLLOW, &status, error);
    return fd < 0 || !is_trusted(path, &status, error)
               ? NULL
               : read_opened(fd, path, limit_bytes, length, error);
}

bool file_write_atomic(const char *path, const char *bytes, size_t length, int mode, GError **error)
{
    char *target = realpath(path, NULL);
    const char *written = target ? target : path;
    struct stat status;
    bool existed = stat(written, &status) == 0;
    if (existed && !S_ISREG(status.st_mode)) {
        free(target);
        g_set_error(error, BASE_ERROR, ERROR_INVALID, "%s is not a regular file", path);
        return false;
    }
    if (existed) {
        mode = (int)(status.st_mode & 0777);
    }
    g_autoptr(GError) local = NULL;
    bool good = g_file_set_contents_full(
        written, bytes, (gssize)length,
        G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, &local);
    /* GLib makes the new file with open(2), where the umask takes bits away. */
    int chmod_errno = good && existed && chmod(written, (mode_t)mode) < 0 ? errno : 0;
    free(target);
    if (chmod_errno != 0) {
        return error_set_errno(error, BASE_ERROR, chmod_errno, "cannot set the mode of %s", path);
    }
    if (!good) {
        enum error_code code = g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOSPC)
                                   ? ERROR_NO_SPACE
                                   : ERROR_SYSTEM;
        g_set_error(error, BASE_ERROR, (int)code, "%s", local->message);
    }
    return good;
}

bool file_ensure_private_directory(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0700) < 0 && errno != EEXIST && errno != ENOTDIR) {
        return error_set_errno(error, BASE_ERROR, errno, "cannot make the directory %s", path);
    }
    struct stat status;
    if (lstat(path, &status) < 0) {
        return error_set_errno(error, BASE_ERROR, errno, "cannot use the directory %s", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        g_set_error(error, BASE_ERROR, ERROR_DENIED,
                    "%s is not a directory (a link is not followed here); move it away", path);
        return false;
    }
    if (status.st_uid != geteuid()) {
        g_set_error(
            error, BASE_ERROR, ERROR_DENIED,
            "%s belongs to user %u, not to the user %u who runs this; run phantom_ci as that "
            "user, or: chown -R %u %s",
            path, (unsigned)status.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), path);
        return false;
    }
    if (status.st_mode & 0022) {
        g_set_error(error, BASE_ERROR, ERROR_DENIED,
                    "%s may be written by others (mode %03o); mend it with: chmod 700 %s", path,
                    (unsigned)(status.st_mode & 0777), path);
        return false;
    }
    return true;
}

int64_t file_modified_ms(const struct stat *status)
{
#ifdef __APPLE__
    const struct timespec *modified = &status->st_mtimespec;
#else
    const struct timespec *modified = &status->st_mtim;
#endif
    return (int64_t)modified->tv_sec * 1000 + modified->tv_nsec / 1000000;
}

char *file_component_from_name(const char *name)
{
    GString *component = g_string_new(NULL);
    for (const char *at = name; *at; at++) {
        bool plain = g_ascii_isalnum(*at) || *at == '_' || *at == '-' || (*at == '.' && at > name);
        if (plain) {
            g_string_append_c(component, *at);
        } else {
            g_string_append_printf(component, "%%%02X", (unsigned char)*at);
        }
    }
    if (component->len == 0) {
        /* Followed by no digits: the name of nothing else. */
        g_string_append_c(component, '%');
    }
    if (component->len > COMPONENT_MAX_BYTES) {
        g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
        g_string_truncate(component, COMPONENT_MAX_BYTES - COMPONENT_HASH_DIGITS - 1);
        /* '%-' is written by nothing else, so that a cut name never equals a whole one. */
        g_string_append_printf(component, "%%-%.*s", COMPONENT_HASH_DIGITS - 1, digest);
    }
    return g_string_free(component, FALSE);
}
