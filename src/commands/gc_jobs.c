#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/job_group.h"
#include "base/lock.h"
#include "base/units.h"
#include "commands/gc.h"

/* For what a dead job has left in its control groups. */
enum { GROUP_PATIENCE_MS = 1000 };

struct pass {
    struct gc *gc;
    int logs_fd;                       /* or -1 */
    GHashTable *logs;                  /* &id -> struct log_directory * */
    struct retention_history *history; /* read after the logs were listed */
    GHashTable *jobs;                  /* &id -> struct retention_job * in the history */
};

struct log_directory {
    int64_t job;
    int64_t bytes;
    int64_t changed_ms;
    bool is_condemned; /* see condemn() */
};

/* The number that a name stands for, written as we write it; 0 for any other name. */
static int64_t parse_number(const char *name, const char *suffix)
{
    guint64 number = 0;
    size_t digits = strspn(name, "0123456789");
    g_autofree char *text = g_strndup(name, digits);
    return strcmp(name + digits, suffix) == 0 && *name != '0' &&
                   g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT64, &number, NULL)
               ? (int64_t)number
               : 0;
}

/* The numbers in a directory whose names are a number and `suffix`. */
static GArray *list_numbers(int directory_fd, const char *suffix)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int fd = directory_fd < 0 ? -1 : openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        int64_t number = parse_number(entry->d_name, suffix);
        if (number > 0) {
            g_array_append_val(numbers, number);
        }
    }
    if (directory) {
        closedir(directory);
    } else {
        fd_close(&fd);
    }
    return numbers;
}

static int open_directory(const char *parent, const char *name)
{
    g_autofree char *path = g_build_filename(parent, name, NULL);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void list_logs(struct pass *pass)
{
    g_autoptr(GArray) numbers = list_numbers(pass->logs_fd, "");
    for (unsigned i = 0; i < numbers->len; i++) {
        struct log_directory *log = g_new0(struct log_directory, 1);
        struct stat status;
        log->job = g_array_index(numbers, int64_t, i);
        g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, log->job);
        log->bytes = MAX(file_tree_bytes(pass->logs_fd, name), 1);
        if (fstatat(pass->logs_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
            log->changed_ms = file_modified_ms(&status);
            log->is_condemned = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX);
        }
        g_hash_table_insert(pass->logs, &log->job, log);
    }
}

/* Logs were listed first: a directory without a row is then none of a job that is just being made,
 * for the row comes first. */
static bool read_history(struct pass *pass, GHashTable *living)
{
    g_autoptr(GError) error = NULL;
    pass->history = store_retention_history(pass->gc->context->store, &error);
    if (!pass->history) {
        gc_note_failure(pass->gc, NULL, error);
        return false;
    }
    for (unsigned i = 0; i < pass->history->branches->len; i++) {
        struct retention_branch *branch = g_ptr_array_index(pass->history->branches, i);
        g_autofree char *key = g_strdup_printf("%s\n%s", branch->repo, branch->name);
        branch->lives = g_hash_table_contains(living, key);
    }
    for (unsigned i = 0; i < pass->history->jobs->len; i++) {
        struct retention_job *job = &g_array_index(pass->history->jobs, struct retention_job, i);
        const struct log_directory *log = g_hash_table_lookup(pass->logs, &job->id);
        job->log_bytes = log ? log->bytes : 0;
        g_hash_table_insert(pass->jobs, &job->id, job);
    }
    return true;
}

/*
 * The sticky bit, which means nothing to the owner of a directory, says that the row of the job is
 * about to go: when a crash comes between, the next pass knows this log from that of a job whose
 * row was lost with its database. A mode needs no room on a full disk.
 */
static void condemn(struct pass *pass, int64_t job, bool condemned)
{
    g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, job);
    struct log_directory *log = g_hash_table_lookup(pass->logs, &job);
    auto_fd fd = !log || log->is_condemned == condemned
                     ? -1
                     : openat(pass->logs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fchmod(fd, condemned ? S_ISVTX | S_IRWXU : S_IRWXU) == 0) {
        log->is_condemned = condemned;
    }
}

/* Its row, or the note, is gone already: a crash before the end is made good by the next pass. */
static bool remove_log(struct pass *pass, int64_t job)
{
    g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, job);
    const struct log_directory *log = g_hash_table_lookup(pass->logs, &job);
    g_autoptr(GError) error = NULL;
    if (!log) {
        return true;
    }
    int fault = fault_point("gc.log");
    if (fault) {
        error_set_errno(&error, STORE_ERROR, fault, "cannot remove %s", name);
    }
    if (fault || !file_remove_tree(pass->logs_fd, name, &error)) {
        g_autofree char *what = paths_job_log_directory(&pass->gc->context->paths, job);
        gc_note_failure(pass->gc, what, error);
        return false;
    }
    pass->gc->bytes += log->bytes;
    return true;
}

void gc_give_way(int64_t begun_ms)
{
    int64_t took_ms = clock_monotonic_ms() - begun_ms;
    g_usleep((gulong)CLAMP(took_ms, 1, 2 * RETENTION_BITE_MS) * 1000);
}

/* The jobs of the plan that fall under these rules, oldest first. */
static GArray *pick_jobs(const GArray *plan, bool only_logs)
{
    GArray *jobs = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (unsigned i = 0; i < plan->len; i++) {
        const struct retention_removal *removal = &g_array_index(plan, struct retention_removal, i);
        if ((removal->rule == RETENTION_KEEP_BYTES) == only_logs) {
            g_array_append_val(jobs, removal->job);
        }
    }
    return jobs;
}

static enum retention_rule find_rule(const GArray *plan, int64_t job)
{
    unsigned low = 0;
    unsigned high = plan->len;
    while (low + 1 < high) {
        unsigned middle = low + (high - low) / 2;
        if (g_array_index(plan, struct retention_removal, middle).job <= job) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return g_array_index(plan, struct retention_removal, low).rule;
}

static void count_job(struct gc *gc, enum retention_rule rule)
{
    gc->jobs_by_age += rule == RETENTION_KEEP_FOR ? 1 : 0;
    gc->jobs_by_count += rule == RETENTION_KEEP_JOBS ? 1 : 0;
    gc->logs += rule == RETENTION_KEEP_BYTES ? 1 : 0;
}

static bool delete_jobs(struct pass *pass, const GArray *plan)
{
    g_autoptr(GArray) jobs = pick_jobs(plan, false);
    g_autoptr(GArray) deleted = g_array_new(FALSE, FALSE, sizeof(int64_t));
    const int64_t *ids = (const int64_t *)(const void *)jobs->data;
    for (unsigned at = 0, taken = 0; at < jobs->len; at += taken) {
        g_autoptr(GError) error = NULL;
        int64_t begun_ms = clock_monotonic_ms();
        g_array_set_size(deleted, 0);
        for (unsigned i = at; i < MIN(jobs->len, at + RETENTION_BITE_JOBS); i++) {
            condemn(pass, ids[i], true);
        }
        if (!store_retention_delete(pass->gc->context->store, ids + at, jobs->len - at,
                                    pass->history->last_id, &taken, deleted, &error)) {
            gc_note_failure(pass->gc, NULL, error);
            return false;
        }
        for (unsigned i = 0; i < deleted->len; i++) {
            int64_t job = g_array_index(deleted, int64_t, i);
            count_job(pass->gc, find_rule(plan, job));
            remove_log(pass, job);
            g_hash_table_remove(pass->logs, &job);
        }
        gc_give_way(begun_ms);
    }
    return true;
}

static bool drop_logs(struct pass *pass, const GArray *plan)
{
    g_autoptr(GArray) jobs = pick_jobs(plan, true);
    const int64_t *ids = (const int64_t *)(const void *)jobs->data;
    g_autofree char *limit = units_format_size(pass->gc->context->config->keep_bytes);
    g_autofree char *text =
        g_strdup_printf("the log was removed by retention (keep_bytes, %s for all logs)", limit);
    for (unsigned at = 0, taken = 0; at < jobs->len; at += taken) {
        g_autoptr(GError) error = NULL;
        int64_t begun_ms = clock_monotonic_ms();
        if (!store_retention_drop_logs(pass->gc->context->store, ids + at, jobs->len - at, text,
                                       pass->gc->now_ms, &taken, &error)) {
            gc_note_failure(pass->gc, NULL, error);
            return false;
        }
        for (unsigned i = at; i < at + taken; i++) {
            pass->gc->logs += remove_log(pass, ids[i]) ? 1 : 0;
            g_hash_table_remove(pass->logs, &ids[i]);
        }
        gc_give_way(begun_ms);
    }
    return true;
}

static void only_count(struct pass *pass, const GArray *plan)
{
    for (unsigned i = 0; i < plan->len; i++) {
        const struct retention_removal *removal = &g_array_index(plan, struct retention_removal, i);
        count_job(pass->gc, removal->rule);
        pass->gc->bytes += removal->log_bytes;
        g_hash_table_remove(pass->logs, &removal->job);
    }
}

/* Whether the log is of a job that retention has removed, or of one that says it has none. Any
 * other without a row is what is left of a job that a lost or restored database does not know: it
 * goes by age, and stays for ever when jobs do. */
static bool is_leftover_log(struct pass *pass, const struct log_directory *log)
{
    const struct retention_job *job = g_hash_table_lookup(pass->jobs, &log->job);
    int64_t keep_for_ms = pass->gc->context->config->keep_jobs_for_ms;
    if (job) {
        return job->log_is_dropped;
    }
    if (log->is_condemned) {
        return true;
    }
    bool is_old = keep_for_ms > 0 && pass->gc->now_ms - log->changed_ms > keep_for_ms;
    pass->gc->unknown_logs += is_old ? 0 : 1;
    return is_old;
}

/* A job that was to go and stays after all: it was retried meanwhile, or the rules have changed. */
static void spare(struct pass *pass, const struct log_directory *log)
{
    if (!pass->gc->dry_run && g_hash_table_contains(pass->jobs, &log->job)) {
        condemn(pass, log->job, false);
    }
}

static void remove_leftover_logs(struct pass *pass)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, pass->logs);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct log_directory *log = value;
        if (!is_leftover_log(pass, log)) {
            spare(pass, log);
            continue;
        }
        if (pass->gc->dry_run) {
            pass->gc->bytes += log->bytes;
            pass->gc->leftovers++;
        } else if (remove_log(pass, log->job)) {
            pass->gc->leftovers++;
        }
    }
}

/* Whether nothing of the job can be alive or come to life: final, or removed. */
static bool is_over(const struct pass *pass, int64_t id)
{
    const struct retention_job *job = g_hash_table_lookup(pass->jobs, &id);
    return job ? job->is_final : id <= pass->history->last_id;
}

/* Under the job's lock, for its guard may be at its last work. */
static void remove_traces(struct pass *pass, int64_t job)
{
    const struct paths *paths = &pass->gc->context->paths;
    g_autofree char *lock = paths_job_lock(paths, job);
    g_autofree char *control = paths_job_control(paths, job);
    g_autofree char *temporary = paths_job_temporary(paths, job);
    if (lock_is_held(lock)) {
        return;
    }
    if (pass->gc->dry_run) {
        pass->gc->leftovers++;
        return;
    }
    g_autoptr(GError) error = NULL;
    auto_fd lock_fd = lock_take(lock, LOCK_EXCLUSIVE, NULL);
    if (lock_fd < 0) {
        return;
    }
    if (file_remove_tree_at_path(temporary, &error)) {
        pass->gc->leftovers++;
    } else {
        gc_note_failure(pass->gc, NULL, error);
    }
    job_group_end(paths, job, GROUP_PATIENCE_MS);
    unlink(control);
    unlink(lock);
}

static void remove_leftover_traces(struct pass *pass)
{
    const struct paths *paths = &pass->gc->context->paths;
    auto_fd jobs_fd = open_directory(paths->state, "jobs");
    auto_fd temporary_fd = open_directory(paths->cache, "tmp");
    g_autoptr(GArray) locks = list_numbers(jobs_fd, ".lock");
    g_autoptr(GArray) controls = list_numbers(jobs_fd, ".control");
    g_autoptr(GArray) groups = list_numbers(jobs_fd, ".groups");
    g_autoptr(GArray) temporary = list_numbers(temporary_fd, "");
    GArray *const all[] = {locks, controls, groups, temporary};
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        for (unsigned j = 0; j < all[i]->len; j++) {
            int64_t *job = &g_array_index(all[i], int64_t, j);
            if (g_hash_table_add(seen, job) && is_over(pass, *job)) {
                remove_traces(pass, *job);
            }
        }
    }
}

static void carry_out(struct pass *pass)
{
    const struct config *config = pass->gc->context->config;
    const struct retention_rules rules = {config->keep_jobs_for_ms, config->keep_jobs,
                                          config->keep_bytes};
    g_autoptr(GArray) plan = retention_plan(pass->history, &rules, pass->gc->now_ms);
    if (pass->gc->dry_run) {
        only_count(pass, plan);
    } else if (!delete_jobs(pass, plan) || !drop_logs(pass, plan)) {
        return;
    }
    remove_leftover_logs(pass);
    remove_leftover_traces(pass);
}

void gc_jobs(struct gc *gc, GHashTable *living)
{
    struct pass pass = {
        .gc = gc,
        .logs_fd = open_directory(gc->context->paths.state, "logs"),
        .logs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free),
        .jobs = g_hash_table_new(g_int64_hash, g_int64_equal),
    };
    list_logs(&pass);
    if (read_history(&pass, living)) {
        carry_out(&pass);
    }
    fd_close(&pass.logs_fd);
    g_hash_table_unref(pass.logs);
    g_hash_table_unref(pass.jobs);
    retention_history_free(pass.history);
}
