/*
 * Slack: blocks (Slack, "Block Kit": header, section, context).
 *
 * Foreign text stands in plain_text objects, where no markup is read, and the tail between code
 * fences in a mrkdwn object with "verbatim", which links no names. Slack has no escapes for its
 * markup: in the tail each backtick gets a space of no width after it, so that the fence stays
 * closed. "&", "<" and ">" are written as entities everywhere, as Slack asks for ("Escaping text"),
 * and with them <!channel>, <@user> and <url|text> are gone, also from "text", which is what
 * notifications show.
 */
#include <string.h>

#include "notify/message_internal.h"
#include "notify/wording.h"

enum { HEADER_UNITS = 150, SECTION_UNITS = 3000 };

static void escape_entities(GString *out, gunichar character)
{
    switch (character) {
    case '&':
        g_string_append(out, "&amp;");
        break;
    case '<':
        g_string_append(out, "&lt;");
        break;
    case '>':
        g_string_append(out, "&gt;");
        break;
    default:
        g_string_append_unichar(out, character);
    }
}

static void escape_block(GString *out, gunichar character)
{
    escape_entities(out, character);
    if (character == '`') {
        g_string_append(out, "\xe2\x80\x8b");
    }
}

static const struct wording_style style = {
    .escape = escape_entities,
    .escape_code = escape_entities,
    .strong_begin = "",
    .strong_end = "",
    .code_begin = "",
    .code_end = "",
};

/* Without "emoji", ":smile:" in a subject stays what it is. */
static json_t *plain_text(const char *text)
{
    return json_pack("{s:s, s:s, s:b}", "type", "plain_text", "text", text, "emoji", 0);
}

static json_t *context(const struct notice *notice)
{
    g_autofree char *footer = wording_footer(notice);
    g_autofree char *time = wording_time(notice->at_ms);
    /* A message may be delivered hours later. */
    g_autofree char *text = time ? g_strdup_printf("%s \xc2\xb7 %.10s %.8s UTC", footer, time,
                                                   time + strlen("YYYY-MM-DDT"))
                                 : g_strdup(footer);
    return json_pack("{s:s, s:[o]}", "type", "context", "elements", plain_text(text));
}

json_t *slack_body(const struct notice *notice)
{
    g_autofree char *title = wording_title(notice, HEADER_UNITS, escape_entities);
    g_autofree char *details = wording_details(notice, &style);
    g_autofree char *tail =
        message_fenced_tail(notice, "```\n", "\n```", SECTION_UNITS, escape_block);

    json_t *blocks = json_array();
    json_array_append_new(blocks,
                          json_pack("{s:s, s:o}", "type", "header", "text", plain_text(title)));
    json_array_append_new(blocks,
                          json_pack("{s:s, s:o}", "type", "section", "text", plain_text(details)));
    if (*tail) {
        json_array_append_new(blocks,
                              json_pack("{s:s, s:{s:s, s:s, s:b}}", "type", "section", "text",
                                        "type", "mrkdwn", "text", tail, "verbatim", 1));
    }
    json_array_append_new(blocks, context(notice));
    return json_pack("{s:s, s:o}", "text", title, "blocks", blocks);
}
