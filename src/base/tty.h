/* Output for people: colour only on a terminal and never under NO_COLOR; aligned tables. */
#ifndef PHANTOM_CI_BASE_TTY_H
#define PHANTOM_CI_BASE_TTY_H

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

enum tty_colour { TTY_PLAIN, TTY_RED, TTY_GREEN, TTY_YELLOW, TTY_BLUE, TTY_DIM, TTY_BOLD };

/* isatty, NO_COLOR unset or empty, TERM not "dumb". */
bool tty_has_colour(FILE *stream);

/* Prints `text` (already escaped) in the colour if `stream` has it. */
void tty_print(FILE *stream, enum tty_colour colour, const char *text);

/* A table: tty_table_new(), cells row by row, tty_table_print(), which frees it. Widths are counted
 * in terminal columns; cells are escaped here (TEXT_ONE_LINE); the last column is not padded. */
struct tty_table;
struct tty_table *tty_table_new(const char *const *headings);
void tty_table_cell(struct tty_table *table, enum tty_colour colour, const char *text);
void tty_table_print(struct tty_table *table, FILE *stream);
void tty_table_free(struct tty_table *table);

#endif
