#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"
#include "phantom_ci_config.h"
#include "store/backup.h"

#define COMMAND_ERROR (g_quark_from_static_string("phantom-ci-command"))

struct destination {
    char *directory; /* without links */
    char *path;      /* of the backup */
    char *temporary; /* beside it */
};

static void destination_clear(struct destination *destination)
{
    g_free(destination->directory);
    g_free(destination->path);
    g_free(destination->temporary);
}

struct backup_run {
    struct command_context *context;
    struct destination destination;
    gboolean force, logs;
    GPtrArray *files; /* of char *: the configuration files that are in it */
    char *left_out;   /* why .env is not in it, or NULL */
    bool secrets;
    struct backup_facts facts;
    int64_t bytes;
};

static bool refuse_existing(const struct stat *status, const char *path, bool force, GError **error)
{
    const char *what = S_ISLNK(status->st_mode)   ? "a link, which is not followed"
                       : S_ISREG(status->st_mode) ? "there already"
                                                  : "no regular file";
    if (S_ISREG(status->st_mode) && force) {
        return true;
    }
    g_set_error(error, COMMAND_ERROR, ERROR_DENIED, "%s is %s; nothing was written: %s", path, what,
                S_ISREG(status->st_mode) ? "name another file, or replace it with --force"
                                         : "name another file, or remove it");
    return false;
}

/*
 * SQLite opens files by name, more than once: who may rename things in the directory, or the
 * directory itself, could have the secrets written into a file of his own. With the sticky bit
 * (/tmp) nobody renames what is ours.
 */
static bool refuse_shared_directory(const char *directory, GError **error)
{
    g_autofree char *at = g_strdup(directory);
    for (;;) {
        struct stat status;
        if (stat(at, &status) < 0) {
            return error_set_errno(error, COMMAND_ERROR, errno, "cannot use %s", at);
        }
        bool is_foreign = status.st_uid != geteuid() && status.st_uid != 0;
        bool is_open = (status.st_mode & 0022) && !(status.st_mode & S_ISVTX);
        if (is_foreign || is_open) {
            g_autofree char *quoted = g_shell_quote(at);
            g_autofree char *mend =
                is_foreign ? g_strdup_printf("chown %u %s", (unsigned)geteuid(), quoted)
                           : g_strdup_printf("chmod go-w %s", quoted);
            g_set_error(error, COMMAND_ERROR, ERROR_DENIED,
                        "%s (mode %03o, user %u) is not this user's alone: others could take the "
                        "secrets in the backup. Nothing was written: name another directory, or %s",
                        at, (unsigned)(status.st_mode & 07777), (unsigned)status.st_uid, mend);
            return false;
        }
        if (strcmp(at, "/") == 0) {
            return true;
        }
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
}

static bool find_destination(struct backup_run *run, const char *file, GError **error)
{
    struct destination *destination = &run->destination;
    g_autofree char *directory = g_path_get_dirname(file);
    g_autofree char *name = g_path_get_basename(file);
    char *resolved = realpath(directory, NULL);
    if (!resolved) {
        return error_set_errno(error, COMMAND_ERROR, errno, "cannot write into %s", directory);
    }
    g_autofree char *hidden = g_strconcat(".", name, ".unfinished", NULL);
    destination->directory = g_strdup(resolved);
    destination->path = g_build_filename(resolved, name, NULL);
    destination->temporary = g_build_filename(resolved, hidden, NULL);
    free(resolved);
    struct stat status;
    if (!refuse_shared_directory(destination->directory, error)) {
        return false;
    }
    if (lstat(destination->path, &status) < 0) {
        return errno == ENOENT ||
               error_set_errno(error, COMMAND_ERROR, errno, "cannot write %s", destination->path);
    }
    return refuse_existing(&status, destination->path, run->force, error);
}

/* Locked, so that two backups to one name don't meet; what a killed one left is used again. */
static int open_temporary(const char *path, GError **error)
{
    struct stat status;
    auto_fd fd = lock_take(path, LOCK_EXCLUSIVE, error);
    if (fd < 0) {
        if (error && error_has_code(*error, ERROR_BUSY)) {
            g_prefix_error(error, "another backup to this file is under way: ");
        }
        return -1;
    }
    /* A second name would be that of a file which is lost with its contents. */
    if (fstat(fd, &status) == 0 &&
        (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_nlink != 1)) {
        g_set_error(error, COMMAND_ERROR, ERROR_DENIED,
                    "%s was put there by somebody else; remove it", path);
        return -1;
    }
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0) {
        error_set_errno(error, COMMAND_ERROR, errno, "cannot write %s", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* `secret`: one that can't be read is left out, and that is told. */
static bool add_file(struct backup_run *run, struct backup_writer *writer, const char *name,
                     bool secret, GError **error)
{
    g_autofree char *path = g_build_filename(run->context->paths.config, name, NULL);
    g_autoptr(GError) local = NULL;
    size_t length = 0;
    struct stat status = {.st_mode = 0600};
    g_autofree char *bytes = file_read(path, CONFIG_FILE_MAX_BYTES, &length, &local);
    if (!bytes && error_has_code(local, ERROR_NOT_FOUND)) {
        return true;
    }
    if (!bytes && secret) {
        run->left_out = g_strdup(local->message);
        return true;
    }
    if (!bytes) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    stat(path, &status);
    run->secrets = run->secrets || secret;
    g_ptr_array_add(run->files, g_strdup(name));
    return backup_writer_add(writer, name, status.st_mode & 0777, bytes, length, error);
}

static bool write_contents(struct backup_run *run, GError **error)
{
    struct backup_writer *writer =
        backup_writer_open(run->context->store, run->destination.temporary, error);
    bool good = writer && add_file(run, writer, "Repo.toml", false, error) &&
                add_file(run, writer, "config.toml", false, error) &&
                add_file(run, writer, ".env", true, error);
    if (good && run->logs) {
        good = backup_writer_add_logs(writer, run->context->paths.state, error);
    }
    good = good &&
           backup_writer_finish(writer, PHANTOM_CI_VERSION, clock_now_ms(), &run->facts, error);
    backup_writer_free(writer);
    return good;
}

/* link(2) never replaces; a file system without hard links gets a rename, whose race is with nobody
 * but another person's file of that name. */
static bool put_in_place(const struct backup_run *run, GError **error)
{
    const struct destination *destination = &run->destination;
    if (!run->force && link(destination->temporary, destination->path) == 0) {
        unlink(destination->temporary);
        return true;
    }
    if (!run->force && errno == EEXIST) {
        return error_set_errno(error, COMMAND_ERROR, EEXIST, "cannot write %s", destination->path);
    }
    return rename(destination->temporary, destination->path) == 0 ||
           error_set_errno(error, COMMAND_ERROR, errno, "cannot write %s", destination->path);
}

static bool make_durable(struct backup_run *run, int fd, GError **error)
{
    struct stat status;
    int fault = fault_point("backup.sync");
    if (fault || fsync(fd) < 0 || fstat(fd, &status) < 0) {
        return error_set_errno(error, COMMAND_ERROR, fault ? fault : errno, "cannot write %s",
                               run->destination.temporary);
    }
    run->bytes = status.st_size;
    if (!put_in_place(run, error)) {
        return false;
    }
    auto_fd directory = open(run->destination.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return (directory >= 0 && fsync(directory) == 0) ||
           error_set_errno(error, COMMAND_ERROR, errno, "cannot write %s",
                           run->destination.directory);
}

static bool is_below(const char *path, const char *directory)
{
    char *resolved = realpath(directory, NULL);
    size_t length = resolved ? strlen(resolved) : 0;
    bool below = resolved && strncmp(path, resolved, length) == 0 &&
                 (path[length] == '/' || path[length] == '\0');
    free(resolved);
    return below;
}

static void warn_about_place(const struct backup_run *run)
{
    const struct paths *paths = &run->context->paths;
    const char *const own[] = {paths->state, paths->config, paths->cache};
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
        if (is_below(run->destination.directory, own[i])) {
            fprintf(stderr,
                    "phantom_ci: warning: %s lies in %s, which it is a backup of: what destroys "
                    "the one takes the other along\n",
                    run->destination.path, own[i]);
            return;
        }
    }
}

static int print_json(const struct backup_run *run)
{
    json_t *object = json_object();
    json_t *files = json_array();
    for (unsigned i = 0; i < run->files->len; i++) {
        json_array_append_new(files, show_json_text(g_ptr_array_index(run->files, i)));
    }
    json_object_set_new(object, "file", show_json_text(run->destination.path));
    json_object_set_new(object, "bytes", json_integer(run->bytes));
    json_object_set_new(object, "created", json_integer(run->facts.created_ms));
    json_object_set_new(object, "jobs", json_integer(run->facts.jobs));
    json_object_set_new(object, "repos", json_integer(run->facts.repos));
    json_object_set_new(object, "files", files);
    json_object_set_new(object, "secrets", json_boolean(run->secrets));
    json_object_set_new(object, "left_out", show_json_text(run->left_out));
    json_object_set_new(object, "logs",
                        run->logs ? json_integer(run->facts.log_jobs) : json_null());
    return show_json_print(object);
}

static int print(const struct backup_run *run)
{
    if (run->context->json) {
        return print_json(run);
    }
    g_autofree char *size = units_format_size(run->bytes);
    g_autoptr(GString) parts = g_string_new(NULL);
    g_string_append_printf(parts, "%" G_GINT64_FORMAT " job%s", run->facts.jobs,
                           run->facts.jobs == 1 ? "" : "s");
    if (run->logs) {
        g_autofree char *log_size = units_format_size(run->facts.log_bytes);
        g_string_append_printf(parts, ", the logs of %" G_GINT64_FORMAT " (%s)",
                               run->facts.log_jobs, log_size);
    }
    for (unsigned i = 0; i < run->files->len; i++) {
        g_string_append_printf(parts, ", %s", (char *)g_ptr_array_index(run->files, i));
    }
    printf("backup written: %s (%s): %s\n", run->destination.path, size, parts->str);
    if (run->secrets) {
        puts("it holds the secrets of .env: only you can read it (mode 600); keep it that way");
    }
    if (run->left_out) {
        printf(".env is not in it: %s\n", run->left_out);
    }
    if (!run->logs) {
        puts("the logs of jobs are not in it; --logs takes them along");
    }
    return EXIT_CODE_OK;
}

static int write_backup(struct backup_run *run, const char *file)
{
    g_autoptr(GError) error = NULL;
    if (!find_destination(run, file, &error)) {
        return command_fail(error);
    }
    auto_fd fd = open_temporary(run->destination.temporary, &error);
    if (fd < 0) {
        return command_fail(error);
    }
    if (!write_contents(run, &error) || !make_durable(run, fd, &error)) {
        unlink(run->destination.temporary);
        return command_fail(error);
    }
    warn_about_place(run);
    return print(run);
}

int command_backup(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct backup_run run = {.context = &context};
    bool exists = false;
    const GOptionEntry entries[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &run.force, "replace FILE if it exists", NULL},
        {"logs", 0, 0, G_OPTION_ARG_NONE, &run.logs, "with the logs of finished jobs", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0 && !exists) {
        code = command_fail_text(EXIT_CODE_NOT_FOUND, "there is nothing to back up yet in %s",
                                 context.paths.state);
    }
    if (code < 0) {
        run.files = g_ptr_array_new_with_free_func(g_free);
        code = write_backup(&run, argv[1]);
        g_ptr_array_unref(run.files);
    }
    backup_facts_clear(&run.facts);
    destination_clear(&run.destination);
    g_free(run.left_out);
    command_context_clear(&context);
    return code;
}
