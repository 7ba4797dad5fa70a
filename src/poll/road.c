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
    g_clear_pointer(&road->host, g_free);
    g_clear_pointer(&road->why_git, g_free);
    road->lane = LANE_GIT;
    if (!url_parse(remote->url, &url, NULL)) {
        return; /* git says what is wrong with it */
    }
    if (url.scheme != URL_FILE) {
        road->host =
            g_strdup_printf("%s:%s", url.host, url.port ? url.port : default_port(url.scheme));
    }
    if (!remote->by_git) {
        road->lane = lane_of(url.scheme);
    } else {
        road->why_git = g_strdup("road = \"git\"");
    }
    url_clear(&url);
}

void road_release(struct road *road)
{
    g_free(road->host);
    g_free(road->why_git);
    g_free(road->detour);
    g_free(road->moved_to);
}

enum agenda_lane road_lane(const struct road *road, int64_t now_ms)
{
    return now_ms < road->git_until_ms ? LANE_GIT : road->lane;
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

void road_learn(struct road *road, enum net_road spoken, const char *location)
{
    if (spoken != NET_ROAD_UNKNOWN) {
        road->spoken = spoken;
    }
    g_free(road->moved_to);
    road->moved_to = *location ? g_strdup(location) : NULL;
    road->git_until_ms = 0;
    g_clear_pointer(&road->detour, g_free);
}

void road_use_git(struct road *road, int64_t until_ms, const char *why)
{
    road->git_until_ms = MAX(road->git_until_ms, until_ms);
    g_free(road->detour);
    road->detour = g_strdup(why);
}

static char *describe_git(const struct road *road)
{
    const char *why = road->detour ? road->detour : road->why_git;
    return why ? g_strdup_printf("git ls-remote (%s)", why) : g_strdup("git ls-remote");
}

char *road_describe(const struct road *road)
{
    static const char *const versions[] = {
        [NET_ROAD_UNKNOWN] = "",     [NET_ROAD_V2] = " v2", [NET_ROAD_V2_SHA256] = " v2",
        [NET_ROAD_V2_ASKED] = " v2", [NET_ROAD_V0] = " v0", [NET_ROAD_GIT] = "",
    };
    if (road->detour || road->git_until_ms > 0) {
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
