#include "poll/roads.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/wipe.h"
#include "git/refset.h"
#include "git/url.h"
#include "poll/files.h"
#include "poll/git_looks.h"
#include "poll/helper.h"
#include "poll/logins.h"

enum {
    BUSY_PAUSE_MS = 60 * 1000, /* when a server is asked too often, and does not say for how long */
    HELPER_WAIT_MS = 1000,     /* for a helper's next start; rather than longer, git is asked */
    NET_CONNECTIONS_MAX = 64,  /* to one host, as phantom_ci-net has it */
    LOGIN_WAIT_MS = 5 * 60 * 1000,
    LOGIN_AGAIN_MS = 1000, /* while too many others are asked for */
};

struct roads {
    struct roads_events events;
    struct git_settings *settings;
    struct files *files;
    struct git_looks *git;
    struct helper *helpers[AGENDA_LANES]; /* NULL for the lanes that have none */
    struct logins *logins;
    char **net_arguments;
};

static void end(struct roads *roads, struct tracked *tracked, const struct look_answer *answer)
{
    roads->events.over(tracked, answer, roads->events.data);
}

static void end_again(struct roads *roads, struct tracked *tracked, int64_t not_before_ms)
{
    const struct look_answer answer = {.end = LOOK_AGAIN, .not_before_ms = not_before_ms};
    end(roads, tracked, &answer);
}

/* ------------------------------------------------------------------------------------- git */

static void git_is_over(void *owner, GHashTable *refs, const GError *error, void *data)
{
    struct tracked *tracked = owner;
    const struct look_answer answer = {
        .end = refs ? LOOK_REFS : LOOK_FAILED, .refs = refs, .error = error};
    road_git_ended(&tracked->road, refs != NULL, clock_monotonic_ms());
    if (refs && tracked->files) {
        files_git_answered(tracked);
    }
    end(data, tracked, &answer);
}

static void begin_git(struct roads *roads, struct tracked *tracked)
{
    g_autoptr(GError) error = NULL;
    bool no_redirects = git_settings_redirects_leak(roads->settings, tracked->remote->url);
    if (!git_looks_begin(roads->git, tracked, tracked->remote, no_redirects, &error)) {
        git_is_over(tracked, NULL, error, roads);
    }
}

/* ----------------------------------------------------------------------------------- files */

static void look_at_files(struct roads *roads, struct tracked *tracked)
{
    g_autoptr(GHashTable) refs = NULL;
    g_autoptr(GError) error = NULL;
    struct look_answer answer = {.end = LOOK_AGAIN};
    switch (files_look(tracked, &refs, &error)) {
    case LOCAL_REFS_SAME:
    case LOCAL_REFS_READ:
        answer.end = refs ? LOOK_REFS : LOOK_SAME;
        answer.refs = refs;
        road_went_well(&tracked->road, NET_ROAD_UNKNOWN, "");
        files_watch(roads->files, tracked);
        break;
    case LOCAL_REFS_ASK_GIT:
        road_use_git(&tracked->road, ROAD_DETOUR_ONCE, error->message);
        break;
    case LOCAL_REFS_FAILED:
        answer.end = LOOK_FAILED;
        answer.error = error;
        files_unwatch(roads->files, tracked); /* what mends it may be nothing that is watched */
        break;
    }
    end(roads, tracked, &answer);
}

static void files_changed(struct tracked *tracked, void *data)
{
    struct roads *roads = data;
    roads->events.changed(tracked, roads->events.data);
}

/* --------------------------------------------------------------------------------- helpers */

/* What a helper says without the address in front of it, or the part of it that it names. */
static const char *words_of(const struct net_looked *looked, const char *url)
{
    size_t named = strcspn(looked->error, " ");
    named -= named > 0 && looked->error[named - 1] == ':' ? 1 : 0;
    bool is_address = named > 0 && strncmp(looked->error, url, named) == 0;
    const char *words = looked->error + (is_address ? named : 0);
    return words + strspn(words, ": ");
}

static GError *failure_of(const struct tracked *tracked, const struct net_looked *looked)
{
    g_autofree char *url = url_for_display(tracked->remote->url);
    const char *words = words_of(looked, url);
    if (looked->outcome == NET_LOOK_TIMEOUT) {
        return g_error_new(GIT_ERROR, ERROR_LIMIT, "%s did not answer within the time limit: %s",
                           url, words);
    }
    return g_error_new(GIT_ERROR, ERROR_REMOTE, "%s: %s", url, words);
}

static void helper_failed(struct roads *roads, struct tracked *tracked,
                          const struct net_looked *looked)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t pause_ms = looked->retry_after_ms;
    g_autoptr(GError) error = failure_of(tracked, looked);
    struct look_answer answer = {.end = LOOK_FAILED, .error = error};
    if (looked->outcome == NET_LOOK_BUSY) {
        pause_ms = pause_ms >= 0 ? pause_ms : BUSY_PAUSE_MS;
        answer.host_not_before_ms = now_ms + pause_ms;
    }
    answer.not_before_ms = pause_ms >= 0 ? now_ms + pause_ms : 0;
    road_set_moved_to(&tracked->road, looked->location);
    end(roads, tracked, &answer);
}

/* Its look waits until there is a login that works, or surely none. */
static void wants_login(struct roads *roads, struct tracked *tracked,
                        const struct net_looked *looked)
{
    if (!tracked->road.is_planned) {
        end_again(roads, tracked, 0); /* another configuration has come in between */
        return;
    }
    const char *url = *looked->location ? looked->location : tracked->road.plan.url;
    g_autofree char *key = git_settings_login_key(roads->settings, url);
    bool room = logins_have_room(roads->logins, key);
    int64_t now_ms = clock_monotonic_ms();
    end_again(roads, tracked, now_ms + (room ? LOGIN_WAIT_MS : LOGIN_AGAIN_MS));
    if (room) {
        logins_ask(roads->logins, tracked, key, url, looked->outcome == NET_LOOK_LOGIN_REFUSED);
    }
}

/* Without a login git is asked: it knows more ways (.netrc), and its words are those that users
 * know. */
static void login_settled(void *owner, const char *why, void *data)
{
    struct roads *roads = data;
    struct tracked *tracked = owner;
    if (why) {
        road_use_git(&tracked->road, ROAD_DETOUR_TRIAL, why);
    }
    roads->events.ready(tracked, roads->events.data);
}

static void helper_answered(void *owner, const struct net_looked *looked, GHashTable *refs,
                            void *data)
{
    struct roads *roads = data;
    struct tracked *tracked = owner;
    struct look_answer answer = {.end = refs ? LOOK_REFS : LOOK_SAME, .refs = refs};
    tracked->road.losses = 0;
    switch (looked->outcome) {
    case NET_LOOK_SAME:
    case NET_LOOK_REFS:
        logins_worked(roads->logins, tracked);
        road_went_well(&tracked->road, looked->road, looked->location);
        end(roads, tracked, &answer);
        return;
    case NET_LOOK_LOGIN:
    case NET_LOOK_LOGIN_REFUSED:
        wants_login(roads, tracked, looked);
        return;
    case NET_LOOK_USE_GIT:
        logins_drop(roads->logins, tracked);
        road_use_git_for_a_day(&tracked->road, looked->error, clock_monotonic_ms());
        end_again(roads, tracked, 0);
        return;
    case NET_LOOK_REFUSED:
    case NET_LOOK_NONSENSE:
        /* Git may know better; if not, its words are those that users know. */
        logins_drop(roads->logins, tracked);
        road_use_git(&tracked->road, ROAD_DETOUR_TRIAL, looked->error);
        end_again(roads, tracked, 0);
        return;
    case NET_LOOK_ABSENT:
    case NET_LOOK_MOVED:
    case NET_LOOK_BUSY:
    case NET_LOOK_UNREACHABLE:
    case NET_LOOK_TIMEOUT:
    case NET_LOOK_UNTRUSTED:
    case NET_LOOK_FAILED:
        break;
    }
    logins_drop(roads->logins, tracked);
    helper_failed(roads, tracked, looked);
}

static void helper_lost(void *owner, const char *why, void *data)
{
    struct roads *roads = data;
    struct tracked *tracked = owner;
    logins_drop(roads->logins, tracked);
    road_lost_helper(&tracked->road, why, clock_monotonic_ms());
    end_again(roads, tracked, helper_ready_ms(roads->helpers[tracked->item.lane]));
}

/* Through git for once, when the helper is not to be had so soon. */
static bool helper_is_away(struct roads *roads, struct tracked *tracked, struct helper *helper)
{
    int64_t wait_ms = helper_ready_ms(helper) - clock_monotonic_ms();
    if (wait_ms <= 0) {
        return false;
    }
    if (wait_ms > HELPER_WAIT_MS) {
        road_use_git(&tracked->road, ROAD_DETOUR_ONCE, "its helper program ends again and again");
    }
    end_again(roads, tracked, wait_ms > HELPER_WAIT_MS ? 0 : helper_ready_ms(helper));
    return true;
}

static void begin_helper(struct roads *roads, struct tracked *tracked, struct helper *helper,
                         int64_t timeout_ms)
{
    if (helper_is_away(roads, tracked, helper)) {
        return;
    }
    const struct net_look look = {
        .url = tracked->road.plan.url,
        .wanted = tracked->remote->wanted_lines,
        .known = tracked->known,
        .options = tracked->road.plan.options,
        .road = tracked->road.spoken,
        .timeout_ms = MIN(timeout_ms, NET_TIMEOUT_MAX_MS),
    };
    g_autoptr(GError) error = NULL;
    if (helper_begin(helper, tracked, &look, &error)) {
        return;
    }
    if (error_has_code(error, ERROR_INVALID)) {
        road_use_git(&tracked->road, ROAD_DETOUR_TRIAL, error->message);
        end_again(roads, tracked, 0);
    } else {
        helper_lost(tracked, error->message, roads);
    }
}

/* What a look over http needs of this process's environment: as git gets it. */
static const char *const net_environment[] = {
    "http_proxy", "https_proxy",    "HTTPS_PROXY",   "all_proxy",    "ALL_PROXY", "no_proxy",
    "NO_PROXY",   "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR", NULL};

static const char *const ssh_environment[] = {"PATH",   "HOME",          "USER", "LOGNAME",
                                              "TMPDIR", "SSH_AUTH_SOCK", NULL};

static int open_login_pipe(void *data)
{
    struct roads *roads = data;
    return logins_open_pipe(roads->logins);
}

static struct helper *make_helper(struct roads *roads, enum agenda_lane lane)
{
    struct helper_setup setup = {
        .program = lane == LANE_SSH ? "phantom_ci-ssh" : "phantom_ci-net",
        .arguments = lane == LANE_SSH ? NULL : (const char *const *)roads->net_arguments,
        .environment = lane == LANE_SSH ? ssh_environment : net_environment,
        .pass_fd = lane == LANE_SSH ? NULL : open_login_pipe,
        .answered = helper_answered,
        .lost = helper_lost,
        .data = roads,
    };
    return helper_new(&setup);
}

/* ------------------------------------------------------------------------------------ looks */

static void add_option(struct git_plan *plan, const char *option)
{
    char *before = plan->options;
    plan->options = g_strconcat(before ? before : "", before && *before ? "\n" : "", option, NULL);
    wipe_free_string(&before);
}

/* What is not of git's configuration. */
static void add_options(struct git_plan *plan, const struct tracked *tracked, unsigned host_at_once)
{
    if (tracked->road.lane == LANE_SSH && tracked->remote->ssh_key_path) {
        g_autofree char *option = g_strconcat("key=", tracked->remote->ssh_key_path, NULL);
        add_option(plan, option);
    } else if (tracked->road.lane == LANE_NET && !plan->why_git) {
        g_autofree char *option =
            g_strdup_printf("maxConnections=%u", MIN(host_at_once, NET_CONNECTIONS_MAX));
        add_option(plan, option);
    }
}

void roads_plan(struct roads *roads, struct tracked *tracked, unsigned host_at_once)
{
    struct git_plan plan;
    git_settings_plan(roads->settings, tracked->remote->url, &plan);
    add_options(&plan, tracked, host_at_once);
    road_plan(&tracked->road, &plan);
}

void roads_begin(struct roads *roads, struct tracked *tracked, enum agenda_lane lane,
                 int64_t timeout_ms)
{
    switch (lane) {
    case LANE_FILES:
        look_at_files(roads, tracked);
        return;
    case LANE_NET:
    case LANE_SSH:
        begin_helper(roads, tracked, roads->helpers[lane], timeout_ms);
        return;
    case LANE_GIT:
    case AGENDA_LANES:
        break;
    }
    begin_git(roads, tracked);
}

void roads_drop(struct roads *roads, struct tracked *tracked)
{
    git_looks_drop(roads->git, tracked);
    logins_drop(roads->logins, tracked);
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        if (roads->helpers[i]) {
            helper_drop(roads->helpers[i], tracked);
        }
    }
}

int64_t roads_overdue_ms(enum agenda_lane lane, int64_t begun_ms, int64_t timeout_ms)
{
    bool by_helper = lane == LANE_NET || lane == LANE_SSH;
    return begun_ms + timeout_ms + (by_helper ? ROADS_HELPER_GRACE_MS : 0);
}

void roads_end_overdue(struct roads *roads, struct tracked *tracked)
{
    struct helper *helper = roads->helpers[tracked->item.lane];
    if (helper) {
        helper_give_up(helper);
    } else {
        git_looks_end(roads->git, tracked);
    }
}

void roads_forget_files(struct roads *roads, struct tracked *tracked)
{
    files_forget(roads->files, tracked);
}

void roads_run(struct roads *roads, int64_t now_ms)
{
    logins_run(roads->logins, now_ms);
}

int64_t roads_next_due_ms(const struct roads *roads)
{
    return logins_next_due_ms(roads->logins);
}

void roads_add_fds(struct roads *roads, GArray *pollfds)
{
    logins_add_fds(roads->logins, pollfds);
    files_add_fds(roads->files, pollfds);
    git_looks_add_fds(roads->git, pollfds);
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        if (roads->helpers[i]) {
            helper_add_fds(roads->helpers[i], pollfds);
        }
    }
}

void roads_handle(struct roads *roads, const struct pollfd *fds, unsigned count)
{
    logins_handle(roads->logins, fds, count);
    files_handle(roads->files, fds, count);
    git_looks_handle(roads->git, fds, count);
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        if (roads->helpers[i]) {
            helper_handle(roads->helpers[i], fds, count);
        }
    }
}

/* -------------------------------------------------------------------------------- life cycle */

/* Only what is named at its start can be read by phantom_ci-net. */
static char **make_net_arguments(const struct git_settings *settings)
{
    GPtrArray *arguments = g_ptr_array_new();
    g_ptr_array_add(arguments, g_strdup("--looks"));
    for (const char *const *path = git_settings_authorities(settings); *path; path++) {
        g_ptr_array_add(arguments, g_strdup("--readable"));
        g_ptr_array_add(arguments, g_strdup(*path));
    }
    g_ptr_array_add(arguments, NULL);
    return (char **)g_ptr_array_free(arguments, FALSE);
}

bool roads_refresh(struct roads *roads)
{
    if (!git_settings_refresh(roads->settings)) {
        return false;
    }
    g_auto(GStrv) arguments = make_net_arguments(roads->settings);
    if (!g_strv_equal((const char *const *)arguments, (const char *const *)roads->net_arguments)) {
        helper_set_arguments(roads->helpers[LANE_NET], (const char *const *)arguments);
        g_strfreev(roads->net_arguments);
        roads->net_arguments = g_steal_pointer(&arguments);
    }
    return true;
}

struct roads *roads_new(const struct roads_events *events)
{
    struct roads *roads = g_new0(struct roads, 1);
    const struct git_looks_events git_events = {git_is_over, roads};
    const struct files_events files_events = {files_changed, roads};
    const struct logins_events login_events = {login_settled, roads};
    roads->events = *events;
    roads->settings = git_settings_new();
    roads->files = files_new(&files_events);
    roads->git = git_looks_new(&git_events);
    roads->logins = logins_new(&login_events);
    roads->net_arguments = make_net_arguments(roads->settings);
    roads->helpers[LANE_NET] = make_helper(roads, LANE_NET);
    roads->helpers[LANE_SSH] = make_helper(roads, LANE_SSH);
    return roads;
}

void roads_free(struct roads *roads)
{
    if (roads) {
        for (unsigned i = 0; i < AGENDA_LANES; i++) {
            helper_free(roads->helpers[i]);
        }
        git_looks_free(roads->git);
        logins_free(roads->logins);
        files_free(roads->files);
        git_settings_free(roads->settings);
        g_strfreev(roads->net_arguments);
        g_free(roads);
    }
}
