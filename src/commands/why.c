#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/refkey.h"
#include "base/text.h"
#include "commands/all.h"
#include "commands/show.h"
#include "daemon/look_status.h"

enum { TAGS_SHOWN = 5 };

static void print_look(const struct command_context *context, const char *name, int64_t now_ms)
{
    g_autofree char *path = paths_look_status(&context->paths);
    g_autoptr(GHashTable) looks = look_status_read(path, NULL, NULL);
    const struct look_status *look = looks ? g_hash_table_lookup(looks, name) : NULL;
    if (!look || !look->last_look_ms) {
        puts("It has not been looked at yet.");
        return;
    }
    g_autofree char *last = clock_format_relative(look->last_look_ms, now_ms);
    g_autofree char *good = clock_format_relative(look->last_ok_ms, now_ms);
    g_autofree char *next =
        look->next_look_ms ? clock_format_relative(look->next_look_ms, now_ms) : g_strdup("now");
    printf("Last look: %s (last good one %s, next %s)\n", last, good, next);
    if (look->error) {
        printf("The last look failed: %s\n", look->error);
    }
}

static void print_decision(const struct decision *decision)
{
    g_autofree char *ref = show_ref(decision->branch);
    g_autofree char *time = clock_format(decision->at_ms);
    g_autofree char *detail = text_escape(decision->detail);
    printf("%s: %s, on %s: %s\n", ref, decision->kind, time, detail);
    printf("  from %s\n  to   %s\n", decision->old_sha ? decision->old_sha : "(nothing)",
           decision->new_sha ? decision->new_sha : "(nothing)");
}

static void print_job(const struct command_context *context, const struct decision *decision)
{
    struct job *job = store_job_latest(context->store, decision->repo, decision->branch, NULL);
    if (job) {
        g_autofree char *reason = text_escape(job->reason);
        printf("  last job: %" G_GINT64_FORMAT " of %s, %s%s%s\n", job->id, text_short_id(job->sha),
               job_state_name(job->state), *reason ? ": " : "", reason);
    }
    job_free(job);
}

static json_t *decision_to_json(const struct command_context *context,
                                const struct decision *decision)
{
    struct job *job = store_job_latest(context->store, decision->repo, decision->branch, NULL);
    json_t *object = json_object();
    json_object_set_new(object, "repo", show_json_text(decision->repo));
    show_json_set_ref(object, decision->branch);
    json_object_set_new(object, "kind", show_json_text(decision->kind));
    json_object_set_new(object, "at", show_json_number(decision->at_ms));
    json_object_set_new(object, "old_sha", show_json_text(decision->old_sha));
    json_object_set_new(object, "new_sha", show_json_text(decision->new_sha));
    json_object_set_new(object, "job", show_json_number(decision->job));
    json_object_set_new(object, "detail", show_json_text(decision->detail));
    bool is_queued = job && job->state == JOB_QUEUED;
    g_autofree char *wait = is_queued ? command_describe_shortage(context) : NULL;
    json_object_set_new(object, "waiting", show_json_text(wait));
    json_object_set_new(object, "last_job", job ? show_json_job(job, NULL) : json_null());
    job_free(job);
    return object;
}

/* The newest decision of each branch and tag; they come newest first. */
static GPtrArray *newest_of_each(const GPtrArray *decisions)
{
    GPtrArray *newest = g_ptr_array_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; decisions && i < decisions->len; i++) {
        struct decision *decision = g_ptr_array_index(decisions, i);
        if (g_hash_table_add(seen, decision->branch)) {
            g_ptr_array_add(newest, decision);
        }
    }
    return newest;
}

/* A person who asks for all hears of the last tags alone. */
static void forget_older_tags(GPtrArray *newest)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < newest->len;) {
        const struct decision *decision = g_ptr_array_index(newest, i);
        tags += refkey_tag(decision->branch) ? 1 : 0;
        if (refkey_tag(decision->branch) && tags > TAGS_SHOWN) {
            g_ptr_array_remove_index(newest, i);
        } else {
            i++;
        }
    }
}

static void print_schedule(const struct command_context *context, const char *name)
{
    const struct repo_config *repo = config_find_repo(context->config, name);
    int64_t next_ms = repo ? show_next_schedule_ms(context->store, repo) : INT64_MAX;
    if (next_ms != INT64_MAX) {
        g_autofree char *when = clock_format_relative(next_ms, clock_now_ms());
        g_autofree char *time = clock_format(next_ms);
        printf("Its schedule is due %s, on %s\n", when, time);
    }
}

/* What keeps queued jobs of the repository from starting. */
static char *find_wait(const struct command_context *context, const char *name)
{
    struct job_filter filter = {.repo = name, .has_state = true, .state = JOB_QUEUED, .limit = 1};
    g_autoptr(GPtrArray) queued = context->store ? store_jobs(context->store, &filter, NULL) : NULL;
    return queued && queued->len > 0 ? command_describe_shortage(context) : NULL;
}

static void print_waiting(const struct command_context *context, const char *name)
{
    g_autofree char *wait = find_wait(context, name);
    if (wait) {
        g_autofree char *escaped = text_escape(wait);
        printf("Its queued jobs are %s\n", escaped);
    }
}

static void print_all(const struct command_context *context, const char *name,
                      const GPtrArray *newest)
{
    bool paused = false;
    print_look(context, name, clock_now_ms());
    if (context->store && store_repo_is_paused(context->store, name, &paused, NULL) && paused) {
        printf("It is paused: no job starts; phantom_ci resume %s\n", name);
    }
    print_waiting(context, name);
    print_schedule(context, name);
    if (newest->len == 0) {
        puts("Nothing has been decided about it yet.");
    }
    for (unsigned i = 0; i < newest->len; i++) {
        print_decision(g_ptr_array_index(newest, i));
        print_job(context, g_ptr_array_index(newest, i));
    }
}

static int explain(struct command_context *context, const char *name, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) decisions =
        context->store ? store_decisions(context->store, name, key, 0, &error) : NULL;
    if (error) {
        return command_fail(error);
    }
    if (!config_find_repo(context->config, name) && (!decisions || decisions->len == 0)) {
        command_find_repo(context, name);
        return EXIT_CODE_NOT_FOUND;
    }
    g_autoptr(GPtrArray) newest = newest_of_each(decisions);
    if (context->json) {
        json_t *list = json_array();
        for (unsigned i = 0; i < newest->len; i++) {
            json_array_append_new(list, decision_to_json(context, g_ptr_array_index(newest, i)));
        }
        return show_json_print(list);
    }
    if (!key) {
        forget_older_tags(newest);
    }
    print_all(context, name, newest);
    return EXIT_CODE_OK;
}

int command_why(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    g_autofree char *branch = NULL;
    g_autofree char *tag = NULL;
    g_autofree char *key = NULL;
    const GOptionEntry entries[] = {
        {"branch", 'b', 0, G_OPTION_ARG_FILENAME, &branch, "only this branch", "BRANCH"},
        {"tag", 0, 0, G_OPTION_ARG_FILENAME, &tag, "only this tag", "TAG"},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_take_ref(branch, tag, &key);
    }
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = command_open_store(&context, false, NULL);
    }
    if (code < 0) {
        code = explain(&context, argv[1], key);
    }
    command_context_clear(&context);
    return code;
}
