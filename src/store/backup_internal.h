/* What the writing and the reading of backups share. */
#ifndef PHANTOM_CI_STORE_BACKUP_INTERNAL_H
#define PHANTOM_CI_STORE_BACKUP_INTERNAL_H

#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "store/backup.h"
#include "store/store_internal.h"

/* "phcb", and the form of the two tables. */
enum { BACKUP_APPLICATION_ID = 0x70686362, BACKUP_FORMAT = 1 };

enum { BACKUP_PIECE_BYTES = 1024 * 1024 };

#define BACKUP_FILE_TABLE                                                                          \
    "CREATE TABLE backup_file(name TEXT NOT NULL, piece INTEGER NOT NULL, mode INTEGER NOT NULL,"  \
    " content BLOB NOT NULL, PRIMARY KEY(name, piece))"
#define BACKUP_META_TABLE "CREATE TABLE backup_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)"

/* A connection in the shape of a store, for its statements and errors; store_close() frees it. */
struct store *backup_connect(const char *path, int flags, GError **error);

/* True for logs/<job>/ and a name that joblog_writer gives: "output", "output.<20 digits>",
 * "times". `job` gets the number's text (free with g_free()) and `name` points into `path`. */
bool backup_parse_log_name(const char *path, char **job, const char **name);
bool backup_is_log_file(const char *name);

/* SHA-256 of the schema and of every row but those of backup_meta; NULL with `error`. */
char *backup_digest(struct store *store, GError **error);

/* The value of one statement without parameters; false also when it has no row. */
bool backup_ask_number(struct store *store, const char *sql, int64_t *number, GError **error);

#endif
