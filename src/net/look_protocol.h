/*
 * Looks at remotes, as messages between phantom_ci and the programs that do them: phantom_ci-net
 * for http and https, phantom_ci-ssh for ssh. The frames are those of net/protocol.h.
 *
 * 1. The supervisor writes NET_LOOK (net_look_encode). NET_CANCEL drops one.
 * 2. The helper answers each look with any number of NET_REFS and then one NET_LOOKED, within the
 *    look's timeout_ms plus a moment. Answers with an unknown id are to be dropped.
 * 3. When the refs are those whose digest the look named as known, the outcome is NET_LOOK_SAME and
 *    there are no NET_REFS: a quiet remote costs one short message.
 *
 * User names and passwords never pass through the supervisor: phantom_ci-credential writes them
 * (NET_LOGIN, one write of at most PIPE_BUF bytes) into a pipe that only phantom_ci-net reads, as
 * its descriptor NET_LOGIN_FD. The supervisor keeps the other end open for as long as the helper
 * runs: its end means that there will be no logins any more.
 *   - NET_LOOK_LOGIN: `git credential fill` for the look's URL (or for `location`, where a redirect
 *     led to), NET_LOGIN, and the look again. What is in the pipe before a look is sent counts for
 *     that look. Without credentials `git ls-remote` is to be tried: it knows of .netrc.
 *   - A good look: the login, if there was one, may be approved.
 *   - NET_LOOK_LOGIN_REFUSED: `git credential reject`, then as above.
 */
#ifndef PHANTOM_CI_NET_LOOK_PROTOCOL_H
#define PHANTOM_CI_NET_LOOK_PROTOCOL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/protocol.h"

enum {
    NET_LOGIN_FD = 3,
    NET_WANTED_MAX_BYTES = 64 * 1024,
    NET_OPTIONS_MAX_BYTES = 16 * 1024,
    NET_REFS_MAX_BYTES = 60 * 1024,
};

/* How a remote is spoken to. What a look learned comes back with its answer, and goes with the next
 * look as the first thing to try. */
enum net_road {
    NET_ROAD_UNKNOWN,   /* "" */
    NET_ROAD_V2,        /* "v2": the ls-refs command at once */
    NET_ROAD_V2_SHA256, /* "v2-sha256": the same with object-format=sha256 */
    NET_ROAD_V2_ASKED,  /* "v2-asked": the server must be asked for its capabilities first */
    NET_ROAD_V0,        /* "v0": the advertisement of all refs */
    NET_ROAD_GIT,       /* "git": this helper can't; `git ls-remote` is to be tried */
};
/* The parser takes "", too. */
const char *net_road_name(enum net_road road);
bool net_road_parse(const char *text, enum net_road *road);

struct net_look {
    char *id;
    char *url;     /* http(s)://...; for phantom_ci-ssh ssh://... or [user@]host:path */
    char *wanted;  /* full ref names and globs (git/refset.h), joined by \n; never empty */
    char *known;   /* the digest of what the supervisor knows (refset_digest), or "" */
    char *options; /* "name=value" lines joined by \n: what of the user's configuration counts; a
                      helper refuses one that it does not know (outcome NET_LOOK_REFUSED) */
    enum net_road road;
    int64_t timeout_ms;
};

/* ERROR_INVALID or ERROR_LIMIT (with nothing appended) when the look breaks a rule above. NULL
 * known and options are empty ones. */
bool net_look_encode(GByteArray *out, const struct net_look *look, GError **error);

/* On failure *look is cleared, but for the id if that was good, so that the look can be answered as
 * refused. */
bool net_look_parse(const struct net_message *message, struct net_look *look, GError **error);

/* Overwrites URL and options, and frees. Fine for a zeroed struct, and twice. */
void net_look_clear(struct net_look *look);

/* One part of a look's refs: "id SP name LF" lines, at most NET_REFS_MAX_BYTES. */
void net_refs_encode(GByteArray *out, const char *id, const char *lines, size_t length);
/* All of a table (git/refset.h), in as many messages as it takes. */
void net_refs_encode_table(GByteArray *out, const char *id, GHashTable *refs);
/* The look's id (free with g_free()), its refs added to `refs` (git/refset.h; every line is
 * checked, not whether it was asked for). NULL on nonsense (ERROR_INVALID) or when there are more
 * than REFSET_MAX_REFS (ERROR_LIMIT); then some may have been added. */
char *net_refs_parse(const struct net_message *message, GHashTable *refs, GError **error);

enum net_look_outcome {
    NET_LOOK_SAME,    /* "same" */
    NET_LOOK_REFS,    /* "refs" */
    NET_LOOK_USE_GIT, /* "use-git": what the remote needs is not spoken here (road is "git") */
    NET_LOOK_LOGIN,   /* "login": the server wants a user name and password */
    NET_LOOK_LOGIN_REFUSED, /* "login-refused": it refused those that a NET_LOGIN brought; they are
                               forgotten here */
    NET_LOOK_ABSENT,        /* "absent": no such repository (or none that is shown) */
    NET_LOOK_MOVED,         /* "moved": redirected to where it was not followed (location) */
    NET_LOOK_BUSY,          /* "busy": 429, or 503 with Retry-After */
    NET_LOOK_UNREACHABLE,   /* "unreachable" */
    NET_LOOK_TIMEOUT,       /* "timeout" */
    NET_LOOK_UNTRUSTED, /* "untrusted": no trusted TLS connection, an unknown or changed host key */
    NET_LOOK_FAILED,    /* "failed": the server's other refusals (ERR packets, 5xx, 403) */
    NET_LOOK_NONSENSE,  /* "nonsense": what came is no answer, or above a limit */
    NET_LOOK_REFUSED,   /* "refused": the helper did not try: bad URL or options */
};
const char *net_look_outcome_name(enum net_look_outcome outcome);

struct net_looked {
    char *id;
    enum net_look_outcome outcome;
    enum net_road road; /* of a good look: how it went; NET_ROAD_UNKNOWN = nothing learned */
    char *digest;       /* of a good look */
    char *location;     /* "" or where the repository is now (also of a good look that followed a
                           redirect); without user information */
    int64_t retry_after_ms; /* 0 to NET_WAIT_MAX_MS; -1 = none */
    char *error;            /* one line of UTF-8 without control characters; "" of a good look. May
                               end with a hint as git_explain_failure() writes them */
};

#define NET_LOOKED_INIT                                                                            \
    {                                                                                              \
        .retry_after_ms = -1                                                                       \
    }

/* Asserts that a good look has a digest and no error, and another one an error and no digest. What
 * a server may have put into it is made to keep the rules: the error is escaped and cut, a location
 * that is no http or https address of a repository, or has a user in it, is left out. NULL texts
 * are empty ones. */
void net_looked_encode(GByteArray *out, const struct net_looked *looked);

/* On failure *looked is cleared. */
bool net_looked_parse(const struct net_message *message, struct net_looked *looked, GError **error);
void net_looked_clear(struct net_looked *looked);

/* A user name and a password for all looks whose URL begins with `prefix` (scheme://host[:port]/,
 * or with a path when credential.useHttpPath is set). All of it is secret. */
struct net_login {
    char *prefix;
    char *user;
    char *password; /* both empty: there is none for this prefix (any more) */
};
/* False when it breaks a rule, or does not fit into one write (PIPE_BUF): ERROR_LIMIT. NULL texts
 * are empty ones. `out` is secret; made large enough (PIPE_BUF), no copy of it stays behind. */
bool net_login_encode(GByteArray *out, const struct net_login *login, GError **error);
/* On failure *login is cleared. */
bool net_login_parse(const struct net_message *message, struct net_login *login, GError **error);
/* Overwrites and frees. */
void net_login_clear(struct net_login *login);

#endif
