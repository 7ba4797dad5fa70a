/*
 * What ssh(1) processes say to one another when they share a connection (OpenSSH's PROTOCOL.mux,
 * version 4): the client's half of a session in "passenger mode", where the master does all the
 * talking with the server over three descriptors that the client passed to it. Bytes in, messages
 * out, no I/O.
 *
 * 1. Connect to the master's control socket. Write mux_append_hello() and
 *    mux_append_new_session(), at once: the master reads exactly one message at a time, and then
 *    takes the descriptors for stdin, stdout and stderr, each with a byte of its own (SCM_RIGHTS).
 * 2. Read with mux_decode(): MUX_HELLO; MUX_OPENED or MUX_REFUSED; MUX_EXIT; the end. An end
 * without MUX_EXIT: the master died, or the server told no exit status (a signal, say).
 * 3. Closing the socket earlier makes the master close the session.
 */
#ifndef PHANTOM_CI_SSH_MUX_H
#define PHANTOM_CI_SSH_MUX_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SSH_ERROR (g_quark_from_static_string("phantom-ci-ssh"))

enum {
    MUX_VERSION = 4,
    MUX_HELLO_BYTES = 12,      /* what the master says by itself, whatever the server does */
    MUX_MAX_BYTES = 16 * 1024, /* of one message of the master, behind its length */
};

void mux_append_hello(GByteArray *out);

/* `environment`: "K=V" strings, NULL-terminated. The master passes on what its own SendEnv names.
 * No terminal, no forwarding, no escape character. */
void mux_append_new_session(GByteArray *out, uint32_t request, const char *command,
                            const char *const *environment);

/* Asks the master to end. */
void mux_append_terminate(GByteArray *out, uint32_t request);

enum mux_kind {
    MUX_HELLO,   /* version */
    MUX_OPENED,  /* request, session */
    MUX_REFUSED, /* request, reason: by the server (its MaxSessions, say) or by the master */
    MUX_EXIT,    /* session, exit_code */
    MUX_DONE,    /* request: something else was done as asked */
};

struct mux_message {
    enum mux_kind kind;
    uint32_t version, request, session, exit_code;
    const char *reason; /* inside the buffer that was decoded, without a NUL behind it */
    size_t reason_length;
};

enum mux_decode {
    MUX_INCOMPLETE, /* a good beginning: more bytes are needed */
    MUX_MESSAGE,    /* *message and *used are set */
    MUX_BROKEN,     /* this is not the protocol that is known here: `error` is set */
};
enum mux_decode mux_decode(const uint8_t *bytes, size_t length, struct mux_message *message,
                           size_t *used, GError **error);

#endif
