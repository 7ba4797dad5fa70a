#include "daemon/deliver.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/event.h"
#include "base/units.h"
#include "base/wipe.h"
#include "daemon/message_client.h"
#include "daemon/message_request.h"
#include "daemon/verdict.h"
#include "notify/notice.h"
#include "notify/target.h"
#include "store/outbox.h"

enum {
    ADDRESS_AT_ONCE = 50,
    ANSWER_PATIENCE_MS = 2 * MESSAGE_REQUEST_TIMEOUT_MS,
    STORE_RETRY_MS = 5000,
    ENV_RETRY_MS = 60 * 1000,
    KEY_PREFIX_DIGITS = 16,
};

/* One for each receiver. */
struct channel {
    struct outbox_message *sending; /* or NULL */
    int64_t deadline_ms;            /* monotonic: its answer does not come any more */
    int64_t not_before_ms;          /* monotonic: for whatever message */
    int failures;                   /* attempts since the last delivery */
};

struct deliver {
    const struct paths *paths;
    struct store *store;
    const struct config *config;
    struct net_client *net;
    struct message_client_events events;
    struct channel channels[TARGET_KINDS];
    bool dirty;       /* look into the store */
    int64_t next_ms;  /* monotonic: when a message that waits is due; INT64_MAX = none */
    char *trouble;    /* with .env, as last printed */
    char *key_prefix; /* of Idempotency-Key: tells this installation from others */
};

/* ------------------------------------------------------------------- .env */

static void print_trouble(struct deliver *deliver, char *text)
{
    if (text && g_strcmp0(g_strchomp(text), deliver->trouble) != 0) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
            event_print(EVENT_WARNING, "messages held back", "err", *line, NULL);
        }
    }
    g_free(deliver->trouble);
    deliver->trouble = text;
}

/* NULL when .env can't be used: what there is to say waits until it can. */
static GPtrArray *load_targets(struct deliver *deliver)
{
    struct diagnostics *errors = diagnostics_new();
    wipe_forbid_dumps();
    GPtrArray *targets = targets_load(deliver->paths->config, errors, NULL);
    print_trouble(deliver, targets ? NULL : diagnostics_format(errors));
    diagnostics_free(errors);
    return targets;
}

/* ---------------------------------------------------------------- addressing */

/* Whether the section's policy asks for the notice, given the history of the branch. */
static bool is_wanted(struct deliver *deliver, const struct notice *notice, bool *wanted,
                      GError **error)
{
    const struct repo_config *repo = config_find_repo(deliver->config, notice->repo);
    g_autofree char *previous = NULL;
    const struct job job = {.id = notice->job, .repo = notice->repo, .branch = notice->branch};
    *wanted = false;
    if (!repo) {
        return true;
    }
    if (notice->job && !store_job_previous_verdict(deliver->store, &job, &previous, error)) {
        return false;
    }
    *wanted = notify_wants(repo->notify, notice->kind, notice->state, previous);
    return true;
}

static bool address_one(struct deliver *deliver, const struct outbox_message *row,
                        const GPtrArray *targets, GError **error)
{
    const char *names[TARGET_KINDS + 1] = {NULL};
    bool wanted = false;
    struct notice *notice = notice_from_json(row->body, strlen(row->body), NULL);
    bool good = !notice || is_wanted(deliver, notice, &wanted, error);
    notice_free(notice);
    for (unsigned i = 0; good && wanted && i < targets->len; i++) {
        const struct target *target = g_ptr_array_index(targets, i);
        names[i] = target_kind_name(target->kind);
    }
    return good && outbox_address(deliver->store, row->id, names, clock_now_ms(), error);
}

static bool address_rows(struct deliver *deliver, const GPtrArray *rows, const GPtrArray *targets,
                         GError **error)
{
    const char *names[TARGET_KINDS + 1] = {NULL};
    for (unsigned i = 0; i < rows->len; i++) {
        if (!address_one(deliver, g_ptr_array_index(rows, i), targets, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < targets->len; i++) {
        names[i] = target_kind_name(((const struct target *)g_ptr_array_index(targets, i))->kind);
    }
    return outbox_trim(deliver->store, names, clock_now_ms(), error);
}

/* Some notices in one transaction; the rest is left to the next round of the loop, which has other
 * things to do as well. False on a failure of the store. */
static bool address_new(struct deliver *deliver, const GPtrArray *targets, GError **error)
{
    g_autoptr(GPtrArray) rows = outbox_new_notices(deliver->store, ADDRESS_AT_ONCE, error);
    if (!rows || rows->len == 0) {
        return rows != NULL;
    }
    deliver->dirty = rows->len == ADDRESS_AT_ONCE || deliver->dirty;
    if (!store_begin(deliver->store, error)) {
        return false;
    }
    if (!address_rows(deliver, rows, targets, error) || !store_commit(deliver->store, error)) {
        store_rollback(deliver->store);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------- results */

static void print_result(const struct channel *channel, const struct outbox_message *message,
                         const struct outbox_result *result, int64_t wait_ms)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, message->id);
    g_autofree char *job = message->job ? g_strdup_printf("%" G_GINT64_FORMAT, message->job) : NULL;
    g_autofree char *attempts = g_strdup_printf("%d", message->attempts + 1);
    if (result->state == OUTBOX_WAITING) {
        g_autofree char *wait = units_format_elapsed(wait_ms);
        event_print(EVENT_WARNING, "message failed", "job", job, "repo", message->repo, "message",
                    id, "target", message->target, "attempt", attempts, "err", result->answer,
                    "again_in", wait, NULL);
    } else if (result->state == OUTBOX_GIVEN_UP) {
        event_print(EVENT_ERROR, "message given up", "job", job, "repo", message->repo, "message",
                    id, "target", message->target, "attempt", attempts, "err", result->answer,
                    "note", "phantom_ci notify list", NULL);
    } else if (channel->failures > 0) {
        event_print(EVENT_INFO, "message delivered", "job", job, "repo", message->repo, "message",
                    id, "target", message->target, "attempt", attempts, NULL);
    }
}

/* The end of the attempt that is under way in the channel. */
static void end_attempt(struct deliver *deliver, struct channel *channel, struct verdict verdict,
                        int status, const char *answer)
{
    struct outbox_message *message = g_steal_pointer(&channel->sending);
    int64_t now_ms = clock_now_ms();
    bool too_old = now_ms - message->created_ms >= DELIVERY_GIVE_UP_MS;
    struct outbox_result result = {
        .state = verdict.state == OUTBOX_WAITING && too_old ? OUTBOX_GIVEN_UP : verdict.state,
        .next_ms = now_ms + verdict.wait_ms,
        .status = status,
        .answer = answer,
    };
    g_autoptr(GError) error = NULL;
    /* Without a record of its end the attempt counts as cut off, and is made again. */
    if (!outbox_end(deliver->store, message->id, &result, now_ms, &error)) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
    }
    print_result(channel, message, &result, verdict.wait_ms);
    channel->failures = verdict.state == OUTBOX_WAITING ? channel->failures + 1 : 0;
    channel->not_before_ms = clock_monotonic_ms() + MAX(verdict.wait_ms, verdict.pause_ms);
    outbox_message_free(message);
    deliver->dirty = true;
}

static void answered(const struct net_answer *answer, void *data)
{
    struct deliver *deliver = data;
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        struct channel *channel = &deliver->channels[i];
        g_autofree char *id =
            channel->sending ? g_strdup_printf("%" G_GINT64_FORMAT, channel->sending->id) : NULL;
        if (g_strcmp0(id, answer->id) == 0) {
            struct verdict verdict =
                verdict_on_answer(answer, channel->failures + 1, g_random_double());
            g_autoptr(GPtrArray) targets = load_targets(deliver);
            g_autofree char *text = message_answer_describe(answer, targets);
            end_attempt(deliver, channel, verdict, answer->status, text);
        }
    }
}

static void end_without_answer(struct deliver *deliver, struct channel *channel, const char *why)
{
    const struct verdict verdict = {
        .state = OUTBOX_WAITING,
        .wait_ms = verdict_backoff_ms(channel->failures + 1, g_random_double()),
    };
    end_attempt(deliver, channel, verdict, 0, why);
}

static void lost(const char *why, void *data)
{
    struct deliver *deliver = data;
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        if (deliver->channels[i].sending) {
            end_without_answer(deliver, &deliver->channels[i], why);
        }
    }
}

/* ------------------------------------------------------------------- sending */

/* Gives the message up without an attempt. False on a failure of the store. */
static bool refuse(struct deliver *deliver, const struct outbox_message *message, const char *why,
                   GError **error)
{
    const struct outbox_result result = {.state = OUTBOX_GIVEN_UP, .answer = why};
    event_print(EVENT_WARNING, "message given up", "target", message->target, "err", why, NULL);
    return outbox_end(deliver->store, message->id, &result, clock_now_ms(), error);
}

/* The same with all that wait for a receiver that is named no longer, some at a time. */
static bool refuse_all(struct deliver *deliver, enum target_kind kind, GError **error)
{
    static const char why[] = ".env names no such receiver any more";
    int count = 0;
    bool good =
        outbox_give_up(deliver->store, target_kind_name(kind), why, clock_now_ms(), &count, error);
    g_autofree char *number = g_strdup_printf("%d", count);
    if (count > 0) {
        event_print(EVENT_WARNING, "messages given up", "target", target_kind_name(kind), "count",
                    number, "err", why, NULL);
        deliver->dirty = true;
    }
    return good;
}

static bool make_request(struct deliver *deliver, const struct outbox_message *message,
                         const GPtrArray *targets, const struct target *target,
                         struct net_request *request, GError **error)
{
    struct notice *notice = notice_from_json(message->body, strlen(message->body), error);
    if (!notice) {
        return false;
    }
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, message->id);
    g_autofree char *key =
        g_strdup_printf("%s-%s-%" G_GINT64_FORMAT, deliver->key_prefix, id, message->created_ms);
    bool good = message_request_init(request, id, key, targets, target, notice, error);
    notice_free(notice);
    return good;
}

/* The attempt is recorded before its first byte leaves. Takes the message over. */
static bool begin_attempt(struct deliver *deliver, struct channel *channel,
                          struct outbox_message *message, const struct net_request *request,
                          GError **error)
{
    bool begun = false;
    bool good = outbox_begin(deliver->store, message->id, &begun, error);
    if (!good || !begun) {
        outbox_message_free(message);
        return good;
    }
    channel->sending = message;
    channel->deadline_ms = clock_monotonic_ms() + ANSWER_PATIENCE_MS;
    g_autoptr(GError) failure = NULL;
    if (!message_client_send(deliver->net, request, &failure)) {
        end_without_answer(deliver, channel, failure->message);
    }
    return true;
}

/* A clock that was set back must not silence a receiver for as long. */
static int64_t wait_left_ms(const struct outbox_message *message)
{
    int64_t left_ms = message->next_ms - clock_now_ms();
    return left_ms > DELIVERY_WAIT_MAX_MS ? 0 : MAX(left_ms, 0);
}

/* One attempt, if the message can be put into words. Takes the message over. */
static bool try_message(struct deliver *deliver, struct channel *channel,
                        struct outbox_message *message, const GPtrArray *targets,
                        const struct target *target, GError **error)
{
    struct net_request request = {.id = NULL};
    g_autoptr(GError) local = NULL;
    bool good;
    if (make_request(deliver, message, targets, target, &request, &local)) {
        good = begin_attempt(deliver, channel, message, &request, error);
    } else {
        good = refuse(deliver, message, local->message, error);
        deliver->dirty = true;
        outbox_message_free(message);
    }
    net_request_clear(&request);
    return good;
}

/* The oldest message of the receiver, if it is due. */
static bool send_next(struct deliver *deliver, enum target_kind kind, const GPtrArray *targets,
                      GError **error)
{
    struct channel *channel = &deliver->channels[kind];
    const struct target *target = targets_find(targets, kind);
    g_autoptr(GError) local = NULL;
    struct outbox_message *message =
        channel->sending ? NULL : outbox_next(deliver->store, target_kind_name(kind), &local);
    if (!message) {
        bool good = local == NULL;
        if (local) {
            g_propagate_error(error, g_steal_pointer(&local));
        }
        return good;
    }
    if (!target) {
        outbox_message_free(message);
        return refuse_all(deliver, kind, error);
    }
    int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = MAX(channel->not_before_ms, now_ms + wait_left_ms(message));
    if (due_ms > now_ms) {
        deliver->next_ms = MIN(deliver->next_ms, due_ms);
        outbox_message_free(message);
        return true;
    }
    return try_message(deliver, channel, message, targets, target, error);
}

/* What can be done in one round; `dirty` when there is more. False on a failure of the store. */
static bool work_off(struct deliver *deliver, GError **error)
{
    bool any = false;
    deliver->dirty = false;
    deliver->next_ms = INT64_MAX;
    if (!outbox_has_work(deliver->store, &any, error)) {
        return false;
    }
    g_autoptr(GPtrArray) targets = any ? load_targets(deliver) : NULL;
    if (any && !targets) {
        deliver->next_ms = clock_monotonic_ms() + ENV_RETRY_MS;
    }
    if (targets && !address_new(deliver, targets, error)) {
        return false;
    }
    for (int kind = 0; targets && kind < TARGET_KINDS; kind++) {
        if (!send_next(deliver, (enum target_kind)kind, targets, error)) {
            return false;
        }
    }
    return true;
}

void deliver_run(struct deliver *deliver)
{
    int64_t now_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        const struct channel *channel = &deliver->channels[i];
        if (channel->sending && now_ms >= channel->deadline_ms) {
            net_client_abandon(deliver->net, "did not answer in time");
        }
    }
    deliver->dirty = deliver->dirty || now_ms >= deliver->next_ms;
    g_autoptr(GError) error = NULL;
    if (deliver->dirty && !work_off(deliver, &error)) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
        deliver->dirty = false;
        deliver->next_ms = now_ms + STORE_RETRY_MS;
    }
}

/* ------------------------------------------------------------------ life cycle */

struct deliver *deliver_new(const struct paths *paths, struct store *store)
{
    struct deliver *deliver = g_new0(struct deliver, 1);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, paths->state, -1);
    deliver->paths = paths;
    deliver->store = store;
    deliver->events = (struct message_client_events){answered, lost, deliver};
    deliver->net = message_client_new(&deliver->events);
    deliver->key_prefix = g_strndup(digest, KEY_PREFIX_DIGITS);
    deliver->dirty = true;
    deliver->next_ms = INT64_MAX;
    g_autoptr(GError) error = NULL;
    if (!outbox_recover(store, clock_now_ms(), &error)) {
        event_print(EVENT_ERROR, "store failed", "err", error->message, NULL);
    }
    return deliver;
}

void deliver_free(struct deliver *deliver)
{
    if (deliver) {
        net_client_free(deliver->net);
        for (unsigned i = 0; i < TARGET_KINDS; i++) {
            outbox_message_free(deliver->channels[i].sending);
        }
        g_free(deliver->trouble);
        g_free(deliver->key_prefix);
        g_free(deliver);
    }
}

void deliver_set_config(struct deliver *deliver, const struct config *config)
{
    deliver->config = config;
    deliver->dirty = true;
}

void deliver_wake(struct deliver *deliver)
{
    deliver->dirty = true;
}

int64_t deliver_next_due_ms(const struct deliver *deliver)
{
    int64_t due_ms = deliver->dirty ? 0 : deliver->next_ms;
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        if (deliver->channels[i].sending) {
            due_ms = MIN(due_ms, deliver->channels[i].deadline_ms);
        }
    }
    return due_ms;
}

bool deliver_is_busy(const struct deliver *deliver)
{
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        if (deliver->channels[i].sending) {
            return true;
        }
    }
    return false;
}

void deliver_add_fds(struct deliver *deliver, GArray *pollfds)
{
    net_client_add_fds(deliver->net, pollfds);
}

void deliver_handle(struct deliver *deliver, const struct pollfd *fds, unsigned count)
{
    net_client_handle(deliver->net, fds, count);
}
