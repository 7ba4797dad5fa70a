/* What git and ssh say on their standard error, as one line for people. */
#include <string.h>

#include "base/text.h"
#include "git/command.h"
#include "git/hints.h"
#include "git/hostkey.h"

enum { MAX_EXPLANATION = 400, MAX_WORDS = 200 };

/* Lines that are about something else than the failure. */
static const char *const noise[] = {
    "Cloning into",
    "remote: Enumerating",
    "remote: Counting",
    "remote: Compressing",
    "remote: Total",
    "Receiving objects",
    "Resolving deltas",
    "From ",
    "hint:",
    "warning: redirecting",
    "warning: ignoring broken ref",
    "Warning: Permanently added",
    "@",
    "fatal: Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists",
    "debug1:",
    " * ",
};

struct cause {
    const char *sign; /* found in a line */
    const char *hint;
    enum git_failure failure;
};

/* The first sign found in the text decides: the narrower ones stand above the wider ones. */
static const struct cause causes[] = {
    {"are too open", "make the private key readable for its owner alone: chmod 600"},
    {"UNPROTECTED PRIVATE KEY", "make the private key readable for its owner alone: chmod 600"},
    {"incorrect passphrase",
     "the key has a passphrase: load it into an ssh-agent, or use a key without one"},
    {"not accessible: No such file", "ssh_key_path names no file"},
    {"Permission denied (",
     "the server accepts none of the keys: check ssh_key_path, or add the public key there"},
    {"Too many authentication failures",
     "the agent holds too many keys: name the right one with ssh_key_path"},
    {"terminal prompts disabled", GIT_HINT_PRIVATE},
    {"could not read Username", GIT_HINT_PRIVATE},
    {"Authentication failed for", GIT_HINT_LOGIN_REFUSED},
    {"returned error: 401", GIT_HINT_LOGIN_REFUSED},
    {"returned error: 403", GIT_HINT_FORBIDDEN},
    {"returned error: 301", GIT_HINT_REDIRECT},
    {"returned error: 302", GIT_HINT_REDIRECT},
    {"returned error: 307", GIT_HINT_REDIRECT},
    {"returned error: 308", GIT_HINT_REDIRECT},
    {"returned error: 429", GIT_HINT_TOO_OFTEN},
    {"certificate", GIT_HINT_CERTIFICATE, GIT_FAILURE_UNTRUSTED},
    {"SSL", GIT_HINT_TLS},
    {"gnutls_handshake", GIT_HINT_TLS},
    {"Could not resolve", GIT_HINT_NAME, GIT_FAILURE_UNREACHABLE},
    {"Couldn't connect to server", GIT_HINT_NOTHING_LISTENS, GIT_FAILURE_UNREACHABLE},
    {"Failed to connect", GIT_HINT_NOTHING_LISTENS, GIT_FAILURE_UNREACHABLE},
    {"Connection refused", "nothing listens there: check host and port", GIT_FAILURE_UNREACHABLE},
    {"No route to host", "the host can't be reached: check the network", GIT_FAILURE_UNREACHABLE},
    {"Network is unreachable", "the host can't be reached: check the network",
     GIT_FAILURE_UNREACHABLE},
    {"timed out", GIT_HINT_TIMEOUT, GIT_FAILURE_UNREACHABLE},
    {"Connection closed by",
     "the server hung up before the login: it may be overloaded, or refuse this address",
     GIT_FAILURE_UNREACHABLE},
    {"Connection reset by", "the server hung up: it may be overloaded, or refuse this address",
     GIT_FAILURE_UNREACHABLE},
    {"Operation too slow", GIT_HINT_SLOW, GIT_FAILURE_UNREACHABLE},
    {"dubious ownership", "the repository belongs to another user; if you trust it: "
                          "git config --global --add safe.directory, with its path"},
    {"refstorage", "its refs are in reftables, and the git that serves it is too old for them: it "
                   "takes 2.45 or newer"},
    {"unknown repository extension", "the git that serves it is too old for this repository"},
    {"does not appear to be a git repository", GIT_HINT_PATH, GIT_FAILURE_ABSENT},
    {"epository not found", "it does not exist, or this account may not see it",
     GIT_FAILURE_ABSENT},
    {"no such repository", GIT_HINT_PATH, GIT_FAILURE_ABSENT},
    {"returned error: 404", GIT_HINT_PATH, GIT_FAILURE_ABSENT},
    {"' not found", GIT_HINT_PATH, GIT_FAILURE_ABSENT},
    {"couldn't find remote ref", "the branch does not exist there any more"},
    {"' not allowed",
     "only the protocol of the address itself is allowed: look for url.*.insteadOf in your "
     "git configuration, or a redirect"},
    {"not supported or disabled in libcurl", GIT_HINT_PROTOCOL},
    {"cannot run ssh", "install the ssh client: apt install openssh-client"},
    {GIT_SIGN_FSCK, GIT_HINT_FSCK},
    {"No space left on device", "the disk is full"},
    {"Disk quota exceeded", "the quota is used up"},
};

static bool is_noise(const char *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(noise); i++) {
        if (g_str_has_prefix(line, noise[i])) {
            return true;
        }
    }
    return line[0] == '\0';
}

/* ssh ends its lines with CR LF; git begins those that belong to the one above with a tab. */
static char *with_plain_newlines(const char *text)
{
    GString *plain = g_string_new(text);
    g_string_replace(plain, "\r\n", "\n", 0);
    g_string_replace(plain, "\n\t", " ", 0);
    return g_string_free(plain, FALSE);
}

/* Removes "user:secret@" behind every "://": url.*.insteadOf may have put it in. */
static char *without_credentials(const char *text)
{
    GString *clean = g_string_new(NULL);
    for (;;) {
        const char *scheme = strstr(text, "://");
        if (!scheme) {
            break;
        }
        scheme += 3;
        g_string_append_len(clean, text, scheme - text);
        const char *end = scheme + strcspn(scheme, "/'\" \t\r\n");
        const char *at = g_strrstr_len(scheme, end - scheme, "@");
        text = at ? at + 1 : scheme;
    }
    g_string_append(clean, text);
    return g_string_free(clean, FALSE);
}

/* What stands between `before` and the first of `stop`; NULL when absent. */
static char *take_between(const char *text, const char *before, const char *stop)
{
    const char *start = strstr(text, before);
    if (!start) {
        return NULL;
    }
    start += strlen(before);
    size_t length = strcspn(start, stop);
    return length > 0 ? g_strndup(start, length) : NULL;
}

static char *host_of(const char *text, const char *before, const struct git_remote *remote)
{
    char *host = take_between(text, before, " \n");
    struct url url;
    if (host || !remote || !url_parse(remote->url, &url, NULL)) {
        return host ? host : g_strdup("the host");
    }
    host = g_strdup(url.host ? url.host : "the host");
    url_clear(&url);
    return host;
}

/* ssh: "Offending ED25519 key in /home/me/.ssh/known_hosts:3". */
static char *known_fingerprint(const char *text)
{
    /* An earlier line says "Add correct host key in FILE to get rid of this message". */
    const char *offending = strstr(text, "Offending ");
    g_autofree char *place = offending ? take_between(offending, " key in ", "\r\n") : NULL;
    char *colon = place ? strrchr(place, ':') : NULL;
    if (!colon) {
        return NULL;
    }
    *colon = '\0';
    return hostkey_fingerprint_of_line(place, (unsigned)g_ascii_strtoull(colon + 1, NULL, 10));
}

static char *explain_changed_key(const char *text, const struct git_remote *remote)
{
    if (!strstr(text, "REMOTE HOST IDENTIFICATION HAS CHANGED") &&
        !strstr(text, "has changed and you have requested")) {
        return NULL;
    }
    g_autofree char *host = host_of(text, "Host key for ", remote);
    g_autofree char *offered = take_between(text, "sent by the remote host is\n", ".\n");
    g_autofree char *known = known_fingerprint(text);
    return g_strdup_printf(
        "the host key of %s has changed: known %s, offered %s. If its operator says that this is "
        "right: ssh-keygen -R '%s', then accept the new one with ssh",
        host, known ? known : "another one", offered ? offered : "another one", host);
}

/* "No ED25519 host key is known for [127.0.0.1]:18022 and you have requested strict checking." */
static char *explain_unknown_key(const char *text, const struct git_remote *remote)
{
    bool unknown = strstr(text, "host key is known for ") != NULL;
    if (!unknown && !strstr(text, "Host key verification failed")) {
        return NULL;
    }
    g_autofree char *host = host_of(text, "host key is known for ", remote);
    struct url url;
    g_autofree char *command = NULL;
    if (remote && url_parse(remote->url, &url, NULL)) {
        command = hostkey_accept_command(&url);
        url_clear(&url);
    }
    return g_strdup_printf(
        "the host key of %s is %s; compare its fingerprint with the operator's, then: %s", host,
        unknown ? "not known" : "not trusted", command ? command : "connect to it once with ssh");
}

/* Where the words of explain_changed_key() and explain_unknown_key() turn to the mend. */
static const char *const turns[] = {". If its operator says that this is right: ",
                                    "; compare its fingerprint with the operator's, then: "};

static const char *find_turn(const char *message, const char **mend)
{
    for (size_t i = 0; i < G_N_ELEMENTS(turns); i++) {
        const char *turn = strstr(message, turns[i]);
        if (turn) {
            *mend = turn + 2;
            return turn;
        }
    }
    return NULL;
}

void git_explain_split(const char *message, char **what, char **mend)
{
    const char *words = NULL;
    const char *turn = find_turn(message, &words);
    if (turn) {
        *what = g_strndup(message, (gsize)(turn - message));
        *mend = g_strdup(words);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        g_autofree char *hint = g_strdup_printf(" (%s)", causes[i].hint);
        if (g_str_has_suffix(message, hint)) {
            *what = g_strndup(message, strlen(message) - strlen(hint));
            *mend = g_strdup(causes[i].hint);
            return;
        }
    }
    *what = g_strdup(message);
    *mend = NULL;
}

static const struct cause *find_cause(char **lines, const char **line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        for (char **candidate = lines; *candidate; candidate++) {
            if (!strstr(*candidate, causes[i].sign) || is_noise(*candidate)) {
                continue;
            }
            *line = *candidate;
            return &causes[i];
        }
    }
    return NULL;
}

enum git_failure git_failure_of(const char *stderr_text)
{
    if (strstr(stderr_text, "Host key verification failed") ||
        strstr(stderr_text, "has changed and you have requested") ||
        strstr(stderr_text, "host key is known for ")) {
        return GIT_FAILURE_UNTRUSTED;
    }
    g_auto(GStrv) lines = g_strsplit_set(stderr_text, "\r\n", -1);
    const char *line = NULL;
    const struct cause *cause = find_cause(lines, &line);
    return cause ? cause->failure : GIT_FAILURE_OTHER;
}

/* The lines that tell something, the last ones of them when there are many. */
static char *telling_words(char **lines)
{
    g_autoptr(GString) words = g_string_new(NULL);
    const char *last = "";
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (*last == '\0' || g_str_has_prefix(*line, "fatal:")) {
            last = *line;
        }
        if (is_noise(*line)) {
            continue;
        }
        if (words->len > 0) {
            g_string_append(words, "; ");
        }
        g_string_append(words, *line);
    }
    const char *text = words->len > 0 ? words->str : last;
    size_t length = strlen(text);
    if (length <= MAX_WORDS) {
        return g_strdup(text);
    }
    /* escaping shows the half of a cut multibyte character as bytes; step over it */
    const char *tail = text + length - MAX_WORDS;
    while (((unsigned char)*tail & 0xc0) == 0x80) {
        tail++;
    }
    return g_strdup_printf("... %s", tail);
}

static void append_cut(GString *out, const char *text, size_t limit)
{
    g_autoptr(GString) escaped = g_string_new(NULL);
    text_append_escaped(escaped, text, strlen(text), TEXT_ONE_LINE);
    if (escaped->len > limit) {
        size_t cut = limit - 3;
        while (cut > 0 && ((unsigned char)escaped->str[cut] & 0xc0) == 0x80) {
            cut--;
        }
        g_string_truncate(escaped, cut);
        g_string_append(escaped, "...");
    }
    g_string_append_len(out, escaped->str, (gssize)escaped->len);
}

char *git_explain_failure(const char *stderr_text, const struct git_remote *remote)
{
    g_autofree char *plain = with_plain_newlines(stderr_text ? stderr_text : "");
    g_autofree char *text = without_credentials(plain);
    GString *out = g_string_new(NULL);
    g_autofree char *key = explain_changed_key(text, remote);
    if (!key) {
        key = explain_unknown_key(text, remote);
    }
    if (key) {
        append_cut(out, key, MAX_EXPLANATION);
        return g_string_free(out, FALSE);
    }
    g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
    const char *line = NULL;
    const struct cause *cause = find_cause(lines, &line);
    g_autofree char *words = cause ? g_strdup(line) : telling_words(lines);
    g_strstrip(words);
    append_cut(out, words, cause ? MAX_EXPLANATION - strlen(cause->hint) - 3 : MAX_EXPLANATION);
    if (cause) {
        g_string_append_printf(out, " (%s)", cause->hint);
    }
    return g_string_free(out, FALSE);
}
