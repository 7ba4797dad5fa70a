/*
 * The roads to a remote: by which a look goes, and what earlier looks have taught. Pure.
 *
 *   files         a repository on this machine: its refs are read here, and watched
 *   http, https   phantom_ci-net
 *   ssh           phantom_ci-ssh
 *   git           a child running `git ls-remote`: for everything that the others can't
 *
 * Git is asked instead: always, when the user's git configuration or Repo.toml wants it; for a day,
 * when the remote needs what is not spoken here (servers are updated); or for one look, when the
 * other road gave no answer that could be used. When that one look goes well, the day begins.
 */
#ifndef PHANTOM_CI_POLL_ROAD_H
#define PHANTOM_CI_POLL_ROAD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "git/settings.h"
#include "net/look_protocol.h"
#include "poll/agenda.h"
#include "poll/remote.h"

enum { ROAD_GIT_FOR_MS = 24 * 60 * 60 * 1000, ROAD_LOSSES_ONCE = 2, ROAD_LOSSES_MAX = 6 };

enum road_detour {
    ROAD_DETOUR_NONE,
    ROAD_DETOUR_ONCE,  /* the next look goes by git */
    ROAD_DETOUR_TRIAL, /* the same; when it is a good one, so do those of a day */
};

struct road {
    /* Decided from the configurations: */
    enum agenda_lane lane;
    char *host; /* "host:port", whose limits count; NULL = this machine */
    bool is_planned;
    struct git_plan plan; /* once it is planned */
    /* Learned from looks: */
    enum net_road spoken;
    enum road_detour detour;
    int64_t git_until_ms; /* monotonic: until then `git ls-remote` */
    char *why_git;        /* in words, of a detour and of git_until_ms; or NULL */
    unsigned losses;      /* of the helper process, since it last answered a look of this remote */
    char *moved_to;       /* without user information; or NULL */
    bool is_watched;      /* files: changes are noticed at once */
};

/* Decides again for a new configuration; what was learned stays. road_plan() is to follow before
 * the next look. */
void road_decide(struct road *road, const struct remote *remote);
/* Takes over what git's configuration says of the remote's URL. */
void road_plan(struct road *road, struct git_plan *plan);
void road_release(struct road *road);

/* The road of the next look. */
enum agenda_lane road_lane(const struct road *road, int64_t now_ms);

/* What a look taught, as text that outlives the daemon, and back (NULL and nonsense = nothing). */
const char *road_learned(const struct road *road);
void road_remember(struct road *road, const char *learned, int64_t now_ms);

/* A good look by the road's own lane has ended. `location`: see moved_to; "" = none. */
void road_went_well(struct road *road, enum net_road spoken, const char *location);
/* A look by git has ended. */
void road_git_ended(struct road *road, bool good, int64_t now_ms);

/* The next look goes by git. */
void road_use_git(struct road *road, enum road_detour detour, const char *why);
/* All looks of a day. */
void road_use_git_for_a_day(struct road *road, const char *why, int64_t now_ms);
/* The helper was lost with the look: the next one goes there again, and after some losses by git.
 */
void road_lost_helper(struct road *road, const char *why, int64_t now_ms);
/* `location` may be "". */
void road_set_moved_to(struct road *road, const char *location);

/* For people: "files, watched", "http v2", "ssh", "git ls-remote (http.sslcert)". Free with
 * g_free(). */
char *road_describe(const struct road *road);

#endif
