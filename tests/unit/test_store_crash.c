/* Several processes, killed processes, full disks, injected faults. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "small_disk.h"
#include "store/reserve.h"
#include "store_fixture.h"

enum { RACERS = 8, RACE_JOBS = 200, RACE_BRANCHES = 10, KILLS = 30 };

static void wait_for_success(pid_t child)
{
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* Between claim and finish the branch is ours alone: the file says so apart from the database. */
static void work_on(struct store *store, const struct job *job, const char *directory, int out)
{
    g_autofree char *mark = g_build_filename(directory, job->branch, NULL);
    int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        g_error("two jobs of branch %s run at once", job->branch);
    }
    close(fd);
    g_assert_true(fd_write_all(out, &job->id, sizeof(job->id), NULL));
    g_assert_cmpint(unlink(mark), ==, 0);
    g_assert_true(finish(store, job->id, JOB_SUCCESS, NULL));
}

static void race(const struct fixture *fixture, int out)
{
    struct store *store = open_store(fixture->path);
    unsigned left = 1;
    while (left > 0) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) jobs = store_jobs_queued(store, &error);
        g_assert_no_error(error);
        left = jobs->len;
        for (unsigned i = 0; i < jobs->len; i++) {
            const struct job *job = g_ptr_array_index(jobs, i);
            if (claim(store, job->id)) {
                work_on(store, job, fixture->directory, out);
            }
        }
    }
    store_close(store);
}

static void claim__eight_processes__each_job_once_and_one_at_a_time_per_branch(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_assert_true(store_begin(fixture.store, NULL));
    for (int i = 0; i < RACE_JOBS; i++) {
        g_autofree char *branch = g_strdup_printf("branch%d", i % RACE_BRANCHES);
        enqueue(fixture.store, branch, SHA_A, NULL, JOB_TRIGGER_RUN);
    }
    g_assert_true(store_commit(fixture.store, NULL));
    store_close(g_steal_pointer(&fixture.store));
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    pid_t children[RACERS];
    for (int i = 0; i < RACERS; i++) {
        children[i] = fork();
        g_assert_cmpint(children[i], >=, 0);
        if (children[i] == 0) {
            race(&fixture, ends[1]);
            _exit(0);
        }
    }
    fd_close(&ends[1]);
    int claims[RACE_JOBS + 1] = {0};
    int64_t id;
    while (fd_read(ends[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) {
        g_assert_cmpint(id, >, 0);
        g_assert_cmpint(id, <=, RACE_JOBS);
        claims[id]++;
    }
    fd_close(&ends[0]);
    for (int i = 0; i < RACERS; i++) {
        wait_for_success(children[i]);
    }
    for (int i = 1; i <= RACE_JOBS; i++) {
        g_assert_cmpint(claims[i], ==, 1);
    }
    fixture_close(&fixture);
}

static void open__eight_processes_at_once__one_database(void)
{
    for (int round = 0; round < 20; round++) {
        struct fixture fixture;
        fixture_init(&fixture);
        pid_t children[RACERS];
        for (int i = 0; i < RACERS; i++) {
            children[i] = fork();
            g_assert_cmpint(children[i], >=, 0);
            if (children[i] == 0) {
                struct store *store = open_store(fixture.path);
                enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
                store_close(store);
                _exit(0);
            }
        }
        for (int i = 0; i < RACERS; i++) {
            wait_for_success(children[i]);
        }
        fixture.store = open_store(fixture.path);
        g_assert_cmpint(state_of(fixture.store, RACERS), ==, JOB_QUEUED);
        g_assert_true(store_check(fixture.store, NULL));
        fixture_close(&fixture);
    }
}

/* Tip and job in one transaction, as the daemon does it; the id is told after the commit. */
static void write_for_ever(const char *path, int out)
{
    struct store *store = open_store(path);
    for (;;) {
        g_autofree char *sha = g_strdup_printf("%040x", g_random_int());
        struct branch branch = {
            .repo = (char *)"app", .name = (char *)"main", .tip = sha, .seen_ms = 1};
        g_assert_true(store_begin(store, NULL));
        g_assert_true(store_branch_put(store, &branch, NULL));
        int64_t id = enqueue(store, "main", sha, NULL, JOB_TRIGGER_PUSH);
        g_assert_true(store_commit(store, NULL));
        if (!fd_write_all(out, &id, sizeof(id), NULL)) {
            _exit(1);
        }
    }
}

/* Kills a writer at a random moment; returns the last id that it acknowledged, or `last`. */
static int64_t kill_a_writer(const char *path, int64_t last)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        write_for_ever(path, ends[1]);
    }
    fd_close(&ends[1]);
    int64_t id;
    for (int wanted = g_random_int_range(0, 12); wanted > 0; wanted--) {
        g_assert_cmpint(fd_read(ends[0], &id, sizeof(id)), ==, (ssize_t)sizeof(id));
        last = id;
    }
    g_usleep((gulong)g_random_int_range(0, 4000)); /* anywhere in the next transactions */
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    while (fd_read(ends[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) {
        last = id;
    }
    fd_close(&ends[0]);
    return last;
}

static void write__killed_at_random_moments__keeps_all_that_was_acknowledged(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    int64_t acknowledged = 0;
    for (int i = 0; i < KILLS; i++) {
        acknowledged = kill_a_writer(fixture.path, acknowledged);
        g_autoptr(GError) error = NULL;
        struct store *store = open_store(fixture.path);
        store_check(store, &error);
        g_assert_no_error(error);
        struct job *newest = store_job_latest(store, "app", "main", &error);
        g_assert_no_error(error);
        g_assert_true(newest ? newest->id >= acknowledged : acknowledged == 0);
        /* Ids have no gap, so that none below the newest was lost. */
        struct job_filter all = {.repo = "app"};
        g_autoptr(GPtrArray) jobs = store_jobs(store, &all, &error);
        g_assert_cmpint(jobs->len, ==, newest ? newest->id : 0);
        g_autoptr(GPtrArray) branches = store_branches(store, "app", &error);
        g_assert_cmpuint(branches->len, ==, newest ? 1 : 0);
        if (newest) {
            const struct branch *branch = g_ptr_array_index(branches, 0);
            g_assert_cmpstr(branch->tip, ==, newest->sha);
        }
        job_free(newest);
        store_close(store);
    }
    g_assert_cmpint(acknowledged, >, 0);
    fixture_close(&fixture);
}

static void reserve__made_and_released__once(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(fixture.directory, "reserve", NULL);
    g_assert_false(store_reserve_release(fixture.directory));
    g_assert_true(store_reserve_make(fixture.directory, &error));
    g_assert_true(store_reserve_make(fixture.directory, &error));
    g_assert_no_error(error);
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 1024 * 1024);
    g_assert_cmpint(status.st_blocks * 512, >=, 1024 * 1024);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_true(store_reserve_release(fixture.directory));
    g_assert_false(store_reserve_release(fixture.directory));
    g_assert_false(store_reserve_make("/nonexistent", &error));
    assert_code(&error, ERROR_NOT_FOUND);
    fixture_close(&fixture);
}

static void fill_store(struct store *store, int64_t job, const char *ballast)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strnfill(3000, 'x');
    small_disk_fill(ballast);
    bool good = true;
    /* What is left inside the log file may take some. */
    for (int i = 0; i < 2000 && good; i++) {
        good = store_note_add(store, job, 0, text, 1, &error);
    }
    g_assert_false(good);
    assert_code(&error, ERROR_NO_SPACE);
}

static void live_through_a_full_disk(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "state.db", NULL);
    g_autofree char *ballast = g_build_filename(directory, "ballast", NULL);
    g_autoptr(GError) error = NULL;
    struct store *store = open_store(path);
    g_assert_true(store_reserve_make(directory, NULL));
    int64_t job = enqueue(store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_assert_true(claim(store, job));
    fill_store(store, job, ballast);
    g_assert_cmpint(state_of(store, job), ==, JOB_RUNNING);
    g_assert_true(store_reserve_release(directory));
    g_assert_true(finish(store, job, JOB_ERROR, "the disk is full"));
    g_assert_true(store_check(store, &error));
    store_close(store);
    g_assert_cmpint(unlink(ballast), ==, 0);
    store = open_store(path);
    g_assert_cmpint(state_of(store, job), ==, JOB_ERROR);
    g_assert_true(store_check(store, &error));
    g_assert_no_error(error);
    enqueue(store, "main", SHA_B, NULL, JOB_TRIGGER_PUSH);
    store_close(store);
}

static void disk_full__reserve_released__final_state_is_written(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    small_disk_run(fixture.directory, "size=4m", live_through_a_full_disk);
    fixture_close(&fixture);
}

static void open_on_a_full_disk(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "state.db", NULL);
    g_autofree char *ballast = g_build_filename(directory, "ballast", NULL);
    g_autoptr(GError) error = NULL;
    small_disk_fill(ballast);
    g_assert_null(store_open(path, &error));
    assert_code(&error, ERROR_NO_SPACE);
    g_assert_false(store_reserve_make(directory, &error));
    assert_code(&error, ERROR_NO_SPACE);
    g_assert_cmpint(unlink(ballast), ==, 0);
    store_close(open_store(path));
}

static void disk_full__first_open__is_no_space_and_recovers(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    small_disk_run(fixture.directory, "size=1m", open_on_a_full_disk);
    fixture_close(&fixture);
}

#ifdef PHANTOM_CI_FAULTS
static void fault__each_point__is_no_space_and_leaves_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct job_request request = {.repo = "app", .branch = "main", .sha = SHA_A};
    g_autoptr(GError) error = NULL;
    int64_t id = 0;
    static const char *const faults[] = {"store.begin:*:ENOSPC", "store.commit:*:ENOSPC"};
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_setenv("PHANTOM_CI_FAULT", faults[i], TRUE);
        g_assert_false(store_job_enqueue(fixture.store, &request, 1, &id, NULL, &error));
        assert_code(&error, ERROR_NO_SPACE);
    }
    g_setenv("PHANTOM_CI_FAULT", "store.open:*:ENOSPC", TRUE);
    g_assert_null(store_open(fixture.path, &error));
    assert_code(&error, ERROR_NO_SPACE);
    g_unsetenv("PHANTOM_CI_FAULT");
    g_autoptr(GPtrArray) jobs = store_jobs_queued(fixture.store, NULL);
    g_assert_cmpuint(jobs->len, ==, 0);
    g_assert_cmpint(enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH), ==, 1);
    fixture_close(&fixture);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/store/" #name, name)
    ADD(claim__eight_processes__each_job_once_and_one_at_a_time_per_branch);
    ADD(open__eight_processes_at_once__one_database);
    ADD(write__killed_at_random_moments__keeps_all_that_was_acknowledged);
    ADD(reserve__made_and_released__once);
    ADD(disk_full__reserve_released__final_state_is_written);
    ADD(disk_full__first_open__is_no_space_and_recovers);
#ifdef PHANTOM_CI_FAULTS
    ADD(fault__each_point__is_no_space_and_leaves_nothing);
#endif
    return g_test_run();
}
