/*
 * A reserve against the full disk: a file of 1 MiB in the state directory that is given back to the
 * file system when a final state could otherwise not be written.
 */
#ifndef PHANTOM_CI_STORE_RESERVE_H
#define PHANTOM_CI_STORE_RESERVE_H

#include <glib.h>
#include <stdbool.h>

/* Makes the file if it is absent. Without room for it: ERROR_NO_SPACE, and no file. */
bool store_reserve_make(const char *state_directory, GError **error);

/* Removes it; true when there was one. */
bool store_reserve_release(const char *state_directory);

#endif
