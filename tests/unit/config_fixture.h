/* What the tests of src/config/ share: texts in, diagnostics or structs out. */
#ifndef PHANTOM_CI_TESTS_CONFIG_FIXTURE_H
#define PHANTOM_CI_TESTS_CONFIG_FIXTURE_H

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "config/config.h"

/* Everything that is wrong with the bytes, as `phantom_ci check` prints it. */
G_GNUC_UNUSED static char *diagnose_bytes(const char *file, const char *bytes, size_t length)
{
    /* A copy of exactly this length, so that a read behind it is caught. */
    g_autofree char *copy = g_memdup2(bytes, length);
    struct diagnostics *diagnostics = diagnostics_new();
    config_check_text(file, copy, length, diagnostics);
    char *text = diagnostics_format(diagnostics);
    g_assert_cmpint(diagnostics_any(diagnostics), ==, *text != '\0');
    diagnostics_free(diagnostics);
    return text;
}

G_GNUC_UNUSED static char *diagnose(const char *file, const char *text)
{
    return diagnose_bytes(file, text, strlen(text));
}

struct verdict {
    const char *text;
    const char *diagnostics; /* all of it; "" = good */
};

G_GNUC_UNUSED static void assert_verdicts(const char *file, const struct verdict *verdicts,
                                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        g_autofree char *found = diagnose(file, verdicts[i].text);
        g_assert_cmpstr(found, ==, verdicts[i].diagnostics);
    }
}

/* Of repo_config_to_json(): no section has secrets. */
G_GNUC_UNUSED static const char *const no_files[] = {NULL};

/* One line of a section each, with what it earns; the position is 3:<column>. */
struct line {
    const char *line, *column, *message;
};

G_GNUC_UNUSED static void assert_lines(const struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        g_autofree char *text = g_strdup_printf("[a]\npath = '/a'\n%s\n", lines[i].line);
        g_autofree char *found = diagnose("Repo.toml", text);
        g_autofree char *expected =
            *lines[i].message
                ? g_strdup_printf("Repo.toml:3:%s: %s", lines[i].column, lines[i].message)
                : g_strdup("");
        g_assert_cmpstr(found, ==, expected);
    }
}

/* A config directory of its own, with the two files unless NULL. */
G_GNUC_UNUSED static char *make_directory(const char *repo_toml, const char *config_toml)
{
    char *directory = g_dir_make_tmp("phantom_ci-config-XXXXXX", NULL);
    g_autofree char *repo_path = g_build_filename(directory, "Repo.toml", NULL);
    g_autofree char *config_path = g_build_filename(directory, "config.toml", NULL);
    g_assert_true(!repo_toml || g_file_set_contents_full(repo_path, repo_toml, -1,
                                                         G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_assert_true(!config_toml || g_file_set_contents_full(config_path, config_toml, -1,
                                                           G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    return directory;
}

G_GNUC_UNUSED static void remove_directory(char *directory)
{
    g_assert_true(file_remove_tree_at_path(directory, NULL));
    g_free(directory);
}

/* Both texts as files, which must be good. */
G_GNUC_UNUSED static struct config *load_good(const char *repo_toml, const char *config_toml)
{
    char *directory = make_directory(repo_toml, config_toml);
    struct diagnostics *diagnostics = diagnostics_new();
    struct config *config = config_load(directory, diagnostics);
    g_autofree char *text = diagnostics_format(diagnostics);
    g_assert_cmpstr(text, ==, "");
    g_assert_nonnull(config);
    diagnostics_free(diagnostics);
    remove_directory(directory);
    return config;
}

/* The only section of a good Repo.toml; free the config. */
G_GNUC_UNUSED static const struct repo_config *only_repo(const struct config *config)
{
    g_assert_cmpuint(config->repos->len, ==, 1);
    return g_ptr_array_index(config->repos, 0);
}

G_GNUC_UNUSED static void assert_list(char *const *list, const char *joined)
{
    g_autofree char *found = g_strjoinv("|", (char **)list);
    g_assert_cmpstr(found, ==, joined);
}

#endif
