#include "ssh/mux.h"

#include <string.h>

#include "base/error.h"

enum { WORD = 4, NO_ESCAPE_CHARACTER = -1 };

/* PROTOCOL.mux, section 11. */
enum type {
    TYPE_HELLO = 0x00000001,
    TYPE_NEW_SESSION = 0x10000002,
    TYPE_TERMINATE = 0x10000005,
};
#define TYPE_OK                0x80000001U
#define TYPE_PERMISSION_DENIED 0x80000002U
#define TYPE_FAILURE           0x80000003U
#define TYPE_EXIT_MESSAGE      0x80000004U
#define TYPE_SESSION_OPENED    0x80000006U

/* ------------------------------------------------------------------------------------- writing */

static void append_u32(GByteArray *out, uint32_t value)
{
    guint32 big = GUINT32_TO_BE(value);
    g_byte_array_append(out, (const guint8 *)&big, sizeof(big));
}

static void append_string(GByteArray *out, const char *text)
{
    append_u32(out, (uint32_t)strlen(text));
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
}

/* The place of a message's length, which end_message() fills in. */
static guint begin_message(GByteArray *out, enum type type)
{
    append_u32(out, 0);
    append_u32(out, type);
    return out->len - 2 * WORD;
}

static void end_message(GByteArray *out, guint begin)
{
    guint32 length = GUINT32_TO_BE(out->len - begin - WORD);
    memcpy(out->data + begin, &length, sizeof(length));
}

void mux_append_hello(GByteArray *out)
{
    guint begin = begin_message(out, TYPE_HELLO);
    append_u32(out, MUX_VERSION);
    end_message(out, begin);
}

void mux_append_new_session(GByteArray *out, uint32_t request, const char *command,
                            const char *const *environment)
{
    static const char no_terminal[] = "";
    guint begin = begin_message(out, TYPE_NEW_SESSION);
    append_u32(out, request);
    append_string(out, ""); /* reserved */
    append_u32(out, false); /* a terminal */
    append_u32(out, false); /* X11 forwarding */
    append_u32(out, false); /* agent forwarding */
    append_u32(out, false); /* a subsystem */
    append_u32(out, (uint32_t)NO_ESCAPE_CHARACTER);
    append_string(out, no_terminal);
    append_string(out, command);
    for (; *environment; environment++) {
        append_string(out, *environment);
    }
    end_message(out, begin);
}

void mux_append_terminate(GByteArray *out, uint32_t request)
{
    guint begin = begin_message(out, TYPE_TERMINATE);
    append_u32(out, request);
    end_message(out, begin);
}

/* ------------------------------------------------------------------------------------- reading */

struct reader {
    const uint8_t *at;
    size_t left;
};

static bool read_u32(struct reader *reader, uint32_t *value)
{
    guint32 big;
    if (reader->left < sizeof(big)) {
        return false;
    }
    memcpy(&big, reader->at, sizeof(big));
    *value = GUINT32_FROM_BE(big);
    reader->at += sizeof(big);
    reader->left -= sizeof(big);
    return true;
}

static bool read_string(struct reader *reader, const char **text, size_t *length)
{
    uint32_t announced;
    if (!read_u32(reader, &announced) || announced > reader->left) {
        return false;
    }
    *text = (const char *)reader->at;
    *length = announced;
    reader->at += announced;
    reader->left -= announced;
    return true;
}

/* Names and values that a later OpenSSH may add without a new version. */
static bool skip_extensions(struct reader *reader)
{
    const char *name, *value;
    size_t length;
    while (reader->left > 0) {
        if (!read_string(reader, &name, &length) || !read_string(reader, &value, &length)) {
            return false;
        }
    }
    return true;
}

/* False: not a message that is known here. */
static bool read_message(struct reader *reader, struct mux_message *message)
{
    uint32_t type;
    if (!read_u32(reader, &type)) {
        return false;
    }
    switch (type) {
    case TYPE_HELLO:
        message->kind = MUX_HELLO;
        return read_u32(reader, &message->version) &&
               (message->version != MUX_VERSION || skip_extensions(reader));
    case TYPE_OK:
        message->kind = MUX_DONE;
        return read_u32(reader, &message->request) && reader->left == 0;
    case TYPE_SESSION_OPENED:
        message->kind = MUX_OPENED;
        return read_u32(reader, &message->request) && read_u32(reader, &message->session) &&
               reader->left == 0;
    case TYPE_PERMISSION_DENIED:
    case TYPE_FAILURE:
        message->kind = MUX_REFUSED;
        return read_u32(reader, &message->request) &&
               read_string(reader, &message->reason, &message->reason_length) && reader->left == 0;
    case TYPE_EXIT_MESSAGE:
        message->kind = MUX_EXIT;
        return read_u32(reader, &message->session) && read_u32(reader, &message->exit_code) &&
               reader->left == 0;
    default:
        return false;
    }
}

enum mux_decode mux_decode(const uint8_t *bytes, size_t length, struct mux_message *message,
                           size_t *used, GError **error)
{
    struct reader reader = {bytes, length};
    uint32_t announced;
    *message = (struct mux_message){.reason = ""};
    if (!read_u32(&reader, &announced)) {
        return MUX_INCOMPLETE;
    }
    if (announced > MUX_MAX_BYTES) {
        g_set_error(error, SSH_ERROR, ERROR_LIMIT, "ssh's master sent a message of %u bytes",
                    announced);
        return MUX_BROKEN;
    }
    if (reader.left < announced) {
        return MUX_INCOMPLETE;
    }
    reader.left = announced;
    if (!read_message(&reader, message)) {
        g_set_error_literal(error, SSH_ERROR, ERROR_INVALID,
                            "ssh's master sent a message that is not known here");
        return MUX_BROKEN;
    }
    *used = WORD + announced;
    return MUX_MESSAGE;
}
