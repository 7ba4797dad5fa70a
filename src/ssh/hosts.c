#include <string.h>

#include "base/clock.h"
#include "git/url.h"
#include "ssh/hosts_internal.h"

enum { GOODBYE_MS = 1000 };

/* ---------------------------------------------------------------------------------------- life */

static void free_host(void *data)
{
    struct host *host = data;
    while (host->visits.head) {
        visits_free(host->visits.head->data);
    }
    lanes_free_all(host);
    loop_timer_stop(host->hosts->loop, &host->again);
    ssh_address_clear(&host->address);
    g_ptr_array_unref(host->lanes);
    g_free(host->error);
    g_free(host);
}

struct hosts *hosts_new(struct loop *loop, const struct hosts_events *events)
{
    g_autoptr(GError) error = NULL;
    struct hosts *hosts = g_new0(struct hosts, 1);
    hosts->loop = loop;
    hosts->events = *events;
    hosts->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_host);
    g_queue_init(&hosts->waiting);
    hosts->place = place_open(&error);
    if (!hosts->place) {
        hosts->way = WAY_PROCESS;
        g_printerr("phantom_ci-ssh: %s\n", error->message);
    }
    return hosts;
}

/* Lets the connections end politely, for a moment. */
static void close_connections(struct hosts *hosts)
{
    int64_t end_ms = clock_monotonic_ms() + GOODBYE_MS;
    int64_t left_ms = GOODBYE_MS;
    GHashTableIter iter;
    void *host;
    g_hash_table_iter_init(&iter, hosts->table);
    while (g_hash_table_iter_next(&iter, NULL, &host)) {
        lanes_close_all(host);
    }
    while (hosts->lanes > 0 && left_ms > 0 && loop_wait(hosts->loop, NULL, 0, left_ms, NULL)) {
        left_ms = end_ms - clock_monotonic_ms();
    }
}

void hosts_free(struct hosts *hosts)
{
    if (hosts) {
        close_connections(hosts);
        g_hash_table_unref(hosts->table);
        place_close(hosts->place);
        g_free(hosts);
    }
}

/* ---------------------------------------------------------------------------------------- hosts */

static gboolean is_unused(void *key, void *value, void *data)
{
    const struct host *host = value;
    (void)key;
    (void)data;
    return host->looks.length == 0 && host->visits.length == 0 && host->lanes->len == 0;
}

static void time_came(void *data)
{
    (void)data; /* that hosts_begin() is called is all it takes */
}

static struct host *host_of(struct hosts *hosts, const struct ssh_address *address)
{
    struct host *host = g_hash_table_lookup(hosts->table, address->connection);
    if (host) {
        return host;
    }
    if (g_hash_table_size(hosts->table) >= HOSTS_KEPT) {
        g_hash_table_foreach_remove(hosts->table, is_unused, NULL);
    }
    host = g_new0(struct host, 1);
    host->hosts = hosts;
    host->address = (struct ssh_address){.destination = g_strdup(address->destination),
                                         .port = g_strdup(address->port),
                                         .key_path = g_strdup(address->key_path),
                                         .connection = g_strdup(address->connection)};
    host->lanes = g_ptr_array_new();
    host->link.data = host;
    host->way = hosts->way;
    host->sessions = HOSTS_SESSIONS;
    host->again.due = time_came;
    g_queue_init(&host->looks);
    g_queue_init(&host->visits);
    g_hash_table_insert(hosts->table, host->address.connection, host);
    return host;
}

void hosts_learn(struct host *host, enum way way, unsigned sessions)
{
    host->way = way;
    host->sessions = sessions;
    host->learned_ms = clock_monotonic_ms();
}

void hosts_wake(struct host *host, int64_t at_ms)
{
    if (!host->again.place || host->again.at_ms > at_ms) {
        loop_timer_set(host->hosts->loop, &host->again, at_ms);
    }
}

static void forget_what_is_old(struct host *host)
{
    if (host->learned_ms && clock_monotonic_ms() - host->learned_ms > HOSTS_FORGET_MS) {
        host->way = host->hosts->way;
        host->sessions = HOSTS_SESSIONS;
        host->short_lives = 0;
        host->learned_ms = 0;
    }
}

/* ---------------------------------------------------------------------------------------- looks */

static void put_in_row(struct host *host)
{
    if (host->looks.length == 1) {
        g_queue_push_tail_link(&host->hosts->waiting, &host->link);
    }
}

void hosts_wait_again(struct look *look)
{
    look->visit = NULL;
    g_queue_push_head_link(&look->host->looks, &look->link);
    put_in_row(look->host);
}

void hosts_leave_row(struct look *look)
{
    struct host *host = look->host;
    g_queue_unlink(&host->looks, &look->link);
    if (host->looks.length == 0) {
        g_queue_unlink(&host->hosts->waiting, &host->link);
    }
}

void hosts_remove(struct hosts *hosts, struct look *look)
{
    (void)hosts;
    if (look->visit) {
        visits_free(look->visit);
    } else if (look->host) {
        hosts_leave_row(look);
    }
    look->host = NULL;
    look->visit = NULL;
}

/* Of a look that neither waits nor is under way any more. */
void hosts_answer(struct hosts *hosts, struct look *look, const struct look_answer *answer)
{
    look->host = NULL;
    look->visit = NULL;
    hosts->events.answered(hosts->events.data, look, answer);
}

void hosts_fail(struct hosts *hosts, struct look *look, enum net_look_outcome outcome,
                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *url = url_for_display(look->asked.url);
    g_autofree char *error = g_strdup_printf("%s: %s", url, why);
    const struct look_answer answer = {.outcome = outcome,
                                       .road = outcome == NET_LOOK_USE_GIT ? NET_ROAD_GIT
                                                                           : NET_ROAD_UNKNOWN,
                                       .error = error};
    hosts_answer(hosts, look, &answer);
}

void hosts_add(struct hosts *hosts, struct look *look)
{
    struct host *host = host_of(hosts, &look->address);
    forget_what_is_old(host);
    look->host = host;
    look->link.data = look;
    if (host->failures > 0 && look->end_ms < host->again_ms) {
        hosts_fail(hosts, look, host->outcome, "%s", host->error);
        return;
    }
    g_queue_push_tail_link(&host->looks, &look->link);
    put_in_row(host);
}

char *hosts_time_out(struct hosts *hosts, struct look *look)
{
    struct host *host = look->host;
    struct visit *visit = look->visit;
    struct lane *dead = visit && !talk_is_alive(visit->talk) ? visit->lane : NULL;
    const char *what = "the server did not answer";
    if (!visit) {
        what = host->visits.length > 0 ? "it waited for other looks at the same server"
                                       : "no ssh connection was made";
    }
    g_autofree char *before = host->failures > 0 && !visit ? g_strdup(host->error) : NULL;
    hosts_remove(hosts, look);
    if (dead) {
        lanes_drop(dead);
    }
    return g_strconcat(what, before ? "; before that: " : NULL, before, NULL);
}

/* --------------------------------------------------------------------------------------- turns */

/* True when a look was begun or answered. */
static bool begin_one(struct host *host)
{
    struct lane *lane = NULL;
    if (host->way == WAY_PROCESS) {
        if (host->visits.length >= HOSTS_PROCESSES) {
            return false;
        }
    } else if (!(lane = lanes_find(host))) {
        return false;
    }
    struct look *look = host->looks.head->data;
    hosts_leave_row(look);
    visits_begin(host, lane, look);
    return true;
}

/* One look of each server that has room, and again from the first one on. */
void hosts_begin(struct hosts *hosts)
{
    bool progress = true;
    while (progress) {
        progress = false;
        for (guint left = hosts->waiting.length; left > 0 && hosts->waiting.head; left--) {
            struct host *host = g_queue_pop_head_link(&hosts->waiting)->data;
            g_queue_push_tail_link(&hosts->waiting, &host->link);
            if (hosts->visits < HOSTS_VISITS_MAX) {
                progress = begin_one(host) || progress;
            }
        }
    }
}
