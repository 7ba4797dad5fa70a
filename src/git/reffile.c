#include "git/reffile.h"

#include <string.h>

#include "base/error.h"
#include "git/url.h"

/* To git no other character is a blank. */
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies `id_length` digits in lower case; false when they are not all digits. */
static bool copy_id(const char *bytes, size_t id_length, char *id)
{
    for (size_t i = 0; i < id_length; i++) {
        if (!g_ascii_isxdigit(bytes[i])) {
            return false;
        }
        id[i] = g_ascii_tolower(bytes[i]);
    }
    return true;
}

/* refs/bisect, refs/rewritten and refs/worktree are each worktree's own. */
static bool is_shared_ref(const char *name)
{
    return g_str_has_prefix(name, "refs/") && !g_str_has_prefix(name, "refs/bisect/") &&
           !g_str_has_prefix(name, "refs/rewritten/") &&
           !g_str_has_prefix(name, "refs/worktree/") &&
           url_remote_branch_is_valid(name + strlen("refs/"), NULL);
}

static enum reffile_kind parse_symbolic(const char *bytes, size_t length,
                                        char value[REFSET_MAX_NAME + 1])
{
    while (length > 0 && is_space(*bytes)) {
        bytes++;
        length--;
    }
    if (length == 0 || length > REFSET_MAX_NAME) {
        return REFFILE_BROKEN;
    }
    memcpy(value, bytes, length);
    value[length] = '\0';
    return is_shared_ref(value) ? REFFILE_SYMBOLIC : REFFILE_BROKEN;
}

enum reffile_kind reffile_parse_loose(const char *bytes, size_t length, size_t id_length,
                                      char value[REFSET_MAX_NAME + 1])
{
    static const char symbolic[] = "ref:";
    value[0] = '\0';
    if (memchr(bytes, '\0', length)) {
        return REFFILE_BROKEN;
    }
    while (length > 0 && is_space(bytes[length - 1])) {
        length--;
    }
    if (length >= strlen(symbolic) && memcmp(bytes, symbolic, strlen(symbolic)) == 0) {
        return parse_symbolic(bytes + strlen(symbolic), length - strlen(symbolic), value);
    }
    /* As in FETCH_HEAD, more may follow behind a blank. */
    if (length < id_length || (length > id_length && !is_space(bytes[id_length])) ||
        !copy_id(bytes, id_length, value)) {
        return REFFILE_BROKEN;
    }
    value[id_length] = '\0';
    return REFFILE_ID;
}

void reffile_packed_init(struct reffile_packed *packed, size_t id_length,
                         bool (*wanted)(const char *name, size_t length, void *data),
                         bool (*found)(const struct reffile_packed_ref *ref, void *data),
                         void *data)
{
    *packed = (struct reffile_packed){
        .id_length = id_length, .wanted = wanted, .found = found, .data = data};
}

static bool refuse_line(GError **error, const char *line, size_t length)
{
    g_autofree char *text = g_strndup(line, MIN(length, 80));
    g_autofree char *shown = g_strescape(text, NULL);
    g_set_error(error, GIT_ERROR, ERROR_INVALID, "packed-refs has the unexpected line \"%s\"",
                shown);
    return false;
}

/* "# pack-refs with: peeled fully-peeled sorted \n" */
static bool take_header(struct reffile_packed *packed, const char *line, size_t length,
                        GError **error)
{
    static const char head[] = "# pack-refs with:";
    if (length < strlen(head) || memcmp(line, head, strlen(head)) != 0) {
        return refuse_line(error, line, length);
    }
    g_autofree char *text = g_strndup(line + strlen(head), length - strlen(head));
    g_auto(GStrv) traits = g_strsplit(text, " ", -1);
    packed->all_peeled = g_strv_contains((const char *const *)traits, "fully-peeled");
    packed->tags_peeled = g_strv_contains((const char *const *)traits, "peeled");
    return true;
}

static void tell_pending(struct reffile_packed *packed, const char *peeled_id)
{
    static const char tags[] = "refs/tags/";
    struct reffile_packed_ref ref = {
        .name = packed->name,
        .name_length = packed->name_length,
        .id = packed->id,
        .peeled_id = peeled_id,
        .is_peeled = peeled_id || packed->all_peeled ||
                     (packed->tags_peeled && packed->name_length > strlen(tags) &&
                      memcmp(packed->name, tags, strlen(tags)) == 0),
    };
    packed->pending = false;
    packed->stopped = !packed->found(&ref, packed->data);
}

/* "^<id>": what the ref of the line before points to. */
static bool take_peeled(struct reffile_packed *packed, const char *line, size_t length,
                        GError **error)
{
    char id[REFFILE_ID_MAX];
    if (length != 1 + packed->id_length || !copy_id(line + 1, packed->id_length, id)) {
        return refuse_line(error, line, length);
    }
    if (packed->pending) {
        tell_pending(packed, id);
    }
    return true;
}

/* "<id> <name>" */
static bool take_ref(struct reffile_packed *packed, const char *line, size_t length, GError **error)
{
    size_t at = packed->id_length + 1;
    if (packed->pending) {
        tell_pending(packed, NULL);
    }
    if (length < at + 1 || !is_space(line[at - 1])) {
        return refuse_line(error, line, length);
    }
    size_t name_length = length - at;
    if (packed->stopped || name_length > REFSET_MAX_NAME ||
        !packed->wanted(line + at, name_length, packed->data)) {
        return true;
    }
    if (!copy_id(line, packed->id_length, packed->id)) {
        return refuse_line(error, line, length);
    }
    memcpy(packed->name, line + at, name_length);
    packed->name_length = name_length;
    packed->pending = true;
    return true;
}

static bool take_line(struct reffile_packed *packed, const char *line, size_t length,
                      GError **error)
{
    bool first = !packed->begun;
    packed->begun = true;
    if (first && length > 0 && line[0] == '#') {
        return take_header(packed, line, length, error);
    }
    /* The first line can't be a peeled one: nothing stands before it. */
    if (!first && length > 0 && line[0] == '^') {
        return take_peeled(packed, line, length, error);
    }
    return take_ref(packed, line, length, error);
}

gssize reffile_packed_read(struct reffile_packed *packed, const char *bytes, size_t length,
                           GError **error)
{
    size_t used = 0;
    while (used < length && !packed->stopped) {
        const char *line = bytes + used;
        const char *newline = memchr(line, '\n', length - used);
        size_t line_length = newline ? (size_t)(newline - line) : length - used;
        if (line_length >= REFFILE_PACKED_LINE_MAX) {
            g_set_error(error, GIT_ERROR, ERROR_LIMIT, "packed-refs has a line above %d bytes",
                        REFFILE_PACKED_LINE_MAX);
            return -1;
        }
        if (!newline) {
            break;
        }
        if (!take_line(packed, line, line_length, error)) {
            return -1;
        }
        used += line_length + 1;
    }
    return packed->stopped ? (gssize)length : (gssize)used;
}

bool reffile_packed_finish(struct reffile_packed *packed, size_t left, GError **error)
{
    if (left > 0 && !packed->stopped) {
        g_set_error(error, GIT_ERROR, ERROR_INVALID, "packed-refs ends within a line");
        return false;
    }
    if (packed->pending) {
        tell_pending(packed, NULL);
    }
    return true;
}
