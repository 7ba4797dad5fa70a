#include "ssh/looks.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "git/refset.h"
#include "git/url.h"
#include "net/look_protocol.h"
#include "ssh/hosts.h"

struct looks {
    GByteArray *output;
    struct loop *loop;
    struct hosts *hosts;
    GHashTable *table; /* id -> struct item */
};

/* A look that is not answered yet. */
struct item {
    struct looks *looks;
    struct look look;
    struct loop_timer end;
};

static void free_item(void *data)
{
    struct item *item = data;
    hosts_remove(item->looks->hosts, &item->look);
    loop_timer_stop(item->looks->loop, &item->end);
    net_look_clear(&item->look.asked);
    ssh_address_clear(&item->look.address);
    g_strfreev(item->look.wanted);
    g_free(item);
}

static void forget(struct looks *looks, const struct look *look)
{
    g_hash_table_remove(looks->table, look->asked.id);
}

/* ------------------------------------------------------------------------------------- answers */

static void answer_failure(struct looks *looks, const char *id, enum net_look_outcome outcome,
                           enum net_road road, const char *error)
{
    struct net_looked looked = NET_LOOKED_INIT;
    looked.id = (char *)id;
    looked.outcome = outcome;
    looked.road = road;
    looked.error = (char *)error;
    net_looked_encode(looks->output, &looked);
}

static void answer_refs(struct looks *looks, const struct look *look,
                        const struct look_answer *answer)
{
    g_autofree char *digest = refset_digest(answer->refs);
    bool same = strcmp(digest, look->asked.known) == 0;
    struct net_looked looked = NET_LOOKED_INIT;
    looked.id = look->asked.id;
    looked.outcome = same ? NET_LOOK_SAME : NET_LOOK_REFS;
    looked.road = answer->road;
    looked.digest = digest;
    if (!same) {
        net_refs_encode_table(looks->output, look->asked.id, answer->refs);
    }
    net_looked_encode(looks->output, &looked);
}

static void answered(void *data, struct look *look, const struct look_answer *answer)
{
    struct looks *looks = data;
    if (answer->outcome == NET_LOOK_REFS) {
        answer_refs(looks, look, answer);
    } else {
        answer_failure(looks, look->asked.id, answer->outcome, answer->road, answer->error);
    }
    forget(looks, look);
}

static void time_is_over(void *data)
{
    struct item *item = data;
    struct look *look = &item->look;
    g_autofree char *why = hosts_time_out(item->looks->hosts, look);
    g_autofree char *url = url_for_display(look->asked.url);
    g_autofree char *error = g_strdup_printf("%s: no answer within %" G_GINT64_FORMAT " ms: %s",
                                             url, look->asked.timeout_ms, why);
    answer_failure(item->looks, look->asked.id, NET_LOOK_TIMEOUT, NET_ROAD_UNKNOWN, error);
    forget(item->looks, look);
}

/* ---------------------------------------------------------------------------------------- looks */

/* Takes the contents of *asked. */
static void add_look(struct looks *looks, struct net_look *asked, struct ssh_address *address)
{
    struct item *item = g_new0(struct item, 1);
    item->looks = looks;
    item->look.asked = *asked;
    item->look.address = *address;
    item->look.wanted = g_strsplit(asked->wanted, "\n", -1);
    item->look.end_ms = clock_monotonic_ms() + asked->timeout_ms;
    *asked = (struct net_look){.id = NULL};
    item->end.due = time_is_over;
    item->end.data = item;
    loop_timer_set(looks->loop, &item->end, item->look.end_ms);
    g_hash_table_insert(looks->table, item->look.asked.id, item);
    hosts_add(looks->hosts, &item->look);
}

static void take_good_look(struct looks *looks, struct net_look *asked)
{
    struct ssh_address address;
    g_autoptr(GError) error = NULL;
    if (g_hash_table_contains(looks->table, asked->id)) {
        answer_failure(looks, asked->id, NET_LOOK_REFUSED, NET_ROAD_UNKNOWN,
                       "a look with this id is under way");
    } else if (ssh_address_parse(asked->url, asked->options, &address, &error)) {
        add_look(looks, asked, &address);
    } else {
        answer_failure(looks, asked->id, NET_LOOK_REFUSED, NET_ROAD_UNKNOWN, error->message);
    }
}

static bool take_look(struct looks *looks, const struct net_message *message, GError **error)
{
    struct net_look asked;
    g_autoptr(GError) problem = NULL;
    if (net_look_parse(message, &asked, &problem)) {
        take_good_look(looks, &asked);
    } else if (asked.id) {
        answer_failure(looks, asked.id, NET_LOOK_REFUSED, NET_ROAD_UNKNOWN, problem->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    net_look_clear(&asked);
    return true;
}

static bool take(void *role, const struct net_message *message, GError **error)
{
    struct looks *looks = role;
    if (message->type != NET_CANCEL) {
        return take_look(looks, message, error);
    }
    g_autofree char *id = net_cancel_parse(message, error);
    if (id) {
        g_hash_table_remove(looks->table, id);
    }
    return id != NULL;
}

static unsigned pending(const void *role)
{
    const struct looks *looks = role;
    return g_hash_table_size(looks->table);
}

static bool has_room(const void *role)
{
    return pending(role) < LOOKS_MAX;
}

static bool wait_for_work(void *role, struct pollfd *fds, unsigned count, int64_t timeout_ms,
                          bool answers_wait, GError **error)
{
    struct looks *looks = role;
    if (!answers_wait) {
        hosts_begin(looks->hosts);
    }
    return loop_wait(looks->loop, fds, count, timeout_ms, error);
}

const struct session_role looks_role = {
    .take = take,
    .has_room = has_room,
    .pending = pending,
    .wait = wait_for_work,
};

/* ----------------------------------------------------------------------------------------- life */

struct looks *looks_new(GByteArray *output, GError **error)
{
    struct loop *loop = loop_new(error);
    if (!loop) {
        return NULL;
    }
    struct looks *looks = g_new0(struct looks, 1);
    const struct hosts_events events = {.answered = answered, .data = looks};
    looks->output = output;
    looks->loop = loop;
    looks->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_item);
    looks->hosts = hosts_new(loop, &events);
    return looks;
}

void looks_free(struct looks *looks)
{
    if (looks) {
        g_hash_table_unref(looks->table);
        hosts_free(looks->hosts);
        loop_free(looks->loop);
        g_free(looks);
    }
}
