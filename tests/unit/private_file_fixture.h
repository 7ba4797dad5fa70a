/* One file of a mode that a test chooses, in a directory of its own. */
#ifndef PHANTOM_CI_TESTS_PRIVATE_FILE_FIXTURE_H
#define PHANTOM_CI_TESTS_PRIVATE_FILE_FIXTURE_H

#include <glib.h>
#include <sys/stat.h>

#include "base/file.h"

struct site {
    char *directory, *path;
};

/* Without a `text` there is no file. */
static inline struct site make_site(const char *text, mode_t mode)
{
    struct site site = {g_dir_make_tmp("private-XXXXXX", NULL), NULL};
    g_assert_nonnull(site.directory);
    site.path = g_build_filename(site.directory, "ci.env", NULL);
    if (text) {
        g_assert_true(g_file_set_contents(site.path, text, -1, NULL));
        g_assert_cmpint(chmod(site.path, mode), ==, 0);
    }
    return site;
}

static inline void remove_site(struct site *site)
{
    g_assert_true(file_remove_tree_at_path(site->directory, NULL));
    g_free(site->directory);
    g_free(site->path);
}

#endif
