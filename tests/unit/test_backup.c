/* What a backup holds, and what is refused as one. */
#include <sys/wait.h>

#include "backup_fixture.h"
#include "base/fd.h"
#include "store/replace.h"

enum { FLIPS = 300 };

static struct backup *open_good(const char *path)
{
    g_autoptr(GError) error = NULL;
    struct backup *backup = backup_open(path, "x.backup", &error);
    g_assert_no_error(error);
    g_assert_nonnull(backup);
    return backup;
}

static void assert_file(struct backup *backup, const char *name, const char *expected,
                        unsigned expected_mode)
{
    size_t length = 0;
    unsigned mode = 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = backup_find_file(backup, name, &length, &mode, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(bytes, ==, expected);
    g_assert_cmpuint(length, ==, strlen(expected));
    g_assert_cmpuint(mode, ==, expected_mode);
}

/* What the fixture put in, and nothing else. */
static void assert_fixture_contents(struct backup *backup, const char *restored)
{
    g_autoptr(GError) error = NULL;
    assert_file(backup, "Repo.toml", REPO_TOML, 0644);
    assert_file(backup, ".env", SECRETS, 0600);
    assert_file(backup, "logs/1/output", "hello\n", 0600);
    backup_make_database(backup, restored, &error);
    g_assert_no_error(error);
    struct store *store = open_store(restored);
    struct job *first = get_job(store, 1);
    struct job *second = get_job(store, 2);
    g_assert_cmpint(first->state, ==, JOB_SUCCESS);
    g_assert_cmpstr(first->sha, ==, SHA_A);
    g_assert_cmpint(first->finished_ms, ==, 3000);
    g_assert_cmpint(second->state, ==, JOB_QUEUED);
    g_assert_cmpstr(second->previous_sha, ==, SHA_A);
    job_free(first);
    job_free(second);
    g_assert_true(store_check(store, NULL));
    g_assert_cmpint(enqueue(store, "main", SHA_C, NULL, JOB_TRIGGER_RUN), ==, 3);
    store_close(store);
}

static void backup__of_a_store__holds_all_of_it(void)
{
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    struct backup *backup = open_good(fixture.backup);
    const struct backup_facts *facts = backup_get_facts(backup);
    g_assert_cmpint(facts->created_ms, ==, 77);
    g_assert_cmpstr(facts->version, ==, "1.2.3");
    g_assert_cmpint(facts->jobs, ==, 2);
    g_assert_true(facts->has_logs);
    g_assert_cmpint(facts->log_jobs, ==, 1);
    g_assert_cmpint(facts->log_bytes, ==, 12);
    size_t length = 0;
    unsigned mode = 0;
    g_autoptr(GError) error = NULL;
    g_assert_null(backup_find_file(backup, "config.toml", &length, &mode, &error));
    g_assert_null(backup_find_file(backup, "logs/1/stray", &length, &mode, &error));
    g_assert_null(backup_find_file(backup, "logs/2/output", &length, &mode, &error));
    g_assert_no_error(error);
    g_autofree char *logs = g_build_filename(fixture.store.directory, "extracted", NULL);
    g_autofree char *segment = g_build_filename(logs, "1", "output.00000000000000000006", NULL);
    g_assert_cmpint(mkdir(logs, 0700), ==, 0);
    g_assert_true(backup_extract_logs(backup, logs, &error));
    g_autoptr(GBytes) tail = contents(segment);
    g_assert_nonnull(tail);
    g_assert_cmpmem(g_bytes_get_data(tail, NULL), g_bytes_get_size(tail), "world\n", 6);
    assert_fixture_contents(backup, fixture.restored);
    backup_close(backup);
    backup_fixture_close(&fixture);
}

static void backup__restored__leaves_no_secret_in_the_database(void)
{
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    g_autoptr(GBytes) source = contents(fixture.backup);
    struct backup *backup = open_good(fixture.backup);
    assert_fixture_contents(backup, fixture.restored);
    backup_close(backup);
    g_autoptr(GBytes) bytes = contents(fixture.restored);
    static const char canary[] = "canary-0123456789";
    g_assert_nonnull(
        memmem(g_bytes_get_data(source, NULL), g_bytes_get_size(source), canary, strlen(canary)));
    g_assert_null(
        memmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), canary, strlen(canary)));
    backup_fixture_close(&fixture);
}

static void backup__file_of_several_pieces__comes_back_whole(void)
{
    static const size_t lengths[] = {0,
                                     1,
                                     BACKUP_PIECE_BYTES - 1,
                                     BACKUP_PIECE_BYTES,
                                     BACKUP_PIECE_BYTES + 1,
                                     2 * BACKUP_PIECE_BYTES};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        g_autofree char *path = g_build_filename(fixture.directory, "x", NULL);
        g_autofree char *written = g_malloc0(lengths[i] + 1);
        memset(written, 'x', lengths[i]);
        struct backup_facts facts;
        write_private(path, "", 0);
        struct backup_writer *writer = backup_writer_open(fixture.store, path, NULL);
        g_assert_true(backup_writer_add(writer, "Repo.toml", 0600, written, lengths[i], NULL));
        g_assert_true(backup_writer_finish(writer, "1", 1, &facts, NULL));
        backup_facts_clear(&facts);
        backup_writer_free(writer);
        struct backup *backup = open_good(path);
        assert_file(backup, "Repo.toml", written, 0600);
        backup_close(backup);
        fixture_close(&fixture);
    }
}

static void open__truncated__is_refused(void)
{
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    g_autoptr(GBytes) good = contents(fixture.backup);
    gsize length = 0;
    const char *bytes = g_bytes_get_data(good, &length);
    for (size_t cut = 0; cut < length; cut += cut < 1100 ? 99 : 2048) {
        spoil(&fixture, bytes, cut);
        assert_victim_refused(&fixture, "is no usable backup");
    }
    backup_fixture_close(&fixture);
}

/* A flipped bit is found, or it lies where nothing is read: then all is as it was. */
static void open__bit_flipped__is_refused_or_without_effect(void)
{
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    g_autoptr(GBytes) good = contents(fixture.backup);
    gsize length = 0;
    g_autofree char *bytes = g_memdup2(g_bytes_get_data(good, &length), g_bytes_get_size(good));
    length = g_bytes_get_size(good);
    unsigned refused = 0;
    for (unsigned i = 0; i < FLIPS; i++) {
        size_t at = i < 100 ? i : (size_t)g_test_rand_int_range(0, (gint32)length);
        char bit = (char)(1 << g_test_rand_int_range(0, 8));
        bytes[at] = (char)(bytes[at] ^ bit);
        spoil(&fixture, bytes, length);
        g_autoptr(GError) error = NULL;
        struct backup *backup = backup_open(fixture.victim, "x.backup", &error);
        if (backup) {
            assert_fixture_contents(backup, fixture.restored);
            unlink(fixture.restored);
            backup_close(backup);
        } else {
            assert_code(&error, ERROR_INVALID);
            refused++;
        }
        bytes[at] = (char)(bytes[at] ^ bit);
    }
    g_assert_cmpuint(refused, >, FLIPS / 50);
    backup_fixture_close(&fixture);
}

static void open__changed_value__is_refused_by_its_digest(void)
{
    static const char *const changes[] = {
        "UPDATE job SET sha = '" SHA_D "' WHERE id = 1",
        "UPDATE backup_file SET content = x'41' WHERE name = 'Repo.toml'",
        "UPDATE backup_file SET mode = 511 WHERE name = '.env'",
        "UPDATE backup_meta SET value = '78' WHERE key = 'created'",
        "DELETE FROM backup_file WHERE name = '.env'",
        "UPDATE sqlite_sequence SET seq = 0",
        "DELETE FROM backup_meta WHERE key = 'sha256'",
    };
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        spoil_with_sql(&fixture, changes[i], false);
        assert_victim_refused(&fixture, "SHA-256 differs");
    }
    backup_fixture_close(&fixture);
}

static void open__sealed_but_hostile__is_refused(void)
{
    static const struct {
        const char *sql, *reason;
    } cases[] = {
        {"CREATE TRIGGER t AFTER UPDATE ON job BEGIN DELETE FROM step; END", "a trigger"},
        {"CREATE VIEW v AS SELECT * FROM job", "a view"},
        {"CREATE TABLE song(title)", "not those of phantom_ci"},
        {"CREATE INDEX i ON job(sha)", "not those of phantom_ci"},
        {"ALTER TABLE job ADD COLUMN extra", "not those of phantom_ci"},
        {"DROP TABLE note", "not those of phantom_ci"},
        {"DROP TABLE branch; CREATE TABLE branch(repo, name, tip, seen, gone)",
         "not those of phantom_ci"},
        {"DROP TABLE backup_file", "no list of files"},
        {"ALTER TABLE backup_meta ADD COLUMN more", "no list of files"},
        {"PRAGMA application_id = 0", "did not make"},
        {"PRAGMA application_id = 1885889385", "did not make"},
        {"PRAGMA user_version = 0", "did not make"},
        {"PRAGMA user_version = 999", "newer phantom_ci"},
        {"UPDATE backup_meta SET value = '2' WHERE key = 'format'", "another version"},
        {"UPDATE backup_meta SET value = '-1' WHERE key = 'created'", "about itself"},
        {"UPDATE backup_file SET name = '../Repo.toml' WHERE name = 'Repo.toml'",
         "belongs into no backup"},
        {"UPDATE backup_file SET name = 'logs/1/../../x' WHERE name = 'logs/1/output'",
         "belongs into no backup"},
        {"UPDATE backup_file SET name = 'logs/x/output' WHERE name = 'logs/1/output'",
         "belongs into no backup"},
        {"UPDATE backup_file SET name = 'logs/01/output' WHERE name = 'logs/1/output'",
         "belongs into no backup"},
        {"UPDATE backup_file SET name = '/etc/passwd' WHERE name = '.env'",
         "belongs into no backup"},
        {"UPDATE backup_file SET piece = 1 WHERE name = '.env'", "not complete"},
        {"INSERT INTO backup_file VALUES('.env', 1, 384, x'41')", "not complete"},
        {"INSERT INTO backup_file VALUES('config.toml', 0, 384, zeroblob(1048577))",
         "not complete"},
        {"PRAGMA journal_mode = WAL", "not the file"},
    };
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        spoil_with_sql(&fixture, cases[i].sql, true);
        assert_victim_refused(&fixture, cases[i].reason);
    }
    /* The frame of these cases itself is accepted. */
    spoil_with_sql(&fixture, "SELECT 1", true);
    backup_close(open_good(fixture.victim));
    backup_fixture_close(&fixture);
}

static void open__other_files__are_refused(void)
{
    struct backup_fixture fixture;
    backup_fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store.store));
    g_autoptr(GBytes) live = contents(fixture.store.path);
    spoil(&fixture, g_bytes_get_data(live, NULL), g_bytes_get_size(live));
    assert_victim_refused(&fixture, "is not the file");
    spoil(&fixture, "", 0);
    assert_victim_refused(&fixture, "is not the file");
    g_autofree char *text = g_strnfill(10000, 'x');
    spoil(&fixture, text, 10000);
    assert_victim_refused(&fixture, "is not the file");
    backup_fixture_close(&fixture);
}

/* A backup that an older version made: its schema is brought up to date. */
static void open__older_schema__is_restored_as_the_present_one(void)
{
    for (unsigned version = 1; version < store_schema_version(); version++) {
        struct backup_fixture fixture;
        backup_fixture_open(&fixture);
        g_autofree char *sql_path = g_strdup_printf("%s/tests/unit/data/state-%u.sql",
                                                    g_getenv("PHANTOM_CI_SOURCE_DIR"), version);
        g_autofree char *sql = NULL;
        g_assert_true(g_file_get_contents(sql_path, &sql, NULL, NULL));
        spoil(&fixture, "", 0);
        struct store *old = backup_connect(fixture.victim, SQLITE_OPEN_READWRITE, NULL);
        g_autofree char *meta = g_strdup_printf(
            "PRAGMA application_id=%d; " BACKUP_FILE_TABLE "; " BACKUP_META_TABLE
            "; INSERT INTO backup_meta VALUES('format','1'),('created','5'),('version','0'),"
            "('logs','0'),('log_jobs','0'),('log_bytes','0');",
            (int)BACKUP_APPLICATION_ID);
        g_assert_cmpint(sqlite3_exec(old->database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_exec(old->database, meta, NULL, NULL, NULL), ==, SQLITE_OK);
        g_autofree char *digest = backup_digest(old, NULL);
        char *seal = sqlite3_mprintf("INSERT INTO backup_meta VALUES('sha256', %Q)", digest);
        g_assert_cmpint(sqlite3_exec(old->database, seal, NULL, NULL, NULL), ==, SQLITE_OK);
        sqlite3_free(seal);
        store_close(old);
        struct backup *backup = open_good(fixture.victim);
        g_autoptr(GError) error = NULL;
        backup_make_database(backup, fixture.restored, &error);
        g_assert_no_error(error);
        backup_close(backup);
        struct store *store = open_store(fixture.restored);
        g_assert_cmpint(state_of(store, 8), ==, JOB_QUEUED);
        store_close(store);
        backup_fixture_close(&fixture);
    }
}

static void parse_log_name__only_what_the_log_writer_makes(void)
{
    static const struct {
        const char *path, *job, *file;
    } cases[] = {
        {"logs/1/output", "1", "output"},
        {"logs/123456789012345678/times", "123456789012345678", "times"},
        {"logs/7/output.00000000000000000042", "7", "output.00000000000000000042"},
        {"logs/1234567890123456789/times", NULL, NULL},
        {"logs/7/output.42", NULL, NULL},
        {"logs/7/output.0000000000000000004x", NULL, NULL},
        {"logs/0/output", NULL, NULL},
        {"logs/-1/output", NULL, NULL},
        {"logs//output", NULL, NULL},
        {"logs/1/", NULL, NULL},
        {"logs/1", NULL, NULL},
        {"logs/1/output/", NULL, NULL},
        {"log/1/output", NULL, NULL},
        {"", NULL, NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *job = NULL;
        const char *file = NULL;
        bool good = backup_parse_log_name(cases[i].path, &job, &file);
        g_assert_cmpint(good, ==, cases[i].job != NULL);
        g_assert_cmpstr(job, ==, cases[i].job);
        g_assert_cmpstr(file, ==, cases[i].file);
    }
}

/* ---------------------------------------------------------------- replacing */

static struct replacement *begin_good(const char *path)
{
    g_autoptr(GError) error = NULL;
    struct replacement *replacement = replacement_begin(path, &error);
    g_assert_no_error(error);
    return replacement;
}

static void finish_good(struct replacement *replacement, const char *fresh, const char *kept)
{
    g_autoptr(GError) error = NULL;
    bool finished = false;
    g_assert_true(replacement_finish(replacement, fresh, kept, &finished, &error));
    g_assert_no_error(error);
    g_assert_true(finished);
    replacement_free(replacement);
}

/* A fresh database beside the fixture's with one job of SHA_C. */
static char *make_fresh(const struct fixture *fixture)
{
    char *path = g_build_filename(fixture->directory, "fresh.db", NULL);
    struct store *store = open_store(path);
    enqueue(store, "fresh", SHA_C, NULL, JOB_TRIGGER_RUN);
    store_close(store);
    return path;
}

static void assert_first_sha(const char *path, const char *sha)
{
    struct store *store = open_store(path);
    struct job *job = get_job(store, 1);
    g_assert_cmpstr(job->sha, ==, sha);
    job_free(job);
    store_close(store);
}

static void replace__present_database__is_kept_with_all_that_was_in_its_log(void)
{
    static const char *const faults[] = {NULL, "restore.link:*:EACCES"};
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        g_autofree char *kept = g_strconcat(fixture.path, ".kept", NULL);
        enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
        g_autofree char *fresh = make_fresh(&fixture);
        store_close(g_steal_pointer(&fixture.store));
        if (faults[i]) {
            g_setenv("PHANTOM_CI_FAULT", faults[i], TRUE);
        }
        struct replacement *replacement = begin_good(fixture.path);
        g_assert_nonnull(replacement_present(replacement));
        finish_good(replacement, fresh, kept);
        g_unsetenv("PHANTOM_CI_FAULT");
        assert_first_sha(kept, SHA_A);
        assert_first_sha(fixture.path, SHA_C);
        g_assert_false(g_file_test(fresh, G_FILE_TEST_EXISTS));
        fixture_close(&fixture);
    }
}

static void replace__database_in_use__is_busy_and_untouched(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_autoptr(GError) error = NULL;
    g_assert_null(replacement_begin(fixture.path, &error));
    assert_code(&error, ERROR_BUSY);
    g_assert_cmpint(enqueue(fixture.store, "main", SHA_B, NULL, JOB_TRIGGER_RUN), ==, 2);
    fixture_close(&fixture);
}

static void replace__given_up__leaves_the_present_database_in_use(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    store_close(g_steal_pointer(&fixture.store));
    replacement_free(begin_good(fixture.path));
    assert_first_sha(fixture.path, SHA_A);
    fixture_close(&fixture);
}

static void replace__while_it_lasts__nobody_else_gets_in(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store));
    struct replacement *replacement = begin_good(fixture.path);
    sqlite3 *other = NULL;
    g_assert_cmpint(sqlite3_open(fixture.path, &other), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(other, "SELECT count(*) FROM job", NULL, NULL, NULL), ==,
                    SQLITE_BUSY);
    sqlite3_close(other);
    replacement_free(replacement);
    fixture_close(&fixture);
}

/* What a process with the former file still open does: 0 = it could not write. */
static int write_late(const char *path, int ready, int go)
{
    sqlite3 *database = NULL;
    char byte = 0;
    bool opened = sqlite3_open(path, &database) == SQLITE_OK;
    if (!opened || !fd_write_all(ready, "", 1, NULL) || fd_read(go, &byte, 1) < 0) {
        return 1;
    }
    bool changed = sqlite3_exec(database, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) == SQLITE_OK;
    bool wrote =
        sqlite3_exec(database, "UPDATE job SET sha = 'late'", NULL, NULL, NULL) == SQLITE_OK;
    return changed || wrote ? 2 : 0;
}

/* Its log would bear the name of the fresh database's log, and be applied to that. */
static void replace__former_file_still_open_elsewhere__can_not_be_written(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    store_close(g_steal_pointer(&fixture.store));
    g_autofree char *fresh = make_fresh(&fixture);
    g_autofree char *kept = g_strconcat(fixture.path, ".kept", NULL);
    int ready[2];
    int go[2];
    char byte = 0;
    g_assert_true(fd_pipe(ready, NULL) && fd_pipe(go, NULL));
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        fd_close(&go[1]);
        _exit(write_late(fixture.path, ready[1], go[0]));
    }
    g_assert_cmpint(fd_read(ready[0], &byte, 1), ==, 1);
    finish_good(begin_good(fixture.path), fresh, kept);
    fd_close(&go[1]);
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    assert_first_sha(fixture.path, SHA_C);
    assert_first_sha(kept, SHA_A);
    fd_close(&ready[0]);
    fd_close(&ready[1]);
    fd_close(&go[0]);
    fixture_close(&fixture);
}

static void replace__damaged_or_absent_database__is_no_obstacle(void)
{
    g_autofree char *long_garbage = g_strnfill(5000, 'x');
    const char *const damages[] = {long_garbage, "garbage that is no database at all", "", NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        g_autofree char *fresh = make_fresh(&fixture);
        g_autofree char *kept = g_strconcat(fixture.path, ".kept", NULL);
        g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
        g_autofree char *kept_log = g_strconcat(kept, "-wal", NULL);
        if (damages[i]) {
            write_private(fixture.path, damages[i], strlen(damages[i]));
        }
        write_private(log, "frames", 6);
        struct replacement *replacement = begin_good(fixture.path);
        g_assert_null(replacement_present(replacement));
        finish_good(replacement, fresh, kept);
        assert_first_sha(fixture.path, SHA_C);
        g_assert_cmpint(g_file_test(kept, G_FILE_TEST_EXISTS), ==, damages[i] != NULL);
        g_assert_true(g_file_test(kept_log, G_FILE_TEST_EXISTS));
        fixture_close(&fixture);
    }
}

static void replace__unusable_database_with_a_live_log__keeps_both(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store));
    g_autofree char *fresh = make_fresh(&fixture);
    g_autofree char *kept = g_strconcat(fixture.path, ".kept", NULL);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    g_autofree char *kept_log = g_strconcat(kept, "-wal", NULL);
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        sqlite3 *database = NULL;
        sqlite3_open(fixture.path, &database);
        sqlite3_exec(database, "PRAGMA user_version=999", NULL, NULL, NULL);
        _exit(0); /* without a close, which would empty the log */
    }
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    g_autoptr(GBytes) before = contents(log);
    g_assert_cmpuint(g_bytes_get_size(before), >, 0);
    struct replacement *replacement = begin_good(fixture.path);
    g_assert_null(replacement_present(replacement));
    finish_good(replacement, fresh, kept);
    g_autoptr(GBytes) after = contents(kept_log);
    g_assert_nonnull(after);
    g_assert_true(g_bytes_equal(before, after));
    assert_first_sha(fixture.path, SHA_C);
    fixture_close(&fixture);
}

static void job_numbers__raised__are_never_lowered(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t last = -1;
    g_assert_true(store_job_last_number(fixture.store, &last, NULL));
    g_assert_cmpint(last, ==, 0);
    g_assert_true(store_job_number_above(fixture.store, 41, NULL));
    g_assert_cmpint(enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN), ==, 42);
    g_assert_true(store_job_number_above(fixture.store, 7, NULL));
    g_assert_cmpint(enqueue(fixture.store, "main", SHA_B, NULL, JOB_TRIGGER_RUN), ==, 43);
    g_assert_true(store_job_last_number(fixture.store, &last, NULL));
    g_assert_cmpint(last, ==, 43);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/backup/" #name, name)
    ADD(backup__of_a_store__holds_all_of_it);
    ADD(backup__restored__leaves_no_secret_in_the_database);
    ADD(backup__file_of_several_pieces__comes_back_whole);
    ADD(open__truncated__is_refused);
    ADD(open__bit_flipped__is_refused_or_without_effect);
    ADD(open__changed_value__is_refused_by_its_digest);
    ADD(open__sealed_but_hostile__is_refused);
    ADD(open__other_files__are_refused);
    ADD(open__older_schema__is_restored_as_the_present_one);
    ADD(parse_log_name__only_what_the_log_writer_makes);
    ADD(replace__present_database__is_kept_with_all_that_was_in_its_log);
    ADD(replace__database_in_use__is_busy_and_untouched);
    ADD(replace__given_up__leaves_the_present_database_in_use);
    ADD(replace__while_it_lasts__nobody_else_gets_in);
    ADD(replace__former_file_still_open_elsewhere__can_not_be_written);
    ADD(replace__damaged_or_absent_database__is_no_obstacle);
    ADD(replace__unusable_database_with_a_live_log__keeps_both);
    ADD(job_numbers__raised__are_never_lowered);
    return g_test_run();
}
