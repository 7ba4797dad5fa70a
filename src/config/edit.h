/*
 * Changes to Repo.toml that keep its comments, order and everything else byte for byte.
 * Text in, text out; the callers load and save.
 */
#ifndef PHANTOM_CI_CONFIG_EDIT_H
#define PHANTOM_CI_CONFIG_EDIT_H

#include <glib.h>
#include <stddef.h>

struct edit_section {
    const char *name; /* quoted as TOML needs it */
    const char *path;
    const char *target_branch;
    const char *ssh_key_path;  /* or NULL */
    const char *sandbox;       /* or NULL */
    const char *workflow_file; /* or NULL */
};

/* The text with a new section at its end. ERROR_INVALID for a name that exists or text that is not
 * TOML (`file` is named in messages). Free with g_free(). */
char *edit_add_section(const char *text, size_t length, const char *file,
                       const struct edit_section *section, GError **error);

/* The text without the section and its sub-tables. ERROR_NOT_FOUND when there is none. The result
 * is parsed again and must hold exactly the other sections. Free with g_free(). */
char *edit_remove_section(const char *text, size_t length, const char *file, const char *name,
                          GError **error);

/* A TOML basic string (TOML 1.0, "String"), and a key, bare where that can be. */
void edit_append_string(GString *out, const char *text);
void edit_append_key(GString *out, const char *name);

/* A name for a repository from its URL: the last path component without ".git". Free with g_free().
 */
char *edit_name_from_url(const char *url);

#endif
