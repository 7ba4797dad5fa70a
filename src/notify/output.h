/* The output of a step as a person reads it in a message. No I/O. */
#ifndef PHANTOM_CI_NOTIFY_OUTPUT_H
#define PHANTOM_CI_NOTIFY_OUTPUT_H

#include <glib.h>
#include <stddef.h>

/* Any bytes to printable UTF-8 with newlines and tabs:
 *
 *   colours, titles and other complete escape sequences (ECMA-48) are left out;
 *   of a line that was written over with carriage returns, as progress bars do, the last text that
 *   is not blank is kept, without what a terminal would still show of longer ones before it;
 *   everything else that is not printable is escaped as text_append_escaped() does;
 *   blank lines at the beginning and blanks at the end are left out.
 *
 * Applied to its own result it changes nothing. The time is proportional to `length`. */
GString *output_render(const char *bytes, size_t length);

#endif
