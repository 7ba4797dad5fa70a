/* A backup of a small store, and ways to spoil it. */
#ifndef PHANTOM_CI_TESTS_BACKUP_FIXTURE_H
#define PHANTOM_CI_TESTS_BACKUP_FIXTURE_H

#include <sqlite3.h>
#include <string.h>

#include "store/backup_internal.h"
#include "store_fixture.h"

#define REPO_TOML "[app]\npath = \"/srv/app\"\n"
#define SECRETS   "DISCORD_WEBHOOK_URL=https://h/canary-0123456789\n"

struct backup_fixture {
    struct fixture store;
    char *backup; /* a good one, of two jobs, Repo.toml, .env and the log of job 1 */
    char *victim; /* the copy that a test spoils */
    char *restored;
};

static inline void write_private(const char *path, const void *bytes, size_t length)
{
    g_assert_true(g_file_set_contents_full(path, bytes, (gssize)length, G_FILE_SET_CONTENTS_NONE,
                                           0600, NULL));
}

static inline void make_log(const char *directory, int64_t job, const char *name, const char *text)
{
    g_autofree char *of_job = g_strdup_printf("%s/logs/%" G_GINT64_FORMAT, directory, job);
    g_autofree char *path = g_build_filename(of_job, name, NULL);
    g_assert_cmpint(g_mkdir_with_parents(of_job, 0700), ==, 0);
    write_private(path, text, strlen(text));
}

static inline void write_backup(struct store *store, const char *directory, const char *path)
{
    g_autoptr(GError) error = NULL;
    struct backup_facts facts;
    write_private(path, "", 0);
    struct backup_writer *writer = backup_writer_open(store, path, &error);
    g_assert_no_error(error);
    backup_writer_add(writer, "Repo.toml", 0644, REPO_TOML, strlen(REPO_TOML), &error);
    backup_writer_add(writer, ".env", 0600, SECRETS, strlen(SECRETS), &error);
    backup_writer_add_logs(writer, directory, &error);
    g_assert_true(backup_writer_finish(writer, "1.2.3", 77, &facts, &error));
    g_assert_no_error(error);
    backup_facts_clear(&facts);
    backup_writer_free(writer);
}

static inline void backup_fixture_open(struct backup_fixture *fixture)
{
    fixture_open(&fixture->store);
    const char *directory = fixture->store.directory;
    struct store *store = fixture->store.store;
    fixture->backup = g_build_filename(directory, "good", NULL);
    fixture->victim = g_build_filename(directory, "victim", NULL);
    fixture->restored = g_build_filename(directory, "restored.db", NULL);
    int64_t first = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(store, first));
    g_assert_true(finish(store, first, JOB_SUCCESS, NULL));
    enqueue(store, "main", SHA_B, SHA_A, JOB_TRIGGER_PUSH);
    make_log(directory, 1, "output", "hello\n");
    make_log(directory, 1, "output.00000000000000000006", "world\n");
    make_log(directory, 1, "stray", "not of ours\n");
    make_log(directory, 2, "output", "of a queued job\n");
    write_backup(store, directory, fixture->backup);
}

static inline void backup_fixture_close(struct backup_fixture *fixture)
{
    g_free(fixture->backup);
    g_free(fixture->victim);
    g_free(fixture->restored);
    fixture_close(&fixture->store);
}

/* The victim becomes these bytes. */
static inline void spoil(const struct backup_fixture *fixture, const void *bytes, size_t length)
{
    write_private(fixture->victim, bytes, length);
}

/* The victim becomes the good backup after this SQL; `sealed`: with a digest that fits again. */
static inline void spoil_with_sql(const struct backup_fixture *fixture, const char *sql,
                                  bool sealed)
{
    g_autoptr(GBytes) good = contents(fixture->backup);
    spoil(fixture, g_bytes_get_data(good, NULL), g_bytes_get_size(good));
    struct store *store = backup_connect(fixture->victim, SQLITE_OPEN_READWRITE, NULL);
    char *message = NULL;
    if (sqlite3_exec(store->database, sql, NULL, NULL, &message) != SQLITE_OK) {
        g_error("%s: %s", sql, message);
    }
    g_autofree char *digest = sealed ? backup_digest(store, NULL) : NULL;
    if (digest) {
        char *seal =
            sqlite3_mprintf("UPDATE backup_meta SET value = %Q WHERE key = 'sha256'", digest);
        g_assert_cmpint(sqlite3_exec(store->database, seal, NULL, NULL, NULL), ==, SQLITE_OK);
        sqlite3_free(seal);
    }
    store_close(store);
}

static inline void assert_victim_refused(const struct backup_fixture *fixture, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) before = contents(fixture->victim);
    struct backup *backup = backup_open(fixture->victim, "x.backup", &error);
    g_assert_null(backup);
    g_assert_nonnull(error);
    if (!strstr(error->message, "x.backup") || !strstr(error->message, reason)) {
        g_error("expected \"%s\", found: %s", reason, error->message);
    }
    assert_code(&error, ERROR_INVALID);
    g_autoptr(GBytes) after = contents(fixture->victim);
    g_assert_true(g_bytes_equal(before, after));
}

#endif
