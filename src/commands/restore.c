/*
 * `phantom_ci restore`: everything new is written beside the present things and synced, then
 * renamed into place one after another: the database, Repo.toml, config.toml, .env, the logs. After
 * each of these steps the installation works, and a restore that was killed is finished by running
 * it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lock.h"
#include "commands/all.h"
#include "commands/confirm.h"
#include "commands/restore_files.h"
#include "store/backup.h"
#include "store/replace.h"

enum { LOCK_PATIENCE_MS = 2000, COPY_BYTES = 64 * 1024 };

struct restore {
    struct command_context *context;
    const char *file; /* as named */
    gboolean yes, force;
    int lock, gc_lock;
    char *stamp;                         /* ".before-restore-20261124T000040Z" */
    char *staging;                       /* state/restore.new */
    char *staged_copy, *staged_database; /* in it */
    char *staged_logs;
    char *database, *kept_database, *kept_logs;
    struct backup *backup;
    GPtrArray *files;
    struct replacement *replacement;
    unsigned interrupted, logs_set_aside, logs_placed;
    bool swapped;    /* the database is the restored one */
    bool all_placed; /* and everything else is in its place, too */
};

/* ------------------------------------------------------------- who is at work */

/* The number in the name of a job's lock or log directory; 0 = none. */
static int64_t job_of_name(const char *name, const char *suffix)
{
    g_autofree char *digits =
        g_str_has_suffix(name, suffix) ? g_strndup(name, strlen(name) - strlen(suffix)) : NULL;
    int64_t job = 0;
    return digits && command_parse_job(digits, &job) ? job : 0;
}

static int64_t find_running_job(const struct paths *paths)
{
    g_autofree char *path = g_build_filename(paths->state, "jobs", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory))) {
        int64_t job = job_of_name(name, ".lock");
        g_autofree char *lock = g_build_filename(path, name, NULL);
        if (job > 0 && lock_is_held(lock)) {
            return job;
        }
    }
    return 0;
}

static int refuse_running_job(const struct restore *restore)
{
    int64_t job = find_running_job(&restore->context->paths);
    if (job == 0) {
        return -1;
    }
    return command_fail_text(EXIT_CODE_TRY_AGAIN,
                             "job %" G_GINT64_FORMAT
                             " is running; wait for its end, or end it with "
                             "phantom_ci cancel %" G_GINT64_FORMAT ". Nothing was changed",
                             job, job);
}

/* A gc would go on with the database that it has open, and remove logs by it. */
static int lock_out_gc(struct restore *restore)
{
    const struct paths *paths = &restore->context->paths;
    g_autofree char *path = paths_gc_lock(paths);
    g_autoptr(GError) error = NULL;
    restore->gc_lock = lock_wait(path, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, &error);
    if (restore->gc_lock >= 0) {
        return -1;
    }
    return error_has_code(error, ERROR_BUSY)
               ? command_fail_text(EXIT_CODE_TRY_AGAIN,
                                   "phantom_ci gc is at work in %s; wait for its end. Nothing was "
                                   "changed",
                                   paths->state)
               : command_fail(error);
}

/* A daemon would go on with the database that it has open, and start jobs meanwhile. */
static int lock_out_daemon(struct restore *restore)
{
    const struct paths *paths = &restore->context->paths;
    g_autofree char *path = paths_daemon_lock(paths);
    g_autoptr(GError) error = NULL;
    if (!paths_ensure(paths, &error)) {
        return command_fail(error);
    }
    restore->lock = lock_wait(path, LOCK_EXCLUSIVE, LOCK_PATIENCE_MS, &error);
    if (restore->lock < 0 && error_has_code(error, ERROR_BUSY)) {
        return command_fail_text(EXIT_CODE_TRY_AGAIN,
                                 "a daemon is at work in %s; stop it first (systemctl stop "
                                 "phantom_ci, or a SIGTERM). Nothing was changed",
                                 paths->state);
    }
    if (restore->lock < 0) {
        return command_fail(error);
    }
    int code = lock_out_gc(restore);
    return code < 0 ? refuse_running_job(restore) : code;
}

/* ---------------------------------------------------------------- reading it */

/* The backup says what runs here: nobody else may have written it. */
static int open_file(const char *path, GError **error)
{
    struct stat status;
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        error_set_errno(error, RESTORE_ERROR, errno, "cannot read %s", path);
        return -1;
    }
    g_autofree char *quoted = g_shell_quote(path);
    if (!S_ISREG(status.st_mode)) {
        g_set_error(error, RESTORE_ERROR, ERROR_INVALID, "%s is not a regular file", path);
    } else if (status.st_uid != geteuid() && status.st_uid != 0) {
        g_set_error(error, RESTORE_ERROR, ERROR_DENIED,
                    "%s belongs to user %u; a backup says what runs here, so it must belong to "
                    "the user who restores it (%u) or to root: chown %u %s",
                    path, (unsigned)status.st_uid, (unsigned)geteuid(), (unsigned)geteuid(),
                    quoted);
    } else if (status.st_mode & 0022) {
        g_set_error(error, RESTORE_ERROR, ERROR_DENIED,
                    "%s may be written by others (mode %03o); a backup says what runs here: if you "
                    "trust what is in it now, chmod 600 %s",
                    path, (unsigned)(status.st_mode & 0777), quoted);
    } else {
        return g_steal_fd(&fd);
    }
    return -1;
}

static bool copy_bytes(int from, int to, const char *path, GError **error)
{
    g_autofree char *buffer = g_malloc(COPY_BYTES);
    for (;;) {
        ssize_t got = fd_read(from, buffer, COPY_BYTES);
        if (got < 0) {
            return error_set_errno(error, RESTORE_ERROR, errno, "cannot read the backup");
        }
        if (got == 0) {
            return true;
        }
        if (!fd_write_all(to, buffer, (size_t)got, error)) {
            g_prefix_error(error, "%s: ", path);
            return false;
        }
    }
}

/* What is validated is a private copy, which nobody changes afterwards. */
static bool copy_file(const struct restore *restore, GError **error)
{
    auto_fd from = open_file(restore->file, error);
    if (from < 0 || !file_remove_tree_at_path(restore->staging, error)) {
        return false;
    }
    if (mkdir(restore->staging, 0700) < 0 || mkdir(restore->staged_logs, 0700) < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot make %s", restore->staging);
    }
    auto_fd to =
        open(restore->staged_copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot make %s", restore->staged_copy);
    }
    return copy_bytes(from, to, restore->staged_copy, error);
}

/* The configuration is checked as the daemon will check it. */
static int check_configuration(const struct restore *restore, const GPtrArray *files)
{
    struct diagnostics *diagnostics = diagnostics_new();
    for (unsigned i = 0; i < files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(files, i);
        g_autofree char *path = g_build_filename(restore->context->paths.config, file->name, NULL);
        if (file->bytes && strcmp(file->name, ".env") != 0) {
            config_check_text(path, file->bytes, file->length, diagnostics);
        }
    }
    int code = -1;
    if (diagnostics_any(diagnostics)) {
        g_autofree char *text = diagnostics_format(diagnostics);
        fputs(text, stderr);
        code = restore->force
                   ? -1
                   : command_fail_text(EXIT_CODE_CONFIG,
                                       "the configuration in the backup has these mistakes; "
                                       "nothing was changed. --force restores it all the same");
    }
    diagnostics_free(diagnostics);
    return code;
}

static int read_backup(struct restore *restore)
{
    g_autoptr(GError) error = NULL;
    if (!copy_file(restore, &error)) {
        return command_fail(error);
    }
    restore->backup = backup_open(restore->staged_copy, restore->file, &error);
    restore->files = restore->backup ? restore_files_load(restore->backup, &restore->context->paths,
                                                          restore->stamp, &error)
                                     : NULL;
    return restore->files ? check_configuration(restore, restore->files) : command_fail(error);
}

/* -------------------------------------------------------------------- asking */

static void print_plan(const struct restore *restore)
{
    g_assert(restore->files);
    const struct backup_facts *facts = backup_get_facts(restore->backup);
    g_autofree char *created = clock_format(facts->created_ms);
    printf("%s: made %s, %" G_GINT64_FORMAT " job%s, %s\n", restore->file, created, facts->jobs,
           facts->jobs == 1 ? "" : "s",
           facts->has_logs ? "with their logs" : "without logs (those that are here stay)");
    if (access(restore->database, F_OK) == 0) {
        printf("  replaces  %s\n", restore->database);
    } else {
        printf("  makes     %s\n", restore->database);
    }
    for (unsigned i = 0; i < restore->files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(restore->files, i);
        if (file->action == RESTORE_WRITE) {
            printf("  %s  %s\n", file->exists ? "replaces" : "makes   ", file->target);
        } else if (file->action == RESTORE_REMOVE) {
            printf("  sets aside  %s (the backup has none)\n", file->target);
        }
    }
    printf("What is replaced is kept beside it as *%s\n", restore->stamp);
    fflush(stdout);
}

/* ------------------------------------------------------------------ preparing */

/* The highest number that a job of the present or the restored history has, or had. */
static bool find_last_job(const struct restore *restore, int64_t *last, GError **error)
{
    static const char *const places[][2] = {{"logs", ""}, {"jobs", ".lock"}};
    struct store *present = replacement_present(restore->replacement);
    *last = 0;
    if (present && !store_job_last_number(present, last, error)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(restore->context->paths.state, places[i][0], NULL);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;
        while (directory && (name = g_dir_read_name(directory))) {
            *last = MAX(*last, job_of_name(name, places[i][1]));
        }
    }
    return true;
}

static bool is_same_job(const struct job *left, const struct job *right)
{
    return left->created_ms == right->created_ms && strcmp(left->repo, right->repo) == 0 &&
           strcmp(left->branch, right->branch) == 0 && strcmp(left->sha, right->sha) == 0;
}

/* A log that lies here under the number of a job of the backup. */
static bool settle_log(struct restore *restore, struct store *restored, int64_t id, GError **error)
{
    struct store *present = replacement_present(restore->replacement);
    struct job *job = store_job_get(restored, id, NULL);
    struct job *here = job && present ? store_job_get(present, id, NULL) : NULL;
    bool good = true;
    if (job && present && (!here || !is_same_job(job, here))) {
        /* It is that of another history. */
        g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, id);
        good = restore_log_set_aside(&restore->context->paths, name, restore->kept_logs, error);
        restore->logs_set_aside++;
    } else if (job && job->state == JOB_QUEUED) {
        /* It began after the backup was made; running it twice is for a person to say. */
        bool changed = false;
        good = store_job_finish(restored, id, JOB_INTERRUPTED,
                                "a backup was restored in which it had not begun, but its log "
                                "says that it had; phantom_ci retry runs it again",
                                clock_now_ms(), &changed, error);
        restore->interrupted += changed;
    }
    job_free(job);
    job_free(here);
    return good;
}

static bool settle_logs(struct restore *restore, struct store *restored, GError **error)
{
    g_autofree char *path = g_build_filename(restore->context->paths.state, "logs", NULL);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory))) {
        int64_t id = job_of_name(name, "");
        if (id > 0 && !settle_log(restore, restored, id, error)) {
            return false;
        }
    }
    return true;
}

/* Jobs to come get numbers that neither history has used: no log of theirs can be there already. */
static bool adapt_database(struct restore *restore, GError **error)
{
    int64_t last = 0;
    struct store *restored = store_open(restore->staged_database, error);
    bool good = restored && find_last_job(restore, &last, error) &&
                store_job_number_above(restored, last, error) &&
                settle_logs(restore, restored, error);
    store_close(restored);
    return good;
}

static bool sync_file(const char *path, GError **error)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return (fd >= 0 && fsync(fd) == 0) ||
           error_set_errno(error, RESTORE_ERROR, errno, "cannot write %s", path);
}

static bool reach(const char *point, GError **error)
{
    int fault = fault_point(point);
    return fault == 0 || error_set_errno(error, RESTORE_ERROR, fault, "cannot go on");
}

static bool prepare(struct restore *restore, GError **error)
{
    const struct paths *paths = &restore->context->paths;
    if (g_mkdir_with_parents(paths->config, 0700) < 0) {
        return error_set_errno(error, RESTORE_ERROR, errno, "cannot make %s", paths->config);
    }
    restore->replacement = replacement_begin(restore->database, error);
    return restore->replacement && reach("restore.begun", error) &&
           backup_extract_logs(restore->backup, restore->staged_logs, error) &&
           backup_make_database(restore->backup, restore->staged_database, error) &&
           adapt_database(restore, error) && sync_file(restore->staged_database, error) &&
           restore_files_stage(restore->files, error) && reach("restore.staged", error);
}

/* ------------------------------------------------------------------ replacing */

static bool replace(struct restore *restore, GError **error)
{
    const struct paths *paths = &restore->context->paths;
    if (!replacement_finish(restore->replacement, restore->staged_database, restore->kept_database,
                            &restore->swapped, error)) {
        return false;
    }
    g_clear_pointer(&restore->replacement, replacement_free);
    return reach("restore.swapped", error) && restore_files_place(restore->files, error) &&
           restore_logs_place(paths, restore->staged_logs, &restore->logs_placed,
                              &restore->all_placed, error) &&
           reach("restore.placed", error);
}

static void print_result(const struct restore *restore)
{
    const struct backup_facts *facts = backup_get_facts(restore->backup);
    printf("restored: %" G_GINT64_FORMAT " job%s", facts->jobs, facts->jobs == 1 ? "" : "s");
    for (unsigned i = 0; i < restore->files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(restore->files, i);
        if (file->bytes) {
            printf(", %s%s", file->name, file->action == RESTORE_LEAVE ? " (as it was)" : "");
        }
    }
    if (facts->has_logs) {
        printf(", %u log%s", restore->logs_placed, restore->logs_placed == 1 ? "" : "s");
    }
    putchar('\n');
    if (restore->logs_set_aside > 0) {
        printf("%u log%s of other jobs with the same numbers: %s\n", restore->logs_set_aside,
               restore->logs_set_aside == 1 ? "" : "s", restore->kept_logs);
    }
    if (restore->interrupted > 0) {
        printf("%u job%s that had begun since the backup: interrupted (phantom_ci jobs --state "
               "interrupted)\n",
               restore->interrupted, restore->interrupted == 1 ? "" : "s");
    }
    puts("start the daemon again: it looks at every repository, and what was pushed since the "
         "backup runs");
}

/* Which parts are the restored ones, and which are not yet. */
static void tell_what_is_restored(const struct restore *restore)
{
    g_autoptr(GString) missing = g_string_new(NULL);
    g_autoptr(GString) done = g_string_new("the database");
    for (unsigned i = 0; i < restore->files->len; i++) {
        const struct restore_file *file = g_ptr_array_index(restore->files, i);
        if (file->action != RESTORE_LEAVE) {
            GString *list = file->placed ? done : missing;
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", file->name);
        }
    }
    if (backup_get_facts(restore->backup)->has_logs) {
        GString *list = restore->all_placed ? done : missing;
        g_string_append_printf(list, "%sthe logs", list->len > 0 ? ", " : "");
    }
    if (missing->len > 0) {
        fprintf(stderr, "phantom_ci: restored: %s; not yet: %s; ", done->str, missing->str);
    } else {
        fputs("phantom_ci: everything is restored, but may not outlast a power cut; ", stderr);
    }
    fputs("run the same command again to finish\n", stderr);
}

/* Till the database is replaced all can be taken back; where it can't, that is told. */
static bool undo(const struct restore *restore)
{
    unsigned left = restore_logs_put_back(&restore->context->paths, restore->kept_logs);
    if (left > 0) {
        fprintf(stderr, "phantom_ci: %u log%s moved to %s and can't be moved back\n", left,
                left == 1 ? " was" : "s were", restore->kept_logs);
    }
    return left == 0;
}

static int fail(const struct restore *restore, const GError *error)
{
    int code = command_fail(error);
    if (restore->swapped) {
        tell_what_is_restored(restore);
    } else if (undo(restore)) {
        fputs("phantom_ci: nothing was changed\n", stderr);
    }
    return code;
}

static int carry_out(struct restore *restore)
{
    g_autoptr(GError) error = NULL;
    if (!prepare(restore, &error)) {
        return fail(restore, error);
    }
    int code = refuse_running_job(restore);
    if (code >= 0) {
        undo(restore);
        return code;
    }
    return replace(restore, &error) ? EXIT_CODE_OK : fail(restore, error);
}

static void name_things(struct restore *restore)
{
    const struct paths *paths = &restore->context->paths;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, ".before-restore-%Y%m%dT%H%M%SZ");
    restore->database = paths_database(paths);
    restore->stamp = g_strdup(time);
    /* Two restores within a second. */
    for (unsigned i = 2;; i++) {
        restore->kept_database = g_strconcat(restore->database, restore->stamp, NULL);
        if (access(restore->kept_database, F_OK) < 0) {
            break;
        }
        g_free(restore->kept_database);
        g_free(restore->stamp);
        restore->stamp = g_strdup_printf("%s-%u", time, i);
    }
    restore->kept_logs = g_strconcat(paths->state, "/logs", restore->stamp, NULL);
    restore->staging = g_build_filename(paths->state, "restore.new", NULL);
    restore->staged_copy = g_build_filename(restore->staging, "backup", NULL);
    restore->staged_database = g_build_filename(restore->staging, "state.db", NULL);
    restore->staged_logs = g_build_filename(restore->staging, "logs", NULL);
}

static void restore_clear(struct restore *restore)
{
    replacement_free(restore->replacement);
    backup_close(restore->backup);
    if (restore->staging && restore->lock >= 0) {
        file_remove_tree_at_path(restore->staging, NULL);
    }
    g_clear_pointer(&restore->files, g_ptr_array_unref);
    fd_close(&restore->gc_lock);
    fd_close(&restore->lock);
    g_free(restore->stamp);
    g_free(restore->staging);
    g_free(restore->staged_copy);
    g_free(restore->staged_database);
    g_free(restore->staged_logs);
    g_free(restore->database);
    g_free(restore->kept_database);
    g_free(restore->kept_logs);
}

int command_restore(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct restore restore = {.context = &context, .lock = -1, .gc_lock = -1};
    const GOptionEntry entries[] = {
        {"yes", 'y', 0, G_OPTION_ARG_NONE, &restore.yes, "do not ask", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &restore.force,
         "also with mistakes in the configuration", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 1, 1);
    if (code < 0) {
        restore.file = argv[1];
        name_things(&restore);
        code = lock_out_daemon(&restore);
    }
    if (code < 0) {
        code = read_backup(&restore);
    }
    if (code < 0) {
        print_plan(&restore);
        code = restore.yes ? -1 : confirm("Restore?", "--yes restores without a question");
    }
    if (code < 0) {
        code = carry_out(&restore);
        restore_files_drop(restore.files);
        if (code == EXIT_CODE_OK) {
            print_result(&restore);
        }
    }
    restore_clear(&restore);
    command_context_clear(&context);
    return code;
}
