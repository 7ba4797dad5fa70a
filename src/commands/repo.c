#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/units.h"
#include "commands/all.h"
#include "commands/show.h"
#include "daemon/look_status.h"
#include "git/url.h"

struct listing {
    struct command_context *context;
    GHashTable *looks;
    int64_t now_ms;
    char *shortage;  /* of disk space, in words, or NULL */
    bool show_trust; /* a section that is shown has a rule about what may run */
};

/* The branches of a repo that the store knows; empty without a store. */
static GPtrArray *list_branches(const struct listing *listing, const char *repo)
{
    GPtrArray *branches =
        listing->context->store ? store_branches(listing->context->store, repo, NULL) : NULL;
    return branches ? branches : g_ptr_array_new();
}

static bool is_paused(const struct listing *listing, const char *repo)
{
    bool paused = false;
    return listing->context->store &&
           store_repo_is_paused(listing->context->store, repo, &paused, NULL) && paused;
}

static struct job *latest_job(const struct listing *listing, const struct branch *branch)
{
    return store_job_latest(listing->context->store, branch->repo, branch->name, NULL);
}

static struct job *latest_job_of_tags(const struct listing *listing, const struct repo_config *repo)
{
    return listing->context->store && repo->target_tags[0]
               ? store_job_latest_of_tags(listing->context->store, repo->name, NULL)
               : NULL;
}

static int64_t count_tags(const struct listing *listing, const struct repo_config *repo)
{
    int64_t count = 0;
    if (listing->context->store && repo->target_tags[0]) {
        store_count_tags(listing->context->store, repo->name, &count, NULL);
    }
    return count;
}

/* Of the tags only the one that ran last is shown: there may be thousands. */
static json_t *last_tag_to_json(const struct listing *listing, const struct repo_config *repo)
{
    struct job *job = latest_job_of_tags(listing, repo);
    if (!job) {
        return json_null();
    }
    json_t *object = json_object();
    json_object_set_new(object, "name", show_json_text(refkey_tag(job->branch)));
    json_object_set_new(object, "sha", show_json_text(job->sha));
    json_object_set_new(object, "state", show_json_text(job_state_name(job->state)));
    json_object_set_new(object, "job", json_integer(job->id));
    job_free(job);
    return object;
}

static json_t *branch_to_json(const struct listing *listing, const struct branch *branch)
{
    struct job *job = latest_job(listing, branch);
    const char *state =
        branch->gone_ms ? "branch missing" : (job ? job_state_name(job->state) : NULL);
    json_t *object = json_object();
    json_object_set_new(object, "name", show_json_text(refkey_branch(branch->name)));
    json_object_set_new(object, "tip", show_json_text(branch->tip));
    json_object_set_new(object, "seen", show_json_number(branch->seen_ms));
    json_object_set_new(object, "gone", show_json_number(branch->gone_ms));
    json_object_set_new(object, "state", show_json_text(state));
    json_object_set_new(object, "job", job ? json_integer(job->id) : json_null());
    job_free(job);
    return object;
}

/* Why a queued job of the repository does not start, or NULL. */
static const char *find_wait(const struct listing *listing, const char *repo)
{
    struct job_filter filter = {.repo = repo, .has_state = true, .state = JOB_QUEUED, .limit = 1};
    g_autoptr(GPtrArray) queued = listing->shortage && listing->context->store
                                      ? store_jobs(listing->context->store, &filter, NULL)
                                      : NULL;
    return queued && queued->len > 0 ? listing->shortage : NULL;
}

static json_t *repo_to_json(const struct listing *listing, const struct repo_config *repo)
{
    static const struct look_status unknown;
    const struct look_status *look = g_hash_table_lookup(listing->looks, repo->name);
    look = look ? look : &unknown;
    int64_t due_ms = show_next_schedule_ms(listing->context->store, repo);
    json_t *list = json_array();
    g_autoptr(GPtrArray) branches = list_branches(listing, repo->name);
    for (unsigned i = 0; i < branches->len; i++) {
        json_array_append_new(list, branch_to_json(listing, g_ptr_array_index(branches, i)));
    }
    g_autofree char *url = url_for_display(repo->url);
    json_t *object = json_object();
    json_object_set_new(object, "name", show_json_text(repo->name));
    json_object_set_new(object, "path", show_json_text(url));
    json_object_set_new(object, "target_branch", show_json_list(repo->target_branches));
    json_object_set_new(object, "target_tags", show_json_list(repo->target_tags));
    json_object_set_new(object, "schedule", show_json_list(repo->schedule));
    bool is_automatic = repo->poll_interval_ms == POLL_INTERVAL_AUTO;
    json_object_set_new(object, "poll_interval_ms",
                        is_automatic ? json_null() : json_integer(repo->poll_interval_ms));
    json_object_set_new(object, "trust", show_json_trust(repo));
    json_object_set_new(object, "paused", json_boolean(is_paused(listing, repo->name)));
    json_object_set_new(object, "last_look", show_json_number(look->last_look_ms));
    json_object_set_new(object, "last_ok", show_json_number(look->last_ok_ms));
    json_object_set_new(object, "next_look", show_json_number(look->next_look_ms));
    json_object_set_new(object, "road", show_json_text(look->road));
    json_object_set_new(object, "moved_to", show_json_text(look->moved_to));
    json_object_set_new(object, "failures", json_integer(look->failures));
    json_object_set_new(object, "last_error", show_json_text(look->error));
    json_object_set_new(object, "waiting", show_json_text(find_wait(listing, repo->name)));
    json_object_set_new(object, "next_schedule",
                        show_json_number(due_ms != INT64_MAX ? due_ms : 0));
    json_object_set_new(object, "branches", list);
    json_object_set_new(object, "tags_known", json_integer(count_tags(listing, repo)));
    json_object_set_new(object, "last_tag", last_tag_to_json(listing, repo));
    return object;
}

/* When it is looked at next. */
static char *describe_next(const struct listing *listing, const struct look_status *look)
{
    if (!look || !look->last_look_ms) {
        return g_strdup("-");
    }
    int64_t late_ms = listing->now_ms - look->next_look_ms;
    if (look->next_look_ms && late_ms >= LOOK_BOOK_BEHIND_MS) {
        g_autofree char *late = units_format_elapsed(late_ms);
        return g_strdup_printf("late by %s", late);
    }
    return look->next_look_ms && late_ms < 0
               ? clock_format_relative(look->next_look_ms, listing->now_ms)
               : g_strdup("now");
}

/* What there is to say of a repository as a whole, the gravest thing first. */
static char *find_remark(const struct listing *listing, const struct repo_config *repo,
                         const struct look_status *look)
{
    const char *wait = find_wait(listing, repo->name);
    int64_t due_ms = show_next_schedule_ms(listing->context->store, repo);
    if (look && look->error) {
        return g_strdup(look->error);
    }
    if (is_paused(listing, repo->name)) {
        return g_strdup("paused");
    }
    if (look && look->moved_to) {
        g_autofree char *moved_to = text_escape(look->moved_to);
        return g_strdup_printf("moved to %s", moved_to);
    }
    if (wait || due_ms == INT64_MAX) {
        return g_strdup(wait ? wait : "");
    }
    g_autofree char *when = clock_format_relative(due_ms, listing->now_ms);
    return g_strdup_printf("scheduled %s", when);
}

static void print_row(struct tty_table *table, const struct listing *listing,
                      const struct repo_config *repo, const struct branch *branch, bool first)
{
    const struct look_status *look = g_hash_table_lookup(listing->looks, repo->name);
    struct job *job = branch ? latest_job(listing, branch) : NULL;
    g_autofree char *id =
        job ? g_strdup_printf("%s (job %" G_GINT64_FORMAT ")", job_state_name(job->state), job->id)
            : g_strdup(branch && branch->tip ? "baseline" : "-");
    g_autofree char *next = first ? describe_next(listing, look) : NULL;
    g_autofree char *targets = g_strjoinv(" ", repo->target_branches);
    bool missing = branch && branch->gone_ms;
    tty_table_cell(table, TTY_BOLD, first ? repo->name : "");
    tty_table_cell(table, TTY_PLAIN, branch ? refkey_branch(branch->name) : targets);
    tty_table_cell(table, TTY_PLAIN, text_short_id(branch ? branch->tip : NULL));
    tty_table_cell(table, missing ? TTY_YELLOW : (job ? show_state_colour(job->state) : TTY_DIM),
                   missing ? "branch missing" : id);
    tty_table_cell(table, TTY_PLAIN, next ? next : "");
    tty_table_cell(table, TTY_PLAIN, first && look && look->road ? look->road : "");
    if (listing->show_trust) {
        g_autofree char *trust = first ? show_trust(repo) : NULL;
        tty_table_cell(table, TTY_PLAIN, trust ? trust : "");
    }
    g_autofree char *remark = first ? find_remark(listing, repo, look) : g_strdup("");
    tty_table_cell(table, look && look->error ? TTY_RED : TTY_YELLOW, remark);
    job_free(job);
}

static void print_tags(struct tty_table *table, const struct listing *listing,
                       const struct repo_config *repo)
{
    struct job *job = latest_job_of_tags(listing, repo);
    g_autofree char *patterns = g_strjoinv(" ", repo->target_tags);
    g_autofree char *ref =
        job ? refkey_describe(job->branch) : g_strdup_printf("tags %s", patterns);
    g_autofree char *state =
        job ? g_strdup_printf("%s (job %" G_GINT64_FORMAT ")", job_state_name(job->state), job->id)
            : g_strdup_printf("baseline (%" G_GINT64_FORMAT " known)", count_tags(listing, repo));
    tty_table_cell(table, TTY_BOLD, "");
    tty_table_cell(table, TTY_PLAIN, ref);
    tty_table_cell(table, TTY_PLAIN, text_short_id(job ? job->sha : NULL));
    tty_table_cell(table, job ? show_state_colour(job->state) : TTY_DIM, state);
    for (unsigned empty = listing->show_trust ? 4 : 3; empty > 0; empty--) {
        tty_table_cell(table, TTY_PLAIN, "");
    }
    job_free(job);
}

static void print_repo(struct tty_table *table, const struct listing *listing,
                       const struct repo_config *repo)
{
    g_autoptr(GPtrArray) branches = list_branches(listing, repo->name);
    if (branches->len == 0) {
        print_row(table, listing, repo, NULL, true);
    }
    for (unsigned i = 0; i < branches->len; i++) {
        print_row(table, listing, repo, g_ptr_array_index(branches, i), i == 0);
    }
    if (repo->target_tags[0]) {
        print_tags(table, listing, repo);
    }
}

static bool matches(const struct repo_config *repo, const char *filter)
{
    return !filter || strstr(repo->name, filter) || strstr(repo->url, filter);
}

/* The column of rules about trust is there when one of them is. */
static struct tty_table *new_table(struct listing *listing, const char *filter)
{
    static const char *const plain[] = {"REPO",      "BRANCH", "TIP",    "LAST JOB",
                                        "NEXT LOOK", "ROAD",   "REMARK", NULL};
    static const char *const with_trust[] = {"REPO", "BRANCH", "TIP",    "LAST JOB", "NEXT LOOK",
                                             "ROAD", "TRUST",  "REMARK", NULL};
    const GPtrArray *repos = listing->context->config->repos;
    for (unsigned i = 0; i < repos->len && !listing->show_trust; i++) {
        const struct repo_config *repo = g_ptr_array_index(repos, i);
        g_autofree char *trust = matches(repo, filter) ? show_trust(repo) : NULL;
        listing->show_trust = trust && *trust;
    }
    return tty_table_new(listing->show_trust ? with_trust : plain);
}

static int list(struct listing *listing, const char *filter)
{
    const GPtrArray *repos = listing->context->config->repos;
    struct tty_table *table = listing->context->json ? NULL : new_table(listing, filter);
    json_t *array = json_array();
    unsigned shown = 0;
    for (unsigned i = 0; i < repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(repos, i);
        if (!matches(repo, filter)) {
            continue;
        }
        shown++;
        if (table) {
            print_repo(table, listing, repo);
        } else {
            json_array_append_new(array, repo_to_json(listing, repo));
        }
    }
    if (!table) {
        return show_json_print(array);
    }
    json_decref(array);
    if (shown == 0) {
        puts(filter ? "no such repository" : "no repositories yet: phantom_ci add URL BRANCH");
    }
    if (shown > 0) {
        tty_table_print(table, stdout);
    } else {
        tty_table_free(table);
    }
    return EXIT_CODE_OK;
}

int command_repo(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int code = command_parse(command, &context, NULL, COMMAND_JSON, &argc, &argv, 0, 1);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        code = command_open_store(&context, false, NULL);
    }
    if (code < 0) {
        g_autofree char *path = paths_look_status(&context.paths);
        g_autoptr(GHashTable) looks = look_status_read(path, NULL, NULL);
        g_autofree char *shortage = command_describe_shortage(&context);
        struct listing listing = {&context,
                                  looks ? looks : g_hash_table_new(g_str_hash, g_str_equal),
                                  clock_now_ms(), shortage, false};
        code = list(&listing, argc > 1 ? argv[1] : NULL);
        if (!looks) {
            g_hash_table_unref(listing.looks);
        }
    }
    command_context_clear(&context);
    return code;
}
