/* What talk.c (the pipes) and talk_start.c (what is behind them) share. */
#ifndef PHANTOM_CI_SSH_TALK_INTERNAL_H
#define PHANTOM_CI_SSH_TALK_INTERNAL_H

#include "base/tail.h"
#include "ssh/talk.h"

struct talk {
    struct loop *loop;
    struct talk_events events;
    char **wanted;
    struct lsrefs *lsrefs;
    int in_fd, out_fd, err_fd; /* our ends; -1 = closed */
    GByteArray *unsent;        /* for in_fd */
    bool in_is_watched;
    bool at_once, asked; /* the question was sent at the beginning; at all */
    bool decided;
    bool is_quick; /* only the end is waited for, as long as TALK_QUICK_MS */
    bool is_alive;
    bool lingers;
    GHashTable *refs;
    GError *failure;
    enum lsrefs_next next;
    struct tail words;
    struct loop_timer timer; /* TALK_QUICK_MS, TALK_OPEN_MS; TALK_EOF_MS, TALK_LINGER_MS */
    int exit_code;           /* -1: not known */

    int control_fd; /* through a master, else -1 */
    GByteArray *control_in;
    pid_t child; /* by a process, else 0 */
};

/* Makes the pipes; the other ends go to `theirs` (stdin, stdout, stderr), to be closed by the
 * caller once they are handed over. */
struct talk *talk_new(struct loop *loop, const struct talk_question *question,
                      const struct talk_events *events, int theirs[3], GError **error);

void talk_close_ends(int theirs[3]);

/* Asks what can be asked at once. */
void talk_ask(struct talk *talk, enum net_road road);

/* Once somebody is behind the pipes. */
void talk_listen(struct talk *talk);

/* POLLIN: hears what the master says; 0: that it is over. */
void talk_watch_control(struct talk *talk, short events);

/* Reads what is left, closes everything and calls ended(): the talk may be gone when it returns. */
void talk_end(struct talk *talk, enum talk_end end);

#endif
