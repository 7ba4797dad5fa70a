#include "config/dotenv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mask.h"
#include "base/wipe.h"

struct reader {
    const char *at, *end;
    const char *line_start; /* for columns */
    unsigned line;
    const char *file;
    struct diagnostics *diagnostics;
    bool failed;
    /* the value that is being read: as large as the file, so that it never moves and leaves no copy
     * behind */
    char *scratch;
    size_t scratch_length;
};

static void entry_free(void *data)
{
    struct dotenv_entry *entry = data;
    g_free(entry->key);
    mask_wipe(entry->value);
    g_free(entry);
}

static unsigned column_of(const struct reader *reader, const char *place)
{
    unsigned column = 1;
    for (const char *at = reader->line_start; at < place; at++) {
        column += ((unsigned char)*at & 0xc0) != 0x80;
    }
    return column;
}

static void complain(struct reader *reader, const char *place, const char *message)
{
    reader->failed = true;
    diagnostics_add(reader->diagnostics, reader->file, reader->line, column_of(reader, place), "%s",
                    message);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* The length of the line end at `at`: 0 when there is none, also at the end of the file. */
static size_t line_end_length(const struct reader *reader, const char *at)
{
    if (at < reader->end && *at == '\n') {
        return 1;
    }
    return reader->end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

/* At the end of a line or of the file; a CR that ends the file is half of a line end. */
static bool at_line_end(const struct reader *reader, const char *at)
{
    return at >= reader->end || line_end_length(reader, at) > 0 ||
           (*at == '\r' && at + 1 == reader->end);
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at)) {
        reader->at++;
    }
}

/* To the beginning of the next line. */
static void skip_line(struct reader *reader)
{
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    reader->at = newline ? newline + 1 : reader->end;
    reader->line_start = reader->at;
    reader->line++;
}

static bool is_key_byte(char byte, bool first)
{
    return g_ascii_isalpha(byte) || byte == '_' ||
           (!first && (g_ascii_isdigit(byte) || byte == '.' || byte == '-'));
}

/* The end of the key that begins here. */
static const char *scan_key(const struct reader *reader)
{
    const char *at = reader->at;
    while (at < reader->end && is_key_byte(*at, at == reader->at)) {
        at++;
    }
    return at;
}

static void skip_export(struct reader *reader)
{
    const char *end = scan_key(reader);
    if (end - reader->at == (ptrdiff_t)strlen("export") && memcmp(reader->at, "export", 6) == 0 &&
        end < reader->end && is_blank(*end)) {
        const char *word = reader->at;
        reader->at = end;
        skip_blanks(reader);
        if (reader->at < reader->end && *reader->at == '=') {
            reader->at = word; /* a key of this name */
        }
    }
}

static void put(struct reader *reader, char byte)
{
    reader->scratch[reader->scratch_length++] = byte;
}

static void read_unquoted(struct reader *reader)
{
    for (; !at_line_end(reader, reader->at); reader->at++) {
        if (*reader->at == '#' && is_blank(reader->at[-1])) {
            break;
        }
        put(reader, *reader->at);
    }
    while (reader->scratch_length > 0 && is_blank(reader->scratch[reader->scratch_length - 1])) {
        reader->scratch_length--;
    }
}

/* What stands for a backslash and the byte after it between double quotes; '\0' = both stay. */
static char read_escape(char byte)
{
    switch (byte) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '\\':
    case '"':
    case '$':
        return byte;
    default:
        return '\0';
    }
}

/* From the opening quote to behind the closing one. */
static bool read_quoted(struct reader *reader)
{
    char quote = *reader->at++;
    while (reader->at < reader->end && *reader->at != quote) {
        size_t line_end = line_end_length(reader, reader->at);
        char escaped = '\0';
        if (line_end > 0) {
            put(reader, '\n');
            reader->at += line_end;
            reader->line++;
            reader->line_start = reader->at;
            continue;
        }
        if (quote == '"' && *reader->at == '\\' && reader->end - reader->at >= 2) {
            escaped = read_escape(reader->at[1]);
        }
        put(reader, escaped ? escaped : *reader->at);
        reader->at += escaped ? 2 : 1;
    }
    if (reader->at == reader->end) {
        return false;
    }
    reader->at++;
    return true;
}

static bool read_value(struct reader *reader, struct dotenv_entry *entry)
{
    const char *start = reader->at;
    reader->scratch_length = 0;
    if (reader->at == reader->end || (*reader->at != '"' && *reader->at != '\'')) {
        read_unquoted(reader);
    } else {
        struct reader opening = *reader;
        if (!read_quoted(reader)) {
            /* Told where the quote was opened: where it should have been closed, nobody knows. */
            complain(&opening, start,
                     *start == '"' ? "the quote that opens here is never closed; expected another "
                                     "\" at the end of the value"
                                   : "the quote that opens here is never closed; expected another "
                                     "' at the end of the value");
            reader->failed = true;
            return false;
        }
        skip_blanks(reader);
        if (!at_line_end(reader, reader->at) && *reader->at != '#') {
            complain(reader, reader->at,
                     "unexpected text after the closing quote; expected the end of the line or a "
                     "comment");
            return false;
        }
    }
    entry->value = g_strndup(reader->scratch, reader->scratch_length);
    return true;
}

/* The line at reader->at, which holds more than blanks and a comment. */
static void read_entry(struct reader *reader, GPtrArray *entries)
{
    skip_export(reader);
    const char *key = reader->at;
    const char *key_end = scan_key(reader);
    if (key_end == key) {
        complain(reader, key, "expected a key: a letter or \"_\", as in KEY=value");
        return;
    }
    reader->at = key_end;
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != '=') {
        complain(reader, reader->at, "expected \"=\" after the key, as in KEY=value");
        return;
    }
    reader->at++;
    struct dotenv_entry *entry = g_new0(struct dotenv_entry, 1);
    entry->line = reader->line;
    entry->key = g_strndup(key, (size_t)(key_end - key));
    entry->key_column = column_of(reader, key);
    skip_blanks(reader);
    entry->value_column = column_of(reader, reader->at);
    if (read_value(reader, entry)) {
        g_ptr_array_add(entries, entry);
    } else {
        entry_free(entry);
    }
}

/* A NUL would end a value early, in silence. */
static bool check_nul(struct reader *reader)
{
    const char *nul = memchr(reader->at, '\0', (size_t)(reader->end - reader->at));
    if (!nul) {
        return true;
    }
    for (const char *at = reader->at; at < nul; at++) {
        if (*at == '\n') {
            reader->line++;
            reader->line_start = at + 1;
        }
    }
    complain(reader, nul, "a NUL character does not belong in a text file");
    return false;
}

GPtrArray *dotenv_parse(const char *bytes, size_t length, const char *file,
                        struct diagnostics *diagnostics)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (length > DOTENV_MAX_BYTES) {
        diagnostics_add(diagnostics, file, 0, 0, "is larger than %d bytes", DOTENV_MAX_BYTES);
        return NULL;
    }
    bool marked = length >= 3 && memcmp(bytes, byte_order_mark, 3) == 0;
    struct reader reader = {.at = bytes + (marked ? 3 : 0),
                            .end = bytes + length,
                            .line_start = bytes + (marked ? 3 : 0),
                            .line = 1,
                            .file = file,
                            .diagnostics = diagnostics,
                            .scratch = g_malloc(length + 1)};
    GPtrArray *entries = g_ptr_array_new_with_free_func(entry_free);
    if (check_nul(&reader)) {
        while (reader.at < reader.end) {
            skip_blanks(&reader);
            if (!at_line_end(&reader, reader.at) && *reader.at != '#') {
                read_entry(&reader, entries);
            }
            skip_line(&reader);
        }
    }
    wipe_bytes(reader.scratch, length + 1);
    g_free(reader.scratch);
    if (reader.failed) {
        g_ptr_array_unref(entries);
        return NULL;
    }
    return entries;
}

/* As for the other configuration files, and nobody else may read it. */
static bool check_owner_and_mode(const char *path, const struct stat *status,
                                 enum dotenv_access access, struct diagnostics *diagnostics)
{
    g_autofree char *quoted = g_shell_quote(path);
    mode_t forbidden = access == DOTENV_PRIVATE ? 0077 : 0037;
    if (status->st_uid != geteuid() && status->st_uid != 0) {
        diagnostics_add(
            diagnostics, path, 0, 0,
            "belongs to user %u, neither to the user who runs this (%u) nor to root; mend it with: "
            "chown %u %s",
            (unsigned)status->st_uid, (unsigned)geteuid(), (unsigned)geteuid(), quoted);
        return false;
    }
    if (status->st_mode & forbidden) {
        diagnostics_add(diagnostics, path, 0, 0,
                        "holds secrets and may be %s by others (mode %03o); mend it with: chmod "
                        "600 %s",
                        status->st_mode & forbidden & 0044 ? "read" : "written or run",
                        (unsigned)(status->st_mode & 0777), quoted);
        return false;
    }
    return true;
}

/* At most `size` bytes into a buffer that does not move. */
static bool read_all(int fd, char *buffer, size_t size, size_t *length)
{
    ssize_t count;
    *length = 0;
    while (*length < size && (count = fd_read(fd, buffer + *length, size - *length)) != 0) {
        if (count < 0) {
            return false;
        }
        *length += (size_t)count;
    }
    return true;
}

GPtrArray *dotenv_load(const char *path, enum dotenv_access access, bool *absent,
                       struct diagnostics *diagnostics)
{
    struct stat status;
    if (absent) {
        *absent = false;
    }
    /* A link that leads nowhere is a mistake, not an absent file. */
    if (lstat(path, &status) < 0 && errno == ENOENT) {
        if (absent) {
            *absent = true;
        }
        return NULL;
    }
    /* O_NONBLOCK: opening a FIFO that nobody writes would wait for ever. */
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        diagnostics_add(diagnostics, path, 0, 0, "cannot be read: %s", g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        diagnostics_add(diagnostics, path, 0, 0, "is not a regular file");
        return NULL;
    }
    if (!check_owner_and_mode(path, &status, access, diagnostics)) {
        return NULL;
    }
    size_t size = DOTENV_MAX_BYTES + 1, length = 0;
    char *bytes = g_malloc(size);
    GPtrArray *entries = NULL;
    if (read_all(fd, bytes, size, &length)) {
        entries = dotenv_parse(bytes, length, path, diagnostics);
    } else {
        diagnostics_add(diagnostics, path, 0, 0, "cannot be read: %s", g_strerror(errno));
    }
    wipe_bytes(bytes, size);
    g_free(bytes);
    return entries;
}
