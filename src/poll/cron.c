#include "poll/cron.h"

#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

/* -------------------------------------------------------------- the fields */

struct field {
    const char *name;
    unsigned least, most;
    const char *const *names; /* of the numbers from `least`; or NULL */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static const struct field fields[FIELD_COUNT] = {
    [MINUTE] = {"minute", 0, 59, NULL},
    [HOUR] = {"hour", 0, 23, NULL},
    [DAY] = {"day", 1, 31, NULL},
    [MONTH] = {"month", 1, 12, month_names},
    [WEEKDAY] = {"weekday", 0, 7, weekday_names},
};

static const struct {
    const char *name, *meaning;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

static bool refuse(GError **error, const struct field *field, const char *text, const char *reason)
{
    g_autofree char *shown = text_escape(text);
    g_set_error(error, CRON_ERROR, ERROR_INVALID, "the %s \"%s\" %s", field->name, shown, reason);
    return false;
}

static bool refuse_range(GError **error, const struct field *field, const char *text)
{
    g_autofree char *names =
        field->names ? g_strdup_printf(" and no name such as %s", field->names[1]) : g_strdup("");
    g_autofree char *reason =
        g_strdup_printf("is no number from %u to %u%s", field->least, field->most, names);
    return refuse(error, field, text, reason);
}

/* A number or a name at *at, which goes behind it. */
static bool take_number(const struct field *field, const char **at, unsigned *number)
{
    for (unsigned i = 0; field->names && field->names[i]; i++) {
        size_t length = strlen(field->names[i]);
        if (g_ascii_strncasecmp(*at, field->names[i], length) == 0) {
            *at += length;
            *number = field->least + i;
            return true;
        }
    }
    size_t digits = strspn(*at, "0123456789");
    if (digits < 1 || digits > 4) {
        return false;
    }
    *number = (unsigned)g_ascii_strtoull(*at, NULL, 10);
    *at += digits;
    return *number >= field->least && *number <= field->most;
}

/* One part of a list: *, N, N-M, and the same but for N with /STEP. */
static bool parse_part(const struct field *field, const char *text, uint64_t *bits, GError **error)
{
    const char *at = text;
    unsigned first = field->least;
    /* 7 is Sunday a second time */
    unsigned last = field->names == weekday_names ? field->most - 1 : field->most;
    unsigned step = 1;
    bool is_range = true;
    if (*at == '*') {
        at++;
    } else if (!take_number(field, &at, &first)) {
        return refuse_range(error, field, text);
    } else if (*at == '-') {
        at++;
        if (!take_number(field, &at, &last)) {
            return refuse_range(error, field, text);
        }
        /* "sat-sun" */
        last += field->names == weekday_names && last == 0 && first > 0 ? 7 : 0;
    } else {
        last = first;
        is_range = false;
    }
    if (*at == '/') {
        const struct field steps = {"step", 1, field->most, NULL};
        at++;
        if (!is_range) {
            return refuse(error, field, text,
                          "has a step, but no range for it: write first-last/step");
        }
        if (!take_number(&steps, &at, &step)) {
            g_autofree char *reason =
                g_strdup_printf("has a step that is not from 1 to %u", field->most);
            return refuse(error, field, text, reason);
        }
    }
    if (*at) {
        return refuse(error, field, text, "is not understood");
    }
    if (last < first) {
        return refuse(error, field, text,
                      "ends before it begins: write it as two ranges, with a comma");
    }
    for (unsigned number = first; number <= last; number += step) {
        *bits |= UINT64_C(1) << number;
    }
    return true;
}

static bool parse_field(const struct field *field, const char *text, uint64_t *bits, GError **error)
{
    *bits = 0;
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    for (char **part = parts; *part; part++) {
        if (!**part) {
            return refuse(error, field, text, "has a comma with nothing beside it");
        }
        if (!parse_part(field, *part, bits, error)) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- calendar */

/* Of the Gregorian calendar; Howard Hinnant's days_from_civil(). Day 0 is 1970-01-01. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month + (month > 2 ? 0U : 12U) - 3) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

static unsigned days_of_month(int64_t year, unsigned month)
{
    bool is_december = month == 12;
    return (unsigned)(days_from_date(year + (is_december ? 1 : 0), is_december ? 1 : month + 1, 1) -
                      days_from_date(year, month, 1));
}

static bool has_day(const struct cron *cron, unsigned month, unsigned day, unsigned weekday)
{
    bool day_fits = cron->days >> day & 1;
    bool weekday_fits = cron->weekdays >> weekday & 1;
    return (cron->months >> month & 1) &&
           (cron->either_day ? day_fits || weekday_fits : day_fits && weekday_fits);
}

/* Every date falls on every weekday within a leap year cycle. */
static bool ever_comes(const struct cron *cron)
{
    for (unsigned month = 1; month <= 12; month++) {
        for (unsigned day = 1; day <= days_of_month(2000, month); day++) {
            for (unsigned weekday = 0; weekday < 7; weekday++) {
                if (has_day(cron, month, day, weekday)) {
                    return true;
                }
            }
        }
    }
    return false;
}

static const char *expand_macro(const char *text)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(macros); i++) {
        if (g_ascii_strcasecmp(text, macros[i].name) == 0) {
            return macros[i].meaning;
        }
    }
    return text;
}

/* The words between blanks. */
static char **split_fields(const char *text)
{
    GPtrArray *words = g_ptr_array_new();
    for (const char *at = text + strspn(text, " \t"); *at; at += strspn(at, " \t")) {
        size_t length = strcspn(at, " \t");
        g_ptr_array_add(words, g_strndup(at, length));
        at += length;
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

bool cron_parse(const char *text, struct cron *cron, GError **error)
{
    g_autofree char *trimmed = g_strstrip(g_strdup(text));
    g_auto(GStrv) words = split_fields(expand_macro(trimmed));
    uint64_t bits[FIELD_COUNT];
    if (*trimmed == '@' && g_strv_length(words) == 1) {
        g_autofree char *shown = text_escape(trimmed);
        g_set_error(error, CRON_ERROR, ERROR_INVALID,
                    "\"%s\" is none of @yearly @monthly @weekly @daily @hourly", shown);
        return false;
    }
    if (g_strv_length(words) != FIELD_COUNT) {
        g_set_error(error, CRON_ERROR, ERROR_INVALID,
                    "found %u field%s where five are expected, minute hour day month weekday: "
                    "\"0 3 * * *\" is every night at three",
                    g_strv_length(words), g_strv_length(words) == 1 ? "" : "s");
        return false;
    }
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        if (!parse_field(&fields[i], words[i], &bits[i], error)) {
            return false;
        }
    }
    *cron = (struct cron){
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint32_t)bits[MONTH],
        .weekdays = (uint32_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7F),
        .either_day = *words[DAY] != '*' && *words[WEEKDAY] != '*',
    };
    if (!ever_comes(cron)) {
        g_set_error(error, CRON_ERROR, ERROR_INVALID, "no month that it names has the day \"%s\"",
                    words[DAY]);
        return false;
    }
    return true;
}

/* -------------------------------------------------------------- local time */

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 24 * HOUR_S,
    /* more than any offset from UTC (tzset(3): less than 25 hours) */
    OFFSET_MAX_S = 26 * HOUR_S,
    LAST_YEAR = 9998,
};

/* Local time as seconds of a calendar without zones; false for times that no calendar has. */
static bool to_local(int64_t utc_s, int64_t *local_s)
{
    time_t time = (time_t)utc_s;
    struct tm tm;
    if (!localtime_r(&time, &tm)) {
        return false;
    }
    *local_s =
        days_from_date(tm.tm_year + INT64_C(1900), (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday) *
            DAY_S +
        tm.tm_hour * HOUR_S + tm.tm_min * MINUTE_S + tm.tm_sec;
    return true;
}

static int64_t offset_at(int64_t utc_s)
{
    int64_t local_s = utc_s;
    to_local(utc_s, &local_s);
    return local_s - utc_s;
}

/* The moment between two times at which the offset of the first one ends. */
static int64_t find_change(int64_t before_s, int64_t after_s)
{
    int64_t offset = offset_at(before_s);
    while (after_s - before_s > 1) {
        int64_t middle_s = before_s + (after_s - before_s) / 2;
        if (offset_at(middle_s) == offset) {
            before_s = middle_s;
        } else {
            after_s = middle_s;
        }
    }
    return after_s;
}

/* The moments at which clocks show a local time: none, one or two, earlier first. *gap_end is where
 * the clocks jump over it, when there is none. */
static unsigned find_moments(int64_t local_s, int64_t moments[2], int64_t *gap_end)
{
    int64_t before_s = local_s - OFFSET_MAX_S;
    int64_t after_s = local_s + OFFSET_MAX_S;
    int64_t offsets[2] = {offset_at(before_s), offset_at(after_s)};
    unsigned count = 0;
    for (unsigned i = 0; i < 2; i++) {
        int64_t moment = local_s - offsets[i];
        if ((i == 0 || offsets[1] != offsets[0]) && offset_at(moment) == offsets[i]) {
            moments[count++] = moment;
        }
    }
    *gap_end = count > 0 ? 0 : find_change(before_s, after_s);
    return count;
}

/* ------------------------------------------------------------ the next time */

/* Of the search for what comes after a moment. */
struct search {
    const struct cron *cron;
    int64_t after_s;
    /* the offsets at that moment and after the next change of the clocks, if one is near */
    int64_t least_offset, most_offset;
};

/* The first moment that a time of a date means; INT64_MAX = none that is late enough. */
static int64_t next_of_time(const struct search *search, int64_t local_s)
{
    bool is_every_hour = search->cron->hours == 0xFFFFFF;
    int64_t moments[2], gap_end;
    unsigned count = find_moments(local_s, moments, &gap_end);
    if (count == 0) {
        return !is_every_hour && gap_end > search->after_s ? gap_end : INT64_MAX;
    }
    if (moments[0] > search->after_s) {
        return moments[0];
    }
    return count == 2 && is_every_hour && moments[1] > search->after_s ? moments[1] : INT64_MAX;
}

/* Times are asked for in order, but a night that has some of them twice disturbs it. */
static int64_t next_of_day(const struct search *search, int64_t day)
{
    const struct cron *cron = search->cron;
    int64_t next_s = INT64_MAX;
    for (unsigned hour = 0; hour < 24; hour++) {
        for (unsigned minute = 0; (cron->hours >> hour & 1) && minute < 60; minute++) {
            int64_t local_s = day * DAY_S + hour * HOUR_S + minute * MINUTE_S;
            bool is_past = local_s <= search->after_s + search->least_offset;
            bool is_late = next_s != INT64_MAX && local_s - search->most_offset >= next_s;
            if ((cron->minutes >> minute & 1) && !is_past && !is_late) {
                next_s = MIN(next_s, next_of_time(search, local_s));
            }
        }
    }
    return next_s;
}

static int64_t next_from(const struct search *search, int64_t year, unsigned month, unsigned day)
{
    for (; year <= LAST_YEAR; year++, month = 1) {
        for (; month <= 12; month++, day = 1) {
            unsigned days = days_of_month(year, month);
            for (; day <= days; day++) {
                int64_t number = days_from_date(year, month, day);
                unsigned weekday = (unsigned)(((number + 4) % 7 + 7) % 7);
                int64_t next_s = has_day(search->cron, month, day, weekday)
                                     ? next_of_day(search, number)
                                     : INT64_MAX;
                if (next_s != INT64_MAX) {
                    return next_s;
                }
            }
        }
    }
    return INT64_MAX;
}

int64_t cron_next(const struct cron *cron, int64_t after_ms)
{
    int64_t after_s = MAX(after_ms, 0) / 1000;
    int64_t offset = offset_at(after_s);
    int64_t next_offset = offset_at(after_s + INT64_C(2) * OFFSET_MAX_S);
    const struct search search = {cron, after_s, MIN(offset, next_offset),
                                  MAX(offset, next_offset)};
    /* Two days before: a local date may begin later than the same one of UTC. */
    time_t from = (time_t)(after_s - INT64_C(2) * DAY_S);
    struct tm date;
    if (!gmtime_r(&from, &date) || date.tm_year + INT64_C(1900) > LAST_YEAR) {
        return INT64_MAX;
    }
    int64_t next_s = next_from(&search, date.tm_year + INT64_C(1900), (unsigned)date.tm_mon + 1,
                               (unsigned)date.tm_mday);
    return next_s == INT64_MAX ? INT64_MAX : next_s * 1000;
}
