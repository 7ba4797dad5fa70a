/* The outbox: notices, messages, attempts. */
#include <string.h>

#include "store/outbox.h"
#include "store/store_internal.h"
#include "store_fixture.h"

static const char *const two_targets[] = {"discord", "slack", NULL};
static const char *const one_target[] = {"slack", NULL};
static const char *const no_target[] = {NULL};

static void add_notice(struct store *store, int64_t job, int64_t now_ms)
{
    g_autoptr(GError) error = NULL;
    const struct outbox_notice notice = {job, "app", "main", "finished", "{\"a\":1}"};
    outbox_add(store, &notice, now_ms, &error);
    g_assert_no_error(error);
}

/* Adds a notice and addresses it; the first message that waits for "slack" then. */
static struct outbox_message *send_one(struct store *store, int64_t job)
{
    add_notice(store, job, 1000);
    g_autoptr(GPtrArray) notices = outbox_new_notices(store, 10, NULL);
    const struct outbox_message *notice = g_ptr_array_index(notices, 0);
    g_assert_true(outbox_address(store, notice->id, one_target, 1000, NULL));
    g_assert_true(outbox_trim(store, one_target, 1000, NULL));
    return outbox_next(store, "slack", NULL);
}

static unsigned count_in_state(struct store *store, enum outbox_state state)
{
    const struct outbox_filter filter = {.has_state = true, .state = state};
    g_autoptr(GPtrArray) messages = outbox_list(store, &filter, NULL);
    return messages->len;
}

static struct outbox_message *find_message(struct store *store, int64_t id)
{
    const struct outbox_filter filter = {.limit = 0};
    g_autoptr(GPtrArray) messages = outbox_list(store, &filter, NULL);
    for (unsigned i = 0; i < messages->len; i++) {
        struct outbox_message *message = g_ptr_array_index(messages, i);
        if (message->id == id) {
            return g_ptr_array_steal_index(messages, i);
        }
    }
    return NULL;
}

static void notice__addressed_to_two__is_a_message_of_each(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    add_notice(fixture.store, 7, 1000);
    g_autoptr(GPtrArray) notices = outbox_new_notices(fixture.store, 10, NULL);
    g_assert_cmpuint(notices->len, ==, 1);
    const struct outbox_message *notice = g_ptr_array_index(notices, 0);
    g_assert_cmpint(notice->state, ==, OUTBOX_NEW);
    g_assert_cmpint(notice->job, ==, 7);
    g_assert_cmpstr(notice->body, ==, "{\"a\":1}");
    g_assert_true(outbox_address(fixture.store, notice->id, two_targets, 2000, NULL));
    for (unsigned i = 0; two_targets[i]; i++) {
        struct outbox_message *message = outbox_next(fixture.store, two_targets[i], NULL);
        g_assert_nonnull(message);
        g_assert_cmpstr(message->target, ==, two_targets[i]);
        g_assert_cmpstr(message->kind, ==, "finished");
        g_assert_cmpint(message->created_ms, ==, 1000);
        g_assert_cmpint(message->next_ms, ==, 2000);
        g_assert_cmpint(message->attempts, ==, 0);
        outbox_message_free(message);
    }
    g_autoptr(GPtrArray) rest = outbox_new_notices(fixture.store, 10, NULL);
    g_assert_cmpuint(rest->len, ==, 0);
    /* Once more, as after a crash that forgot it: there is nothing to copy any more. */
    g_assert_true(outbox_address(fixture.store, notice->id, two_targets, 2000, NULL));
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_WAITING), ==, 2);
    fixture_close(&fixture);
}

static void notice__addressed_to_nobody__is_gone(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    add_notice(fixture.store, 7, 1000);
    g_autoptr(GPtrArray) notices = outbox_new_notices(fixture.store, 10, NULL);
    const struct outbox_message *notice = g_ptr_array_index(notices, 0);
    g_assert_true(outbox_address(fixture.store, notice->id, no_target, 2000, NULL));
    const struct outbox_filter all = {.limit = 0};
    g_autoptr(GPtrArray) messages = outbox_list(fixture.store, &all, NULL);
    g_assert_cmpuint(messages->len, ==, 0);
    fixture_close(&fixture);
}

static void notices__nobody_takes_them__stay_bounded(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_assert_true(store_begin(fixture.store, NULL));
    for (int64_t i = 1; i <= OUTBOX_MAX_NOTICES + 5; i++) {
        add_notice(fixture.store, i, i);
    }
    g_assert_true(store_commit(fixture.store, NULL));
    g_autoptr(GPtrArray) notices = outbox_new_notices(fixture.store, 5000, NULL);
    g_assert_cmpuint(notices->len, ==, OUTBOX_MAX_NOTICES);
    g_assert_cmpint(((struct outbox_message *)g_ptr_array_index(notices, 0))->job, ==, 6);
    fixture_close(&fixture);
}

static void messages__of_a_dead_receiver__give_the_oldest_up(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_assert_true(store_begin(fixture.store, NULL));
    for (int64_t i = 1; i <= OUTBOX_MAX_WAITING + 3; i++) {
        outbox_message_free(send_one(fixture.store, i));
    }
    g_assert_true(store_commit(fixture.store, NULL));
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_WAITING), ==, OUTBOX_MAX_WAITING);
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_GIVEN_UP), ==, 3);
    struct outbox_message *oldest = outbox_next(fixture.store, "slack", NULL);
    g_assert_cmpint(oldest->job, ==, 4);
    outbox_message_free(oldest);
    fixture_close(&fixture);
}

static void messages__over__stay_bounded(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    const struct outbox_result delivered = {.state = OUTBOX_DELIVERED, .status = 204};
    g_assert_true(store_begin(fixture.store, NULL));
    for (int64_t i = 1; i <= OUTBOX_MAX_OVER + 4; i++) {
        struct outbox_message *message = send_one(fixture.store, i);
        g_assert_true(outbox_end(fixture.store, message->id, &delivered, 1, NULL));
        outbox_message_free(message);
    }
    add_notice(fixture.store, 1, 1);
    g_autoptr(GPtrArray) notices = outbox_new_notices(fixture.store, 1, NULL);
    const struct outbox_message *notice = g_ptr_array_index(notices, 0);
    g_assert_true(outbox_address(fixture.store, notice->id, no_target, 1, NULL));
    g_assert_true(outbox_trim(fixture.store, no_target, 1, NULL));
    g_assert_true(store_commit(fixture.store, NULL));
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_DELIVERED), ==, OUTBOX_MAX_OVER);
    fixture_close(&fixture);
}

/* As many messages in this state as no run of ours leaves. */
static void fill(struct store *store, const char *target, const char *state, int count)
{
    g_assert_true(store_begin(store, NULL));
    for (int i = 0; i < count; i++) {
        g_assert_true(store_write(store, NULL, NULL,
                                  "INSERT INTO outbox(job, repo, branch, kind, body, target, "
                                  "state, created, next) "
                                  "VALUES(1, 'app', 'main', 'finished', '{}', ?, ?, 1, 1)",
                                  "ss", target, state));
    }
    g_assert_true(store_commit(store, NULL));
}

static void trim__far_beyond_the_limits__takes_one_bite_a_call(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    fill(fixture.store, "slack", "waiting", OUTBOX_MAX_WAITING + 2 * OUTBOX_TRIM_AT_ONCE + 1);
    fill(fixture.store, "discord", "waiting", OUTBOX_MAX_WAITING);
    for (unsigned i = 1; i <= 4; i++) {
        g_assert_true(outbox_trim(fixture.store, two_targets, 5, NULL));
        g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_GIVEN_UP), ==,
                         MIN(i * OUTBOX_TRIM_AT_ONCE, 2 * OUTBOX_TRIM_AT_ONCE + 1));
    }
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_WAITING), ==, 2 * OUTBOX_MAX_WAITING);
    struct outbox_message *oldest = outbox_next(fixture.store, "slack", NULL);
    g_assert_cmpint(oldest->id, ==, 2 * OUTBOX_TRIM_AT_ONCE + 2);
    outbox_message_free(oldest);
    fill(fixture.store, "slack", "delivered", OUTBOX_MAX_OVER);
    for (unsigned i = 1; i <= 4; i++) {
        g_assert_true(outbox_trim(fixture.store, two_targets, 5, NULL));
        g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_GIVEN_UP), ==,
                         2 * OUTBOX_TRIM_AT_ONCE + 1 -
                             MIN(i * OUTBOX_TRIM_AT_ONCE, 2 * OUTBOX_TRIM_AT_ONCE + 1));
    }
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_DELIVERED), ==, OUTBOX_MAX_OVER);
    fixture_close(&fixture);
}

static void give_up__of_a_target__leaves_other_targets_and_what_is_being_sent(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    bool begun = false;
    int count = 0;
    fill(fixture.store, "slack", "waiting", OUTBOX_TRIM_AT_ONCE + 2);
    fill(fixture.store, "discord", "waiting", 1);
    g_assert_true(outbox_begin(fixture.store, 1, &begun, NULL));
    const int expected[] = {OUTBOX_TRIM_AT_ONCE - 1, 2, 0};
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_true(outbox_give_up(fixture.store, "slack", "why", 5, &count, NULL));
        g_assert_cmpint(count, ==, expected[i]);
    }
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_SENDING), ==, 1);
    g_assert_cmpuint(count_in_state(fixture.store, OUTBOX_WAITING), ==, 1);
    struct outbox_message *message = find_message(fixture.store, 2);
    g_assert_cmpstr(message->answer, ==, "why");
    g_assert_cmpint(message->finished_ms, ==, 5);
    outbox_message_free(message);
    fixture_close(&fixture);
}

/* The plan of each statement that the daemon has used: none goes through all messages, which may
 * hold much. */
static void questions_of_the_daemon__full_outbox__are_answered_by_indexes(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    int64_t waiting = 0, given_up = 0;
    bool any = false;
    outbox_message_free(send_one(fixture.store, 1));
    g_assert_true(outbox_recover(fixture.store, 1, NULL));
    g_assert_true(outbox_has_work(fixture.store, &any, NULL));
    g_assert_true(outbox_count(fixture.store, &waiting, &given_up, NULL));
    GHashTableIter iterator;
    void *sql = NULL;
    unsigned plans = 0;
    g_hash_table_iter_init(&iterator, fixture.store->statements);
    while (g_hash_table_iter_next(&iterator, &sql, NULL)) {
        g_autofree char *explain = g_strconcat("EXPLAIN QUERY PLAN ", sql, NULL);
        sqlite3_stmt *statement = NULL;
        g_assert_cmpint(sqlite3_prepare_v2(fixture.store->database, explain, -1, &statement, NULL),
                        ==, SQLITE_OK);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(statement, 3);
            bool scans = strncmp(line, "SCAN outbox", strlen("SCAN outbox")) == 0;
            if (scans && !strstr(line, " INDEX ")) {
                g_error("%s: %s", (const char *)sql, line);
            }
            plans += strstr(line, "outbox") != NULL;
        }
        sqlite3_finalize(statement);
    }
    g_assert_cmpuint(plans, >=, 12);
    fixture_close(&fixture);
}

static void attempt__begun__is_counted_before_it_ends(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct outbox_message *message = send_one(fixture.store, 1);
    bool begun = false;
    g_assert_true(outbox_begin(fixture.store, message->id, &begun, NULL));
    g_assert_true(begun);
    g_assert_true(outbox_begin(fixture.store, message->id, &begun, NULL));
    g_assert_false(begun);
    g_assert_null(outbox_next(fixture.store, "slack", NULL));
    const struct outbox_result again = {
        .state = OUTBOX_WAITING, .next_ms = 9000, .status = 429, .answer = "slow down"};
    g_assert_true(outbox_end(fixture.store, message->id, &again, 5000, NULL));
    outbox_message_free(message);
    message = outbox_next(fixture.store, "slack", NULL);
    g_assert_cmpint(message->attempts, ==, 1);
    g_assert_cmpint(message->next_ms, ==, 9000);
    g_assert_cmpint(message->status, ==, 429);
    g_assert_cmpint(message->finished_ms, ==, 0);
    g_assert_cmpstr(message->answer, ==, "slow down");
    outbox_message_free(message);
    fixture_close(&fixture);
}

static void attempt__cut_off_by_a_crash__waits_again_with_its_count(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct outbox_message *message = send_one(fixture.store, 1);
    bool begun = false;
    g_assert_true(outbox_begin(fixture.store, message->id, &begun, NULL));
    store_close(fixture.store);
    fixture.store = open_store(fixture.path);
    g_assert_null(outbox_next(fixture.store, "slack", NULL));
    g_assert_true(outbox_recover(fixture.store, 7000, NULL));
    outbox_message_free(message);
    message = outbox_next(fixture.store, "slack", NULL);
    g_assert_cmpint(message->attempts, ==, 1);
    g_assert_cmpint(message->next_ms, ==, 7000);
    outbox_message_free(message);
    fixture_close(&fixture);
}

static void end__of_a_message_that_is_over__changes_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct outbox_message *message = send_one(fixture.store, 1);
    const struct outbox_result delivered = {.state = OUTBOX_DELIVERED, .status = 200};
    const struct outbox_result given_up = {.state = OUTBOX_GIVEN_UP, .status = 500};
    g_assert_true(outbox_end(fixture.store, message->id, &delivered, 5000, NULL));
    g_assert_true(outbox_end(fixture.store, message->id, &given_up, 6000, NULL));
    struct outbox_message *found = find_message(fixture.store, message->id);
    g_assert_cmpint(found->state, ==, OUTBOX_DELIVERED);
    g_assert_cmpint(found->finished_ms, ==, 5000);
    outbox_message_free(found);
    outbox_message_free(message);
    fixture_close(&fixture);
}

static void retry__of_what_was_given_up__begins_anew(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    struct outbox_message *message = send_one(fixture.store, 1);
    bool changed = false;
    const struct outbox_result given_up = {.state = OUTBOX_GIVEN_UP, .status = 404};
    g_assert_true(outbox_begin(fixture.store, message->id, &changed, NULL));
    g_assert_true(outbox_retry(fixture.store, message->id, 6000, &changed, NULL));
    g_assert_false(changed); /* it is being sent */
    g_assert_true(outbox_end(fixture.store, message->id, &given_up, 5000, NULL));
    int64_t waiting = 0;
    int64_t lost = 0;
    g_assert_true(outbox_count(fixture.store, &waiting, &lost, NULL));
    g_assert_cmpint(waiting, ==, 0);
    g_assert_cmpint(lost, ==, 1);
    g_assert_true(outbox_retry(fixture.store, message->id, 6000, &changed, NULL));
    g_assert_true(changed);
    struct outbox_message *again = outbox_next(fixture.store, "slack", NULL);
    g_assert_cmpint(again->id, ==, message->id);
    g_assert_cmpint(again->attempts, ==, 0);
    g_assert_cmpint(again->created_ms, ==, 6000);
    g_assert_cmpint(again->finished_ms, ==, 0);
    outbox_message_free(again);
    g_autoptr(GError) error = NULL;
    g_assert_false(outbox_retry(fixture.store, 4711, 6000, &changed, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    outbox_message_free(message);
    fixture_close(&fixture);
}

static void add__inside_a_transaction_rolled_back__leaves_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture);
    g_assert_true(store_begin(fixture.store, NULL));
    add_notice(fixture.store, 1, 1000);
    store_rollback(fixture.store);
    g_autoptr(GPtrArray) notices = outbox_new_notices(fixture.store, 10, NULL);
    g_assert_cmpuint(notices->len, ==, 0);
    fixture_close(&fixture);
}

static char *previous_verdict(struct store *store, int64_t id)
{
    char *state = NULL;
    struct job *job = get_job(store, id);
    g_assert_true(store_job_previous_verdict(store, job, &state, NULL));
    job_free(job);
    return state;
}

static void previous_verdict__skips_what_says_nothing_of_the_commit(void)
{
    static const struct {
        const char *branch;
        enum job_state state;
    } history[] = {
        {"main", JOB_FAILED},   {"main", JOB_CANCELED}, {"main", JOB_SUPERSEDED},
        {"other", JOB_SUCCESS}, {"main", JOB_SKIPPED},
    };
    struct fixture fixture;
    fixture_open(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(history); i++) {
        int64_t id = enqueue(fixture.store, history[i].branch, SHA_A, NULL, JOB_TRIGGER_RUN);
        g_assert_true(finish(fixture.store, id, history[i].state, NULL));
    }
    int64_t last = enqueue(fixture.store, "main", SHA_B, NULL, JOB_TRIGGER_RUN);
    g_autofree char *found = previous_verdict(fixture.store, last);
    g_assert_cmpstr(found, ==, "failed");
    g_autofree char *none = previous_verdict(fixture.store, 1);
    g_assert_null(none);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/outbox/" #name, name)
    ADD(notice__addressed_to_two__is_a_message_of_each);
    ADD(notice__addressed_to_nobody__is_gone);
    ADD(notices__nobody_takes_them__stay_bounded);
    ADD(messages__of_a_dead_receiver__give_the_oldest_up);
    ADD(messages__over__stay_bounded);
    ADD(trim__far_beyond_the_limits__takes_one_bite_a_call);
    ADD(give_up__of_a_target__leaves_other_targets_and_what_is_being_sent);
    ADD(questions_of_the_daemon__full_outbox__are_answered_by_indexes);
    ADD(attempt__begun__is_counted_before_it_ends);
    ADD(attempt__cut_off_by_a_crash__waits_again_with_its_count);
    ADD(end__of_a_message_that_is_over__changes_nothing);
    ADD(retry__of_what_was_given_up__begins_anew);
    ADD(add__inside_a_transaction_rolled_back__leaves_nothing);
    ADD(previous_verdict__skips_what_says_nothing_of_the_commit);
    return g_test_run();
}
