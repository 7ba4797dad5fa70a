/* What the files of store/ share: statements, binding, transactions and errors. */
#ifndef PHANTOM_CI_STORE_STORE_INTERNAL_H
#define PHANTOM_CI_STORE_STORE_INTERNAL_H

#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "base/error.h"
#include "store/store.h"

struct store {
    sqlite3 *database;
    GHashTable *statements; /* address of the SQL literal -> sqlite3_stmt *, prepared once */
    char *path;             /* as the caller named it, for messages */
    bool in_transaction;
    bool undone; /* SQLite rolled the open transaction back by itself; nothing may follow in it */
    enum error_code undone_code; /* why */
    int busy_limit_ms;
    int64_t busy_since_ms; /* monotonic, of the wait that is going on */
};

/* Sets `error` from the connection's last failure. Always false. */
bool store_fail(struct store *store, GError **error, const char *doing);

/*
 * A prepared statement, reset and bound; NULL with `error`. `types` has one letter for each
 * parameter: 's' const char * (NULL is NULL), 'i' int64_t, 'b' const void * and size_t. `sql` must
 * be a string literal: its address is the key.
 */
sqlite3_stmt *store_prepare(struct store *store, GError **error, const char *sql, const char *types,
                            ...);

/* 1 = a row, 0 = no more (the statement is reset), -1 = failure (reset, error set). */
int store_step(struct store *store, GError **error, sqlite3_stmt *statement);

/* Runs a statement that gives no rows; a NULL statement is a failure that has set `error` already.
 */
bool store_execute(struct store *store, GError **error, sqlite3_stmt *statement);

/* The first row of a statement through `read`, which is then reset; *row is NULL when there is
 * none. */
bool store_first(struct store *store, GError **error, sqlite3_stmt *statement,
                 void *(*read)(sqlite3_stmt *), void **row);

/* All rows, as a GPtrArray of what `read` makes of each. */
GPtrArray *store_collect(struct store *store, GError **error, sqlite3_stmt *statement,
                         void *(*read)(sqlite3_stmt *), GDestroyNotify free_row);

/* A copy of a text column; NULL for NULL. */
char *store_text(sqlite3_stmt *statement, int column);

/* The rows that the last statement inserted, changed or deleted. */
int store_changes(const struct store *store);

/* Begins a transaction unless one is open; *own says whether store_end() must end it. */
bool store_begin_if_needed(struct store *store, bool *own, GError **error);
/* Commits a good transaction, rolls a bad one back; leaves alone what is not ours. */
bool store_end(struct store *store, bool own, bool good, GError **error);

/* One writing statement, in a transaction of its own unless one is open. *changes may be NULL. */
bool store_write(struct store *store, GError **error, int *changes, const char *sql,
                 const char *types, ...);

/* Refuses a database that is not ours or too new, before anything is written to it. */
bool store_check_identity(struct store *store, GError **error);

/* Brings the schema up to date; see migrations.c. */
bool store_migrate(struct store *store, GError **error);
/* The same with a list of steps of the caller's; for tests of the mechanism. */
bool store_migrate_with(struct store *store, const char *const *steps, size_t count,
                        GError **error);
/* The number of steps of this version. */
size_t store_schema_version(void);

enum job_block job_block_from_name(const char *name); /* JOB_BLOCK_NONE for NULL and others */
const char *job_stop_name(enum job_stop stop);
bool job_stop_from_name(const char *name, enum job_stop *stop);

#endif
