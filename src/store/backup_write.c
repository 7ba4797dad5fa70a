#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "store/backup_internal.h"

struct backup_writer {
    struct store *copy;
    int64_t log_jobs, log_bytes;
    bool has_logs;
};

static bool run(struct store *store, const char *sql, GError **error)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ||
           store_fail(store, error, "write the backup");
}

/*
 * VACUUM INTO, not sqlite3_backup_step(): in WAL mode its one read transaction holds nobody up,
 * while a backup in steps begins anew with each write of another process and may never end under a
 * busy writer. What was deleted, and still lies in free pages, does not come along.
 */
static bool copy_database(struct store *store, const char *path, GError **error)
{
    int fault = fault_point("backup.copy");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "cannot write %s", path);
    }
    sqlite3_stmt *statement = store_prepare(store, error, "VACUUM INTO ?", "s", path);
    if (!statement) {
        return false;
    }
    g_autoptr(GError) local = NULL;
    if (store_execute(store, &local, statement)) {
        return true;
    }
    g_set_error(error, STORE_ERROR, local->code, "the database could not be copied to %s: %s", path,
                local->message);
    return false;
}

struct backup_writer *backup_writer_open(struct store *store, const char *path, GError **error)
{
    if (!copy_database(store, path, error)) {
        return NULL;
    }
    struct store *copy = backup_connect(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, error);
    /* The file is thrown away after a failure: neither a journal nor a sync before the end. */
    if (!copy ||
        !run(copy,
             "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY;"
             "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0; BEGIN IMMEDIATE;"
             "DROP TABLE IF EXISTS backup_file; DROP TABLE IF EXISTS backup_meta;" BACKUP_FILE_TABLE
             ";" BACKUP_META_TABLE ";",
             error)) {
        store_close(copy);
        return NULL;
    }
    struct backup_writer *writer = g_new0(struct backup_writer, 1);
    writer->copy = copy;
    return writer;
}

void backup_writer_free(struct backup_writer *writer)
{
    if (writer) {
        store_close(writer->copy);
        g_free(writer);
    }
}

static bool add_piece(struct backup_writer *writer, const char *name, int64_t piece, unsigned mode,
                      const char *bytes, size_t length, GError **error)
{
    int fault = fault_point("backup.piece");
    if (fault) {
        return error_set_errno(error, STORE_ERROR, fault, "cannot write %s", writer->copy->path);
    }
    return store_execute(writer->copy, error,
                         store_prepare(writer->copy, error,
                                       "INSERT INTO backup_file(name, piece, mode, content) "
                                       "VALUES(?, ?, ?, ?)",
                                       "siib", name, piece, (int64_t)(mode & 0777), bytes, length));
}

bool backup_writer_add(struct backup_writer *writer, const char *name, unsigned mode,
                       const char *bytes, size_t length, GError **error)
{
    int64_t piece = 0;
    do {
        size_t size = MIN(length, (size_t)BACKUP_PIECE_BYTES);
        if (!add_piece(writer, name, piece++, mode, bytes, size, error)) {
            return false;
        }
        bytes += size;
        length -= size;
    } while (length > 0);
    return true;
}

/* Fills the buffer as far as the file goes; -1 with errno. */
static ssize_t read_piece(int fd, char *buffer)
{
    size_t have = 0;
    while (have < BACKUP_PIECE_BYTES) {
        ssize_t got = fd_read(fd, buffer + have, BACKUP_PIECE_BYTES - have);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static bool add_log_file(struct backup_writer *writer, int fd, const char *name, GError **error)
{
    g_autofree char *buffer = g_malloc(BACKUP_PIECE_BYTES);
    for (int64_t piece = 0;; piece++) {
        ssize_t size = read_piece(fd, buffer);
        if (size < 0) {
            return error_set_errno(error, STORE_ERROR, errno, "cannot read %s", name);
        }
        if (size == 0 && piece > 0) {
            return true;
        }
        if (!add_piece(writer, name, piece, 0600, buffer, (size_t)size, error)) {
            return false;
        }
        writer->log_bytes += size;
        if (size < BACKUP_PIECE_BYTES) {
            return true;
        }
    }
}

static bool add_log_directory(struct backup_writer *writer, DIR *directory, int64_t job,
                              GError **error)
{
    const struct dirent *entry;
    bool any = false;
    while ((entry = readdir(directory))) {
        if (!backup_is_log_file(entry->d_name)) {
            continue;
        }
        struct stat status;
        auto_fd fd = openat(dirfd(directory), entry->d_name,
                            O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        /* Retention may be at work: what has just gone is not there to be kept. */
        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
            continue;
        }
        g_autofree char *name = g_strdup_printf("logs/%" G_GINT64_FORMAT "/%s", job, entry->d_name);
        if (!add_log_file(writer, fd, name, error)) {
            return false;
        }
        any = true;
    }
    writer->log_jobs += any;
    return true;
}

/* What stands there instead of a directory may be a link. */
static bool fail_directory(const char *path, GError **error)
{
    if (errno != ENOTDIR && errno != ELOOP) {
        return error_set_errno(error, STORE_ERROR, errno, "cannot read %s", path);
    }
    g_set_error(error, STORE_ERROR, ERROR_DENIED,
                "%s is not a directory (a link is not followed here); move it away", path);
    return false;
}

static bool add_logs_of(struct backup_writer *writer, int logs_fd, int64_t job, GError **error)
{
    g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, job);
    g_autofree char *name = g_build_filename("logs", number, NULL);
    auto_fd fd = openat(logs_fd, number, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        return (fd < 0 && errno == ENOENT) || fail_directory(name, error);
    }
    (void)g_steal_fd(&fd);
    bool good = add_log_directory(writer, directory, job, error);
    closedir(directory);
    return good;
}

static void *read_id(sqlite3_stmt *row)
{
    return g_memdup2(&(int64_t){sqlite3_column_int64(row, 0)}, sizeof(int64_t));
}

bool backup_writer_add_logs(struct backup_writer *writer, const char *state_directory,
                            GError **error)
{
    g_autofree char *path = g_build_filename(state_directory, "logs", NULL);
    auto_fd logs_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    writer->has_logs = true;
    if (logs_fd < 0 && errno == ENOENT) {
        return true;
    }
    if (logs_fd < 0) {
        return fail_directory(path, error);
    }
    g_autoptr(GPtrArray) ids =
        store_collect(writer->copy, error,
                      store_prepare(writer->copy, error,
                                    "SELECT id FROM job WHERE state NOT IN ('queued', 'running') "
                                    "ORDER BY id",
                                    ""),
                      read_id, g_free);
    bool good = ids != NULL;
    for (unsigned i = 0; good && i < ids->len; i++) {
        good = add_logs_of(writer, logs_fd, *(int64_t *)g_ptr_array_index(ids, i), error);
    }
    return good;
}

static bool put_meta(struct store *copy, const char *key, const char *value, GError **error)
{
    return store_execute(copy, error,
                         store_prepare(copy, error,
                                       "INSERT INTO backup_meta(key, value) VALUES(?, ?)", "ss",
                                       key, value));
}

static bool put_number(struct store *copy, const char *key, int64_t number, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
    return put_meta(copy, key, text, error);
}

static bool write_meta(struct backup_writer *writer, const struct backup_facts *facts,
                       GError **error)
{
    struct store *copy = writer->copy;
    g_autofree char *mark =
        g_strdup_printf("PRAGMA application_id=%d;", (int)BACKUP_APPLICATION_ID);
    bool good = put_number(copy, "format", BACKUP_FORMAT, error) &&
                put_number(copy, "created", facts->created_ms, error) &&
                put_meta(copy, "version", facts->version, error) &&
                put_number(copy, "logs", facts->has_logs, error) &&
                put_number(copy, "log_jobs", facts->log_jobs, error) &&
                put_number(copy, "log_bytes", facts->log_bytes, error);
    g_autofree char *digest = good ? backup_digest(copy, error) : NULL;
    return digest && put_meta(copy, "sha256", digest, error) && run(copy, mark, error) &&
           run(copy, "COMMIT", error);
}

bool backup_writer_finish(struct backup_writer *writer, const char *version, int64_t now_ms,
                          struct backup_facts *facts, GError **error)
{
    *facts = (struct backup_facts){.created_ms = now_ms,
                                   .version = g_strdup(version),
                                   .log_jobs = writer->log_jobs,
                                   .log_bytes = writer->log_bytes,
                                   .has_logs = writer->has_logs};
    bool good =
        backup_ask_number(writer->copy, "SELECT count(*) FROM job", &facts->jobs, error) &&
        backup_ask_number(writer->copy, "SELECT count(*) FROM repo", &facts->repos, error) &&
        write_meta(writer, facts, error);
    g_clear_pointer(&writer->copy, store_close);
    if (!good) {
        backup_facts_clear(facts);
    }
    return good;
}

void backup_facts_clear(struct backup_facts *facts)
{
    g_clear_pointer(&facts->version, g_free);
}
