/* What the answer to one question of a look means. */
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/hints.h"
#include "git/refset.h"
#include "git/url.h"
#include "net/explain.h"
#include "net/look_internal.h"

/* ------------------------------------------------------------------------------------- answers */

/* `hint` is NULL or one of git/hints.h. */
G_GNUC_PRINTF(4, 5)
static enum look_next fail(struct look *look, enum net_look_outcome outcome, const char *hint,
                           const char *format, ...)
{
    g_autofree char *origin = explain_origin(look->place.base);
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    look->looked.outcome = outcome;
    look->looked.road = outcome == NET_LOOK_USE_GIT ? NET_ROAD_GIT : NET_ROAD_UNKNOWN;
    look->looked.id = g_strdup(look->request.id);
    look->looked.error = g_strdup_printf("%s %s%s%s%s", origin, what, hint ? " (" : "",
                                         hint ? hint : "", hint ? ")" : "");
    return LOOK_NEXT_ANSWER;
}

bool look_is_for_git(struct look *look)
{
    const struct look_options *options = look_setup_options(look->setup);
    if (options->has_own_framing) {
        fail(look, NET_LOOK_USE_GIT, NULL,
             "is to be sent a header of http.extraHeader that only git itself sends");
    } else if (options->has_client_certificate && g_str_has_prefix(look->origin, "https:")) {
        fail(look, NET_LOOK_USE_GIT, NULL,
             "is to be shown a client certificate (GIT_SSL_CERT), which only git itself does");
    }
    return look->looked.id != NULL;
}

static unsigned format_of(const char *name)
{
    return strcmp(name, "sha256") == 0 ? LOOK_SHA256 : LOOK_SHA1;
}

/* How the next look should begin. */
static enum net_road road_of(const struct look *look)
{
    if (look->question == LOOK_ADVERTISEMENT) {
        return NET_ROAD_V0;
    }
    if (look->was_told &&
        (look->request.road == NET_ROAD_V2_ASKED || look->refused & look->format)) {
        return NET_ROAD_V2_ASKED;
    }
    return look->format == LOOK_SHA256 ? NET_ROAD_V2_SHA256 : NET_ROAD_V2;
}

static enum look_next succeed(struct look *look, GHashTable *refs)
{
    struct net_looked *looked = &look->looked;
    looked->id = g_strdup(look->request.id);
    looked->digest = refset_digest(refs);
    looked->road = road_of(look);
    bool is_same = strcmp(looked->digest, look->request.known) == 0;
    looked->outcome = is_same ? NET_LOOK_SAME : NET_LOOK_REFS;
    if (!is_same) {
        look->refs = g_hash_table_ref(refs);
    }
    if (look->has_moved && !look->is_for_now) {
        looked->location = look_place_name(&look->place);
    }
    return LOOK_NEXT_ANSWER;
}

/* ---------------------------------------------------------------------------- the next question */

/* At the address that was asked for first. */
static void turn_to_advertisement(struct look *look)
{
    look->question = LOOK_ADVERTISEMENT;
    g_clear_pointer(&look->visited, g_ptr_array_unref);
    look->has_moved = false;
    look->is_for_now = false;
    look_place_clear(&look->place);
    bool good = look_place_parse(look->request.url, &look->place, NULL);
    g_assert(good); /* look_new() has taken it */
}

/* The command was sent before anybody said that it is understood, so there is another question. */
static bool may_ask_anew(const struct look *look)
{
    return look->question == LOOK_COMMAND && !look->was_told;
}

static enum look_next ask_anew(struct look *look)
{
    look->refused |= look->format;
    turn_to_advertisement(look);
    return LOOK_NEXT_ASK;
}

static enum look_next ask_command(struct look *look)
{
    look->question = LOOK_COMMAND;
    look->was_told = true;
    look->format = format_of(lsrefs_object_format(look->lsrefs));
    g_clear_pointer(&look->visited, g_ptr_array_unref);
    return LOOK_NEXT_ASK;
}

/* -------------------------------------------------------------------------- an answer with refs */

static enum look_next fail_type(struct look *look)
{
    g_autofree char *type = text_escape(look->head.type);
    return fail(look, NET_LOOK_NONSENSE, GIT_HINT_PATH, "answered with %s%s%s, which is not git's",
                *type ? "\"" : "", *type ? type : "no Content-Type", *type ? "\"" : "");
}

static enum look_next judge_failure(struct look *look, const GError *error)
{
    if (look->has_other_type) {
        return fail_type(look);
    }
    /* Words of the server come while it is read; what breaks off is seen at its end. */
    bool is_word = look->failure && error_has_code(error, ERROR_REMOTE);
    return fail(look, is_word ? NET_LOOK_FAILED : NET_LOOK_NONSENSE, NULL, "gave no refs: %s",
                error->message);
}

static enum look_next judge_answer(struct look *look)
{
    if (look->has_other_type && may_ask_anew(look)) {
        return ask_anew(look);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) refs = lsrefs_finish(look->lsrefs, &error);
    switch (lsrefs_next(look->lsrefs)) {
    case LSREFS_NEXT_GIT:
        return fail(look, NET_LOOK_USE_GIT, NULL, "is for git itself: %s", error->message);
    case LSREFS_NEXT_COMMAND:
        return look->has_other_type ? fail_type(look) : ask_command(look);
    case LSREFS_NEXT_ADVERTISEMENT:
        return may_ask_anew(look) ? ask_anew(look) : judge_failure(look, error);
    case LSREFS_NEXT_NOTHING:
        break;
    }
    if (!refs || look->has_other_type) {
        return judge_failure(look, error);
    }
    if (g_hash_table_size(refs) == 0 && may_ask_anew(look) &&
        look->request.road == NET_ROAD_UNKNOWN) {
        turn_to_advertisement(look);
        return LOOK_NEXT_ASK;
    }
    return succeed(look, refs);
}

/* -------------------------------------------------------------------------------------- logins */

static enum look_next judge_login(struct look *look)
{
    const struct look_login *login = look_logins_find(look->shared->logins, &look->place);
    if (login && login->number != look->login && !look->login_was_renewed) {
        look->login_was_renewed = true;
        return LOOK_NEXT_ASK;
    }
    if (look->head.has_challenge && !look->head.offers_basic) {
        return fail(look, NET_LOOK_USE_GIT, NULL,
                    "wants a login of a kind that only git itself can make");
    }
    if (look->has_moved) {
        look->looked.location = look_place_name(&look->place);
    }
    if (look->login == 0) {
        return fail(look, NET_LOOK_LOGIN, GIT_HINT_PRIVATE, "wants a user name and a password");
    }
    look_logins_forget(look->shared->logins, look->login);
    return fail(look, NET_LOOK_LOGIN_REFUSED, GIT_HINT_LOGIN_REFUSED,
                "refused the user name and the password");
}

/* ----------------------------------------------------------------------------------- redirects */

/* Without user information and without what stands behind '?', where tokens are. */
static char *shown_target(const char *target)
{
    g_autofree char *bare = g_strndup(target, strcspn(target, "?#"));
    return url_for_display(bare);
}

static bool was_visited(struct look *look, const char *base)
{
    if (!look->visited) {
        look->visited = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(look->visited, g_strdup(look->place.base));
    return g_ptr_array_find_with_equal_func(look->visited, base, g_str_equal, NULL);
}

static enum look_next follow(struct look *look, struct look_place *to)
{
    bool again = was_visited(look, to->base);
    if (again || look->visited->len > LOOK_REDIRECTS_MAX) {
        look_place_clear(to);
        return fail(look, NET_LOOK_NONSENSE, GIT_HINT_PATH,
                    again ? "sends on in a circle" : "sends on more than %d times",
                    LOOK_REDIRECTS_MAX);
    }
    look_place_clear(&look->place);
    look->place = *to;
    look->has_moved = true;
    look->is_for_now = look->is_for_now || (look->status != 301 && look->status != 308);
    return LOOK_NEXT_ASK;
}

static enum look_next judge_redirect(struct look *look)
{
    char *target = NULL;
    struct look_place to;
    curl_easy_getinfo(look->handle, CURLINFO_REDIRECT_URL, &target);
    if (!target && may_ask_anew(look)) {
        return ask_anew(look);
    }
    if (!target) {
        return fail(look, NET_LOOK_NONSENSE, NULL,
                    "sends on with status %ld, and does not say where", look->status);
    }
    enum look_redirect redirect = look_place_redirect(&look->place, look->question, target,
                                                      look_setup_options(look->setup)->follow, &to);
    if (redirect == LOOK_REDIRECT_GO) {
        return follow(look, &to);
    }
    if (redirect == LOOK_REDIRECT_NOWHERE && may_ask_anew(look)) {
        return ask_anew(look);
    }
    g_autofree char *shown = to.base ? look_place_name(&to) : shown_target(target);
    look->looked.location = to.base ? g_strdup(shown) : NULL;
    look_place_clear(&to);
    switch (redirect) {
    case LOOK_REDIRECT_DOWNGRADE:
        return fail(look, NET_LOOK_MOVED, NULL,
                    "sends on to %s, without TLS, which is never followed", shown);
    case LOOK_REDIRECT_NOWHERE:
        return fail(look, NET_LOOK_MOVED, GIT_HINT_PATH,
                    "sends on to %s, which is no address of a repository", shown);
    case LOOK_REDIRECT_GO:
    case LOOK_REDIRECT_ELSEWHERE:
        break;
    }
    return fail(look, NET_LOOK_MOVED, NULL,
                "sends on to %s: if that is right, configure the new address", shown);
}

/* ------------------------------------------------------------------------------------- statuses */

/* An answer to the command that a server may give because it expected to be asked for its
 * capabilities first, or because it has no such thing at all. */
static bool is_misunderstanding(long status)
{
    return status == 500 || status == 501 || (status >= 200 && status <= 299) ||
           (status >= 400 && status <= 499 && status != 401 && status != 407 && status != 429);
}

static enum look_next fail_proxy_login(struct look *look)
{
    return fail(look, NET_LOOK_USE_GIT, NULL,
                "is behind a proxy that wants another login than that of its address");
}

static enum look_next judge_busy(struct look *look)
{
    look->looked.retry_after_ms = look->head.waits.retry_after_ms;
    return fail(look, NET_LOOK_BUSY, GIT_HINT_TOO_OFTEN, "answered with status %ld", look->status);
}

static enum look_next judge_status(struct look *look)
{
    bool asks_to_wait = look->head.waits.retry_after_ms >= 0;
    switch (look->status) {
    case 401:
        return judge_login(look);
    case 407:
        return fail_proxy_login(look);
    case 429:
        return judge_busy(look);
    case 403:
    case 503:
        if (asks_to_wait) {
            return judge_busy(look);
        }
        break;
    default:
        break;
    }
    if (look->status >= 300 && look->status <= 399 && look->status != 304) {
        return judge_redirect(look);
    }
    if (is_misunderstanding(look->status) && may_ask_anew(look)) {
        return ask_anew(look);
    }
    if (look->status == 404 || look->status == 410) {
        return fail(look, NET_LOOK_ABSENT, GIT_HINT_PATH,
                    "has no such repository, or does not show it: status %ld", look->status);
    }
    return fail(
        look, look->status >= 400 && look->status <= 599 ? NET_LOOK_FAILED : NET_LOOK_NONSENSE,
        look->status == 403 ? GIT_HINT_FORBIDDEN : NULL, "answered with status %ld", look->status);
}

/* ----------------------------------------------------------------------------------- transport */

static enum net_look_outcome outcome_of(CURLcode code)
{
    static const enum net_look_outcome outcomes[] = {
        [NET_OUTCOME_HTTP] = NET_LOOK_NONSENSE,   [NET_OUTCOME_UNREACHABLE] = NET_LOOK_UNREACHABLE,
        [NET_OUTCOME_TIMEOUT] = NET_LOOK_TIMEOUT, [NET_OUTCOME_TLS] = NET_LOOK_UNTRUSTED,
        [NET_OUTCOME_REFUSED] = NET_LOOK_REFUSED, [NET_OUTCOME_PROTOCOL] = NET_LOOK_NONSENSE,
    };
    return outcomes[explain_outcome(code)];
}

static const char *hint_of(CURLcode code)
{
    static const struct {
        CURLcode code;
        const char *hint;
    } hints[] = {
        {CURLE_COULDNT_RESOLVE_HOST, GIT_HINT_NAME},
        {CURLE_COULDNT_CONNECT, GIT_HINT_NOTHING_LISTENS},
        {CURLE_OPERATION_TIMEDOUT, GIT_HINT_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, GIT_HINT_CERTIFICATE},
        {CURLE_SSL_CONNECT_ERROR, GIT_HINT_TLS},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(hints); i++) {
        if (hints[i].code == code) {
            return hints[i].hint;
        }
    }
    return NULL;
}

/* A kept connection that the server closed in the very moment, or, of HTTP/2, whose number of
 * requests was used up. libcurl deals with that itself, but counts how often over the whole life of
 * a handle and gives up at each fifth time (lib/transfer.c, Curl_retry_request()). */
static bool died_under_us(const struct look *look, CURLcode code)
{
    long connects = 0;
    bool is_break = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                    code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
    return is_break && look->head.bytes == 0 && look->renewals < LOOK_RENEWALS_MAX &&
           curl_easy_getinfo(look->handle, CURLINFO_NUM_CONNECTS, &connects) == CURLE_OK &&
           connects == 0;
}

void look_answer_failure(struct look *look, CURLcode code)
{
    const char *hint = hint_of(code);
    g_autofree char *what = explain_failure(look->handle, code, look->place.base, look->detail);
    look->looked.outcome = outcome_of(code);
    look->looked.id = g_strdup(look->request.id);
    look->looked.error = hint ? g_strdup_printf("%s (%s)", what, hint) : g_steal_pointer(&what);
}

void look_time_out(struct look *look, int64_t now_ms)
{
    curl_off_t connected_us = 0;
    bool is_late = now_ms >= look->deadline_ms;
    if (look->is_running) {
        curl_easy_getinfo(look->handle, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    }
    if (!is_late) {
        fail(look, NET_LOOK_TIMEOUT, GIT_HINT_SLOW, "sent less than %d bytes a second for %d s",
             LOOK_LOW_SPEED_BYTES, LOOK_LOW_SPEED_MS / 1000);
    } else if (!look->is_running) {
        fail(look, NET_LOOK_TIMEOUT, NULL,
             "was not asked within %" G_GINT64_FORMAT " ms: too many other looks are under way",
             look->request.timeout_ms);
    } else {
        fail(look, NET_LOOK_TIMEOUT, GIT_HINT_TIMEOUT, "%s within %" G_GINT64_FORMAT " ms",
             connected_us > 0 ? "did not answer completely" : "could not be connected to",
             look->request.timeout_ms);
    }
}

static bool was_refused_by_proxy(const struct look *look)
{
    long tunnel = 0;
    return curl_easy_getinfo(look->handle, CURLINFO_HTTP_CONNECTCODE, &tunnel) == CURLE_OK &&
           tunnel == 407;
}

enum look_next look_judge(struct look *look, CURLcode code)
{
    if (look->head_is_too_long) {
        return fail(look, NET_LOOK_NONSENSE, NULL, "answered with a head longer than %d KiB",
                    LOOK_HEAD_MAX_BYTES / 1024);
    }
    if (look->stopped && look->lsrefs && lsrefs_is_done(look->lsrefs)) {
        return fail(look, NET_LOOK_NONSENSE, NULL, "goes on behind the end of its answer");
    }
    if (code == CURLE_OK || look->stopped) {
        return look->status == 200 ? judge_answer(look) : judge_status(look);
    }
    if (was_refused_by_proxy(look)) {
        return fail_proxy_login(look);
    }
    if (died_under_us(look, code)) {
        look->renewals++;
        return LOOK_NEXT_ASK;
    }
    look_answer_failure(look, code);
    return LOOK_NEXT_ANSWER;
}
