/* What could not be cleaned or proved broken, out of the way: cache/trash/. */
#ifndef PHANTOM_CI_GIT_TRASH_H
#define PHANTOM_CI_GIT_TRASH_H

#include <glib.h>
#include <stdbool.h>

/* A name that is new in the trash, for something called `name`. Free with g_free(). */
char *trash_name(const char *name);

/* Renames `path` into cache_directory/trash/ under a new name. An absent path is success. */
bool trash_set_aside(const char *cache_directory, const char *path, GError **error);

/* Removes what can be removed; the number of entries left. */
unsigned trash_empty(const char *cache_directory);

#endif
