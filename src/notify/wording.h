/*
 * What a message says, in words, for every receiver. No I/O.
 *
 * Foreign text (names, subjects, reasons, commands: everything that somebody else has written)
 * stands in one line each, never at the beginning of one, escaped as the receiver needs it, and cut
 * to a length of its own, so that a long one does not push another out.
 */
#ifndef PHANTOM_CI_NOTIFY_WORDING_H
#define PHANTOM_CI_NOTIFY_WORDING_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "notify/fit.h"
#include "notify/notice.h"

struct wording_style {
    fit_escape escape; /* of foreign text; NULL = as it is */
    fit_escape escape_code;
    const char *strong_begin, *strong_end; /* around labels */
    const char *code_begin, *code_end;     /* around commands and ids */
};

enum { WORDING_TITLE_MIN_UNITS = 128 };

/* Upper limits of what the functions below give, in UTF-16 code units. */
enum { WORDING_DETAILS_MAX_UNITS = 2900, WORDING_FOOTER_MAX_UNITS = 128 };

enum wording_mood { WORDING_GOOD, WORDING_BAD, WORDING_NEUTRAL, WORDING_NEWS };
enum wording_mood wording_mood(const struct notice *notice);

/* "tool main: failed after 1 min 5 s", at most `units` (>= WORDING_TITLE_MIN_UNITS) when escaped;
 * it says how it went however long the names are. Free with g_free(). */
char *wording_title(const struct notice *notice, size_t units, fit_escape escape);

/* Lines "Label: text" without a newline at the end; never empty. Free with g_free(). */
char *wording_details(const struct notice *notice, const struct wording_style *style);

/* "job 42, attempt 2 · phantom_ci logs 42", or "phantom_ci". Free with g_free(). */
char *wording_footer(const struct notice *notice);

/* "2026-11-23T19:39:02.123Z", or NULL when there is no such time. Free with g_free(). */
char *wording_time(int64_t utc_ms);

/* True for the kinds that tell of a step and of its output. */
bool wording_has_output(enum notice_kind kind);

/* Foreign text as one line of printable UTF-8; "" for NULL. Free with g_free(). */
char *wording_one_line(const char *text);

#endif
