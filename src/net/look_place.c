#include "net/look_place.h"

#include <string.h>

#include "base/error.h"
#include "git/url.h"
#include "net/protocol.h"

static const char *const questions[] = {
    [LOOK_COMMAND] = "git-upload-pack",
    [LOOK_ADVERTISEMENT] = "info/refs?service=git-upload-pack",
};

static char *origin_of(const struct url *url)
{
    const char *scheme = url_scheme_protocol(url->scheme);
    const char *port = url->port ? url->port : url->scheme == URL_HTTPS ? "443" : "80";
    return g_strdup_printf("%s://%s:%s", scheme, url->host,
                           port + MIN(strspn(port, "0"), strlen(port) - 1));
}

bool look_place_parse(const char *url, struct look_place *place, GError **error)
{
    struct url parts;
    *place = (struct look_place){.base = NULL};
    if (!url_parse(url, &parts, error)) {
        return false;
    }
    if (parts.scheme != URL_HTTP && parts.scheme != URL_HTTPS) {
        g_set_error_literal(error, NET_ERROR, ERROR_INVALID,
                            "the address begins with neither http:// nor https://");
        url_clear(&parts);
        return false;
    }
    const char *authority = strstr(url, "://") + 3;
    const char *slash = strchr(authority, '/');
    const char *host = parts.user ? authority + strlen(parts.user) + 1 : authority;
    size_t scheme_length = (size_t)(authority - url);
    place->base = g_strdup_printf("%.*s%s%s", (int)scheme_length, url, host,
                                  g_str_has_suffix(slash, "/") ? "" : "/");
    place->path = place->base + scheme_length + (slash - host);
    place->origin = origin_of(&parts);
    place->user = g_steal_pointer(&parts.user);
    url_clear(&parts);
    return true;
}

void look_place_clear(struct look_place *place)
{
    g_free(place->base);
    g_free(place->origin);
    g_free(place->user);
    *place = (struct look_place){.base = NULL};
}

char *look_place_name(const struct look_place *place)
{
    return g_strndup(place->base, strlen(place->base) - 1);
}

char *look_place_address(const struct look_place *place, enum look_question question)
{
    return g_strconcat(place->base, questions[question], NULL);
}

static bool is_secure(const struct look_place *place)
{
    return g_str_has_prefix(place->origin, "https:");
}

/* http://host:80 and https://host:443 of one host. */
static bool is_upgrade(const struct look_place *from, const struct look_place *to)
{
    if (is_secure(from) || !is_secure(to)) {
        return false;
    }
    g_autofree char *plain = g_strconcat("http", to->origin + strlen("https"), NULL);
    size_t length = strlen(plain);
    return g_str_has_suffix(plain, ":443") && g_str_has_suffix(from->origin, ":80") &&
           strncmp(plain, from->origin, length - strlen("443")) == 0;
}

enum look_redirect look_place_redirect(const struct look_place *from, enum look_question question,
                                       const char *target, enum look_follow follow,
                                       struct look_place *to)
{
    *to = (struct look_place){.base = NULL};
    if (!g_str_has_suffix(target, questions[question])) {
        return LOOK_REDIRECT_NOWHERE;
    }
    g_autofree char *base = g_strndup(target, strlen(target) - strlen(questions[question]));
    if (!g_str_has_suffix(base, "/") || !look_place_parse(base, to, NULL)) {
        return LOOK_REDIRECT_NOWHERE;
    }
    if (to->user) {
        look_place_clear(to);
        return LOOK_REDIRECT_NOWHERE;
    }
    if (is_secure(from) && !is_secure(to)) {
        return LOOK_REDIRECT_DOWNGRADE;
    }
    bool is_near = strcmp(from->origin, to->origin) == 0 || is_upgrade(from, to);
    bool goes = follow == LOOK_FOLLOW_ALL || (follow == LOOK_FOLLOW_HOST && is_near);
    if (goes && strcmp(from->origin, to->origin) == 0) {
        to->user = g_strdup(from->user);
    }
    return goes ? LOOK_REDIRECT_GO : LOOK_REDIRECT_ELSEWHERE;
}
