/*
 * Which changed files ask for a run: the patterns of `paths`. Pure.
 *
 *   *        anything but '/'               ?        one character but '/'
 *   **       anything                       [a-z]    one of these, [!a-z] none of them, never '/'
 *   ** /     (without the blank, where a part of the path begins) any directories, or none
 *   \x       the character x itself         !x       (in front of a pattern) not what x matches
 *
 * A pattern is for the whole path, from the root of the repository. One without any of these signs
 * is a file or a directory with all that is in it; a '/' at the end makes it a directory in any
 * case. The last pattern that matches a path decides, so the order counts. When all of them begin
 * with '!', every other path matches.
 *
 * A match takes time in proportion to the length of the pattern times that of the path.
 */
#ifndef PHANTOM_CI_CONFIG_PATH_FILTER_H
#define PHANTOM_CI_CONFIG_PATH_FILTER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum { PATH_PATTERN_MAX_BYTES = 1024 };

/* False with `why` in words (free with g_free()) for what is no pattern, or could never match. */
bool path_filter_check(const char *pattern, char **why);

struct path_filter;

/* Patterns that path_filter_check() refuses are left out. */
struct path_filter *path_filter_new(const char *const *patterns);
void path_filter_free(struct path_filter *filter);

/* `path`: as git tells it, relative to the root, any bytes. */
bool path_filter_matches(const struct path_filter *filter, const char *path, size_t length);

#endif
