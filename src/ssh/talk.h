/*
 * One conversation with a git-upload-pack on a server, by way of three pipes: asks for refs
 * (git/lsrefs.h) and ends in peace.
 *
 * 1. talk_through_master() or talk_by_process(). 2. decided() is called once, when there are refs
 * or it is clear that what comes is no answer. 3. ended() is called once, soon after that or
 * instead of it. 4. talk_free(): in ended(), or at any time before it, which breaks the
 * conversation off.
 */
#ifndef PHANTOM_CI_SSH_TALK_H
#define PHANTOM_CI_SSH_TALK_H

#include <glib.h>
#include <stdbool.h>

#include "git/lsrefs.h"
#include "net/look_protocol.h"
#include "ssh/loop.h"

enum {
    TALK_QUICK_MS = 2000,      /* so long nothing is read of a short answer: it is waited for as a
                                  whole, for being woken for each part costs most of a look */
    TALK_OPEN_MS = 10 * 1000,  /* for the server to open a session: it need not look at any
                                  repository for that, so what takes longer is a dead connection */
    TALK_EOF_MS = 300,         /* from the answer until the server is told that no more comes */
    TALK_LINGER_MS = 5 * 1000, /* from the answer to the end */
};

enum talk_end {
    TALK_ENDED,   /* the command ended, with talk_exit_code() */
    TALK_LOST,    /* without an exit code: the connection may be gone */
    TALK_STUCK,   /* the session was not opened in TALK_OPEN_MS */
    TALK_REFUSED, /* the server or the master opens no session more; no command was run */
    TALK_STRANGE, /* the master speaks another protocol than ssh/mux.h; no command was run */
};

struct talk_events {
    void (*decided)(void *data);
    void (*ended)(void *data, enum talk_end end);
    void *data;
};

struct talk_question {
    const char *command;       /* what the server is to run; unused by talk_by_process() */
    const char *const *wanted; /* git/refset.h */
    enum net_road road; /* a known one: its question is sent at once; else what the server is,
                           decides */
    bool is_lingering;  /* as of talk_lingers(), learned before */
};

struct talk;

/* ERROR_NOT_FOUND and ERROR_BUSY as of control_connect() (ssh/control.h). */
struct talk *talk_through_master(struct loop *loop, const char *control_path,
                                 const struct talk_question *question,
                                 const struct talk_events *events, GError **error);

/* `argv` is an ssh that runs the command. */
struct talk *talk_by_process(struct loop *loop, const char *const *argv, const char *const *envp,
                             const struct talk_question *question, const struct talk_events *events,
                             GError **error);

void talk_free(struct talk *talk);

/* Once decided or ended: the refs, owned by the caller, or NULL: talk_failure() says why. */
GHashTable *talk_take_refs(struct talk *talk);
const GError *talk_failure(const struct talk *talk);

/* Without refs: whether another question may get them (git/lsrefs.h). */
enum lsrefs_next talk_next(const struct talk *talk);
/* Of a question that was sent at once. */
bool talk_asked_at_once(const struct talk *talk);

/* How it went, for the next look. */
enum net_road talk_road(const struct talk *talk);

/* The last of what was written to stderr; of talk_by_process() also ssh's own words. */
const char *talk_words(const struct talk *talk);
int talk_exit_code(const struct talk *talk);

/* The server does not end by itself, though it has answered: it waits for the end of its input. */
bool talk_lingers(const struct talk *talk);

/* True once the server has shown any sign of life in this conversation. */
bool talk_is_alive(const struct talk *talk);

#endif
