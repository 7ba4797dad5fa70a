/* A new store in a new directory, for the tests of store/. */
#ifndef PHANTOM_CI_TESTS_STORE_FIXTURE_H
#define PHANTOM_CI_TESTS_STORE_FIXTURE_H

#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "store/store.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C "cccccccccccccccccccccccccccccccccccccccc"
#define SHA_D "dddddddddddddddddddddddddddddddddddddddd"

struct fixture {
    char *directory;
    char *path; /* of the database */
    struct store *store;
};

static inline struct store *open_store(const char *path)
{
    g_autoptr(GError) error = NULL;
    struct store *store = store_open(path, &error);
    g_assert_no_error(error);
    g_assert_nonnull(store);
    return store;
}

static inline void fixture_init(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    fixture->directory = g_dir_make_tmp("phantom_ci-store-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->directory, "state.db", NULL);
    fixture->store = NULL;
}

static inline void fixture_open(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture->store = open_store(fixture->path);
}

static inline void fixture_close(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    store_close(fixture->store);
    file_remove_tree_at_path(fixture->directory, &error);
    g_assert_no_error(error);
    g_free(fixture->directory);
    g_free(fixture->path);
}

/* Fails the test unless `error` is one of ours with that code; clears it. */
static inline void assert_code(GError **error, enum error_code code)
{
    g_assert_nonnull(*error);
    if (!error_has_code(*error, code)) {
        g_error("expected code %d, found %d: %s", (int)code, (*error)->code, (*error)->message);
    }
    g_clear_error(error);
}

/* Queues a job of repo "app"; `previous` may be NULL. Returns its id. */
static inline int64_t enqueue(struct store *store, const char *branch, const char *sha,
                              const char *previous, enum job_trigger trigger)
{
    struct job_request request = {
        .repo = "app", .branch = branch, .sha = sha, .previous_sha = previous, .trigger = trigger};
    g_autoptr(GError) error = NULL;
    int64_t id = 0;
    bool good = store_job_enqueue(store, &request, 1000, &id, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    return id;
}

static inline bool claim(struct store *store, int64_t id)
{
    g_autoptr(GError) error = NULL;
    bool claimed = false;
    store_job_claim(store, id, 2000, &claimed, &error);
    g_assert_no_error(error);
    return claimed;
}

static inline bool finish(struct store *store, int64_t id, enum job_state state, const char *reason)
{
    g_autoptr(GError) error = NULL;
    bool changed = false;
    store_job_finish(store, id, state, reason, 3000, &changed, &error);
    g_assert_no_error(error);
    return changed;
}

static inline struct job *get_job(struct store *store, int64_t id)
{
    g_autoptr(GError) error = NULL;
    struct job *job = store_job_get(store, id, &error);
    g_assert_no_error(error);
    return job;
}

static inline enum job_state state_of(struct store *store, int64_t id)
{
    struct job *job = get_job(store, id);
    enum job_state state = job->state;
    job_free(job);
    return state;
}

/* The whole file; NULL when it is absent or not a regular one. */
static inline GBytes *contents(const char *path)
{
    char *bytes = NULL;
    gsize length = 0;
    struct stat status;
    if (lstat(path, &status) < 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    return g_file_get_contents(path, &bytes, &length, NULL) ? g_bytes_new_take(bytes, length)
                                                            : NULL;
}

#endif
