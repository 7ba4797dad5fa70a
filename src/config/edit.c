#include "config/edit.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "config/repo_section.h"
#include "config/toml.h"

static struct toml_value *parse(const char *text, size_t length, const char *file, GError **error)
{
    struct toml_error problem;
    struct toml_value *root = toml_parse(text, length, &problem);
    if (!root) {
        g_autofree char *message = text_escape(problem.message);
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID, "%s:%u:%u: %s", file, problem.line,
                    problem.column, message);
    }
    return root;
}

void edit_append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, *text);
        } else if (g_ascii_iscntrl(*text)) {
            g_string_append_printf(out, "\\u%04X", (unsigned char)*text);
        } else {
            g_string_append_c(out, *text);
        }
    }
    g_string_append_c(out, '"');
}

void edit_append_key(GString *out, const char *name)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (*name && strspn(name, bare) == strlen(name)) {
        g_string_append(out, name);
    } else {
        edit_append_string(out, name);
    }
}

static void append_pair(GString *out, const char *key, const char *value, const char *line_end)
{
    if (value) {
        g_string_append_printf(out, "%s = ", key);
        edit_append_string(out, value);
        g_string_append(out, line_end);
    }
}

/* The file's own: that of its first line. */
static const char *line_end_of(const char *text, size_t length)
{
    const char *newline = memchr(text, '\n', length);
    return newline && newline > text && newline[-1] == '\r' ? "\r\n" : "\n";
}

static bool holds_text(const struct toml_value *table, const char *key, const char *text)
{
    const struct toml_value *value = toml_find(table, key);
    return !text ||
           (value && value->type == TOML_STRING && strcmp(value->as.string.bytes, text) == 0);
}

/* The new text must say what was asked for. */
static bool check_addition(const char *text, size_t length, const char *file,
                           const struct edit_section *section, GError **error)
{
    struct toml_value *root = parse(text, length, file, error);
    const struct toml_value *added = root ? toml_find(root, section->name) : NULL;
    bool good = added && holds_text(added, "path", section->path) &&
                holds_text(added, "target_branch", section->target_branch) &&
                holds_text(added, "ssh_key_path", section->ssh_key_path) &&
                holds_text(added, "sandbox", section->sandbox) &&
                holds_text(added, "workflow_file", section->workflow_file);
    if (root && !good) {
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                    "%s: a section \"%s\" can't be written behind its end; add it with an editor",
                    file, section->name);
    }
    toml_free(root);
    return good;
}

/* True when the file has no such name yet and a section may bear it. */
static bool check_new_name(const char *text, size_t length, const char *file, const char *name,
                           GError **error)
{
    g_autofree char *shown = text_escape(name);
    struct toml_value *root = parse(text, length, file, error);
    if (!root) {
        return false;
    }
    const struct toml_value *existing = toml_find(root, name);
    bool good = !existing && repo_section_name_is_valid(name, strlen(name));
    if (existing) {
        g_set_error(
            error, CONFIG_ERROR, ERROR_INVALID,
            "%s:%u: there is a repository \"%s\" already; give the new one another name with "
            "--name",
            file, existing->key_line, shown);
    } else if (!good) {
        g_set_error(
            error, CONFIG_ERROR, ERROR_INVALID,
            "\"%s\" can't name a repository (1 to 100 bytes, no '/', no control characters, no '-' "
            "in front); give it another name with --name",
            shown);
    }
    toml_free(root);
    return good;
}

char *edit_add_section(const char *text, size_t length, const char *file,
                       const struct edit_section *section, GError **error)
{
    if (!check_new_name(text, length, file, section->name, error)) {
        return NULL;
    }
    const char *line_end = line_end_of(text, length);
    g_autoptr(GString) out = g_string_new_len(text, (gssize)length);
    if (out->len > 0 && out->str[out->len - 1] != '\n') {
        g_string_append(out, line_end);
    }
    if (out->len > 0) {
        g_string_append(out, line_end);
    }
    g_string_append_c(out, '[');
    edit_append_key(out, section->name);
    g_string_append_printf(out, "]%s", line_end);
    append_pair(out, "path", section->path, line_end);
    append_pair(out, "target_branch", section->target_branch, line_end);
    append_pair(out, "ssh_key_path", section->ssh_key_path, line_end);
    append_pair(out, "sandbox", section->sandbox, line_end);
    append_pair(out, "workflow_file", section->workflow_file, line_end);
    if (!check_addition(out->str, out->len, file, section, error)) {
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* The offset at which a line begins; the length of the text for a line behind its end. */
static size_t offset_of_line(const char *text, size_t length, unsigned line)
{
    size_t at = 0;
    for (unsigned i = 1; i < line && at < length; i++) {
        const char *newline = memchr(text + at, '\n', length - at);
        at = newline ? (size_t)(newline - text) + 1 : length;
    }
    return at;
}

/* The lowest line behind the section's header on which something of `root` other than `section`
 * begins; 0 = none. */
static unsigned find_next_line(const struct toml_value *root, const struct toml_value *section)
{
    g_autoptr(GPtrArray) pending = g_ptr_array_new();
    unsigned next = 0;
    g_ptr_array_add(pending, (void *)root);
    while (pending->len > 0) {
        const struct toml_value *value = g_ptr_array_steal_index_fast(pending, pending->len - 1);
        unsigned line = value->key ? value->key_line : value->line;
        if (value == section) {
            continue;
        }
        if (line > section->key_line && (next == 0 || line < next)) {
            next = line;
        }
        bool has_children = value->type == TOML_TABLE || value->type == TOML_ARRAY;
        for (size_t i = 0; has_children && i < value->as.children.count; i++) {
            g_ptr_array_add(pending, value->as.children.items[i]);
        }
    }
    return next;
}

static size_t begin_of_line_before(const char *text, size_t begin)
{
    size_t at = begin > 0 ? begin - 1 : 0;
    while (at > 0 && text[at - 1] != '\n') {
        at--;
    }
    return at;
}

/* Moves from the line at `end` up over the comment lines that stand directly above it, not beyond
 * `begin`. */
static size_t skip_comments_above(const char *text, size_t begin, size_t end)
{
    while (end > begin) {
        size_t line = begin_of_line_before(text, end);
        size_t blanks = strspn(text + line, " \t");
        if (line <= begin || text[line + blanks] != '#') {
            break;
        }
        end = line;
    }
    return end;
}

/* The result must hold the other sections, as they were, and nothing else. */
static bool check_removal(const struct toml_value *before, const struct toml_value *removed,
                          const char *text, size_t length, const char *file, GError **error)
{
    struct toml_value *after = parse(text, length, file, NULL);
    bool good = after && after->as.children.count + 1 == before->as.children.count;
    size_t at = 0;
    for (size_t i = 0; good && i < before->as.children.count; i++) {
        const struct toml_value *section = before->as.children.items[i];
        good = section == removed || toml_equal(section, after->as.children.items[at++]);
    }
    toml_free(after);
    if (!good) {
        g_autofree char *name = text_escape(removed->key);
        g_set_error(
            error, CONFIG_ERROR, ERROR_INVALID,
            "%s:%u: the section \"%s\" is not written as one piece; remove it with an editor", file,
            removed->key_line, name);
    }
    return good;
}

/* The text without what lies between two offsets. */
static GString *cut(const char *text, size_t length, size_t begin, size_t end)
{
    GString *out = g_string_new_len(text, (gssize)begin);
    g_string_append_len(out, text + end, (gssize)(length - end));
    bool was_last = end == length;
    /* The blank line that stood before the last section goes with it. */
    if (was_last && g_str_has_suffix(out->str, "\n\r\n")) {
        g_string_truncate(out, out->len - 2);
    } else if (was_last && g_str_has_suffix(out->str, "\n\n")) {
        g_string_truncate(out, out->len - 1);
    }
    return out;
}

char *edit_remove_section(const char *text, size_t length, const char *file, const char *name,
                          GError **error)
{
    struct toml_value *root = parse(text, length, file, error);
    if (!root) {
        return NULL;
    }
    const struct toml_value *section = toml_find(root, name);
    if (!section) {
        g_autofree char *shown = text_escape(name);
        g_set_error(error, CONFIG_ERROR, ERROR_NOT_FOUND, "%s has no repository \"%s\"", file,
                    shown);
        toml_free(root);
        return NULL;
    }
    size_t begin = offset_of_line(text, length, section->key_line);
    unsigned next = find_next_line(root, section);
    size_t end =
        next ? skip_comments_above(text, begin, offset_of_line(text, length, next)) : length;
    GString *out = cut(text, length, begin, end);
    bool good = check_removal(root, section, out->str, out->len, file, error);
    toml_free(root);
    return g_string_free(out, !good);
}

char *edit_name_from_url(const char *url)
{
    g_autofree char *trimmed = g_strdup(url);
    size_t length = strlen(trimmed);
    while (length > 0 && trimmed[length - 1] == '/') {
        trimmed[--length] = '\0';
    }
    if (g_str_has_suffix(trimmed, ".git")) {
        length -= 4;
        trimmed[length] = '\0';
    }
    /* A repository's own directory, /srv/app/.git, is named by the one that holds it. */
    while (length > 0 && trimmed[length - 1] == '/') {
        trimmed[--length] = '\0';
    }
    while (length > 0 && trimmed[length - 1] != '/' && trimmed[length - 1] != ':') {
        length--;
    }
    return g_strdup(trimmed + length);
}
