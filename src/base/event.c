#include "base/event.h"

#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

bool event_is_journal(void)
{
    /* JOURNAL_STREAM=device:inode, systemd.exec(5): only if it is this very stdout, which may have
     * been redirected. */
    const char *stream = g_getenv("JOURNAL_STREAM");
    struct stat status;
    if (!stream || fstat(STDOUT_FILENO, &status) < 0) {
        return false;
    }
    g_autofree char *own = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                                           (guint64)status.st_dev, (guint64)status.st_ino);
    return strcmp(stream, own) == 0;
}

/* A writable pipe takes this much at once without waiting (PIPE_BUF of Linux, pipe(7)), and two
 * processes' lines of this length do not mix. */
enum { LINE_MAX_BYTES = 4096 };

static void append_pair(GString *line, const char *key, const char *value)
{
    if (!value || !*value) {
        return;
    }
    g_string_append_printf(line, " %s=", key);
    if (!strpbrk(value, " \"=")) {
        text_append_escaped(line, value, strlen(value), TEXT_ONE_LINE);
        return;
    }
    /* The value's own backslashes are doubled, or one before a quote would end the value early and
     * let it forge the next pair. */
    g_autoptr(GString) quoted = g_string_new(NULL);
    for (const char *at = value; *at; at++) {
        if (*at == '"' || *at == '\\') {
            g_string_append_c(quoted, '\\');
        }
        g_string_append_c(quoted, *at);
    }
    g_string_append_c(line, '"');
    text_append_escaped(line, quoted->str, quoted->len, TEXT_ONE_LINE);
    g_string_append_c(line, '"');
}

static void cut_line(GString *line)
{
    static const char mark[] = "...";
    if (line->len + 1 > LINE_MAX_BYTES) {
        const char *end;
        g_string_truncate(line, LINE_MAX_BYTES - sizeof(mark));
        g_utf8_validate(line->str, (gssize)line->len, &end);
        g_string_truncate(line, (gsize)(end - line->str)); /* no half character */
        g_string_append(line, mark);
    }
}

static GString *format_line(const char *what, va_list pairs)
{
    GString *line = g_string_new(what);
    const char *key;
    while ((key = va_arg(pairs, const char *))) {
        append_pair(line, key, va_arg(pairs, const char *));
    }
    return line;
}

char *event_format(const char *what, ...)
{
    va_list pairs;
    va_start(pairs, what);
    GString *line = format_line(what, pairs);
    va_end(pairs);
    return g_string_free(line, FALSE);
}

void event_print(enum event_level level, const char *what, ...)
{
    va_list pairs;
    va_start(pairs, what);
    GString *line = format_line(what, pairs);
    va_end(pairs);
    if (event_is_journal()) {
        g_autofree char *priority = g_strdup_printf("<%d>", (int)level);
        g_string_prepend(line, priority);
    } else {
        g_autofree char *time = clock_format(clock_now_ms());
        g_string_prepend_c(line, ' ');
        g_string_prepend(line, time);
    }
    cut_line(line);
    g_string_append_c(line, '\n');
    /* A reader that does not read costs lines, never the life of the daemon. */
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) > 0 && (out.revents & POLLOUT)) {
        ssize_t ignored = write(STDOUT_FILENO, line->str, line->len);
        (void)ignored;
    }
    g_string_free(line, TRUE);
}
