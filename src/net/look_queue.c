#include "net/look_queue.h"

struct look_host {
    char *origin;
    GQueue waiting; /* of the tickets' links, oldest first */
    unsigned running, put_off;
    int64_t last_ms; /* when somebody last came */
    bool is_ready;   /* in queue->ready */
    GList link;
};

struct look_queue {
    unsigned at_once;
    unsigned running, waiting;
    GHashTable *hosts; /* origin -> struct look_host */
    GQueue ready;      /* of hosts: one waits there, and may run as far as the host goes */
};

static void free_host(void *data)
{
    struct look_host *host = data;
    g_free(host->origin);
    g_free(host);
}

struct look_queue *look_queue_new(unsigned at_once)
{
    struct look_queue *queue = g_new0(struct look_queue, 1);
    queue->at_once = at_once;
    queue->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_host);
    g_queue_init(&queue->ready);
    return queue;
}

void look_queue_free(struct look_queue *queue)
{
    if (queue) {
        g_hash_table_unref(queue->hosts);
        g_free(queue);
    }
}

/* --------------------------------------------------------------------------------------- hosts */

static struct look_ticket *ticket_of(GList *link)
{
    return (struct look_ticket *)(void *)((char *)link - G_STRUCT_OFFSET(struct look_ticket, link));
}

static void update(struct look_queue *queue, struct look_host *host)
{
    bool is_ready = host->waiting.head && host->running < ticket_of(host->waiting.head)->at_once;
    if (is_ready && !host->is_ready) {
        g_queue_push_tail_link(&queue->ready, &host->link);
    } else if (!is_ready && host->is_ready) {
        g_queue_unlink(&queue->ready, &host->link);
    }
    host->is_ready = is_ready;
}

static gboolean is_forgotten(void *origin, void *data, void *now)
{
    const struct look_host *host = data;
    const int64_t *now_ms = now;
    (void)origin;
    return !host->waiting.head && host->running == 0 && host->put_off == 0 &&
           *now_ms - host->last_ms > LOOK_RARE_MS;
}

static struct look_host *host_of(struct look_queue *queue, const char *origin, int64_t now_ms)
{
    struct look_host *host = g_hash_table_lookup(queue->hosts, origin);
    if (host) {
        return host;
    }
    if (g_hash_table_size(queue->hosts) >= LOOK_HOSTS_KEPT) {
        g_hash_table_foreach_remove(queue->hosts, is_forgotten, &now_ms);
    }
    host = g_new0(struct look_host, 1);
    host->origin = g_strdup(origin);
    host->last_ms = now_ms - LOOK_RARE_MS - 1;
    host->link.data = host;
    g_queue_init(&host->waiting);
    g_hash_table_insert(queue->hosts, host->origin, host);
    return host;
}

/* ------------------------------------------------------------------------------------- tickets */

void look_queue_push(struct look_queue *queue, struct look_ticket *ticket, const char *origin,
                     unsigned at_once, int64_t now_ms)
{
    struct look_host *host = host_of(queue, origin, now_ms);
    ticket->host = host;
    ticket->at_once = at_once;
    ticket->is_rare = now_ms - host->last_ms > LOOK_RARE_MS;
    ticket->turn = LOOK_TURN_WAITS;
    host->last_ms = now_ms;
    g_queue_push_tail_link(&host->waiting, &ticket->link);
    queue->waiting++;
    update(queue, host);
}

struct look_ticket *look_queue_pop(struct look_queue *queue)
{
    if (queue->running >= queue->at_once || !queue->ready.head) {
        return NULL;
    }
    /* To the end of the row, if there is more: the hosts take turns. */
    struct look_host *host = g_queue_pop_head_link(&queue->ready)->data;
    host->is_ready = false;
    struct look_ticket *ticket = ticket_of(g_queue_pop_head_link(&host->waiting));
    ticket->turn = LOOK_TURN_RUNS;
    queue->waiting--;
    queue->running++;
    host->running++;
    update(queue, host);
    return ticket;
}

void look_queue_leave(struct look_queue *queue, struct look_ticket *ticket)
{
    switch (ticket->turn) {
    case LOOK_TURN_NONE:
        return;
    case LOOK_TURN_WAITS:
        g_queue_unlink(&ticket->host->waiting, &ticket->link);
        queue->waiting--;
        break;
    case LOOK_TURN_RUNS:
        ticket->host->running--;
        queue->running--;
        break;
    case LOOK_TURN_PUT_OFF:
        ticket->host->put_off--;
        break;
    }
    ticket->turn = LOOK_TURN_NONE;
    update(queue, ticket->host);
}

void look_queue_put_off(struct look_queue *queue, struct look_ticket *ticket)
{
    g_assert(ticket->turn == LOOK_TURN_RUNS);
    look_queue_leave(queue, ticket);
    ticket->turn = LOOK_TURN_PUT_OFF;
    ticket->host->put_off++;
}

void look_queue_call_back(struct look_queue *queue, struct look_ticket *ticket)
{
    g_assert(ticket->turn == LOOK_TURN_PUT_OFF);
    look_queue_leave(queue, ticket);
    ticket->turn = LOOK_TURN_WAITS;
    g_queue_push_head_link(&ticket->host->waiting, &ticket->link);
    queue->waiting++;
    update(queue, ticket->host);
}

unsigned look_queue_running(const struct look_queue *queue)
{
    return queue->running;
}

unsigned look_queue_waiting(const struct look_queue *queue)
{
    return queue->waiting;
}
