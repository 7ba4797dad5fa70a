#include "daemon/timetable.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/timerfd.h>
#include <unistd.h>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/refkey.h"
#include "poll/cron.h"

enum {
    RETRY_MS = 5000, /* after a transaction that failed */
    LATE_MS = 60 * 1000,
    /* How far back a clock may be set without making what it had reached count for nothing: a day
     * and the distance of time zones. Beyond it, the clock had been wrong before. */
    BACK_MAX_MS = 38 * 3600 * 1000,
    CHECK_MS = 60 * 1000, /* without a timer that knows of clocks being set */
};

struct entry {
    const struct repo_config *repo;
    char *lines;
    int64_t done_ms;
    int64_t due_ms;
    bool is_stored; /* lines and done_ms */
};

struct timetable {
    struct store *store;
    const struct config *config; /* yet to be compared with the store; NULL = done */
    GPtrArray *entries;          /* of struct entry * */
    GPtrArray *forgotten;        /* of char *: repos that have a schedule in the store alone */
    int64_t next_ms;             /* the earliest due_ms */
    int64_t done_ms;             /* the latest of all */
    int64_t retry_due_ms;        /* monotonic; INT64_MAX = no transaction has failed */
    int timer_fd;                /* or -1 */
    bool timer_is_current;       /* it stands at next_ms */
};

static void entry_free(void *data)
{
    struct entry *entry = data;
    g_free(entry->lines);
    g_free(entry);
}

struct timetable *timetable_new(struct store *store)
{
    struct timetable *timetable = g_new0(struct timetable, 1);
    timetable->store = store;
    timetable->entries = g_ptr_array_new_with_free_func(entry_free);
    timetable->forgotten = g_ptr_array_new_with_free_func(g_free);
    timetable->next_ms = INT64_MAX;
    timetable->retry_due_ms = INT64_MAX;
    timetable->timer_fd = -1;
    return timetable;
}

void timetable_free(struct timetable *timetable)
{
    if (timetable) {
        fd_close(&timetable->timer_fd);
        g_ptr_array_unref(timetable->entries);
        g_ptr_array_unref(timetable->forgotten);
        g_free(timetable);
    }
}

char *timetable_lines(const struct repo_config *repo)
{
    return g_strjoinv("\n", repo->schedule);
}

int64_t timetable_next_ms(const struct repo_config *repo, int64_t done_ms)
{
    int64_t next_ms = INT64_MAX;
    for (char **line = repo->schedule; *line; line++) {
        struct cron cron;
        if (cron_parse(*line, &cron, NULL)) {
            next_ms = MIN(next_ms, cron_next(&cron, done_ms));
        }
    }
    return next_ms;
}

/* The time zone may have changed since the last time. */
static void reckon(struct entry *entry)
{
    tzset();
    entry->due_ms = timetable_next_ms(entry->repo, entry->done_ms);
}

static void find_next(struct timetable *timetable)
{
    timetable->next_ms = INT64_MAX;
    timetable->done_ms = 0;
    for (unsigned i = 0; i < timetable->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(timetable->entries, i);
        timetable->next_ms = MIN(timetable->next_ms, entry->due_ms);
        timetable->done_ms = MAX(timetable->done_ms, entry->done_ms);
    }
    timetable->timer_is_current = false;
}

/* ------------------------------------------------------------------ timer */

#ifdef __linux__
static void set_timer(struct timetable *timetable)
{
    if (timetable->timer_fd < 0 && timetable->next_ms != INT64_MAX) {
        timetable->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    }
    /* In the past nothing is to be waited for; zero disarms it. */
    int64_t at_ms = timetable->next_ms - clock_offset_ms();
    bool is_ahead = timetable->next_ms != INT64_MAX && timetable->next_ms > clock_now_ms();
    struct itimerspec when = {.it_value = {.tv_sec = 0}};
    if (is_ahead) {
        when.it_value.tv_sec = (time_t)(at_ms / 1000);
        when.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
    }
    /* The flag makes it readable, too, when somebody sets the clock (timerfd_create(2)). */
    if (timetable->timer_fd >= 0 &&
        timerfd_settime(timetable->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
                        NULL) < 0) {
        fd_close(&timetable->timer_fd);
    }
    timetable->timer_is_current = true;
}
#else
static void set_timer(struct timetable *timetable)
{
    timetable->timer_is_current = true;
}
#endif

int timetable_fd(const struct timetable *timetable)
{
    return timetable->timer_fd;
}

void timetable_take(struct timetable *timetable)
{
    uint64_t count;
    /* ECANCELED when the clock was set */
    while (fd_read(timetable->timer_fd, &count, sizeof(count)) > 0) {
    }
    timetable->timer_is_current = false;
}

int64_t timetable_next_due_ms(const struct timetable *timetable)
{
    int64_t check_ms = INT64_MAX;
    if (timetable->timer_fd < 0 && timetable->next_ms != INT64_MAX) {
        int64_t left_ms = timetable->next_ms - clock_now_ms();
        check_ms = clock_monotonic_ms() + CLAMP(left_ms, 0, CHECK_MS);
    }
    return timetable->retry_due_ms != INT64_MAX ? timetable->retry_due_ms : check_ms;
}

/* ---------------------------------------------------------- configuration */

static void add_entry(struct timetable *timetable, const struct repo_config *repo,
                      const struct repo_schedule *known, int64_t now_ms)
{
    struct entry *entry = g_new0(struct entry, 1);
    entry->repo = repo;
    entry->lines = timetable_lines(repo);
    entry->is_stored = known && strcmp(known->lines, entry->lines) == 0;
    entry->done_ms = entry->is_stored ? known->done_ms : now_ms;
    reckon(entry);
    g_ptr_array_add(timetable->entries, entry);
}

/* What the store knows of the schedules that the configuration has, and of others. */
static bool take_config(struct timetable *timetable, GError **error)
{
    const struct config *config = timetable->config;
    g_autoptr(GPtrArray) stored = store_schedules(timetable->store, error);
    g_autoptr(GHashTable) others = g_hash_table_new(g_str_hash, g_str_equal);
    if (!stored) {
        return false;
    }
    for (unsigned i = 0; i < stored->len; i++) {
        struct repo_schedule *schedule = g_ptr_array_index(stored, i);
        g_hash_table_insert(others, schedule->repo, schedule);
    }
    int64_t now_ms = clock_now_ms();
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (repo->schedule[0]) {
            add_entry(timetable, repo, g_hash_table_lookup(others, repo->name), now_ms);
            g_hash_table_remove(others, repo->name);
        }
    }
    GHashTableIter iterator;
    void *name = NULL;
    g_hash_table_iter_init(&iterator, others);
    while (g_hash_table_iter_next(&iterator, &name, NULL)) {
        g_ptr_array_add(timetable->forgotten, g_strdup(name));
    }
    timetable->config = NULL;
    return true;
}

void timetable_set_config(struct timetable *timetable, const struct config *config)
{
    timetable->config = config;
    g_ptr_array_set_size(timetable->entries, 0);
    g_ptr_array_set_size(timetable->forgotten, 0);
    timetable->retry_due_ms = INT64_MAX;
    timetable->timer_is_current = false;
}

/* ------------------------------------------------------------ carrying out */

static bool put_entry(struct timetable *timetable, const struct entry *entry, GError **error)
{
    return store_schedule_put(timetable->store, entry->repo->name, entry->lines, entry->done_ms,
                              error);
}

static bool has_unstored(const struct timetable *timetable)
{
    bool found = timetable->forgotten->len > 0;
    for (unsigned i = 0; i < timetable->entries->len && !found; i++) {
        found = !((const struct entry *)g_ptr_array_index(timetable->entries, i))->is_stored;
    }
    return found;
}

static bool put_all(struct timetable *timetable, GError **error)
{
    bool good = true;
    for (unsigned i = 0; good && i < timetable->forgotten->len; i++) {
        good = store_schedule_put(timetable->store, g_ptr_array_index(timetable->forgotten, i),
                                  NULL, 0, error);
    }
    for (unsigned i = 0; good && i < timetable->entries->len; i++) {
        const struct entry *entry = g_ptr_array_index(timetable->entries, i);
        good = entry->is_stored || put_entry(timetable, entry, error);
    }
    return good;
}

/* From when on the schedules count; they are not carried out before that is known to last. */
static bool store_beginnings(struct timetable *timetable, GError **error)
{
    bool good = store_begin(timetable->store, error) && put_all(timetable, error) &&
                store_commit(timetable->store, error);
    if (!good) {
        store_rollback(timetable->store);
        return false;
    }
    for (unsigned i = 0; i < timetable->entries->len; i++) {
        struct entry *entry = g_ptr_array_index(timetable->entries, i);
        if (!entry->is_stored) {
            g_autofree char *next = clock_format(entry->due_ms == INT64_MAX ? 0 : entry->due_ms);
            event_print(EVENT_INFO, "schedule set", "repo", entry->repo->name, "next", next, NULL);
        }
        entry->is_stored = true;
    }
    g_ptr_array_set_size(timetable->forgotten, 0);
    return true;
}

struct run {
    struct timetable *timetable;
    const struct entry *entry;
    int64_t now_ms;
    GPtrArray *branches; /* of struct branch *: those that run */
    GArray *jobs;        /* of int64_t: one for each */
};

static char *describe_run(const struct run *run, int64_t job, unsigned superseded)
{
    g_autofree char *due = clock_format(run->entry->due_ms);
    bool is_late = run->now_ms - run->entry->due_ms > LATE_MS;
    g_autofree char *more = superseded > 0
                                ? g_strdup("; it supersedes the scheduled one that still waited")
                                : g_strdup("");
    return g_strdup_printf(
        "its schedule was due on %s%s: job %" G_GINT64_FORMAT " was queued for its tip%s", due,
        is_late ? ", which could not be met, and is made up for once" : "", job, more);
}

static bool queue_branch(struct run *run, const struct branch *branch, GError **error)
{
    const struct job_request request = {
        .repo = branch->repo,
        .branch = branch->name,
        .sha = branch->tip,
        .trigger = JOB_TRIGGER_SCHEDULE,
        .priority = run->entry->repo->priority,
    };
    int64_t job = 0;
    unsigned superseded = 0;
    if (!store_job_enqueue(run->timetable->store, &request, run->now_ms, &job, &superseded,
                           error)) {
        return false;
    }
    g_autofree char *detail = describe_run(run, job, superseded);
    const struct decision decision = {
        .repo = branch->repo,
        .branch = branch->name,
        .at_ms = run->now_ms,
        .kind = (char *)"queued",
        .old_sha = branch->tip,
        .new_sha = branch->tip,
        .job = job,
        .detail = detail,
    };
    g_array_append_val(run->jobs, job);
    return store_decision_put(run->timetable->store, &decision, error);
}

static bool runs(const struct repo_config *repo, const struct branch *branch)
{
    return branch->tip && branch->gone_ms == 0 &&
           repo_config_wants_branch(repo, refkey_branch(branch->name));
}

static bool queue_branches(struct run *run, GError **error)
{
    const char *repo = run->entry->repo->name;
    run->branches = store_branches(run->timetable->store, repo, error);
    bool good = run->branches != NULL;
    for (unsigned i = 0; good && i < run->branches->len;) {
        const struct branch *branch = g_ptr_array_index(run->branches, i);
        if (runs(run->entry->repo, branch)) {
            good = queue_branch(run, branch, error);
            i++;
        } else {
            g_ptr_array_remove_index(run->branches, i);
        }
    }
    int fault = good ? fault_point("schedule.commit") : 0;
    return fault ? error_set_errno(error, STORE_ERROR, fault, "cannot record the schedule")
                 : good && store_schedule_put(run->timetable->store, repo, run->entry->lines,
                                              run->now_ms, error);
}

static void announce(const struct run *run)
{
    const char *repo = run->entry->repo->name;
    for (unsigned i = 0; i < run->branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(run->branches, i);
        g_autofree char *job =
            g_strdup_printf("%" G_GINT64_FORMAT, g_array_index(run->jobs, int64_t, i));
        event_print(EVENT_INFO, "job queued", "job", job, "repo", repo, "branch",
                    refkey_branch(branch->name), "sha", branch->tip, "trigger", "schedule", NULL);
    }
    if (run->branches->len == 0) {
        event_print(EVENT_WARNING, "schedule idle", "repo", repo, "note",
                    "no branch of it is known yet: nothing runs", NULL);
    }
}

/* The jobs, the decisions and the moment up to which all is done, in one transaction. */
static bool carry_out(struct timetable *timetable, struct entry *entry, int64_t now_ms,
                      GError **error)
{
    g_autoptr(GArray) jobs = g_array_new(FALSE, FALSE, sizeof(int64_t));
    struct run run = {timetable, entry, now_ms, NULL, jobs};
    bool good = store_begin(timetable->store, error) && queue_branches(&run, error) &&
                store_commit(timetable->store, error);
    if (good) {
        fault_point("schedule.committed");
        announce(&run);
        entry->done_ms = now_ms;
        reckon(entry);
    } else {
        store_rollback(timetable->store);
    }
    g_clear_pointer(&run.branches, g_ptr_array_unref);
    return good;
}

static bool was_set_far_back(int64_t done_ms, int64_t now_ms)
{
    return done_ms - now_ms > BACK_MAX_MS;
}

/* True when there is something to do; the time zone that counts is that of the moment. */
static bool is_due(struct entry *entry, int64_t now_ms)
{
    if (was_set_far_back(entry->done_ms, now_ms)) {
        entry->done_ms = now_ms;
        entry->is_stored = false;
        reckon(entry);
    }
    if (entry->due_ms <= now_ms) {
        reckon(entry);
    }
    return entry->due_ms <= now_ms;
}

static bool run_due(struct timetable *timetable, int64_t now_ms, bool *queued, GError **error)
{
    if (timetable->config && !take_config(timetable, error)) {
        return false;
    }
    for (unsigned i = 0; i < timetable->entries->len; i++) {
        struct entry *entry = g_ptr_array_index(timetable->entries, i);
        if (is_due(entry, now_ms)) {
            if (!carry_out(timetable, entry, now_ms, error)) {
                return false;
            }
            *queued = true;
        }
    }
    return !has_unstored(timetable) || store_beginnings(timetable, error);
}

static void try_again_later(struct timetable *timetable, const GError *error)
{
    event_print(EVENT_ERROR, "schedule delayed", "err", error->message, NULL);
    timetable->retry_due_ms = clock_monotonic_ms() + RETRY_MS;
}

bool timetable_run(struct timetable *timetable)
{
    int64_t now_ms = clock_now_ms();
    bool queued = false;
    bool is_quiet = timetable->timer_is_current && now_ms < timetable->next_ms &&
                    !was_set_far_back(timetable->done_ms, now_ms);
    if (timetable->retry_due_ms != INT64_MAX ? clock_monotonic_ms() < timetable->retry_due_ms
                                             : is_quiet) {
        return false;
    }
    g_autoptr(GError) error = NULL;
    timetable->retry_due_ms = INT64_MAX;
    if (!run_due(timetable, now_ms, &queued, &error)) {
        try_again_later(timetable, error);
    }
    find_next(timetable);
    set_timer(timetable);
    return queued;
}
