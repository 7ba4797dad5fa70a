/*
 * Custom: a JSON object of ours. "title" and "message" are what the original sends, for receivers
 * that show them to people; everything else is for programs. A field that has nothing to say is
 * null, and none is left out:
 *
 *   version      1; a larger number when a field changes its meaning, not when one is added
 *   kind         notice_kind_name()
 *   repo branch tag sha subject author trigger state reason  text, each at most 1,024 bytes; one of
 *                                                            branch and tag is null
 *   job attempt  numbers
 *   step         {number, command, exit_code, signal}: signal is a name such as "SIGKILL"
 *   duration_ms  of the step for step_failed, else of the job
 *   at           when it happened, UTC, as "2026-11-23T19:39:02.123Z"
 *   log_tail     the end of the output, at most 12 KiB; log_bytes_before = what came before it
 *
 * Text is as a person may read it: without control characters, in one line but for log_tail and
 * message. It is foreign text: a receiver that puts it into HTML or a shell has to quote it.
 */
#include <string.h>

#include "base/refkey.h"
#include "base/spawn.h"
#include "base/text.h"
#include "notify/message_internal.h"
#include "notify/output.h"
#include "notify/wording.h"

enum {
    TITLE_UNITS = 256,
    MESSAGE_TAIL_UNITS = 1000,
    TEXT_BYTES = 1024,
    TAIL_BYTES = 12 * 1024,
};

static const struct wording_style style = {
    .strong_begin = "",
    .strong_end = "",
    .code_begin = "",
    .code_end = "",
};

/* A unit is at most three bytes. */
static json_t *encode_text(const char *text)
{
    if (!text) {
        return json_null();
    }
    g_autofree char *line = wording_one_line(text);
    g_autofree char *cut = strlen(line) > TEXT_BYTES ? fit_cut(line, TEXT_BYTES / 3, NULL) : NULL;
    return json_string(cut ? cut : line);
}

static json_t *encode_known(int64_t number, int64_t minimum)
{
    return number >= minimum ? json_integer(number) : json_null();
}

static json_t *encode_step(const struct notice *notice)
{
    if (!notice->has_step && notice->kind != NOTICE_STEP_FAILED) {
        return json_null();
    }
    json_t *step = json_object();
    /* JSON readers lose the digits of larger numbers; no workflow has such a step. */
    json_object_set_new(step, "number", json_integer((json_int_t)MIN(notice->step, INT64_MAX)));
    json_object_set_new(step, "command", encode_text(notice->command));
    json_object_set_new(step, "exit_code", encode_known(notice->exit_code, 0));
    json_object_set_new(step, "signal",
                        notice->signal > 0 ? json_string(spawn_signal_name(notice->signal))
                                           : json_null());
    return step;
}

static void encode_tail(json_t *body, const struct notice *notice)
{
    g_autoptr(GString) readable =
        output_render(notice->tail ? notice->tail : "", notice->tail ? strlen(notice->tail) : 0);
    const char *begin = fit_tail_bytes(readable->str, readable->len, TAIL_BYTES);
    bool has_tail = readable->len > 0;
    json_object_set_new(body, "log_tail", has_tail ? json_string(begin) : json_null());
    json_object_set_new(
        body, "log_bytes_before",
        has_tail ? json_integer(fit_bytes_before(notice->before, (size_t)(begin - readable->str)))
                 : json_null());
}

json_t *custom_body(const struct notice *notice)
{
    g_autofree char *title = wording_title(notice, TITLE_UNITS, NULL);
    g_autofree char *details = wording_details(notice, &style);
    g_autofree char *tail = message_fenced_tail(notice, "\n\n", "", MESSAGE_TAIL_UNITS, NULL);
    g_autofree char *text = g_strconcat(details, tail, NULL);
    g_autofree char *time = wording_time(notice->at_ms);
    bool has_job = notice->job > 0;

    json_t *body = json_object();
    json_object_set_new(body, "title", json_string(title));
    json_object_set_new(body, "message", json_string(text));
    json_object_set_new(body, "version", json_integer(1));
    json_object_set_new(body, "kind", json_string(notice_kind_name(notice->kind)));
    json_object_set_new(body, "repo", encode_text(notice->repo));
    const char *key = notice->branch;
    json_object_set_new(body, "branch", encode_text(key ? refkey_branch(key) : NULL));
    json_object_set_new(body, "tag", encode_text(key ? refkey_tag(key) : NULL));
    json_object_set_new(body, "sha", encode_text(notice->sha));
    json_object_set_new(body, "subject", encode_text(notice->subject));
    json_object_set_new(body, "author", encode_text(notice->author));
    json_object_set_new(body, "trigger", encode_text(notice->trigger));
    json_object_set_new(body, "job", has_job ? json_integer(notice->job) : json_null());
    json_object_set_new(body, "attempt", encode_known(notice->attempt, 1));
    json_object_set_new(body, "state", encode_text(notice->state));
    json_object_set_new(body, "reason", encode_text(notice->reason));
    json_object_set_new(body, "step", encode_step(notice));
    json_object_set_new(body, "duration_ms", encode_known(notice->duration_ms, 0));
    json_object_set_new(body, "at", time ? json_string(time) : json_null());
    encode_tail(body, notice);
    return body;
}
