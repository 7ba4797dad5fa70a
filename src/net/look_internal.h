/* A look from inside: for look.c and look_verdict.c alone. */
#ifndef PHANTOM_CI_NET_LOOK_INTERNAL_H
#define PHANTOM_CI_NET_LOOK_INTERNAL_H

#include "git/lsrefs.h"
#include "net/look.h"
#include "net/look_head.h"

/* Object formats, as bits of what was tried. */
enum { LOOK_SHA1 = 1, LOOK_SHA256 = 2 };

enum { LOOK_RENEWALS_MAX = 2 };

struct look {
    struct net_look request;
    char **wanted;
    struct look_shared *shared;
    struct look_setup *setup;
    char *origin; /* of the request's URL */
    int64_t deadline_ms;
    struct look_ticket ticket;
    GList link;
    bool may_be_large;

    /* The road: what is asked next, or now. */
    enum look_question question;
    unsigned format;            /* of the command */
    bool was_told;              /* the capabilities of version 2 were read: format is right */
    unsigned refused;           /* formats whose command was sent at once and not understood */
    struct look_place place;    /* where it is asked */
    GPtrArray *visited;         /* bases that redirected this question; NULL = none */
    bool has_moved, is_for_now; /* redirected; one of the redirects was not for good */

    /* One question. */
    CURL *handle;
    bool is_running;
    GByteArray *body;
    uint64_t login;                  /* the number of the one that was sent; 0 = none */
    struct curl_slist authorization; /* its header, in front of the setup's; data is NULL or ours */
    bool login_was_renewed;
    unsigned renewals; /* questions that were asked again, for the connection was dead */
    struct look_head head;
    bool head_is_too_long;
    long status; /* of the final answer; 0 before its head is complete */
    struct lsrefs *lsrefs;
    bool has_other_type;
    GError *failure; /* of lsrefs_take() */
    size_t body_bytes;
    bool stopped; /* by us: the rest is not wanted */
    bool is_put_off;
    int64_t slow_since_ms; /* the low speed is measured from here; 0 = not yet */
    size_t slow_bytes;
    char detail[CURL_ERROR_SIZE];

    /* The answer. */
    GHashTable *refs; /* NULL unless they are new */
    struct net_looked looked;
};

/* Judges the answer to one question, which is over: sets what to ask next, or the answer. */
enum look_next look_judge(struct look *look, CURLcode code);

/* Sets the answer for a look that got none. */
void look_answer_failure(struct look *look, CURLcode code);

#endif
