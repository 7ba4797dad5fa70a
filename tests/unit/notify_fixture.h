/* Notices and messages for the tests of src/notify/. */
#ifndef PHANTOM_CI_TESTS_NOTIFY_FIXTURE_H
#define PHANTOM_CI_TESTS_NOTIFY_FIXTURE_H

#include <glib.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "notify/message.h"
#include "notify/notice.h"
#include "notify/target.h"

/* The failed step of a job, as it is in most cases. */
G_GNUC_UNUSED static struct notice *make_failure(void)
{
    static const struct notice init = NOTICE_INIT;
    struct notice *notice = g_new(struct notice, 1);
    *notice = init;
    notice->kind = NOTICE_STEP_FAILED;
    notice->job = 42;
    notice->repo = g_strdup("tool");
    notice->branch = g_strdup("main");
    notice->sha = g_strdup("0123456789abcdef0123456789abcdef01234567");
    notice->subject = g_strdup("Mend it");
    notice->author = g_strdup("Ann");
    notice->trigger = g_strdup("push");
    notice->attempt = 1;
    notice->at_ms = INT64_C(1700000000123);
    notice->duration_ms = 65000;
    notice->has_step = true;
    notice->step = 3;
    notice->command = g_strdup("make test");
    notice->exit_code = 2;
    notice->tail = g_strdup("one\ntwo");
    return notice;
}

G_GNUC_UNUSED static void set_text(char **place, const char *text)
{
    g_free(*place);
    *place = g_strdup(text);
}

/* The text `times` times. */
G_GNUC_UNUSED static char *repeat(const char *text, size_t times)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < times; i++) {
        g_string_append(out, text);
    }
    return g_string_free(out, FALSE);
}

/* UTF-16 code units, counted by GLib's converter and not by the code under test. */
G_GNUC_UNUSED static size_t count_units(const char *text)
{
    glong units = 0;
    g_autofree gunichar2 *utf16 = g_utf8_to_utf16(text, -1, NULL, &units, NULL);
    g_assert_nonnull(utf16);
    return (size_t)units;
}

G_GNUC_UNUSED static struct message format(enum target_kind kind, const struct notice *notice,
                                           const char *secret)
{
    struct target target = {kind, (char *)(uintptr_t) "https://example.org/canary",
                            (char *)(uintptr_t)secret};
    struct message message = {NULL, 0, NULL};
    g_autoptr(GError) error = NULL;
    g_assert_true(message_format(&target, notice, "outbox-7", &message, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(message.length, ==, strlen(message.body));
    g_assert_true(g_utf8_validate(message.body, -1, NULL));
    g_assert_null(strstr(message.body, "canary"));
    return message;
}

/* The body as JSON; json_decref() it. */
G_GNUC_UNUSED static json_t *format_json(enum target_kind kind, const struct notice *notice)
{
    struct message message = format(kind, notice, NULL);
    json_error_t problem;
    json_t *body = json_loadb(message.body, message.length, JSON_REJECT_DUPLICATES, &problem);
    g_assert_nonnull(body);
    message_clear(&message);
    return body;
}

/* A text inside a body, by a path such as "embeds.0.title"; NULL when there is none. */
G_GNUC_UNUSED static const char *text_at(const json_t *body, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    for (char **name = names; *name; name++) {
        body = json_is_array(body) ? json_array_get(body, (size_t)atoi(*name))
                                   : json_object_get(body, *name);
    }
    return json_string_value(body);
}

G_GNUC_UNUSED static void check_discord(const json_t *body)
{
    const char *title = text_at(body, "embeds.0.title");
    const char *description = text_at(body, "embeds.0.description");
    const char *footer = text_at(body, "embeds.0.footer.text");
    g_assert_cmpuint(json_array_size(json_object_get(body, "embeds")), ==, 1);
    g_assert_cmpuint(count_units(title), >=, 1);
    g_assert_cmpuint(count_units(title), <=, 256);
    g_assert_cmpuint(count_units(description), >=, 1);
    g_assert_cmpuint(count_units(description), <=, 4096);
    g_assert_cmpuint(count_units(footer), <=, 2048);
    g_assert_cmpuint(count_units(title) + count_units(description) + count_units(footer), <=, 6000);
    json_t *mentions = json_object_get(body, "allowed_mentions");
    g_assert_cmpuint(json_object_size(mentions), ==, 1);
    g_assert_true(json_is_array(json_object_get(mentions, "parse")));
    g_assert_cmpuint(json_array_size(json_object_get(mentions, "parse")), ==, 0);
    /* The tail's fence is opened once and closed once, at the end. */
    const char *fence = strstr(description, "```");
    if (fence) {
        g_assert_true(g_str_has_prefix(fence, "```\n"));
        g_assert_true(g_str_has_suffix(description, "\n```"));
        g_assert_true(strstr(fence + 3, "```") == description + strlen(description) - 3);
    }
}

/* No '<' or '>' at all, and '&' only as the beginning of the three entities. */
G_GNUC_UNUSED static void check_slack_text(const char *text, size_t limit)
{
    g_assert_nonnull(text);
    g_assert_cmpuint(count_units(text), >=, 1);
    g_assert_cmpuint(count_units(text), <=, limit);
    g_assert_null(strpbrk(text, "<>"));
    for (const char *at = strchr(text, '&'); at; at = strchr(at + 1, '&')) {
        g_assert_true(g_str_has_prefix(at, "&amp;") || g_str_has_prefix(at, "&lt;") ||
                      g_str_has_prefix(at, "&gt;"));
    }
}

G_GNUC_UNUSED static void check_slack(const json_t *body)
{
    size_t index;
    json_t *block, *blocks = json_object_get(body, "blocks");
    check_slack_text(text_at(body, "text"), 3000);
    g_assert_cmpuint(json_array_size(blocks), >=, 3);
    g_assert_cmpuint(json_array_size(blocks), <=, 4);
    json_array_foreach(blocks, index, block)
    {
        bool is_last = index + 1 == json_array_size(blocks);
        const char *type = index == 0 ? "header" : is_last ? "context" : "section";
        const json_t *holder = is_last ? json_array_get(json_object_get(block, "elements"), 0)
                                       : json_object_get(block, "text");
        const char *text = text_at(holder, "text");
        g_assert_cmpstr(text_at(block, "type"), ==, type);
        check_slack_text(text, index == 0 ? 150 : 3000);
        if (index == 2 && !is_last) {
            /* the tail, and nothing else has markup */
            g_assert_cmpstr(text_at(holder, "type"), ==, "mrkdwn");
            g_assert_true(json_is_true(json_object_get(holder, "verbatim")));
            g_assert_true(g_str_has_prefix(text, "```\n"));
            g_assert_true(g_str_has_suffix(text, "\n```"));
            g_assert_true(strstr(text + 3, "```") == text + strlen(text) - 3);
        } else {
            g_assert_cmpstr(text_at(holder, "type"), ==, "plain_text");
            g_assert_true(json_is_false(json_object_get(holder, "emoji")));
        }
    }
}

G_GNUC_UNUSED static void check_custom(const struct message *message)
{
    json_t *body = json_loadb(message->body, message->length, JSON_REJECT_DUPLICATES, NULL);
    g_assert_cmpuint(message->length, <=, MESSAGE_CUSTOM_MAX_BYTES);
    g_assert_cmpuint(json_object_size(body), ==, 20);
    g_assert_cmpint(json_integer_value(json_object_get(body, "version")), ==, 1);
    g_assert_cmpuint(strlen(text_at(body, "title")), >=, 1);
    g_assert_cmpuint(strlen(text_at(body, "message")), >=, 1);
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        size_t limit = strcmp(key, "log_tail") == 0  ? 12 * 1024
                       : strcmp(key, "message") == 0 ? (2900 + 1000) * 3
                                                     : 1024;
        g_assert_cmpuint(json_string_length(value), <=, limit);
    }
    json_decref(body);
}

/* The message for every receiver is within its limits. */
G_GNUC_UNUSED static void check_all(const struct notice *notice)
{
    json_t *discord = format_json(TARGET_DISCORD, notice);
    json_t *slack = format_json(TARGET_SLACK, notice);
    struct message custom = format(TARGET_CUSTOM, notice, "key");
    check_discord(discord);
    check_slack(slack);
    check_custom(&custom);
    json_decref(discord);
    json_decref(slack);
    message_clear(&custom);
}

#endif
