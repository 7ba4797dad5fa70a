/*
 * The database of the original phantom_ci (db.sqlite): the last commit that it saw of each branch.
 * Its table jobs has one row a repository and branch: repo (the URL as in Repo.toml), target_branch
 * (since 0.2; before, there was none), sha. Foreign bytes: read only, nothing in the schema acts,
 * every value is bounded and checked.
 */
#ifndef PHANTOM_CI_STORE_ORIGINAL_H
#define PHANTOM_CI_STORE_ORIGINAL_H

#include <glib.h>

struct original_tip {
    char *path;   /* as in the original's Repo.toml */
    char *branch; /* NULL when the database is so old that it names none */
    char *sha;
};

/* The newest row of each repository and branch. *ignored counts rows whose values are nothing that
 * the original wrote. ERROR_NOT_FOUND without the file, ERROR_INVALID when it is no such database,
 * ERROR_BUSY while it is locked. */
GPtrArray *original_tips_load(const char *path, unsigned *ignored, GError **error);

#endif
