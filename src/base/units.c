#include "base/units.h"

#include <string.h>

#include "base/error.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: the order in which a duration may use them. */
static const struct unit duration_units[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000},
                                             {"m", 60000},     {"s", 1000},     {"ms", 1}};

static bool refuse_duration(const char *text, GError **error)
{
    g_set_error(error, BASE_ERROR, ERROR_INVALID,
                "\"%s\" is not a duration; write for example \"90s\", \"1h30m\" or \"2d\" "
                "(units ms s m h d w, largest first)",
                text);
    return false;
}

static bool take_number(const char **at, int64_t *number)
{
    const char *begin = *at;
    *number = 0;
    while (g_ascii_isdigit(**at)) {
        if (*number > (INT64_MAX - 9) / 10) {
            return false;
        }
        *number = *number * 10 + (**at - '0');
        (*at)++;
    }
    return *at > begin;
}

bool units_parse_duration(const char *text, int64_t *milliseconds, GError **error)
{
    const char *at = text;
    int64_t total = 0;
    unsigned next_unit = 0;
    if (strcmp(text, "0") == 0) {
        *milliseconds = 0;
        return true;
    }
    do {
        int64_t number = 0;
        if (!take_number(&at, &number)) {
            return refuse_duration(text, error);
        }
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        unsigned i = next_unit;
        while (i < G_N_ELEMENTS(duration_units) &&
               (strlen(duration_units[i].name) != length ||
                strncmp(at, duration_units[i].name, length) != 0)) {
            i++;
        }
        if (i == G_N_ELEMENTS(duration_units) ||
            number > (INT64_MAX - total) / duration_units[i].factor) {
            return refuse_duration(text, error);
        }
        total += number * duration_units[i].factor;
        next_unit = i + 1;
        at += length;
    } while (*at);
    *milliseconds = total;
    return true;
}

bool units_parse_size(const char *text, int64_t *bytes, GError **error)
{
    static const char suffixes[] = "KMGT";
    const char *at = text;
    int64_t number = 0;
    bool good = take_number(&at, &number);
    const char *suffix = good && *at ? strchr(suffixes, g_ascii_toupper(*at)) : NULL;
    int shift = suffix ? 10 * (int)(suffix - suffixes + 1) : 0;
    const char *rest = suffix ? at + 1 : at;
    good = good &&
           (*rest == '\0' || strcmp(rest, "B") == 0 || (suffix && strcmp(rest, "iB") == 0)) &&
           number <= (INT64_MAX >> shift);
    if (!good) {
        g_set_error(error, BASE_ERROR, ERROR_INVALID,
                    "\"%s\" is not a size; write for example \"64M\", \"2G\" or \"65536\" "
                    "(K M G T, powers of 1024)",
                    text);
        return false;
    }
    *bytes = number << shift;
    return true;
}

char *units_format_duration(int64_t milliseconds)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(duration_units); i++) {
        int64_t count = milliseconds / duration_units[i].factor;
        if (count > 0) {
            g_string_append_printf(text, "%" G_GINT64_FORMAT "%s", count, duration_units[i].name);
            milliseconds %= duration_units[i].factor;
        }
    }
    if (text->len == 0) {
        g_string_append(text, "0s");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *units_format_elapsed(int64_t milliseconds)
{
    int64_t seconds = milliseconds / 1000;
    if (seconds < 10) {
        return g_strdup_printf("%.1f s", (double)milliseconds / 1000);
    }
    if (seconds < 120) {
        return g_strdup_printf("%" G_GINT64_FORMAT " s", seconds);
    }
    if (seconds < 7200) {
        return g_strdup_printf("%" G_GINT64_FORMAT " min %" G_GINT64_FORMAT " s", seconds / 60,
                               seconds % 60);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", seconds / 3600,
                           seconds % 3600 / 60);
}

char *units_format_size(int64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        return g_strdup_printf("%" G_GINT64_FORMAT " B", bytes);
    }
    double value = (double)bytes / 1024;
    unsigned i = 0;
    while (value >= 1024 && i + 1 < G_N_ELEMENTS(names)) {
        value /= 1024;
        i++;
    }
    return g_strdup_printf("%.1f %s", value, names[i]);
}
