/*
 * Event lines: one an event, lower case, `noun past-verb` and then key=value pairs in a fixed order
 * (job repo branch sha step pid ms err ...). On stdout; under systemd (JOURNAL_STREAM names stdout)
 * led by the <priority> that sd-daemon(3) describes, else by the local time. Foreign values are
 * escaped; a value with blanks, quotes or '=' is put in double quotes, its quotes and backslashes
 * each behind a backslash.
 */
#ifndef PHANTOM_CI_BASE_EVENT_H
#define PHANTOM_CI_BASE_EVENT_H

#include <glib.h>
#include <stdbool.h>

enum event_level { EVENT_ERROR = 3, EVENT_WARNING = 4, EVENT_NOTICE = 5, EVENT_INFO = 6 };

/* `what` is "job started"; then pairs of const char *key, const char *value up to a NULL key. A
 * pair whose value is NULL or "" is left out. Never blocks for long: a full pipe loses the line,
 * and one above 4096 bytes is cut and ends in "...". */
void event_print(enum event_level level, const char *what, ...) G_GNUC_NULL_TERMINATED;

/* The line without time, priority and newline, for tests and for the notes of a job. */
char *event_format(const char *what, ...) G_GNUC_NULL_TERMINATED;

/* True when stdout is the journal's stream. */
bool event_is_journal(void);

#endif
