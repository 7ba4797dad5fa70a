/* What the tests of src/git/ share: a directory of their own, a repository in it, git by hand. */
#ifndef PHANTOM_CI_TESTS_GIT_FIXTURE_H
#define PHANTOM_CI_TESTS_GIT_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/spawn.h"
#include "git/command.h"

struct fixture {
    char *root;   /* removed at the end */
    char *cache;  /* root/cache */
    char *source; /* root/source: a repository with a work tree */
    char *url;    /* file://source */
};

G_GNUC_UNUSED static char *path_in(const char *directory, const char *name)
{
    return g_build_filename(directory, name, NULL);
}

/* Runs a program to its end in `directory`; its trimmed output. A failure fails the test, unless
 * `status`. */
G_GNUC_UNUSED static char *run_in(const char *directory, const char *const *argv, int *status)
{
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = 1 << 24,
                                        .err_limit_bytes = 1 << 16,
                                        .timeout_ms = 60000,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    options.spawn.directory = directory;
    struct spawn_result result = {0};
    GError *error = NULL;
    bool ok = spawn_run(&options, &result, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    if (status)
        *status = result.wait_status;
    else if (result.wait_status != 0)
        g_error("%s failed in %s: %s%s", argv[0], directory, result.out, result.err);
    char *out = g_strdup(result.out);
    spawn_result_clear(&result);
    return g_strchomp(out);
}

/* A shell line: tests say what they do in the words of their reader. */
G_GNUC_UNUSED G_GNUC_PRINTF(2, 3) static char *sh(const char *directory, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    const char *argv[] = {"/bin/sh", "-ec", line, NULL};
    return run_in(directory, argv, NULL);
}

/* The environment of the whole test program: nothing of this machine's or user's configuration
 * counts. */
G_GNUC_UNUSED static void fixture_isolate(const char *home)
{
    static const char *const hostile[] = {"GIT_DIR",          "GIT_WORK_TREE",    "GIT_INDEX_FILE",
                                          "GIT_CONFIG_COUNT", "GIT_SSH",          "GIT_SSH_COMMAND",
                                          "XDG_CONFIG_HOME",  "GIT_SSL_CAINFO",   "SSL_CERT_FILE",
                                          "SSL_CERT_DIR",     "GIT_CONFIG_GLOBAL"};
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++)
        g_unsetenv(hostile[i]);
    g_setenv("HOME", home, TRUE);
    g_setenv("GIT_CONFIG_NOSYSTEM", "1", TRUE);
}

G_GNUC_UNUSED static void fixture_init(struct fixture *fixture)
{
    GError *error = NULL;
    fixture->root = g_dir_make_tmp("phantom_ci-git-XXXXXX", &error);
    g_assert_no_error(error);
    fixture_isolate(fixture->root);
    fixture->cache = path_in(fixture->root, "cache");
    fixture->source = path_in(fixture->root, "source");
    fixture->url = g_strconcat("file://", fixture->source, NULL);
    g_autofree char *config = path_in(fixture->root, ".gitconfig");
    g_file_set_contents(
        config,
        "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n"
        "[protocol \"file\"]\nallow = always\n[commit]\ngpgSign = false\n",
        -1, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_mkdir(fixture->cache, 0700), ==, 0);
    g_free(sh(fixture->root, "git init -q source"));
}

G_GNUC_UNUSED static void fixture_clear(struct fixture *fixture)
{
    GError *error = NULL;
    file_remove_tree_at_path(fixture->root, &error);
    g_assert_no_error(error);
    g_free(fixture->root);
    g_free(fixture->cache);
    g_free(fixture->source);
    g_free(fixture->url);
}

/* Commits everything in the source after running a shell line there; the new SHA. */
G_GNUC_UNUSED static char *commit(struct fixture *fixture, const char *line)
{
    g_free(sh(fixture->source, "%s", line));
    return sh(fixture->source,
              "git add -A; git commit -q --allow-empty -m 'subject line'; git rev-parse HEAD");
}

G_GNUC_UNUSED static void write_text(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = path_in(directory, name);
    GError *error = NULL;
    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

G_GNUC_UNUSED static char *read_text(const char *directory, const char *name)
{
    g_autofree char *path = path_in(directory, name);
    char *text = NULL;
    GError *error = NULL;
    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

G_GNUC_UNUSED static bool exists(const char *directory, const char *name)
{
    g_autofree char *path = path_in(directory, name);
    struct stat status;
    return lstat(path, &status) == 0;
}

/* A program of this name, first in PATH, that runs a shell script; PATH is set until
 * restore_path(). */
G_GNUC_UNUSED static char *fake_program(struct fixture *fixture, const char *name,
                                        const char *script)
{
    char *old = g_strdup(g_getenv("PATH"));
    g_autofree char *bin = path_in(fixture->root, "bin");
    g_mkdir(bin, 0755);
    g_autofree char *path = path_in(bin, name);
    g_autofree char *text = g_strconcat("#!/bin/sh\n", script, "\n", NULL);
    GError *error = NULL;
    g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, &error);
    g_assert_no_error(error);
    g_autofree char *new_path = g_strconcat(bin, ":", old, NULL);
    g_setenv("PATH", new_path, TRUE);
    return old;
}

G_GNUC_UNUSED static void restore_path(char *old)
{
    g_setenv("PATH", old, TRUE);
    g_free(old);
}

#define assert_error_code(error, expected)                                                         \
    do {                                                                                           \
        g_assert_nonnull(error);                                                                   \
        if ((error)->code != (int)(expected))                                                      \
            g_error("%s:%d: code %d instead of %s: %s", __FILE__, __LINE__, (error)->code,         \
                    #expected, (error)->message);                                                  \
    } while (0)

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            g_error("%s:%d: \"%s\" is not in: %s", __FILE__, __LINE__, (part), (text));            \
    } while (0)

#endif
