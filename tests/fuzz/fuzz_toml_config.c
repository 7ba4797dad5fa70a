/* Repo.toml and config.toml: whatever the bytes, each is accepted or gets diagnostics that are safe
 * to print. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_diagnostics(const char *file, const char *bytes, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    config_check_text(file, bytes, size, diagnostics);
    g_autofree char *text = diagnostics_format(diagnostics);
    require(diagnostics_any(diagnostics) == (*text != '\0'));
    require(diagnostics->items->len <= DIAGNOSTICS_MAX && g_utf8_validate(text, -1, NULL));
    for (const char *p = text; *p; p++) {
        require(*p == '\n' || (unsigned char)*p >= 0x20);
    }
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *item = g_ptr_array_index(diagnostics->items, i);
        require(item->message[0] != '\0' && (item->line > 0) == (item->column > 0));
    }
    diagnostics_free(diagnostics);
}

static void check_tree(const char *bytes, size_t size)
{
    struct toml_error error = {0, 0, ""};
    struct toml_value *root = toml_parse(bytes, size, &error);
    require((root == NULL) == (error.message[0] != '\0'));
    if (root) {
        struct toml_value *again = toml_parse(bytes, size, &error);
        require(toml_equal(root, again));
        toml_free(again);
    }
    toml_free(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    check_tree(bytes, size);
    check_diagnostics("Repo.toml", bytes, size);
    check_diagnostics("config.toml", bytes, size);
    return 0;
}
