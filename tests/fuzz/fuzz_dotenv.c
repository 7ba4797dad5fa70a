/* .env files and those of env_file: entries or errors, never both; what was read reads the same
 * when it is written with quotes; no message is long enough to quote a value. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/dotenv.h"
#include "config/env_file.h"
#include "config/schema.h"
#include "notify/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_messages(const struct diagnostics *diagnostics)
{
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *diagnostic = g_ptr_array_index(diagnostics->items, i);
        require(g_str_is_ascii(diagnostic->message) && strlen(diagnostic->message) < 200);
    }
}

static char *write_back(const GPtrArray *entries)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        g_string_append_printf(text, "%s=\"", entry->key);
        for (const char *at = entry->value; *at; at++) {
            static const char written[] = "\n\r\t\\\"$", letters[] = "nrt\\\"$";
            const char *found = strchr(written, *at);
            if (found) {
                g_string_append_c(text, '\\');
            }
            g_string_append_c(text, found ? letters[found - written] : *at);
        }
        g_string_append(text, "\"\n");
    }
    return g_string_free(text, FALSE);
}

static void check_entries(const GPtrArray *entries, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    g_autofree char *text = write_back(entries);
    if (strlen(text) <= DOTENV_MAX_BYTES) {
        GPtrArray *again = dotenv_parse(text, strlen(text), "again", diagnostics);
        require(again && again->len == entries->len);
        for (unsigned i = 0; i < entries->len; i++) {
            const struct dotenv_entry *one = g_ptr_array_index(entries, i);
            const struct dotenv_entry *other = g_ptr_array_index(again, i);
            require(strcmp(one->key, other->key) == 0 && strcmp(one->value, other->value) == 0);
            require(one->line > 0 && one->key_column > 0 && one->value_column > one->key_column);
            require(strlen(one->value) < size);
        }
        g_ptr_array_unref(again);
    }
    struct diagnostics *warnings = diagnostics_new();
    GPtrArray *targets = targets_from_entries(entries, "name", diagnostics, warnings);
    require((targets == NULL) == diagnostics_any(diagnostics));
    check_messages(diagnostics);
    check_messages(warnings);
    if (targets) {
        for (unsigned i = 0; i < targets->len; i++) {
            g_autofree char *host = target_host(g_ptr_array_index(targets, i));
            require(*host && !strpbrk(host, "@/ ?#"));
        }
        mask_free(targets_mask(targets));
        g_ptr_array_unref(targets);
    }
    diagnostics_free(diagnostics);
    diagnostics_free(warnings);
}

/* As variables for steps: each of them one that may be set, and once. */
static void check_variables(const char *bytes, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) entries = env_file_parse(bytes, size, "name", diagnostics);
    require((entries == NULL) == diagnostics_any(diagnostics));
    check_messages(diagnostics);
    for (unsigned i = 0; entries && i < entries->len; i++) {
        struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        require(schema_is_variable_name(entry->key) && !schema_is_own_variable(entry->key));
        require(g_hash_table_add(seen, entry->key));
    }
    diagnostics_free(diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    GPtrArray *entries = dotenv_parse((const char *)data, size, "name", diagnostics);
    require((entries == NULL) == diagnostics_any(diagnostics));
    check_messages(diagnostics);
    if (entries) {
        check_entries(entries, size);
        g_ptr_array_unref(entries);
    }
    diagnostics_free(diagnostics);
    check_variables((const char *)data, size);
    return 0;
}
