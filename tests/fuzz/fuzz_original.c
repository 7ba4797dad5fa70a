/* The original's Repo.toml: what comes out of a conversion is accepted, and a second conversion
 * finds nothing to do. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/original.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const char *branch_of(const char *path, void *data)
{
    (void)data;
    return strlen(path) % 2 ? "trunk" : NULL;
}

static void check_accepted(const char *text)
{
    struct diagnostics *diagnostics = diagnostics_new();
    config_check_text("Repo.toml", text, strlen(text), diagnostics);
    require(!diagnostics_any(diagnostics));
    diagnostics_free(diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct original *first =
        original_convert("Repo.toml", (const char *)data, size, branch_of, NULL, &error);
    require((first == NULL) == (error != NULL));
    if (!first) {
        return 0;
    }
    check_accepted(first->text);
    struct original *second =
        original_convert("Repo.toml", first->text, strlen(first->text), branch_of, NULL, &error);
    require(second && !second->changed);
    original_free(second);
    original_free(first);
    return 0;
}
