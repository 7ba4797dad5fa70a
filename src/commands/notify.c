#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/text.h"
#include "base/wake.h"
#include "base/wipe.h"
#include "commands/all.h"
#include "commands/show.h"
#include "daemon/message_request.h"
#include "daemon/net_ask.h"
#include "notify/target.h"
#include "store/outbox.h"

enum { DEFAULT_LIMIT = 20 };

/* -------------------------------------------------------------------- list */

static json_t *message_to_json(const struct outbox_message *message)
{
    json_t *object = json_object();
    json_object_set_new(object, "id", json_integer(message->id));
    json_object_set_new(object, "target", show_json_text(message->target));
    json_object_set_new(object, "state", json_string(outbox_state_name(message->state)));
    json_object_set_new(object, "kind", show_json_text(message->kind));
    json_object_set_new(object, "job", show_json_number(message->job));
    json_object_set_new(object, "repo", show_json_text(message->repo));
    show_json_set_ref(object, message->branch);
    json_object_set_new(object, "attempts", json_integer(message->attempts));
    json_object_set_new(object, "created", show_json_number(message->created_ms));
    json_object_set_new(object, "next",
                        show_json_number(message->finished_ms ? 0 : message->next_ms));
    json_object_set_new(object, "finished", show_json_number(message->finished_ms));
    json_object_set_new(object, "status", show_json_number(message->status));
    json_object_set_new(object, "answer", show_json_text(message->answer));
    return object;
}

static int print_json(const GPtrArray *messages)
{
    json_t *list = json_array();
    for (unsigned i = 0; messages && i < messages->len; i++) {
        json_array_append_new(list, message_to_json(g_ptr_array_index(messages, i)));
    }
    return show_json_print(list);
}

static enum tty_colour state_colour(enum outbox_state state)
{
    return state == OUTBOX_DELIVERED ? TTY_GREEN : state == OUTBOX_GIVEN_UP ? TTY_RED : TTY_YELLOW;
}

static void print_table(const GPtrArray *messages)
{
    static const char *const headings[] = {"ID",   "TARGET", "STATE", "KIND",   "JOB",
                                           "REPO", "BRANCH", "TRIES", "ANSWER", NULL};
    struct tty_table *table = tty_table_new(headings);
    int64_t now_ms = clock_now_ms();
    for (unsigned i = 0; i < messages->len; i++) {
        const struct outbox_message *message = g_ptr_array_index(messages, i);
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, message->id);
        g_autofree char *job = g_strdup_printf("%" G_GINT64_FORMAT, message->job);
        g_autofree char *tries = g_strdup_printf("%d", message->attempts);
        g_autofree char *ref = show_ref(message->branch);
        g_autofree char *due = clock_format_relative(message->next_ms, now_ms);
        g_autofree char *again =
            g_strdup_printf("%s%stried again %s", message->answer ? message->answer : "",
                            message->answer ? "; " : "", due);
        bool waits = message->state == OUTBOX_WAITING && message->attempts > 0;
        tty_table_cell(table, TTY_BOLD, id);
        tty_table_cell(table, TTY_PLAIN, message->target);
        tty_table_cell(table, state_colour(message->state), outbox_state_name(message->state));
        tty_table_cell(table, TTY_PLAIN, message->kind);
        tty_table_cell(table, TTY_PLAIN, message->job ? job : "-");
        tty_table_cell(table, TTY_PLAIN, message->repo);
        tty_table_cell(table, TTY_PLAIN, ref);
        tty_table_cell(table, TTY_PLAIN, tries);
        tty_table_cell(table, TTY_PLAIN, waits ? again : message->answer ? message->answer : "");
    }
    tty_table_print(table, stdout);
}

/* NULL with the diagnostics printed when .env can't be used. */
static GPtrArray *load_targets(const struct command_context *context)
{
    struct diagnostics *errors = diagnostics_new();
    struct diagnostics *warnings = diagnostics_new();
    wipe_forbid_dumps();
    GPtrArray *targets = targets_load(context->paths.config, errors, warnings);
    g_autofree char *text = diagnostics_format(targets ? warnings : errors);
    fputs(text, stderr);
    diagnostics_free(errors);
    diagnostics_free(warnings);
    return targets;
}

static void print_no_messages(const struct command_context *context, bool is_filtered)
{
    g_autoptr(GPtrArray) targets = load_targets(context);
    if (is_filtered) {
        puts("no such messages");
    } else if (targets && targets->len == 0) {
        printf("no messages, and no receiver: put DISCORD_WEBHOOK_URL, SLACK_WEBHOOK_URL or "
               "CUSTOM_WEBHOOK_URL into %s/.env\n",
               context->paths.config);
    } else {
        puts("no messages yet: the next job sends some; phantom_ci notify test sends one now");
    }
}

static int list(struct command_context *context, const struct outbox_filter *filter, bool exists)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) messages = exists ? outbox_list(context->store, filter, &error) : NULL;
    if (error) {
        return command_fail(error);
    }
    if (context->json) {
        return print_json(messages);
    }
    if (!messages || messages->len == 0) {
        print_no_messages(context, filter->has_state);
        return EXIT_CODE_OK;
    }
    print_table(messages);
    return EXIT_CODE_OK;
}

/* "given-up" as well, which needs no quotes in a shell. */
static bool parse_state(const char *text, struct outbox_filter *filter)
{
    const char *name = strcmp(text, "given-up") == 0 ? "given up" : text;
    filter->has_state = true;
    return outbox_state_from_name(name, &filter->state) && filter->state != OUTBOX_NEW;
}

static int notify_list(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    g_autofree char *state = NULL;
    int limit = DEFAULT_LIMIT;
    const GOptionEntry entries[] = {
        {"state", 's', 0, G_OPTION_ARG_STRING, &state, "only messages in this state", "STATE"},
        {"limit", 'n', 0, G_OPTION_ARG_INT, &limit, "at most so many (default 20, 0 = all)", "N"},
        G_OPTION_ENTRY_NULL,
    };
    struct outbox_filter filter = {.has_state = false};
    bool exists = false;
    int code = command_parse(command, &context, entries, COMMAND_JSON, &argc, &argv, 0, 0);
    if (code < 0 && limit < 0) {
        code = command_fail_text(EXIT_CODE_USAGE, "--limit takes a number from 0");
    }
    if (code < 0 && state && !parse_state(state, &filter)) {
        code = command_fail_text(EXIT_CODE_USAGE,
                                 "--state takes one of waiting sending delivered given-up");
    }
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0) {
        filter.limit = (unsigned)limit;
        code = list(&context, &filter, exists);
    }
    command_context_clear(&context);
    return code;
}

/* ------------------------------------------------------------------- retry */

static int retry_one(struct command_context *context, int64_t id)
{
    g_autoptr(GError) error = NULL;
    bool changed = false;
    if (!outbox_retry(context->store, id, clock_now_ms(), &changed, &error)) {
        return command_fail(error);
    }
    if (changed) {
        printf("message %" G_GINT64_FORMAT " is sent again\n", id);
    } else {
        printf("message %" G_GINT64_FORMAT " is being sent just now\n", id);
    }
    return EXIT_CODE_OK;
}

static int notify_retry(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    int64_t id = 0;
    bool exists = false;
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 1, -1);
    for (int i = 1; code < 0 && i < argc; i++) {
        if (!command_parse_job(argv[i], &id)) {
            code = command_fail_text(EXIT_CODE_USAGE, "a message is named by its number (see: "
                                                      "phantom_ci notify list)");
        }
    }
    if (code < 0) {
        code = command_open_store(&context, false, &exists);
    }
    if (code < 0 && !exists) {
        code = command_fail_text(EXIT_CODE_NOT_FOUND, "there are no messages yet");
    }
    if (code >= 0) {
        command_context_clear(&context);
        return code;
    }
    code = EXIT_CODE_OK;
    for (int i = 1; i < argc; i++) {
        command_parse_job(argv[i], &id);
        int one = retry_one(&context, id);
        code = code == EXIT_CODE_OK ? one : code;
    }
    wake_daemon(&context.paths);
    g_autofree char *lock = paths_daemon_lock(&context.paths);
    if (!lock_is_held(lock)) {
        fprintf(stderr, "phantom_ci: no daemon is running; the message waits for one\n");
    }
    command_context_clear(&context);
    return code;
}

/* -------------------------------------------------------------------- test */

/* True when the receiver took the sample. */
static bool test_target(const GPtrArray *targets, const struct target *target)
{
    struct notice notice = NOTICE_INIT;
    notice.kind = NOTICE_TEST;
    notice.at_ms = clock_now_ms();
    struct net_request request = {.id = NULL};
    struct net_answer answer = NET_ANSWER_INIT;
    g_autofree char *key =
        g_strdup_printf("test-%" G_GINT64_FORMAT "-%08x", notice.at_ms, g_random_int());
    g_autofree char *host = target_host(target);
    g_autofree char *shown_host = text_escape(host);
    g_autoptr(GError) error = NULL;
    int64_t begun_ms = clock_monotonic_ms();
    bool answered = message_request_init(&request, "1", key, targets, target, &notice, &error) &&
                    net_ask(&request, &answer, &error);
    bool delivered = answered && answer.outcome == NET_OUTCOME_HTTP && answer.status >= 200 &&
                     answer.status < 300;
    g_autofree char *said =
        answered ? message_answer_describe(&answer, targets) : g_strdup(error->message);
    g_autofree char *shown = text_escape(said);
    printf("%s (%s): %s: %s, %" G_GINT64_FORMAT " ms\n", target_kind_name(target->kind), shown_host,
           delivered ? "delivered" : "not delivered", shown, clock_monotonic_ms() - begun_ms);
    notice_clear(&notice);
    net_request_clear(&request);
    net_answer_clear(&answer);
    return delivered;
}

static int test_targets(const struct command_context *context, const char *name)
{
    g_autoptr(GPtrArray) targets = load_targets(context);
    bool delivered = true;
    unsigned count = 0;
    if (!targets) {
        return EXIT_CODE_CONFIG;
    }
    for (unsigned i = 0; i < targets->len; i++) {
        const struct target *target = g_ptr_array_index(targets, i);
        if (!name || strcmp(target_kind_name(target->kind), name) == 0) {
            count++;
            delivered = test_target(targets, target) && delivered;
        }
    }
    if (count == 0) {
        return command_fail_text(EXIT_CODE_NOT_FOUND, "%s/.env names no %s%s",
                                 context->paths.config, name ? name : "receiver",
                                 name ? " receiver" : "");
    }
    return delivered ? EXIT_CODE_OK : EXIT_CODE_NEGATIVE;
}

static int notify_test(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    enum target_kind kind;
    int code = command_parse(command, &context, NULL, 0, &argc, &argv, 0, 1);
    if (code < 0 && argc > 1 && !target_kind_from_name(argv[1], &kind)) {
        code = command_fail_text(EXIT_CODE_USAGE, "TARGET is one of discord slack custom");
    }
    if (code < 0) {
        code = test_targets(&context, argc > 1 ? argv[1] : NULL);
    }
    command_context_clear(&context);
    return code;
}

/* -------------------------------------------------------------------------- */

static const struct command subcommands[] = {
    {"notify list", "[--state S] [--limit N]", "list messages, newest first",
     "The newest 1000 that are over are kept.", notify_list},
    {"notify retry", "ID...", "send messages again that were given up (or delivered)", NULL,
     notify_retry},
    {"notify test", "[TARGET]", "send a sample to the receivers of .env and print their answers",
     "TARGET is discord, slack or custom. Exit code 1 when one did not take it.", notify_test},
    {NULL, NULL, NULL, NULL, NULL},
};

int command_notify(const struct command *command, int argc, char **argv)
{
    return command_run_sub(command, subcommands, argc, argv);
}
