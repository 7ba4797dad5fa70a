/*
 * The messages between phantom_ci and its helper programs, over a pair of pipes: their frames, and
 * the requests to phantom_ci-net. Looks at remotes are in net/look_protocol.h.
 *
 * A message is a header of 8 bytes, little endian: u32 length of the payload, u32 type; then the
 * payload: a fixed number of fields for each type, each a u32 length and that many bytes. A table
 * in protocol.c says which type goes in which direction, how many fields it has and how long its
 * payload may be; anything else is broken, and after a broken message nothing more can be read from
 * that pipe.
 *
 * 1. The daemon writes requests (net_request_encode) to phantom_ci-net's standard input, and may
 *    write cancels (net_cancel_encode).
 * 2. phantom_ci-net writes one answer for each request that was not canceled, in any order, within
 *    the request's timeout_ms plus a moment. A cancel is not answered itself; the answer may have
 *    been on its way, so answers with an unknown id are to be dropped.
 * 3. The end of the pipe instead of an answer (phantom_ci-net was killed, or ended because it was
 *    idle in the very moment of the request) says nothing about whether the request was sent.
 *
 * Reading: append what comes to a buffer, call net_decode() until it says NET_INCOMPLETE, and drop
 * `used` bytes each time; then net_request_parse(), net_cancel_parse() or net_answer_parse().
 *
 * URLs, headers and bodies are secrets: net_request_clear() overwrites them, and no error text made
 * here holds any of their bytes.
 */
#ifndef PHANTOM_CI_NET_PROTOCOL_H
#define PHANTOM_CI_NET_PROTOCOL_H

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_ERROR (g_quark_from_static_string("phantom-ci-net"))

enum {
    NET_HEADER_BYTES = 8,
    NET_MAX_FIELDS = 8,
    NET_REQUEST_MAX_BYTES = 1024 * 1024, /* payload; cancel: NET_CANCEL_MAX_BYTES */
    NET_CANCEL_MAX_BYTES = 256,
    NET_ANSWER_MAX_BYTES = 64 * 1024, /* payload; also of refs and looked */
    NET_LOOK_MAX_BYTES = 96 * 1024,   /* payload */
    NET_LOGIN_MAX_BYTES = PIPE_BUF - NET_HEADER_BYTES,
    NET_ID_MAX_BYTES = 64,
    NET_URL_MAX_BYTES = 8192,
    NET_HEADERS_MAX_BYTES = 16 * 1024,
    NET_HEADERS_MAX = 64,
    NET_TIMEOUT_MAX_MS = 10 * 60 * 1000,
    NET_WAIT_MAX_MS = 24 * 60 * 60 * 1000, /* what a server asks for is cut to this */
    NET_ERROR_TEXT_MAX_BYTES = 1024,
    NET_ANSWER_BODY_MAX_BYTES = 2048,
};

enum net_type {
    NET_REQUEST = 1, /* id, url, method, headers, body, timeout_ms */
    NET_CANCEL = 2,  /* id */
    NET_ANSWER = 3,  /* id, outcome, status, retry_after_ms, rate_remaining, rate_reset_ms, error,
                        body */
    NET_LOOK = 4,    /* id, url, wanted, known, options, road, timeout_ms */
    NET_REFS = 5,    /* id, lines */
    NET_LOOKED = 6,  /* id, outcome, road, digest, location, retry_after_ms, error */
    NET_LOGIN = 7,   /* prefix, user, password */
};

enum net_direction { NET_TO_NET, NET_FROM_NET };

/* Bytes inside the buffer that was decoded; not owned, no NUL at the end. */
struct net_field {
    const char *bytes;
    size_t length;
};

struct net_message {
    enum net_type type;
    unsigned count;
    struct net_field fields[NET_MAX_FIELDS];
};

/* Appends one message. Asserts that the number of fields and the lengths are those of the type. */
void net_encode(GByteArray *out, enum net_type type, const struct net_field *fields,
                unsigned count);

enum net_decode {
    NET_INCOMPLETE, /* a good beginning: more bytes are needed */
    NET_MESSAGE,    /* *message and *used are set */
    NET_BROKEN,     /* error is set (ERROR_INVALID or ERROR_LIMIT); never a matter of more bytes */
};

/* Looks at the beginning of `bytes`. A header that breaks a rule is NET_BROKEN as soon as its 8
 * bytes are there. */
enum net_decode net_decode(const uint8_t *bytes, size_t length, enum net_direction direction,
                           struct net_message *message, size_t *used, GError **error);

struct net_request {
    char *id;           /* 1 to 64 of A-Z a-z 0-9 . _ : - */
    char *url;          /* http:// or https://, no blanks, no control bytes; secret */
    char *method;       /* GET, HEAD or POST */
    char *headers;      /* "Name: value" lines joined by \n, or ""; secret */
    char *body;         /* any bytes, a NUL behind them; never NULL once parsed; secret */
    size_t body_length; /* 0 unless POST */
    int64_t timeout_ms; /* 1 to NET_TIMEOUT_MAX_MS, from the arrival of the request to its answer */
};

/* ERROR_INVALID or ERROR_LIMIT (with nothing appended) when the request breaks a rule above. NULL
 * headers and body are empty ones. */
bool net_request_encode(GByteArray *out, const struct net_request *request, GError **error);

/* Copies a message of the type NET_REQUEST; another one is ERROR_INVALID, here and in the other
 * functions that parse. On failure *request is cleared, but for the id if that
 * was good, so that the request can be answered as refused. */
bool net_request_parse(const struct net_message *message, struct net_request *request,
                       GError **error);

/* Overwrites and frees. Fine for a zeroed struct, and twice. */
void net_request_clear(struct net_request *request);

void net_cancel_encode(GByteArray *out, const char *id);

/* The id of a message of the type NET_CANCEL; free with g_free(). NULL with `error` on nonsense. */
char *net_cancel_parse(const struct net_message *message, GError **error);

enum net_outcome {
    NET_OUTCOME_HTTP,        /* the server answered; see status. With an error text as well: the
                                head was complete, what came behind it was not */
    NET_OUTCOME_UNREACHABLE, /* name not known, connection refused, reset, no route, proxy trouble
                              */
    NET_OUTCOME_TIMEOUT,     /* no complete head of an answer in time */
    NET_OUTCOME_TLS,         /* no trusted connection; nothing of the request was sent */
    NET_OUTCOME_REFUSED,     /* phantom_ci-net did not send it: bad URL, method or header */
    NET_OUTCOME_PROTOCOL,    /* what came is no HTTP, or above a limit */
};

/* "http", "unreachable", "timeout", "tls", "refused", "protocol" */
const char *net_outcome_name(enum net_outcome outcome);

struct net_answer {
    char *id;
    enum net_outcome outcome;
    int status;             /* 100 to 599; 0 = none */
    int64_t retry_after_ms; /* 0 to NET_WAIT_MAX_MS; -1 = none */
    int64_t rate_remaining; /* 0 to INT32_MAX; -1 = none */
    int64_t rate_reset_ms;  /* 0 to NET_WAIT_MAX_MS; -1 = none */
    char *error;            /* "" = none; one line of UTF-8, of the URL at most scheme and host */
    char *body;             /* the first 2 KiB, raw, a NUL behind them. It is the server's text: it
                               may be anything, even an echo of the request's secrets */
    size_t body_length;
};

#define NET_ANSWER_INIT                                                                            \
    {                                                                                              \
        .retry_after_ms = -1, .rate_remaining = -1, .rate_reset_ms = -1                            \
    }

/* Asserts that the answer keeps the rules above. NULL error and body are empty ones. */
void net_answer_encode(GByteArray *out, const struct net_answer *answer);

/* Copies a message of the type NET_ANSWER. On failure *answer is cleared. */
bool net_answer_parse(const struct net_message *message, struct net_answer *answer, GError **error);

void net_answer_clear(struct net_answer *answer);

#endif
