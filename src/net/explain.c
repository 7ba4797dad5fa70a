#include "net/explain.h"

#include <string.h>

#include "base/text.h"
#include "base/wipe.h"

/* Shorter parts of a URL are no secrets, and would be found in innocent words. */
enum { SECRET_MIN_BYTES = 4 };

static CURLU *parse(const char *url)
{
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK) {
        curl_url_cleanup(parts);
        parts = NULL;
    }
    return parts;
}

/* NULL when absent; free with curl_free(). */
static char *part_of(CURLU *parts, CURLUPart which, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(parts, which, &text, flags) == CURLUE_OK ? text : NULL;
}

char *explain_origin(const char *url)
{
    CURLU *parts = parse(url);
    if (!parts) {
        return g_strdup("the address");
    }
    char *scheme = part_of(parts, CURLUPART_SCHEME, 0);
    char *host = part_of(parts, CURLUPART_HOST, 0);
    char *port = part_of(parts, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
    g_autofree char *origin = g_strdup_printf("%s://%s%s%s", scheme ? scheme : "?",
                                              host ? host : "?", port ? ":" : "", port ? port : "");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return text_escape(origin);
}

static bool same_part(CURLU *one, CURLU *other, CURLUPart which)
{
    char *a = part_of(one, which, CURLU_DEFAULT_PORT);
    char *b = part_of(other, which, CURLU_DEFAULT_PORT);
    bool same = a && b && g_ascii_strcasecmp(a, b) == 0;
    curl_free(a);
    curl_free(b);
    return same;
}

static bool has_part(CURLU *parts, CURLUPart which)
{
    char *text = part_of(parts, which, 0);
    bool there = text != NULL;
    curl_free(text);
    return there;
}

bool explain_same_origin(const char *url, const char *other)
{
    CURLU *one = parse(url);
    CURLU *two = parse(other);
    bool same = one && two && same_part(one, two, CURLUPART_SCHEME) &&
                same_part(one, two, CURLUPART_HOST) && same_part(one, two, CURLUPART_PORT) &&
                !has_part(two, CURLUPART_USER) && !has_part(two, CURLUPART_PASSWORD);
    curl_url_cleanup(one);
    curl_url_cleanup(two);
    return same;
}

enum net_outcome explain_outcome(CURLcode code)
{
    static const struct {
        CURLcode code;
        enum net_outcome outcome;
    } outcomes[] = {
        {CURLE_OPERATION_TIMEDOUT, NET_OUTCOME_TIMEOUT},
        {CURLE_URL_MALFORMAT, NET_OUTCOME_REFUSED},
        {CURLE_UNSUPPORTED_PROTOCOL, NET_OUTCOME_PROTOCOL}, /* HTTP/0.9 */
        {CURLE_WEIRD_SERVER_REPLY, NET_OUTCOME_PROTOCOL},
        {CURLE_PARTIAL_FILE, NET_OUTCOME_PROTOCOL},
        {CURLE_WRITE_ERROR, NET_OUTCOME_PROTOCOL},
        {CURLE_HTTP2, NET_OUTCOME_PROTOCOL},
        {CURLE_HTTP2_STREAM, NET_OUTCOME_PROTOCOL},
        {CURLE_BAD_CONTENT_ENCODING, NET_OUTCOME_PROTOCOL},
        {CURLE_SSL_CONNECT_ERROR, NET_OUTCOME_TLS},
        {CURLE_PEER_FAILED_VERIFICATION, NET_OUTCOME_TLS},
        {CURLE_SSL_CACERT_BADFILE, NET_OUTCOME_TLS},
        {CURLE_SSL_CERTPROBLEM, NET_OUTCOME_TLS},
        {CURLE_SSL_CIPHER, NET_OUTCOME_TLS},
        {CURLE_SSL_ENGINE_INITFAILED, NET_OUTCOME_TLS},
        {CURLE_SSL_CRL_BADFILE, NET_OUTCOME_TLS},
        {CURLE_SSL_ISSUER_ERROR, NET_OUTCOME_TLS},
        {CURLE_SSL_CLIENTCERT, NET_OUTCOME_TLS},
        {CURLE_USE_SSL_FAILED, NET_OUTCOME_TLS},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        if (outcomes[i].code == code) {
            return outcomes[i].outcome;
        }
    }
    return NET_OUTCOME_UNREACHABLE;
}

static bool proxy_is_configured(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);
        if (value && *value) {
            return true;
        }
    }
    return false;
}

/* ": Connection refused" and where to look next. */
static char *explain_connection(CURL *handle, const char *what, const char *origin)
{
    long errnum = 0;
    long tunnel = 0;
    curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &errnum);
    curl_easy_getinfo(handle, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (tunnel >= 300) {
        return g_strdup_printf("the proxy refused to connect to %s (status %ld): see https_proxy "
                               "and all_proxy in the service's environment",
                               origin, tunnel);
    }
    return g_strdup_printf("%s %s%s%s%s", what, origin, errnum ? ": " : "",
                           errnum ? g_strerror((int)errnum) : "",
                           proxy_is_configured() ? " (a proxy is set in the environment)" : "");
}

char *explain_failure(CURL *handle, CURLcode code, const char *url, const char *detail)
{
    g_autofree char *origin = explain_origin(url);
    switch ((int)code) {
    case CURLE_URL_MALFORMAT:
        return g_strdup("the URL is not one that can be sent to: check it where it is configured");
    case CURLE_COULDNT_RESOLVE_HOST:
        return g_strdup_printf("the name in %s is not known: check the URL, and the DNS of this "
                               "machine",
                               origin);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return g_strdup("the proxy's name is not known: check http_proxy, https_proxy and "
                        "all_proxy in the service's environment");
    case CURLE_COULDNT_CONNECT:
        return explain_connection(handle, "cannot connect to", origin);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return explain_connection(handle, "the connection broke before an answer came from",
                                  origin);
    case CURLE_GOT_NOTHING:
        return g_strdup_printf("%s closed the connection without an answer", origin);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return g_strdup_printf("what answers at %s does not speak HTTP", origin);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        /* "SSL certificate problem: ...": certificates, host and CA files are no secrets. */
        return g_strdup_printf("%s is not trusted: %s", origin,
                               *detail ? detail : curl_easy_strerror(code));
    default:
        return g_strdup_printf("%s: %s", origin, curl_easy_strerror(code));
    }
}

static bool holds_secret(const char *text, const char *url)
{
    static const CURLUPart secret[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_PATH,
                                       CURLUPART_QUERY, CURLUPART_FRAGMENT};
    CURLU *parts = parse(url);
    bool found = false;
    for (unsigned i = 0; parts && i < G_N_ELEMENTS(secret); i++) {
        char *part = part_of(parts, secret[i], 0);
        if (part && strlen(part) >= SECRET_MIN_BYTES && strstr(text, part)) {
            found = true;
        }
        curl_free(part);
    }
    curl_url_cleanup(parts);
    return found;
}

char *explain_harmless(char *text, CURLcode code, const char *url)
{
    char *escaped = text_escape(text);
    wipe_free_string(&text);
    if (holds_secret(escaped, url)) {
        wipe_free_string(&escaped);
        escaped = g_strdup(curl_easy_strerror(code));
    }
    if (strlen(escaped) > NET_ERROR_TEXT_MAX_BYTES) {
        const char *end = escaped + NET_ERROR_TEXT_MAX_BYTES;
        g_utf8_validate(escaped, end - escaped, &end);
        escaped[end - escaped] = '\0';
    }
    return escaped;
}
