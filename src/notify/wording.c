#include "notify/wording.h"

#include <string.h>

#include "base/refkey.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"

/* How much room each foreign text has, in units when it is escaped. */
enum {
    SHA_UNITS = 24,
    NAME_UNITS = 200,
    BRANCH_UNITS = 250,
    SUBJECT_UNITS = 300,
    AUTHOR_UNITS = 100,
    TRIGGER_UNITS = 60,
    COMMAND_UNITS = 600,
    REASON_UNITS = 900,
};

/* Of a title, repo and branch get these parts. */
enum { TITLE_REPO_DIVISOR = 4, TITLE_BRANCH_DIVISOR = 3 };

char *wording_one_line(const char *text)
{
    g_autofree char *copy = g_strdup(text ? text : "");
    g_strstrip(g_strdelimit(copy, "\n\r\t", ' '));
    return text_escape(copy);
}

char *wording_time(int64_t utc_ms)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(utc_ms / 1000);
    if (!time || utc_ms <= 0) {
        return NULL;
    }
    g_autofree char *seconds = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", seconds, (int)(utc_ms % 1000));
}

static bool is_state(const struct notice *notice, const char *state)
{
    return notice->state && strcmp(notice->state, state) == 0;
}

enum wording_mood wording_mood(const struct notice *notice)
{
    switch (notice->kind) {
    case NOTICE_STARTED:
    case NOTICE_TEST:
        return WORDING_NEWS;
    case NOTICE_STEP_FAILED:
    case NOTICE_BLOCKED:
    case NOTICE_INTERRUPTED:
    case NOTICE_BRANCH_MISSING:
        return WORDING_BAD;
    case NOTICE_FINISHED:
        break;
    }
    if (!notify_state_counts(notice->state)) {
        return WORDING_NEUTRAL;
    }
    return is_state(notice, "success") ? WORDING_GOOD : WORDING_BAD;
}

bool wording_has_output(enum notice_kind kind)
{
    return kind == NOTICE_STEP_FAILED || kind == NOTICE_FINISHED || kind == NOTICE_INTERRUPTED;
}

/* "exit 3", "killed by SIGKILL", "" */
static char *format_outcome(const struct notice *notice)
{
    if (notice->signal > 0) {
        return g_strdup_printf("killed by %s", spawn_signal_name(notice->signal));
    }
    return notice->exit_code >= 0 ? g_strdup_printf("exit %d", notice->exit_code) : g_strdup("");
}

/* " after 12 s", "" */
static char *format_after(const struct notice *notice)
{
    if (notice->duration_ms < 0) {
        return g_strdup("");
    }
    g_autofree char *elapsed = units_format_elapsed(notice->duration_ms);
    return g_strconcat(" after ", elapsed, NULL);
}

/* What stands behind the names in a title. */
static char *format_event(const struct notice *notice)
{
    g_autofree char *after = format_after(notice);
    g_autofree char *outcome = format_outcome(notice);
    g_autofree char *state = wording_one_line(notice->state);
    switch (notice->kind) {
    case NOTICE_STARTED:
        return g_strdup("started");
    case NOTICE_STEP_FAILED:
        if (is_state(notice, "timeout")) {
            return g_strdup_printf("step %" G_GUINT64_FORMAT " timed out", notice->step);
        }
        return g_strdup_printf("step %" G_GUINT64_FORMAT " failed%s%s%s", notice->step,
                               *outcome ? " (" : "", outcome, *outcome ? ")" : "");
    case NOTICE_FINISHED:
        return g_strconcat(is_state(notice, "timeout") ? "timed out"
                           : *state                    ? state
                                                       : "finished",
                           after, NULL);
    case NOTICE_BLOCKED:
        return g_strdup("blocked");
    case NOTICE_INTERRUPTED:
        return g_strconcat("interrupted", after, NULL);
    case NOTICE_BRANCH_MISSING:
        return g_strdup("the branch is missing");
    case NOTICE_TEST:
        break;
    }
    return g_strdup("a test message");
}

char *wording_title(const struct notice *notice, size_t units, fit_escape escape)
{
    g_autofree char *repo = wording_one_line(notice->repo);
    g_autofree char *name = notice->branch ? refkey_describe(notice->branch) : NULL;
    g_autofree char *branch = wording_one_line(name);
    g_autofree char *short_repo = fit_cut(repo, units / TITLE_REPO_DIVISOR, escape);
    g_autofree char *short_branch = fit_cut(branch, units / TITLE_BRANCH_DIVISOR, escape);
    g_autofree char *event = format_event(notice);
    g_autofree char *title =
        notice->kind == NOTICE_TEST
            ? g_strdup_printf("phantom_ci: %s", event)
            : g_strdup_printf("%s%s%s: %s", *short_repo ? short_repo : "phantom_ci",
                              *short_branch ? " " : "", short_branch, event);
    GString *escaped = g_string_new(NULL);
    fit_append(escaped, title, units, escape);
    return g_string_free(escaped, FALSE);
}

/* ------------------------------------------------------------------ details */

struct page {
    const struct notice *notice;
    const struct wording_style *style;
    GString *text;
};

static void begin_line(struct page *page, const char *label)
{
    g_string_append_printf(page->text, "%s%s%s:%s ", page->text->len > 0 ? "\n" : "",
                           page->style->strong_begin, label, page->style->strong_end);
}

static void append_code(struct page *page, const char *text, size_t units)
{
    g_string_append(page->text, page->style->code_begin);
    fit_append(page->text, text, units, page->style->escape_code);
    g_string_append(page->text, page->style->code_end);
}

/* "Label: text", or nothing when there is no text. */
static void add_line(struct page *page, const char *label, const char *text, size_t units)
{
    g_autofree char *line = wording_one_line(text);
    if (*line) {
        begin_line(page, label);
        fit_append(page->text, line, units, page->style->escape);
    }
}

/* A sentence of ours. */
static void add_sentence(struct page *page, const char *sentence)
{
    g_string_append_printf(page->text, "%s%s", page->text->len > 0 ? "\n" : "", sentence);
}

/* A name that, as it stands in titles (`titled`), is too long for some of them. */
static void add_long_name(struct page *page, const char *label, const char *titled,
                          const char *name, size_t units)
{
    g_autofree char *line = wording_one_line(titled);
    g_autofree char *cut =
        fit_cut(line, WORDING_TITLE_MIN_UNITS / TITLE_REPO_DIVISOR, page->style->escape);
    if (strcmp(line, cut) != 0) {
        add_line(page, label, name, units);
    }
}

static void add_step(struct page *page)
{
    const struct notice *notice = page->notice;
    bool has_step = notice->kind == NOTICE_STEP_FAILED ||
                    (notice->has_step && wording_has_output(notice->kind));
    g_autofree char *command = wording_one_line(notice->command);
    g_autofree char *outcome = format_outcome(notice);
    g_autofree char *label = g_strdup_printf("Step %" G_GUINT64_FORMAT, notice->step);
    /* The duration of a whole job is in the title. */
    g_autofree char *after =
        notice->kind == NOTICE_STEP_FAILED ? format_after(notice) : g_strdup("");
    g_autofree char *as_reason = g_strdup_printf("step %" G_GUINT64_FORMAT " (", notice->step);
    if (!has_step || (!*command && !*outcome && !*after)) {
        return;
    }
    if (notice->reason && g_str_has_prefix(notice->reason, as_reason)) {
        return; /* the reason of a job names step, command and outcome itself */
    }
    begin_line(page, label);
    if (*command) {
        append_code(page, command, COMMAND_UNITS);
        g_string_append(page->text, *outcome || *after ? ", " : "");
    }
    g_string_append_printf(page->text, "%s%s", outcome, *outcome || !*after ? after : after + 1);
}

static void add_commit(struct page *page)
{
    const struct notice *notice = page->notice;
    g_autofree char *sha = wording_one_line(notice->sha);
    g_autofree char *subject = wording_one_line(notice->subject);
    if (!*sha && !*subject) {
        return;
    }
    begin_line(page, "Commit");
    if (*sha) {
        append_code(page, text_is_object_id(sha) ? text_short_id(sha) : sha, SHA_UNITS);
        g_string_append(page->text, *subject ? " " : "");
    }
    fit_append(page->text, subject, SUBJECT_UNITS, page->style->escape);
}

/* Who asked for the job, if nobody has pushed. */
static void add_trigger(struct page *page)
{
    static const char *const commands[] = {"run", "retry", "add", NULL};
    static const char label[] = "Started by";
    const char *trigger = page->notice->trigger;
    if (!trigger || strcmp(trigger, "push") == 0) {
        return;
    }
    if (g_strv_contains(commands, trigger)) {
        g_autofree char *command = g_strconcat("phantom_ci ", trigger, NULL);
        begin_line(page, label);
        append_code(page, command, TRIGGER_UNITS);
    } else if (strcmp(trigger, "rerun") == 0) {
        add_line(page, label, "the interruption of the attempt before it", TRIGGER_UNITS);
    } else if (strcmp(trigger, "schedule") == 0) {
        add_line(page, label, "its schedule", TRIGGER_UNITS);
    } else {
        add_line(page, label, trigger, TRIGGER_UNITS);
    }
}

static void add_approve(struct page *page)
{
    if (page->notice->job > 0) {
        g_autofree char *command =
            g_strdup_printf("phantom_ci approve %" G_GINT64_FORMAT, page->notice->job);
        begin_line(page, "To run it all the same");
        append_code(page, command, COMMAND_UNITS);
    }
}

static void add_ref(struct page *page)
{
    const char *key = page->notice->branch ? page->notice->branch : "";
    const char *tag = refkey_tag(key);
    g_autofree char *titled = refkey_describe(key);
    add_long_name(page, tag ? "Tag" : "Branch", titled, tag ? tag : refkey_branch(key),
                  BRANCH_UNITS);
}

char *wording_details(const struct notice *notice, const struct wording_style *style)
{
    struct page page = {notice, style, g_string_new(NULL)};
    if (notice->kind == NOTICE_TEST) {
        add_sentence(&page, "Messages of phantom_ci arrive here.");
        add_line(&page, "Note", notice->reason, REASON_UNITS);
        return g_string_free(page.text, FALSE);
    }
    add_long_name(&page, "Repository", notice->repo, notice->repo, NAME_UNITS);
    add_ref(&page);
    if (notice->kind == NOTICE_BRANCH_MISSING) {
        add_line(&page, "Reason", notice->reason, REASON_UNITS);
        if (page.text->len == 0) {
            add_sentence(&page, "Nothing runs for it until it is back.");
        }
        return g_string_free(page.text, FALSE);
    }
    add_step(&page);
    add_line(&page, "Reason", notice->reason, REASON_UNITS);
    add_commit(&page);
    add_line(&page, "Author", notice->author, AUTHOR_UNITS);
    add_trigger(&page);
    if (notice->kind == NOTICE_BLOCKED) {
        add_approve(&page);
    }
    if (page.text->len == 0) {
        add_sentence(&page, "Nothing more is known about it.");
    }
    return g_string_free(page.text, FALSE);
}

char *wording_footer(const struct notice *notice)
{
    if (notice->kind == NOTICE_TEST || notice->kind == NOTICE_BRANCH_MISSING || notice->job <= 0) {
        return g_strdup("phantom_ci");
    }
    GString *footer = g_string_new(NULL);
    g_string_append_printf(footer, "job %" G_GINT64_FORMAT, notice->job);
    if (notice->attempt > 1) {
        g_string_append_printf(footer, ", attempt %d", notice->attempt);
    }
    if (wording_mood(notice) == WORDING_BAD && notice->kind != NOTICE_BLOCKED) {
        g_string_append_printf(footer, " \xc2\xb7 phantom_ci logs %" G_GINT64_FORMAT, notice->job);
    }
    return g_string_free(footer, FALSE);
}
