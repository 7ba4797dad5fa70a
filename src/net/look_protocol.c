#include "net/look_protocol.h"

#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "base/wipe.h"
#include "git/refset.h"
#include "git/url.h"
#include "net/protocol_internal.h"

static const char *const road_names[] = {
    [NET_ROAD_UNKNOWN] = "",          [NET_ROAD_V2] = "v2", [NET_ROAD_V2_SHA256] = "v2-sha256",
    [NET_ROAD_V2_ASKED] = "v2-asked", [NET_ROAD_V0] = "v0", [NET_ROAD_GIT] = "git",
};

static const char *const outcome_names[] = {
    [NET_LOOK_SAME] = "same",
    [NET_LOOK_REFS] = "refs",
    [NET_LOOK_USE_GIT] = "use-git",
    [NET_LOOK_LOGIN] = "login",
    [NET_LOOK_LOGIN_REFUSED] = "login-refused",
    [NET_LOOK_ABSENT] = "absent",
    [NET_LOOK_MOVED] = "moved",
    [NET_LOOK_BUSY] = "busy",
    [NET_LOOK_UNREACHABLE] = "unreachable",
    [NET_LOOK_TIMEOUT] = "timeout",
    [NET_LOOK_UNTRUSTED] = "untrusted",
    [NET_LOOK_FAILED] = "failed",
    [NET_LOOK_NONSENSE] = "nonsense",
    [NET_LOOK_REFUSED] = "refused",
};

const char *net_road_name(enum net_road road)
{
    return road_names[road];
}

static bool parse_road(const struct net_field *field, enum net_road *road)
{
    unsigned place = 0;
    bool known = net_field_parse_name(field, road_names, G_N_ELEMENTS(road_names), &place);
    *road = (enum net_road)place;
    return known;
}

bool net_road_parse(const char *text, enum net_road *road)
{
    const struct net_field field = net_field_of(text);
    return parse_road(&field, road);
}

const char *net_look_outcome_name(enum net_look_outcome outcome)
{
    return outcome_names[outcome];
}

static bool is_digest(const char *text)
{
    return strlen(text) == REFSET_DIGEST_LENGTH && text_is_object_id(text);
}

/* -------------------------------------------------------------------------------------- looks */

static bool check_url(const char *text, GError **error)
{
    struct url url;
    if (!url_parse(text, &url, NULL)) {
        return net_refuse(error, ERROR_INVALID, "the URL is not an address of a repository");
    }
    bool good = url.scheme == URL_HTTPS || url.scheme == URL_HTTP || url.scheme == URL_SSH;
    url_clear(&url);
    return good || net_refuse(error, ERROR_INVALID, "the URL is none of https, http and ssh");
}

static bool check_wanted(const char *wanted, GError **error)
{
    if (strlen(wanted) > NET_WANTED_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT, "the wanted refs are longer than 64 KiB");
    }
    const char *line = wanted;
    for (;;) {
        size_t length = strcspn(line, "\n");
        if (length == 0 || length > REFSET_MAX_NAME) {
            return net_refuse(error, ERROR_INVALID,
                              "a wanted ref is empty or longer than 1024 bytes");
        }
        if (line[length] == '\0') {
            return true;
        }
        line += length + 1;
    }
}

static bool check_options(const char *options, GError **error)
{
    if (strlen(options) > NET_OPTIONS_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT, "the options are longer than 16 KiB");
    }
    while (*options) {
        size_t length = strcspn(options, "\n");
        if (*options == '=' || !memchr(options, '=', length)) {
            return net_refuse(error, ERROR_INVALID, "an option is not of the form name=value");
        }
        options += length + (options[length] == '\n');
    }
    return true;
}

static bool check_look(const struct net_look *look, GError **error)
{
    if (!check_url(look->url, error) || !check_wanted(look->wanted, error) ||
        !check_options(look->options ? look->options : "", error)) {
        return false;
    }
    if (look->known && look->known[0] != '\0' && !is_digest(look->known)) {
        return net_refuse(error, ERROR_INVALID, "what is known is not a digest of refs");
    }
    return net_check_timeout(look->timeout_ms, error);
}

bool net_look_encode(GByteArray *out, const struct net_look *look, GError **error)
{
    char timeout[24];
    g_snprintf(timeout, sizeof(timeout), "%" G_GINT64_FORMAT, look->timeout_ms);
    const struct net_field fields[] = {
        net_field_of(look->id),      net_field_of(look->url),
        net_field_of(look->wanted),  net_field_of(look->known),
        net_field_of(look->options), net_field_of(road_names[look->road]),
        net_field_of(timeout),
    };
    if (!net_field_check_id(&fields[0], error) || !check_look(look, error)) {
        return false;
    }
    net_encode(out, NET_LOOK, fields, G_N_ELEMENTS(fields));
    return true;
}

static bool parse_look(const struct net_field *fields, struct net_look *look, GError **error)
{
    for (unsigned i = 1; i <= 4; i++) {
        if (net_field_has_nul(&fields[i])) {
            return net_refuse(error, ERROR_INVALID, "a field of the look has a NUL in it");
        }
    }
    if (!parse_road(&fields[5], &look->road)) {
        return net_refuse(error, ERROR_INVALID, "the road is none that is known");
    }
    if (!net_field_parse_timeout(&fields[6], &look->timeout_ms, error)) {
        return false;
    }
    look->url = net_field_copy_text(&fields[1]);
    look->wanted = net_field_copy_text(&fields[2]);
    look->known = net_field_copy_text(&fields[3]);
    look->options = net_field_copy_text(&fields[4]);
    return check_look(look, error);
}

bool net_look_parse(const struct net_message *message, struct net_look *look, GError **error)
{
    *look = (struct net_look){.id = NULL};
    if (!net_check_type(message, NET_LOOK, error) ||
        !net_field_check_id(&message->fields[0], error)) {
        return false;
    }
    bool good = parse_look(message->fields, look, error);
    if (!good) {
        net_look_clear(look);
    }
    look->id = net_field_copy_text(&message->fields[0]);
    return good;
}

void net_look_clear(struct net_look *look)
{
    g_free(look->id);
    g_free(look->wanted);
    g_free(look->known);
    wipe_free_string(&look->url);
    wipe_free_string(&look->options);
    *look = (struct net_look){.id = NULL};
}

/* --------------------------------------------------------------------------------------- refs */

void net_refs_encode(GByteArray *out, const char *id, const char *lines, size_t length)
{
    const struct net_field fields[] = {net_field_of(id), {lines, length}};
    g_assert(net_field_check_id(&fields[0], NULL) && length <= NET_REFS_MAX_BYTES);
    net_encode(out, NET_REFS, fields, G_N_ELEMENTS(fields));
}

void net_refs_encode_table(GByteArray *out, const char *id, GHashTable *refs)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    GHashTableIter iter;
    gpointer name, object_id;
    g_hash_table_iter_init(&iter, refs);
    while (g_hash_table_iter_next(&iter, &name, &object_id)) {
        size_t length = strlen(object_id) + strlen(name) + 2;
        if (lines->len + length > NET_REFS_MAX_BYTES) {
            net_refs_encode(out, id, lines->str, lines->len);
            g_string_truncate(lines, 0);
        }
        g_string_append_printf(lines, "%s %s\n", (const char *)object_id, (const char *)name);
    }
    if (lines->len > 0) {
        net_refs_encode(out, id, lines->str, lines->len);
    }
}

/* "<id> <name>" */
static bool add_line(GHashTable *refs, const char *line, size_t length, GError **error)
{
    const char *space = memchr(line, ' ', length);
    size_t id_length = space ? (size_t)(space - line) : 0;
    if (!space || !refset_is_valid(space + 1, length - id_length - 1, line, id_length)) {
        return net_refuse(error, ERROR_INVALID, "a line of the refs is not an object id and a ref");
    }
    return refset_add(refs, NULL, space + 1, length - id_length - 1, line, id_length) ||
           net_refuse(error, ERROR_LIMIT, "there are more than 200000 refs");
}

char *net_refs_parse(const struct net_message *message, GHashTable *refs, GError **error)
{
    const struct net_field *fields = message->fields;
    if (!net_check_type(message, NET_REFS, error) || !net_field_check_id(&fields[0], error)) {
        return NULL;
    }
    const char *line = fields[1].bytes;
    size_t left = fields[1].length;
    while (left > 0) {
        const char *end = memchr(line, '\n', left);
        if (!end) {
            net_refuse(error, ERROR_INVALID, "the refs end within a line");
            return NULL;
        }
        size_t length = (size_t)(end - line);
        if (!add_line(refs, line, length, error)) {
            return NULL;
        }
        line += length + 1;
        left -= length + 1;
    }
    return net_field_copy_text(&fields[0]);
}

/* ------------------------------------------------------------------------------------- looked */

static bool is_good(enum net_look_outcome outcome)
{
    return outcome == NET_LOOK_SAME || outcome == NET_LOOK_REFS;
}

/* "" or where a redirect leads, to be told to people. */
static bool location_is_valid(const char *location)
{
    struct url url;
    if (location[0] == '\0') {
        return true;
    }
    if (!url_parse(location, &url, NULL)) {
        return false;
    }
    bool good = !url.user && (url.scheme == URL_HTTPS || url.scheme == URL_HTTP);
    url_clear(&url);
    return good;
}

/* One line that keeps the rules, whatever a server put into it. */
static char *error_text(const char *text)
{
    char *line = text_escape(text);
    size_t length = strlen(line);
    if (length > NET_ERROR_TEXT_MAX_BYTES) {
        const char *end = g_utf8_find_prev_char(line, line + NET_ERROR_TEXT_MAX_BYTES + 1);
        line[end - line] = '\0';
    }
    return line;
}

/* A good look has a digest and no error, another one has an error and no digest. */
static bool fits(enum net_look_outcome outcome, const char *digest, const char *error)
{
    return is_good(outcome) ? is_digest(digest) && error[0] == '\0'
                            : digest[0] == '\0' && error[0] != '\0';
}

void net_looked_encode(GByteArray *out, const struct net_looked *looked)
{
    char retry_after[24];
    g_autofree char *error = error_text(looked->error);
    const char *digest = looked->digest ? looked->digest : "";
    const char *location = looked->location ? looked->location : "";
    g_snprintf(retry_after, sizeof(retry_after), "%" G_GINT64_FORMAT, looked->retry_after_ms);
    const struct net_field fields[] = {
        net_field_of(looked->id),
        net_field_of(outcome_names[looked->outcome]),
        net_field_of(road_names[looked->road]),
        net_field_of(digest),
        net_field_of(location_is_valid(location) ? location : ""),
        net_field_of(retry_after),
        net_field_of(error),
    };
    g_assert(net_field_check_id(&fields[0], NULL) && fits(looked->outcome, digest, error));
    g_assert(looked->retry_after_ms >= -1 && looked->retry_after_ms <= NET_WAIT_MAX_MS);
    net_encode(out, NET_LOOKED, fields, G_N_ELEMENTS(fields));
}

static bool parse_looked(const struct net_field *fields, struct net_looked *looked, GError **error)
{
    unsigned outcome = 0;
    if (!net_field_parse_name(&fields[1], outcome_names, G_N_ELEMENTS(outcome_names), &outcome) ||
        !parse_road(&fields[2], &looked->road) ||
        !net_field_parse_number(&fields[5], true, NET_WAIT_MAX_MS, &looked->retry_after_ms)) {
        return net_refuse(error, ERROR_INVALID,
                          "the look's outcome, road or waiting time is none that is known");
    }
    if (net_field_has_nul(&fields[3]) || net_field_has_nul(&fields[4]) ||
        !net_field_is_error_text(&fields[6])) {
        return net_refuse(error, ERROR_INVALID, "a text of the look's answer breaks a rule");
    }
    looked->outcome = (enum net_look_outcome)outcome;
    looked->digest = net_field_copy_text(&fields[3]);
    looked->location = net_field_copy_text(&fields[4]);
    looked->error = net_field_copy_text(&fields[6]);
    if (!fits(looked->outcome, looked->digest, looked->error) ||
        !location_is_valid(looked->location)) {
        return net_refuse(error, ERROR_INVALID,
                          "the look's outcome does not fit its digest, location and error");
    }
    return true;
}

bool net_looked_parse(const struct net_message *message, struct net_looked *looked, GError **error)
{
    *looked = (struct net_looked)NET_LOOKED_INIT;
    if (net_check_type(message, NET_LOOKED, error) &&
        net_field_check_id(&message->fields[0], error) &&
        parse_looked(message->fields, looked, error)) {
        looked->id = net_field_copy_text(&message->fields[0]);
        return true;
    }
    net_looked_clear(looked);
    return false;
}

void net_looked_clear(struct net_looked *looked)
{
    g_free(looked->id);
    g_free(looked->digest);
    g_free(looked->location);
    g_free(looked->error);
    *looked = (struct net_looked)NET_LOOKED_INIT;
}

/* ------------------------------------------------------------------------------------- logins */

static bool check_login(const struct net_login *login, GError **error)
{
    const char *prefix = login->prefix;
    if (!net_check_http_url(prefix, strlen(prefix), error)) {
        return false;
    }
    const char *host = strstr(prefix, "://") + 3;
    const char *slash = strchr(host, '/');
    if (!slash || memchr(host, '@', (size_t)(slash - host))) {
        return net_refuse(error, ERROR_INVALID,
                          "the login's prefix is not of the form scheme://host[:port]/");
    }
    if (strpbrk(login->user, "\r\n") || strpbrk(login->password, "\r\n")) {
        return net_refuse(error, ERROR_INVALID, "the login has a line break in it");
    }
    return true;
}

bool net_login_encode(GByteArray *out, const struct net_login *login, GError **error)
{
    const struct net_field fields[] = {
        net_field_of(login->prefix),
        net_field_of(login->user),
        net_field_of(login->password),
    };
    const struct net_login checked = {(char *)fields[0].bytes, (char *)fields[1].bytes,
                                      (char *)fields[2].bytes};
    if (!check_login(&checked, error)) {
        return false;
    }
    if (net_payload_length(fields, G_N_ELEMENTS(fields)) > NET_LOGIN_MAX_BYTES) {
        return net_refuse(error, ERROR_LIMIT,
                          "the login does not fit into one write to a pipe (PIPE_BUF)");
    }
    net_encode(out, NET_LOGIN, fields, G_N_ELEMENTS(fields));
    return true;
}

bool net_login_parse(const struct net_message *message, struct net_login *login, GError **error)
{
    const struct net_field *fields = message->fields;
    *login = (struct net_login){.prefix = NULL};
    if (!net_check_type(message, NET_LOGIN, error)) {
        return false;
    }
    for (unsigned i = 0; i < message->count; i++) {
        if (net_field_has_nul(&fields[i])) {
            return net_refuse(error, ERROR_INVALID, "a field of the login has a NUL in it");
        }
    }
    login->prefix = net_field_copy_text(&fields[0]);
    login->user = net_field_copy_text(&fields[1]);
    login->password = net_field_copy_text(&fields[2]);
    if (check_login(login, error)) {
        return true;
    }
    net_login_clear(login);
    return false;
}

void net_login_clear(struct net_login *login)
{
    wipe_free_string(&login->prefix);
    wipe_free_string(&login->user);
    wipe_free_string(&login->password);
}
