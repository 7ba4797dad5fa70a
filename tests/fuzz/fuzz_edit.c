/* Edits of Repo.toml: adding a section and removing it gives the same bytes (and a final newline);
 * removing any other keeps all that it does not own. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/edit.h"
#include "config/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_identity(const char *text, size_t size)
{
    const struct edit_section section = {"added \"x\"", "https://h/\\added", "main",
                                         NULL,          "workspace",         "/etc/ci/x.toml"};
    g_autofree char *changed = edit_add_section(text, size, "Repo.toml", &section, NULL);
    if (!changed) {
        return;
    }
    require(memcmp(changed, text, size) == 0);
    g_autofree char *back =
        edit_remove_section(changed, strlen(changed), "Repo.toml", section.name, NULL);
    require(back && strncmp(back, text, size) == 0);
    const char *rest = back + size;
    bool had_newline = size == 0 || text[size - 1] == '\n';
    require(had_newline ? *rest == '\0' : strcmp(rest, "\n") == 0 || strcmp(rest, "\r\n") == 0);
}

static void check_removal(const char *text, size_t size, const struct toml_value *root,
                          const char *name)
{
    GError *error = NULL;
    g_autofree char *shorter = edit_remove_section(text, size, "Repo.toml", name, &error);
    require((shorter == NULL) == (error != NULL));
    g_clear_error(&error);
    if (shorter) {
        struct toml_error problem;
        struct toml_value *left = toml_parse(shorter, strlen(shorter), &problem);
        require(left && left->as.children.count + 1 == root->as.children.count);
        require(strlen(shorter) < size);
        toml_free(left);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct toml_error problem;
    struct toml_value *root = toml_parse(text, size, &problem);
    check_identity(text, size);
    for (size_t i = 0; root && i < root->as.children.count && i < 8; i++) {
        check_removal(text, size, root, root->as.children.items[i]->key);
    }
    toml_free(root);
    g_autofree char *url = g_strndup(text, size);
    g_autofree char *name = edit_name_from_url(url);
    require(!strchr(name, '/') && !strchr(name, ':'));
    return 0;
}
