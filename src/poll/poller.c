#include "poll/poller.h"

#include <string.h>

#include "base/clock.h"
#include "poll/roads.h"
#include "poll/schedule.h"
#include "poll/tracked.h"

enum {
    /* A look that takes longer gives its place up, so that hung remotes starve nobody. */
    PATIENCE_MS = 5000,
    GIT_AT_MOST = 256,
    NET_AT_ONCE = 256,
    NET_AT_MOST = 2048,
    SSH_AT_ONCE = 64,
    SSH_AT_MOST = 512,
    AT_ONCE_IN_A_TURN = 256, /* then the loop sees to the rest of the world */
    SETTLE_MS = 3,           /* git moves several files at once */
    CHANGES_APART_MS = 25,   /* a repository that never rests is not looked at all the time */
    REFRESH_MS = 10 * 1000,  /* git's configuration is asked for changes at most so often */
    STUCK_MS = 60 * 1000,    /* beyond look_timeout */
};

struct poller {
    struct poller_callbacks callbacks;
    const struct config *config;
    GHashTable *remotes; /* key -> struct remote * */
    GHashTable *tracked; /* key -> struct tracked *; the keys are those of `remotes` */
    GHashTable *by_name; /* section -> struct tracked * */
    struct agenda *agenda;
    struct roads *roads;  /* NULL after poller_stop() */
    int64_t refreshed_ms; /* git's configuration */
};

static void put(struct poller *poller, struct tracked *tracked, int64_t due_ms, int64_t now_ms)
{
    int64_t slack_ms = schedule_slack(tracked_interval_ms(tracked, now_ms));
    agenda_put(poller->agenda, &tracked->item, due_ms, slack_ms, now_ms);
}

/* ------------------------------------------------------------------------ the end of a look */

static void look_is_over(struct tracked *tracked, const struct look_answer *answer, void *data)
{
    struct poller *poller = data;
    int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = MAX(answer->not_before_ms, tracked->item.due.at);
    agenda_end(poller->agenda, &tracked->item, now_ms);
    if (answer->end != LOOK_AGAIN) {
        due_ms = tracked_tell_ended(tracked, answer, &poller->callbacks, now_ms);
    }
    if (answer->host_not_before_ms > now_ms) {
        agenda_pause_host(poller->agenda, &tracked->item, answer->host_not_before_ms, now_ms);
    }
    put(poller, tracked, due_ms, now_ms);
}

/* What was written a moment ago may be the first of several files. */
static void files_changed(struct tracked *tracked, void *data)
{
    struct poller *poller = data;
    int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = MAX(now_ms + SETTLE_MS, tracked->item.begun_ms + CHANGES_APART_MS);
    if (tracked->item.state == AGENDA_UNDER_WAY) {
        tracked->again = true;
    } else if (tracked->item.state == AGENDA_SCHEDULED && due_ms < tracked->item.due.at) {
        agenda_put(poller->agenda, &tracked->item, due_ms, 0, now_ms);
    }
}

static void look_is_ready(struct tracked *tracked, void *data)
{
    struct poller *poller = data;
    int64_t now_ms = clock_monotonic_ms();
    if (tracked->item.state == AGENDA_UNDER_WAY) {
        tracked->again = true;
    } else if (tracked->item.state != AGENDA_READY) {
        put(poller, tracked, now_ms, now_ms);
    }
}

/* ---------------------------------------------------------------------- the begin of a look */

static void decide_all_again(struct poller *poller)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, poller->tracked);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct tracked *tracked = value;
        road_decide(&tracked->road, tracked->remote);
    }
}

/* Before looks that git's configuration has a say in. */
static void refresh(struct poller *poller, int64_t now_ms)
{
    if (now_ms - poller->refreshed_ms >= REFRESH_MS) {
        poller->refreshed_ms = now_ms;
        if (roads_refresh(poller->roads)) {
            decide_all_again(poller);
        }
    }
}

static void begin_look(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    refresh(poller, now_ms);
    if (!tracked->road.is_planned) {
        roads_plan(poller->roads, tracked, poller->config->max_looks_per_host);
    }
    enum agenda_lane lane = road_lane(&tracked->road, now_ms);
    if (lane != tracked->item.lane) {
        int64_t due_ms = tracked->item.due.at;
        agenda_end(poller->agenda, &tracked->item, now_ms);
        agenda_set_lane(poller->agenda, &tracked->item, lane, now_ms);
        put(poller, tracked, due_ms, now_ms);
        return;
    }
    tracked->begun_utc_ms = clock_now_ms();
    if (lane != LANE_FILES) {
        tracked_tell_begun(tracked, &poller->callbacks);
    }
    roads_begin(poller->roads, tracked, lane, poller->config->look_timeout_ms);
}

static int64_t overdue_ms(const struct poller *poller, enum agenda_lane lane)
{
    const struct agenda_item *oldest = agenda_oldest(poller->agenda, lane);
    return oldest ? roads_overdue_ms(lane, oldest->begun_ms, poller->config->look_timeout_ms)
                  : INT64_MAX;
}

void poller_run(struct poller *poller, int64_t now_ms)
{
    for (unsigned lane = 0; lane < AGENDA_LANES; lane++) {
        while (overdue_ms(poller, lane) <= now_ms) {
            roads_end_overdue(poller->roads, (struct tracked *)agenda_oldest(poller->agenda, lane));
        }
    }
    roads_run(poller->roads, now_ms);
    for (unsigned i = 0; i < AT_ONCE_IN_A_TURN; i++) {
        struct agenda_item *item = agenda_next(poller->agenda, now_ms);
        if (!item) {
            return;
        }
        begin_look(poller, (struct tracked *)item, now_ms);
    }
}

int64_t poller_next_due_ms(const struct poller *poller, int64_t now_ms)
{
    int64_t due_ms = MIN(agenda_wake_ms(poller->agenda, now_ms), roads_next_due_ms(poller->roads));
    for (unsigned lane = 0; lane < AGENDA_LANES; lane++) {
        due_ms = MIN(due_ms, overdue_ms(poller, lane));
    }
    return due_ms;
}

void poller_add_fds(struct poller *poller, GArray *pollfds)
{
    if (poller->roads) {
        roads_add_fds(poller->roads, pollfds);
    }
}

void poller_handle(struct poller *poller, const struct pollfd *fds, unsigned count)
{
    if (poller->roads) {
        roads_handle(poller->roads, fds, count);
    }
}

/* ---------------------------------------------------------------------------- configuration */

static void drop_look(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    if (tracked->item.state == AGENDA_UNDER_WAY) {
        roads_drop(poller->roads, tracked);
        agenda_end(poller->agenda, &tracked->item, now_ms);
    }
}

static void forget(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    drop_look(poller, tracked, now_ms);
    roads_drop(poller->roads, tracked); /* it may wait for a login */
    roads_forget_files(poller->roads, tracked);
    agenda_remove(poller->agenda, &tracked->item, now_ms);
    tracked_free(tracked);
}

/* The remote stays: so does its schedule, unless the new interval is shorter or a section is new.
 */
static void keep(struct poller *poller, struct tracked *tracked, const struct remote *remote,
                 int64_t now_ms)
{
    bool same = remote_is_asked_the_same(tracked->remote, remote);
    tracked->remote = remote;
    tracked_forget_known(tracked);
    road_decide(&tracked->road, remote);
    if (!same) {
        roads_forget_files(poller->roads, tracked);
        drop_look(poller, tracked, now_ms); /* it may ask for too little */
        put(poller, tracked, now_ms, now_ms);
    } else if (tracked->item.state == AGENDA_SCHEDULED) {
        int64_t due_ms = now_ms + tracked_interval_ms(tracked, now_ms);
        put(poller, tracked, MIN(tracked->item.due.at, due_ms), now_ms);
    }
}

/* How many new remotes a host has, and which number among them comes next. */
struct newcomers {
    unsigned count, position;
};

static struct newcomers *newcomers_of(GHashTable *hosts, const struct tracked *tracked)
{
    const char *host = tracked->road.host ? tracked->road.host : "";
    struct newcomers *newcomers = g_hash_table_lookup(hosts, host);
    if (!newcomers) {
        newcomers = g_new0(struct newcomers, 1);
        g_hash_table_insert(hosts, (char *)host, newcomers);
    }
    return newcomers;
}

static void schedule_new(struct poller *poller, const GPtrArray *added, int64_t now_ms)
{
    g_autoptr(GHashTable) hosts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    for (unsigned i = 0; i < added->len; i++) {
        newcomers_of(hosts, g_ptr_array_index(added, i))->count++;
    }
    for (unsigned i = 0; i < added->len; i++) {
        struct tracked *tracked = g_ptr_array_index(added, i);
        struct newcomers *newcomers = newcomers_of(hosts, tracked);
        int64_t apart_ms =
            tracked->road.host ? SCHEDULE_FIRST_APART_MS : SCHEDULE_FIRST_APART_HERE_MS;
        int64_t wait_ms = schedule_first(newcomers->position++, newcomers->count, apart_ms,
                                         tracked_interval_ms(tracked, now_ms));
        agenda_add(poller->agenda, &tracked->item, tracked->road.host,
                   road_lane(&tracked->road, now_ms));
        put(poller, tracked, now_ms + wait_ms, now_ms);
    }
}

static void index_names(struct poller *poller, struct tracked *tracked)
{
    for (unsigned i = 0; i < tracked->remote->sections->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(tracked->remote->sections, i);
        g_hash_table_insert(poller->by_name, repo->name, tracked);
    }
}

static void set_limits(struct poller *poller, int64_t now_ms)
{
    const struct config *config = poller->config;
    const struct agenda_limits limits = {
        .lanes = {[LANE_GIT] = {config->max_looks, GIT_AT_MOST},
                  [LANE_NET] = {NET_AT_ONCE, NET_AT_MOST},
                  [LANE_SSH] = {SSH_AT_ONCE, SSH_AT_MOST}},
        .patience_ms = PATIENCE_MS,
        .host_at_once = config->max_looks_per_host,
        .host_per_minute = config->looks_per_minute_per_host,
    };
    agenda_set_limits(poller->agenda, &limits, now_ms);
}

void poller_set_config(struct poller *poller, const struct config *config)
{
    int64_t now_ms = clock_monotonic_ms();
    GHashTable *remotes = remotes_from_config(config);
    GHashTable *tracked_before = g_steal_pointer(&poller->tracked);
    g_autoptr(GPtrArray) added = g_ptr_array_new();
    GHashTableIter iterator;
    void *key = NULL;
    void *value = NULL;
    poller->config = config;
    poller->tracked = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_remove_all(poller->by_name);
    set_limits(poller, now_ms);
    g_hash_table_iter_init(&iterator, remotes);
    while (g_hash_table_iter_next(&iterator, &key, &value)) {
        struct tracked *tracked = NULL;
        if (g_hash_table_steal_extended(tracked_before, key, NULL, (void **)&tracked)) {
            keep(poller, tracked, value, now_ms);
        } else {
            tracked = tracked_new(value);
            road_decide(&tracked->road, value);
            tracked_recall(tracked, &poller->callbacks, now_ms);
            g_ptr_array_add(added, tracked);
        }
        g_hash_table_insert(poller->tracked, key, tracked);
        index_names(poller, tracked);
    }
    schedule_new(poller, added, now_ms);
    g_hash_table_iter_init(&iterator, tracked_before);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        forget(poller, value, now_ms);
    }
    g_hash_table_unref(tracked_before);
    g_clear_pointer(&poller->remotes, g_hash_table_unref);
    poller->remotes = remotes;
}

static void request(struct poller *poller, struct tracked *tracked)
{
    tracked_forget_known(tracked);
    look_is_ready(tracked, poller);
}

void poller_request(struct poller *poller, const char *repo)
{
    GHashTableIter iterator;
    void *tracked = repo ? g_hash_table_lookup(poller->by_name, repo) : NULL;
    if (tracked) {
        request(poller, tracked);
    }
    g_hash_table_iter_init(&iterator, poller->tracked);
    while (!repo && g_hash_table_iter_next(&iterator, NULL, &tracked)) {
        request(poller, tracked);
    }
}

/* ------------------------------------------------------------------------------- life cycle */

struct poller *poller_new(const struct poller_callbacks *callbacks)
{
    struct poller *poller = g_new0(struct poller, 1);
    const struct roads_events events = {look_is_over, files_changed, look_is_ready, poller};
    poller->callbacks = *callbacks;
    poller->tracked = g_hash_table_new(g_str_hash, g_str_equal);
    poller->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    poller->agenda = agenda_new();
    poller->roads = roads_new(&events);
    poller->refreshed_ms = INT64_MIN / 2;
    return poller;
}

int64_t poller_late_ms(const struct poller *poller, int64_t now_ms)
{
    return agenda_late_ms(poller->agenda, now_ms);
}

bool poller_is_stuck(const struct poller *poller, int64_t now_ms)
{
    return agenda_stuck_ms(poller->agenda, now_ms) > STUCK_MS + poller->config->look_timeout_ms;
}

void poller_stop(struct poller *poller)
{
    int64_t now_ms = clock_monotonic_ms();
    GHashTableIter iterator;
    void *tracked = NULL;
    g_hash_table_iter_init(&iterator, poller->tracked);
    while (g_hash_table_iter_next(&iterator, NULL, &tracked)) {
        forget(poller, tracked, now_ms);
        g_hash_table_iter_remove(&iterator);
    }
    g_hash_table_remove_all(poller->by_name);
    g_clear_pointer(&poller->roads, roads_free);
}

void poller_free(struct poller *poller)
{
    if (poller) {
        poller_stop(poller);
        agenda_free(poller->agenda);
        g_hash_table_unref(poller->by_name);
        g_hash_table_unref(poller->tracked);
        g_clear_pointer(&poller->remotes, g_hash_table_unref);
        g_free(poller);
    }
}
