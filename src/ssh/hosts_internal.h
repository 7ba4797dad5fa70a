/* What hosts.c (whose turn it is), lanes.c (connections) and visits.c (looks under way) share. */
#ifndef PHANTOM_CI_SSH_HOSTS_INTERNAL_H
#define PHANTOM_CI_SSH_HOSTS_INTERNAL_H

#include "ssh/connection.h"
#include "ssh/hosts.h"
#include "ssh/place.h"
#include "ssh/talk.h"

enum way {
    WAY_MUX,     /* sessions of a shared connection */
    WAY_CLIENT,  /* the same, by ssh's own client: a process a look */
    WAY_PROCESS, /* a process and a connection of its own a look */
};

struct hosts {
    struct loop *loop;
    struct hosts_events events;
    struct place *place; /* NULL: there is none, all is WAY_PROCESS */
    enum way way;        /* the best that goes with this machine's ssh */
    GHashTable *table;   /* connection of an address -> struct host */
    GQueue waiting;      /* of struct host: with looks that wait */
    unsigned visits, lanes, starting;
    unsigned last_number; /* of a lane's socket */
};

/* A server, as one user, with one key. */
struct host {
    struct hosts *hosts;
    struct ssh_address address; /* without a command */
    GQueue looks;               /* that wait, the oldest first */
    GList link;                 /* in hosts->waiting while there are some */
    GPtrArray *lanes;
    GQueue visits;
    enum way way;
    int64_t learned_ms;   /* when `way` and `sessions` were learned; 0 = they are as at first */
    unsigned sessions;    /* that it opens on one connection */
    bool lingers;         /* talk_lingers() */
    unsigned short_lives; /* connections in a row that ended by themselves after one visit */
    unsigned failures;    /* connections in a row that could not be made */
    int64_t again_ms;     /* when the next one may be tried */
    struct loop_timer again;
    char *error; /* of the last failure */
    enum net_look_outcome outcome;
};

enum lane_state { LANE_STARTING, LANE_OPEN, LANE_CLOSING };

/* A shared connection and what goes over it. */
struct lane {
    struct host *host;
    struct connection *connection;
    enum lane_state state;
    unsigned visits;        /* now */
    unsigned served;        /* visits that got an answer */
    int64_t left_ms;        /* when a visit last ended */
    int64_t rests_until_ms; /* it takes no visit before */
    int64_t begun_ms;
    struct loop_timer idle;
};

/* A look under way, and, once it is answered, what is left of its session. */
struct visit {
    struct host *host;
    struct lane *lane; /* NULL: a process with a connection of its own */
    struct look *look; /* NULL: answered or taken back */
    struct talk *talk;
    GList link; /* in host->visits */
};

/* hosts.c */
void hosts_answer(struct hosts *hosts, struct look *look, const struct look_answer *answer);
void hosts_wait_again(struct look *look); /* in front of the others */
void hosts_leave_row(struct look *look);
void hosts_learn(struct host *host, enum way way, unsigned sessions);
void hosts_wake(struct host *host, int64_t at_ms); /* hosts_begin() is called then */
G_GNUC_PRINTF(4, 5)
void hosts_fail(struct hosts *hosts, struct look *look, enum net_look_outcome outcome,
                const char *format, ...);

/* lanes.c */

/* A lane that can take one more visit, or NULL: then one was begun, if that is the thing to do. */
struct lane *lanes_find(struct host *host);
/* Ends it at once; what goes over it is lost. */
void lanes_drop(struct lane *lane);
/* A visit less. */
void lanes_leave(struct lane *lane);
/* It takes no visit for a moment: its process may be about to end. */
void lanes_rest(struct lane *lane);
/* A session was refused, beside those that there are. */
void lanes_refuse(struct lane *lane);
/* Politely; they are gone later. */
void lanes_close_all(struct host *host);
void lanes_free_all(struct host *host);

/* visits.c */

/* Begins a look that does not wait any more. `lane` is NULL for a connection of its own. */
void visits_begin(struct host *host, struct lane *lane, struct look *look);
void visits_lose_all(struct lane *lane);
/* Breaks it off, unanswered. */
void visits_free(struct visit *visit);

#endif
