/*
 * Discord: one embed (Discord developer documentation, "Embed Object" and "Embed Limits").
 *
 * Foreign text gets a backslash before each character that begins some markup: emphasis, code,
 * spoilers, headings, quotes, masked links [text](url), <@user>, <#channel>, <:emoji:>, <t:times>.
 * That is what Discord's markdown takes for the plain character, whatever punctuation it is. "@" is
 * followed by a space of no width, so that "@everyone" is no mention even for a client that looks
 * at the bare text; that it can't ping is the business of allowed_mentions.
 *
 * In a code block nothing is markup but its end: backticks get a space of no width after each.
 */
#include <string.h>

#include "notify/message_internal.h"
#include "notify/wording.h"

enum { TITLE_UNITS = 256, DESCRIPTION_UNITS = 4096 };

static const char zero_width_space[] = "\xe2\x80\x8b";

static const int colours[] = {
    [WORDING_GOOD] = 0x2ecc71,
    [WORDING_BAD] = 0xe74c3c,
    [WORDING_NEUTRAL] = 0x95a5a6,
    [WORDING_NEWS] = 0x3498db,
};

static void escape_markdown(GString *out, gunichar character)
{
    if (character < 0x80 && strchr("\\*_~`|[<>#", (int)character)) {
        g_string_append_c(out, '\\');
    }
    g_string_append_unichar(out, character);
    if (character == '@') {
        g_string_append(out, zero_width_space);
    }
}

static void escape_block(GString *out, gunichar character)
{
    g_string_append_unichar(out, character);
    if (character == '`') {
        g_string_append(out, zero_width_space);
    }
}

/* Between single backticks even one would be the end. U+02CB looks like it. */
static void escape_code(GString *out, gunichar character)
{
    g_string_append_unichar(out, character == '`' ? 0x2cb : character);
}

static const struct wording_style style = {
    .escape = escape_markdown,
    .escape_code = escape_code,
    .strong_begin = "**",
    .strong_end = "**",
    .code_begin = "`",
    .code_end = "`",
};

json_t *discord_body(const struct notice *notice)
{
    g_autofree char *title = wording_title(notice, TITLE_UNITS, escape_markdown);
    g_autofree char *details = wording_details(notice, &style);
    g_autofree char *footer = wording_footer(notice);
    g_autofree char *time = wording_time(notice->at_ms);
    size_t room = DESCRIPTION_UNITS - fit_units(details, strlen(details));
    g_autofree char *tail = message_fenced_tail(notice, "\n```\n", "\n```", room, escape_block);
    g_autofree char *description = g_strconcat(details, tail, NULL);

    json_t *embed = json_object();
    json_object_set_new(embed, "title", json_string(title));
    json_object_set_new(embed, "description", json_string(description));
    json_object_set_new(embed, "color", json_integer(colours[wording_mood(notice)]));
    json_object_set_new(embed, "footer", json_pack("{s:s}", "text", footer));
    if (time) {
        json_object_set_new(embed, "timestamp", json_string(time));
    }
    return json_pack("{s:[o], s:{s:[]}}", "embeds", embed, "allowed_mentions", "parse");
}
