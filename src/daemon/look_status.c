#include "daemon/look_status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/launch.h"

/* A record is one JSON object, blanks, and a newline. `g` at its beginning and `h` at its end are
 * the same number in a record that was not read while it was being written. */
enum { ERROR_MAX_BYTES = 400, FILE_MAX_BYTES = 64 * 1024 * 1024 };

struct look_status_file {
    int fd;
    GHashTable *slots; /* repo -> slot + 1 */
    unsigned generation;
};

void look_status_free(struct look_status *status)
{
    if (status) {
        g_free(status->repo);
        g_free(status->error);
        g_free(status);
    }
}

static struct look_status *decode(const char *record)
{
    json_t *root = json_loadb(record, LOOK_STATUS_RECORD_BYTES, JSON_DISABLE_EOF_CHECK, NULL);
    const char *repo = NULL;
    const char *error = NULL;
    json_int_t begin = 0, end = 0, last_look = 0, last_ok = 0, next_look = 0, failures = 0;
    struct look_status *status = NULL;
    if (root &&
        json_unpack(root, "{s:I,s:s,s:I,s:I,s:I,s:I,s?s,s:I}", "g", &begin, "repo", &repo,
                    "last_look", &last_look, "last_ok", &last_ok, "next_look", &next_look,
                    "failures", &failures, "error", &error, "h", &end) == 0 &&
        begin == end) {
        status = g_new0(struct look_status, 1);
        status->repo = g_strdup(repo);
        status->last_look_ms = last_look;
        status->last_ok_ms = last_ok;
        status->next_look_ms = next_look;
        status->failures = (unsigned)failures;
        status->error = g_strdup(error);
    }
    json_decref(root);
    return status;
}

static char *encode(const struct look_status *status, unsigned generation)
{
    g_autofree char *escaped = status->error ? text_escape(status->error) : NULL;
    if (escaped && strlen(escaped) > ERROR_MAX_BYTES) {
        escaped[ERROR_MAX_BYTES] = '\0';
        *(char *)g_utf8_find_prev_char(escaped, escaped + ERROR_MAX_BYTES) = '\0';
    }
    json_t *root = json_pack(
        "{s:I,s:s,s:I,s:I,s:I,s:I,s:s*,s:I}", "g", (json_int_t)generation, "repo", status->repo,
        "last_look", (json_int_t)status->last_look_ms, "last_ok", (json_int_t)status->last_ok_ms,
        "next_look", (json_int_t)status->next_look_ms, "failures", (json_int_t)status->failures,
        "error", escaped, "h", (json_int_t)generation);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    char *record = NULL;
    if (text && strlen(text) < LOOK_STATUS_RECORD_BYTES) {
        record = g_malloc(LOOK_STATUS_RECORD_BYTES);
        memset(record, ' ', LOOK_STATUS_RECORD_BYTES);
        memcpy(record, text, strlen(text));
        record[LOOK_STATUS_RECORD_BYTES - 1] = '\n';
    }
    free(text);
    return record;
}

GHashTable *look_status_read(const char *path, GError **error)
{
    GHashTable *table =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)look_status_free);
    g_autoptr(GError) local = NULL;
    size_t length = 0;
    g_autofree char *bytes = file_read(path, FILE_MAX_BYTES, &length, &local);
    if (!bytes && !error_has_code(local, ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&local));
        g_hash_table_unref(table);
        return NULL;
    }
    for (size_t at = 0; bytes && at + LOOK_STATUS_RECORD_BYTES <= length;
         at += LOOK_STATUS_RECORD_BYTES) {
        struct look_status *status = decode(bytes + at);
        if (status) {
            g_hash_table_replace(table, status->repo, status);
        }
    }
    return table;
}

struct look_status_file *look_status_open(const char *path, const char *const *repos,
                                          GError **error)
{
    g_autoptr(GHashTable) old = look_status_read(path, NULL);
    struct look_status_file *file = g_new0(struct look_status_file, 1);
    file->slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    /* A new file under a new name: a reader never sees records of another order. */
    g_autofree char *temporary = g_strconcat(path, ".new", NULL);
    unlink(temporary);
    file->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot write %s", temporary);
        look_status_close(file);
        return NULL;
    }
    for (; *repos; repos++) {
        struct look_status fresh = {.repo = (char *)*repos};
        const struct look_status *known = old ? g_hash_table_lookup(old, *repos) : NULL;
        g_hash_table_insert(file->slots, g_strdup(*repos),
                            GUINT_TO_POINTER(g_hash_table_size(file->slots) + 1));
        if (!look_status_write(file, known ? known : &fresh, error)) {
            look_status_close(file);
            return NULL;
        }
    }
    if (rename(temporary, path) < 0) {
        error_set_errno(error, DAEMON_ERROR, errno, "cannot write %s", path);
        look_status_close(file);
        return NULL;
    }
    return file;
}

bool look_status_write(struct look_status_file *file, const struct look_status *status,
                       GError **error)
{
    unsigned slot = GPOINTER_TO_UINT(g_hash_table_lookup(file->slots, status->repo));
    g_autofree char *record = slot ? encode(status, ++file->generation) : NULL;
    if (!record) {
        return true; /* a section that has gone meanwhile, or a name too long to show */
    }
    off_t at = (off_t)(slot - 1) * LOOK_STATUS_RECORD_BYTES;
    if (pwrite(file->fd, record, LOOK_STATUS_RECORD_BYTES, at) != LOOK_STATUS_RECORD_BYTES) {
        return error_set_errno(error, DAEMON_ERROR, errno, "cannot write the file of looks");
    }
    return true;
}

void look_status_close(struct look_status_file *file)
{
    if (file) {
        fd_close(&file->fd);
        g_hash_table_unref(file->slots);
        g_free(file);
    }
}
