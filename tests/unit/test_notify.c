/* Messages as the receivers get them: what they say, and what foreign text cannot do in them. */
#include "notify_fixture.h"

#include "base/error.h"

/* Title, description and footer of the embed, each on its own line. */
static char *discord_text(const struct notice *notice)
{
    json_t *body = format_json(TARGET_DISCORD, notice);
    check_discord(body);
    char *text =
        g_strjoin("\n", text_at(body, "embeds.0.title"), text_at(body, "embeds.0.description"),
                  text_at(body, "embeds.0.footer.text"), NULL);
    json_decref(body);
    return text;
}

/* The texts of the blocks. */
static char *slack_text(const struct notice *notice)
{
    size_t index;
    json_t *block, *body = format_json(TARGET_SLACK, notice);
    GString *text = g_string_new(NULL);
    check_slack(body);
    g_assert_cmpstr(text_at(body, "text"), ==, text_at(body, "blocks.0.text.text"));
    json_array_foreach(json_object_get(body, "blocks"), index, block)
    {
        const char *line = text_at(block, "text.text");
        g_string_append_printf(text, "%s%s", index > 0 ? "\n" : "",
                               line ? line : text_at(block, "elements.0.text"));
    }
    json_decref(body);
    return g_string_free(text, FALSE);
}

static char *custom_text(const struct notice *notice)
{
    json_t *body = format_json(TARGET_CUSTOM, notice);
    char *text = g_strjoin("\n", text_at(body, "title"), text_at(body, "message"), NULL);
    json_decref(body);
    return text;
}

static void step_failed__three_receivers__say_what_where_and_why(void)
{
    struct notice *notice = make_failure();
    notice->before = 1234;
    g_autofree char *discord = discord_text(notice);
    g_autofree char *slack = slack_text(notice);
    g_autofree char *custom = custom_text(notice);
    g_assert_cmpstr(discord, ==,
                    "tool main: step 3 failed (exit 2)\n"
                    "**Step 3:** `make test`, exit 2 after 65 s\n"
                    "**Commit:** `0123456789` Mend it\n"
                    "**Author:** Ann\n"
                    "```\n[... 1234 bytes before]\none\ntwo\n```\n"
                    "job 42 · phantom_ci logs 42");
    g_assert_cmpstr(slack, ==,
                    "tool main: step 3 failed (exit 2)\n"
                    "Step 3: make test, exit 2 after 65 s\n"
                    "Commit: 0123456789 Mend it\n"
                    "Author: Ann\n"
                    "```\n[... 1234 bytes before]\none\ntwo\n```\n"
                    "job 42 · phantom_ci logs 42 · 2023-11-14 22:13:20 UTC");
    g_assert_cmpstr(custom, ==,
                    "tool main: step 3 failed (exit 2)\n"
                    "Step 3: make test, exit 2 after 65 s\n"
                    "Commit: 0123456789 Mend it\n"
                    "Author: Ann\n\n"
                    "[... 1234 bytes before]\none\ntwo");
    notice_free(notice);
}

enum { GREEN = 0x2ecc71, RED = 0xe74c3c, GREY = 0x95a5a6, BLUE = 0x3498db };

/* What differs between kinds and states: changes to make_failure(), and the title, colour, and a
 * part of the description. */
static void every_kind__discord__has_its_title_colour_and_details(void)
{
    static const struct {
        enum notice_kind kind;
        const char *state, *reason, *trigger;
        int signal, attempt;
        const char *title;
        int colour;
        const char *part;
    } cases[] = {
        {NOTICE_STARTED, "running", NULL, "push", 0, 1, "tool main: started", BLUE, "Mend it"},
        {NOTICE_STEP_FAILED, NULL, NULL, "push", 9, 1,
         "tool main: step 3 failed (killed by SIGKILL)", RED,
         "**Step 3:** `make test`, killed by SIGKILL after 65 s"},
        {NOTICE_STEP_FAILED, "timeout", "too late", "push", 9, 1, "tool main: step 3 timed out",
         RED, "**Reason:** too late"},
        {NOTICE_FINISHED, "success", NULL, "push", 0, 1, "tool main: success after 65 s", GREEN,
         "**Author:** Ann"},
        {NOTICE_FINISHED, "failed", NULL, "push", 0, 1, "tool main: failed after 65 s", RED,
         "**Step 3:** `make test`, exit 2\n"},
        {NOTICE_FINISHED, "failed", "step 3 (make test) failed: exit 2", "push", 0, 1,
         "tool main: failed after 65 s", RED,
         "**Reason:** step 3 (make test) failed: exit 2\n**Commit:**"},
        {NOTICE_FINISHED, "error", "no disk", "push", 0, 1, "tool main: error after 65 s", RED,
         "**Reason:** no disk"},
        {NOTICE_FINISHED, "timeout", NULL, "push", 0, 1, "tool main: timed out after 65 s", RED,
         "Mend it"},
        {NOTICE_FINISHED, "canceled", "by hand", "push", 0, 1, "tool main: canceled after 65 s",
         GREY, "**Reason:** by hand"},
        {NOTICE_FINISHED, "skipped", NULL, "push", 0, 1, "tool main: skipped after 65 s", GREY,
         "Mend it"},
        {NOTICE_FINISHED, NULL, NULL, "push", 0, 1, "tool main: finished after 65 s", GREY,
         "Mend it"},
        {NOTICE_FINISHED, "success", NULL, "retry", 0, 2, "tool main: success after 65 s", GREEN,
         "**Started by:** `phantom_ci retry`"},
        {NOTICE_FINISHED, "success", NULL, "rerun", 0, 2, "tool main: success after 65 s", GREEN,
         "**Started by:** the interruption of the attempt before it"},
        {NOTICE_FINISHED, "success", NULL, "schedule", 0, 1, "tool main: success after 65 s", GREEN,
         "**Started by:** its schedule"},
        {NOTICE_FINISHED, "success", NULL, "a_b", 0, 1, "tool main: success after 65 s", GREEN,
         "**Started by:** a\\_b"},
        {NOTICE_BLOCKED, "blocked", "main was rewound", "push", 0, 1, "tool main: blocked", RED,
         "**To run it all the same:** `phantom_ci approve 42`"},
        {NOTICE_INTERRUPTED, "interrupted", "its process died", "push", 0, 1,
         "tool main: interrupted after 65 s", RED, "**Reason:** its process died"},
        {NOTICE_BRANCH_MISSING, NULL, "deleted", "push", 0, 1, "tool main: the branch is missing",
         RED, "**Reason:** deleted\nphantom_ci"},
        {NOTICE_TEST, NULL, "sent by hand", "push", 0, 1, "phantom\\_ci: a test message", BLUE,
         "Messages of phantom_ci arrive here.\n**Note:** sent by hand\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct notice *notice = make_failure();
        notice->kind = cases[i].kind;
        notice->signal = cases[i].signal;
        notice->attempt = cases[i].attempt;
        set_text(&notice->state, cases[i].state);
        set_text(&notice->reason, cases[i].reason);
        set_text(&notice->trigger, cases[i].trigger);
        check_all(notice);
        json_t *body = format_json(TARGET_DISCORD, notice);
        json_t *embed = json_array_get(json_object_get(body, "embeds"), 0);
        g_autofree char *text = discord_text(notice);
        g_assert_cmpstr(text_at(embed, "title"), ==, cases[i].title);
        g_assert_cmpint(json_integer_value(json_object_get(embed, "color")), ==, cases[i].colour);
        g_assert_cmpstr(text_at(embed, "timestamp"), ==, "2023-11-14T22:13:20.123Z");
        if (!strstr(text, cases[i].part)) {
            g_error("\"%s\" is not in: %s", cases[i].part, text);
        }
        bool says_attempt = strstr(text, "job 42, attempt 2") != NULL;
        g_assert_cmpint(says_attempt, ==, cases[i].attempt == 2);
        json_decref(body);
        notice_free(notice);
    }
}

/* Nothing is known but what must be. */
static void every_kind__without_any_field__is_a_good_message(void)
{
    for (unsigned kind = 0; kind < NOTICE_KINDS; kind++) {
        struct notice notice = NOTICE_INIT;
        notice.kind = (enum notice_kind)kind;
        check_all(&notice);
        json_t *body = format_json(TARGET_DISCORD, &notice);
        g_assert_null(
            json_object_get(json_array_get(json_object_get(body, "embeds"), 0), "timestamp"));
        json_decref(body);
        notice.at_ms = INT64_MAX;
        notice.duration_ms = INT64_MAX;
        notice.job = INT64_MAX;
        notice.attempt = INT32_MAX;
        notice.step = UINT64_MAX;
        notice.exit_code = INT32_MAX;
        notice.before = INT64_MAX;
        check_all(&notice);
    }
}

static void custom__fields__are_complete_and_null_when_unknown(void)
{
    static const char expected[] =
        "{\"title\":\"tool main: step 3 failed (killed by SIGTERM)\",\"message\":\"Step 3: make "
        "test, killed by SIGTERM after 65 s\\nCommit: 0123456789 Mend it\\nAuthor: Ann\\n\\n"
        "[... 9 bytes before]\\none\\ntwo\",\"version\":1,\"kind\":\"step_failed\",\"repo\":"
        "\"tool\",\"branch\":\"main\",\"tag\":null,\"sha\":"
        "\"0123456789abcdef0123456789abcdef01234567\","
        "\"subject\":\"Mend it\",\"author\":\"Ann\",\"trigger\":\"push\",\"job\":42,\"attempt\":1,"
        "\"state\":null,\"reason\":null,\"step\":{\"number\":3,\"command\":\"make test\","
        "\"exit_code\":null,\"signal\":\"SIGTERM\"},\"duration_ms\":65000,\"at\":"
        "\"2023-11-14T22:13:20.123Z\",\"log_tail\":\"one\\ntwo\",\"log_bytes_before\":9}";
    static const char expected_empty[] =
        "{\"title\":\"phantom_ci: started\",\"message\":\"Nothing more is known about it.\","
        "\"version\":1,\"kind\":\"started\",\"repo\":null,\"branch\":null,\"tag\":null,\"sha\":"
        "null,"
        "\"subject\":null,\"author\":null,\"trigger\":null,\"job\":null,\"attempt\":null,\"state\":"
        "null,"
        "\"reason\":null,\"step\":null,\"duration_ms\":null,\"at\":null,\"log_tail\":null,"
        "\"log_bytes_before\":null}";
    struct notice *notice = make_failure();
    notice->exit_code = -1;
    notice->signal = 15;
    notice->before = 9;
    struct message message = format(TARGET_CUSTOM, notice, NULL);
    g_assert_cmpstr(message.body, ==, expected);
    message_clear(&message);
    notice_clear(notice);
    message = format(TARGET_CUSTOM, notice, NULL);
    g_assert_cmpstr(message.body, ==, expected_empty);
    message_clear(&message);
    g_assert_null(message.body);
    notice_free(notice);
}

static void tag__title_details_and_fields__say_that_it_is_one(void)
{
    struct notice *notice = make_failure();
    g_free(notice->branch);
    notice->branch = g_strdup("refs/tags/v1");
    struct message message = format(TARGET_CUSTOM, notice, NULL);
    json_t *body = json_loadb(message.body, message.length, 0, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(body, "tag")), ==, "v1");
    g_assert_true(json_is_null(json_object_get(body, "branch")));
    g_assert_cmpstr(json_string_value(json_object_get(body, "title")), ==,
                    "tool tag v1: step 3 failed (exit 2)");
    json_decref(body);
    message_clear(&message);
    g_free(notice->branch);
    g_autofree char *name = g_strnfill(200, 'x');
    g_autofree char *line = g_strconcat("Tag: ", name, "\n", NULL);
    notice->branch = g_strconcat("refs/tags/", name, NULL);
    message = format(TARGET_CUSTOM, notice, NULL);
    body = json_loadb(message.body, message.length, 0, NULL);
    g_assert_nonnull(strstr(json_string_value(json_object_get(body, "message")), line));
    json_decref(body);
    message_clear(&message);
    notice_free(notice);
}

/* ----------------------------------------------------------------- headers */

/* RFC 2104, from a hash alone. */
static char *slow_hmac(const char *key, const char *text)
{
    unsigned char block[64] = {0}, inner[32];
    gsize size = sizeof(inner);
    g_assert_cmpuint(strlen(key), <=, sizeof(block));
    memcpy(block, key, strlen(key));
    for (unsigned i = 0; i < sizeof(block); i++) {
        block[i] ^= 0x36;
    }
    GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, block, sizeof(block));
    g_checksum_update(checksum, (const guchar *)text, -1);
    g_checksum_get_digest(checksum, inner, &size);
    g_checksum_reset(checksum);
    for (unsigned i = 0; i < sizeof(block); i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    g_checksum_update(checksum, block, sizeof(block));
    g_checksum_update(checksum, inner, sizeof(inner));
    char *digest = g_strdup(g_checksum_get_string(checksum));
    g_checksum_free(checksum);
    return digest;
}

static void headers__each_receiver__has_its_own(void)
{
    struct notice *notice = make_failure();
    struct message discord = format(TARGET_DISCORD, notice, NULL);
    struct message slack = format(TARGET_SLACK, notice, "ignored");
    struct message plain = format(TARGET_CUSTOM, notice, NULL);
    struct message empty = format(TARGET_CUSTOM, notice, "");
    struct message signed_one = format(TARGET_CUSTOM, notice, "k\xc3\xa4y");
    g_autofree char *digest = slow_hmac("k\xc3\xa4y", signed_one.body);
    g_autofree char *expected =
        g_strdup_printf("Content-Type: application/json\nIdempotency-Key: outbox-7\n"
                        "X-Phantom-CI-Signature-256: sha256=%s",
                        digest);
    g_assert_cmpstr(discord.headers, ==, "Content-Type: application/json");
    g_assert_cmpstr(slack.headers, ==, "Content-Type: application/json");
    g_assert_cmpstr(plain.headers, ==, "Content-Type: application/json\nIdempotency-Key: outbox-7");
    g_assert_cmpstr(empty.headers, ==, plain.headers);
    g_assert_cmpstr(signed_one.headers, ==, expected);
    g_assert_cmpstr(signed_one.body, ==, plain.body);
    message_clear(&discord);
    message_clear(&slack);
    message_clear(&plain);
    message_clear(&empty);
    message_clear(&signed_one);
    notice_free(notice);
}

static void key__that_is_no_header_value__is_refused(void)
{
    g_autofree char *longest = g_strnfill(MESSAGE_KEY_MAX_BYTES, 'k');
    g_autofree char *too_long = g_strnfill(MESSAGE_KEY_MAX_BYTES + 1, 'k');
    const char *const bad[] = {"", "a b", "a\nX: y", "a\r", "\xc3\xa4", "a;b", too_long};
    struct target target = {TARGET_CUSTOM, NULL, NULL};
    struct notice *notice = make_failure();
    struct message message = {NULL, 0, NULL};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(message_format(&target, notice, bad[i], &message, &error));
        g_assert_true(error_has_code(error, ERROR_INVALID));
        g_assert_null(message.body);
        g_assert_null(message.headers);
    }
    g_assert_true(message_format(&target, notice, longest, &message, NULL));
    g_assert_true(g_str_has_suffix(message.headers, longest));
    message_clear(&message);
    notice_free(notice);
}

/* --------------------------------------------------------------- injections */

static const char *const hostile[] = {
    "@everyone @here <@1> <@!1> <@&2> <#3> </run:4> <:e:5> <a:e:6> <t:7:R> <id:customize>",
    "[a](https://example.org) [b](<https://example.org>) <https://example.org|c>",
    "*a* **b** _c_ __d__ ~~e~~ ~f~ ||g|| `h` ``i`` ```j``` > k >>> l # m -# n \\*o\\*",
    "<!channel> <!here> <!everyone> <!subteam^S1> <@U1> <#C1> <!date^1^x|y> &lt;!channel&gt;",
    "a\n# b\n> c\n- d\n```\ne",
    "\"}]},\"content\":\"@everyone\",\"x\":{\"",
    "\x1b[31m\x07\r\b\xe2\x80\xae\xff\xfe\xc3",
};

/* Discord's markdown without what is escaped or inside of code; the text must have none left but
 * ours. */
static void check_no_markdown(const char *text)
{
    bool in_code = false;
    for (const char *at = text; *at; at++) {
        if (*at == '`') {
            in_code = !in_code;
        } else if (!in_code && *at == '\\') {
            g_assert_true(g_ascii_ispunct(at[1]));
            at++;
        } else if (!in_code && *at == '*') {
            g_assert_true(at[1] == '*'); /* around our labels, which end with a colon */
            g_assert_true(at == text || at[-1] == ':' || at[-1] == '\n');
            at++;
        } else if (!in_code) {
            g_assert_null(strchr("_~|[<>#", *at));
            g_assert_true(*at != '@' || g_str_has_prefix(at + 1, "\xe2\x80\x8b"));
        }
    }
    g_assert_false(in_code);
}

static void hostile_text__discord__has_no_markup_left(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        struct notice *notice = make_failure();
        char **texts[] = {&notice->repo,   &notice->branch, &notice->sha,     &notice->subject,
                          &notice->author, &notice->reason, &notice->trigger, &notice->command};
        for (unsigned j = 0; j < G_N_ELEMENTS(texts); j++) {
            set_text(texts[j], hostile[i]);
        }
        set_text(&notice->tail, NULL);
        check_all(notice);
        json_t *body = format_json(TARGET_DISCORD, notice);
        check_no_markdown(text_at(body, "embeds.0.title"));
        check_no_markdown(text_at(body, "embeds.0.description"));
        g_assert_cmpuint(json_object_size(body), ==, 2);
        json_decref(body);
        notice_free(notice);
    }
}

/* The tail can't close its fence: check_discord() and check_slack() look for that. */
static void hostile_text__tails__stay_inside_their_fences(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        struct notice *notice = make_failure();
        for (unsigned j = 0; j < 2; j++) {
            g_autofree char *text =
                g_strconcat(j ? "```\n" : "", hostile[i], j ? "\n```" : "`", NULL);
            set_text(&notice->tail, text);
            check_all(notice);
        }
        notice_free(notice);
    }
}

static void markdown__plain_punctuation__reads_as_it_was_written(void)
{
    struct notice *notice = make_failure();
    set_text(&notice->subject, "fix(api): don't drop a-b/c.d, 50% & \"e\" (#12)!");
    g_autofree char *discord = discord_text(notice);
    g_autofree char *slack = slack_text(notice);
    g_assert_nonnull(strstr(discord, " fix(api): don't drop a-b/c.d, 50% & \"e\" (\\#12)!\n"));
    g_assert_nonnull(strstr(slack, " fix(api): don't drop a-b/c.d, 50% &amp; \"e\" (#12)!\n"));
    notice_free(notice);
}

static void names__too_long_for_a_title__are_told_in_the_details(void)
{
    struct notice *notice = make_failure();
    g_autofree char *repo = g_strnfill(80, 'r');
    g_autofree char *branch = g_strnfill(100, 'b');
    set_text(&notice->repo, repo);
    set_text(&notice->branch, branch);
    check_all(notice);
    json_t *slack = format_json(TARGET_SLACK, notice);
    const char *title = text_at(slack, "text");
    g_autofree char *details =
        g_strdup_printf("Repository: %s\nBranch: %s\nStep 3: ", repo, branch);
    g_assert_true(g_str_has_suffix(title, "bb…: step 3 failed (exit 2)"));
    g_assert_true(g_str_has_prefix(title, "rrr"));
    g_assert_nonnull(strstr(title, "rr… bb"));
    g_assert_true(g_str_has_prefix(text_at(slack, "blocks.1.text.text"), details));
    json_decref(slack);
    notice_free(notice);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/notify/step_failed__three_receivers__say_what_where_and_why",
                    step_failed__three_receivers__say_what_where_and_why);
    g_test_add_func("/notify/every_kind__discord__has_its_title_colour_and_details",
                    every_kind__discord__has_its_title_colour_and_details);
    g_test_add_func("/notify/every_kind__without_any_field__is_a_good_message",
                    every_kind__without_any_field__is_a_good_message);
    g_test_add_func("/notify/custom__fields__are_complete_and_null_when_unknown",
                    custom__fields__are_complete_and_null_when_unknown);
    g_test_add_func("/notify/tag__title_details_and_fields__say_that_it_is_one",
                    tag__title_details_and_fields__say_that_it_is_one);
    g_test_add_func("/notify/headers__each_receiver__has_its_own",
                    headers__each_receiver__has_its_own);
    g_test_add_func("/notify/key__that_is_no_header_value__is_refused",
                    key__that_is_no_header_value__is_refused);
    g_test_add_func("/notify/hostile_text__discord__has_no_markup_left",
                    hostile_text__discord__has_no_markup_left);
    g_test_add_func("/notify/hostile_text__tails__stay_inside_their_fences",
                    hostile_text__tails__stay_inside_their_fences);
    g_test_add_func("/notify/markdown__plain_punctuation__reads_as_it_was_written",
                    markdown__plain_punctuation__reads_as_it_was_written);
    g_test_add_func("/notify/names__too_long_for_a_title__are_told_in_the_details",
                    names__too_long_for_a_title__are_told_in_the_details);
    return g_test_run();
}
