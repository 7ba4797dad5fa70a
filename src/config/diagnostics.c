#include "config/diagnostics.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"

static void diagnostic_free(void *data)
{
    struct diagnostic *diagnostic = data;
    g_free(diagnostic->file);
    g_free(diagnostic->message);
    g_free(diagnostic);
}

struct diagnostics *diagnostics_new(void)
{
    struct diagnostics *diagnostics = g_new0(struct diagnostics, 1);
    diagnostics->items = g_ptr_array_new_with_free_func(diagnostic_free);
    return diagnostics;
}

void diagnostics_free(struct diagnostics *diagnostics)
{
    if (diagnostics) {
        g_ptr_array_unref(diagnostics->items);
        g_free(diagnostics);
    }
}

void diagnostics_add(struct diagnostics *diagnostics, const char *file, unsigned line,
                     unsigned column, const char *format, ...)
{
    if (diagnostics->items->len >= DIAGNOSTICS_MAX) {
        diagnostics->dropped++;
        return;
    }
    struct diagnostic *diagnostic = g_new0(struct diagnostic, 1);
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    diagnostic->file = g_strdup(file);
    diagnostic->line = line;
    diagnostic->column = column;
    diagnostic->message = text_escape(message);
    g_ptr_array_add(diagnostics->items, diagnostic);
}

bool diagnostics_any(const struct diagnostics *diagnostics)
{
    return diagnostics->items->len > 0;
}

static int compare(const void *left, const void *right)
{
    const struct diagnostic *a = *(const struct diagnostic *const *)left;
    const struct diagnostic *b = *(const struct diagnostic *const *)right;
    int by_file = strcmp(a->file, b->file);
    if (by_file != 0) {
        return by_file;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    return (a->column > b->column) - (a->column < b->column);
}

char *diagnostics_format(const struct diagnostics *diagnostics)
{
    GString *text = g_string_new(NULL);
    g_ptr_array_sort(diagnostics->items, compare);
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *diagnostic = g_ptr_array_index(diagnostics->items, i);
        g_autofree char *file = text_escape(diagnostic->file);
        g_string_append(text, file);
        if (diagnostic->line > 0) {
            g_string_append_printf(text, ":%u", diagnostic->line);
        }
        if (diagnostic->line > 0 && diagnostic->column > 0) {
            g_string_append_printf(text, ":%u", diagnostic->column);
        }
        g_string_append_printf(text, ": %s\n", diagnostic->message);
    }
    if (diagnostics->dropped > 0) {
        g_string_append_printf(text, "and %u more\n", diagnostics->dropped);
    }
    return g_string_free(text, FALSE);
}
