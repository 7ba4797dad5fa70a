/* Notices: their JSON form and its bounds, the tail of an output, and which of them are wanted. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "notify/notice.h"

/* Every field with a value of its own. */
static struct notice *make_notice(enum notice_kind kind)
{
    static const struct notice init = NOTICE_INIT;
    struct notice *notice = g_new(struct notice, 1);
    *notice = init;
    notice->kind = kind;
    notice->job = 42;
    notice->repo = g_strdup("tool");
    notice->branch = g_strdup("feature/x");
    notice->sha = g_strdup("0123456789abcdef0123456789abcdef01234567");
    notice->subject = g_strdup("Mend \"it\"\nfor \xc3\xa4\xf0\x9f\x98\x80 \\ good");
    notice->author = g_strdup("J\xc3\xb6rg");
    notice->trigger = g_strdup("retry");
    notice->state = g_strdup("failed");
    notice->reason = g_strdup("step 3 failed");
    notice->attempt = 2;
    notice->at_ms = INT64_C(1700000000123);
    notice->duration_ms = 65000;
    notice->has_step = true;
    notice->step = UINT64_MAX;
    notice->command = g_strdup("make 'a b'");
    notice->exit_code = 3;
    notice->signal = 9;
    notice->tail = g_strdup("one\n\ttwo");
    notice->before = 77;
    return notice;
}

static void assert_equal(const struct notice *a, const struct notice *b)
{
    g_assert_cmpint(a->kind, ==, b->kind);
    g_assert_cmpint(a->job, ==, b->job);
    g_assert_cmpstr(a->repo, ==, b->repo);
    g_assert_cmpstr(a->branch, ==, b->branch);
    g_assert_cmpstr(a->sha, ==, b->sha);
    g_assert_cmpstr(a->subject, ==, b->subject);
    g_assert_cmpstr(a->author, ==, b->author);
    g_assert_cmpstr(a->trigger, ==, b->trigger);
    g_assert_cmpstr(a->state, ==, b->state);
    g_assert_cmpstr(a->reason, ==, b->reason);
    g_assert_cmpint(a->attempt, ==, b->attempt);
    g_assert_cmpint(a->at_ms, ==, b->at_ms);
    g_assert_cmpint(a->duration_ms, ==, b->duration_ms);
    g_assert_cmpint(a->has_step, ==, b->has_step);
    g_assert_cmpuint(a->step, ==, b->step);
    g_assert_cmpstr(a->command, ==, b->command);
    g_assert_cmpint(a->exit_code, ==, b->exit_code);
    g_assert_cmpint(a->signal, ==, b->signal);
    g_assert_cmpstr(a->tail, ==, b->tail);
    g_assert_cmpint(a->before, ==, b->before);
}

static struct notice *read_back(const struct notice *notice)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = notice_to_json(notice);
    g_assert_cmpuint(strlen(json), <=, NOTICE_JSON_MAX_BYTES);
    g_assert_true(g_utf8_validate(json, -1, NULL));
    struct notice *back = notice_from_json(json, strlen(json), &error);
    g_assert_no_error(error);
    return back;
}

static void json__every_kind_and_field__comes_back(void)
{
    static const struct notice init = NOTICE_INIT;
    for (unsigned kind = 0; kind < NOTICE_KINDS; kind++) {
        struct notice *full = make_notice((enum notice_kind)kind);
        struct notice *full_back = read_back(full);
        assert_equal(full, full_back);
        struct notice empty = init;
        empty.kind = (enum notice_kind)kind;
        empty.repo = g_strdup("");
        struct notice *empty_back = read_back(&empty);
        assert_equal(&empty, empty_back);
        notice_clear(&empty);
        g_assert_null(empty.repo);
        g_assert_cmpint(empty.exit_code, ==, -1);
        notice_free(full);
        notice_free(full_back);
        notice_free(empty_back);
    }
}

static void json__bytes_that_are_no_text__are_escaped_and_stay_so(void)
{
    struct notice *notice = make_notice(NOTICE_FINISHED);
    g_free(notice->subject);
    notice->subject = g_strdup("\xff\x1b[31m\xe2\x80\xae");
    struct notice *back = read_back(notice);
    struct notice *again = read_back(back);
    g_assert_cmpstr(back->subject, ==, "\\xff\\x1b[31m\\u{202e}");
    assert_equal(back, again);
    notice_free(notice);
    notice_free(back);
    notice_free(again);
}

/* A clock that went backwards costs no message. */
static void json__numbers_beyond_their_range__become_the_nearest(void)
{
    struct notice *notice = make_notice(NOTICE_FINISHED);
    notice->duration_ms = -5000;
    notice->at_ms = -1;
    notice->attempt = -1;
    notice->exit_code = -7;
    notice->signal = 4711;
    struct notice *back = read_back(notice);
    g_assert_cmpint(back->duration_ms, ==, -1);
    g_assert_cmpint(back->at_ms, ==, 0);
    g_assert_cmpint(back->attempt, ==, 0);
    g_assert_cmpint(back->exit_code, ==, -1);
    g_assert_cmpint(back->signal, ==, 255);
    notice_free(notice);
    notice_free(back);
}

/* The longest JSON there is: every text beyond its limit, made of what JSON writes as two bytes. */
static void json__longest_texts__stay_within_the_limit(void)
{
    struct notice *notice = make_notice(NOTICE_STEP_FAILED);
    char **texts[] = {&notice->repo,    &notice->branch, &notice->sha,
                      &notice->subject, &notice->author, &notice->trigger,
                      &notice->state,   &notice->reason, &notice->command};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_free(*texts[i]);
        *texts[i] = g_strnfill(100000, '"');
    }
    g_free(notice->tail);
    notice->tail = g_strnfill(1024 * 1024, '\n');
    struct notice *back = read_back(notice);
    g_assert_cmpuint(strlen(back->repo), ==, NOTICE_TEXT_MAX_BYTES);
    g_assert_cmpuint(strlen(back->command), ==, NOTICE_TEXT_MAX_BYTES);
    g_assert_cmpuint(strlen(back->tail), <=, NOTICE_TAIL_MAX_BYTES);
    notice_free(notice);
    notice_free(back);
}

/* A character of 1 to 4 bytes across the limit, at each of its bytes. */
static void json__limit_inside_a_character__is_cut_before_it(void)
{
    static const char *const characters[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (unsigned i = 0; i < G_N_ELEMENTS(characters); i++) {
        size_t size = strlen(characters[i]);
        for (size_t offset = 0; offset <= size; offset++) {
            struct notice *notice = make_notice(NOTICE_STARTED);
            g_autofree char *front = g_strnfill(NOTICE_TEXT_MAX_BYTES - offset, 'a');
            g_free(notice->subject);
            notice->subject = g_strconcat(front, characters[i], NULL);
            struct notice *back = read_back(notice);
            g_assert_cmpstr(back->subject, ==, offset == size ? notice->subject : front);
            notice_free(notice);
            notice_free(back);
        }
    }
}

static void json__nonsense__is_refused(void)
{
    static const char *const cases[] = {
        "",
        "x",
        "[]",
        "{}",
        "\"finished\"",
        "{\"kind\":\"finished\"}",
        "{\"kind\":\"finished\",\"repo\":null}",
        "{\"kind\":\"other\",\"repo\":\"a\"}",
        "{\"kind\":2,\"repo\":\"a\"}",
        "{\"kind\":\"finished\",\"repo\":3}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"job\":\"1\"}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"job\":-1}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"job\":1.5}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"job\":99999999999999999999}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"exit_code\":-2}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"signal\":4294967296}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"step\":1}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"step\":\"-1\"}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"step\":\"18446744073709551616\"}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"has_step\":1}",
        "{\"kind\":\"finished\",\"repo\":\"a\",\"repo\":\"b\"}",
        "{\"kind\":\"finished\",\"repo\":\"a\\u0000b\"}",
        "{\"kind\":\"finished\",\"repo\":\"\xff\"}",
        "{\"kind\":\"finished\",\"repo\":\"a\"} x",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(notice_from_json(cases[i], strlen(cases[i]), &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
    }
    g_autofree char *large = g_strnfill(NOTICE_JSON_MAX_BYTES + 1, ' ');
    static const char good[] = "{\"kind\":\"finished\",\"repo\":\"a\",\"of_a_newer_version\":[]}";
    memcpy(large, good, strlen(good));
    g_autoptr(GError) error = NULL;
    g_assert_null(notice_from_json(large, NOTICE_JSON_MAX_BYTES + 1, &error));
    g_assert_true(error_has_code(error, ERROR_INVALID));
    struct notice *notice = notice_from_json(large, NOTICE_JSON_MAX_BYTES, NULL);
    g_assert_nonnull(notice);
    g_assert_cmpint(notice->duration_ms, ==, -1);
    notice_free(notice);
}

static void kind__names__are_read_back(void)
{
    for (unsigned i = 0; i < NOTICE_KINDS; i++) {
        enum notice_kind kind = NOTICE_TEST;
        g_assert_true(notice_kind_from_name(notice_kind_name((enum notice_kind)i), &kind));
        g_assert_cmpint(kind, ==, i);
    }
    enum notice_kind kind;
    g_assert_false(notice_kind_from_name("Finished", &kind));
}

/* -------------------------------------------------------------------- tails */

static struct notice with_tail(const char *bytes, size_t length, int64_t before,
                               const char *const *secrets)
{
    struct notice notice = NOTICE_INIT;
    struct mask *mask = secrets ? mask_new(secrets, NULL) : NULL;
    notice_set_tail(&notice, bytes, length, before, mask);
    mask_free(mask);
    return notice;
}

static void tail__blank_output__is_none(void)
{
    static const char *const cases[] = {"", "\n\n", " \t\r\n", "\x1b[0m\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct notice notice = with_tail(cases[i], strlen(cases[i]), 0, NULL);
        g_assert_null(notice.tail);
        notice_clear(&notice);
    }
}

static void tail__short_output__is_kept_whole(void)
{
    struct notice notice = with_tail("a\0b\n", 4, 5, NULL);
    g_assert_cmpstr(notice.tail, ==, "a\\x00b");
    g_assert_cmpint(notice.before, ==, 5);
    notice_set_tail(&notice, "again", 5, 0, NULL);
    g_assert_cmpstr(notice.tail, ==, "again");
    g_assert_cmpint(notice.before, ==, 0);
    notice_clear(&notice);
}

static void tail__long_output__is_cut_at_the_front_at_a_line(void)
{
    g_autoptr(GString) output = g_string_new(NULL);
    for (unsigned i = 0; i < 100000; i++) {
        g_string_append_printf(output, "line %06u\n", i);
    }
    struct notice notice = with_tail(output->str, output->len, 1000, NULL);
    size_t length = strlen(notice.tail);
    g_assert_cmpuint(length, <=, NOTICE_TAIL_MAX_BYTES);
    g_assert_cmpuint(length, >, NOTICE_TAIL_MAX_BYTES - 12);
    g_assert_true(g_str_has_prefix(notice.tail, "line "));
    g_assert_true(g_str_has_suffix(notice.tail, "line 099999"));
    g_assert_cmpint(notice.before, ==, (int64_t)(1000 + output->len - 1 - length));
    notice_clear(&notice);
}

/* The secret lies across the place of the cut, at every offset. */
static void tail__secret_across_the_cut__leaves_no_half(void)
{
    static const char *const secrets[] = {"canary-secret", NULL};
    for (size_t offset = 0; offset <= strlen(secrets[0]); offset++) {
        g_autofree char *front = g_strnfill(5000, '-');
        g_autofree char *back = g_strnfill(NOTICE_TAIL_MAX_BYTES - offset, '-');
        g_autofree char *output = g_strconcat(front, secrets[0], back, NULL);
        struct notice notice = with_tail(output, strlen(output), 0, secrets);
        g_assert_cmpuint(strspn(notice.tail, "-*"), ==, strlen(notice.tail));
        notice_clear(&notice);
    }
}

/* As it was printed, and as it is read. */
static void tail__secret_in_any_dress__is_hidden(void)
{
    static const char *const secrets[] = {"canary-secret", "two\nlines\xff", NULL};
    static const struct {
        const char *output, *tail;
    } cases[] = {
        {"a canary-secret b", "a *** b"},
        {"a can\x1b[31mary\x1b[0m-secret b", "a *** b"},
        {"10%\rcanary-secret\r\x1b[K\n", "***"},
        {"x two\nlines\xff y", "x *** y"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct notice notice = with_tail(cases[i].output, strlen(cases[i].output), 0, secrets);
        g_assert_cmpstr(notice.tail, ==, cases[i].tail);
        notice_clear(&notice);
    }
}

static void mask__every_text__is_masked(void)
{
    static const char *const secrets[] = {"canary-secret", NULL};
    struct mask *mask = mask_new(secrets, NULL);
    struct notice *notice = make_notice(NOTICE_STEP_FAILED);
    char **texts[] = {&notice->repo,    &notice->branch,  &notice->sha,   &notice->subject,
                      &notice->author,  &notice->trigger, &notice->state, &notice->reason,
                      &notice->command, &notice->tail};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_free(*texts[i]);
        *texts[i] = g_strdup_printf("%u canary-secret", i);
    }
    notice_mask(notice, mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *expected = g_strdup_printf("%u ***", i);
        g_assert_cmpstr(*texts[i], ==, expected);
    }
    struct notice empty = NOTICE_INIT;
    notice_mask(&empty, mask);
    g_assert_null(empty.repo);
    mask_free(mask);
    notice_free(notice);
}

/* ------------------------------------------------------------------- policy */

enum { N = 0, Y = 1 };

static const char *const states[] = {"success",     "failed",     "error",   "timeout", "canceled",
                                     "interrupted", "superseded", "skipped", "blocked"};

static void assert_wants(enum notify_policy policy, enum notice_kind kind, const char *state,
                         const char *previous, bool expected)
{
    if (notify_wants(policy, kind, state, previous) != expected) {
        g_error("policy %d, %s, state %s after %s: expected %d", (int)policy,
                notice_kind_name(kind), state ? state : "NULL", previous ? previous : "NULL",
                expected);
    }
}

static void wants__finished__over_all_policies_states_and_histories(void)
{
    static const struct {
        const char *state;
        bool all, failures;
        /* `changes` after: nothing, success, failed, error, timeout, interrupted, blocked */
        bool changes[7];
    } rows[] = {
        {"success", Y, N, {N, N, Y, Y, Y, Y, Y}},     {"failed", Y, Y, {Y, Y, N, N, N, N, N}},
        {"error", Y, Y, {Y, Y, N, N, N, N, N}},       {"timeout", Y, Y, {Y, Y, N, N, N, N, N}},
        {"interrupted", Y, Y, {Y, Y, N, N, N, N, N}}, {"blocked", Y, Y, {Y, Y, N, N, N, N, N}},
        {"canceled", Y, N, {N, N, N, N, N, N, N}},    {"superseded", N, N, {N, N, N, N, N, N, N}},
        {"skipped", N, N, {N, N, N, N, N, N, N}},
    };
    static const char *const histories[] = {NULL,      "success",     "failed", "error",
                                            "timeout", "interrupted", "blocked"};
    static const char *const no_histories[] = {"canceled", "superseded", "skipped", "queued",
                                               "running"};
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(histories); j++) {
            const char *state = rows[i].state, *history = histories[j];
            assert_wants(NOTIFY_ALL, NOTICE_FINISHED, state, history, rows[i].all);
            assert_wants(NOTIFY_FAILURES, NOTICE_FINISHED, state, history, rows[i].failures);
            assert_wants(NOTIFY_CHANGES, NOTICE_FINISHED, state, history, rows[i].changes[j]);
            assert_wants(NOTIFY_NONE, NOTICE_FINISHED, state, history, N);
        }
        for (unsigned j = 0; j < G_N_ELEMENTS(no_histories); j++) {
            assert_wants(NOTIFY_CHANGES, NOTICE_FINISHED, rows[i].state, no_histories[j],
                         rows[i].changes[0]);
        }
    }
}

static void wants__other_kinds__over_all_policies_and_histories(void)
{
    static const struct {
        enum notice_kind kind;
        const char *state;
        bool all, failures, changes_after_green, changes_after_red, none;
    } rows[] = {
        {NOTICE_STARTED, "running", Y, N, N, N, N},
        {NOTICE_STARTED, NULL, Y, N, N, N, N},
        {NOTICE_STEP_FAILED, "running", Y, N, N, N, N},
        {NOTICE_STEP_FAILED, NULL, Y, N, N, N, N},
        {NOTICE_BLOCKED, "blocked", Y, Y, Y, N, N},
        {NOTICE_BLOCKED, NULL, Y, Y, Y, N, N},
        {NOTICE_INTERRUPTED, "interrupted", Y, Y, Y, N, N},
        {NOTICE_INTERRUPTED, NULL, Y, Y, Y, N, N},
        {NOTICE_BRANCH_MISSING, NULL, Y, Y, Y, Y, N},
        {NOTICE_TEST, NULL, Y, Y, Y, Y, Y},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (unsigned j = 0; j <= G_N_ELEMENTS(states); j++) {
            const char *history = j < G_N_ELEMENTS(states) ? states[j] : NULL;
            bool after_red =
                history && notify_state_counts(history) && strcmp(history, "success") != 0;
            assert_wants(NOTIFY_ALL, rows[i].kind, rows[i].state, history, rows[i].all);
            assert_wants(NOTIFY_FAILURES, rows[i].kind, rows[i].state, history, rows[i].failures);
            assert_wants(NOTIFY_CHANGES, rows[i].kind, rows[i].state, history,
                         after_red ? rows[i].changes_after_red : rows[i].changes_after_green);
            assert_wants(NOTIFY_NONE, rows[i].kind, rows[i].state, history, rows[i].none);
        }
    }
}

static void state_counts__all_states__as_documented(void)
{
    static const char *const counting[] = {"success",     "failed",  "error", "timeout",
                                           "interrupted", "blocked", NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
        g_assert_cmpint(notify_state_counts(states[i]), ==, g_strv_contains(counting, states[i]));
    }
    g_assert_false(notify_state_counts(NULL));
    g_assert_false(notify_state_counts("queued"));
    g_assert_false(notify_state_counts("running"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/notice/json__every_kind_and_field__comes_back",
                    json__every_kind_and_field__comes_back);
    g_test_add_func("/notice/json__bytes_that_are_no_text__are_escaped_and_stay_so",
                    json__bytes_that_are_no_text__are_escaped_and_stay_so);
    g_test_add_func("/notice/json__numbers_beyond_their_range__become_the_nearest",
                    json__numbers_beyond_their_range__become_the_nearest);
    g_test_add_func("/notice/json__longest_texts__stay_within_the_limit",
                    json__longest_texts__stay_within_the_limit);
    g_test_add_func("/notice/json__limit_inside_a_character__is_cut_before_it",
                    json__limit_inside_a_character__is_cut_before_it);
    g_test_add_func("/notice/json__nonsense__is_refused", json__nonsense__is_refused);
    g_test_add_func("/notice/kind__names__are_read_back", kind__names__are_read_back);
    g_test_add_func("/notice/tail__blank_output__is_none", tail__blank_output__is_none);
    g_test_add_func("/notice/tail__short_output__is_kept_whole", tail__short_output__is_kept_whole);
    g_test_add_func("/notice/tail__long_output__is_cut_at_the_front_at_a_line",
                    tail__long_output__is_cut_at_the_front_at_a_line);
    g_test_add_func("/notice/tail__secret_across_the_cut__leaves_no_half",
                    tail__secret_across_the_cut__leaves_no_half);
    g_test_add_func("/notice/tail__secret_in_any_dress__is_hidden",
                    tail__secret_in_any_dress__is_hidden);
    g_test_add_func("/notice/mask__every_text__is_masked", mask__every_text__is_masked);
    g_test_add_func("/notice/wants__finished__over_all_policies_states_and_histories",
                    wants__finished__over_all_policies_states_and_histories);
    g_test_add_func("/notice/wants__other_kinds__over_all_policies_and_histories",
                    wants__other_kinds__over_all_policies_and_histories);
    g_test_add_func("/notice/state_counts__all_states__as_documented",
                    state_counts__all_states__as_documented);
    return g_test_run();
}
