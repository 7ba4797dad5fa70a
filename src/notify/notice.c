#include "notify/notice.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "notify/fit.h"
#include "notify/output.h"

static const char *const kind_names[NOTICE_KINDS] = {
    [NOTICE_STARTED] = "started",
    [NOTICE_STEP_FAILED] = "step_failed",
    [NOTICE_FINISHED] = "finished",
    [NOTICE_BLOCKED] = "blocked",
    [NOTICE_INTERRUPTED] = "interrupted",
    [NOTICE_BRANCH_MISSING] = "branch_missing",
    [NOTICE_TEST] = "test",
};

/* Everything but `kind` and `step`, which JSON has no numbers for, is read and written by this
 * table. */
enum field_type { FIELD_TEXT, FIELD_TAIL, FIELD_INT64, FIELD_INT, FIELD_BOOL };

static const struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    int64_t minimum, maximum; /* of numbers */
} fields[] = {
    {"job", FIELD_INT64, offsetof(struct notice, job), 0, INT64_MAX},
    {"repo", FIELD_TEXT, offsetof(struct notice, repo), 0, 0},
    {"branch", FIELD_TEXT, offsetof(struct notice, branch), 0, 0},
    {"sha", FIELD_TEXT, offsetof(struct notice, sha), 0, 0},
    {"subject", FIELD_TEXT, offsetof(struct notice, subject), 0, 0},
    {"author", FIELD_TEXT, offsetof(struct notice, author), 0, 0},
    {"trigger", FIELD_TEXT, offsetof(struct notice, trigger), 0, 0},
    {"state", FIELD_TEXT, offsetof(struct notice, state), 0, 0},
    {"reason", FIELD_TEXT, offsetof(struct notice, reason), 0, 0},
    {"attempt", FIELD_INT, offsetof(struct notice, attempt), 0, INT32_MAX},
    {"at_ms", FIELD_INT64, offsetof(struct notice, at_ms), 0, INT64_MAX},
    {"duration_ms", FIELD_INT64, offsetof(struct notice, duration_ms), -1, INT64_MAX},
    {"has_step", FIELD_BOOL, offsetof(struct notice, has_step), 0, 0},
    {"command", FIELD_TEXT, offsetof(struct notice, command), 0, 0},
    {"exit_code", FIELD_INT, offsetof(struct notice, exit_code), -1, INT32_MAX},
    {"signal", FIELD_INT, offsetof(struct notice, signal), 0, 255},
    {"tail", FIELD_TAIL, offsetof(struct notice, tail), 0, 0},
    {"before", FIELD_INT64, offsetof(struct notice, before), 0, INT64_MAX},
};

const char *notice_kind_name(enum notice_kind kind)
{
    return kind_names[kind];
}

bool notice_kind_from_name(const char *name, enum notice_kind *kind)
{
    for (unsigned i = 0; i < NOTICE_KINDS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            *kind = (enum notice_kind)i;
            return true;
        }
    }
    return false;
}

static bool is_text(const struct field *field)
{
    return field->type == FIELD_TEXT || field->type == FIELD_TAIL;
}

static char **text_of(const struct notice *notice, const struct field *field)
{
    return (char **)((char *)(uintptr_t)notice + field->offset);
}

void notice_clear(struct notice *notice)
{
    static const struct notice empty = NOTICE_INIT;
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (is_text(&fields[i])) {
            g_free(*text_of(notice, &fields[i]));
        }
    }
    *notice = empty;
}

void notice_free(struct notice *notice)
{
    if (notice) {
        notice_clear(notice);
        g_free(notice);
    }
}

void notice_set_tail(struct notice *notice, const char *bytes, size_t length, int64_t before,
                     const struct mask *mask)
{
    static const char *const nothing[] = {NULL};
    struct mask *no_mask = mask ? NULL : mask_new(nothing, NULL);
    const struct mask *used = mask ? mask : no_mask;
    size_t text_length = 0;
    /* Twice: a secret may have line ends or other bytes that are not shown as they are, and one
     * with a change of colour inside is a whole one only when the colours are gone. */
    g_autofree char *masked = mask_apply(used, bytes, length, &length);
    g_autoptr(GString) readable = output_render(masked, length);
    g_autofree char *text = mask_apply(used, readable->str, readable->len, &text_length);
    const char *begin = fit_tail_bytes(text, text_length, NOTICE_TAIL_MAX_BYTES);
    g_free(notice->tail);
    notice->tail = text_length > 0 ? g_strdup(begin) : NULL;
    notice->before = fit_bytes_before(before, (size_t)(begin - text));
    mask_free(no_mask);
}

void notice_mask(struct notice *notice, const struct mask *mask)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        char **text = is_text(&fields[i]) ? text_of(notice, &fields[i]) : NULL;
        if (text && *text) {
            char *masked = mask_apply(mask, *text, strlen(*text), NULL);
            g_free(*text);
            *text = masked;
        }
    }
}

static json_t *encode_text(const char *text, enum field_type type)
{
    size_t limit = type == FIELD_TAIL ? NOTICE_TAIL_MAX_BYTES : NOTICE_TEXT_MAX_BYTES;
    if (!text) {
        return json_null();
    }
    g_autoptr(GString) escaped = g_string_new(NULL);
    text_append_escaped(escaped, text, strlen(text), TEXT_KEEP_LAYOUT);
    if (type == FIELD_TAIL) {
        return json_string(fit_tail_bytes(escaped->str, escaped->len, limit));
    }
    if (escaped->len > limit) {
        const char *border = g_utf8_find_prev_char(escaped->str, escaped->str + limit + 1);
        g_string_truncate(escaped, (size_t)(border - escaped->str));
    }
    return json_string(escaped->str);
}

/* Within its range: what is written must be read back, also when a clock went backwards. */
static json_t *encode_number(int64_t number, const struct field *field)
{
    return json_integer(CLAMP(number, field->minimum, field->maximum));
}

static json_t *encode_field(const struct notice *notice, const struct field *field)
{
    const void *value = (const char *)notice + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_TAIL:
        return encode_text(*(char *const *)value, field->type);
    case FIELD_INT64:
        return encode_number(*(const int64_t *)value, field);
    case FIELD_INT:
        return encode_number(*(const int *)value, field);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)value);
    }
    return json_null();
}

char *notice_to_json(const struct notice *notice)
{
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(notice_kind_name(notice->kind)));
    g_autofree char *step = g_strdup_printf("%" G_GUINT64_FORMAT, notice->step);
    json_object_set_new(object, "step", json_string(step));
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        json_object_set_new(object, fields[i].name, encode_field(notice, &fields[i]));
    }
    char *dumped = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    g_assert(dumped);
    char *json = g_strdup(dumped);
    free(dumped);
    return json;
}

static bool decode_text(const json_t *value, char **text)
{
    if (json_is_string(value)) {
        *text = g_strdup(json_string_value(value));
    }
    return json_is_string(value) || json_is_null(value);
}

static bool decode_field(const struct field *field, const json_t *value, struct notice *notice)
{
    char *place = (char *)notice + field->offset;
    json_int_t number = json_integer_value(value);
    bool good_number =
        json_is_integer(value) && number >= field->minimum && number <= field->maximum;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_TAIL:
        return decode_text(value, (char **)(void *)place);
    case FIELD_INT64:
        *(int64_t *)(void *)place = number;
        return good_number;
    case FIELD_INT:
        *(int *)(void *)place = good_number ? (int)number : 0;
        return good_number;
    case FIELD_BOOL:
        *(bool *)(void *)place = json_is_true(value);
        return json_is_boolean(value);
    }
    return false;
}

/* The name of the first field that is not as it should be, or NULL. */
static const char *decode(const json_t *object, struct notice *notice)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const json_t *step = json_object_get(object, "step");
    if (!kind || !notice_kind_from_name(kind, &notice->kind)) {
        return "kind";
    }
    if (step &&
        (!json_is_string(step) || !g_ascii_string_to_unsigned(json_string_value(step), 10, 0,
                                                              UINT64_MAX, &notice->step, NULL))) {
        return "step";
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (value && !decode_field(&fields[i], value, notice)) {
            return fields[i].name;
        }
    }
    return notice->repo || notice->kind == NOTICE_TEST ? NULL : "repo";
}

struct notice *notice_from_json(const char *json, size_t length, GError **error)
{
    static const struct notice empty = NOTICE_INIT;
    json_error_t problem;
    if (length > NOTICE_JSON_MAX_BYTES) {
        g_set_error(error, NOTICE_ERROR, ERROR_INVALID,
                    "a notice of %zu bytes is larger than %d, which is the limit", length,
                    NOTICE_JSON_MAX_BYTES);
        return NULL;
    }
    json_t *object = json_loadb(json, length, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(object)) {
        g_set_error(error, NOTICE_ERROR, ERROR_INVALID, "a notice is not a JSON object: %s",
                    object ? "it is another value" : problem.text);
        json_decref(object);
        return NULL;
    }
    struct notice *notice = g_new(struct notice, 1);
    *notice = empty;
    const char *wrong = decode(object, notice);
    json_decref(object);
    if (wrong) {
        g_set_error(error, NOTICE_ERROR, ERROR_INVALID,
                    "the field \"%s\" of a notice is missing, unknown or of another kind", wrong);
        notice_free(notice);
        return NULL;
    }
    return notice;
}

enum colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_RED };

static enum colour colour_of(const char *state)
{
    static const char *const without[] = {"queued",     "running", "canceled",
                                          "superseded", "skipped", NULL};
    if (!state || g_strv_contains(without, state)) {
        return COLOUR_NONE;
    }
    return strcmp(state, "success") == 0 ? COLOUR_GREEN : COLOUR_RED;
}

bool notify_state_counts(const char *state)
{
    return colour_of(state) != COLOUR_NONE;
}

bool notify_wants(enum notify_policy policy, enum notice_kind kind, const char *state,
                  const char *previous_state)
{
    bool is_final = kind == NOTICE_FINISHED || kind == NOTICE_BLOCKED || kind == NOTICE_INTERRUPTED;
    enum colour now = kind == NOTICE_FINISHED ? colour_of(state) : COLOUR_RED;
    enum colour before = colour_of(previous_state);
    if (kind == NOTICE_TEST) {
        return true;
    }
    switch (policy) {
    case NOTIFY_ALL:
        return !state || (strcmp(state, "superseded") != 0 && strcmp(state, "skipped") != 0);
    case NOTIFY_FAILURES:
        return kind == NOTICE_BRANCH_MISSING || (is_final && now == COLOUR_RED);
    case NOTIFY_CHANGES:
        return kind == NOTICE_BRANCH_MISSING ||
               (is_final && now == COLOUR_RED && before != COLOUR_RED) ||
               (is_final && now == COLOUR_GREEN && before == COLOUR_RED);
    case NOTIFY_NONE:
        break;
    }
    return false;
}
