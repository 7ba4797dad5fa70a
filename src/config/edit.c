#include "config/edit.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
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

/* A TOML basic string (TOML 1.0, "String"). */
static void append_string(GString *out, const char *text)
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

static void append_key(GString *out, const char *name)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (*name && strspn(name, bare) == strlen(name)) {
        g_string_append(out, name);
    } else {
        append_string(out, name);
    }
}

static void append_pair(GString *out, const char *key, const char *value, const char *line_end)
{
    if (value) {
        g_string_append_printf(out, "%s = ", key);
        append_string(out, value);
        g_string_append(out, line_end);
    }
}

char *edit_add_section(const char *text, size_t length, const char *file,
                       const struct edit_section *section, GError **error)
{
    struct toml_value *root = parse(text, length, file, error);
    if (!root) {
        return NULL;
    }
    const struct toml_value *existing = toml_find(root, section->name);
    unsigned line = existing ? existing->key_line : 0;
    toml_free(root);
    if (line) {
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                    "%s:%u: there is a repository \"%s\" already; give the new one another name with --name",
                    file, line, section->name);
        return NULL;
    }
    const char *line_end = g_strstr_len(text, (gssize)length, "\r\n") ? "\r\n" : "\n";
    g_autoptr(GString) out = g_string_new_len(text, (gssize)length);
    if (out->len > 0 && out->str[out->len - 1] != '\n') {
        g_string_append(out, line_end);
    }
    if (out->len > 0) {
        g_string_append(out, line_end);
    }
    g_string_append_c(out, '[');
    append_key(out, section->name);
    g_string_append_printf(out, "]%s", line_end);
    append_pair(out, "path", section->path, line_end);
    append_pair(out, "target_branch", section->target_branch, line_end);
    append_pair(out, "ssh_key_path", section->ssh_key_path, line_end);
    struct toml_value *changed = parse(out->str, out->len, file, error);
    if (!changed) {
        return NULL;
    }
    toml_free(changed);
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

static bool is_comment_line(const char *text, size_t length, unsigned line)
{
    size_t begin = offset_of_line(text, length, line);
    while (begin < length && (text[begin] == ' ' || text[begin] == '\t')) {
        begin++;
    }
    return begin < length && text[begin] == '#';
}

/* The first line, behind `after`, of another section; with the comment lines directly above it. 0 = none. */
static unsigned next_section_line(const struct toml_value *root, const struct toml_value *section,
                                  const char *text, size_t length)
{
    unsigned next = 0;
    for (size_t i = 0; i < root->as.children.count; i++) {
        const struct toml_value *other = root->as.children.items[i];
        if (other != section && other->key_line > section->key_line &&
            (next == 0 || other->key_line < next)) {
            next = other->key_line;
        }
    }
    while (next > section->key_line + 1 && is_comment_line(text, length, next - 1)) {
        next--;
    }
    return next;
}

/* The result must hold the other sections and nothing else. */
static bool check_removal(const struct toml_value *before, const char *text, size_t length,
                          const char *file, const char *name, GError **error)
{
    struct toml_value *after = parse(text, length, file, error);
    bool good = after && after->as.children.count + 1 == before->as.children.count &&
                !toml_find(after, name);
    for (size_t i = 0; good && i < before->as.children.count; i++) {
        const struct toml_value *section = before->as.children.items[i];
        const struct toml_value *kept = toml_find(after, section->key);
        good = strcmp(section->key, name) == 0 ||
               (kept && kept->type == section->type &&
                (kept->type != TOML_TABLE ||
                 kept->as.children.count == section->as.children.count));
    }
    toml_free(after);
    if (!good) {
        g_clear_error(error);
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                    "%s: the section \"%s\" is not written as one piece; remove it with an editor", file,
                    name);
    }
    return good;
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
        g_set_error(error, CONFIG_ERROR, ERROR_NOT_FOUND, "%s has no repository \"%s\"", file, name);
        toml_free(root);
        return NULL;
    }
    size_t begin = offset_of_line(text, length, section->key_line);
    unsigned next = next_section_line(root, section, text, length);
    size_t end = next ? offset_of_line(text, length, next) : length;
    GString *out = g_string_new_len(text, (gssize)begin);
    g_string_append_len(out, text + end, (gssize)(length - end));
    if (!next) {
        /* The blank line that stood before the last section goes with it. */
        while (out->len > 1 && (g_str_has_suffix(out->str, "\n\n") || g_str_has_suffix(out->str, "\r\n\r\n"))) {
            g_string_truncate(out, out->len - (g_str_has_suffix(out->str, "\r\n") ? 2 : 1));
        }
    }
    bool good = check_removal(root, out->str, out->len, file, name, error);
    toml_free(root);
    if (!good) {
        g_string_free(out, TRUE);
        return NULL;
    }
    return g_string_free(out, FALSE);
}

char *edit_name_from_url(const char *url)
{
    g_autofree char *trimmed = g_strdup(url);
    size_t length = strlen(trimmed);
    while (length > 0 && trimmed[length - 1] == '/') {
        trimmed[--length] = '\0';
    }
    if (g_str_has_suffix(trimmed, ".git")) {
        trimmed[length - 4] = '\0';
    }
    const char *slash = strrchr(trimmed, '/');
    const char *colon = strrchr(trimmed, ':');
    const char *begin = slash > colon ? slash : colon;
    return g_strdup(begin ? begin + 1 : trimmed);
}
