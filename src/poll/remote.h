/* The remotes behind the sections of Repo.toml: sections with one URL and one key share a remote.
 */
#ifndef PHANTOM_CI_POLL_REMOTE_H
#define PHANTOM_CI_POLL_REMOTE_H

#include <glib.h>
#include <stdint.h>

#include "config/config.h"
#include "git/look.h"

struct remote {
    char *url;
    char *ssh_key_path;    /* or NULL */
    GPtrArray *sections;   /* of const struct repo_config *, not owned */
    char **wanted;         /* full ref names and globs that any section asks for */
    int64_t interval_ms;   /* the shortest of its sections */
    int64_t due_ms;        /* monotonic; INT64_MAX while a look is under way */
    unsigned failures;     /* in a row */
    bool seen_well;        /* at least one good look since the start */
    bool again;            /* asked for while a look was under way */
    struct git_look *look; /* or NULL */
    int64_t look_begun_ms; /* monotonic */
    int64_t look_begun_utc_ms;
    int fds_at; /* where its two descriptors stand in the poll set, or -1 */
};

/* The remotes of a configuration, key -> struct remote *. Those of `old` (may be NULL) that stay
 * are moved over with their schedule and their look. */
GHashTable *remotes_from_config(const struct config *config, GHashTable *old, int64_t now_ms);

#endif
