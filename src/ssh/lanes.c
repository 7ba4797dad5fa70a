#include "base/clock.h"
#include "ssh/explain.h"
#include "ssh/hosts_internal.h"

enum { SHORT_LIVES_MAX = 3, SETTLE_MS = 200 };

static bool is_old(const struct lane *lane)
{
    return clock_monotonic_ms() - lane->begun_ms > HOSTS_AGE_MS;
}

/* ------------------------------------------------------------------------------------- the end */

static void set_state(struct lane *lane, enum lane_state state)
{
    lane->host->hosts->starting -= lane->state == LANE_STARTING;
    lane->host->hosts->starting += state == LANE_STARTING;
    lane->state = state;
}

static void free_lane(struct lane *lane)
{
    struct host *host = lane->host;
    set_state(lane, LANE_CLOSING);
    host->hosts->lanes--;
    loop_timer_stop(host->hosts->loop, &lane->idle);
    g_ptr_array_remove_fast(host->lanes, lane);
    connection_free(lane->connection);
    g_free(lane);
}

void lanes_free_all(struct host *host)
{
    while (host->lanes->len > 0) {
        free_lane(host->lanes->pdata[0]);
    }
}

void lanes_drop(struct lane *lane)
{
    visits_lose_all(lane);
    free_lane(lane);
}

static void close_lane(struct lane *lane)
{
    set_state(lane, LANE_CLOSING);
    loop_timer_stop(lane->host->hosts->loop, &lane->idle);
    connection_close(lane->connection);
}

void lanes_close_all(struct host *host)
{
    for (guint i = 0; i < host->lanes->len; i++) {
        close_lane(host->lanes->pdata[i]);
    }
}

static void is_idle(void *data)
{
    close_lane(data);
}

void lanes_leave(struct lane *lane)
{
    lane->visits--;
    lane->left_ms = clock_monotonic_ms();
    if (lane->visits > 0 || lane->state != LANE_OPEN) {
        return;
    }
    if (is_old(lane)) {
        close_lane(lane);
    } else {
        loop_timer_set(lane->host->hosts->loop, &lane->idle, clock_monotonic_ms() + HOSTS_IDLE_MS);
    }
}

void lanes_rest(struct lane *lane)
{
    lane->rests_until_ms = clock_monotonic_ms() + SETTLE_MS;
}

/* sshd counts a session for a moment after it was closed. */
void lanes_refuse(struct lane *lane)
{
    struct host *host = lane->host;
    unsigned others = lane->visits - 1;
    if (clock_monotonic_ms() - lane->left_ms < SETTLE_MS) {
        lanes_rest(lane);
    } else if (others == 0) {
        hosts_learn(host, WAY_PROCESS, host->sessions);
    } else {
        hosts_learn(host, host->way, MIN(host->sessions, others));
    }
}

/* ------------------------------------------------------------------------------------- trouble */

static void pause_host(struct host *host)
{
    int64_t pause_ms = (int64_t)HOSTS_PAUSE_MS << MIN(host->failures, 8);
    host->failures++;
    host->again_ms = clock_monotonic_ms() + MIN(pause_ms, HOSTS_PAUSE_MAX_MS);
}

static void fail_all(struct host *host, enum net_look_outcome outcome, const char *why)
{
    g_free(host->error);
    host->error = g_strdup(why);
    host->outcome = outcome;
    while (host->looks.head) {
        struct look *look = host->looks.head->data;
        hosts_leave_row(look);
        hosts_fail(host->hosts, look, outcome, "%s", host->error);
    }
}

static void not_made(struct host *host, const struct connection *connection)
{
    struct look *look = host->looks.head ? host->looks.head->data : NULL;
    enum net_look_outcome outcome = NET_LOOK_FAILED;
    g_autofree char *why = explain_ssh(connection_words(connection), connection_status(connection),
                                       look ? look->asked.url : NULL, &outcome);
    if (outcome != NET_LOOK_USE_GIT) {
        pause_host(host);
    }
    fail_all(host, outcome, why);
}

/* A connection that ended by itself, after it had been made. */
static void note_end(struct lane *lane)
{
    struct host *host = lane->host;
    if (lane->served == 0) {
        pause_host(host);
    }
    host->short_lives = lane->served <= 1 ? host->short_lives + 1 : 0;
    if (host->short_lives >= SHORT_LIVES_MAX) {
        hosts_learn(host, WAY_PROCESS, host->sessions);
    }
}

static void has_ended(void *data)
{
    struct lane *lane = data;
    visits_lose_all(lane);
    if (lane->state == LANE_STARTING) {
        not_made(lane->host, lane->connection);
    } else if (lane->state == LANE_OPEN) {
        note_end(lane);
    }
    free_lane(lane);
}

/* ---------------------------------------------------------------------------------------- life */

static void is_ready(void *data)
{
    struct lane *lane = data;
    set_state(lane, LANE_OPEN);
    lane->begun_ms = clock_monotonic_ms();
    loop_timer_set(lane->host->hosts->loop, &lane->idle, lane->begun_ms + HOSTS_IDLE_MS);
}

static void make_lane(struct host *host)
{
    struct hosts *hosts = host->hosts;
    struct lane *lane = g_new0(struct lane, 1);
    const struct connection_events events = {.ready = is_ready, .ended = has_ended, .data = lane};
    g_autoptr(GError) error = NULL;
    lane->host = host;
    lane->idle.due = is_idle;
    lane->idle.data = lane;
    lane->connection = connection_new(hosts->loop, hosts->place, ++hosts->last_number,
                                      &host->address, &events, &error);
    if (!lane->connection) {
        g_free(lane);
        pause_host(host);
        g_autofree char *why = explain_spawn(error);
        fail_all(host, NET_LOOK_FAILED, why);
        return;
    }
    hosts->lanes++;
    hosts->starting++;
    g_ptr_array_add(host->lanes, lane);
}

/* The one that was used longest ago; NULL when all are in use. */
static struct lane *find_idle(struct hosts *hosts)
{
    struct lane *oldest = NULL;
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, hosts->table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct host *host = value;
        for (guint i = 0; i < host->lanes->len; i++) {
            struct lane *lane = host->lanes->pdata[i];
            if (lane->state == LANE_OPEN && lane->visits == 0 &&
                (!oldest || lane->idle.at_ms < oldest->idle.at_ms)) {
                oldest = lane;
            }
        }
    }
    return oldest;
}

/* Its process is killed: one that ends politely would keep its place for a while. */
static bool make_room(struct hosts *hosts)
{
    struct lane *idle = hosts->lanes >= HOSTS_LANES_MAX ? find_idle(hosts) : NULL;
    if (idle) {
        lanes_drop(idle);
    }
    return hosts->lanes < HOSTS_LANES_MAX && hosts->starting < HOSTS_STARTING_MAX;
}

/* One at a time is made, and another one only when the server opens few sessions on each. */
static bool wants_another(struct host *host)
{
    unsigned sessions = 0;
    for (guint i = 0; i < host->lanes->len; i++) {
        const struct lane *lane = host->lanes->pdata[i];
        if (lane->state == LANE_STARTING) {
            return false;
        }
        sessions += lane->state == LANE_OPEN && !is_old(lane) ? host->sessions : 0;
    }
    if (sessions >= HOSTS_SESSIONS || host->lanes->len >= HOSTS_LANES) {
        return false;
    }
    if (clock_monotonic_ms() < host->again_ms) {
        hosts_wake(host, host->again_ms);
        return false;
    }
    return true;
}

struct lane *lanes_find(struct host *host)
{
    struct lane *best = NULL;
    int64_t now_ms = clock_monotonic_ms();
    for (guint i = 0; i < host->lanes->len; i++) {
        struct lane *lane = host->lanes->pdata[i];
        if (lane->state != LANE_OPEN || is_old(lane) || lane->visits >= host->sessions) {
            continue;
        }
        if (now_ms < lane->rests_until_ms) {
            hosts_wake(host, lane->rests_until_ms);
        } else if (!best || lane->visits < best->visits) {
            best = lane;
        }
    }
    if (!best && wants_another(host) && make_room(host->hosts)) {
        make_lane(host);
    }
    return best;
}
