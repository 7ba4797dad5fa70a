#include "config/env_file.h"

#include <stdbool.h>
#include <string.h>

#include "config/config.h"
#include "config/dotenv.h"
#include "config/schema.h"

/* False with what is wrong in `diagnostics`. */
static bool check_keys(const GPtrArray *entries, const char *what, struct diagnostics *diagnostics)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned before = diagnostics->items->len + diagnostics->dropped;
    for (unsigned i = 0; i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        const struct dotenv_entry *earlier = g_hash_table_lookup(seen, entry->key);
        if (!schema_is_variable_name(entry->key)) {
            diagnostics_add(diagnostics, what, entry->line, entry->key_column,
                            "this is not a name of an environment variable; expected letters, "
                            "digits and \"_\"");
        } else if (schema_is_own_variable(entry->key)) {
            diagnostics_add(diagnostics, what, entry->line, entry->key_column,
                            "variables that begin with PHANTOM_CI are set by phantom_ci itself");
        } else if (earlier) {
            /* Some programs take the first, others the last. */
            diagnostics_add(diagnostics, what, entry->line, entry->key_column,
                            "this variable stands in line %u already; remove one of the two",
                            earlier->line);
        }
        g_hash_table_insert(seen, entry->key, (void *)entry);
    }
    return diagnostics->items->len + diagnostics->dropped == before;
}

static GPtrArray *checked(GPtrArray *entries, const char *what, struct diagnostics *diagnostics)
{
    if (entries && !check_keys(entries, what, diagnostics)) {
        g_clear_pointer(&entries, g_ptr_array_unref);
    }
    return entries;
}

GPtrArray *env_file_parse(const char *bytes, size_t length, const char *what,
                          struct diagnostics *diagnostics)
{
    return checked(dotenv_parse(bytes, length, what, diagnostics), what, diagnostics);
}

static GPtrArray *load(const char *path, enum dotenv_access access, const char *mend,
                       struct diagnostics *diagnostics)
{
    bool absent = false;
    GPtrArray *entries = dotenv_load(path, access, &absent, diagnostics);
    if (absent) {
        diagnostics_add(diagnostics, path, 0, 0, "is not there; %s", mend);
    }
    return checked(entries, path, diagnostics);
}

GPtrArray *env_file_load(const char *place, struct diagnostics *diagnostics)
{
    if (!g_str_has_prefix(place, CONFIG_CREDENTIAL_PREFIX)) {
        return load(place, DOTENV_PRIVATE,
                    "make it, for this user alone to read (mode 600), or take it out of env_file",
                    diagnostics);
    }
    const char *name = place + strlen(CONFIG_CREDENTIAL_PREFIX);
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");
    if (!directory || !g_path_is_absolute(directory)) {
        diagnostics_add(diagnostics, place, 0, 0,
                        "is a credential of the service, and CREDENTIALS_DIRECTORY is not set: "
                        "phantom_ci was not started by systemd with LoadCredential=%s:PATH (what "
                        "is run by hand with --detach is run by the service)",
                        name);
        return NULL;
    }
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *mend =
        g_strdup_printf("add LoadCredential=%s:PATH to the unit and restart the service", name);
    return load(path, DOTENV_CREDENTIAL, mend, diagnostics);
}
