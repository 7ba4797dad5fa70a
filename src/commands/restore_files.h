/*
 * The files of a restore: the configuration, which is staged beside the present one and renamed
 * into place, and the logs. What is replaced is kept under a name that ends in
 * ".before-restore-<UTC time>".
 */
#ifndef PHANTOM_CI_COMMANDS_RESTORE_FILES_H
#define PHANTOM_CI_COMMANDS_RESTORE_FILES_H

#include <glib.h>
#include <stdbool.h>

#include "base/paths.h"
#include "store/backup.h"

#define RESTORE_ERROR (g_quark_from_static_string("phantom-ci-restore"))

enum restore_action {
    RESTORE_LEAVE,  /* it is not in the backup, or is there already, byte for byte */
    RESTORE_WRITE,  /* new, or another one is kept and replaced */
    RESTORE_REMOVE, /* there was none when the backup was made: the present one is kept aside */
};

struct restore_file {
    const char *name; /* "Repo.toml" */
    char *target;     /* the file itself, behind a link of that name */
    char *staged;     /* beside it */
    char *kept;       /* the present one's other name */
    char *bytes;      /* NULL = not in the backup */
    size_t length;
    unsigned mode;
    bool exists; /* at present */
    bool placed; /* it is as in the backup now */
    enum restore_action action;
};

/* Repo.toml, config.toml and .env of the backup, compared with the present ones: an array of struct
 * restore_file *. `stamp` ends the names of what is kept. */
GPtrArray *restore_files_load(struct backup *backup, const struct paths *paths, const char *stamp,
                              GError **error);

/* Writes the new ones beside the present ones, synced. */
bool restore_files_stage(const GPtrArray *files, GError **error);
/* One rename each, after which `placed` is set; done again it changes nothing. */
bool restore_files_place(const GPtrArray *files, GError **error);
/* Removes what was staged and not placed. */
void restore_files_drop(const GPtrArray *files);

/* Moves logs/<job> of the state directory to `kept`/<job>. */
bool restore_log_set_aside(const struct paths *paths, const char *job, const char *kept,
                           GError **error);
/* Moves all of them back, and removes `kept`; the number of those that could not be moved. */
unsigned restore_logs_put_back(const struct paths *paths, const char *kept);
/* Moves each <job> of `staged` into logs/, where there is none yet; *count of them. *all when none
 * is left, also where a failure to sync follows. */
bool restore_logs_place(const struct paths *paths, const char *staged, unsigned *count, bool *all,
                        GError **error);

bool restore_sync_directory(const char *path, GError **error);

#endif
