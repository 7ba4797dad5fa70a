/*
 * The schema, as the list of steps that led to it. A database carries the number of steps it has
 * seen in user_version; opening it runs the rest in one transaction. Steps are never changed once
 * released.
 */
#include "store/store_internal.h"

/* "phci": tells our databases from others (PRAGMA application_id). */
enum { APPLICATION_ID = 0x70686369 };

/* States and other choices are stored as their names; times are UTC milliseconds, 0 = not yet. */
static const char *const migrations[] = {
    /* 1: the first release */
    "CREATE TABLE repo(name TEXT PRIMARY KEY, selection TEXT, paused INTEGER NOT NULL DEFAULT 0)"
    " WITHOUT ROWID;"
    "CREATE TABLE branch(repo TEXT NOT NULL, name TEXT NOT NULL, tip TEXT, seen INTEGER NOT NULL,"
    " gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(repo, name)) WITHOUT ROWID;"
    "CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, branch TEXT NOT "
    "NULL,"
    " sha TEXT NOT NULL, previous_sha TEXT, subject TEXT, author TEXT, trigger TEXT NOT NULL,"
    " state TEXT NOT NULL, reason TEXT, attempt INTEGER NOT NULL, retry_of INTEGER NOT NULL "
    "DEFAULT 0,"
    " priority INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, started INTEGER NOT NULL "
    "DEFAULT 0,"
    " finished INTEGER NOT NULL DEFAULT 0, stop TEXT NOT NULL DEFAULT 'none', stop_reason TEXT);"
    "CREATE INDEX job_queued ON job(repo, branch) WHERE state = 'queued';"
    /* Unique: never two running jobs of one branch. */
    "CREATE UNIQUE INDEX job_running ON job(repo, branch) WHERE state = 'running';"
    "CREATE INDEX job_repo ON job(repo, id DESC);"
    "CREATE INDEX job_branch ON job(repo, branch, id DESC);"
    /* argv: the words one after another, each with its NUL. */
    "CREATE TABLE step(job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, argv BLOB NOT NULL,"
    " state TEXT NOT NULL, exit_code INTEGER NOT NULL DEFAULT -1, signal INTEGER NOT NULL DEFAULT "
    "0,"
    " reason TEXT, started INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0,"
    " cpu_us INTEGER NOT NULL DEFAULT 0, max_rss INTEGER NOT NULL DEFAULT 0,"
    " log_offset INTEGER NOT NULL, log_length INTEGER NOT NULL DEFAULT -1,"
    " PRIMARY KEY(job, number)) WITHOUT ROWID;"
    "CREATE TABLE note(id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES job(id) ON DELETE "
    "CASCADE,"
    " at INTEGER NOT NULL, log_offset INTEGER NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX note_job ON note(job, id);"
    "CREATE TABLE decision(id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL,"
    " branch TEXT NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, old_sha TEXT, new_sha TEXT,"
    " job INTEGER NOT NULL DEFAULT 0, detail TEXT);"
    "CREATE INDEX decision_branch ON decision(repo, branch, id DESC);"
    /* repo '' = all. */
    "CREATE TABLE poll_request(repo TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;",
    /* 2: messages. A job's rows stay when the job goes: they are about it, not of it. */
    "CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL,"
    " repo TEXT NOT NULL, branch TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,"
    " target TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, next INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0,"
    " status INTEGER NOT NULL DEFAULT 0, answer TEXT);"
    "CREATE INDEX outbox_new ON outbox(id) WHERE state = 'new';"
    "CREATE INDEX outbox_waiting ON outbox(target, id) WHERE state IN ('waiting', 'sending');",
    /* 3: tags and schedules. Columns called branch hold keys of refs (base/refkey.h) from now on:
     * what looks like a full name becomes one. */
    "UPDATE branch SET name = 'refs/heads/' || name WHERE name GLOB 'refs/*';"
    "UPDATE job SET branch = 'refs/heads/' || branch WHERE branch GLOB 'refs/*';"
    "UPDATE decision SET branch = 'refs/heads/' || branch WHERE branch GLOB 'refs/*';"
    "UPDATE outbox SET branch = 'refs/heads/' || branch WHERE branch GLOB 'refs/*';"
    "CREATE TABLE tag(repo TEXT NOT NULL, name TEXT NOT NULL, tip TEXT NOT NULL, seen INTEGER NOT "
    "NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(repo, name)) WITHOUT ROWID;"
    "CREATE INDEX job_tag ON job(repo, id DESC) WHERE branch GLOB 'refs/tags/*';"
    "ALTER TABLE repo ADD COLUMN tag_selection TEXT;"
    /* schedule: the lines that were reckoned with; scheduled: up to when that has been done. */
    "ALTER TABLE repo ADD COLUMN schedule TEXT;"
    "ALTER TABLE repo ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;"
    /* No question of the daemon's reads every message, whose state stands behind its body. */
    "CREATE INDEX outbox_sending ON outbox(id) WHERE state = 'sending';"
    "CREATE INDEX outbox_over ON outbox(id, state) WHERE state IN ('delivered', 'given up');",
    /* 4: trust. signer, signing_key: who signed the commit; block: which rule refused the job; pin:
     * the digest of what an approval of its workflow would be for. An approval stays when its jobs
     * go. */
    "ALTER TABLE job ADD COLUMN signer TEXT;"
    "ALTER TABLE job ADD COLUMN signing_key TEXT;"
    "ALTER TABLE job ADD COLUMN block TEXT;"
    "ALTER TABLE job ADD COLUMN pin TEXT;"
    "UPDATE job SET block = 'rewind' WHERE state = 'blocked';"
    "CREATE TABLE approval(id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL,"
    " branch TEXT NOT NULL, sha TEXT NOT NULL, block TEXT NOT NULL, pin TEXT,"
    /* Unique: one job for a blocked one, however often it is approved. */
    " blocked_job INTEGER NOT NULL UNIQUE, job INTEGER NOT NULL, approver TEXT NOT NULL,"
    " at INTEGER NOT NULL, reason TEXT);"
    "CREATE INDEX approval_branch ON approval(repo, branch, block, id DESC);",
    /* 5: what all processes of a step together took at once. */
    ("ALTER TABLE step ADD COLUMN memory_peak INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE step ADD COLUMN pids_peak INTEGER NOT NULL DEFAULT 0;"),
};

size_t store_schema_version(void)
{
    return G_N_ELEMENTS(migrations);
}

struct identity {
    int64_t application, version, objects;
};

/* In one statement, and so of one moment: another process may be making the database just now. */
static bool read_identity(struct store *store, struct identity *identity, GError **error)
{
    sqlite3_stmt *statement =
        store_prepare(store, error,
                      "SELECT count(*), (SELECT * FROM pragma_application_id), "
                      "(SELECT * FROM pragma_user_version) FROM sqlite_schema",
                      "");
    if (!statement || store_step(store, error, statement) != 1) {
        return false;
    }
    identity->objects = sqlite3_column_int64(statement, 0);
    identity->application = sqlite3_column_int64(statement, 1);
    identity->version = sqlite3_column_int64(statement, 2);
    sqlite3_reset(statement);
    return true;
}

static bool refuse(struct store *store, const char *found, GError **error)
{
    g_set_error(error, STORE_ERROR, ERROR_INVALID,
                "%s %s; nothing in it was changed: move it away, or name another directory with "
                "--state-dir",
                store->path, found);
    return false;
}

static bool check_version(struct store *store, size_t known, int64_t *version, GError **error)
{
    struct identity found;
    if (!read_identity(store, &found, error)) {
        return false;
    }
    *version = found.version;
    bool is_new = found.version == 0 && found.application == 0 && found.objects == 0;
    if (!is_new && (found.application != APPLICATION_ID || *version <= 0)) {
        return refuse(store, "is a database of another program", error);
    }
    if (*version > (int64_t)known) {
        g_set_error(error, STORE_ERROR, ERROR_INVALID,
                    "%s was made by a newer phantom_ci (schema %d, this one knows %d) and was not "
                    "changed; update phantom_ci",
                    store->path, (int)*version, (int)known);
        return false;
    }
    return true;
}

bool store_check_identity(struct store *store, GError **error)
{
    int64_t version = 0;
    return check_version(store, store_schema_version(), &version, error);
}

bool store_schema(struct store *store, int64_t *found, int64_t *known, GError **error)
{
    *known = (int64_t)store_schema_version();
    return check_version(store, store_schema_version(), found, error);
}

static bool run(struct store *store, const char *sql, GError **error)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ||
           store_fail(store, error, "bring the database up to date");
}

static bool run_from(struct store *store, const char *const *steps, int64_t version, size_t count,
                     GError **error)
{
    for (size_t i = (size_t)version; i < count; i++) {
        if (!run(store, steps[i], error)) {
            return false;
        }
    }
    g_autofree char *marks = g_strdup_printf("PRAGMA application_id=%d; PRAGMA user_version=%zu;",
                                             (int)APPLICATION_ID, count);
    return run(store, marks, error);
}

bool store_migrate_with(struct store *store, const char *const *steps, size_t count, GError **error)
{
    int64_t version = 0;
    if (!check_version(store, count, &version, error)) {
        return false;
    }
    if (version == (int64_t)count) {
        return true;
    }
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    /* Asked again under the write lock: another process may have been faster. */
    bool good = check_version(store, count, &version, error) &&
                run_from(store, steps, version, count, error);
    return store_end(store, own, good, error);
}

bool store_migrate(struct store *store, GError **error)
{
    return store_migrate_with(store, migrations, store_schema_version(), error);
}
