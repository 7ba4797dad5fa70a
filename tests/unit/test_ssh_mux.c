#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "ssh/mux.h"

static void append_u32(GByteArray *out, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);
    g_byte_array_append(out, (const guint8 *)&big, sizeof(big));
}

/* A message of the master: its words, and a string behind them if there is one. */
static GByteArray *message(const guint32 *words, unsigned count, const char *text)
{
    GByteArray *out = g_byte_array_new();
    append_u32(out, count * 4 + (text ? 4 + (guint32)strlen(text) : 0));
    for (unsigned i = 0; i < count; i++) {
        append_u32(out, words[i]);
    }
    if (text) {
        append_u32(out, (guint32)strlen(text));
        g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
    }
    return out;
}

#define WORDS(...) (const guint32[]){__VA_ARGS__}, sizeof((guint32[]){__VA_ARGS__}) / 4

static struct mux_message decode_good(const GByteArray *bytes)
{
    struct mux_message decoded;
    size_t used = 0;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mux_decode(bytes->data, bytes->len, &decoded, &used, &error), ==, MUX_MESSAGE);
    g_assert_no_error(error);
    g_assert_cmpuint(used, ==, bytes->len);
    return decoded;
}

static void assert_broken(const GByteArray *bytes, int code)
{
    struct mux_message decoded;
    size_t used = 0;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mux_decode(bytes->data, bytes->len, &decoded, &used, &error), ==, MUX_BROKEN);
    g_assert_error(error, SSH_ERROR, code);
}

static void request__session__has_the_bytes_that_openssh_sends(void)
{
    /* As strace saw `ssh -T -e none -o SendEnv=K -S PATH host cmd` of OpenSSH 9.2 write it. */
    static const char expected[] = "\0\0\0\x08\0\0\0\x01\0\0\0\x04"   /* hello, version 4 */
                                   "\0\0\0\x32\x10\0\0\x02\0\0\0\x01" /* a session, request 1 */
                                   "\0\0\0\0"                         /* reserved */
                                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" /* four times no */
                                   "\xff\xff\xff\xff"                 /* no escape character */
                                   "\0\0\0\0"                         /* the terminal's name */
                                   "\0\0\0\x03"
                                   "cmd"
                                   "\0\0\0\x03"
                                   "K=V";
    g_autoptr(GByteArray) out = g_byte_array_new();
    mux_append_hello(out);
    mux_append_new_session(out, 1, "cmd", (const char *const[]){"K=V", NULL});
    g_assert_cmpmem(out->data, out->len, expected, sizeof(expected) - 1);
}

static void request__terminate__has_its_bytes(void)
{
    static const guint8 expected[] = {0, 0, 0, 8, 0x10, 0, 0, 5, 0, 0, 0, 9};
    g_autoptr(GByteArray) out = g_byte_array_new();
    mux_append_terminate(out, 9);
    g_assert_cmpmem(out->data, out->len, expected, sizeof(expected));
}

static void decode__each_message__gives_its_fields(void)
{
    g_autoptr(GByteArray) hello = message(WORDS(1, 4), NULL);
    struct mux_message decoded = decode_good(hello);
    g_assert_cmpint(decoded.kind, ==, MUX_HELLO);
    g_assert_cmpuint(decoded.version, ==, 4);

    g_autoptr(GByteArray) opened = message(WORDS(0x80000006, 7, 12), NULL);
    decoded = decode_good(opened);
    g_assert_cmpint(decoded.kind, ==, MUX_OPENED);
    g_assert_cmpuint(decoded.request, ==, 7);
    g_assert_cmpuint(decoded.session, ==, 12);

    g_autoptr(GByteArray) ended = message(WORDS(0x80000004, 12, 128), NULL);
    decoded = decode_good(ended);
    g_assert_cmpint(decoded.kind, ==, MUX_EXIT);
    g_assert_cmpuint(decoded.session, ==, 12);
    g_assert_cmpuint(decoded.exit_code, ==, 128);

    g_autoptr(GByteArray) done = message(WORDS(0x80000001, 7), NULL);
    g_assert_cmpint(decode_good(done).kind, ==, MUX_DONE);
}

static void decode__both_refusals__give_the_reason(void)
{
    static const guint32 types[] = {0x80000002, 0x80000003};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(GByteArray) bytes = message(WORDS(types[i], 7), "Session open refused by peer");
        struct mux_message decoded = decode_good(bytes);
        g_assert_cmpint(decoded.kind, ==, MUX_REFUSED);
        g_assert_cmpuint(decoded.request, ==, 7);
        g_assert_cmpmem(decoded.reason, decoded.reason_length, "Session open refused by peer", 28);
    }
}

static void decode__hello_with_extensions__is_a_hello(void)
{
    g_autoptr(GByteArray) bytes = message(WORDS(1, 4, 1), NULL);
    bytes->data[3] += 1 + 4 + 2; /* "x", and a value of two bytes */
    g_byte_array_append(bytes, (const guint8 *)"x\0\0\0\2yz", 7);
    g_assert_cmpint(decode_good(bytes).kind, ==, MUX_HELLO);
    bytes->data[bytes->len - 3] = 3; /* a value that goes beyond the end */
    assert_broken(bytes, ERROR_INVALID);
}

static void decode__another_version__is_told_whatever_follows(void)
{
    g_autoptr(GByteArray) bytes = message(WORDS(1, 5, 0xffffffff), NULL);
    struct mux_message decoded = decode_good(bytes);
    g_assert_cmpint(decoded.kind, ==, MUX_HELLO);
    g_assert_cmpuint(decoded.version, ==, 5);
}

static void decode__cut_at_every_byte__is_incomplete(void)
{
    g_autoptr(GByteArray) bytes = message(WORDS(0x80000003, 7), "no");
    for (guint length = 0; length < bytes->len; length++) {
        struct mux_message decoded;
        size_t used = 77;
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(mux_decode(bytes->data, length, &decoded, &used, &error), ==,
                        MUX_INCOMPLETE);
        g_assert_no_error(error);
        g_assert_cmpuint(used, ==, 77);
    }
}

static void decode__fields_too_short_or_too_long__is_broken(void)
{
    static const struct {
        guint32 words[4];
        unsigned count;
    } wrong[] = {
        {{1}, 1},
        {{0x80000006, 7}, 2},
        {{0x80000006, 7, 1, 1}, 4},
        {{0x80000004, 7}, 2},
        {{0x80000001}, 1},
        {{0x80000001, 7, 7}, 3},
        {{0x80000003, 7}, 2},
        {{0x80000003, 7, 1}, 3},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GByteArray) bytes = message(wrong[i].words, wrong[i].count, NULL);
        assert_broken(bytes, ERROR_INVALID);
    }
}

static void decode__unknown_types_and_empty_messages__are_broken(void)
{
    static const guint32 types[] = {0,          2,          0x10000002, 0x80000005,
                                    0x80000007, 0x8000000f, 0xffffffff};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autoptr(GByteArray) bytes = message(WORDS(types[i], 7), NULL);
        assert_broken(bytes, ERROR_INVALID);
    }
    g_autoptr(GByteArray) empty = message(NULL, 0, NULL);
    assert_broken(empty, ERROR_INVALID);
}

static void decode__too_long__is_broken_before_it_is_there(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    append_u32(bytes, MUX_MAX_BYTES + 1);
    assert_broken(bytes, ERROR_LIMIT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/ssh_mux/" #name, name)
    ADD(request__session__has_the_bytes_that_openssh_sends);
    ADD(request__terminate__has_its_bytes);
    ADD(decode__each_message__gives_its_fields);
    ADD(decode__both_refusals__give_the_reason);
    ADD(decode__hello_with_extensions__is_a_hello);
    ADD(decode__another_version__is_told_whatever_follows);
    ADD(decode__cut_at_every_byte__is_incomplete);
    ADD(decode__fields_too_short_or_too_long__is_broken);
    ADD(decode__unknown_types_and_empty_messages__are_broken);
    ADD(decode__too_long__is_broken_before_it_is_there);
    return g_test_run();
}
