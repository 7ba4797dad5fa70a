/* Opening, refusing, migrating; transactions. */
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>

#include "store/outbox.h"
#include "store/store_internal.h"
#include "store_fixture.h"

static void write_file(const char *path, const void *bytes, size_t length)
{
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
    g_assert_cmpint(chmod(path, 0600), ==, 0);
}

/* store_open() must fail with `code`, name the file, and leave it as it was. */
static void assert_refused(const char *path, enum error_code code)
{
    g_autoptr(GBytes) before = contents(path);
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open(path, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, path));
    assert_code(&error, code);
    g_autoptr(GBytes) after = contents(path);
    g_assert_true(before == after || g_bytes_equal(before, after));
}

static void open__new_path__makes_a_private_database_in_wal_mode(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct stat status;
    g_assert_cmpint(stat(fixture.path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    g_assert_cmpint(stat(log, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_autoptr(GBytes) bytes = contents(fixture.path);
    const char *header = g_bytes_get_data(bytes, NULL);
    g_assert_cmpint(header[18], ==, 2);
    fixture_close(&fixture);
}

static void open__linked_parent_directory__works(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *link = g_strconcat(fixture.directory, "-link", NULL);
    g_autofree char *path = g_build_filename(link, "state.db", NULL);
    g_assert_cmpint(symlink(fixture.directory, link), ==, 0);
    fixture.store = open_store(path);
    g_assert_cmpint(enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH), ==, 1);
    unlink(link);
    fixture_close(&fixture);
}

static void open__missing_directory__is_not_found(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open("/nonexistent/phantom_ci/state.db", &error));
    assert_code(&error, ERROR_NOT_FOUND);
}

static void open__not_a_regular_file__is_denied(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *other = g_build_filename(fixture.directory, "other", NULL);
    g_assert_cmpint(mkfifo(fixture.path, 0600), ==, 0);
    assert_refused(fixture.path, ERROR_DENIED);
    unlink(fixture.path);
    g_assert_cmpint(mkdir(fixture.path, 0700), ==, 0);
    assert_refused(fixture.path, ERROR_DENIED);
    rmdir(fixture.path);
    g_assert_cmpint(symlink(other, fixture.path), ==, 0);
    assert_refused(fixture.path, ERROR_DENIED);
    g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
    fixture_close(&fixture);
}

static void open__planted_log__is_denied(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    g_autofree char *other = g_build_filename(fixture.directory, "other", NULL);
    write_file(other, "precious", 8);
    g_assert_cmpint(symlink(other, log), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open(fixture.path, &error));
    assert_code(&error, ERROR_DENIED);
    g_autoptr(GBytes) after = contents(other);
    g_assert_cmpmem(g_bytes_get_data(after, NULL), g_bytes_get_size(after), "precious", 8);
    fixture_close(&fixture);
}

static void open__writable_by_others__is_denied(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store));
    g_assert_cmpint(chmod(fixture.path, 0620), ==, 0);
    assert_refused(fixture.path, ERROR_DENIED);
    g_assert_cmpint(chmod(fixture.path, 0602), ==, 0);
    assert_refused(fixture.path, ERROR_DENIED);
    fixture_close(&fixture);
}

static void open__garbage__is_invalid_and_untouched(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char bytes[8192];
    memset(bytes, 'x', sizeof(bytes));
    static const size_t lengths[] = {1, 15, 16, 99, 100, 511, 512, 4096, 8192};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        write_file(fixture.path, bytes, lengths[i]);
        assert_refused(fixture.path, ERROR_INVALID);
    }
    fixture_close(&fixture);
}

static void open__truncated__is_invalid_and_untouched(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    store_close(g_steal_pointer(&fixture.store));
    g_autoptr(GBytes) whole = contents(fixture.path);
    gsize length = 0;
    const char *bytes = g_bytes_get_data(whole, &length);
    static const size_t lengths[] = {1, 50, 99, 100, 101, 511, 512, 1000, 4095, 4096, 4097, 8192};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_assert_cmpuint(lengths[i], <, length);
        write_file(fixture.path, bytes, lengths[i]);
        assert_refused(fixture.path, ERROR_INVALID);
    }
    fixture_close(&fixture);
}

static void open__empty_or_missing_beside_a_log__is_invalid_and_keeps_the_log(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    write_file(log, "frames", 6);
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open(fixture.path, &error));
    g_assert_nonnull(strstr(error->message, fixture.path));
    assert_code(&error, ERROR_INVALID);
    g_assert_false(g_file_test(fixture.path, G_FILE_TEST_EXISTS));
    write_file(fixture.path, "", 0);
    assert_refused(fixture.path, ERROR_INVALID);
    g_autoptr(GBytes) after = contents(log);
    g_assert_cmpmem(g_bytes_get_data(after, NULL), g_bytes_get_size(after), "frames", 6);
    fixture_close(&fixture);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *database = NULL;
    g_assert_cmpint(sqlite3_open(path, &database), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(database);
    g_assert_cmpint(chmod(path, 0600), ==, 0);
}

static void open__other_programs_database__is_invalid_and_untouched(void)
{
    static const char *const others[] = {
        "CREATE TABLE song(title)",
        "CREATE TABLE song(title); PRAGMA user_version=1",
        "PRAGMA application_id=77; CREATE TABLE song(title)",
        "PRAGMA application_id=77",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        run_sql(fixture.path, others[i]);
        assert_refused(fixture.path, ERROR_INVALID);
        fixture_close(&fixture);
    }
}

static void open__newer_version__is_invalid_and_untouched(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store));
    run_sql(fixture.path, "PRAGMA user_version=999");
    assert_refused(fixture.path, ERROR_INVALID);
    fixture_close(&fixture);
}

static void open__newer_version_with_a_live_log__leaves_both_untouched(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_close(g_steal_pointer(&fixture.store));
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        sqlite3 *database = NULL;
        sqlite3_open(fixture.path, &database);
        sqlite3_exec(database, "PRAGMA user_version=999", NULL, NULL, NULL);
        _exit(0); /* without a close, which would empty the log */
    }
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    g_autofree char *log = g_strconcat(fixture.path, "-wal", NULL);
    g_autoptr(GBytes) before = contents(log);
    g_assert_cmpuint(g_bytes_get_size(before), >, 0);
    assert_refused(fixture.path, ERROR_INVALID);
    g_autoptr(GBytes) after = contents(log);
    g_assert_nonnull(after);
    g_assert_true(g_bytes_equal(before, after));
    fixture_close(&fixture);
}

static void open__empty_file__becomes_a_database(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    write_file(fixture.path, "", 0);
    fixture.store = open_store(fixture.path);
    g_assert_true(store_check(fixture.store, NULL));
    fixture_close(&fixture);
}

static void release_memory__between_questions__changes_no_answer(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    store_release_memory(fixture.store);
    g_assert_cmpint(state_of(fixture.store, id), ==, JOB_QUEUED);
    g_assert_true(claim(fixture.store, id));
    store_release_memory(fixture.store);
    g_assert_cmpint(state_of(fixture.store, id), ==, JOB_RUNNING);
    fixture_close(&fixture);
}

/* tests/unit/data/state-N.sql into a new file. */
static void make_released_database(const char *path, unsigned version)
{
    g_autofree char *sql_path = g_strdup_printf("%s/tests/unit/data/state-%u.sql",
                                                g_getenv("PHANTOM_CI_SOURCE_DIR"), version);
    g_autofree char *sql = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(sql_path, &sql, NULL, &error);
    g_assert_no_error(error);
    sqlite3 *database = NULL;
    g_assert_cmpint(sqlite3_open(path, &database), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_close(database), ==, SQLITE_OK);
    g_assert_cmpint(chmod(path, 0600), ==, 0);
}

static void migrate__each_released_version__keeps_its_rows(void)
{
    for (unsigned version = 1; version < store_schema_version(); version++) {
        struct fixture fixture;
        fixture_init(&fixture);
        make_released_database(fixture.path, version);
        fixture.store = open_store(fixture.path);
        g_assert_true(store_check(fixture.store, NULL));
        struct job *job = get_job(fixture.store, 7);
        g_assert_cmpstr(job->subject, ==, "subject");
        g_assert_cmpint(job->state, ==, JOB_FAILED);
        job_free(job);
        g_assert_cmpint(state_of(fixture.store, 8), ==, JOB_QUEUED);
        g_autoptr(GPtrArray) steps = store_steps(fixture.store, 7, NULL);
        g_assert_cmpuint(steps->len, ==, 1);
        int64_t waiting = -1;
        int64_t given_up = -1;
        g_assert_true(outbox_count(fixture.store, &waiting, &given_up, NULL));
        /* The outbox came with version 2. */
        g_assert_cmpint(waiting, ==, version >= 2 ? 2 : 0);
        g_assert_cmpint(given_up, ==, version >= 2 ? 1 : 0);
        g_assert_true(claim(fixture.store, 8));
        fixture_close(&fixture);
    }
}

/* A branch whose short name looks like the full name of a tag gets a full name itself. */
static void migrate__branch_named_like_a_tag__stays_a_branch(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    make_released_database(fixture.path, 2);
    fixture.store = open_store(fixture.path);
    static const char key[] = "refs/heads/refs/tags/v1";
    struct job *job = get_job(fixture.store, 9);
    g_assert_cmpstr(job->branch, ==, key);
    job_free(job);
    g_autoptr(GPtrArray) branches = store_branches(fixture.store, "app", NULL);
    g_autoptr(GPtrArray) tags = store_tags(fixture.store, "app", NULL);
    g_assert_cmpuint(branches->len, ==, 2);
    g_assert_cmpuint(tags->len, ==, 0);
    g_assert_cmpstr(((struct branch *)g_ptr_array_index(branches, 0))->name, ==, "main");
    g_assert_cmpstr(((struct branch *)g_ptr_array_index(branches, 1))->name, ==, key);
    g_autoptr(GPtrArray) decisions = store_decisions(fixture.store, "app", key, 0, NULL);
    g_assert_cmpuint(decisions->len, ==, 1);
    const struct outbox_filter filter = {.limit = 1};
    g_autoptr(GPtrArray) messages = outbox_list(fixture.store, &filter, NULL);
    g_assert_cmpstr(((struct outbox_message *)g_ptr_array_index(messages, 0))->branch, ==, key);
    char *text = NULL;
    g_assert_true(store_repo_get_tag_selection(fixture.store, "app", &text, NULL));
    g_assert_null(text);
    g_autoptr(GPtrArray) schedules = store_schedules(fixture.store, NULL);
    g_assert_cmpuint(schedules->len, ==, 0);
    fixture_close(&fixture);
}

/* Until then only on_rewind blocked. */
static void migrate__blocked_job__can_be_approved(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    make_released_database(fixture.path, 3);
    fixture.store = open_store(fixture.path);
    struct job *job = get_job(fixture.store, 10);
    g_assert_cmpint(job->block, ==, JOB_BLOCK_REWIND);
    job_free(job);
    job = get_job(fixture.store, 9);
    g_assert_cmpint(job->block, ==, JOB_BLOCK_NONE);
    job_free(job);
    fixture_close(&fixture);
}

/* The present steps, which a database of this version has behind it, and one more. */
static const char **with_next_step(const char *next)
{
    const char **steps = g_new0(const char *, store_schema_version() + 2);
    for (size_t i = 0; i < store_schema_version(); i++) {
        steps[i] = "unused";
    }
    steps[store_schema_version()] = next;
    return steps;
}

static void migrate__present_version__keeps_rows_and_runs_the_next_step_once(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_autofree const char **steps =
        with_next_step("ALTER TABLE job ADD COLUMN extra TEXT DEFAULT 'new'");
    size_t count = store_schema_version() + 1;
    g_autoptr(GError) error = NULL;
    g_assert_true(store_migrate_with(fixture.store, steps, count, &error));
    g_assert_true(store_migrate_with(fixture.store, steps, count, &error));
    g_assert_no_error(error);
    g_assert_cmpint(state_of(fixture.store, id), ==, JOB_QUEUED);
    store_close(g_steal_pointer(&fixture.store));
    assert_refused(fixture.path, ERROR_INVALID);
    fixture_close(&fixture);
}

static void migrate__step_fails__leaves_the_old_version_whole(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    size_t count = store_schema_version() + 1;
    g_autofree const char **bad =
        with_next_step("CREATE TABLE extra(x); INSERT INTO nowhere VALUES(1)");
    g_autofree const char **good = with_next_step("CREATE TABLE extra(x)");
    g_autoptr(GError) error = NULL;
    g_assert_false(store_migrate_with(fixture.store, bad, count, &error));
    assert_code(&error, ERROR_SYSTEM);
    store_close(g_steal_pointer(&fixture.store));
    fixture.store = open_store(fixture.path);
    g_assert_true(store_migrate_with(fixture.store, good, count, &error));
    g_assert_no_error(error);
    fixture_close(&fixture);
}

static void transaction__rolled_back__leaves_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    store_rollback(fixture.store);
    g_assert_true(store_begin(fixture.store, NULL));
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    store_rollback(fixture.store);
    g_autoptr(GError) error = NULL;
    g_assert_null(store_job_get(fixture.store, id, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_true(store_begin(fixture.store, NULL));
    id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(store_commit(fixture.store, NULL));
    g_assert_cmpint(id, ==, 1);
    store_rollback(fixture.store);
    g_assert_cmpint(state_of(fixture.store, id), ==, JOB_QUEUED);
    fixture_close(&fixture);
}

static void transaction__held_by_another__is_busy_and_reads_go_on(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    struct store *other = open_store(fixture.path);
    other->busy_limit_ms = 50;
    g_assert_true(store_begin(fixture.store, NULL));
    finish(fixture.store, id, JOB_CANCELED, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_false(store_begin(other, &error));
    assert_code(&error, ERROR_BUSY);
    g_assert_cmpint(state_of(other, id), ==, JOB_QUEUED);
    g_assert_true(store_commit(fixture.store, NULL));
    g_assert_cmpint(state_of(other, id), ==, JOB_CANCELED);
    store_close(other);
    fixture_close(&fixture);
}

static void transaction__undone_by_sqlite__takes_no_more_writes(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct store *store = fixture.store;
    g_assert_true(store_begin(store, NULL));
    int64_t id = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_autoptr(GError) error = NULL;
    /* The limit makes SQLite report a full disk, and undo the transaction, as a real one does. */
    g_assert_cmpint(sqlite3_exec(store->database, "PRAGMA max_page_count=1", NULL, NULL, NULL), ==,
                    SQLITE_OK);
    g_autofree char *long_text = g_strnfill(4000, 'x');
    bool good = true;
    for (int i = 0; i < 100 && good; i++) {
        good = store_note_add(store, id, 0, long_text, 1, &error);
    }
    g_assert_false(good);
    assert_code(&error, ERROR_NO_SPACE);
    if (sqlite3_get_autocommit(store->database)) {
        g_assert_false(store_note_add(store, id, 0, "x", 1, &error));
        assert_code(&error, ERROR_NO_SPACE);
        g_assert_false(store_commit(store, &error));
        assert_code(&error, ERROR_NO_SPACE);
    }
    store_rollback(store);
    g_assert_null(store_job_get(store, id, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    fixture_close(&fixture);
}

static void check__damaged_page__is_invalid(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    for (int i = 0; i < 200; i++) {
        enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    }
    g_autoptr(GError) error = NULL;
    g_assert_true(store_check(fixture.store, &error));
    g_assert_no_error(error);
    store_close(g_steal_pointer(&fixture.store));
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(fixture.path, &bytes, &length, NULL));
    for (gsize at = 2 * 4096; at + 64 < length; at += 4096) {
        memset(bytes + at, 0x5a, 64);
    }
    write_file(fixture.path, bytes, length);
    fixture.store = store_open(fixture.path, &error);
    if (fixture.store) {
        g_assert_false(store_check(fixture.store, &error));
    }
    assert_code(&error, ERROR_INVALID);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/" #name, name)
    ADD(open__new_path__makes_a_private_database_in_wal_mode);
    ADD(open__linked_parent_directory__works);
    ADD(open__missing_directory__is_not_found);
    ADD(open__not_a_regular_file__is_denied);
    ADD(open__planted_log__is_denied);
    ADD(open__writable_by_others__is_denied);
    ADD(open__garbage__is_invalid_and_untouched);
    ADD(open__truncated__is_invalid_and_untouched);
    ADD(open__empty_or_missing_beside_a_log__is_invalid_and_keeps_the_log);
    ADD(open__other_programs_database__is_invalid_and_untouched);
    ADD(open__newer_version__is_invalid_and_untouched);
    ADD(open__newer_version_with_a_live_log__leaves_both_untouched);
    ADD(open__empty_file__becomes_a_database);
    ADD(release_memory__between_questions__changes_no_answer);
    ADD(migrate__each_released_version__keeps_its_rows);
    ADD(migrate__branch_named_like_a_tag__stays_a_branch);
    ADD(migrate__blocked_job__can_be_approved);
    ADD(migrate__present_version__keeps_rows_and_runs_the_next_step_once);
    ADD(migrate__step_fails__leaves_the_old_version_whole);
    ADD(transaction__rolled_back__leaves_nothing);
    ADD(transaction__held_by_another__is_busy_and_reads_go_on);
    ADD(transaction__undone_by_sqlite__takes_no_more_writes);
    ADD(check__damaged_page__is_invalid);
    return g_test_run();
}
