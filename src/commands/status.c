#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"
#include "daemon/look_status.h"
#include "store/outbox.h"

enum {
    BLOCKED_SHOWN = 10,
    SUMMARY_FRESH_MS = 2 * 60 * 1000,
    LATE_SHOWN_FROM_MS = 1000, /* less is the grain of clocks and of scheduling */
};

struct health {
    bool daemon_runs;
    unsigned repos, failing;
    unsigned queued, running;
    int64_t messages_waiting, messages_given_up;
    unsigned trash;   /* workspaces that were set aside and could not be removed */
    char *shortage;   /* of disk space, in words, or NULL */
    GPtrArray *stale; /* names of sections, not owned */
    GPtrArray *running_jobs;
    GPtrArray *blocked_jobs; /* what waits for a person */
    int64_t late_ms;         /* how late looks begin, at worst */
};

/* Without a success for longer than `stale_ms`; a section that is looked at less often because it
 * is quiet is not stale before its next look is so late. */
static bool is_stale(const struct repo_config *repo, const struct look_status *look,
                     int64_t stale_ms, int64_t now_ms)
{
    if (!look || now_ms - look->last_ok_ms <= stale_ms) {
        return !look;
    }
    bool may_be_rare = look->is_watched || repo->poll_interval_ms == POLL_INTERVAL_AUTO;
    return !may_be_rare || look->error || now_ms - look->next_look_ms > stale_ms;
}

/* What the daemon says of the last minutes, or what can be seen to be due now. */
static int64_t judge_lateness(const struct look_summary *summary, GHashTable *looks, int64_t now_ms)
{
    bool is_fresh = now_ms - summary->at_ms < SUMMARY_FRESH_MS;
    int64_t late_ms = is_fresh ? summary->late_ms : 0;
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, looks);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct look_status *look = value;
        int64_t overdue_ms = look->next_look_ms > 0 ? now_ms - look->next_look_ms : 0;
        late_ms = overdue_ms >= LOOK_BOOK_BEHIND_MS ? MAX(late_ms, overdue_ms) : late_ms;
    }
    return late_ms;
}

static void judge_repos(const struct command_context *context, int64_t stale_ms,
                        struct health *health)
{
    g_autofree char *path = paths_look_status(&context->paths);
    struct look_summary summary;
    g_autoptr(GHashTable) looks = look_status_read(path, &summary, NULL);
    int64_t now_ms = clock_now_ms();
    health->late_ms = looks && health->daemon_runs ? judge_lateness(&summary, looks, now_ms) : 0;
    health->repos = context->config->repos->len;
    for (unsigned i = 0; i < health->repos; i++) {
        const struct repo_config *repo = g_ptr_array_index(context->config->repos, i);
        const struct look_status *look = looks ? g_hash_table_lookup(looks, repo->name) : NULL;
        health->failing += look && look->error ? 1 : 0;
        if (stale_ms > 0 && is_stale(repo, look, stale_ms, now_ms)) {
            g_ptr_array_add(health->stale, repo->name);
        }
    }
}

static unsigned count_jobs(const struct command_context *context, enum job_state state,
                           GPtrArray **list)
{
    struct job_filter filter = {.has_state = true, .state = state};
    GPtrArray *jobs = context->store ? store_jobs(context->store, &filter, NULL) : NULL;
    unsigned count = jobs ? jobs->len : 0;
    if (list) {
        *list = jobs;
    } else if (jobs) {
        g_ptr_array_unref(jobs);
    }
    return count;
}

static bool may_be_approved(const struct command_context *context, const struct job *job)
{
    const struct repo_config *repo = config_find_repo(context->config, job->repo);
    return repo && (job->block != JOB_BLOCK_SIGNATURE || !repo->strict_signatures);
}

static GPtrArray *find_blocked(const struct command_context *context)
{
    GPtrArray *jobs = context->store ? store_jobs_blocked(context->store, NULL) : NULL;
    for (unsigned i = 0; jobs && i < jobs->len;) {
        if (may_be_approved(context, g_ptr_array_index(jobs, i))) {
            i++;
        } else {
            g_ptr_array_remove_index(jobs, i);
        }
    }
    return jobs ? jobs : g_ptr_array_new();
}

static unsigned count_trash(const struct command_context *context)
{
    g_autofree char *path = g_build_filename(context->paths.cache, "trash", NULL);
    DIR *directory = opendir(path);
    unsigned count = 0;
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

static int print_json(const struct health *health)
{
    json_t *stale = json_array();
    for (unsigned i = 0; i < health->stale->len; i++) {
        json_array_append_new(stale, show_json_text(g_ptr_array_index(health->stale, i)));
    }
    json_t *object = json_object();
    json_object_set_new(object, "daemon", json_boolean(health->daemon_runs));
    json_object_set_new(object, "repos", json_integer(health->repos));
    json_object_set_new(object, "failing", json_integer(health->failing));
    json_object_set_new(object, "late_ms", json_integer(health->late_ms));
    json_object_set_new(object, "queued", json_integer(health->queued));
    json_object_set_new(object, "running", json_integer(health->running));
    json_object_set_new(object, "blocked", json_integer(health->blocked_jobs->len));
    json_object_set_new(object, "messages_waiting", json_integer(health->messages_waiting));
    json_object_set_new(object, "messages_given_up", json_integer(health->messages_given_up));
    json_object_set_new(object, "trash", json_integer(health->trash));
    json_object_set_new(object, "disk", show_json_text(health->shortage));
    json_object_set_new(object, "stale", stale);
    json_t *list = json_array();
    json_array_append_new(list, object);
    return show_json_print(list);
}

static void print_blocked(const GPtrArray *jobs)
{
    if (jobs->len == 0) {
        return;
    }
    g_autofree char *text =
        g_strdup_printf("%u job%s blocked", jobs->len, jobs->len == 1 ? "" : "s");
    tty_print(stdout, TTY_YELLOW, text);
    puts(", until a person runs phantom_ci approve JOB");
    for (unsigned i = 0; i < jobs->len && i < BLOCKED_SHOWN; i++) {
        const struct job *job = g_ptr_array_index(jobs, i);
        g_autofree char *ref = show_ref(job->branch);
        printf("  job %" G_GINT64_FORMAT " %s %s %s: %s\n", job->id, job->repo, ref,
               text_short_id(job->sha), job->block ? job_block_name(job->block) : "a rule");
    }
    if (jobs->len > BLOCKED_SHOWN) {
        puts("  ... (phantom_ci jobs blocked)");
    }
}

static void print_text(const struct health *health)
{
    tty_print(stdout, health->daemon_runs ? TTY_GREEN : TTY_RED,
              health->daemon_runs ? "the daemon is running" : "no daemon is running");
    printf("\n%u repositor%s, %u with a failing look\n", health->repos,
           health->repos == 1 ? "y" : "ies", health->failing);
    if (health->late_ms >= LATE_SHOWN_FROM_MS) {
        g_autofree char *late = units_format_elapsed(health->late_ms);
        g_autofree char *text = g_strdup_printf("looks begin late by up to %s", late);
        tty_print(stdout, TTY_YELLOW, text);
        puts("");
    }
    printf("%u job%s queued, %u running\n", health->queued, health->queued == 1 ? "" : "s",
           health->running);
    for (unsigned i = 0; health->running_jobs && i < health->running_jobs->len; i++) {
        const struct job *job = g_ptr_array_index(health->running_jobs, i);
        g_autofree char *took = show_elapsed(job->started_ms, 0);
        g_autofree char *ref = show_ref(job->branch);
        printf("  job %" G_GINT64_FORMAT " %s %s %s, for %s\n", job->id, job->repo, ref,
               text_short_id(job->sha), took);
    }
    print_blocked(health->blocked_jobs);
    if (health->messages_waiting > 0 || health->messages_given_up > 0) {
        printf("messages: %" G_GINT64_FORMAT " waiting, %" G_GINT64_FORMAT
               " given up (phantom_ci notify list)\n",
               health->messages_waiting, health->messages_given_up);
    }
    if (health->shortage) {
        g_autofree char *shortage = text_escape(health->shortage);
        tty_print(stdout, TTY_YELLOW, shortage);
        printf("; no job starts till then (phantom_ci gc removes what is old)\n");
    }
    if (health->trash > 0) {
        printf("warning: %u workspace%s set aside in trash/ of the cache directory could not be "
               "removed "
               "(files of another user?)\n",
               health->trash, health->trash == 1 ? "" : "s");
    }
    for (unsigned i = 0; i < health->stale->len; i++) {
        printf("stale: %s\n", (const char *)g_ptr_array_index(health->stale, i));
    }
}

static int judge(struct command_context *context, int64_t stale_ms)
{
    g_autofree char *lock = paths_daemon_lock(&context->paths);
    g_autoptr(GPtrArray) stale = g_ptr_array_new();
    g_autoptr(GPtrArray) running = NULL;
    g_autoptr(GPtrArray) blocked = find_blocked(context);
    g_autofree char *shortage = command_describe_shortage(context);
    struct health health = {
        .daemon_runs = lock_is_held(lock), .stale = stale, .shortage = shortage};
    judge_repos(context, stale_ms, &health);
    health.queued = count_jobs(context, JOB_QUEUED, NULL);
    health.running = count_jobs(context, JOB_RUNNING, &running);
    health.running_jobs = running;
    health.blocked_jobs = blocked;
    health.trash = count_trash(context);
    if (context->store) {
        outbox_count(context->store, &health.messages_waiting, &health.messages_given_up, NULL);
    }
    if (context->json) {
        print_json(&health);
    } else {
        print_text(&health);
    }
    return health.daemon_runs && stale->len == 0 && !shortage ? EXIT_CODE_OK : EXIT_CODE_NEGATIVE;
}

int command_status(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    g_autofree char *stale = NULL;
    int64_t stale_ms = 0;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"stale", 0, 0, G_OPTION_ARG_STRING, &stale,
         "exit 1 when a repository has not been looked at with success for so long", "DURATION"},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, 0);
    if (code < 0 && stale && !units_parse_duration(stale, &stale_ms, &error)) {
        code = command_fail_text(EXIT_CODE_USAGE, "--stale: %s", error->message);
    }
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = command_open_store(&context, false, NULL);
    }
    if (code < 0) {
        code = judge(&context, stale_ms);
    }
    command_context_clear(&context);
    return code;
}
