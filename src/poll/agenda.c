#include "poll/agenda.h"

#include <string.h>

enum {
    MINUTE_MS = 60 * 1000,
    /* With a limit a minute, items begin evenly spaced; so much of the spacing may be used at once,
     * so that a high limit does not mean a wake-up each. */
    BURST_MS = 100,
};

struct agenda_host {
    char *name; /* NULL: this machine */
    unsigned items;
    unsigned under_way;
    GQueue ready[AGENDA_LANES]; /* of items, longest due first */
    GList turns[AGENDA_LANES];  /* its place among the hosts that may begin something */
    bool has_turn[AGENDA_LANES];
    struct heap_node wake; /* when time alone lets it begin something again */
    int64_t paused_until_ms;
    int64_t evenly_ms; /* when the next item begins at the earliest, were all evenly spaced */
};

struct lane {
    GQueue turns;       /* of hosts that may begin something here */
    GQueue under_way;   /* of items, in the order of their begin */
    GList *first_young; /* in under_way; those before it have lost their place */
    unsigned young;
};

struct agenda {
    struct agenda_limits limits;
    struct heap scheduled;     /* items */
    struct heap waiting_hosts; /* hosts that time alone holds back */
    GHashTable *hosts;         /* name -> host */
    struct agenda_host here;
    struct lane lanes[AGENDA_LANES];
    unsigned turn;       /* the lane that is asked first */
    GQueue ready;        /* of all items that are ready, in the order in which they became so */
    int64_t progress_ms; /* when something last began, or became able to */
    int64_t window_ms;   /* beginning of the minute that `latest` is of */
    int64_t latest, latest_before; /* how late items began, in this minute and in the one before */
};

static struct agenda_item *item_of(struct heap_node *node)
{
    return (struct agenda_item *)(void *)((char *)node - offsetof(struct agenda_item, due));
}

static struct agenda_host *host_of(struct heap_node *node)
{
    return (struct agenda_host *)(void *)((char *)node - offsetof(struct agenda_host, wake));
}

/* ------------------------------------------------------------------------------------ hosts */

static struct agenda_host *host_new(const char *name)
{
    struct agenda_host *host = g_new0(struct agenda_host, 1);
    host->name = g_strdup(name);
    return host;
}

static void host_free(void *data)
{
    struct agenda_host *host = data;
    g_free(host->name);
    g_free(host);
}

static struct agenda_host *find_host(struct agenda *agenda, const char *name)
{
    struct agenda_host *host = g_hash_table_lookup(agenda->hosts, name);
    if (!host) {
        host = host_new(name);
        g_hash_table_insert(agenda->hosts, host->name, host);
    }
    return host;
}

/* When time alone lets it begin something. */
static int64_t free_from_ms(const struct agenda *agenda, const struct agenda_host *host)
{
    int64_t evenly_ms = agenda->limits.host_per_minute > 0 ? host->evenly_ms - BURST_MS : 0;
    return host->name ? MAX(host->paused_until_ms, evenly_ms) : 0;
}

static bool has_room(const struct agenda *agenda, const struct agenda_host *host)
{
    return !host->name || host->under_way < agenda->limits.host_at_once;
}

static void set_turn(struct agenda *agenda, struct agenda_host *host, unsigned lane, bool has_turn)
{
    if (host->has_turn[lane] == has_turn) {
        return;
    }
    host->has_turn[lane] = has_turn;
    host->turns[lane].data = host;
    if (has_turn) {
        g_queue_push_tail_link(&agenda->lanes[lane].turns, &host->turns[lane]);
    } else {
        g_queue_unlink(&agenda->lanes[lane].turns, &host->turns[lane]);
    }
}

/* After every change of the host: it takes part in the turns, waits for its time, or neither. */
static void refresh_host(struct agenda *agenda, struct agenda_host *host, int64_t now_ms)
{
    bool room = has_room(agenda, host);
    int64_t free_ms = free_from_ms(agenda, host);
    bool any = false;
    for (unsigned lane = 0; lane < AGENDA_LANES; lane++) {
        bool has_ready = host->ready[lane].length > 0;
        set_turn(agenda, host, lane, has_ready && room && free_ms <= now_ms);
        any = any || has_ready;
    }
    if (any && room && free_ms > now_ms) {
        heap_put(&agenda->waiting_hosts, &host->wake, free_ms);
    } else {
        heap_remove(&agenda->waiting_hosts, &host->wake);
    }
}

static void begin_at_host(struct agenda *agenda, struct agenda_host *host, int64_t now_ms)
{
    host->under_way++;
    if (agenda->limits.host_per_minute > 0) {
        host->evenly_ms = MAX(host->evenly_ms, now_ms) + MINUTE_MS / agenda->limits.host_per_minute;
    }
    refresh_host(agenda, host, now_ms);
}

void agenda_pause_host(struct agenda *agenda, const struct agenda_item *item, int64_t until_ms,
                       int64_t now_ms)
{
    struct agenda_host *host = item->host;
    host->paused_until_ms = MAX(host->paused_until_ms, until_ms);
    refresh_host(agenda, host, now_ms);
}

/* ------------------------------------------------------------------------------------ lanes */

static bool lane_has_place(const struct agenda *agenda, unsigned number)
{
    const struct lane *lane = &agenda->lanes[number];
    return number == LANE_FILES || (lane->young < agenda->limits.lanes[number].at_once &&
                                    lane->under_way.length < agenda->limits.lanes[number].at_most);
}

static void grow_old(struct lane *lane)
{
    struct agenda_item *item = lane->first_young->data;
    item->is_young = false;
    lane->young--;
    lane->first_young = lane->first_young->next;
}

static void lose_patience(struct agenda *agenda, int64_t now_ms)
{
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        struct lane *lane = &agenda->lanes[i];
        while (lane->first_young && ((struct agenda_item *)lane->first_young->data)->begun_ms +
                                            agenda->limits.patience_ms <=
                                        now_ms) {
            grow_old(lane);
        }
    }
}

static void enter_lane(struct lane *lane, struct agenda_item *item)
{
    item->lane_link.data = item;
    item->is_young = true;
    lane->young++;
    g_queue_push_tail_link(&lane->under_way, &item->lane_link);
    if (!lane->first_young) {
        lane->first_young = &item->lane_link;
    }
}

static void leave_lane(struct lane *lane, struct agenda_item *item)
{
    if (lane->first_young == &item->lane_link) {
        grow_old(lane);
    } else if (item->is_young) {
        item->is_young = false;
        lane->young--;
    }
    g_queue_unlink(&lane->under_way, &item->lane_link);
}

struct agenda_item *agenda_oldest(const struct agenda *agenda, enum agenda_lane lane)
{
    return g_queue_peek_head((GQueue *)&agenda->lanes[lane].under_way);
}

/* ------------------------------------------------------------------------------------ items */

void agenda_add(struct agenda *agenda, struct agenda_item *item, const char *host,
                enum agenda_lane lane)
{
    item->host = host ? find_host(agenda, host) : &agenda->here;
    item->host->items++;
    item->lane = lane;
    item->state = AGENDA_RESTING;
}

static void make_ready(struct agenda *agenda, struct agenda_item *item, int64_t now_ms)
{
    item->state = AGENDA_READY;
    item->host_link.data = item;
    item->ready_link.data = item;
    if (agenda->ready.length == 0) {
        agenda->progress_ms = now_ms;
    }
    g_queue_push_tail_link(&item->host->ready[item->lane], &item->host_link);
    g_queue_push_tail_link(&agenda->ready, &item->ready_link);
    refresh_host(agenda, item->host, now_ms);
}

static void take_from_ready(struct agenda *agenda, struct agenda_item *item)
{
    g_queue_unlink(&item->host->ready[item->lane], &item->host_link);
    g_queue_unlink(&agenda->ready, &item->ready_link);
    item->state = AGENDA_RESTING;
}

/* Out of every queue. */
static void lay_to_rest(struct agenda *agenda, struct agenda_item *item, int64_t now_ms)
{
    switch (item->state) {
    case AGENDA_RESTING:
        return;
    case AGENDA_SCHEDULED:
        heap_remove(&agenda->scheduled, &item->due);
        break;
    case AGENDA_READY:
        take_from_ready(agenda, item);
        break;
    case AGENDA_UNDER_WAY:
        leave_lane(&agenda->lanes[item->lane], item);
        item->host->under_way--;
        break;
    }
    item->state = AGENDA_RESTING;
    refresh_host(agenda, item->host, now_ms);
}

void agenda_remove(struct agenda *agenda, struct agenda_item *item, int64_t now_ms)
{
    struct agenda_host *host = item->host;
    lay_to_rest(agenda, item, now_ms);
    item->host = NULL;
    if (--host->items == 0 && host->name) {
        heap_remove(&agenda->waiting_hosts, &host->wake);
        g_hash_table_remove(agenda->hosts, host->name);
    }
}

void agenda_put(struct agenda *agenda, struct agenda_item *item, int64_t due_ms, int64_t slack_ms,
                int64_t now_ms)
{
    g_assert(item->state != AGENDA_UNDER_WAY);
    lay_to_rest(agenda, item, now_ms);
    item->slack_ms = slack_ms;
    item->state = AGENDA_SCHEDULED;
    heap_put(&agenda->scheduled, &item->due, due_ms);
}

void agenda_set_lane(struct agenda *agenda, struct agenda_item *item, enum agenda_lane lane,
                     int64_t now_ms)
{
    g_assert(item->state != AGENDA_UNDER_WAY);
    lay_to_rest(agenda, item, now_ms);
    item->lane = lane;
}

void agenda_end(struct agenda *agenda, struct agenda_item *item, int64_t now_ms)
{
    g_assert(item->state == AGENDA_UNDER_WAY);
    lay_to_rest(agenda, item, now_ms);
}

/* ------------------------------------------------------------------------------------ turns */

static void note_lateness(struct agenda *agenda, int64_t late_ms, int64_t now_ms)
{
    if (now_ms - agenda->window_ms >= MINUTE_MS) {
        bool adjoins = now_ms - agenda->window_ms < 2 * MINUTE_MS;
        agenda->latest_before = adjoins ? agenda->latest : 0;
        agenda->latest = 0;
        agenda->window_ms = now_ms;
    }
    agenda->latest = MAX(agenda->latest, late_ms);
}

/* What is due, or so nearly that it may begin now with the others. */
static void gather_due(struct agenda *agenda, int64_t now_ms)
{
    for (;;) {
        struct heap_node *node = heap_first(&agenda->scheduled);
        if (!node || node->at > now_ms + item_of(node)->slack_ms) {
            return;
        }
        heap_remove(&agenda->scheduled, node);
        make_ready(agenda, item_of(node), now_ms);
    }
}

static void wake_hosts(struct agenda *agenda, int64_t now_ms)
{
    for (;;) {
        struct heap_node *node = heap_first(&agenda->waiting_hosts);
        if (!node || node->at > now_ms) {
            return;
        }
        refresh_host(agenda, host_of(node), now_ms);
    }
}

static struct agenda_item *begin(struct agenda *agenda, unsigned lane, int64_t now_ms)
{
    struct agenda_host *host = g_queue_peek_head(&agenda->lanes[lane].turns);
    struct agenda_item *item = g_queue_peek_head(&host->ready[lane]);
    /* Its next turn comes after those of the others. */
    set_turn(agenda, host, lane, false);
    take_from_ready(agenda, item);
    item->state = AGENDA_UNDER_WAY;
    item->begun_ms = now_ms;
    enter_lane(&agenda->lanes[lane], item);
    begin_at_host(agenda, host, now_ms);
    note_lateness(agenda, MAX(now_ms - item->due.at, 0), now_ms);
    agenda->progress_ms = now_ms;
    return item;
}

struct agenda_item *agenda_next(struct agenda *agenda, int64_t now_ms)
{
    gather_due(agenda, now_ms);
    wake_hosts(agenda, now_ms);
    lose_patience(agenda, now_ms);
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        unsigned lane = (agenda->turn + i) % AGENDA_LANES;
        if (agenda->lanes[lane].turns.length > 0 && lane_has_place(agenda, lane)) {
            agenda->turn = (lane + 1) % AGENDA_LANES;
            return begin(agenda, lane, now_ms);
        }
    }
    return NULL;
}

static int64_t first_at(const struct heap *heap)
{
    const struct heap_node *node = heap_first(heap);
    return node ? node->at : INT64_MAX;
}

int64_t agenda_wake_ms(const struct agenda *agenda, int64_t now_ms)
{
    int64_t wake_ms = MIN(first_at(&agenda->scheduled), first_at(&agenda->waiting_hosts));
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        const struct lane *lane = &agenda->lanes[i];
        if (lane->turns.length == 0) {
            continue;
        }
        if (lane_has_place(agenda, i)) {
            return now_ms;
        }
        if (lane->first_young && lane->under_way.length < agenda->limits.lanes[i].at_most) {
            const struct agenda_item *item = lane->first_young->data;
            wake_ms = MIN(wake_ms, item->begun_ms + agenda->limits.patience_ms);
        }
    }
    return wake_ms;
}

/* -------------------------------------------------------------------------------- life cycle */

int64_t agenda_late_ms(const struct agenda *agenda, int64_t now_ms)
{
    const struct agenda_item *waiting = g_queue_peek_head((GQueue *)&agenda->ready);
    int64_t late_ms = waiting ? MAX(now_ms - waiting->due.at, 0) : 0;
    if (now_ms - agenda->window_ms < MINUTE_MS) {
        late_ms = MAX(late_ms, agenda->latest_before);
    }
    return now_ms - agenda->window_ms < 2 * MINUTE_MS ? MAX(late_ms, agenda->latest) : late_ms;
}

int64_t agenda_stuck_ms(const struct agenda *agenda, int64_t now_ms)
{
    int64_t stuck_ms = MAX(now_ms - first_at(&agenda->scheduled), 0);
    for (unsigned i = 0; i < AGENDA_LANES; i++) {
        if (agenda->lanes[i].turns.length > 0) {
            stuck_ms = MAX(stuck_ms, now_ms - agenda->progress_ms);
        }
    }
    return stuck_ms;
}

struct agenda *agenda_new(void)
{
    struct agenda *agenda = g_new0(struct agenda, 1);
    heap_init(&agenda->scheduled);
    heap_init(&agenda->waiting_hosts);
    agenda->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, host_free);
    agenda->window_ms = INT64_MIN / 2;
    return agenda;
}

void agenda_free(struct agenda *agenda)
{
    if (agenda) {
        g_assert(g_hash_table_size(agenda->hosts) == 0 && agenda->here.items == 0);
        heap_release(&agenda->scheduled);
        heap_release(&agenda->waiting_hosts);
        g_hash_table_unref(agenda->hosts);
        g_free(agenda);
    }
}

void agenda_set_limits(struct agenda *agenda, const struct agenda_limits *limits, int64_t now_ms)
{
    GHashTableIter iterator;
    void *host = NULL;
    agenda->limits = *limits;
    g_hash_table_iter_init(&iterator, agenda->hosts);
    while (g_hash_table_iter_next(&iterator, NULL, &host)) {
        refresh_host(agenda, host, now_ms);
    }
}
