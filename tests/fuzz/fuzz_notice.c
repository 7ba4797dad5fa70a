/* Notices: what is read is written the same, and every message that is made of one, or of any bytes
 * in its fields, is JSON within the limits of its receiver. */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "notify/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static size_t count_units(const json_t *text)
{
    glong units = 0;
    require(json_string_length(text) > 0);
    g_autofree gunichar2 *utf16 = g_utf8_to_utf16(json_string_value(text), -1, NULL, &units, NULL);
    require(utf16 != NULL);
    return (size_t)units;
}

static void check_discord(const json_t *body)
{
    const json_t *embed = json_array_get(json_object_get(body, "embeds"), 0);
    size_t title = count_units(json_object_get(embed, "title"));
    size_t description = count_units(json_object_get(embed, "description"));
    size_t footer = count_units(json_object_get(json_object_get(embed, "footer"), "text"));
    require(title <= 256 && description <= 4096 && footer <= 2048);
    require(title + description + footer <= 6000);
    const char *fence = strstr(json_string_value(json_object_get(embed, "description")), "```");
    require(!fence || strcmp(strstr(fence + 3, "```"), "```") == 0);
}

static void check_slack(const json_t *body)
{
    size_t index;
    json_t *block;
    json_array_foreach(json_object_get(body, "blocks"), index, block)
    {
        const json_t *text = json_object_get(block, "text");
        if (!text) {
            text = json_array_get(json_object_get(block, "elements"), 0);
        }
        text = json_object_get(text, "text");
        require(count_units(text) <= (index == 0 ? 150 : 3000));
        require(!strpbrk(json_string_value(text), "<>"));
        const char *fence = index == 2 ? strstr(json_string_value(text), "```") : NULL;
        require(!fence || strcmp(strstr(fence + 3, "```"), "```") == 0);
    }
    require(index >= 3 && index <= 50);
}

static void check_messages(const struct notice *notice)
{
    for (unsigned kind = 0; kind < TARGET_KINDS; kind++) {
        struct target target = {(enum target_kind)kind, NULL, (char *)(uintptr_t) "key"};
        struct message message = {NULL, 0, NULL};
        require(message_format(&target, notice, "key-1", &message, NULL));
        json_t *body = json_loadb(message.body, message.length, JSON_REJECT_DUPLICATES, NULL);
        require(body != NULL);
        if (target.kind == TARGET_DISCORD) {
            check_discord(body);
        } else if (target.kind == TARGET_SLACK) {
            check_slack(body);
        } else {
            require(message.length <= MESSAGE_CUSTOM_MAX_BYTES);
        }
        json_decref(body);
        message_clear(&message);
    }
}

static void check_round_trip(const struct notice *notice)
{
    g_autofree char *json = notice_to_json(notice);
    require(strlen(json) <= NOTICE_JSON_MAX_BYTES);
    struct notice *back = notice_from_json(json, strlen(json), NULL);
    require(back != NULL);
    g_autofree char *again = notice_to_json(back);
    require(strcmp(json, again) == 0);
    notice_free(back);
}

/* The bytes as fields, one after the other, separated by 0xFE; the last is the output. */
static void fill_fields(struct notice *notice, const char *bytes, size_t size)
{
    char **texts[] = {&notice->repo,    &notice->branch, &notice->sha,
                      &notice->subject, &notice->author, &notice->trigger,
                      &notice->state,   &notice->reason, &notice->command};
    const char *end = bytes + size;
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *separator = memchr(bytes, 0xfe, (size_t)(end - bytes));
        const char *field_end = separator ? separator : end;
        *texts[i] = g_strndup(bytes, (size_t)(field_end - bytes));
        bytes = separator ? separator + 1 : end;
    }
    struct mask *mask = mask_new((const char *const[]){"secret", NULL}, NULL);
    notice_set_tail(notice, bytes, (size_t)(end - bytes), (int64_t)size, mask);
    require(!notice->tail || !strstr(notice->tail, "secret"));
    mask_free(mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notice *read = notice_from_json((const char *)data, size, NULL);
    if (read) {
        check_messages(read);
        if (read->repo) {
            check_round_trip(read);
        }
        notice_free(read);
    }
    struct notice notice = NOTICE_INIT;
    if (size > 2) {
        notice.kind = (enum notice_kind)(data[0] % NOTICE_KINDS);
        notice.has_step = data[1] & 1;
        notice.signal = data[1] >> 1;
        notice.job = data[1];
        fill_fields(&notice, (const char *)data + 2, size - 2);
        check_messages(&notice);
        check_round_trip(&notice);
    }
    notice_clear(&notice);
    return 0;
}
