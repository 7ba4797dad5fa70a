/* The receivers' limits, whatever a job has printed and whatever a commit is called. The counting
 * is done by notify_fixture.h with GLib's UTF-16 converter. */
#include "notify_fixture.h"

/* One character of each length, and those that become longer when they are escaped. */
static const char *const pieces[] = {
    "x",
    "ä",
    "€",
    "😀",
    "e\xcc\x81",
    "\xcc\x81",
    "👨\xe2\x80\x8d👩",
    "`",
    "<",
    ">",
    "&",
    "@everyone",
    "\\",
    "*",
    "\"",
    "\n",
    "\t",
    "x\n",
    "\r",
    "\x1b[31m",
    "\x1b",
    "\x01",
    "\x7f",
    "\xc2\x9b",
    "\xe2\x80\xae",
    "\xe2\x80\x8b",
    "\xff",
    "\xc3",
    "\xf0\x9f",
    "<!channel>",
};

static void set_all_texts(struct notice *notice, const char *text)
{
    char **texts[] = {&notice->repo,    &notice->branch,  &notice->sha,
                      &notice->subject, &notice->author,  &notice->reason,
                      &notice->trigger, &notice->command, &notice->state};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        set_text(texts[i], text);
    }
}

/* The cut wanders through every byte and unit of the characters. */
static void tail__cut_at_every_offset__stays_within_the_limits(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *filling = repeat(pieces[i], 8000 / strlen(pieces[i]));
        for (unsigned offset = 0; offset <= 8; offset++) {
            g_autofree char *end = g_strnfill(offset, 'e');
            g_autofree char *tail = g_strconcat("begin\n", filling, end, NULL);
            struct notice *notice = make_failure();
            set_text(&notice->tail, tail);
            check_all(notice);
            notice_free(notice);
        }
    }
}

static void tail__a_mebibyte_of_anything__stays_within_the_limits(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        struct notice *notice = make_failure();
        g_autofree char *tail = repeat(pieces[i], 1024 * 1024 / strlen(pieces[i]));
        set_text(&notice->tail, tail);
        check_all(notice);
        notice_set_tail(notice, tail, strlen(tail), 0, NULL);
        check_all(notice);
        notice_free(notice);
    }
    struct notice *notice = make_failure();
    g_autofree char *nuls = g_malloc0(1024 * 1024);
    notice_set_tail(notice, nuls, 1024 * 1024, 0, NULL);
    g_assert_true(g_str_has_suffix(notice->tail, "\\x00\\x00"));
    check_all(notice);
    notice_free(notice);
}

static void texts__long_ones_of_anything__leave_room_for_the_tail(void)
{
    g_autofree char *tail = repeat("tail\n", 2000);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        for (unsigned kind = 0; kind < NOTICE_KINDS; kind++) {
            struct notice *notice = make_failure();
            g_autofree char *text = repeat(pieces[i], 5000 / strlen(pieces[i]));
            notice->kind = (enum notice_kind)kind;
            notice->step = UINT64_MAX;
            notice->exit_code = INT32_MAX;
            notice->duration_ms = INT64_MAX;
            notice->job = INT64_MAX;
            notice->attempt = INT32_MAX;
            notice->before = INT64_MAX;
            set_all_texts(notice, text);
            set_text(&notice->tail, tail);
            check_all(notice);
            json_t *discord = format_json(TARGET_DISCORD, notice);
            const char *fence = strstr(text_at(discord, "embeds.0.description"), "\n```\n");
            if (kind == NOTICE_STEP_FAILED || kind == NOTICE_FINISHED) {
                g_assert_cmpuint(count_units(fence), >, 1000);
            }
            json_decref(discord);
            notice_free(notice);
        }
    }
}

static void texts__cut_at_every_offset__stay_within_the_limits(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *filling = repeat(pieces[i], 3000 / strlen(pieces[i]));
        for (unsigned offset = 0; offset <= 8; offset++) {
            struct notice *notice = make_failure();
            g_autofree char *front = g_strnfill(offset, 'f');
            g_autofree char *text = g_strconcat(front, filling, NULL);
            set_all_texts(notice, text);
            check_all(notice);
            notice_free(notice);
        }
    }
}

/* The longest tail that is shown whole fills the limit to its last unit. */
static void assert_exact(enum target_kind kind, const char *path, size_t limit, const char *piece,
                         size_t units)
{
    size_t low = 0, high = limit; /* pieces: low fit, high do not */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        struct notice *notice = make_failure();
        g_autofree char *tail = repeat(piece, middle);
        set_text(&notice->tail, tail);
        json_t *body = format_json(kind, notice);
        const char *text = text_at(body, path);
        bool whole = text && !strstr(text, "bytes before]");
        if (whole) {
            low = middle;
        } else {
            high = middle;
        }
        json_decref(body);
        notice_free(notice);
    }
    struct notice *notice = make_failure();
    g_autofree char *tail = repeat(piece, low);
    set_text(&notice->tail, tail);
    json_t *body = format_json(kind, notice);
    size_t used = count_units(text_at(body, path));
    g_assert_cmpuint(used, <=, limit);
    g_assert_cmpuint(used + units, >, limit);
    json_decref(body);
    notice_free(notice);
}

static void tail__longest_that_is_whole__fills_the_limit(void)
{
    static const struct {
        const char *piece;
        size_t discord, slack; /* units when escaped */
    } cases[] = {{"x", 1, 1}, {"ä", 1, 1}, {"€", 1, 1}, {"😀", 2, 2},  {"`", 2, 2},
                 {"<", 1, 4}, {"&", 1, 5}, {">", 1, 4}, {"\"", 1, 1}, {"e\xcc\x81", 2, 2}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_exact(TARGET_DISCORD, "embeds.0.description", 4096, cases[i].piece,
                     cases[i].discord);
        assert_exact(TARGET_SLACK, "blocks.2.text.text", 3000, cases[i].piece, cases[i].slack);
    }
}

static void tail__end_of_long_output__is_what_is_shown(void)
{
    struct notice *notice = make_failure();
    GString *output = g_string_new(NULL);
    for (unsigned i = 0; i < 50000; i++) {
        g_string_append_printf(output, "%05u ok\n", i);
    }
    g_string_append(output, "error: the last line\n");
    notice_set_tail(notice, output->str, output->len, 0, NULL);
    static const struct {
        enum target_kind kind;
        const char *path, *end;
    } cases[] = {{TARGET_DISCORD, "embeds.0.description", "\nerror: the last line\n```"},
                 {TARGET_SLACK, "blocks.2.text.text", "\nerror: the last line\n```"},
                 {TARGET_CUSTOM, "message", "\nerror: the last line"},
                 {TARGET_CUSTOM, "log_tail", "\nerror: the last line"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        json_t *body = format_json(cases[i].kind, notice);
        const char *text = text_at(body, cases[i].path);
        g_assert_true(g_str_has_suffix(text, cases[i].end));
        const char *note = strstr(text, "[... ");
        if (note) {
            /* the count is true, and the cut lies between two lines */
            const char *rest = strchr(note, '\n') + 1;
            size_t shown = strlen(rest) - (g_str_has_suffix(rest, "\n```") ? 4 : 0);
            g_assert_cmpuint(g_ascii_strtoull(note + 5, NULL, 10), ==, output->len - 1 - shown);
            g_assert_cmpstr(rest + 5, !=, "");
            g_assert_true(g_str_has_prefix(rest + 5, " ok\n"));
        } else {
            g_assert_cmpstr(cases[i].path, ==, "log_tail");
            g_assert_cmpuint((size_t)json_integer_value(json_object_get(body, "log_bytes_before")),
                             ==, output->len - 1 - strlen(text));
        }
        json_decref(body);
    }
    g_string_free(output, TRUE);
    notice_free(notice);
}

/* Every field at its largest, in the bytes that JSON makes two of. */
static void custom__largest_message__stays_within_64_KiB(void)
{
    static const char *const worst[] = {"\"", "\\", "\n", "😀", "€", "\x01", "\xff"};
    for (unsigned i = 0; i < G_N_ELEMENTS(worst); i++) {
        struct notice *notice = make_failure();
        g_autofree char *text = repeat(worst[i], 20000);
        g_autofree char *text_line = g_strconcat("x", text, "x", NULL);
        set_all_texts(notice, text_line);
        set_text(&notice->tail, text_line);
        check_all(notice);
        notice_free(notice);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/notify_limits/tail__cut_at_every_offset__stays_within_the_limits",
                    tail__cut_at_every_offset__stays_within_the_limits);
    g_test_add_func("/notify_limits/tail__a_mebibyte_of_anything__stays_within_the_limits",
                    tail__a_mebibyte_of_anything__stays_within_the_limits);
    g_test_add_func("/notify_limits/texts__long_ones_of_anything__leave_room_for_the_tail",
                    texts__long_ones_of_anything__leave_room_for_the_tail);
    g_test_add_func("/notify_limits/texts__cut_at_every_offset__stay_within_the_limits",
                    texts__cut_at_every_offset__stay_within_the_limits);
    g_test_add_func("/notify_limits/tail__longest_that_is_whole__fills_the_limit",
                    tail__longest_that_is_whole__fills_the_limit);
    g_test_add_func("/notify_limits/tail__end_of_long_output__is_what_is_shown",
                    tail__end_of_long_output__is_what_is_shown);
    g_test_add_func("/notify_limits/custom__largest_message__stays_within_64_KiB",
                    custom__largest_message__stays_within_64_KiB);
    return g_test_run();
}
