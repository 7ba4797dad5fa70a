/* A section as JSON, for phantom_ci-job: every field of the table of keys, under the name of its
 * key. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config/repo_section.h"

/* No key of a section. */
#define SECRET_FILES "secret files"

/* JSON carries UTF-8 only, paths are bytes: everything else travels as %XX. */
static json_t *encode_text(const char *text)
{
    if (!text) {
        return json_null();
    }
    g_autofree char *escaped = g_uri_escape_string(text, " !\"#$&'()*+,/:;<=>?@[\\]^`{|}", FALSE);
    return json_string(escaped);
}

static char *decode_text(const json_t *value)
{
    return json_is_string(value) ? g_uri_unescape_string(json_string_value(value), NULL) : NULL;
}

static json_t *encode_list(const char *const *list)
{
    json_t *array = json_array();
    for (; *list; list++) {
        json_array_append_new(array, encode_text(*list));
    }
    return array;
}

static json_t *encode_field(const struct schema_key *key, const void *field)
{
    switch (key->type) {
    case SCHEMA_STRING:
        return encode_text(*(char *const *)field);
    case SCHEMA_INTEGER:
    case SCHEMA_CHOICE:
    case SCHEMA_SWITCH:
    case SCHEMA_PROCESSORS:
        return json_integer(*(const int *)field);
    case SCHEMA_UNSIGNED:
        return json_integer(*(const unsigned *)field);
    case SCHEMA_BOOLEAN:
        return json_boolean(*(const bool *)field);
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        return json_integer(*(const int64_t *)field);
    case SCHEMA_STRING_LIST:
    case SCHEMA_COMMA_LIST:
    case SCHEMA_ENVIRONMENT:
    case SCHEMA_ITEM_LIST:
        return encode_list(*(const char *const *const *)field);
    case SCHEMA_ANY:
        break;
    }
    return json_null();
}

static bool decode_list(const json_t *value, char ***field)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    bool good = json_is_array(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        char *item = decode_text(json_array_get(value, i));
        good = good && item;
        g_ptr_array_add(list, item);
    }
    g_ptr_array_add(list, NULL);
    if (!good) {
        g_ptr_array_unref(list);
        return false;
    }
    *field = (char **)g_ptr_array_free(list, FALSE);
    return true;
}

static unsigned count_choices(const struct schema_key *key)
{
    unsigned count = 0;
    while (key->choices[count]) {
        count++;
    }
    return count;
}

static bool decode_field(const struct schema_key *key, const json_t *value, void *field)
{
    json_int_t number = json_integer_value(value);
    switch (key->type) {
    case SCHEMA_STRING:
        *(char **)field = decode_text(value);
        return json_is_null(value) || *(char **)field;
    case SCHEMA_INTEGER:
        *(int *)field = (int)number;
        return json_is_integer(value) && number >= key->minimum && number <= key->maximum;
    case SCHEMA_CHOICE:
        *(int *)field = (int)number;
        return json_is_integer(value) && number >= 0 && number < count_choices(key);
    case SCHEMA_SWITCH:
        *(int *)field = (int)number;
        return json_is_integer(value) && number >= 0 && number <= 2;
    case SCHEMA_PROCESSORS:
        *(int *)field = (int)number;
        return json_is_integer(value) && number >= 0 && number <= key->maximum;
    case SCHEMA_UNSIGNED:
        *(unsigned *)field = (unsigned)number;
        return json_is_integer(value) && number >= key->minimum && number <= key->maximum;
    case SCHEMA_BOOLEAN:
        *(bool *)field = json_is_true(value);
        return json_is_boolean(value);
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        *(int64_t *)field = number;
        return json_is_integer(value) &&
               (number >= key->minimum || (key->zero_word && number == 0));
    case SCHEMA_STRING_LIST:
    case SCHEMA_COMMA_LIST:
    case SCHEMA_ENVIRONMENT:
    case SCHEMA_ITEM_LIST:
        return decode_list(value, field);
    case SCHEMA_ANY:
        break;
    }
    return true;
}

char *repo_config_to_json(const struct repo_config *repo, const char *const *secret_files)
{
    json_t *root = json_object();
    json_object_set_new(root, "name", encode_text(repo->name));
    json_object_set_new(root, SECRET_FILES, encode_list(secret_files));
    for (const struct schema_key *key = repo_section_keys; key->name; key++) {
        if (key->state == SCHEMA_BUILT) {
            json_object_set_new(root, key->name,
                                encode_field(key, (const char *)repo + key->offset));
        }
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    char *copy = g_strdup(text);
    free(text);
    return copy;
}

struct repo_config *repo_config_from_json(const char *json, size_t length, GError **error)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, 0, &problem);
    struct repo_config *repo = g_new0(struct repo_config, 1);
    repo->name = decode_text(json_object_get(root, "name"));
    bool good = repo->name && decode_list(json_object_get(root, SECRET_FILES), &repo->secret_files);
    for (const struct schema_key *key = repo_section_keys; good && key->name; key++) {
        good = key->state != SCHEMA_BUILT ||
               decode_field(key, json_object_get(root, key->name), (char *)repo + key->offset);
    }
    json_decref(root);
    if (!good || !repo->url) {
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                    "the section that phantom_ci handed over is not as expected");
        repo_config_free(repo);
        return NULL;
    }
    return repo;
}
