/*
 * Putting another database in the place of the present one, for a restore.
 *
 * 1. replacement_begin() takes the present database out of use: what is in its log goes into the
 *    file, and nobody else can open it. An absent or damaged one is no obstacle.
 * 2. replacement_finish() keeps the present file under another name and renames the fresh one into
 *    its place. At every instant `path` is the one or the other, whole (a damaged one is out of
 *    the way for a moment). *finished says which, also after a failure: then the new one is there,
 *    and may not be there any more after a power cut.
 * 3. replacement_free(), also to give up: the present database is then as it was.
 */
#ifndef PHANTOM_CI_STORE_REPLACE_H
#define PHANTOM_CI_STORE_REPLACE_H

#include "store/store.h"

struct replacement;

/* ERROR_BUSY when another process has it open. */
struct replacement *replacement_begin(const char *path, GError **error);
/* The present database, for questions alone; NULL when it is absent or damaged. */
struct store *replacement_present(struct replacement *replacement);
bool replacement_finish(struct replacement *replacement, const char *fresh, const char *kept,
                        bool *finished, GError **error);
void replacement_free(struct replacement *replacement);

/* The highest number that a job was ever given; 0 = none. */
bool store_job_last_number(struct store *store, int64_t *number, GError **error);
/* Jobs to come get higher numbers than this one. */
bool store_job_number_above(struct store *store, int64_t number, GError **error);

#endif
