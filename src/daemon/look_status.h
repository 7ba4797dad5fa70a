/*
 * What the daemon knows about its looks, for `repo`, `status` and `why`: one fixed-size record a
 * section in state/looks, rewritten in place. It is news, not a fact that must survive: no fsync,
 * and never in the database, so that a look without news writes nothing there.
 */
#ifndef PHANTOM_CI_DAEMON_LOOK_STATUS_H
#define PHANTOM_CI_DAEMON_LOOK_STATUS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { LOOK_STATUS_RECORD_BYTES = 1024 };

struct look_status {
    char *repo;           /* section */
    int64_t last_look_ms; /* begun; 0 = never */
    int64_t last_ok_ms;   /* ended well; 0 = never */
    int64_t next_look_ms; /* due; 0 = a look is under way */
    unsigned failures;    /* in a row */
    char *error;          /* of the last look, one line, cut to fit; NULL when it was well */
};
void look_status_free(struct look_status *status);

/* The daemon's side. Opening keeps the records of `repos` that exist already and drops the others.
 */
struct look_status_file;
struct look_status_file *look_status_open(const char *path, const char *const *repos,
                                          GError **error);
bool look_status_write(struct look_status_file *file, const struct look_status *status,
                       GError **error);
void look_status_close(struct look_status_file *file);

/* The reader's side: all records (struct look_status *) by repo; an absent file is an empty table.
 */
GHashTable *look_status_read(const char *path, GError **error);

#endif
