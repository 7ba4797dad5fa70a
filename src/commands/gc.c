#include "commands/gc.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "base/clock.h"
#include "base/disk.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"

enum { COMPACT_LIMIT_MS = 10000, BACKGROUND_NICENESS = 10 };

void gc_note_failure(struct gc *gc, const char *what, const GError *error)
{
    g_ptr_array_add(gc->failures,
                    g_strdup_printf("%s%s%s", what ? what : "", what ? ": " : "", error->message));
}

/* Behind the jobs, but not at the very end of the queue for processor and disk: for moments this
 * process holds the write lock of the database, which a starved one would keep for long. */
static void step_back(void)
{
    setpriority(PRIO_PROCESS, 0, BACKGROUND_NICENESS);
#if defined(__linux__) && defined(SYS_ioprio_set)
    /* linux/ioprio.h: this process, the best-effort class, its lowest level */
    enum { WHO_PROCESS = 1, CLASS_BEST_EFFORT = 2, CLASS_SHIFT = 13, LOWEST_LEVEL = 7 };
    syscall(SYS_ioprio_set, WHO_PROCESS, 0, CLASS_BEST_EFFORT << CLASS_SHIFT | LOWEST_LEVEL);
#endif
}

/* ----------------------------------------------------------------- passes */

GHashTable *gc_living_branches(struct gc *gc)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) branches = store_branches(gc->context->store, NULL, &error);
    if (!branches) {
        gc_note_failure(gc, NULL, error);
        return NULL;
    }
    GHashTable *living = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        const struct repo_config *repo = config_find_repo(gc->context->config, branch->repo);
        if (repo && branch->gone_ms == 0 &&
            repo_config_wants_branch(repo, refkey_branch(branch->name))) {
            g_hash_table_add(living, g_strdup_printf("%s\n%s", branch->repo, branch->name));
        }
    }
    return living;
}

static bool add_checkouts_of_jobs(struct gc *gc, enum job_state state, GHashTable *names,
                                  GError **error)
{
    struct job_filter filter = {.has_state = true, .state = state};
    g_autoptr(GPtrArray) jobs = store_jobs(gc->context->store, &filter, error);
    for (unsigned i = 0; jobs && i < jobs->len; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_hash_table_add(names, cache_checkout_name(job->repo, job->branch));
    }
    return jobs != NULL;
}

/* NULL with a failure noted: what is wanted is then not known, and nothing may go. */
static GHashTable *list_wanted_checkouts(struct gc *gc, GHashTable *living)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iterator;
    void *key = NULL;
    g_hash_table_iter_init(&iterator, living);
    while (g_hash_table_iter_next(&iterator, &key, NULL)) {
        g_auto(GStrv) parts = g_strsplit(key, "\n", 2);
        g_hash_table_add(names, cache_checkout_name(parts[0], parts[1]));
    }
    /* Queued before running, for that is the way a job goes: none is missed between the two. */
    if (!add_checkouts_of_jobs(gc, JOB_QUEUED, names, &error) ||
        !add_checkouts_of_jobs(gc, JOB_RUNNING, names, &error)) {
        gc_note_failure(gc, NULL, error);
        return NULL;
    }
    return g_steal_pointer(&names);
}

static GHashTable *list_wanted_mirrors(const struct config *config)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        const struct git_remote remote = {repo->url, repo->ssh_key_path};
        g_hash_table_add(names, cache_mirror_name(&remote));
    }
    return names;
}

static bool is_short(const struct gc *gc)
{
    const char *const places[] = {gc->context->paths.state, gc->context->paths.cache, NULL};
    struct disk_shortage shortage;
    return disk_find_shortage(places, gc->context->config->min_free_bytes, &shortage);
}

/* While the disk is short, what nobody uses any more does not wait for its time. */
static int64_t keep_cache_for(const struct gc *gc)
{
    int64_t keep_for_ms = gc->context->config->keep_cache_for_ms;
    if (keep_for_ms == 0) {
        return -1;
    }
    return is_short(gc) ? 0 : keep_for_ms;
}

static void collect_cache(struct gc *gc, GHashTable *living)
{
    const char *cache = gc->context->paths.cache;
    cache_empty_trash(cache, gc->dry_run, &gc->cache);
    g_autoptr(GHashTable) checkouts = list_wanted_checkouts(gc, living);
    g_autoptr(GHashTable) mirrors = list_wanted_mirrors(gc->context->config);
    if (!checkouts) {
        return;
    }
    const struct cache_rules rules = {.checkouts = checkouts,
                                      .mirrors = mirrors,
                                      .keep_for_ms = keep_cache_for(gc),
                                      .now_ms = gc->now_ms,
                                      .dry_run = gc->dry_run};
    cache_prune(cache, &rules, &gc->cache);
    if (!gc->dry_run && gc->cache.workspaces + gc->cache.mirrors > 0) {
        /* Counted already; what could not be removed is told by the next pass. */
        struct cache_removals again;
        cache_removals_init(&again);
        cache_empty_trash(cache, false, &again);
        cache_removals_clear(&again);
    }
}

static bool is_running_anything(struct gc *gc)
{
    struct job_filter filter = {.has_state = true, .state = JOB_RUNNING, .limit = 1};
    g_autoptr(GPtrArray) jobs = store_jobs(gc->context->store, &filter, NULL);
    return !jobs || jobs->len > 0;
}

/* Only when a person asks: rows of new jobs take the room of removed ones anyway, and nobody can
 * write to the database meanwhile. */
static void compact(struct gc *gc)
{
    g_autofree char *database = paths_database(&gc->context->paths);
    g_autoptr(GError) error = NULL;
    struct disk_space space = {.free_bytes = INT64_MAX};
    struct stat status;
    if (gc->dry_run || gc->quiet || is_running_anything(gc) || stat(database, &status) < 0) {
        return;
    }
    disk_measure(gc->context->paths.state, &space);
    int64_t size_bytes = 0;
    if (space.free_bytes / 2 > (int64_t)status.st_size &&
        !store_compact(gc->context->store, COMPACT_LIMIT_MS, &size_bytes, &gc->database_bytes,
                       &error)) {
        fprintf(stderr, "phantom_ci: %s\n", error->message);
    }
}

/* A branch that target_branch names stays known, or it would be told as missing again. */
static bool is_forgettable(const struct gc *gc, const struct branch *branch)
{
    const struct repo_config *repo = config_find_repo(gc->context->config, branch->repo);
    int64_t keep_for_ms = gc->context->config->keep_jobs_for_ms;
    const char *name = refkey_branch(branch->name);
    bool is_named =
        repo && name && g_strv_contains((const char *const *)repo->target_branches, name);
    return repo && !is_named && branch->gone_ms > 0 && keep_for_ms > 0 &&
           gc->now_ms - branch->gone_ms > keep_for_ms;
}

/* `branches`: of tags, too; NULL after a failure. */
static bool forget_those(struct gc *gc, const GPtrArray *branches, GError **error)
{
    for (unsigned i = 0; branches && i < branches->len; i++) {
        const struct branch *branch = g_ptr_array_index(branches, i);
        int64_t begun_ms = clock_monotonic_ms();
        bool forgotten = false;
        if (!is_forgettable(gc, branch)) {
            continue;
        }
        if (!store_retention_forget_branch(gc->context->store, branch->repo, branch->name,
                                           branch->gone_ms, &forgotten, error)) {
            return false;
        }
        gc->branches += forgotten ? 1 : 0;
        gc_give_way(begun_ms);
    }
    return branches != NULL;
}

static bool forget_branches(struct gc *gc, GError **error)
{
    g_autoptr(GPtrArray) branches = store_branches(gc->context->store, NULL, error);
    g_autoptr(GPtrArray) tags = branches ? store_tags(gc->context->store, NULL, error) : NULL;
    return forget_those(gc, branches, error) && forget_those(gc, tags, error);
}

static bool forget_decisions(struct gc *gc, GError **error)
{
    int64_t before_ms = gc->now_ms - gc->context->config->keep_jobs_for_ms;
    g_autoptr(GArray) decisions =
        store_retention_stale_decisions(gc->context->store, before_ms, error);
    const int64_t *numbers = decisions ? (const int64_t *)(const void *)decisions->data : NULL;
    for (unsigned at = 0, taken = 0; decisions && at < decisions->len; at += taken) {
        int64_t begun_ms = clock_monotonic_ms();
        if (!store_retention_delete_decisions(gc->context->store, numbers + at, decisions->len - at,
                                              &taken, error)) {
            return false;
        }
        gc_give_way(begun_ms);
    }
    return decisions != NULL;
}

/* What is known of branches and tags that have been gone for long goes after the last of their
 * jobs. */
static void forget(struct gc *gc)
{
    g_autoptr(GError) error = NULL;
    if (!gc->dry_run && gc->context->config->keep_jobs_for_ms > 0 &&
        (!forget_branches(gc, &error) || !forget_decisions(gc, &error))) {
        gc_note_failure(gc, NULL, error);
    }
}

/* The daemon and jobs don't work there either. */
static bool leads_away(struct gc *gc)
{
    const char *cache = gc->context->paths.cache;
    struct stat status;
    bool is_none = lstat(cache, &status) == 0 && !S_ISDIR(status.st_mode);
    if (is_none) {
        g_ptr_array_add(gc->failures,
                        g_strdup_printf("%s is not a directory (a link is not followed here); "
                                        "move it away",
                                        cache));
    }
    return is_none;
}

static void collect(struct gc *gc)
{
    g_autoptr(GHashTable) living = leads_away(gc) ? NULL : gc_living_branches(gc);
    if (living) {
        gc_jobs(gc, living);
        forget(gc);
        collect_cache(gc, living);
        compact(gc);
    }
}

/* ----------------------------------------------------------------- report */

static unsigned count_failures(const struct gc *gc)
{
    return gc->failures->len + gc->cache.failures->len;
}

static const char *get_failure(const struct gc *gc, unsigned number)
{
    return number < gc->failures->len
               ? g_ptr_array_index(gc->failures, number)
               : g_ptr_array_index(gc->cache.failures, number - gc->failures->len);
}

static int64_t count_bytes(const struct gc *gc)
{
    return gc->bytes + gc->cache.bytes + gc->database_bytes;
}

static bool found_something(const struct gc *gc)
{
    return gc->jobs_by_age + gc->jobs_by_count + gc->logs + gc->leftovers + gc->branches +
                   gc->cache.workspaces + gc->cache.mirrors + gc->cache.trash >
               0 ||
           gc->database_bytes > 0;
}

static int report_json(const struct gc *gc)
{
    json_t *failures = json_array();
    for (unsigned i = 0; i < count_failures(gc); i++) {
        json_array_append_new(failures, show_json_text(get_failure(gc, i)));
    }
    json_t *object = json_object();
    json_object_set_new(object, "dry_run", json_boolean(gc->dry_run));
    json_object_set_new(object, "jobs_by_age", json_integer(gc->jobs_by_age));
    json_object_set_new(object, "jobs_by_count", json_integer(gc->jobs_by_count));
    json_object_set_new(object, "logs", json_integer(gc->logs));
    json_object_set_new(object, "leftovers", json_integer(gc->leftovers));
    json_object_set_new(object, "branches", json_integer(gc->branches));
    json_object_set_new(object, "unknown_logs", json_integer(gc->unknown_logs));
    json_object_set_new(object, "workspaces", json_integer(gc->cache.workspaces));
    json_object_set_new(object, "mirrors", json_integer(gc->cache.mirrors));
    json_object_set_new(object, "refs", json_integer(gc->cache.refs));
    json_object_set_new(object, "in_use", json_integer(gc->cache.in_use));
    json_object_set_new(object, "trash", json_integer(gc->cache.trash));
    json_object_set_new(object, "bytes", json_integer(count_bytes(gc)));
    json_object_set_new(object, "database_bytes", json_integer(gc->database_bytes));
    json_object_set_new(object, "failures", failures);
    json_t *list = json_array();
    json_array_append_new(list, object);
    return show_json_print(list);
}

static void print_count(const struct gc *gc, unsigned count, const char *one, const char *many,
                        const char *why)
{
    if (count > 0) {
        printf("%s %u %s%s\n", gc->dry_run ? "would remove" : "removed", count,
               count == 1 ? one : many, why);
    }
}

static void report_text(const struct gc *gc)
{
    const struct config *config = gc->context->config;
    g_autofree char *age = units_format_duration(config->keep_jobs_for_ms);
    g_autofree char *room = units_format_size(config->keep_bytes);
    g_autofree char *by_age = g_strdup_printf(": older than keep_jobs_for, %s", age);
    g_autofree char *by_count =
        g_strdup_printf(": beyond keep_jobs, %u of each branch and tag", config->keep_jobs);
    g_autofree char *by_bytes = g_strdup_printf(": beyond keep_bytes, %s for all", room);
    g_autofree char *bytes = units_format_size(count_bytes(gc));
    print_count(gc, gc->jobs_by_age, "job and its log", "jobs and their logs", by_age);
    print_count(gc, gc->jobs_by_count, "job and its log", "jobs and their logs", by_count);
    print_count(gc, gc->logs, "log", "logs", by_bytes);
    print_count(gc, gc->leftovers, "leftover of a dead job", "leftovers of dead jobs", "");
    print_count(gc, gc->branches, "branch or tag", "branches and tags",
                " from memory: gone for keep_jobs_for");
    print_count(gc, gc->cache.workspaces, "workspace", "workspaces",
                " of tags, and of branches that are gone or not watched any more");
    print_count(gc, gc->cache.mirrors, "mirror", "mirrors",
                " of repositories that are not watched any more");
    print_count(gc, gc->cache.trash, "workspace or mirror", "workspaces and mirrors",
                " that had been set aside (trash/)");
    if (gc->cache.in_use > 0) {
        printf("left %u that a job is using\n", gc->cache.in_use);
    }
    if (gc->unknown_logs > 0) {
        printf("left %u log%s of jobs that the database does not know (logs/ in %s)\n",
               gc->unknown_logs, gc->unknown_logs == 1 ? "" : "s", gc->context->paths.state);
    }
    if (found_something(gc)) {
        printf("%s %s free\n", bytes, gc->dry_run ? "would come" : "came");
    } else {
        puts("nothing to remove");
    }
}

/* For the log of the daemon: one line, and none when nothing was done. */
static void report_event(const struct gc *gc)
{
    g_autofree char *jobs = g_strdup_printf("%u", gc->jobs_by_age + gc->jobs_by_count);
    g_autofree char *logs = g_strdup_printf("%u", gc->logs);
    g_autofree char *workspaces = g_strdup_printf("%u", gc->cache.workspaces);
    g_autofree char *mirrors = g_strdup_printf("%u", gc->cache.mirrors);
    g_autofree char *bytes = units_format_size(count_bytes(gc));
    if (found_something(gc)) {
        event_print(EVENT_INFO, "garbage removed", "jobs", jobs, "logs", logs, "workspaces",
                    workspaces, "mirrors", mirrors, "size", bytes, NULL);
    }
    if (count_failures(gc) > 0) {
        g_autofree char *count = g_strdup_printf("%u", count_failures(gc));
        event_print(EVENT_WARNING, "garbage left", "count", count, "err", get_failure(gc, 0), NULL);
    }
}

static int report(const struct gc *gc)
{
    if (gc->context->json) {
        report_json(gc);
    } else if (gc->quiet) {
        report_event(gc);
    } else {
        report_text(gc);
    }
    for (unsigned i = 0; i < count_failures(gc) && !gc->quiet; i++) {
        g_autofree char *text = text_escape(get_failure(gc, i));
        fprintf(stderr, "phantom_ci: %s\n", text);
    }
    return count_failures(gc) > 0 ? EXIT_CODE_NEGATIVE : EXIT_CODE_OK;
}

/* ---------------------------------------------------------------- command */

static int run(struct gc *gc)
{
    gc->now_ms = clock_now_ms();
    gc->failures = g_ptr_array_new_with_free_func(g_free);
    cache_removals_init(&gc->cache);
    if (gc->context->store) {
        collect(gc);
    }
    int code = report(gc);
    cache_removals_clear(&gc->cache);
    g_ptr_array_unref(gc->failures);
    return code;
}

/* One at a time, and none while a restore puts another database in place: the database is opened
 * under the lock. The time of the lock file tells the daemon when the last one was. */
static int run_locked(struct gc *gc)
{
    g_autofree char *lock = paths_gc_lock(&gc->context->paths);
    g_autoptr(GError) error = NULL;
    auto_fd lock_fd = lock_take(lock, LOCK_EXCLUSIVE, &error);
    if (lock_fd < 0 && error_has_code(error, ERROR_BUSY)) {
        return gc->quiet ? EXIT_CODE_TRY_AGAIN
                         : command_fail_text(EXIT_CODE_TRY_AGAIN,
                                             "another gc is at work here; try again later");
    }
    if (lock_fd < 0) {
        return command_fail(error);
    }
    int code = command_open_store(gc->context, false, NULL);
    if (code < 0) {
        code = run(gc);
        futimens(lock_fd, NULL);
    }
    return code;
}

static int run_unlocked(struct gc *gc)
{
    int code = command_open_store(gc->context, false, NULL);
    return code < 0 ? run(gc) : code;
}

static bool has_database(const struct command_context *context)
{
    g_autofree char *database = paths_database(&context->paths);
    return access(database, F_OK) == 0;
}

int command_gc(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct gc gc = {.context = &context};
    const GOptionEntry entries[] = {
        {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &gc.dry_run, "only say what would be removed", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &gc.quiet,
         "in the background: at low priority, one event line or none", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, 0);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0 && gc.quiet) {
        step_back();
    }
    if (code < 0) {
        code = gc.dry_run || !has_database(&context) ? run_unlocked(&gc) : run_locked(&gc);
    }
    command_context_clear(&context);
    return code;
}
