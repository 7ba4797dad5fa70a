/*
 * The remotes behind the sections of Repo.toml: sections with one URL and one key share a remote,
 * and a look at it. Pure.
 */
#ifndef PHANTOM_CI_POLL_REMOTE_H
#define PHANTOM_CI_POLL_REMOTE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct remote {
    char *url;
    char *ssh_key_path;  /* or NULL */
    GPtrArray *sections; /* of const struct repo_config *, not owned, in the order of the file */
    char **wanted;       /* the refs that any section asks for, as git/refset.h has them */
    char *wanted_lines;  /* the same, joined by newlines */
    int64_t interval_ms; /* the shortest of those of its sections that have one; INT64_MAX = none */
    bool is_automatic;   /* a section has poll_interval = "auto"; its bounds are: */
    int64_t least_ms, most_ms;
    bool by_git; /* a section has road = "git" */
};

/* The remotes of a configuration, key -> struct remote * (owned). The key is the same for the same
 * remote in every configuration. */
GHashTable *remotes_from_config(const struct config *config);

/* True when the same sections ask for the same of the same remote in both configurations. */
bool remote_is_asked_the_same(const struct remote *one, const struct remote *other);

/* The time between looks, when nothing has changed for `quiet_ms`. */
int64_t remote_interval_ms(const struct remote *remote, int64_t quiet_ms);

#endif
