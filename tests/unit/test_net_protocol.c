#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "base/wipe.h"
#include "net/protocol.h"

static const struct net_request good_request = {
    .id = (char *)"17.1",
    .url = (char *)"https://hooks.example/services/T0/canary?k=v#f",
    .method = (char *)"POST",
    .headers = (char *)"Content-Type: application/json\nX-Empty:",
    .body = (char *)"a\0b",
    .body_length = 3,
    .timeout_ms = 30000,
};

static const struct net_answer good_answer = {
    .id = (char *)"17.1",
    .outcome = NET_OUTCOME_HTTP,
    .status = 429,
    .retry_after_ms = 3000,
    .rate_remaining = 0,
    .rate_reset_ms = 1250,
    .error = (char *)"the answer broke off",
    .body = (char *)"\xff\0x",
    .body_length = 3,
};

static GByteArray *encoded_request(const struct net_request *request)
{
    GByteArray *out = g_byte_array_new();
    GError *error = NULL;
    g_assert_true(net_request_encode(out, request, &error));
    g_assert_no_error(error);
    return out;
}

/* One complete message, whatever its fields say. */
static GByteArray *raw_message(guint32 type, const struct net_field *fields, unsigned count)
{
    GByteArray *out = g_byte_array_new();
    guint32 length = 0;
    for (unsigned i = 0; i < count; i++) {
        length += 4 + (guint32)fields[i].length;
    }
    const guint32 header[] = {GUINT32_TO_LE(length), GUINT32_TO_LE(type)};
    g_byte_array_append(out, (const guint8 *)header, sizeof(header));
    for (unsigned i = 0; i < count; i++) {
        guint32 field_length = GUINT32_TO_LE((guint32)fields[i].length);
        g_byte_array_append(out, (const guint8 *)&field_length, 4);
        g_byte_array_append(out, (const guint8 *)fields[i].bytes, (guint)fields[i].length);
    }
    return out;
}

static enum net_decode decode(const GByteArray *bytes, enum net_direction direction,
                              struct net_message *message, GError **error)
{
    size_t used = 0;
    enum net_decode result = net_decode(bytes->data, bytes->len, direction, message, &used, error);
    if (result == NET_MESSAGE) {
        g_assert_cmpuint(used, ==, bytes->len);
    }
    return result;
}

static void assert_broken(const GByteArray *bytes, enum net_direction direction, int code,
                          const char *reason)
{
    struct net_message message;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(decode(bytes, direction, &message, &error), ==, NET_BROKEN);
    g_assert_error(error, NET_ERROR, code);
    if (!strstr(error->message, reason)) {
        g_error("expected \"%s\" in: %s", reason, error->message);
    }
}

static void request__round_trip__keeps_every_byte(void)
{
    g_autoptr(GByteArray) out = encoded_request(&good_request);
    struct net_message message;
    struct net_request got;
    GError *error = NULL;
    g_assert_cmpint(decode(out, NET_TO_NET, &message, &error), ==, NET_MESSAGE);
    g_assert_cmpint(message.type, ==, NET_REQUEST);
    g_assert_true(net_request_parse(&message, &got, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(got.id, ==, good_request.id);
    g_assert_cmpstr(got.url, ==, good_request.url);
    g_assert_cmpstr(got.method, ==, good_request.method);
    g_assert_cmpstr(got.headers, ==, good_request.headers);
    g_assert_cmpmem(got.body, got.body_length, good_request.body, good_request.body_length);
    g_assert_cmpint(got.timeout_ms, ==, good_request.timeout_ms);
    net_request_clear(&got);
    g_assert_null(got.url);
    net_request_clear(&got);
}

static void request__without_headers_and_body__has_empty_ones(void)
{
    struct net_request request = {
        .id = (char *)"1", .url = (char *)"http://h", .method = (char *)"GET", .timeout_ms = 1};
    g_autoptr(GByteArray) out = encoded_request(&request);
    struct net_message message;
    struct net_request got;
    g_assert_cmpint(decode(out, NET_TO_NET, &message, NULL), ==, NET_MESSAGE);
    g_assert_true(net_request_parse(&message, &got, NULL));
    g_assert_cmpstr(got.headers, ==, "");
    g_assert_cmpstr(got.body, ==, "");
    g_assert_cmpuint(got.body_length, ==, 0);
    net_request_clear(&got);
}

static void answer__round_trip__keeps_every_byte(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct net_message message;
    struct net_answer got;
    GError *error = NULL;
    net_answer_encode(out, &good_answer);
    g_assert_cmpint(decode(out, NET_FROM_NET, &message, &error), ==, NET_MESSAGE);
    g_assert_true(net_answer_parse(&message, &got, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(got.id, ==, "17.1");
    g_assert_cmpint(got.outcome, ==, NET_OUTCOME_HTTP);
    g_assert_cmpint(got.status, ==, 429);
    g_assert_cmpint(got.retry_after_ms, ==, 3000);
    g_assert_cmpint(got.rate_remaining, ==, 0);
    g_assert_cmpint(got.rate_reset_ms, ==, 1250);
    g_assert_cmpstr(got.error, ==, good_answer.error);
    g_assert_cmpmem(got.body, got.body_length, "\xff\0x", 3);
    net_answer_clear(&got);
    net_answer_clear(&got);
}

static void answer__every_outcome__has_a_name_that_comes_back(void)
{
    static const char *const names[] = {"http", "unreachable", "timeout",
                                        "tls",  "refused",     "protocol"};
    for (int i = 0; i <= NET_OUTCOME_PROTOCOL; i++) {
        struct net_answer answer = NET_ANSWER_INIT;
        g_autoptr(GByteArray) out = g_byte_array_new();
        struct net_message message;
        struct net_answer got;
        answer.id = (char *)"1";
        answer.outcome = (enum net_outcome)i;
        answer.status = i == NET_OUTCOME_HTTP ? 200 : 0;
        net_answer_encode(out, &answer);
        g_assert_cmpint(decode(out, NET_FROM_NET, &message, NULL), ==, NET_MESSAGE);
        g_assert_true(net_answer_parse(&message, &got, NULL));
        g_assert_cmpint(got.outcome, ==, i);
        g_assert_cmpstr(net_outcome_name(got.outcome), ==, names[i]);
        g_assert_cmpint(got.retry_after_ms, ==, -1);
        g_assert_cmpstr(got.error, ==, "");
        net_answer_clear(&got);
    }
}

static void cancel__round_trip__is_the_id(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    struct net_message message;
    net_cancel_encode(out, "a:b-c_d.9");
    g_assert_cmpint(decode(out, NET_TO_NET, &message, NULL), ==, NET_MESSAGE);
    g_autofree char *id = net_cancel_parse(&message, NULL);
    g_assert_cmpstr(id, ==, "a:b-c_d.9");
}

static void decode__split_at_each_byte__is_incomplete_until_the_last(void)
{
    g_autoptr(GByteArray) out = encoded_request(&good_request);
    struct net_message message;
    GError *error = NULL;
    for (guint length = 0; length < out->len; length++) {
        /* A copy of just that length, so that a sanitizer sees a byte read too far. */
        g_autofree guint8 *part = g_memdup2(out->data, length);
        size_t used = 77;
        g_assert_cmpint(net_decode(part, length, NET_TO_NET, &message, &used, &error), ==,
                        NET_INCOMPLETE);
        g_assert_no_error(error);
        g_assert_cmpuint(used, ==, 77);
    }
}

static void decode__two_messages_in_a_row__come_one_by_one(void)
{
    g_autoptr(GByteArray) out = encoded_request(&good_request);
    guint first = out->len;
    struct net_message message;
    size_t used = 0;
    net_cancel_encode(out, "x");
    g_assert_cmpint(net_decode(out->data, out->len, NET_TO_NET, &message, &used, NULL), ==,
                    NET_MESSAGE);
    g_assert_cmpuint(used, ==, first);
    wipe_array_front(out, used);
    g_assert_cmpint(net_decode(out->data, out->len, NET_TO_NET, &message, &used, NULL), ==,
                    NET_MESSAGE);
    g_assert_cmpint(message.type, ==, NET_CANCEL);
    wipe_array_front(out, used);
    g_assert_cmpuint(out->len, ==, 0);
}

static void decode__header_that_breaks_a_rule__is_broken_at_once(void)
{
    static const struct {
        guint32 length, type;
        enum net_direction direction;
        int code;
        const char *reason;
    } cases[] = {
        {0, 0, NET_TO_NET, ERROR_INVALID, "unknown type 0"},
        {0, 8, NET_TO_NET, ERROR_INVALID, "unknown type 8"},
        {0, G_MAXUINT32, NET_TO_NET, ERROR_INVALID, "unknown type 4294967295"},
        {5, NET_ANSWER, NET_TO_NET, ERROR_INVALID, "\"answer\" came from phantom_ci"},
        {5, NET_REQUEST, NET_FROM_NET, ERROR_INVALID, "\"request\" came from a helper program"},
        {5, NET_CANCEL, NET_FROM_NET, ERROR_INVALID, "\"cancel\" came from a helper program"},
        {NET_REQUEST_MAX_BYTES + 1, NET_REQUEST, NET_TO_NET, ERROR_LIMIT, "at most 1048576"},
        {NET_CANCEL_MAX_BYTES + 1, NET_CANCEL, NET_TO_NET, ERROR_LIMIT, "at most 256"},
        {NET_ANSWER_MAX_BYTES + 1, NET_ANSWER, NET_FROM_NET, ERROR_LIMIT, "at most 65536"},
        {5, NET_REFS, NET_TO_NET, ERROR_INVALID, "\"refs\" came from phantom_ci"},
        {5, NET_LOOKED, NET_TO_NET, ERROR_INVALID, "\"looked\" came from phantom_ci"},
        {5, NET_LOOK, NET_FROM_NET, ERROR_INVALID, "\"look\" came from a helper program"},
        {5, NET_LOGIN, NET_FROM_NET, ERROR_INVALID, "\"login\" came from a helper program"},
        {NET_LOOK_MAX_BYTES + 1, NET_LOOK, NET_TO_NET, ERROR_LIMIT, "at most 98304"},
        {NET_LOGIN_MAX_BYTES + 1, NET_LOGIN, NET_TO_NET, ERROR_LIMIT, "login has"},
        {G_MAXUINT32, NET_ANSWER, NET_FROM_NET, ERROR_LIMIT, "4294967295 bytes"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const guint32 header[] = {GUINT32_TO_LE(cases[i].length), GUINT32_TO_LE(cases[i].type)};
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_append(bytes, (const guint8 *)header, sizeof(header));
        assert_broken(bytes, cases[i].direction, cases[i].code, cases[i].reason);
    }
}

static void decode__longest_lengths__are_incomplete_not_broken(void)
{
    static const guint32 lengths[][2] = {{NET_REQUEST_MAX_BYTES, NET_REQUEST},
                                         {NET_CANCEL_MAX_BYTES, NET_CANCEL}};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        const guint32 header[] = {GUINT32_TO_LE(lengths[i][0]), GUINT32_TO_LE(lengths[i][1])};
        struct net_message message;
        size_t used = 0;
        g_assert_cmpint(
            net_decode((const uint8_t *)header, sizeof(header), NET_TO_NET, &message, &used, NULL),
            ==, NET_INCOMPLETE);
    }
}

static void decode__wrong_number_of_fields__is_broken(void)
{
    const struct net_field fields[9] = {{"1", 1}, {"1", 1}, {"1", 1}, {"1", 1}, {"1", 1},
                                        {"1", 1}, {"1", 1}, {"1", 1}, {"1", 1}};
    static const struct {
        enum net_type type;
        enum net_direction direction;
        unsigned right;
    } cases[] = {{NET_REQUEST, NET_TO_NET, 6},  {NET_CANCEL, NET_TO_NET, 1},
                 {NET_ANSWER, NET_FROM_NET, 8}, {NET_LOOK, NET_TO_NET, 7},
                 {NET_REFS, NET_FROM_NET, 2},   {NET_LOOKED, NET_FROM_NET, 7},
                 {NET_LOGIN, NET_TO_NET, 3}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned count = 0; count <= G_N_ELEMENTS(fields); count++) {
            g_autoptr(GByteArray) bytes = raw_message(cases[i].type, fields, count);
            if (count == cases[i].right) {
                struct net_message message;
                g_assert_cmpint(decode(bytes, cases[i].direction, &message, NULL), ==, NET_MESSAGE);
                g_assert_cmpuint(message.count, ==, count);
            } else {
                assert_broken(bytes, cases[i].direction, ERROR_INVALID, "fields that fill it");
            }
        }
    }
}

static void decode__field_length_that_lies__is_broken(void)
{
    const struct net_field field = {"abc", 3};
    static const guint32 lies[] = {0, 2, 4, 0x7fffffff, 0x80000000, 0xfffffffc, G_MAXUINT32};
    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(GByteArray) bytes = raw_message(NET_CANCEL, &field, 1);
        guint32 lie = GUINT32_TO_LE(lies[i]);
        memcpy(bytes->data + NET_HEADER_BYTES, &lie, sizeof(lie));
        assert_broken(bytes, NET_TO_NET, ERROR_INVALID, "fields that fill it");
    }
}

/* ---------------------------------------------------------------- what a request may not hold */

static void assert_encode_refused(const struct net_request *request, const char *reason)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    if (net_request_encode(out, request, &error)) {
        g_error("accepted; expected \"%s\"", reason);
    }
    g_assert_true(error_has_code(error, ERROR_INVALID) || error_has_code(error, ERROR_LIMIT));
    g_assert_cmpuint(out->len, ==, 0);
    if (!strstr(error->message, reason) || strstr(error->message, "canary")) {
        g_error("expected \"%s\" in: %s", reason, error->message);
    }
}

static void request__bad_url__is_refused_without_showing_it(void)
{
    g_autofree char *most = g_strnfill(NET_URL_MAX_BYTES, 'a');
    g_autofree char *above = g_strnfill(NET_URL_MAX_BYTES + 1, 'a');
    memcpy(most, "http://", 7);
    memcpy(above, "http://", 7);
    const struct {
        const char *url, *reason;
    } cases[] = {
        {"", "does not begin with"},
        {"ftp://h/canary", "does not begin with"},
        {"file:///canary", "does not begin with"},
        {"canary", "does not begin with"},
        {"https:/h/canary", "does not begin with"},
        {"https://", "no host"},
        {"https:///canary", "no host"},
        {"http://@h/canary", "no host"},
        {"http://:80/canary", "no host"},
        {"http://?canary", "no host"},
        {"http://h/canary x", "blank"},
        {"http://h/canary\r\nHost: x", "control"},
        {"http://h/canary\t", "control"},
        {"http://h\\canary", "backslash"},
        {"http://h/canary\x7f", "control"},
        {above, "8192"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_request request = good_request;
        request.url = (char *)cases[i].url;
        assert_encode_refused(&request, cases[i].reason);
    }
    struct net_request request = good_request;
    request.url = most;
    g_byte_array_unref(encoded_request(&request));
    request.url = (char *)"HTTPS://user:pw@h:1/";
    g_byte_array_unref(encoded_request(&request));
}

static char *many_headers(unsigned count)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < count; i++) {
        g_string_append_printf(text, "%sX-%u: v", i ? "\n" : "", i);
    }
    return g_string_free(text, FALSE);
}

static void request__bad_header__is_refused_without_showing_it(void)
{
    g_autofree char *too_many = many_headers(NET_HEADERS_MAX + 1);
    g_autofree char *too_long = g_strnfill(NET_HEADERS_MAX_BYTES + 1, 'x');
    const struct {
        const char *headers, *reason;
    } cases[] = {
        {"canary", "Name: value"},
        {": canary", "Name: value"},
        {"canary name: v", "Name: value"},
        {"\nA: canary", "Name: value"},
        {"A: b\n\nC: canary", "Name: value"},
        {" A: canary", "Name: value"},
        {"A\xc3\xa4: canary", "Name: value"},
        {"A: canary\rB: c", "control"},
        {"A: canary\x01", "control"},
        {"A: canary\x7f", "control"},
        {"Host: canary", "sets itself"},
        {"content-length: 9", "sets itself"},
        {"A: b\nTransfer-Encoding: canary", "sets itself"},
        {"cookie: canary", "sets itself"},
        {"Proxy-Authorization: canary", "sets itself"},
        {too_many, "more than 64"},
        {too_long, "16 KiB"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_request request = good_request;
        request.headers = (char *)cases[i].headers;
        assert_encode_refused(&request, cases[i].reason);
    }
    g_autofree char *just_right = many_headers(NET_HEADERS_MAX);
    struct net_request request = good_request;
    request.headers = just_right;
    g_byte_array_unref(encoded_request(&request));
    request.headers = (char *)"Hosts: a\nA: b\tc \xc3\xa4\n";
    g_byte_array_unref(encoded_request(&request));
}

static void request__bad_id_method_body_or_timeout__is_refused(void)
{
    g_autofree char *id_most = g_strnfill(NET_ID_MAX_BYTES, 'i');
    g_autofree char *id_above = g_strnfill(NET_ID_MAX_BYTES + 1, 'i');
    const char *ids[] = {"", "a b", "a/b", "\xc3\xa4", "a\n", id_above};
    struct net_request request = good_request;
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        request.id = (char *)ids[i];
        assert_encode_refused(&request, "an id must be");
    }
    request.id = id_most;
    g_byte_array_unref(encoded_request(&request));
    static const char *const methods[] = {"", "post", "DELETE", "POST "};
    for (unsigned i = 0; i < G_N_ELEMENTS(methods); i++) {
        request.method = (char *)methods[i];
        assert_encode_refused(&request, "GET, HEAD and POST");
    }
    request.method = (char *)"HEAD";
    assert_encode_refused(&request, "only a POST");
    request = good_request;
    static const int64_t timeouts[] = {0, -1, NET_TIMEOUT_MAX_MS + 1, G_MAXINT64};
    for (unsigned i = 0; i < G_N_ELEMENTS(timeouts); i++) {
        request.timeout_ms = timeouts[i];
        assert_encode_refused(&request, "timeout");
    }
    request.timeout_ms = NET_TIMEOUT_MAX_MS;
    g_byte_array_unref(encoded_request(&request));
}

static void request__body_at_the_limit__fits_and_one_more_does_not(void)
{
    struct net_request request = good_request;
    g_autoptr(GByteArray) small = encoded_request(&request);
    size_t most = NET_REQUEST_MAX_BYTES - (small->len - NET_HEADER_BYTES) + request.body_length;
    g_autofree char *body = g_malloc0(most + 1);
    request.body = body;
    request.body_length = most;
    g_autoptr(GByteArray) out = encoded_request(&request);
    g_assert_cmpuint(out->len, ==, NET_HEADER_BYTES + NET_REQUEST_MAX_BYTES);
    struct net_message message;
    struct net_request got;
    g_assert_cmpint(decode(out, NET_TO_NET, &message, NULL), ==, NET_MESSAGE);
    g_assert_true(net_request_parse(&message, &got, NULL));
    g_assert_cmpuint(got.body_length, ==, most);
    net_request_clear(&got);
    request.body_length = most + 1;
    assert_encode_refused(&request, "1 MiB");
    request.body_length = SIZE_MAX;
    assert_encode_refused(&request, "1 MiB");
}

/* Replaces field number `at` of a good request and parses it. */
static bool parse_with(unsigned at, const char *bytes, size_t length, struct net_request *request,
                       GError **error)
{
    struct net_field fields[] = {{"7", 1}, {"http://h/", 9}, {"POST", 4},
                                 {"", 0},  {"body", 4},      {"1000", 4}};
    fields[at] = (struct net_field){bytes, length};
    g_autoptr(GByteArray) raw = raw_message(NET_REQUEST, fields, G_N_ELEMENTS(fields));
    struct net_message message;
    g_assert_cmpint(decode(raw, NET_TO_NET, &message, NULL), ==, NET_MESSAGE);
    return net_request_parse(&message, request, error);
}

static void request_parse__nonsense__keeps_only_a_good_id(void)
{
    static const struct {
        unsigned at;
        const char *bytes;
        size_t length;
        const char *id;
    } cases[] = {
        {0, "", 0, NULL},
        {0, "a\0b", 3, NULL},
        {1, "http://h/\0x", 11, "7"},
        {1, "", 0, "7"},
        {2, "PO\0ST", 5, "7"},
        {2, "PUT", 3, "7"},
        {3, "A: b\0", 5, "7"},
        {3, "A b", 3, "7"},
        {5, "", 0, "7"},
        {5, "+5", 2, "7"},
        {5, " 5", 2, "7"},
        {5, "5 ", 2, "7"},
        {5, "\v5", 2, "7"},
        {5, "0", 1, "7"},
        {5, "-1", 2, "7"},
        {5, "600001", 6, "7"},
        {5, "1e3", 3, "7"},
        {5, "5\0", 2, "7"},
        {5, "18446744073709551617", 20, "7"},
        {5, "000000000000000000000000000001", 30, "7"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct net_request request;
        g_autoptr(GError) error = NULL;
        g_assert_false(parse_with(cases[i].at, cases[i].bytes, cases[i].length, &request, &error));
        g_assert_error(error, NET_ERROR, ERROR_INVALID);
        g_assert_cmpstr(request.id, ==, cases[i].id);
        g_assert_null(request.url);
        g_assert_null(request.body);
        net_request_clear(&request);
    }
    struct net_request request;
    g_assert_true(parse_with(4, "\0\0", 2, &request, NULL));
    g_assert_cmpuint(request.body_length, ==, 2);
    net_request_clear(&request);
}

/* ----------------------------------------------------------------- what an answer may not hold */

static bool parse_answer_with(unsigned at, const char *bytes, size_t length)
{
    struct net_field fields[] = {{"7", 1},  {"http", 4}, {"200", 3}, {"-1", 2},
                                 {"-1", 2}, {"-1", 2},   {"", 0},    {"ok", 2}};
    fields[at] = (struct net_field){bytes, length};
    g_autoptr(GByteArray) raw = raw_message(NET_ANSWER, fields, G_N_ELEMENTS(fields));
    struct net_message message;
    struct net_answer answer;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(decode(raw, NET_FROM_NET, &message, NULL), ==, NET_MESSAGE);
    bool ok = net_answer_parse(&message, &answer, &error);
    g_assert_true(ok == (error == NULL));
    g_assert_true(ok == (answer.id != NULL));
    g_assert_true(ok || answer.status == 0);
    net_answer_clear(&answer);
    return ok;
}

static void answer_parse__borders__are_held(void)
{
    static const struct {
        unsigned at;
        const char *text;
        bool good;
    } cases[] = {
        {0, "", false},           {0, "a b", false},       {1, "", false},
        {1, "htt", false},        {1, "https", false},     {1, "timeout", false},
        {2, "0", false},          {2, "99", false},        {2, "100", true},
        {2, "599", true},         {2, "600", false},       {2, "-1", false},
        {2, "2x", false},         {3, "0", true},          {3, "86400000", true},
        {3, "86400001", false},   {3, "-2", false},        {3, "1.5", false},
        {3, "", false},           {4, "2147483647", true}, {4, "2147483648", false},
        {5, "86400000", true},    {5, "86400001", false},  {6, "one line", true},
        {6, "two\nlines", false}, {6, "esc \x1b", false},  {6, "\xff", false},
        {6, "\xc3\xa4", true},    {7, "", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (parse_answer_with(cases[i].at, cases[i].text, strlen(cases[i].text)) != cases[i].good) {
            g_error("field %u \"%s\"", cases[i].at, cases[i].text);
        }
    }
    g_autofree char *text = g_strnfill(4096, 'x');
    g_assert_true(parse_answer_with(6, text, NET_ERROR_TEXT_MAX_BYTES));
    g_assert_false(parse_answer_with(6, text, NET_ERROR_TEXT_MAX_BYTES + 1));
    g_assert_true(parse_answer_with(7, text, NET_ANSWER_BODY_MAX_BYTES));
    g_assert_false(parse_answer_with(7, text, NET_ANSWER_BODY_MAX_BYTES + 1));
    g_assert_false(parse_answer_with(6, "a\0b", 3));
    g_assert_true(parse_answer_with(7, "a\0b", 3));
}

/* ---------------------------------------------------------------------------------------- wipe */

static void wipe__bytes_taken_from_the_front__leave_nothing_behind(void)
{
    g_autoptr(GByteArray) array = g_byte_array_new();
    wipe_array_front(array, 0);
    g_assert_cmpuint(array->len, ==, 0);
    g_byte_array_append(array, (const guint8 *)"secretREST", 10);
    wipe_array_front(array, 6);
    g_assert_cmpmem(array->data, array->len, "REST", 4);
    g_assert_cmpmem(array->data + 4, 6, "\0\0\0\0\0\0", 6);
    char bytes[4] = "abc";
    wipe_bytes(bytes, sizeof(bytes));
    g_assert_cmpmem(bytes, 4, "\0\0\0\0", 4);
    char *none = NULL;
    wipe_free_string(&none);
    wipe_bytes(NULL, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/net_protocol/" #name, name)
    ADD(request__round_trip__keeps_every_byte);
    ADD(request__without_headers_and_body__has_empty_ones);
    ADD(answer__round_trip__keeps_every_byte);
    ADD(answer__every_outcome__has_a_name_that_comes_back);
    ADD(cancel__round_trip__is_the_id);
    ADD(decode__split_at_each_byte__is_incomplete_until_the_last);
    ADD(decode__two_messages_in_a_row__come_one_by_one);
    ADD(decode__header_that_breaks_a_rule__is_broken_at_once);
    ADD(decode__longest_lengths__are_incomplete_not_broken);
    ADD(decode__wrong_number_of_fields__is_broken);
    ADD(decode__field_length_that_lies__is_broken);
    ADD(request__bad_url__is_refused_without_showing_it);
    ADD(request__bad_header__is_refused_without_showing_it);
    ADD(request__bad_id_method_body_or_timeout__is_refused);
    ADD(request__body_at_the_limit__fits_and_one_more_does_not);
    ADD(request_parse__nonsense__keeps_only_a_good_id);
    ADD(answer_parse__borders__are_held);
    ADD(wipe__bytes_taken_from_the_front__leave_nothing_behind);
#undef ADD
    return g_test_run();
}
