#include "poll/road.h"

#include "git/url.h"

static const char *default_port(enum url_scheme scheme)
{
    switch (scheme) {
    case URL_HTTPS:
        return "443";
    case URL_HTTP:
        return "80";
    case URL_SSH:
        return "22";
    case URL_GIT:
        return "9418";
    case URL_FILE:
        break;
    }
    return "";
}

static enum agenda_lane lane_of(enum url_scheme scheme)
{
    switch (scheme) {
    case URL_HTTPS:
    case URL_HTTP:
        return LANE_NET;
    case URL_SSH:
        return LANE_SSH;
    case URL_FILE:
        return LANE_FILES;
    case URL_GIT:
        break;
    }
    return LANE_GIT;
}

void road_decide(struct road *road, const struct remote *remote)
{
    struct url url;
    git_plan_clear(&road->plan);
    g_clear_pointer(&road->host, g_free);
    road->is_planned = false;
    road->lane = LANE_GIT;
    if (!url_parse(remote->url, &url, NULL)) {
        return; /* git says what is wrong with it */
    }
    if (url.scheme != URL_FILE) {
        road->host =
            g_strdup_printf("%s:%s", url.host, url.port ? url.port : default_port(url.scheme));
    }
    road->lane = remote->by_git ? LANE_GIT : lane_of(url.scheme);
    url_clear(&url);
}

void road_plan(struct road *road, struct git_plan *plan)
{
    road->plan = *plan;
    *plan = (struct git_plan){.url = NULL};
    road->is_planned = true;
    if (road->plan.why_git) {
        road->lane = LANE_GIT;
    }
}

void road_release(struct road *road)
{
    git_plan_clear(&road->plan);
    g_free(road->host);
    g_free(road->why_git);
    g_free(road->moved_to);
}

enum agenda_lane road_lane(const struct road *road, int64_t now_ms)
{
    bool by_git = road->detour != ROAD_DETOUR_NONE || now_ms < road->git_until_ms;
    return by_git ? LANE_GIT : road->lane;
}

/* ------------------------------------------------------------------------------- learning */

static void set_text(char **text, const char *with)
{
    g_free(*text);
    *text = with && *with ? g_strdup(with) : NULL;
}

const char *road_learned(const struct road *road)
{
    return net_road_name(road->git_until_ms > 0 ? NET_ROAD_GIT : road->spoken);
}

void road_remember(struct road *road, const char *learned, int64_t now_ms)
{
    enum net_road spoken = NET_ROAD_UNKNOWN;
    if (!learned || !net_road_parse(learned, &spoken)) {
        return;
    }
    if (spoken == NET_ROAD_GIT) {
        road->git_until_ms = now_ms + ROAD_GIT_FOR_MS;
    } else {
        road->spoken = spoken;
    }
}

void road_set_moved_to(struct road *road, const char *location)
{
    set_text(&road->moved_to, location);
}

void road_went_well(struct road *road, enum net_road spoken, const char *location)
{
    if (spoken != NET_ROAD_UNKNOWN) {
        road->spoken = spoken;
    }
    road->git_until_ms = 0;
    road->losses = 0;
    set_text(&road->why_git, NULL);
    road_set_moved_to(road, location);
}

void road_git_ended(struct road *road, bool good, int64_t now_ms)
{
    if (good && road->detour == ROAD_DETOUR_TRIAL) {
        road->git_until_ms = now_ms + ROAD_GIT_FOR_MS;
    }
    road->detour = ROAD_DETOUR_NONE;
}

void road_use_git(struct road *road, enum road_detour detour, const char *why)
{
    road->detour = detour;
    set_text(&road->why_git, why);
}

void road_use_git_for_a_day(struct road *road, const char *why, int64_t now_ms)
{
    road->git_until_ms = now_ms + ROAD_GIT_FOR_MS;
    set_text(&road->why_git, why);
}

void road_lost_helper(struct road *road, const char *why, int64_t now_ms)
{
    road->losses++;
    if (road->losses >= ROAD_LOSSES_MAX) {
        road->losses = 0;
        road_use_git_for_a_day(road, why, now_ms);
    } else if (road->losses % ROAD_LOSSES_ONCE == 0) {
        road_use_git(road, ROAD_DETOUR_ONCE, why);
    }
}

/* ----------------------------------------------------------------------------- for people */

static char *describe_git(const struct road *road)
{
    const char *why = road->plan.why_git ? road->plan.why_git : road->why_git;
    return why ? g_strdup_printf("git ls-remote (%s)", why) : g_strdup("git ls-remote");
}

char *road_describe(const struct road *road)
{
    static const char *const versions[] = {
        [NET_ROAD_UNKNOWN] = "",     [NET_ROAD_V2] = " v2", [NET_ROAD_V2_SHA256] = " v2",
        [NET_ROAD_V2_ASKED] = " v2", [NET_ROAD_V0] = " v0", [NET_ROAD_GIT] = "",
    };
    if (road->why_git || road->git_until_ms > 0) {
        return describe_git(road);
    }
    switch (road->lane) {
    case LANE_FILES:
        return g_strdup(road->is_watched ? "files, watched" : "files");
    case LANE_NET:
        return g_strconcat("http", versions[road->spoken], NULL);
    case LANE_SSH:
        return g_strconcat("ssh", versions[road->spoken], NULL);
    case LANE_GIT:
    case AGENDA_LANES:
        break;
    }
    return describe_git(road);
}
