#include <string.h>

#include "base/error.h"
#include "ssh/command.h"
#include "ssh/explain.h"
#include "ssh/hosts_internal.h"

enum {
    LOSSES_MAX = 1,        /* so many lost connections a look survives */
    LOSSES_SERVED_MAX = 8, /* the same, of connections that had answered another one */
};

/* ---------------------------------------------------------------------------------------- life */

static void decided(void *data);
static void ended(void *data, enum talk_end end);

void visits_free(struct visit *visit)
{
    struct host *host = visit->host;
    if (visit->look) {
        visit->look->visit = NULL;
    }
    g_queue_unlink(&host->visits, &visit->link);
    host->hosts->visits--;
    talk_free(visit->talk);
    if (visit->lane) {
        lanes_leave(visit->lane);
    }
    g_free(visit);
}

static struct talk *start_talk(const struct visit *visit, const struct look *look, GError **error)
{
    const struct host *host = visit->host;
    const struct talk_events events = {.decided = decided, .ended = ended, .data = (void *)visit};
    const struct talk_question question = {.command = look->address.command,
                                           .wanted = (const char *const *)look->wanted,
                                           .road = look->asked.road,
                                           .is_lingering = host->lingers};
    const char *path = visit->lane ? connection_path(visit->lane->connection) : NULL;
    if (host->way == WAY_MUX) {
        return talk_through_master(host->hosts->loop, path, &question, &events, error);
    }
    g_auto(GStrv) argv = ssh_session_argv(&look->address, path);
    g_auto(GStrv) environment = ssh_environment();
    return talk_by_process(host->hosts->loop, (const char *const *)argv,
                           (const char *const *)environment, &question, &events, error);
}

void visits_begin(struct host *host, struct lane *lane, struct look *look)
{
    g_autoptr(GError) error = NULL;
    struct visit *visit = g_new0(struct visit, 1);
    visit->host = host;
    visit->lane = lane;
    visit->talk = start_talk(visit, look, &error);
    if (visit->talk) {
        visit->look = look;
        visit->link.data = visit;
        look->visit = visit;
        g_queue_push_tail_link(&host->visits, &visit->link);
        host->hosts->visits++;
        if (lane) {
            lane->visits++;
        }
        return;
    }
    g_free(visit);
    if (lane && (error_has_code(error, ERROR_NOT_FOUND) || error_has_code(error, ERROR_BUSY))) {
        hosts_wait_again(look);
        lanes_drop(lane);
    } else {
        g_autofree char *why =
            host->way == WAY_MUX ? g_strdup(error->message) : explain_spawn(error);
        hosts_fail(host->hosts, look, NET_LOOK_FAILED, "%s", why);
    }
}

/* ------------------------------------------------------------------------------------ the answer
 */

static struct look *take_look(struct visit *visit)
{
    struct look *look = g_steal_pointer(&visit->look);
    look->visit = NULL;
    return look;
}

static void answer_refs(struct visit *visit, GHashTable *refs)
{
    const struct look_answer answer = {
        .outcome = NET_LOOK_REFS, .road = talk_road(visit->talk), .refs = refs};
    hosts_answer(visit->host->hosts, take_look(visit), &answer);
}

/* True when the look waits again, to be asked in another way. */
static bool ask_again(struct visit *visit)
{
    enum lsrefs_next next = talk_next(visit->talk);
    if ((next != LSREFS_NEXT_COMMAND && next != LSREFS_NEXT_ADVERTISEMENT) ||
        !talk_asked_at_once(visit->talk)) {
        return false;
    }
    struct look *look = take_look(visit);
    look->asked.road = NET_ROAD_V2_ASKED;
    hosts_wait_again(look);
    return true;
}

static void answer_failure(struct visit *visit)
{
    struct hosts *hosts = visit->host->hosts;
    enum net_look_outcome outcome = NET_LOOK_FAILED;
    if (talk_next(visit->talk) == LSREFS_NEXT_GIT) {
        hosts_fail(hosts, take_look(visit), NET_LOOK_USE_GIT, "%s",
                   talk_failure(visit->talk)->message);
    } else if (!ask_again(visit)) {
        bool by_ssh = visit->host->way != WAY_MUX;
        g_autofree char *why = explain_talk(visit->talk, by_ssh, visit->look->asked.url, &outcome);
        hosts_fail(hosts, take_look(visit), outcome, "%s", why);
    }
}

/* What there is, whether it came before the end or with it. */
static void conclude(struct visit *visit)
{
    g_autoptr(GHashTable) refs = talk_take_refs(visit->talk);
    visit->host->failures = 0;
    if (visit->lane) {
        visit->lane->served++;
    }
    if (refs) {
        answer_refs(visit, refs);
    } else {
        answer_failure(visit);
    }
}

static void decided(void *data)
{
    struct visit *visit = data;
    conclude(visit);
    /* Without refs what comes is no answer, and may never end. */
    if (talk_failure(visit->talk)) {
        visits_free(visit);
    }
}

/* ----------------------------------------------------------------------------------- no answer */

static void lose(struct visit *visit)
{
    struct look *look = take_look(visit);
    struct lane *lane = visit->lane;
    if (lane) {
        lanes_rest(lane);
    }
    unsigned limit = lane && lane->served > 0 ? LOSSES_SERVED_MAX : LOSSES_MAX;
    if (++look->losses <= limit) {
        hosts_wait_again(look);
        return;
    }
    g_autofree char *why = explain_loss(lane ? connection_words(lane->connection) : NULL);
    hosts_fail(visit->host->hosts, look, NET_LOOK_UNREACHABLE, "%s", why);
}

void visits_lose_all(struct lane *lane)
{
    GList *link = lane->host->visits.head;
    while (link) {
        struct visit *visit = link->data;
        link = link->next;
        if (visit->lane == lane) {
            if (visit->look) {
                lose(visit);
            }
            visits_free(visit);
        }
    }
}

static void note_strangeness(struct visit *visit)
{
    visit->host->hosts->way = WAY_CLIENT;
    if (visit->host->way == WAY_MUX) {
        visit->host->way = WAY_CLIENT;
    }
}

static void ended(void *data, enum talk_end end)
{
    struct visit *visit = data;
    struct lane *dead = NULL;
    switch (end) {
    case TALK_ENDED:
        visit->host->lingers = talk_lingers(visit->talk);
        if (visit->look) {
            conclude(visit);
        }
        break;
    case TALK_LOST:
        if (visit->look) {
            lose(visit);
        }
        break;
    case TALK_STUCK:
        dead = visit->lane;
        lose(visit);
        break;
    case TALK_REFUSED:
        lanes_refuse(visit->lane);
        hosts_wait_again(take_look(visit));
        break;
    case TALK_STRANGE:
        note_strangeness(visit);
        hosts_wait_again(take_look(visit));
        break;
    }
    visits_free(visit);
    if (dead) {
        lanes_drop(dead);
    }
}
