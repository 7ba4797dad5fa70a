#include "git/lsrefs.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "git/pktline.h"
#include "git/refset.h"
#include "git/url.h"

enum {
    SHA1_DIGITS = 40,
    SHA256_DIGITS = 64,
    HEAD_BYTES = SHA256_DIGITS + 1, /* enough to tell dumb HTTP, and to show what else came */
    MAX_WORDS = 300,                /* of a server's complaint */
};

enum state {
    STATE_START,        /* nothing but perhaps "# service=" and "version 1" was read */
    STATE_SERVICE,      /* "# service=" was read; a flush follows */
    STATE_CAPABILITIES, /* version 2 */
    STATE_ADVERTISED,   /* refs of version 0 or 1 */
    STATE_COMMAND,      /* a pipe of version 2 behind its capabilities */
    STATE_ANSWER,       /* refs of version 2 */
    STATE_DONE,
};

struct lsrefs {
    enum lsrefs_form form;
    enum state state;
    struct pktline pktline;
    struct refset_wanted *wanted;
    GHashTable *refs; /* NULL once handed over */
    int version;
    size_t id_digits; /* 0 = not known */
    bool has_format;  /* the server named its object format; of several the first one counts */
    bool can_ls_refs;
    bool has_packet; /* any one was read */
    bool understood; /* a line of version 2's answer was read */
    bool for_git;    /* the failure is that this is not spoken here */
    size_t total;
    uint8_t head[HEAD_BYTES]; /* of the whole input */
    size_t head_length;
    bool undecided; /* an advertisement that may be dumb HTTP: all of it is in `head` */
    GError *failure;
};

/* One line while it is taken apart. */
struct line {
    const char *text;
    size_t length;
};

struct lsrefs *lsrefs_new(enum lsrefs_form form, const char *const *wanted)
{
    struct lsrefs *lsrefs = g_new0(struct lsrefs, 1);
    lsrefs->form = form;
    lsrefs->state = form == LSREFS_ANSWER ? STATE_ANSWER : STATE_START;
    lsrefs->version = form == LSREFS_ANSWER ? 2 : -1;
    lsrefs->undecided = form == LSREFS_ADVERTISEMENT;
    lsrefs->wanted = refset_wanted_new(wanted);
    lsrefs->refs = refset_new();
    pktline_init(&lsrefs->pktline);
    return lsrefs;
}

void lsrefs_free(struct lsrefs *lsrefs)
{
    if (!lsrefs) {
        return;
    }
    pktline_release(&lsrefs->pktline);
    refset_wanted_free(lsrefs->wanted);
    g_clear_pointer(&lsrefs->refs, g_hash_table_unref);
    g_clear_error(&lsrefs->failure);
    g_free(lsrefs);
}

/* ----------------------------------------------------------------------------------- failures */

/* Foreign bytes for a message: escaped, and cut where no character is torn. */
static char *shown(const char *bytes, size_t length)
{
    GString *out = g_string_new(NULL);
    bool cut = length > MAX_WORDS;
    if (cut) {
        length = MAX_WORDS;
        while (length > MAX_WORDS - 4 && ((unsigned char)bytes[length] & 0xc0) == 0x80) {
            length--;
        }
    }
    text_append_escaped(out, bytes, length, TEXT_ONE_LINE);
    g_string_append(out, cut ? "..." : "");
    return g_string_free(out, FALSE);
}

G_GNUC_PRINTF(3, 4)
static bool fail(struct lsrefs *lsrefs, enum error_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lsrefs->failure = g_error_new_valist(GIT_ERROR, (gint)code, format, arguments);
    va_end(arguments);
    return false;
}

static bool fail_line(struct lsrefs *lsrefs, const char *expected, const struct line *line)
{
    g_autofree char *words = shown(line->text, line->length);
    return fail(lsrefs, ERROR_INVALID, "the server's answer has \"%s\" where %s is expected", words,
                expected);
}

static bool fail_words(struct lsrefs *lsrefs, const char *words, size_t length)
{
    while (length > 0 && g_ascii_isspace(words[length - 1])) {
        length--;
    }
    g_autofree char *said = shown(words, length);
    return fail(lsrefs, ERROR_REMOTE, "the server says: %s", length > 0 ? said : "(nothing)");
}

/* ---------------------------------------------------------------------------------------- lines */

static bool has_prefix(const struct line *line, const char *prefix)
{
    size_t length = strlen(prefix);
    return line->length >= length && memcmp(line->text, prefix, length) == 0;
}

static bool is_word(const struct line *line, const char *word)
{
    return line->length == strlen(word) && has_prefix(line, word);
}

/* Takes the part before `separator` off the front of `line`, and the separator as well; all of it
 * when there is none. */
static struct line take_part(struct line *line, char separator)
{
    const char *end = line->length > 0 ? memchr(line->text, separator, line->length) : NULL;
    struct line part = {line->text, end ? (size_t)(end - line->text) : line->length};
    size_t used = part.length + (end ? 1 : 0);
    line->text += used;
    line->length -= used;
    return part;
}

static size_t count_hex(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && g_ascii_isxdigit(text[count]) && !g_ascii_isupper(text[count])) {
        count++;
    }
    return count;
}

/* All ids of a repository are of one length. */
static bool is_id(struct lsrefs *lsrefs, const struct line *id)
{
    size_t digits = count_hex(id->text, id->length);
    if (digits != id->length || (digits != SHA1_DIGITS && digits != SHA256_DIGITS) ||
        (lsrefs->id_digits > 0 && lsrefs->id_digits != digits)) {
        return false;
    }
    lsrefs->id_digits = digits;
    return true;
}

static bool add_ref(struct lsrefs *lsrefs, const struct line *id, const struct line *name)
{
    return refset_add(lsrefs->refs, lsrefs->wanted, name->text, name->length, id->text,
                      id->length) ||
           fail(lsrefs, ERROR_LIMIT, "the server has more than %d of the refs that are asked for",
                REFSET_MAX_REFS);
}

static bool take_object_format(struct lsrefs *lsrefs, const struct line *capability)
{
    struct line format = *capability;
    if (lsrefs->has_format) {
        return true;
    }
    lsrefs->has_format = true;
    take_part(&format, '=');
    size_t digits = is_word(&format, "sha1")     ? SHA1_DIGITS
                    : is_word(&format, "sha256") ? SHA256_DIGITS
                                                 : 0;
    if (digits == 0) {
        g_autofree char *name = shown(format.text, format.length);
        lsrefs->for_git = true;
        return fail(lsrefs, ERROR_INVALID,
                    "the repository's object format is \"%s\"; sha1 and sha256 are known", name);
    }
    if (lsrefs->id_digits > 0 && lsrefs->id_digits != digits) {
        return fail_line(lsrefs, "the object format of the ids before it", capability);
    }
    lsrefs->id_digits = digits;
    return true;
}

/* "<id> <name>[ <attribute>...]" */
static bool take_answer_line(struct lsrefs *lsrefs, struct line line)
{
    const struct line whole = line;
    struct line id = take_part(&line, ' '), name = take_part(&line, ' ');
    if (is_word(&id, "unborn")) {
        lsrefs->understood = true;
        return true;
    }
    if (!is_id(lsrefs, &id) || name.length == 0) {
        return fail_line(lsrefs, "a ref", &whole);
    }
    lsrefs->understood = true;
    while (line.length > 0) {
        struct line attribute = take_part(&line, ' ');
        if (has_prefix(&attribute, "peeled:")) {
            take_part(&attribute, ':');
            id = attribute;
        }
    }
    return is_id(lsrefs, &id) ? add_ref(lsrefs, &id, &name)
                              : fail_line(lsrefs, "a ref with the id that it is peeled to", &whole);
}

/* "<id> <name>[^{}]", with capabilities behind a NUL on the first one */
static bool take_advertised_line(struct lsrefs *lsrefs, struct line line)
{
    const struct line whole = line;
    if (has_prefix(&line, "shallow ")) {
        return true;
    }
    struct line id = take_part(&line, ' '), name = take_part(&line, '\0');
    if (!is_id(lsrefs, &id) || name.length == 0) {
        return fail_line(lsrefs, "a ref", &whole);
    }
    while (line.length > 0) {
        struct line capability = take_part(&line, ' ');
        if (has_prefix(&capability, "object-format=") && !take_object_format(lsrefs, &capability)) {
            return false;
        }
    }
    /* The line of a tag's object stands behind that of the tag itself, and replaces it. */
    size_t suffix = strlen("^{}");
    if (name.length > suffix && memcmp(name.text + name.length - suffix, "^{}", suffix) == 0) {
        name.length -= suffix;
    }
    return add_ref(lsrefs, &id, &name);
}

static bool take_capability(struct lsrefs *lsrefs, const struct line *line)
{
    if (is_word(line, "ls-refs") || has_prefix(line, "ls-refs=")) {
        lsrefs->can_ls_refs = true;
    }
    return !has_prefix(line, "object-format=") || take_object_format(lsrefs, line);
}

static bool take_version(struct lsrefs *lsrefs, const struct line *line)
{
    if (is_word(line, "version 2") && lsrefs->version < 0) {
        lsrefs->version = 2;
        lsrefs->state = STATE_CAPABILITIES;
    } else if (is_word(line, "version 1") && lsrefs->version < 0) {
        lsrefs->version = 1;
    } else {
        g_autofree char *version = shown(line->text, line->length);
        lsrefs->for_git = true;
        return fail(lsrefs, ERROR_INVALID,
                    "the server speaks \"%s\" of git's protocol; 0 to 2 are known", version);
    }
    return true;
}

static bool take_first_line(struct lsrefs *lsrefs, const struct line *line)
{
    if (has_prefix(line, "# service=")) {
        if (lsrefs->form != LSREFS_ADVERTISEMENT || !is_word(line, "# service=git-upload-pack")) {
            return fail_line(lsrefs, "an advertisement of git-upload-pack", line);
        }
        lsrefs->state = STATE_SERVICE;
        return true;
    }
    if (has_prefix(line, "version ")) {
        return take_version(lsrefs, line);
    }
    lsrefs->version = MAX(lsrefs->version, 0);
    lsrefs->state = STATE_ADVERTISED;
    return take_advertised_line(lsrefs, *line);
}

/* ------------------------------------------------------------------------------------ packets */

static bool take_line(struct lsrefs *lsrefs, const uint8_t *data, size_t length)
{
    struct line line = {(const char *)data, length};
    if (lsrefs->state == STATE_COMMAND) {
        lsrefs->state = STATE_ANSWER;
    }
    /* A side band in front of each line, as servers with "sideband-all" have it: 1 is the line, 2
     * is for the eyes of people, 3 is a fatal error. An empty line 1 keeps the connection alive. */
    if (length > 0 && data[0] >= 1 && data[0] <= 3) {
        line.text++;
        line.length--;
        if (data[0] == 3) {
            return fail_words(lsrefs, line.text, line.length);
        }
        if (data[0] == 2 || line.length == 0) {
            return true;
        }
    }
    if (has_prefix(&line, "ERR ")) {
        return fail_words(lsrefs, line.text + 4, line.length - 4);
    }
    if (line.length > 0 && line.text[line.length - 1] == '\n') {
        line.length--;
    }
    switch (lsrefs->state) {
    case STATE_START:
        return take_first_line(lsrefs, &line);
    case STATE_CAPABILITIES:
        return take_capability(lsrefs, &line);
    case STATE_ADVERTISED:
        return take_advertised_line(lsrefs, line);
    case STATE_ANSWER:
        return take_answer_line(lsrefs, line);
    case STATE_SERVICE:
    case STATE_COMMAND:
    case STATE_DONE:
        break;
    }
    return fail_line(lsrefs, "a flush packet", &line);
}

static void end_part(struct lsrefs *lsrefs)
{
    switch (lsrefs->state) {
    case STATE_SERVICE:
        lsrefs->state = STATE_START;
        return;
    case STATE_START: /* an empty repository, as some servers say it */
        lsrefs->version = MAX(lsrefs->version, 0);
        break;
    case STATE_CAPABILITIES:
    case STATE_ADVERTISED:
    case STATE_COMMAND:
    case STATE_ANSWER:
    case STATE_DONE:
        break;
    }
    bool answer_follows = lsrefs->state == STATE_CAPABILITIES && lsrefs->form == LSREFS_PIPE;
    if (lsrefs->form != LSREFS_ANSWER && lsrefs->id_digits == 0) {
        lsrefs->id_digits = SHA1_DIGITS;
    }
    lsrefs->state = answer_follows ? STATE_COMMAND : STATE_DONE;
}

static bool fail_broken(struct lsrefs *lsrefs, GError *broken)
{
    if (lsrefs->has_packet) {
        lsrefs->failure = g_error_copy(broken);
        g_prefix_error(&lsrefs->failure, "the server's answer breaks off into something else: ");
        return false;
    }
    g_autofree char *head = shown((const char *)lsrefs->head, lsrefs->head_length);
    return fail(lsrefs, ERROR_INVALID,
                "the server's answer begins with \"%s\": that is not git's protocol", head);
}

static bool feed(struct lsrefs *lsrefs, const uint8_t *bytes, size_t left)
{
    bool good = true;
    while (good && lsrefs->state != STATE_DONE) {
        const uint8_t *data = NULL;
        size_t length = 0;
        g_autoptr(GError) broken = NULL;
        switch (pktline_next(&lsrefs->pktline, &bytes, &left, &data, &length, &broken)) {
        case PKTLINE_MORE:
            return true;
        case PKTLINE_DATA:
            good = take_line(lsrefs, data, length);
            break;
        case PKTLINE_FLUSH:
            end_part(lsrefs);
            break;
        case PKTLINE_DELIMITER:
        case PKTLINE_END:
            good = fail(lsrefs, ERROR_INVALID,
                        "the server's answer has a delimiter packet, which has no place there");
            break;
        case PKTLINE_BROKEN:
            good = fail_broken(lsrefs, broken);
            break;
        }
        lsrefs->has_packet = true;
    }
    return good;
}

/* Dumb HTTP serves the file info/refs, "<id>\t<name>" lines, whose beginning may look like the
 * length of a pkt-line. Neither has so many hexadecimal digits in a row without a sign of what it
 * is. */
static bool is_undecided(const struct lsrefs *lsrefs)
{
    return lsrefs->head_length < HEAD_BYTES &&
           count_hex((const char *)lsrefs->head, lsrefs->head_length) == lsrefs->head_length;
}

static bool is_dumb(const struct lsrefs *lsrefs)
{
    size_t digits = count_hex((const char *)lsrefs->head, lsrefs->head_length);
    return (digits == SHA1_DIGITS || digits == SHA256_DIGITS) && digits < lsrefs->head_length &&
           lsrefs->head[digits] == '\t';
}

static bool take(struct lsrefs *lsrefs, const uint8_t *bytes, size_t length)
{
    size_t held = lsrefs->head_length;
    size_t part = MIN(HEAD_BYTES - held, length);
    if (part > 0) {
        memcpy(lsrefs->head + held, bytes, part);
        lsrefs->head_length += part;
    }
    if (length > LSREFS_MAX_BYTES - lsrefs->total) {
        return fail(lsrefs, ERROR_LIMIT, "the server's answer is longer than %d MiB",
                    LSREFS_MAX_BYTES / (1024 * 1024));
    }
    lsrefs->total += length;
    if (!lsrefs->undecided) {
        return feed(lsrefs, bytes, length);
    }
    if (is_undecided(lsrefs)) {
        return true;
    }
    lsrefs->undecided = false;
    if (is_dumb(lsrefs)) {
        lsrefs->for_git = true;
        return fail(lsrefs, ERROR_INVALID,
                    "the server has plain files of a repository (dumb HTTP) and does not speak "
                    "git's protocol");
    }
    return feed(lsrefs, lsrefs->head, held) && feed(lsrefs, bytes, length);
}

bool lsrefs_take(struct lsrefs *lsrefs, const uint8_t *bytes, size_t length, GError **error)
{
    if (!lsrefs->failure && (lsrefs->state == STATE_DONE || take(lsrefs, bytes, length))) {
        return true;
    }
    g_propagate_error(error, g_error_copy(lsrefs->failure));
    return false;
}

/* -------------------------------------------------------------------------------------- answers */

bool lsrefs_is_done(const struct lsrefs *lsrefs)
{
    return !lsrefs->failure && lsrefs->state == STATE_DONE;
}

int lsrefs_version(const struct lsrefs *lsrefs)
{
    return lsrefs->version;
}

const char *lsrefs_object_format(const struct lsrefs *lsrefs)
{
    return lsrefs->id_digits == SHA1_DIGITS     ? "sha1"
           : lsrefs->id_digits == SHA256_DIGITS ? "sha256"
                                                : "";
}

bool lsrefs_can_ls_refs(const struct lsrefs *lsrefs)
{
    return lsrefs->can_ls_refs;
}

/* A version 2 server told its capabilities, and has said nothing else. */
static bool has_only_capabilities(const struct lsrefs *lsrefs)
{
    return lsrefs->state == STATE_COMMAND ||
           (lsrefs->state == STATE_DONE && lsrefs->form == LSREFS_ADVERTISEMENT &&
            lsrefs->version == 2);
}

static bool check_end(struct lsrefs *lsrefs)
{
    if (lsrefs->undecided && lsrefs->head_length > 0) {
        lsrefs->undecided = false;
        if (!feed(lsrefs, lsrefs->head, lsrefs->head_length)) {
            return false;
        }
    }
    if (has_only_capabilities(lsrefs)) {
        return fail(lsrefs, ERROR_REMOTE,
                    "the server told its capabilities and no refs (version 2, %s)",
                    lsrefs_object_format(lsrefs));
    }
    if (lsrefs->state == STATE_DONE) {
        return true;
    }
    if (lsrefs->total == 0) {
        return fail(lsrefs, ERROR_REMOTE, "the server's answer is empty");
    }
    return fail(lsrefs, ERROR_REMOTE, "the server's answer ends too early");
}

GHashTable *lsrefs_finish(struct lsrefs *lsrefs, GError **error)
{
    g_assert(lsrefs->refs);
    if (!lsrefs->failure && check_end(lsrefs)) {
        return g_steal_pointer(&lsrefs->refs);
    }
    g_propagate_error(error, g_error_copy(lsrefs->failure));
    return NULL;
}

enum lsrefs_next lsrefs_next(const struct lsrefs *lsrefs)
{
    if (lsrefs->for_git) {
        return LSREFS_NEXT_GIT;
    }
    if (has_only_capabilities(lsrefs)) {
        return lsrefs->can_ls_refs ? LSREFS_NEXT_COMMAND : LSREFS_NEXT_GIT;
    }
    if (!lsrefs->failure) {
        return LSREFS_NEXT_NOTHING;
    }
    /* The empty file info/refs of dumb HTTP. */
    if (lsrefs->form == LSREFS_ADVERTISEMENT && lsrefs->total == 0) {
        return LSREFS_NEXT_GIT;
    }
    bool refused = lsrefs->form == LSREFS_ANSWER && !lsrefs->understood &&
                   lsrefs->failure->code != ERROR_LIMIT;
    return refused ? LSREFS_NEXT_ADVERTISEMENT : LSREFS_NEXT_NOTHING;
}

/* ------------------------------------------------------------------------------------- requests */

static void append_line(GByteArray *out, const char *word, const char *value)
{
    g_autofree char *line = g_strconcat(word, value, "\n", NULL);
    pktline_append(out, line, strlen(line));
}

GByteArray *lsrefs_request(const char *const *wanted, const char *object_format)
{
    GByteArray *out = g_byte_array_new();
    g_auto(GStrv) prefixes = refset_prefixes(wanted, LSREFS_MAX_PREFIXES);
    append_line(out, "command=ls-refs", "");
    if (object_format && object_format[0] != '\0' && strcmp(object_format, "sha1") != 0) {
        append_line(out, "object-format=", object_format);
    }
    pktline_append_special(out, PKTLINE_DELIMITER);
    /* Sorted: tags are the last. */
    if (g_str_has_prefix(prefixes[g_strv_length(prefixes) - 1], "refs/tags/")) {
        append_line(out, "peel", "");
    }
    for (char **prefix = prefixes; *prefix; prefix++) {
        append_line(out, "ref-prefix ", *prefix);
    }
    pktline_append_special(out, PKTLINE_FLUSH);
    return out;
}
