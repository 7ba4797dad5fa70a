/*
 * The roads to a remote: by which a look goes, and what earlier looks have taught. Pure.
 *
 *   files         a repository on this machine: its refs are read here, and watched
 *   http, https   phantom_ci-net
 *   ssh           phantom_ci-ssh
 *   git           a child running `git ls-remote`: for everything that the others can't
 *
 * A road that failed because the remote needs what is not spoken there (net/look_protocol.h,
 * NET_LOOK_USE_GIT) is tried again after a day: servers are updated.
 */
#ifndef PHANTOM_CI_POLL_ROAD_H
#define PHANTOM_CI_POLL_ROAD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/look_protocol.h"
#include "poll/agenda.h"
#include "poll/remote.h"

enum { ROAD_GIT_FOR_MS = 24 * 60 * 60 * 1000 };

struct road {
    /* Decided from the configuration: */
    enum agenda_lane lane;
    char *host;    /* "host:port", whose limits count; NULL = this machine */
    char *why_git; /* in words, when git's own configuration asks for LANE_GIT; or NULL */
    /* Learned from looks: */
    enum net_road spoken;
    int64_t git_until_ms; /* monotonic: until then `git ls-remote` */
    char *detour;         /* in words: why the last look went by git all the same; or NULL */
    char *moved_to;       /* without user information; or NULL */
    bool is_watched;      /* files: changes are noticed at once */
};

/* Decides again for a new configuration; what was learned stays. */
void road_decide(struct road *road, const struct remote *remote);
void road_release(struct road *road);

/* The road of the next look. */
enum agenda_lane road_lane(const struct road *road, int64_t now_ms);

/* What a look taught, as text that outlives the daemon, and back (NULL and nonsense = nothing). */
const char *road_learned(const struct road *road);
void road_remember(struct road *road, const char *learned, int64_t now_ms);

/* A good look of a helper has come back. */
void road_learn(struct road *road, enum net_road spoken, const char *location);
/* The next looks go by git: for a day, or, with 0, the next one alone. */
void road_use_git(struct road *road, int64_t until_ms, const char *why);

/* For people: "files, watched", "http v2", "ssh", "git ls-remote (http.sslBackend is set)". Free
 * with g_free(). */
char *road_describe(const struct road *road);

#endif
