#include "store/outbox.h"

#include <string.h>

#include "store/store_internal.h"

#define MESSAGE_COLUMNS                                                                            \
    "id, job, repo, branch, kind, body, target, state, attempts, created, next, finished, "        \
    "status, answer"

static const char *const states[] = {
    [OUTBOX_NEW] = "new",           [OUTBOX_WAITING] = "waiting",
    [OUTBOX_SENDING] = "sending",   [OUTBOX_DELIVERED] = "delivered",
    [OUTBOX_GIVEN_UP] = "given up",
};

const char *outbox_state_name(enum outbox_state state)
{
    return states[state];
}

bool outbox_state_from_name(const char *name, enum outbox_state *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        if (strcmp(states[i], name) == 0) {
            *state = (enum outbox_state)i;
            return true;
        }
    }
    return false;
}

void outbox_message_free(struct outbox_message *message)
{
    if (message) {
        g_free(message->repo);
        g_free(message->branch);
        g_free(message->kind);
        g_free(message->body);
        g_free(message->target);
        g_free(message->answer);
        g_free(message);
    }
}

static void free_message(void *message)
{
    outbox_message_free(message);
}

static void *read_message(sqlite3_stmt *row)
{
    struct outbox_message *message = g_new0(struct outbox_message, 1);
    g_autofree char *state = store_text(row, 7);
    message->id = sqlite3_column_int64(row, 0);
    message->job = sqlite3_column_int64(row, 1);
    message->repo = store_text(row, 2);
    message->branch = store_text(row, 3);
    message->kind = store_text(row, 4);
    message->body = store_text(row, 5);
    message->target = store_text(row, 6);
    /* A name that this version does not know can only be damage: such a message is not sent. */
    message->state = OUTBOX_GIVEN_UP;
    outbox_state_from_name(state ? state : "", &message->state);
    message->attempts = sqlite3_column_int(row, 8);
    message->created_ms = sqlite3_column_int64(row, 9);
    message->next_ms = sqlite3_column_int64(row, 10);
    message->finished_ms = sqlite3_column_int64(row, 11);
    message->status = sqlite3_column_int(row, 12);
    message->answer = store_text(row, 13);
    return message;
}

static bool drop_oldest_notices(struct store *store, GError **error)
{
    return store_write(store, error, NULL,
                       "DELETE FROM outbox INDEXED BY outbox_new WHERE state = 'new' AND id <= "
                       "(SELECT id FROM outbox INDEXED BY outbox_new WHERE state = 'new' "
                       "ORDER BY id DESC LIMIT 1 OFFSET ?)",
                       "i", (int64_t)OUTBOX_MAX_NOTICES);
}

bool outbox_add(struct store *store, const struct outbox_notice *notice, int64_t now_ms,
                GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    bool good = store_write(store, error, NULL,
                            "INSERT INTO outbox(job, repo, branch, kind, body, target, state, "
                            "created, next) VALUES(?, ?, ?, ?, ?, '', 'new', ?6, ?6)",
                            "issssi", notice->job, notice->repo, notice->branch, notice->kind,
                            notice->body, now_ms) &&
                drop_oldest_notices(store, error);
    return store_end(store, own, good, error);
}

GPtrArray *outbox_new_notices(struct store *store, unsigned limit, GError **error)
{
    return store_collect(store, error,
                         store_prepare(store, error,
                                       "SELECT " MESSAGE_COLUMNS " FROM outbox "
                                       "INDEXED BY outbox_new WHERE state = 'new' "
                                       "ORDER BY id LIMIT ?",
                                       "i", (int64_t)limit),
                         read_message, free_message);
}

static bool copy_to_target(struct store *store, int64_t id, const char *target, int64_t now_ms,
                           GError **error)
{
    return store_write(store, error, NULL,
                       "INSERT INTO outbox(job, repo, branch, kind, body, target, state, created, "
                       "next) SELECT job, repo, branch, kind, body, ?2, 'waiting', created, ?3 "
                       "FROM outbox WHERE id = ?1 AND state = 'new'",
                       "isi", id, target, now_ms);
}

bool outbox_address(struct store *store, int64_t id, const char *const *targets, int64_t now_ms,
                    GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    bool good = true;
    for (unsigned i = 0; good && targets[i]; i++) {
        good = copy_to_target(store, id, targets[i], now_ms, error);
    }
    good = good && store_write(store, error, NULL,
                               "DELETE FROM outbox WHERE id = ? AND state = 'new'", "i", id);
    return store_end(store, own, good, error);
}

/* Those with at least `newer` newer ones of the target. */
static bool give_up_oldest(struct store *store, const char *target, const char *why, int64_t newer,
                           int64_t now_ms, int *count, GError **error)
{
    return store_write(store, error, count,
                       "UPDATE outbox SET state = 'given up', finished = ?3, answer = ?4 "
                       "WHERE state = 'waiting' AND id IN "
                       "(SELECT id FROM outbox INDEXED BY outbox_waiting WHERE target = ?1 AND "
                       "state IN ('waiting', 'sending') AND id <= "
                       "(SELECT id FROM outbox INDEXED BY outbox_waiting WHERE target = ?1 AND "
                       "state IN ('waiting', 'sending') ORDER BY id DESC LIMIT 1 OFFSET ?2) "
                       "ORDER BY id LIMIT ?5)",
                       "siisi", target, newer, now_ms, why, (int64_t)OUTBOX_TRIM_AT_ONCE);
}

bool outbox_give_up(struct store *store, const char *target, const char *why, int64_t now_ms,
                    int *count, GError **error)
{
    return give_up_oldest(store, target, why, 0, now_ms, count, error);
}

static bool drop_oldest_over(struct store *store, GError **error)
{
    return store_write(store, error, NULL,
                       "DELETE FROM outbox WHERE id IN "
                       "(SELECT id FROM outbox INDEXED BY outbox_over WHERE "
                       "state IN ('delivered', 'given up') AND id <= "
                       "(SELECT id FROM outbox INDEXED BY outbox_over WHERE "
                       "state IN ('delivered', 'given up') ORDER BY id DESC LIMIT 1 OFFSET ?1) "
                       "ORDER BY id LIMIT ?2)",
                       "ii", (int64_t)OUTBOX_MAX_OVER, (int64_t)OUTBOX_TRIM_AT_ONCE);
}

bool outbox_trim(struct store *store, const char *const *targets, int64_t now_ms, GError **error)
{
    bool own = false;
    if (!store_begin_if_needed(store, &own, error)) {
        return false;
    }
    bool good = true;
    for (unsigned i = 0; good && targets[i]; i++) {
        good = give_up_oldest(store, targets[i], "too many messages waited for this receiver",
                              OUTBOX_MAX_WAITING, now_ms, NULL, error);
    }
    return store_end(store, own, good && drop_oldest_over(store, error), error);
}

bool outbox_has_work(struct store *store, bool *any, GError **error)
{
    sqlite3_stmt *statement = store_prepare(
        store, error,
        "SELECT EXISTS(SELECT 1 FROM outbox INDEXED BY outbox_new WHERE state = 'new') OR "
        "EXISTS(SELECT 1 FROM outbox INDEXED BY outbox_waiting WHERE "
        "state IN ('waiting', 'sending'))",
        "");
    if (!statement || store_step(store, error, statement) != 1) {
        return false;
    }
    *any = sqlite3_column_int(statement, 0) != 0;
    sqlite3_reset(statement);
    return true;
}

struct outbox_message *outbox_next(struct store *store, const char *target, GError **error)
{
    void *message = NULL;
    store_first(store, error,
                store_prepare(store, error,
                              "SELECT " MESSAGE_COLUMNS " FROM outbox INDEXED BY outbox_waiting "
                              "WHERE target = ? AND state IN ('waiting', 'sending') "
                              "AND state = 'waiting' ORDER BY id LIMIT 1",
                              "s", target),
                read_message, &message);
    return message;
}

bool outbox_begin(struct store *store, int64_t id, bool *begun, GError **error)
{
    int changes = 0;
    bool good = store_write(store, error, &changes,
                            "UPDATE outbox SET state = 'sending', attempts = attempts + 1 "
                            "WHERE id = ? AND state = 'waiting'",
                            "i", id);
    *begun = changes > 0;
    return good;
}

bool outbox_end(struct store *store, int64_t id, const struct outbox_result *result, int64_t now_ms,
                GError **error)
{
    bool over = result->state == OUTBOX_DELIVERED || result->state == OUTBOX_GIVEN_UP;
    return store_write(store, error, NULL,
                       "UPDATE outbox SET state = ?2, next = ?3, finished = ?4, status = ?5, "
                       "answer = ?6 WHERE id = ?1 AND state IN ('waiting', 'sending')",
                       "isiiis", id, outbox_state_name(result->state), result->next_ms,
                       over ? now_ms : (int64_t)0, (int64_t)result->status, result->answer);
}

bool outbox_recover(struct store *store, int64_t now_ms, GError **error)
{
    return store_write(store, error, NULL,
                       "UPDATE outbox INDEXED BY outbox_sending SET state = 'waiting', next = ?, "
                       "answer = 'phantom_ci ended while it was being sent' "
                       "WHERE state = 'sending'",
                       "i", now_ms);
}

static bool exists(struct store *store, int64_t id, GError **error)
{
    sqlite3_stmt *statement = store_prepare(
        store, error, "SELECT 1 FROM outbox WHERE id = ? AND state != 'new'", "i", id);
    int row = statement ? store_step(store, error, statement) : -1;
    if (row == 1) {
        sqlite3_reset(statement);
    } else if (row == 0) {
        g_set_error(error, STORE_ERROR, ERROR_NOT_FOUND,
                    "there is no message %" G_GINT64_FORMAT " (see: phantom_ci notify list)", id);
    }
    return row == 1;
}

bool outbox_retry(struct store *store, int64_t id, int64_t now_ms, bool *changed, GError **error)
{
    int changes = 0;
    bool good = store_write(store, error, &changes,
                            "UPDATE outbox SET state = 'waiting', attempts = 0, created = ?2, "
                            "next = ?2, finished = 0 WHERE id = ?1 AND "
                            "state IN ('waiting', 'delivered', 'given up')",
                            "ii", id, now_ms);
    *changed = changes > 0;
    return good && (*changed || exists(store, id, error));
}

GPtrArray *outbox_list(struct store *store, const struct outbox_filter *filter, GError **error)
{
    return store_collect(
        store, error,
        store_prepare(store, error,
                      "SELECT " MESSAGE_COLUMNS " FROM outbox WHERE state != 'new' AND "
                      "(?1 IS NULL OR state = ?1) ORDER BY id DESC LIMIT ?2",
                      "si", filter->has_state ? outbox_state_name(filter->state) : NULL,
                      filter->limit ? (int64_t)filter->limit : (int64_t)-1),
        read_message, free_message);
}

bool outbox_count(struct store *store, int64_t *waiting, int64_t *given_up, GError **error)
{
    sqlite3_stmt *statement =
        store_prepare(store, error,
                      "SELECT (SELECT count(*) FROM outbox INDEXED BY outbox_waiting WHERE "
                      "state IN ('waiting', 'sending')), "
                      "(SELECT count(*) FROM outbox INDEXED BY outbox_over WHERE "
                      "state IN ('delivered', 'given up') AND state = 'given up')",
                      "");
    if (!statement || store_step(store, error, statement) != 1) {
        return false;
    }
    *waiting = sqlite3_column_int64(statement, 0);
    *given_up = sqlite3_column_int64(statement, 1);
    sqlite3_reset(statement);
    return true;
}

static void *read_state(sqlite3_stmt *row)
{
    return store_text(row, 0);
}

bool store_job_previous_verdict(struct store *store, const struct job *job, char **state,
                                GError **error)
{
    void *row = NULL;
    bool good = store_first(
        store, error,
        store_prepare(store, error,
                      "SELECT state FROM job WHERE repo = ? AND branch = ? AND id < ? AND state IN "
                      "('success', 'failed', 'error', 'timeout', 'interrupted', 'blocked') "
                      "ORDER BY id DESC LIMIT 1",
                      "ssi", job->repo, job->branch, job->id),
        read_state, &row);
    *state = row;
    return good;
}
