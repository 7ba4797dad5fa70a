/* Answers that were recorded (the seeds of the fuzzer, tests/fuzz/corpus/fuzz_lsrefs: the first
 * byte is their form), and answers that no server should give. */
#include "lsrefs_fixture.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#define ONE        "4db6180db57337295bd9ca09bb69e2ff6fb584a5"
#define TWO        "92e4db7e140d97fbf9460f6fad956da9eebe6834"
#define ONE_SHA256 "665a0ce4e764c603a5f62b3dbb41b26b5bb9eebc0c1900eeea285e6edecb50ac"
#define TWO_SHA256 "e73ec859c937be921171347f021326f7d0527090ded3ac85426f77a3ef79cbbd"
#define ZEROS      "0000000000000000000000000000000000000000"

/* Tags are annotated, once and twice, but for the light one. */
#define REFS(one, two)                                                                             \
    "refs/heads/dev " one "\nrefs/heads/main " two "\nrefs/tags/light " two                        \
    "\nrefs/tags/nested " one "\nrefs/tags/v1 " one "\n"

struct recorded {
    const char *name;
    int version;
    const char *format;
    enum lsrefs_next next;
    const char *refs;  /* or NULL */
    const char *error; /* or NULL */
};

static const struct recorded recorded[] = {
    {"pipe-v0-sha1", 0, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"pipe-v1-sha1", 1, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"pipe-v2-sha1", 2, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"pipe-v0-sha256", 0, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"pipe-v1-sha256", 1, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"pipe-v2-sha256", 2, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"pipe-v0-empty", 0, "sha1", LSREFS_NEXT_NOTHING, "", NULL},
    {"pipe-v1-empty", 1, "sha1", LSREFS_NEXT_NOTHING, "", NULL},
    {"pipe-v2-empty", 2, "sha1", LSREFS_NEXT_NOTHING, "", NULL},
    {"pipe-v0-shallow", 0, "sha1", LSREFS_NEXT_NOTHING,
     "refs/heads/main " TWO "\nrefs/tags/light " TWO "\n", NULL},
    {"pipe-v2-unasked", 2, "sha1", LSREFS_NEXT_COMMAND, NULL, "capabilities and no refs"},
    {"pipe-v2-other-format", 2, "sha256", LSREFS_NEXT_COMMAND, NULL, "(version 2, sha256)"},
    {"pipe-error-of-git-daemon", -1, "", LSREFS_NEXT_NOTHING, NULL,
     "the server says: no such repository: /nothing"},
    {"pipe-banner", -1, "", LSREFS_NEXT_NOTHING, NULL, "begins with \"Welc"},
    {"advertised-v0-sha1", 0, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"advertised-v1-sha1", 1, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"advertised-v2-sha1", 2, "sha1", LSREFS_NEXT_COMMAND, NULL, "capabilities and no refs"},
    {"advertised-v0-sha256", 0, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"advertised-v1-sha256", 1, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"advertised-v2-sha256", 2, "sha256", LSREFS_NEXT_COMMAND, NULL, "(version 2, sha256)"},
    {"advertised-v0-empty", 0, "sha1", LSREFS_NEXT_NOTHING, "", NULL},
    {"advertised-v1-empty", 1, "sha1", LSREFS_NEXT_NOTHING, "", NULL},
    {"advertised-v2-empty", 2, "sha1", LSREFS_NEXT_COMMAND, NULL, "capabilities and no refs"},
    {"advertised-dumb-sha1", -1, "", LSREFS_NEXT_GIT, NULL, "dumb HTTP"},
    {"advertised-dumb-sha256", -1, "", LSREFS_NEXT_GIT, NULL, "dumb HTTP"},
    {"advertised-html", -1, "", LSREFS_NEXT_NOTHING, NULL, "begins with \"<!DO"},
    {"answer-v2-sha1", 2, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
    {"answer-v2-sha256", 2, "sha256", LSREFS_NEXT_NOTHING, REFS(ONE_SHA256, TWO_SHA256), NULL},
    {"answer-v2-empty", 2, "", LSREFS_NEXT_NOTHING, "", NULL},
    {"answer-v2-unborn", 2, "", LSREFS_NEXT_NOTHING, "", NULL},
    {"answer-v2-everything", 2, "sha1", LSREFS_NEXT_NOTHING, REFS(ONE, TWO), NULL},
};

static enum lsrefs_form form_of(char letter)
{
    g_assert_true(letter == 'A' || letter == 'V' || letter == 'P');
    return letter == 'A' ? LSREFS_ANSWER : letter == 'V' ? LSREFS_ADVERTISEMENT : LSREFS_PIPE;
}

static char *load(const char *name, size_t *length)
{
    g_autofree char *path = g_build_filename(g_getenv("PHANTOM_CI_SOURCE_DIR"),
                                             "tests/fuzz/corpus/fuzz_lsrefs", name, NULL);
    char *bytes = NULL;
    GError *error = NULL;
    g_file_get_contents(path, &bytes, length, &error);
    g_assert_no_error(error);
    return bytes;
}

static void check_reading(const char *name, const struct reading *reading,
                          const struct recorded *expected)
{
    if (expected->error ? !reading->error || !strstr(reading->error->message, expected->error)
                        : reading->error != NULL) {
        g_error("%s: %s instead of %s", name, reading->error ? reading->error->message : "no error",
                expected->error);
    }
    if (g_strcmp0(reading->refs, expected->refs) != 0) {
        g_error("%s: refs %s instead of %s", name, reading->refs, expected->refs);
    }
    if (reading->next != expected->next || reading->version != expected->version ||
        strcmp(reading->format, expected->format) != 0) {
        g_error("%s: next %d, version %d, format %s", name, reading->next, reading->version,
                reading->format);
    }
}

static void take__recorded_answers_in_pieces_of_every_size__give_their_refs(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(recorded); i++) {
        size_t length = 0;
        g_autofree char *bytes = load(recorded[i].name, &length);
        for (size_t piece = 1; piece <= length; piece++) {
            struct reading reading;
            read_in_pieces(&reading, form_of(bytes[0]), bytes + 1, length - 1, piece, all_refs);
            check_reading(recorded[i].name, &reading, &recorded[i]);
            reading_clear(&reading);
        }
    }
}

/* None of them may pass for an answer, least of all for one with fewer refs. */
static void take__recorded_answers_cut_at_every_byte__are_none(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(recorded); i++) {
        size_t length = 0;
        g_autofree char *bytes = load(recorded[i].name, &length);
        for (size_t cut = 0; cut < length - 1; cut++) {
            struct reading reading;
            read_in_pieces(&reading, form_of(bytes[0]), bytes + 1, cut, 50, all_refs);
            g_assert_null(reading.refs);
            g_assert_false(reading.done);
            g_assert_cmpuint(strlen(reading.error->message), >, 0);
            reading_clear(&reading);
        }
    }
}

static void take__recorded_answers__keep_only_what_is_wanted(void)
{
    static const char *const wanted[] = {"refs/heads/main", "refs/tags/v*", NULL};
    static const char *const names[] = {"pipe-v0-sha1", "pipe-v2-sha1", "advertised-v1-sha1",
                                        "answer-v2-everything"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct reading reading;
        size_t length = 0;
        g_autofree char *bytes = load(names[i], &length);
        read_in_pieces(&reading, form_of(bytes[0]), bytes + 1, length - 1, length, wanted);
        g_assert_cmpstr(reading.refs, ==, "refs/heads/main " TWO "\nrefs/tags/v1 " ONE "\n");
        reading_clear(&reading);
    }
}

static void take__bytes_behind_the_end__are_not_looked_at(void)
{
    g_autoptr(lsrefs) parser = lsrefs_new(LSREFS_ANSWER, all_refs);
    GError *error = NULL;
    g_assert_true(lsrefs_take(parser, (const uint8_t *)"0000no pkt-line", 15, &error));
    g_assert_no_error(error);
    g_assert_true(lsrefs_is_done(parser));
    g_assert_true(lsrefs_take(parser, (const uint8_t *)"neither", 7, &error));
    g_autoptr(GHashTable) refs = lsrefs_finish(parser, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_hash_table_size(refs), ==, 0);
}

/* -------------------------------------------------------------------------- answers made by hand
 */

/* Lines between '|', each a packet with a newline at its end; special packets by their digits; '@'
 * is a NUL. */
static GByteArray *conversation(const char *text)
{
    GByteArray *out = g_byte_array_new();
    g_auto(GStrv) parts = g_strsplit(text, "|", -1);
    for (char **part = parts; *part; part++) {
        if (strlen(*part) == 4 && g_str_has_prefix(*part, "000")) {
            g_byte_array_append(out, (const guint8 *)*part, 4);
            continue;
        }
        g_autofree char *line = g_strconcat(*part, "\n", NULL);
        size_t length = strlen(line);
        for (char *at = line; *at; at++) {
            *at = *at == '@' ? '\0' : *at;
        }
        pktline_append(out, line, length);
    }
    return out;
}

struct made {
    char form;
    const char *lines;
    int version;
    const char *refs; /* or NULL */
    int code;
    const char *error;
    enum lsrefs_next next;
};

static void check_made(const struct made *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        g_autoptr(GByteArray) bytes = conversation(cases[i].lines);
        static const size_t pieces[] = {1, 5, 100000};
        for (unsigned j = 0; j < G_N_ELEMENTS(pieces); j++) {
            struct reading reading;
            read_in_pieces(&reading, form_of(cases[i].form), (const char *)bytes->data, bytes->len,
                           pieces[j], all_refs);
            if (g_strcmp0(reading.refs, cases[i].refs) != 0 || reading.next != cases[i].next ||
                reading.version != cases[i].version ||
                (reading.error && (reading.error->code != cases[i].code ||
                                   !strstr(reading.error->message, cases[i].error)))) {
                g_error("%s: refs %s, next %d, version %d: %s", cases[i].lines, reading.refs,
                        reading.next, reading.version,
                        reading.error ? reading.error->message : "no error");
            }
            reading_clear(&reading);
        }
    }
}

static void take__unusual_answers__are_understood(void)
{
    static const struct made cases[] = {
        /* other servers than git: no capabilities, capabilities^{} of an empty repository, no
         * newlines' worth of order, several object formats */
        {'P', ONE " refs/heads/main|0000", 0, "refs/heads/main " ONE "\n", 0, NULL, 0},
        {'P', ZEROS " capabilities^{}@side-band object-format=sha1|0000", 0, "", 0, NULL, 0},
        {'V', "# service=git-upload-pack|0000|" ZEROS " capabilities^{}@|0000", 0, "", 0, NULL, 0},
        {'P', ONE " HEAD@object-format=sha1 object-format=sha256|" TWO " refs/heads/a|0000", 0,
         "refs/heads/a " TWO "\n", 0, NULL, 0},
        {'P', ONE " refs/heads/a@x|" TWO " refs/heads/b@late|0000", 0,
         "refs/heads/a " ONE "\nrefs/heads/b " TWO "\n", 0, NULL, 0},
        {'P', ONE " .have|" TWO " refs/heads/b|0000", 0, "refs/heads/b " TWO "\n", 0, NULL, 0},
        {'V', "version 2|ls-refs|0000", 2, NULL, ERROR_REMOTE, "(version 2, sha1)",
         LSREFS_NEXT_COMMAND},
        {'V', "# service=git-upload-pack|0000|version 2|ls-refs=unborn|0000", 2, NULL, ERROR_REMOTE,
         "(version 2, sha1)", LSREFS_NEXT_COMMAND},
        /* version 2's attributes in any number and order */
        {'A', ONE " refs/tags/a x peeled:" TWO " y=z|0000", 2, "refs/tags/a " TWO "\n", 0, NULL, 0},
        {'A', "unborn HEAD symref-target:refs/heads/main|" ONE " refs/heads/a|0000", 2,
         "refs/heads/a " ONE "\n", 0, NULL, 0},
        /* noise on the side band, keepalives, lines on band 1 */
        {'A', "\2remote: hello|" ONE " refs/heads/a|\2bye|0000", 2, "refs/heads/a " ONE "\n", 0,
         NULL, 0},
        {'A', "\1" ONE " refs/heads/a|0000", 2, "refs/heads/a " ONE "\n", 0, NULL, 0},
        {'P', "\2hello|version 2|\2more|ls-refs|0000|\2noise|" ONE " refs/heads/a|0000", 2,
         "refs/heads/a " ONE "\n", 0, NULL, 0},
        /* names that are not kept do no harm */
        {'A',
         ONE " refs/heads/a..b|" ONE " refs/heads/\x1b[31m|" ONE " refs/heads/@x|" ONE
             " refs/heads/\xff|" ONE " refs/heads/b|0000",
         2, "refs/heads/b " ONE "\n", 0, NULL, 0},
        {'P', ZEROS " refs/heads/a|" ONE " refs/heads/b|0000", 0, "refs/heads/b " ONE "\n", 0, NULL,
         0},
    };
    check_made(cases, G_N_ELEMENTS(cases));
}

static void take__bad_answers__are_refused_with_the_reason(void)
{
    static const struct made cases[] = {
        {'P', "ERR access denied\x1b[31m", -1, NULL, ERROR_REMOTE,
         "the server says: access denied\\x1b[31m", 0},
        {'P', "version 2|ls-refs|0000|ERR not now", 2, NULL, ERROR_REMOTE,
         "the server says: not now", 0},
        {'P', ONE " refs/heads/a|ERR gone", 0, NULL, ERROR_REMOTE, "says: gone", 0},
        {'V', "# service=git-upload-pack|0000|ERR no", -1, NULL, ERROR_REMOTE, "says: no", 0},
        {'A', "ERR unknown capability", 2, NULL, ERROR_REMOTE, "says: unknown capability",
         LSREFS_NEXT_ADVERTISEMENT},
        {'A', "ERR ", 2, NULL, ERROR_REMOTE, "says: (nothing)", LSREFS_NEXT_ADVERTISEMENT},
        {'A', ONE " refs/heads/a|ERR late", 2, NULL, ERROR_REMOTE, "says: late", 0},
        {'A', "\3fatal: broken", 2, NULL, ERROR_REMOTE, "the server says: fatal: broken",
         LSREFS_NEXT_ADVERTISEMENT},
        {'V', "# service=git-receive-pack|0000", -1, NULL, ERROR_INVALID,
         "\"# service=git-receive-pack\" where an advertisement of git-upload-pack", 0},
        {'V', "# service=git-upload-pack|version 2", -1, NULL, ERROR_INVALID,
         "\"version 2\" where a flush packet", 0},
        {'P', "# service=git-upload-pack|0000", -1, NULL, ERROR_INVALID, "# service", 0},
        {'P', "version 3", -1, NULL, ERROR_INVALID, "speaks \"version 3\"", LSREFS_NEXT_GIT},
        {'P', "version 1|version 1", 1, NULL, ERROR_INVALID, "speaks \"version 1\"",
         LSREFS_NEXT_GIT},
        {'P', "version 2|fetch|0000", 2, NULL, ERROR_REMOTE, "no refs", LSREFS_NEXT_GIT},
        {'P', "version 2|object-format=sha3|0000", 2, NULL, ERROR_INVALID,
         "object format is \"sha3\"", LSREFS_NEXT_GIT},
        {'P', ONE " HEAD@object-format=blake|0000", 0, NULL, ERROR_INVALID,
         "object format is \"blake\"", LSREFS_NEXT_GIT},
        {'P', ONE " HEAD@object-format=sha256|0000", 0, NULL, ERROR_INVALID,
         "\"object-format=sha256\" where the object format", 0},
        {'P', "version 2|ls-refs|object-format=sha256|0000|" ONE " refs/heads/a|0000", 2, NULL,
         ERROR_INVALID, "where a ref is expected", 0},
        {'A', ONE " refs/heads/a|" ONE_SHA256 " refs/heads/b|0000", 2, NULL, ERROR_INVALID,
         "where a ref is expected", 0},
        {'A', ONE " refs/tags/a peeled:" ONE_SHA256 "|0000", 2, NULL, ERROR_INVALID, "peeled to",
         0},
        {'A', ONE " refs/tags/a peeled:|0000", 2, NULL, ERROR_INVALID, "peeled to", 0},
        {'A', ONE "|0000", 2, NULL, ERROR_INVALID, "where a ref", LSREFS_NEXT_ADVERTISEMENT},
        {'A', ONE " |0000", 2, NULL, ERROR_INVALID, "where a ref", LSREFS_NEXT_ADVERTISEMENT},
        {'A', " refs/heads/a|0000", 2, NULL, ERROR_INVALID, "where a ref",
         LSREFS_NEXT_ADVERTISEMENT},
        {'A', "|0000", 2, NULL, ERROR_INVALID, "\"\" where a ref", LSREFS_NEXT_ADVERTISEMENT},
        {'A', "4DB6180DB57337295BD9CA09BB69E2FF6FB584A5 refs/heads/a|0000", 2, NULL, ERROR_INVALID,
         "where a ref", LSREFS_NEXT_ADVERTISEMENT},
        {'A', ONE "\trefs/heads/a|0000", 2, NULL, ERROR_INVALID, "where a ref",
         LSREFS_NEXT_ADVERTISEMENT},
        {'A', "0001", 2, NULL, ERROR_INVALID, "delimiter packet", LSREFS_NEXT_ADVERTISEMENT},
        {'A', ONE " refs/heads/a|0002", 2, NULL, ERROR_INVALID, "delimiter packet", 0},
        {'P', ONE "@HEAD|0000", 0, NULL, ERROR_INVALID, "where a ref is expected", 0},
    };
    check_made(cases, G_N_ELEMENTS(cases));
}

static void take__raw_bytes_that_are_no_packets__are_refused_with_the_reason(void)
{
    static const struct {
        char form;
        const char *bytes, *error;
        enum lsrefs_next next;
    } cases[] = {
        {'A', "", "the server's answer is empty", LSREFS_NEXT_ADVERTISEMENT},
        {'V', "", "the server's answer is empty", LSREFS_NEXT_GIT},
        {'P', "", "the server's answer is empty", LSREFS_NEXT_NOTHING},
        {'A', "<html>", "begins with \"<htm", LSREFS_NEXT_ADVERTISEMENT},
        {'A', "fff1", "begins with \"fff1\"", LSREFS_NEXT_ADVERTISEMENT},
        {'V', "ffff" ONE, "begins with", LSREFS_NEXT_NOTHING},
        {'P', "0003", "begins with \"0003\"", LSREFS_NEXT_NOTHING},
        {'P', "000eversion 2\nwhat?", "breaks off into something else: \"what\" stands where",
         LSREFS_NEXT_NOTHING},
        {'A', "0", "ends too early", LSREFS_NEXT_ADVERTISEMENT},
        {'V', "00", "ends too early", LSREFS_NEXT_NOTHING},
        /* git's own ids may begin like the length of a pkt-line, also of a short one */
        {'V', "001c180db57337295bd9ca09bb69e2ff6fb584a5\trefs/heads/a\n", "dumb HTTP",
         LSREFS_NEXT_GIT},
        {'V', "0000180db57337295bd9ca09bb69e2ff6fb584a5\trefs/heads/a\n", "dumb HTTP",
         LSREFS_NEXT_GIT},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t piece = 1; piece < 80; piece += 13) {
            struct reading reading;
            read_in_pieces(&reading, form_of(cases[i].form), cases[i].bytes, strlen(cases[i].bytes),
                           piece, all_refs);
            g_assert_null(reading.refs);
            if (!strstr(reading.error->message, cases[i].error) || reading.next != cases[i].next) {
                g_error("\"%s\": next %d: %s", cases[i].bytes, reading.next,
                        reading.error->message);
            }
            reading_clear(&reading);
        }
    }
}

static void take__noise_before_the_answer__is_shown(void)
{
    struct reading reading;
    size_t length = 0;
    g_autofree char *bytes = load("pipe-banner", &length);
    read_in_pieces(&reading, LSREFS_PIPE, bytes + 1, length - 1, length, all_refs);
    g_assert_cmpstr(
        reading.error->message, ==,
        "the server's answer begins with \"Welcome to host, authorized use only!\\x0a\": that is "
        "not git's protocol");
    reading_clear(&reading);
}

static void take__endless_complaint__is_cut_between_characters(void)
{
    g_autoptr(GString) words = g_string_new("ERR x");
    while (words->len < 60000) {
        g_string_append(words, "\xc3\xa4");
    }
    g_autoptr(GByteArray) bytes = conversation(words->str);
    struct reading reading;
    read_in_pieces(&reading, LSREFS_PIPE, (const char *)bytes->data, bytes->len, 1000, all_refs);
    g_assert_cmpuint(strlen(reading.error->message), <, 400);
    g_assert_true(g_str_has_suffix(reading.error->message, "\xc3\xa4..."));
    g_assert_null(strchr(reading.error->message, '\\'));
    reading_clear(&reading);
}

/* --------------------------------------------------------------------------------------- limits */

/* Refs of version 0, or of version 2's answer, from number `from` on. */
static GByteArray *many_refs(const char *stem, unsigned from, unsigned count)
{
    GByteArray *out = g_byte_array_new();
    char line[128];
    for (unsigned i = 0; i < count; i++) {
        int length =
            g_snprintf(line, sizeof(line), "%040x refs/heads/%s%u\n", i + 1, stem, from + i);
        pktline_append(out, line, (size_t)length);
    }
    return out;
}

static size_t allocated(void)
{
#ifdef __GLIBC__
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static void take__million_refs_of_which_two_are_wanted__stay_out_of_memory(void)
{
    static const char *const wanted[] = {"refs/heads/b7", "refs/heads/b123456*", NULL};
    enum { COUNT = 1000000, AT_ONCE = 1000 };
    g_autoptr(lsrefs) parser = lsrefs_new(LSREFS_PIPE, wanted);
    size_t before = 0, most = 0;
    for (unsigned i = 0; i < COUNT; i += AT_ONCE) {
        g_autoptr(GByteArray) bytes = many_refs("b", i, AT_ONCE);
        g_assert_true(lsrefs_take(parser, bytes->data, bytes->len, NULL));
        size_t now = allocated();
        before = i == 0 ? now : before;
        most = MAX(most, now);
    }
    g_assert_true(lsrefs_take(parser, (const uint8_t *)"0000", 4, NULL));
    g_autoptr(GHashTable) refs = lsrefs_finish(parser, NULL);
    g_assert_cmpuint(g_hash_table_size(refs), ==, 2);
    g_assert_cmpuint(most - before, <, 128 * 1024);
}

static void take__more_refs_than_a_set_holds__is_a_limit(void)
{
    g_autoptr(lsrefs) parser = lsrefs_new(LSREFS_ANSWER, all_refs);
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) most = many_refs("b", 0, REFSET_MAX_REFS);
    g_autoptr(GByteArray) more = many_refs("more", 0, 1);
    g_assert_true(lsrefs_take(parser, most->data, most->len, NULL));
    g_assert_false(lsrefs_take(parser, more->data, more->len, &error));
    g_assert_error(error, GIT_ERROR, ERROR_LIMIT);
    g_assert_nonnull(strstr(error->message, "more than 200000 of the refs"));
    g_assert_cmpint(lsrefs_next(parser), ==, LSREFS_NEXT_NOTHING);
    g_assert_null(lsrefs_finish(parser, NULL));
}

static void take__endless_answer__is_a_limit(void)
{
    static const enum lsrefs_form forms[] = {LSREFS_ANSWER, LSREFS_PIPE};
    g_autofree char *noise = g_strnfill(PKTLINE_MAX_BYTES - 4, '\2');
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    pktline_append(bytes, noise, strlen(noise));
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autoptr(lsrefs) parser = lsrefs_new(forms[i], all_refs);
        g_autoptr(GError) error = NULL;
        size_t taken = 0;
        while (lsrefs_take(parser, bytes->data, bytes->len, &error)) {
            taken += bytes->len;
            g_assert_cmpuint(taken, <=, LSREFS_MAX_BYTES);
        }
        g_assert_error(error, GIT_ERROR, ERROR_LIMIT);
        g_assert_nonnull(strstr(error->message, "longer than 256 MiB"));
        g_assert_cmpuint(taken + bytes->len, >, LSREFS_MAX_BYTES);
        g_assert_cmpint(lsrefs_next(parser), ==, LSREFS_NEXT_NOTHING);
    }
}

/* ------------------------------------------------------------------------------------- requests */

static char *request_text(const char *const *wanted, const char *format)
{
    g_autoptr(GByteArray) request = lsrefs_request(wanted, format);
    return g_strndup((const char *)request->data, request->len);
}

static void request__wanted__is_the_command_with_its_prefixes(void)
{
    static const char *const branch[] = {"refs/heads/main", NULL};
    static const char *const both[] = {"refs/tags/v*", "refs/heads/main", "refs/heads/ma?n", NULL};
    static const char start[] = "0014command=ls-refs\n";
    static const char *const formats[] = {NULL, "", "sha1"};
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *text = request_text(branch, formats[i]);
        g_assert_true(g_str_has_prefix(text, start));
        g_assert_cmpstr(text + strlen(start), ==, "0001001fref-prefix refs/heads/main\n0000");
    }
    g_autofree char *text = request_text(both, "sha256");
    g_assert_cmpstr(text, ==,
                    "0014command=ls-refs\n0019object-format=sha256\n00010009peel\n"
                    "001dref-prefix refs/heads/ma\n001bref-prefix refs/tags/v\n0000");
}

static void request__too_many_branches__asks_for_all_of_them(void)
{
    g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i <= LSREFS_MAX_PREFIXES; i++) {
        g_ptr_array_add(wanted, g_strdup_printf("refs/heads/%03u", i));
    }
    g_ptr_array_add(wanted, NULL);
    g_autofree char *text = request_text((const char *const *)wanted->pdata, NULL);
    g_assert_cmpstr(text, ==, "0014command=ls-refs\n0001001bref-prefix refs/heads/\n0000");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git_lsrefs/" #name, name)
    ADD(take__recorded_answers_in_pieces_of_every_size__give_their_refs);
    ADD(take__recorded_answers_cut_at_every_byte__are_none);
    ADD(take__recorded_answers__keep_only_what_is_wanted);
    ADD(take__bytes_behind_the_end__are_not_looked_at);
    ADD(take__unusual_answers__are_understood);
    ADD(take__bad_answers__are_refused_with_the_reason);
    ADD(take__raw_bytes_that_are_no_packets__are_refused_with_the_reason);
    ADD(take__noise_before_the_answer__is_shown);
    ADD(take__endless_complaint__is_cut_between_characters);
    ADD(take__million_refs_of_which_two_are_wanted__stay_out_of_memory);
    ADD(take__more_refs_than_a_set_holds__is_a_limit);
    ADD(take__endless_answer__is_a_limit);
    ADD(request__wanted__is_the_command_with_its_prefixes);
    ADD(request__too_many_branches__asks_for_all_of_them);
#undef ADD
    return g_test_run();
}
