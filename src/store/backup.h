/*
 * Backups: one file that holds a consistent copy of the database, the configuration files and, if
 * asked for, the logs of finished jobs.
 *
 * The file is a SQLite database: the tables of the store, and two of its own,
 *   backup_file(name, piece, mode, content)   "Repo.toml", ".env", "logs/12/output", in pieces
 *   backup_meta(key, value)                   when, by which version, and the digest of all rows
 * with an application_id of its own, so that it is never taken for a live database. The digest
 * (SHA-256 over schema and rows) finds what PRAGMA integrity_check does not: a changed value.
 *
 * Writing: 1. backup_writer_open() copies the database. 2. backup_writer_add...() adds files.
 * 3. backup_writer_finish(), or backup_writer_free() to give up. The caller makes the file safe
 * (fsync, rename).
 * Reading: 1. backup_open() a private copy of the file, which validates all of it before anything
 * is believed. 2. backup_find_file(), backup_extract_logs(). 3. backup_make_database(), which ends
 * its use. 4. backup_close().
 *
 * Errors as in store/store.h; ERROR_INVALID for a file that is no backup, damaged or too new.
 */
#ifndef PHANTOM_CI_STORE_BACKUP_H
#define PHANTOM_CI_STORE_BACKUP_H

#include "store/store.h"

struct backup_facts {
    int64_t created_ms;
    char *version; /* of the phantom_ci that made it */
    int64_t jobs, repos;
    int64_t log_jobs, log_bytes; /* 0 = without logs */
    bool has_logs;               /* asked for, even if there was none */
};
void backup_facts_clear(struct backup_facts *facts);

struct backup_writer;

/* `path` is an empty file. The copy is of one moment; neither readers nor writers of the store are
 * held up. */
struct backup_writer *backup_writer_open(struct store *store, const char *path, GError **error);
bool backup_writer_add(struct backup_writer *writer, const char *name, unsigned mode,
                       const char *bytes, size_t length, GError **error);
/* logs/<job>/ of every job that is over in the copy; what is missing there is left out. */
bool backup_writer_add_logs(struct backup_writer *writer, const char *state_directory,
                            GError **error);
/* Writes the digest and closes the file. The writer is still to be freed. */
bool backup_writer_finish(struct backup_writer *writer, const char *version, int64_t now_ms,
                          struct backup_facts *facts, GError **error);
void backup_writer_free(struct backup_writer *writer);

struct backup;

/* `path` is a private copy, which is changed by backup_make_database(); `name` is what messages
 * call it. */
struct backup *backup_open(const char *path, const char *name, GError **error);
const struct backup_facts *backup_get_facts(const struct backup *backup);
/* NULL without error when the backup has no file of that name. NUL-terminated; free with g_free().
 */
char *backup_find_file(struct backup *backup, const char *name, size_t *length, unsigned *mode,
                       GError **error);
/* Writes the logs as directory/<job>/..., private and synced. */
bool backup_extract_logs(struct backup *backup, const char *directory, GError **error);
/* The store's database alone, brought up to date, at `path` (which must not exist), synced. */
bool backup_make_database(struct backup *backup, const char *path, GError **error);
void backup_close(struct backup *backup);

#endif
