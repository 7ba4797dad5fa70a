#include "poll/poller.h"

#include <string.h>

#include "base/clock.h"
#include "poll/git_looks.h"
#include "poll/schedule.h"
#include "poll/tracked.h"

enum {
    /* A look that takes longer gives its place up, so that hung remotes starve nobody. */
    PATIENCE_MS = 5000,
    GIT_AT_MOST = 256,
    AT_ONCE_IN_A_TURN = 256, /* then the loop sees to the rest of the world */
    STUCK_MS = 60 * 1000,    /* beyond look_timeout */
};

struct poller {
    struct poller_callbacks callbacks;
    const struct config *config;
    GHashTable *remotes; /* key -> struct remote * */
    GHashTable *tracked; /* key -> struct tracked *; the keys are those of `remotes` */
    GHashTable *by_name; /* section -> struct tracked * */
    struct agenda *agenda;
    struct git_looks *git;
};

/* ------------------------------------------------------------------------ the end of a look */

static void put(struct poller *poller, struct tracked *tracked, int64_t due_ms, int64_t now_ms)
{
    int64_t slack_ms = schedule_slack(tracked_interval_ms(tracked, now_ms));
    agenda_put(poller->agenda, &tracked->item, due_ms, slack_ms, now_ms);
}

static void end_look(struct poller *poller, struct tracked *tracked,
                     const struct tracked_answer *answer)
{
    int64_t now_ms = clock_monotonic_ms();
    agenda_end(poller->agenda, &tracked->item, now_ms);
    int64_t due_ms = tracked_tell_ended(tracked, answer, &poller->callbacks, now_ms);
    put(poller, tracked, due_ms, now_ms);
}

static void git_is_over(void *owner, GHashTable *refs, const GError *error, void *data)
{
    const struct tracked_answer answer = {.refs = refs, .error = error};
    end_look(data, owner, &answer);
}

/* ---------------------------------------------------------------------- the begin of a look */

static void begin_look(struct poller *poller, struct tracked *tracked)
{
    g_autoptr(GError) error = NULL;
    tracked->begun_utc_ms = clock_now_ms();
    if (git_looks_begin(poller->git, tracked, tracked->remote, &error)) {
        tracked_tell_begun(tracked, &poller->callbacks);
    } else {
        git_is_over(tracked, NULL, error, poller);
    }
}

static void end_overdue(struct poller *poller, int64_t now_ms)
{
    for (;;) {
        struct agenda_item *item = agenda_oldest(poller->agenda, LANE_GIT);
        if (!item || now_ms - item->begun_ms < poller->config->look_timeout_ms) {
            return;
        }
        git_looks_end(poller->git, item);
    }
}

void poller_run(struct poller *poller, int64_t now_ms)
{
    end_overdue(poller, now_ms);
    for (unsigned i = 0; i < AT_ONCE_IN_A_TURN; i++) {
        struct agenda_item *item = agenda_next(poller->agenda, now_ms);
        if (!item) {
            return;
        }
        begin_look(poller, (struct tracked *)item);
    }
}

int64_t poller_next_due_ms(const struct poller *poller, int64_t now_ms)
{
    const struct agenda_item *oldest = agenda_oldest(poller->agenda, LANE_GIT);
    int64_t due_ms = agenda_wake_ms(poller->agenda, now_ms);
    return oldest ? MIN(due_ms, oldest->begun_ms + poller->config->look_timeout_ms) : due_ms;
}

void poller_add_fds(struct poller *poller, GArray *pollfds)
{
    git_looks_add_fds(poller->git, pollfds);
}

void poller_handle(struct poller *poller, const struct pollfd *fds, unsigned count)
{
    git_looks_handle(poller->git, fds, count);
}

/* ---------------------------------------------------------------------------- configuration */

static void drop_look(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    if (tracked->item.state == AGENDA_UNDER_WAY) {
        git_looks_drop(poller->git, tracked);
        agenda_end(poller->agenda, &tracked->item, now_ms);
    }
}

static void forget(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    drop_look(poller, tracked, now_ms);
    agenda_remove(poller->agenda, &tracked->item, now_ms);
    tracked_free(tracked);
}

/* The remote stays: so does its schedule, unless the new interval is shorter. */
static void keep(struct poller *poller, struct tracked *tracked, const struct remote *remote,
                 int64_t now_ms)
{
    bool same = g_strv_equal((const char *const *)tracked->remote->wanted,
                             (const char *const *)remote->wanted);
    tracked->remote = remote;
    tracked_forget_known(tracked);
    road_decide(&tracked->road, remote);
    if (tracked->item.state == AGENDA_UNDER_WAY && !same) {
        drop_look(poller, tracked, now_ms); /* it asks for too little */
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
        int64_t wait_ms = schedule_first(newcomers->position++, newcomers->count,
                                         tracked_interval_ms(tracked, now_ms));
        agenda_add(poller->agenda, &tracked->item, tracked->road.host, LANE_GIT);
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
        .lanes = {[LANE_GIT] = {config->max_looks, GIT_AT_MOST}},
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

static void request(struct poller *poller, struct tracked *tracked, int64_t now_ms)
{
    tracked_forget_known(tracked);
    if (tracked->item.state == AGENDA_UNDER_WAY) {
        tracked->again = true;
    } else if (tracked->item.state != AGENDA_READY) {
        put(poller, tracked, now_ms, now_ms);
    }
}

void poller_request(struct poller *poller, const char *repo)
{
    int64_t now_ms = clock_monotonic_ms();
    GHashTableIter iterator;
    void *tracked = repo ? g_hash_table_lookup(poller->by_name, repo) : NULL;
    if (tracked) {
        request(poller, tracked, now_ms);
    }
    g_hash_table_iter_init(&iterator, poller->tracked);
    while (!repo && g_hash_table_iter_next(&iterator, NULL, &tracked)) {
        request(poller, tracked, now_ms);
    }
}

/* ------------------------------------------------------------------------------- life cycle */

struct poller *poller_new(const struct poller_callbacks *callbacks)
{
    struct poller *poller = g_new0(struct poller, 1);
    const struct git_looks_events git_events = {git_is_over, poller};
    poller->callbacks = *callbacks;
    poller->tracked = g_hash_table_new(g_str_hash, g_str_equal);
    poller->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    poller->agenda = agenda_new();
    poller->git = git_looks_new(&git_events);
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
}

void poller_free(struct poller *poller)
{
    if (poller) {
        poller_stop(poller);
        git_looks_free(poller->git);
        agenda_free(poller->agenda);
        g_hash_table_unref(poller->by_name);
        g_hash_table_unref(poller->tracked);
        g_clear_pointer(&poller->remotes, g_hash_table_unref);
        g_free(poller);
    }
}
