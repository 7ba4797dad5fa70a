#include "config/schema.h"

#include <glib.h>
#include <string.h>

#include "base/text.h"
#include "base/units.h"

struct reading {
    const struct schema_key *key;
    const struct toml_value *value;
    const char *file;
    void *field;
    struct diagnostics *diagnostics;
};

static bool complain(const struct reading *reading, const struct toml_value *at,
                     const char *expected)
{
    diagnostics_add(reading->diagnostics, reading->file, at->line, at->column,
                    "\"%s\" must be %s, found %s", reading->key->name, expected,
                    toml_type_name(at->type));
    return false;
}

static bool complain_text(const struct reading *reading, const struct toml_value *at,
                          const char *why)
{
    diagnostics_add(reading->diagnostics, reading->file, at->line, at->column, "\"%s\": %s",
                    reading->key->name, why);
    return false;
}

bool schema_check_text(const struct toml_value *value, const char *what, const char *file,
                       struct diagnostics *diagnostics)
{
    if (strlen(value->as.string.bytes) == value->as.string.length) {
        return true;
    }
    diagnostics_add(diagnostics, file, value->line, value->column, "%s holds a NUL character",
                    what);
    return false;
}

/* A string or a part of one, against the check of its key. */
static bool check_text(const struct reading *reading, const struct toml_value *at, const char *text)
{
    g_autofree char *why = NULL;
    return !reading->key->check || reading->key->check(text, &why) ||
           complain_text(reading, at, why);
}

static bool is_plain_string(const struct reading *reading, const struct toml_value *value)
{
    if (value->type != TOML_STRING) {
        return complain(reading, value, "a string");
    }
    g_autofree char *what = g_strdup_printf("\"%s\"", reading->key->name);
    return schema_check_text(value, what, reading->file, reading->diagnostics);
}

static bool read_string(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    if (!is_plain_string(reading, value) || !check_text(reading, value, value->as.string.bytes)) {
        return false;
    }
    char **field = reading->field;
    g_free(*field);
    *field = g_strdup(value->as.string.bytes);
    return true;
}

static bool read_integer(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    const struct schema_key *key = reading->key;
    if (value->type != TOML_INTEGER) {
        return complain(reading, value, "an integer");
    }
    if (value->as.integer < key->minimum || value->as.integer > key->maximum) {
        diagnostics_add(reading->diagnostics, reading->file, value->line, value->column,
                        "\"%s\" must be from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                        ", found %" G_GINT64_FORMAT,
                        key->name, key->minimum, key->maximum, value->as.integer);
        return false;
    }
    if (key->type == SCHEMA_INTEGER) {
        *(int *)reading->field = (int)value->as.integer;
    } else {
        *(unsigned *)reading->field = (unsigned)value->as.integer;
    }
    return true;
}

static bool read_boolean(const struct reading *reading)
{
    if (reading->value->type != TOML_BOOLEAN) {
        return complain(reading, reading->value, "true or false");
    }
    if (reading->key->type == SCHEMA_SWITCH) {
        *(int *)reading->field = reading->value->as.boolean ? 2 : 1;
    } else {
        *(bool *)reading->field = reading->value->as.boolean;
    }
    return true;
}

static bool check_bounds(const struct reading *reading, int64_t number)
{
    const struct schema_key *key = reading->key;
    bool is_low = number < key->minimum;
    if (!is_low && (key->maximum == 0 || number <= key->maximum)) {
        return true;
    }
    int64_t bound = is_low ? key->minimum : key->maximum;
    bool is_size = key->type == SCHEMA_SIZE;
    g_autofree char *limit = is_size ? units_format_size(bound) : units_format_duration(bound);
    g_autofree char *found = reading->value->type == TOML_STRING
                                 ? g_strdup_printf("\"%s\"", reading->value->as.string.bytes)
                                 : g_strdup_printf("%" G_GINT64_FORMAT, number);
    diagnostics_add(reading->diagnostics, reading->file, reading->value->line,
                    reading->value->column, "\"%s\" must be at %s %s, found %s", key->name,
                    is_low ? "least" : "most", limit, found);
    return false;
}

/* Durations and sizes: text with a unit. */
static bool read_quantity(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    bool is_size = reading->key->type == SCHEMA_SIZE;
    int64_t number = 0;
    if (is_size && value->type == TOML_INTEGER) {
        number = value->as.integer;
    } else if (value->type != TOML_STRING) {
        return complain(reading, value,
                        is_size ? "a size such as \"64M\"" : "a duration such as \"90s\"");
    } else {
        g_autoptr(GError) error = NULL;
        bool (*parse)(const char *, int64_t *, GError **) =
            is_size ? units_parse_size : units_parse_duration;
        if (!is_plain_string(reading, value)) {
            return false;
        }
        if (g_strcmp0(reading->key->zero_word, value->as.string.bytes) == 0) {
            *(int64_t *)reading->field = 0;
            return true;
        }
        if (!parse(value->as.string.bytes, &number, &error)) {
            return complain_text(reading, value, error->message);
        }
    }
    if (!check_bounds(reading, number)) {
        return false;
    }
    *(int64_t *)reading->field = number;
    return true;
}

/* "150%": digits, perhaps a point and more of them. False for anything else. */
static bool parse_percent(const char *text, double *processors)
{
    char *end = NULL;
    size_t digits = strspn(text, "0123456789.");
    *processors = g_ascii_strtod(text, &end) / 100;
    return digits > 0 && end == text + digits && strcmp(end, "%") == 0;
}

static bool read_processors(const struct reading *reading)
{
    static const char expected[] = "a number of processors such as 1.5, or \"150%\"";
    const struct toml_value *value = reading->value;
    const struct schema_key *key = reading->key;
    double number = 0;
    if (value->type == TOML_INTEGER) {
        number = (double)value->as.integer;
    } else if (value->type == TOML_FLOAT) {
        number = value->as.real;
    } else if (value->type != TOML_STRING) {
        return complain(reading, value, expected);
    } else if (!is_plain_string(reading, value)) {
        return false;
    } else if (!parse_percent(value->as.string.bytes, &number)) {
        diagnostics_add(reading->diagnostics, reading->file, value->line, value->column,
                        "\"%s\" must be %s, found \"%s\"", key->name, expected,
                        value->as.string.bytes);
        return false;
    }
    /* So written, a NaN is refused as well. */
    if (number != 0 &&
        !(number * 1000 >= (double)key->minimum && number * 1000 <= (double)key->maximum)) {
        diagnostics_add(reading->diagnostics, reading->file, value->line, value->column,
                        "\"%s\" must be from %g to %g processors, or 0 for no limit, found %g",
                        key->name, (double)key->minimum / 1000, (double)key->maximum / 1000,
                        number);
        return false;
    }
    *(int *)reading->field = (int)(number * 1000 + 0.5);
    return true;
}

static int find_choice(const char *const *choices, const char *text)
{
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_choice(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    if (!is_plain_string(reading, value)) {
        return false;
    }
    int choice = find_choice(reading->key->choices, value->as.string.bytes);
    if (choice < 0) {
        g_autofree char *all = g_strjoinv("\", \"", (char **)reading->key->choices);
        const char *nearest = text_nearest(value->as.string.bytes, reading->key->choices);
        diagnostics_add(reading->diagnostics, reading->file, value->line, value->column,
                        "\"%s\" must be one of \"%s\", found \"%s\"%s%s%s", reading->key->name, all,
                        value->as.string.bytes, nearest ? ", did you mean \"" : "",
                        nearest ? nearest : "", nearest ? "\"?" : "");
        return false;
    }
    *(int *)reading->field = choice;
    return true;
}

/* One string as a list: nothing for "", else itself, or its parts between commas. */
static bool read_joined(const struct reading *reading, GPtrArray *list)
{
    const struct toml_value *value = reading->value;
    if (!is_plain_string(reading, value)) {
        return false;
    }
    bool has_commas = reading->key->type == SCHEMA_COMMA_LIST;
    char *whole[] = {value->as.string.bytes, NULL};
    g_auto(GStrv) parts = has_commas ? g_strsplit(*whole, ",", -1) : g_strdupv(whole);
    for (char **part = parts; *part; part++) {
        const char *text = has_commas ? g_strstrip(*part) : *part;
        if (*text && !check_text(reading, value, text)) {
            return false;
        }
        if (*text) {
            g_ptr_array_add(list, g_strdup(text));
        }
    }
    return true;
}

static bool read_array(const struct reading *reading, GPtrArray *list)
{
    const struct toml_value *value = reading->value;
    bool good = true;
    if (value->as.children.count == 0 && reading->key->empty_array) {
        return complain_text(reading, value, reading->key->empty_array);
    }
    for (size_t i = 0; i < value->as.children.count; i++) {
        const struct toml_value *item = value->as.children.items[i];
        if (is_plain_string(reading, item) && check_text(reading, item, item->as.string.bytes)) {
            g_ptr_array_add(list, g_strdup(item->as.string.bytes));
        } else {
            good = false;
        }
    }
    return good;
}

/* The list takes the place of the one in the field. */
static bool store_list(const struct reading *reading, GPtrArray *list)
{
    char ***field = reading->field;
    g_ptr_array_add(list, NULL);
    g_strfreev(*field);
    *field = (char **)g_ptr_array_free(list, FALSE);
    return true;
}

static bool read_list(const struct reading *reading)
{
    enum toml_type type = reading->value->type;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    if (type != TOML_STRING && type != TOML_ARRAY) {
        return complain(reading, reading->value,
                        reading->key->no_string ? "an array of strings"
                                                : "a string or an array of strings");
    }
    if (type == TOML_STRING && reading->key->no_string) {
        return complain_text(reading, reading->value, reading->key->no_string);
    }
    return (type == TOML_STRING ? read_joined : read_array)(reading, list) &&
           store_list(reading, g_steal_pointer(&list));
}

static bool read_items(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    const struct schema_key *key = reading->key;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    if (value->type != TOML_ARRAY) {
        return complain(reading, value, "an array");
    }
    if (value->as.children.count == 0 && key->empty_array) {
        return complain_text(reading, value, key->empty_array);
    }
    if (value->as.children.count > (size_t)key->maximum) {
        diagnostics_add(reading->diagnostics, reading->file, value->line, value->column,
                        "\"%s\" has more than %" G_GINT64_FORMAT " items", key->name, key->maximum);
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < value->as.children.count; i++) {
        char *text =
            key->read_item(value->as.children.items[i], reading->file, reading->diagnostics);
        if (text) {
            g_ptr_array_add(list, text);
        } else {
            good = false;
        }
    }
    return good && store_list(reading, g_steal_pointer(&list));
}

bool schema_is_variable_name(const char *name)
{
    if (!g_ascii_isalpha(*name) && *name != '_') {
        return false;
    }
    for (; *name; name++) {
        if (!g_ascii_isalnum(*name) && *name != '_') {
            return false;
        }
    }
    return true;
}

bool schema_is_own_variable(const char *name)
{
    return g_str_has_prefix(name, "PHANTOM_CI");
}

static char *format_variable(const struct reading *reading, const struct toml_value *item)
{
    if (strlen(item->key) != item->key_length || !schema_is_variable_name(item->key)) {
        diagnostics_add(reading->diagnostics, reading->file, item->key_line, item->key_column,
                        "\"%s\" is not a name of an environment variable", item->key);
    } else if (schema_is_own_variable(item->key)) {
        diagnostics_add(reading->diagnostics, reading->file, item->key_line, item->key_column,
                        "\"%s\" is set by phantom_ci itself", item->key);
    } else if (item->type == TOML_STRING &&
               schema_check_text(item, item->key, reading->file, reading->diagnostics)) {
        return g_strdup_printf("%s=%s", item->key, item->as.string.bytes);
    } else if (item->type == TOML_INTEGER) {
        return g_strdup_printf("%s=%" G_GINT64_FORMAT, item->key, item->as.integer);
    } else if (item->type == TOML_BOOLEAN) {
        return g_strdup_printf("%s=%s", item->key, item->as.boolean ? "true" : "false");
    } else if (item->type != TOML_STRING) {
        complain(reading, item, "a table of strings, integers, true and false");
    }
    return NULL;
}

static bool read_environment(const struct reading *reading)
{
    const struct toml_value *value = reading->value;
    if (value->type != TOML_TABLE) {
        return complain(reading, value, "a table, for example { RUST_LOG = \"info\" }");
    }
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    bool good = true;
    for (size_t i = 0; i < value->as.children.count; i++) {
        char *variable = format_variable(reading, value->as.children.items[i]);
        if (variable) {
            g_ptr_array_add(list, variable);
        } else {
            good = false;
        }
    }
    return good && store_list(reading, g_steal_pointer(&list));
}

static bool read_any(const struct reading *reading)
{
    (void)reading;
    return true;
}

static bool (*const readers[])(const struct reading *) = {
    [SCHEMA_STRING] = read_string,
    [SCHEMA_INTEGER] = read_integer,
    [SCHEMA_UNSIGNED] = read_integer,
    [SCHEMA_BOOLEAN] = read_boolean,
    [SCHEMA_SWITCH] = read_boolean,
    [SCHEMA_DURATION] = read_quantity,
    [SCHEMA_SIZE] = read_quantity,
    [SCHEMA_CHOICE] = read_choice,
    [SCHEMA_STRING_LIST] = read_list,
    [SCHEMA_COMMA_LIST] = read_list,
    [SCHEMA_ENVIRONMENT] = read_environment,
    [SCHEMA_ITEM_LIST] = read_items,
    [SCHEMA_ANY] = read_any,
    [SCHEMA_PROCESSORS] = read_processors,
};

static bool is_list(const struct schema_key *key)
{
    return key->type == SCHEMA_STRING_LIST || key->type == SCHEMA_COMMA_LIST ||
           key->type == SCHEMA_ENVIRONMENT || key->type == SCHEMA_ITEM_LIST;
}

/* A key of a later version: its value is read as if it counted, and dropped. */
static void read_unavailable(const struct reading *reading)
{
    const struct schema_key *key = reading->key;
    g_autofree char *dropped = NULL;
    struct reading trial = *reading;
    trial.field = &dropped;
    if (readers[key->type](&trial) && strcmp(dropped, key->choices[0]) != 0) {
        diagnostics_add(reading->diagnostics, reading->file, reading->value->key_line,
                        reading->value->key_column,
                        "\"%s = %s\" is not available in this version of phantom_ci; write \"%s\" "
                        "or remove the line",
                        key->name, dropped, key->choices[0]);
    }
}

static void report_unknown(const struct schema_key *keys, const struct toml_value *value,
                           const char *file, struct diagnostics *diagnostics)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GString) shown = g_string_new(NULL);
    for (; keys->name; keys++) {
        g_ptr_array_add(names, (void *)keys->name);
    }
    g_ptr_array_add(names, NULL);
    text_append_escaped(shown, value->key, value->key_length, TEXT_ONE_LINE);
    const char *nearest = text_nearest(shown->str, (const char *const *)names->pdata);
    diagnostics_add(diagnostics, file, value->key_line, value->key_column,
                    "unknown key \"%s\"%s%s%s", shown->str, nearest ? ", did you mean \"" : "",
                    nearest ? nearest : "", nearest ? "\"?" : "");
}

/* The key of the table with the name of this value; the one at the end, without a name, when there
 * is none. */
static const struct schema_key *find_key(const struct schema_key *keys,
                                         const struct toml_value *value)
{
    while (keys->name && (strlen(keys->name) != value->key_length ||
                          memcmp(keys->name, value->key, value->key_length) != 0)) {
        keys++;
    }
    return keys;
}

void schema_read(const struct schema_key *keys, const struct toml_value *table, const char *file,
                 void *target, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < table->as.children.count; i++) {
        const struct toml_value *value = table->as.children.items[i];
        const struct schema_key *key = find_key(keys, value);
        struct reading reading = {key, value, file, NULL, diagnostics};
        if (!key->name) {
            report_unknown(keys, value, file, diagnostics);
        } else if (key->state != SCHEMA_BUILT) {
            read_unavailable(&reading);
        } else if (key->type != SCHEMA_ANY) {
            reading.field = (char *)target + key->offset;
            readers[key->type](&reading);
        }
    }
}

void schema_release(const struct schema_key *keys, void *target)
{
    for (; keys->name; keys++) {
        void *field = (char *)target + keys->offset;
        if (keys->state != SCHEMA_BUILT) {
            continue;
        }
        if (keys->type == SCHEMA_STRING) {
            g_clear_pointer((char **)field, g_free);
        } else if (is_list(keys)) {
            g_clear_pointer((char ***)field, g_strfreev);
        }
    }
}

void schema_copy(const struct schema_key *keys, const void *source, void *target)
{
    static const size_t sizes[] = {
        [SCHEMA_INTEGER] = sizeof(int),      [SCHEMA_UNSIGNED] = sizeof(unsigned),
        [SCHEMA_BOOLEAN] = sizeof(bool),     [SCHEMA_SWITCH] = sizeof(int),
        [SCHEMA_DURATION] = sizeof(int64_t), [SCHEMA_SIZE] = sizeof(int64_t),
        [SCHEMA_CHOICE] = sizeof(int),       [SCHEMA_ANY] = 0,
        [SCHEMA_PROCESSORS] = sizeof(int),
    };
    for (; keys->name; keys++) {
        const void *from = (const char *)source + keys->offset;
        void *to = (char *)target + keys->offset;
        if (keys->state != SCHEMA_BUILT) {
            continue;
        }
        if (keys->type == SCHEMA_STRING) {
            *(char **)to = g_strdup(*(char *const *)from);
        } else if (is_list(keys)) {
            *(char ***)to = g_strdupv(*(char **const *)from);
        } else if (keys->type < G_N_ELEMENTS(sizes)) {
            memcpy(to, from, sizes[keys->type]);
        }
    }
}
