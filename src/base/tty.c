#include "base/tty.h"

#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { COLUMN_GAP = 2 };

struct cell {
    char *text;
    enum tty_colour colour;
};

struct tty_table {
    GArray *cells; /* of struct cell, the headings first */
    unsigned columns;
};

bool tty_has_colour(FILE *stream)
{
    const char *no_colour = g_getenv("NO_COLOR"); /* https://no-color.org */
    const char *terminal = g_getenv("TERM");
    return !(no_colour && *no_colour) && isatty(fileno(stream)) &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

void tty_print(FILE *stream, enum tty_colour colour, const char *text)
{
    static const char *const codes[] = {
        [TTY_PLAIN] = "",  [TTY_RED] = "31", [TTY_GREEN] = "32", [TTY_YELLOW] = "33",
        [TTY_BLUE] = "34", [TTY_DIM] = "2",  [TTY_BOLD] = "1"};
    if (colour != TTY_PLAIN && tty_has_colour(stream)) {
        fprintf(stream, "\x1b[%sm%s\x1b[0m", codes[colour], text);
    } else {
        fputs(text, stream);
    }
}

static unsigned width_of(const char *text)
{
    unsigned width = 0;
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar character = g_utf8_get_char(text);
        if (!g_unichar_iszerowidth(character)) {
            width += g_unichar_iswide(character) ? 2 : 1;
        }
    }
    return width;
}

struct tty_table *tty_table_new(const char *const *headings)
{
    struct tty_table *table = g_new0(struct tty_table, 1);
    table->cells = g_array_new(FALSE, FALSE, sizeof(struct cell));
    for (; *headings; headings++) {
        tty_table_cell(table, TTY_DIM, *headings);
        table->columns++;
    }
    return table;
}

void tty_table_cell(struct tty_table *table, enum tty_colour colour, const char *text)
{
    struct cell cell = {text_escape(text), colour};
    g_array_append_val(table->cells, cell);
}

void tty_table_print(struct tty_table *table, FILE *stream)
{
    g_autofree unsigned *widths = g_new0(unsigned, table->columns);
    for (unsigned i = 0; i < table->cells->len; i++) {
        const struct cell *cell = &g_array_index(table->cells, struct cell, i);
        unsigned column = i % table->columns;
        widths[column] = MAX(widths[column], width_of(cell->text));
    }
    for (unsigned i = 0; i < table->cells->len; i++) {
        const struct cell *cell = &g_array_index(table->cells, struct cell, i);
        unsigned column = i % table->columns;
        tty_print(stream, cell->colour, cell->text);
        if (column + 1 < table->columns) {
            fprintf(stream, "%*s", (int)(widths[column] - width_of(cell->text) + COLUMN_GAP), "");
        } else {
            fputc('\n', stream);
        }
    }
    tty_table_free(table);
}

void tty_table_free(struct tty_table *table)
{
    for (unsigned i = 0; i < table->cells->len; i++) {
        g_free(g_array_index(table->cells, struct cell, i).text);
    }
    g_array_unref(table->cells);
    g_free(table);
}
