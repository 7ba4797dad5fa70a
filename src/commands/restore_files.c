#include "commands/restore_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "config/config.h"

/* None of these may be written by others; .env is read by nobody else. */
enum { CONFIG_MODE_MASK = 0755, SECRET_MODE = 0600, CONFIG_MODE = 0600 };

static void free_file(void *data)
{
    struct restore_file *file = data;
    g_free(file->target);
    g_free(file->staged);
    g_free(file->kept);
    g_free(file->bytes);
    g_free(file);
}

/* Whether the present file holds these bytes already; *exists also for one that can't be read. */
static bool is_same(struct restore_file *file)
{
    struct stat status;
    size_t length = 0;
    file->exists = lstat(file->target, &status) == 0;
    g_autofree char *present =
        file->exists ? file_read(file->target, CONFIG_FILE_MAX_BYTES, &length, NULL) : NULL;
    return present && file->bytes && length == file->length &&
           memcmp(present, file->bytes, length) == 0;
}

static struct restore_file *load_file(struct backup *backup, const struct paths *paths,
                                      const char *name, const char *stamp, GError **error)
{
    g_autoptr(GError) local = NULL;
    struct restore_file *file = g_new0(struct restore_file, 1);
    g_autofree char *path = g_build_filename(paths->config, name, NULL);
    char *resolved = realpath(path, NULL);
    bool secret = strcmp(name, ".env") == 0;
    file->name = name;
    file->target = g_strdup(resolved ? resolved : path);
    free(resolved);
    file->staged = g_strconcat(file->target, ".restore-new", NULL);
    file->kept = g_strconcat(file->target, stamp, NULL);
    file->bytes = backup_find_file(backup, name, &file->length, &file->mode, &local);
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        free_file(file);
        return NULL;
    }
    file->mode = secret ? SECRET_MODE : (file->mode & CONFIG_MODE_MASK) | CONFIG_MODE;
    bool same = is_same(file);
    file->placed = same;
    if (file->bytes) {
        file->action = same ? RESTORE_LEAVE : RESTORE_WRITE;
    } else {
        /* A backup without .env may only mean that it could not be read. */
        file->action = file->exists && !secret ? RESTORE_REMOVE : RESTORE_LEAVE;
    }
    return file;
}

GPtrArray *restore_files_load(struct backup *backup, const struct paths *paths, const char *stamp,
                              GError **error)
{
    static const char *const names[] = {"Repo.toml", "config.toml", ".env"};
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(free_file);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct restore_file *file = load_file(backup, paths, names[i], stamp, error);
        if (!file) {
            return NULL;
        }
        g_ptr_array_add(files, file);
    }
    return g_steal_pointer(&files);
}

bool restore_sync_directory(const char *path, GError **error)
{
    int fault = fault_point("restore.directory");
    auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (!fault && fd >= 0 && fsync(fd) == 0) ||
           error_set_errno(error, RESTORE_ERROR, fault ? fault : errno, "cannot write %s", path);
}

static bool sync_parent(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    return restore_sync_directory(directory, error);
}

static bool write_new(const char *path, const char *bytes, size_t length, unsigned mode,
                      GError **error)
{
    unlink(path); /* of a restore that was killed */
    auto_fd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot make %s", path);
    }
    if (!fd_write_all(fd, bytes, length, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    return (fchmod(fd, (mode_t)mode) == 0 && fsync(fd) == 0) ||
           error_set_errno(error, RESTORE_ERROR, errno, "cannot write %s", path);
}

bool restore_files_stage(const GPtrArray *files, GError **error)
{
    for (unsigned i = 0; i < files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(files, i);
        if (file->action == RESTORE_WRITE &&
            !write_new(file->staged, file->bytes, file->length, file->mode, error)) {
            return false;
        }
    }
    return true;
}

/* The present file under its other name too; its first one stays till the rename. */
static bool keep(const struct restore_file *file, GError **error)
{
    size_t length = 0;
    if (!file->exists || link(file->target, file->kept) == 0) {
        return true;
    }
    /* A file system without hard links. */
    g_autofree char *bytes = file_read(file->target, CONFIG_FILE_MAX_BYTES, &length, error);
    return bytes && write_new(file->kept, bytes, length, SECRET_MODE, error);
}

static bool place(struct restore_file *file, GError **error)
{
    int fault = fault_point("restore.config");
    if (fault) {
        return error_set_errno(error, RESTORE_ERROR, fault, "cannot rename %s", file->staged);
    }
    const char *from = file->action == RESTORE_WRITE ? file->staged : file->target;
    const char *into = file->action == RESTORE_WRITE ? file->target : file->kept;
    if (file->action == RESTORE_WRITE && !keep(file, error)) {
        return false;
    }
    if (rename(from, into) < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot rename %s", from);
    }
    file->placed = true;
    return sync_parent(into, error);
}

bool restore_files_place(const GPtrArray *files, GError **error)
{
    for (unsigned i = 0; i < files->len; i++) {
        struct restore_file *file = g_ptr_array_index(files, i);
        if (file->action != RESTORE_LEAVE && !place(file, error)) {
            return false;
        }
    }
    return true;
}

void restore_files_drop(const GPtrArray *files)
{
    for (unsigned i = 0; i < files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(files, i);
        unlink(file->staged);
    }
}

bool restore_log_set_aside(const struct paths *paths, const char *job, const char *kept,
                           GError **error)
{
    g_autofree char *from = g_build_filename(paths->state, "logs", job, NULL);
    g_autofree char *into = g_build_filename(kept, job, NULL);
    if ((mkdir(kept, 0700) < 0 && errno != EEXIST) || rename(from, into) < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot move %s to %s", from, into);
    }
    return true;
}

unsigned restore_logs_put_back(const struct paths *paths, const char *kept)
{
    g_autoptr(GDir) directory = g_dir_open(kept, 0, NULL);
    const char *job;
    unsigned left = 0;
    while (directory && (job = g_dir_read_name(directory))) {
        g_autofree char *from = g_build_filename(kept, job, NULL);
        g_autofree char *into = g_build_filename(paths->state, "logs", job, NULL);
        left += rename(from, into) < 0 ? 1 : 0;
    }
    rmdir(kept);
    return left;
}

/* rename(2) would replace an empty directory only; what is there is never touched. */
static bool place_log(const struct paths *paths, const char *staged, const char *job,
                      unsigned *count, GError **error)
{
    g_autofree char *from = g_build_filename(staged, job, NULL);
    g_autofree char *into = g_build_filename(paths->state, "logs", job, NULL);
    struct stat status;
    if (lstat(into, &status) == 0) {
        return true;
    }
    if (!restore_sync_directory(from, error)) {
        return false;
    }
    if (rename(from, into) < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot move %s to %s", from, into);
    }
    (*count)++;
    return true;
}

bool restore_logs_place(const struct paths *paths, const char *staged, unsigned *count, bool *all,
                        GError **error)
{
    g_autofree char *logs = g_build_filename(paths->state, "logs", NULL);
    g_autoptr(GDir) directory = g_dir_open(staged, 0, NULL);
    const char *job;
    *count = 0;
    *all = false;
    while (directory && (job = g_dir_read_name(directory))) {
        int fault = fault_point("restore.log");
        if (fault) {
            return error_set_errno(error, RESTORE_ERROR, fault, "cannot move %s", job);
        }
        if (!place_log(paths, staged, job, count, error)) {
            return false;
        }
    }
    *all = true;
    return restore_sync_directory(logs, error);
}
