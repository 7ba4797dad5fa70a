/*
 * The servers, and the looks that wait for them or are under way there: at most so many sessions a
 * connection, connections a server, and sessions and connections in all; the servers take turns.
 *
 * 1. hosts_new(). 2. hosts_add() a look: answered() is called for it once, perhaps before that
 * returns, unless hosts_remove() or hosts_time_out() takes it back. 3. hosts_begin() whenever
 * something may have changed: begins what there is room for. 4. hosts_free().
 *
 * What is done about trouble:
 * - A connection that can't be made is what all looks that wait for it are answered with. The next
 *   one is tried after a pause (HOSTS_PAUSE_MS, doubled each time up to HOSTS_PAUSE_MAX_MS).
 * - A look whose connection is lost is tried once more with a new one.
 * - A server that opens fewer sessions is asked for fewer, over more connections. One that opens
 *   none beside another, or ends the connection after each, gets an ssh process a look
 *   (WAY_PROCESS); for HOSTS_FORGET_MS, and then it is tried again.
 * - A master that speaks another multiplexing protocol is spoken to by ssh's own client
 *   (WAY_CLIENT).
 */
#ifndef PHANTOM_CI_SSH_HOSTS_H
#define PHANTOM_CI_SSH_HOSTS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/look_protocol.h"
#include "ssh/address.h"
#include "ssh/loop.h"

enum {
    HOSTS_SESSIONS = 8,  /* a connection: sshd's MaxSessions is 10 */
    HOSTS_LANES = 4,     /* connections to one server, when it opens few sessions on each */
    HOSTS_PROCESSES = 4, /* a server, without a shared connection */
    HOSTS_VISITS_MAX = 64,
    HOSTS_LANES_MAX = 64,
    HOSTS_STARTING_MAX = 16,
    HOSTS_KEPT = 1024, /* servers that are remembered when nothing is going on there */
    HOSTS_PAUSE_MS = 1000,
    HOSTS_PAUSE_MAX_MS = 15 * 1000,
    HOSTS_IDLE_MS = 5 * 60 * 1000,    /* then a connection is closed */
    HOSTS_AGE_MS = 60 * 60 * 1000,    /* then it is made anew: keys and configurations change */
    HOSTS_FORGET_MS = 60 * 60 * 1000, /* what was learned about a server */
};

struct host;
struct visit;

struct look {
    struct net_look asked;
    struct ssh_address address;
    char **wanted;
    int64_t end_ms; /* on the monotonic clock: the end of its time */
    void *data;     /* the owner's */

    /* What follows is hosts.c's; zeroed at first. */
    struct host *host;
    struct visit *visit; /* NULL: it waits */
    GList link;          /* while it waits */
    unsigned losses;
};

struct look_answer {
    enum net_look_outcome outcome;
    enum net_road road;
    GHashTable *refs; /* of NET_LOOK_REFS: not compared with what is known yet */
    const char *error;
};

struct hosts_events {
    void (*answered)(void *data, struct look *look, const struct look_answer *answer);
    void *data;
};

struct hosts;

struct hosts *hosts_new(struct loop *loop, const struct hosts_events *events);
void hosts_free(struct hosts *hosts);

void hosts_add(struct hosts *hosts, struct look *look);
void hosts_remove(struct hosts *hosts, struct look *look);

/* Takes a look back whose time is over, and draws conclusions about its connection. What it waited
 * for; free with g_free(). */
char *hosts_time_out(struct hosts *hosts, struct look *look);

void hosts_begin(struct hosts *hosts);

#endif
