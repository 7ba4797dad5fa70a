#include <glib.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "git/refset.h"
#include "net/look_protocol.h"

#define ID     "1111111111111111111111111111111111111111"
#define DIGEST "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

static const struct net_look good_look = {
    .id = (char *)"17.1",
    .url = (char *)"https://user@git.example:8443/team/app.git",
    .wanted = (char *)"refs/heads/main\nrefs/tags/v*",
    .known = (char *)DIGEST,
    .options = (char *)"http.proxy=http://proxy:3128\nhttp.extraHeader=X-Key: canary=1",
    .road = NET_ROAD_V2,
    .timeout_ms = 30000,
};

static const struct net_looked good_looked = {
    .id = (char *)"17.1",
    .outcome = NET_LOOK_REFS,
    .road = NET_ROAD_V2_SHA256,
    .digest = (char *)DIGEST,
    .location = (char *)"https://git.example/moved/app.git",
    .retry_after_ms = -1,
};

static const struct net_login good_login = {
    .prefix = (char *)"https://git.example:8443/",
    .user = (char *)"ann",
    .password = (char *)"canary \xc3\xa4=:",
};

static struct net_message decode(const GByteArray *bytes, enum net_direction direction)
{
    struct net_message message;
    size_t used = 0;
    GError *error = NULL;
    g_assert_cmpint(net_decode(bytes->data, bytes->len, direction, &message, &used, &error), ==,
                    NET_MESSAGE);
    g_assert_no_error(error);
    g_assert_cmpuint(used, ==, bytes->len);
    return message;
}

static struct net_field field(const char *text)
{
    return (struct net_field){text, strlen(text)};
}

static void assert_error(const GError *error, int code, const char *reason)
{
    g_assert_error(error, NET_ERROR, code);
    if (!strstr(error->message, reason)) {
        g_error("expected \"%s\" in: %s", reason, error->message);
    }
    g_assert_null(strstr(error->message, "canary"));
}

/* --------------------------------------------------------------------------------------- looks */

static void look__round_trip__keeps_every_byte(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct net_look got;
    GError *error = NULL;
    g_assert_true(net_look_encode(out, &good_look, &error));
    struct net_message message = decode(out, NET_TO_NET);
    g_assert_true(net_look_parse(&message, &got, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(got.id, ==, good_look.id);
    g_assert_cmpstr(got.url, ==, good_look.url);
    g_assert_cmpstr(got.wanted, ==, good_look.wanted);
    g_assert_cmpstr(got.known, ==, good_look.known);
    g_assert_cmpstr(got.options, ==, good_look.options);
    g_assert_cmpint(got.road, ==, good_look.road);
    g_assert_cmpint(got.timeout_ms, ==, good_look.timeout_ms);
    net_look_clear(&got);
    net_look_clear(&got);
}

static void look__without_known_and_options__has_empty_ones(void)
{
    static const char *const urls[] = {"http://h/p", "ssh://git@h:22/p", "git@h:p", "h:p"};
    for (unsigned i = 0; i < G_N_ELEMENTS(urls); i++) {
        struct net_look look = {.id = (char *)"1",
                                .url = (char *)urls[i],
                                .wanted = (char *)"refs/heads/*",
                                .timeout_ms = NET_TIMEOUT_MAX_MS};
        g_autoptr(GByteArray) out = g_byte_array_new();
        struct net_look got;
        g_assert_true(net_look_encode(out, &look, NULL));
        struct net_message message = decode(out, NET_TO_NET);
        g_assert_true(net_look_parse(&message, &got, NULL));
        g_assert_cmpstr(got.url, ==, urls[i]);
        g_assert_cmpstr(got.known, ==, "");
        g_assert_cmpstr(got.options, ==, "");
        g_assert_cmpint(got.road, ==, NET_ROAD_UNKNOWN);
        net_look_clear(&got);
    }
}

/* Replaces field number `at` of a good look and parses it. */
static bool parse_look_with(unsigned at, struct net_field changed, struct net_look *look,
                            GError **error)
{
    struct net_field fields[] = {
        field(good_look.id),    field(good_look.url),     field(good_look.wanted),
        field(good_look.known), field(good_look.options), field("v2"),
        field("30000")};
    g_autoptr(GByteArray) out = g_byte_array_new();
    fields[at] = changed;
    net_encode(out, NET_LOOK, fields, G_N_ELEMENTS(fields));
    struct net_message message = decode(out, NET_TO_NET);
    return net_look_parse(&message, look, error);
}

static void look_parse__each_broken_field__is_refused_and_a_good_id_kept(void)
{
    static const struct {
        unsigned at;
        struct net_field field;
        const char *reason;
    } cases[] = {
        {0, {"", 0}, "an id must be"},
        {0, {"a b", 3}, "an id must be"},
        {0, {"a\0", 2}, "an id must be"},
        {1, {"", 0}, "not an address"},
        {1, {"canary", 6}, "not an address"},
        {1, {"https://h/p\0x", 13}, "NUL"},
        {1, {"https://u:canary@h/p", 20}, "not an address"},
        {1, {"https://h/p\n", 12}, "not an address"},
        {1, {"-oProxyCommand=canary", 21}, "not an address"},
        {1, {"ext::sh", 7}, "not an address"},
        {1, {"/canary", 7}, "none of https, http and ssh"},
        {1, {"file:///canary", 14}, "none of https, http and ssh"},
        {1, {"git://h/canary", 14}, "none of https, http and ssh"},
        {2, {"", 0}, "wanted ref is empty"},
        {2, {"refs/heads/a\n", 13}, "wanted ref is empty"},
        {2, {"\nrefs/heads/a", 13}, "wanted ref is empty"},
        {2, {"refs/heads/a\n\nrefs/heads/b", 26}, "wanted ref is empty"},
        {2, {"refs/heads/a\0b", 14}, "NUL"},
        {3, {"abc", 3}, "not a digest"},
        {3, {ID, 40}, "not a digest"},
        {3,
         {"ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789", 64},
         "not a digest"},
        {3, {DIGEST "\0", 65}, "NUL"},
        {4, {"canary", 6}, "name=value"},
        {4, {"=canary", 7}, "name=value"},
        {4, {"a=b\ncanary", 10}, "name=value"},
        {4, {"a=b\n\nc=d", 8}, "name=value"},
        {4, {"a=\0", 3}, "NUL"},
        {5, {"V2", 2}, "road"},
        {5, {"v2\0", 3}, "road"},
        {5, {"canary", 6}, "road"},
        {6, {"0", 1}, "timeout"},
        {6, {"", 0}, "timeout"},
        {6, {"-1", 2}, "timeout"},
        {6, {" 1", 2}, "timeout"},
        {6, {"600001", 6}, "timeout"},
        {6, {"99999999999999999999", 20}, "timeout"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_look look;
        g_autoptr(GError) error = NULL;
        g_assert_false(parse_look_with(cases[i].at, cases[i].field, &look, &error));
        assert_error(error, ERROR_INVALID, cases[i].reason);
        g_assert_cmpstr(look.id, ==, cases[i].at == 0 ? NULL : good_look.id);
        g_assert_true(!look.url && !look.wanted && !look.known && !look.options);
        net_look_clear(&look);
    }
}

static void look__texts_at_their_limits__fit_and_one_more_does_not(void)
{
    g_autofree char *name = g_strnfill(REFSET_MAX_NAME, 'n');
    g_autoptr(GString) wanted = g_string_new(name), options = g_string_new("a=");
    while (wanted->len + REFSET_MAX_NAME + 1 <= NET_WANTED_MAX_BYTES) {
        g_string_append_printf(wanted, "\n%s", name);
    }
    while (wanted->len < NET_WANTED_MAX_BYTES) {
        g_string_append(wanted, NET_WANTED_MAX_BYTES - wanted->len > 1 ? "\nx" : "x");
    }
    while (options->len < NET_OPTIONS_MAX_BYTES) {
        g_string_append_c(options, 'x');
    }
    struct net_look look = good_look;
    look.wanted = wanted->str;
    look.options = options->str;
    g_autofree char *path = g_strnfill(4096 - strlen("https://h/"), 'p');
    g_autofree char *url = g_strconcat("https://h/", path, NULL);
    look.url = url;
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct net_look got;
    g_assert_true(net_look_encode(out, &look, NULL));
    struct net_message message = decode(out, NET_TO_NET);
    g_assert_true(net_look_parse(&message, &got, NULL));
    g_assert_cmpstr(got.wanted, ==, wanted->str);
    g_assert_cmpstr(got.options, ==, options->str);
    net_look_clear(&got);
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *longer = g_strconcat(i == 0   ? wanted->str
                                              : i == 1 ? options->str
                                                       : name,
                                              "x", NULL);
        g_autoptr(GError) error = NULL;
        struct net_look bad = good_look;
        *(i == 1 ? &bad.options : &bad.wanted) = longer;
        g_byte_array_set_size(out, 0);
        g_assert_false(net_look_encode(out, &bad, &error));
        assert_error(error, i == 2 ? ERROR_INVALID : ERROR_LIMIT, "longer than");
        g_assert_cmpuint(out->len, ==, 0);
    }
}

static void road__every_one__has_a_name_that_comes_back(void)
{
    for (enum net_road road = NET_ROAD_UNKNOWN; road <= NET_ROAD_GIT; road++) {
        enum net_road got = NET_ROAD_UNKNOWN;
        g_assert_true(net_road_parse(net_road_name(road), &got));
        g_assert_cmpint(got, ==, road);
    }
    enum net_road got;
    g_assert_false(net_road_parse("v3", &got));
}

/* ---------------------------------------------------------------------------------------- refs */

static char *parse_lines(const char *lines, size_t length, GHashTable *refs, GError **error)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    net_refs_encode(out, "1", lines, length);
    struct net_message message = decode(out, NET_FROM_NET);
    return net_refs_parse(&message, refs, error);
}

static void refs__lines__come_back_as_a_table(void)
{
    static const char lines[] = ID " refs/heads/main\n" DIGEST " refs/tags/v1\n";
    g_autoptr(GHashTable) refs = refset_new();
    GError *error = NULL;
    g_autofree char *id = parse_lines(lines, strlen(lines), refs, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(id, ==, "1");
    g_assert_cmpuint(g_hash_table_size(refs), ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/heads/main"), ==, ID);
    g_assert_cmpstr(g_hash_table_lookup(refs, "refs/tags/v1"), ==, DIGEST);
    g_autofree char *none = parse_lines("", 0, refs, &error);
    g_assert_cmpstr(none, ==, "1");
}

static void refs_parse__each_broken_line__is_refused(void)
{
    static const struct {
        const char *lines;
        size_t length;
    } cases[] = {
        {ID " refs/heads/main", 56},
        {"\n", 1},
        {ID "\n", 41},
        {ID " \n", 42},
        {" refs/heads/main\n", 17},
        {ID "  refs/heads/main\n", 58},
        {ID "\trefs/heads/main\n", 57},
        {ID " refs/heads/ma in\n", 58},
        {ID " refs/heads/a\0b\n", 56},
        {ID " main\n", 46},
        {ID " refs/heads/..\n", 55},
        {ID " refs/pull/1/head\n", 58},
        {ID " refs/heads/\x1b[m\n", 56},
        {"0000000000000000000000000000000000000000 refs/heads/a\n", 54},
        {"1111 refs/heads/a\n", 18},
        {ID ID " refs/heads/a\n", 94},
        {ID " refs/heads/a\r\n", 55},
        {ID " refs/heads/a\n\n", 55},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) refs = refset_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *id = parse_lines(cases[i].lines, cases[i].length, refs, &error);
        if (id) {
            g_error("case %u was taken", i);
        }
        g_assert_error(error, NET_ERROR, ERROR_INVALID);
    }
}

static void refs__large_table__goes_in_as_many_messages_as_it_takes(void)
{
    enum { COUNT = 20000 };
    g_autoptr(GHashTable) refs = refset_new(), got = refset_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    for (unsigned i = 0; i < COUNT; i++) {
        g_hash_table_insert(refs, g_strdup_printf("refs/heads/b%u", i),
                            g_strdup_printf("%040x", i + 1));
    }
    net_refs_encode_table(out, "9", refs);
    unsigned messages = 0;
    for (size_t at = 0, used = 0; at < out->len; at += used, messages++) {
        struct net_message message;
        g_assert_cmpint(
            net_decode(out->data + at, out->len - at, NET_FROM_NET, &message, &used, NULL), ==,
            NET_MESSAGE);
        g_assert_cmpuint(used, <=, NET_HEADER_BYTES + NET_ANSWER_MAX_BYTES);
        g_autofree char *id = net_refs_parse(&message, got, NULL);
        g_assert_cmpstr(id, ==, "9");
    }
    g_autofree char *sent = refset_digest(refs), *arrived = refset_digest(got);
    g_assert_cmpstr(sent, ==, arrived);
    g_assert_cmpuint(messages, >, 10);
    g_assert_cmpuint(messages, <, 30);
    g_hash_table_remove_all(refs);
    g_byte_array_set_size(out, 0);
    net_refs_encode_table(out, "9", refs);
    g_assert_cmpuint(out->len, ==, 0);
}

static void refs_parse__more_than_a_set_holds__is_a_limit(void)
{
    static const char line[] = ID " refs/heads/more\n";
    g_autoptr(GHashTable) refs = refset_new();
    for (unsigned i = 0; i < REFSET_MAX_REFS; i++) {
        g_hash_table_insert(refs, g_strdup_printf("refs/heads/b%u", i), g_strdup(ID));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(parse_lines(line, strlen(line), refs, &error));
    assert_error(error, ERROR_LIMIT, "200000");
}

/* -------------------------------------------------------------------------------------- looked */

static struct net_looked looked_back(const struct net_looked *looked)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct net_looked got;
    GError *error = NULL;
    net_looked_encode(out, looked);
    struct net_message message = decode(out, NET_FROM_NET);
    net_looked_parse(&message, &got, &error);
    g_assert_no_error(error);
    return got;
}

static void looked__round_trip__keeps_every_byte(void)
{
    struct net_looked got = looked_back(&good_looked);
    g_assert_cmpstr(got.id, ==, "17.1");
    g_assert_cmpint(got.outcome, ==, NET_LOOK_REFS);
    g_assert_cmpint(got.road, ==, NET_ROAD_V2_SHA256);
    g_assert_cmpstr(got.digest, ==, DIGEST);
    g_assert_cmpstr(got.location, ==, good_looked.location);
    g_assert_cmpint(got.retry_after_ms, ==, -1);
    g_assert_cmpstr(got.error, ==, "");
    net_looked_clear(&got);
    net_looked_clear(&got);
    struct net_looked busy = NET_LOOKED_INIT;
    busy.id = (char *)"2";
    busy.outcome = NET_LOOK_BUSY;
    busy.retry_after_ms = NET_WAIT_MAX_MS;
    busy.error = (char *)"the server is asked too often (raise poll_interval)";
    got = looked_back(&busy);
    g_assert_cmpint(got.outcome, ==, NET_LOOK_BUSY);
    g_assert_cmpint(got.retry_after_ms, ==, NET_WAIT_MAX_MS);
    g_assert_cmpstr(got.error, ==, busy.error);
    g_assert_cmpstr(got.digest, ==, "");
    g_assert_cmpstr(got.location, ==, "");
    net_looked_clear(&got);
}

static void looked__every_outcome__has_a_name_that_comes_back(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (enum net_look_outcome outcome = NET_LOOK_SAME; outcome <= NET_LOOK_REFUSED; outcome++) {
        bool good = outcome == NET_LOOK_SAME || outcome == NET_LOOK_REFS;
        struct net_looked looked = NET_LOOKED_INIT;
        looked.id = (char *)"1";
        looked.outcome = outcome;
        looked.digest = (char *)(good ? DIGEST : NULL);
        looked.error = (char *)(good ? NULL : "why");
        struct net_looked got = looked_back(&looked);
        g_assert_cmpint(got.outcome, ==, outcome);
        net_looked_clear(&got);
        g_assert_true(g_hash_table_add(names, (char *)net_look_outcome_name(outcome)));
    }
}

/* A server's words and its Location header go through the helper into this message. */
static void looked_encode__texts_of_a_server__are_made_harmless(void)
{
    g_autofree char *many = g_strnfill(3000, 'x');
    g_autoptr(GString) umlauts = g_string_new("x");
    while (umlauts->len < 3000) {
        g_string_append(umlauts, "\xc3\xa4");
    }
    const char *const errors[] = {"a\nb\x1b[31m", "\xff\xfe", many, umlauts->str};
    static const char *const locations[] = {
        "https://u:canary@h/p", "https://u@h/p", "javascript:x",         "https://h/p\n",
        "file:///etc/passwd",   "ext::sh",       "https://h/p?canary=1", "/relative"};
    for (unsigned i = 0; i < G_N_ELEMENTS(locations); i++) {
        struct net_looked looked = NET_LOOKED_INIT;
        looked.id = (char *)"1";
        looked.outcome = NET_LOOK_MOVED;
        looked.location = (char *)locations[i];
        looked.error = (char *)errors[i % G_N_ELEMENTS(errors)];
        struct net_looked got = looked_back(&looked);
        g_assert_cmpstr(got.location, ==, "");
        g_assert_cmpuint(strlen(got.error), <=, NET_ERROR_TEXT_MAX_BYTES);
        g_assert_cmpuint(strlen(got.error), >=, 4);
        net_looked_clear(&got);
    }
}

static void looked_parse__each_broken_field__is_refused(void)
{
    static const struct {
        unsigned at;
        struct net_field field;
    } cases[] = {
        {0, {"", 0}},
        {1, {"", 0}},
        {1, {"busy", 4}}, /* which has no digest, but an error */
        {1, {"SAME", 4}},
        {2, {"v3", 2}},
        {3, {"", 0}},
        {3, {ID, 40}},
        {3, {DIGEST "\0", 65}},
        {4, {"https://u@h/p", 13}},
        {4, {"no address", 10}},
        {4, {"https://h/p\0", 12}},
        {5, {"", 0}},
        {5, {"-2", 2}},
        {5, {"86400001", 8}},
        {6, {"a good look has none", 20}},
        {6, {"\n", 1}},
        {6, {"\xff", 1}},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_field fields[] = {field("1"), field("same"), field("v2"), field(DIGEST),
                                     field(""),  field("-1"),   field("")};
        g_autoptr(GByteArray) good = g_byte_array_new(), bad = g_byte_array_new();
        struct net_looked looked;
        g_autoptr(GError) error = NULL;
        net_encode(good, NET_LOOKED, fields, G_N_ELEMENTS(fields));
        struct net_message message = decode(good, NET_FROM_NET);
        g_assert_true(net_looked_parse(&message, &looked, NULL));
        net_looked_clear(&looked);
        fields[cases[i].at] = cases[i].field;
        net_encode(bad, NET_LOOKED, fields, G_N_ELEMENTS(fields));
        message = decode(bad, NET_FROM_NET);
        if (net_looked_parse(&message, &looked, &error)) {
            g_error("case %u was taken", i);
        }
        g_assert_error(error, NET_ERROR, ERROR_INVALID);
        g_assert_true(!looked.id && !looked.digest && !looked.location && !looked.error);
    }
}

/* -------------------------------------------------------------------------------------- logins */

static void login__round_trip__keeps_every_byte(void)
{
    static const struct net_login logins[] = {
        {(char *)"https://git.example:8443/", (char *)"ann", (char *)"canary \xc3\xa4=:"},
        {(char *)"http://h/team/app.git", (char *)"", (char *)"token"},
        {(char *)"https://h/", NULL, NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(logins); i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        struct net_login got;
        g_assert_true(net_login_encode(out, &logins[i], NULL));
        struct net_message message = decode(out, NET_TO_NET);
        g_assert_true(net_login_parse(&message, &got, NULL));
        g_assert_cmpstr(got.prefix, ==, logins[i].prefix);
        g_assert_cmpstr(got.user, ==, logins[i].user ? logins[i].user : "");
        g_assert_cmpstr(got.password, ==, logins[i].password ? logins[i].password : "");
        net_login_clear(&got);
        g_assert_null(got.password);
        net_login_clear(&got);
    }
}

static void login__broken_field__is_refused_without_showing_it(void)
{
    static const struct {
        unsigned at;
        struct net_field field;
    } cases[] = {
        {0, {"", 0}},
        {0, {"https://h", 9}},
        {0, {"https:///", 9}},
        {0, {"ssh://canary/", 13}},
        {0, {"https://canary@h/", 17}},
        {0, {"https://u:canary@h/", 19}},
        {0, {"https://h/canary x", 18}},
        {0, {"https://h/\0", 11}},
        {1, {"canary\n", 7}},
        {1, {"canary\0", 7}},
        {2, {"canary\r", 7}},
        {2, {"canary\0", 7}},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_field fields[] = {field("https://h/"), field("ann"), field("canary")};
        g_autoptr(GByteArray) out = g_byte_array_new();
        struct net_login login;
        g_autoptr(GError) error = NULL;
        fields[cases[i].at] = cases[i].field;
        net_encode(out, NET_LOGIN, fields, G_N_ELEMENTS(fields));
        struct net_message message = decode(out, NET_TO_NET);
        if (net_login_parse(&message, &login, &error)) {
            g_error("case %u was taken", i);
        }
        assert_error(error, ERROR_INVALID, "");
        g_assert_true(!login.prefix && !login.user && !login.password);
    }
}

static void login__longest_one__is_written_at_once_and_one_more_byte_refused(void)
{
    g_autoptr(GString) password = g_string_new("canary");
    struct net_login login = good_login;
    size_t overhead = NET_HEADER_BYTES + (size_t)3 * 4 + strlen(login.prefix) + strlen(login.user);
    while (password->len + overhead < PIPE_BUF) {
        g_string_append_c(password, 'x');
    }
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    login.password = password->str;
    g_assert_true(net_login_encode(out, &login, NULL));
    g_assert_cmpuint(out->len, ==, PIPE_BUF);
    g_string_append_c(password, 'x');
    login.password = password->str;
    g_byte_array_set_size(out, 0);
    g_assert_false(net_login_encode(out, &login, &error));
    assert_error(error, ERROR_LIMIT, "one write");
    g_assert_cmpuint(out->len, ==, 0);
}

/* A helper that sends another message than was expected costs its connection, not the daemon. */
static void parse__message_of_another_type__is_an_error(void)
{
    g_autoptr(GByteArray) looked = g_byte_array_new(), refs = g_byte_array_new(),
                          cancel = g_byte_array_new();
    g_autoptr(GHashTable) table = refset_new();
    net_looked_encode(looked, &good_looked);
    net_refs_encode(refs, "1", "", 0);
    net_cancel_encode(cancel, "1");
    struct net_message other = decode(looked, NET_FROM_NET);
    struct net_message other_refs = decode(refs, NET_FROM_NET);
    struct net_message other_cancel = decode(cancel, NET_TO_NET);
    GError *errors[7] = {NULL};
    struct net_answer answer;
    struct net_request request;
    struct net_look look;
    struct net_looked looked_struct;
    struct net_login login;
    g_assert_false(net_answer_parse(&other, &answer, &errors[0]));
    g_assert_null(net_refs_parse(&other, table, &errors[1]));
    g_assert_false(net_looked_parse(&other_refs, &looked_struct, &errors[2]));
    g_assert_false(net_request_parse(&other_cancel, &request, &errors[3]));
    g_assert_false(net_look_parse(&other_cancel, &look, &errors[4]));
    g_assert_false(net_login_parse(&other_cancel, &login, &errors[5]));
    g_assert_null(net_cancel_parse(&other, &errors[6]));
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        assert_error(errors[i], ERROR_INVALID, "\" instead of \"");
        g_error_free(errors[i]);
    }
    g_assert_true(!answer.id && !request.id && !look.id && !looked_struct.id && !login.prefix);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/net_look_protocol/" #name, name)
    ADD(look__round_trip__keeps_every_byte);
    ADD(look__without_known_and_options__has_empty_ones);
    ADD(look_parse__each_broken_field__is_refused_and_a_good_id_kept);
    ADD(look__texts_at_their_limits__fit_and_one_more_does_not);
    ADD(road__every_one__has_a_name_that_comes_back);
    ADD(refs__lines__come_back_as_a_table);
    ADD(refs_parse__each_broken_line__is_refused);
    ADD(refs__large_table__goes_in_as_many_messages_as_it_takes);
    ADD(refs_parse__more_than_a_set_holds__is_a_limit);
    ADD(looked__round_trip__keeps_every_byte);
    ADD(looked__every_outcome__has_a_name_that_comes_back);
    ADD(looked_encode__texts_of_a_server__are_made_harmless);
    ADD(looked_parse__each_broken_field__is_refused);
    ADD(login__round_trip__keeps_every_byte);
    ADD(login__broken_field__is_refused_without_showing_it);
    ADD(login__longest_one__is_written_at_once_and_one_more_byte_refused);
    ADD(parse__message_of_another_type__is_an_error);
#undef ADD
    return g_test_run();
}
