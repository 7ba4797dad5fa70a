#include "config/original.h"

#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "config/edit.h"
#include "config/repo_section.h"
#include "config/toml.h"

enum { NESTED_MAX = 4, ROUNDS_MAX = 8 };

struct conversion {
    const char *file;
    GPtrArray *lines;  /* char *, each with its line end; changed in place, never moved */
    GHashTable *names; /* of the sections so far */
    struct original *original;
    original_branch_of branch_of;
    void *data;
};

static void free_entry(void *data)
{
    struct original_entry *entry = data;
    g_free(entry->header);
    g_free(entry->name);
    g_free(entry->path);
    g_free(entry->target_branch);
    g_free(entry->branch_exclusions);
    g_free(entry->ssh_key_path);
    g_ptr_array_unref(entry->notes);
    g_free(entry);
}

void original_free(struct original *original)
{
    if (original) {
        g_ptr_array_unref(original->entries);
        g_free(original->text);
        g_free(original);
    }
}

void original_note(struct original_entry *entry, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *note = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_ptr_array_add(entry->notes, text_escape(note));
}

/* ------------------------------------------------------------------- lines */

static GPtrArray *split_lines(const char *bytes, size_t length)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    for (size_t at = 0; at < length;) {
        const char *newline = memchr(bytes + at, '\n', length - at);
        size_t end = newline ? (size_t)(newline - bytes) + 1 : length;
        g_ptr_array_add(lines, g_strndup(bytes + at, end - at));
        at = end;
    }
    return lines;
}

static char *join_lines(const GPtrArray *lines)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < lines->len; i++) {
        g_string_append(text, g_ptr_array_index(lines, i));
    }
    return g_string_free(text, FALSE);
}

/* NULL behind the end. `line` counts from 1. */
static char *line_at(const GPtrArray *lines, unsigned line)
{
    return line >= 1 && line <= lines->len ? g_ptr_array_index(lines, line - 1) : NULL;
}

static void set_line(GPtrArray *lines, unsigned line, const char *text)
{
    const char *old = line_at(lines, line);
    const char *line_end = g_str_has_suffix(old, "\r\n") ? "\r\n" : "\n";
    g_autofree char *changed = g_strconcat(text, line_end, NULL);
    g_free(g_ptr_array_index(lines, line - 1));
    g_ptr_array_index(lines, line - 1) = g_steal_pointer(&changed);
}

static bool is_blank_or_comment(const char *line)
{
    size_t blanks = line ? strspn(line, " \t\r\n") : 0;
    return !line || line[blanks] == '\0' || line[blanks] == '#';
}

static void comment_out(GPtrArray *lines, unsigned first, unsigned last)
{
    for (unsigned line = first; line <= last && line <= lines->len; line++) {
        char *old = line_at(lines, line);
        if (!is_blank_or_comment(old)) {
            g_ptr_array_index(lines, line - 1) = g_strconcat("# ", old, NULL);
            g_free(old);
        }
    }
}

static bool is_header(const char *line)
{
    return line && line[strspn(line, " \t")] == '[';
}

/* The last line of what begins at `first`: before the next of `starts`, without the blank lines and
 * comments in front of that. */
static unsigned last_line_of(const GPtrArray *lines, const GArray *starts, unsigned first)
{
    unsigned last = lines->len;
    for (unsigned i = 0; i < starts->len; i++) {
        unsigned start = g_array_index(starts, unsigned, i);
        if (start > first && start - 1 < last) {
            last = start - 1;
        }
    }
    while (last > first && is_blank_or_comment(line_at(lines, last))) {
        last--;
    }
    return last;
}

static char *format_header(const char *name)
{
    GString *out = g_string_new("[");
    edit_append_key(out, name);
    g_string_append_c(out, ']');
    return g_string_free(out, FALSE);
}

static char *format_pair(const char *key, const char *value)
{
    GString *out = g_string_new(key);
    g_string_append(out, " = ");
    edit_append_string(out, value);
    return g_string_free(out, FALSE);
}

/* ------------------------------------------------------------------- names */

static char *unique_name(struct conversion *conversion, const char *wanted)
{
    char *name = g_strdup(*wanted ? wanted : "repository");
    for (unsigned i = 2; g_hash_table_contains(conversion->names, name); i++) {
        g_free(name);
        name = g_strdup_printf("%s-%u", *wanted ? wanted : "repository", i);
    }
    g_hash_table_add(conversion->names, g_strdup(name));
    return name;
}

/* What a section may be called, nearest to what it is called. */
static char *acceptable_name(const char *header)
{
    g_autoptr(GString) name = g_string_new(header);
    if (g_str_has_suffix(name->str, ".git")) {
        g_string_truncate(name, name->len - strlen(".git"));
    }
    if (repo_section_name_is_valid(name->str, name->len)) {
        return g_strdup(name->str);
    }
    g_autoptr(GString) safe = g_string_new(NULL);
    for (const char *at = name->str; *at && safe->len < 80; at++) {
        bool plain = g_ascii_isalnum(*at) || *at == '.' || *at == '_' || *at == '-';
        g_string_append_c(safe, plain ? *at : '-');
    }
    g_string_erase(safe, 0, (gssize)strspn(safe->str, "-"));
    return g_strdup(safe->str);
}

/* The text between the brackets of a header; NULL when the line is none, or one of an array. */
static char *header_text(const char *line)
{
    if (!line) {
        return NULL;
    }
    const char *begin = line + strspn(line, " \t");
    const char *end = *begin == '[' && begin[1] != '[' ? strchr(begin, ']') : NULL;
    char *text = end ? g_strndup(begin + 1, (size_t)(end - begin - 1)) : NULL;
    return text ? g_strstrip(text) : NULL;
}

/* `add` wrote the last part of the URL as header, twice for two repositories of one name: no TOML.
 */
static void tell_headers_apart(GPtrArray *lines)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 1; i <= lines->len; i++) {
        g_autofree char *text = header_text(line_at(lines, i));
        if (!text) {
            continue;
        }
        unsigned count = 2;
        g_autofree char *name = g_strdup(text);
        g_autofree char *base = acceptable_name(g_strdelimit(text, "\"'", ' '));
        g_strstrip(base);
        bool repeated = g_hash_table_contains(seen, name);
        while (g_hash_table_contains(seen, name)) {
            g_free(name);
            name = g_strdup_printf("%s-%u", base, count++);
        }
        if (repeated) {
            g_autofree char *header = format_header(name);
            set_line(lines, i, header);
        }
        g_hash_table_add(seen, g_steal_pointer(&name));
    }
}

static struct toml_value *parse(const GPtrArray *lines, struct toml_error *problem)
{
    g_autofree char *text = join_lines(lines);
    return toml_parse(text, strlen(text), problem);
}

/* ----------------------------------------------------------------- entries */

/* Where each section, and each thing at the top, begins. By the tree, not by brackets in the text:
 * a string of several lines may hold anything. */
static void collect_starts(const struct toml_value *root, GArray *starts)
{
    g_autoptr(GPtrArray) pending = g_ptr_array_new();
    g_ptr_array_add(pending, (void *)root);
    while (pending->len > 0) {
        const struct toml_value *value = g_ptr_array_steal_index_fast(pending, pending->len - 1);
        for (size_t i = 0; i < value->as.children.count; i++) {
            const struct toml_value *child = value->as.children.items[i];
            unsigned line = child->key ? child->key_line : child->line;
            if (value == root || child->type == TOML_TABLE) {
                g_array_append_val(starts, line);
            }
            if (child->type == TOML_TABLE || child->type == TOML_ARRAY) {
                g_ptr_array_add(pending, (void *)child);
            }
        }
    }
}

/* The same, and each key of a section. */
static void collect_keys(const struct toml_value *section, GArray *starts)
{
    for (size_t i = 0; i < section->as.children.count; i++) {
        unsigned line = section->as.children.items[i]->key_line;
        g_array_append_val(starts, line);
    }
}

static bool is_known_key(const char *key)
{
    for (const struct schema_key *known = repo_section_keys; known->name; known++) {
        if (strcmp(known->name, key) == 0) {
            return true;
        }
    }
    return false;
}

static char *string_of(const struct toml_value *section, const char *key)
{
    const struct toml_value *value = toml_find(section, key);
    return value && value->type == TOML_STRING &&
                   strlen(value->as.string.bytes) == value->as.string.length
               ? g_strdup(value->as.string.bytes)
               : NULL;
}

/* A string, or an array of strings. */
static char *list_of(const struct toml_value *section, const char *key)
{
    const struct toml_value *value = toml_find(section, key);
    if (!value || value->type != TOML_ARRAY) {
        return string_of(section, key);
    }
    g_autoptr(GPtrArray) items = g_ptr_array_new();
    for (size_t i = 0; i < value->as.children.count; i++) {
        if (value->as.children.items[i]->type == TOML_STRING) {
            g_ptr_array_add(items, value->as.children.items[i]->as.string.bytes);
        }
    }
    g_ptr_array_add(items, NULL);
    return g_strjoinv(",", (char **)items->pdata);
}

/* Unknown keys were passed over in silence; here they are mistakes. */
static void drop_unknown_keys(struct conversion *conversion, struct original_entry *entry,
                              const struct toml_value *section, const GArray *starts)
{
    for (size_t i = 0; i < section->as.children.count; i++) {
        const struct toml_value *value = section->as.children.items[i];
        if (value->type != TOML_TABLE && !is_known_key(value->key)) {
            comment_out(conversion->lines, value->key_line,
                        last_line_of(conversion->lines, starts, value->key_line));
            original_note(entry,
                          "the key \"%s\" meant nothing to the original and is a comment now",
                          value->key);
        }
    }
}

static void convert_ssh_key(struct conversion *conversion, struct original_entry *entry,
                            const struct toml_value *section, const GArray *starts)
{
    const struct toml_value *value = toml_find(section, "ssh_key_path");
    g_autofree char *written = string_of(section, "ssh_key_path");
    if (!written) {
        return;
    }
    g_autofree char *trimmed = g_strstrip(g_strdup(written));
    if (!*trimmed) {
        /* `add` wrote it so; it always meant none. */
        comment_out(conversion->lines, value->key_line,
                    last_line_of(conversion->lines, starts, value->key_line));
        return;
    }
    if (strcmp(trimmed, written) != 0) {
        g_autofree char *pair = format_pair("ssh_key_path", trimmed);
        set_line(conversion->lines, value->key_line, pair);
    }
    entry->ssh_key_path = g_steal_pointer(&trimmed);
}

static void add_branch(struct conversion *conversion, struct original_entry *entry,
                       const struct toml_value *section)
{
    const struct toml_value *path = toml_find(section, "path");
    const char *branch =
        conversion->branch_of ? conversion->branch_of(entry->path, conversion->data) : NULL;
    char *line = path ? line_at(conversion->lines, path->key_line) : NULL;
    if (!branch || !line || is_header(line)) {
        original_note(entry,
                      "it names no target_branch: the original took the remote's default branch, "
                      "here it is master; write target_branch if that is not the one");
        return;
    }
    g_autofree char *pair = format_pair("target_branch", branch);
    const char *line_end = g_str_has_suffix(line, "\r\n") ? "\r\n" : "\n";
    g_ptr_array_index(conversion->lines, path->key_line - 1) =
        g_strconcat(line, g_str_has_suffix(line, "\n") ? "" : line_end, pair, line_end, NULL);
    g_free(line);
    entry->target_branch = g_strdup(branch);
    original_note(entry,
                  "it names no target_branch; the one that the original ran, \"%s\", is written "
                  "down now",
                  branch);
}

static void convert_branches(struct conversion *conversion, struct original_entry *entry,
                             const struct toml_value *section)
{
    const struct toml_value *value = toml_find(section, "target_branch");
    g_autofree char *written = string_of(section, "target_branch");
    if (!value) {
        add_branch(conversion, entry, section);
    } else if (written) {
        entry->target_branch = g_strstrip(g_strdup(written));
        if (strcmp(entry->target_branch, written) != 0) {
            g_autofree char *pair = format_pair("target_branch", entry->target_branch);
            set_line(conversion->lines, value->key_line, pair);
        }
        if (!*entry->target_branch) {
            original_note(entry,
                          "target_branch is empty: every branch runs, so that everybody who may "
                          "push any branch runs commands here; name the branches if that is not "
                          "wanted");
        } else {
            original_note(entry,
                          "when the remote has no branch \"%s\", nothing runs; the original took "
                          "the remote's default branch then",
                          entry->target_branch);
        }
    }
    entry->branch_exclusions = list_of(section, "branch_exclusions");
    if (entry->branch_exclusions && *entry->branch_exclusions) {
        original_note(entry, "branch_exclusions are names and globs (\"wip/*\")");
    }
}

static void convert_name(struct conversion *conversion, struct original_entry *entry,
                         const char *header, bool nested)
{
    g_autofree char *wanted = acceptable_name(header);
    entry->header = g_strdup(header);
    entry->name = unique_name(conversion, wanted);
    bool same = !nested && strcmp(entry->name, header) == 0;
    if (!same && is_header(line_at(conversion->lines, entry->line))) {
        g_autofree char *changed = format_header(entry->name);
        set_line(conversion->lines, entry->line, changed);
        original_note(entry, "[%s] is called %s now%s", header, entry->name,
                      nested ? ": TOML takes the dot for a table within a table, which the "
                               "original did not read"
                             : "");
    }
}

static void add_entry(struct conversion *conversion, const struct toml_value *section,
                      const char *header, bool nested, const GArray *section_starts)
{
    struct original_entry *entry = g_new0(struct original_entry, 1);
    g_autoptr(GArray) starts = g_array_copy((GArray *)section_starts);
    collect_keys(section, starts);
    entry->notes = g_ptr_array_new_with_free_func(g_free);
    entry->line = section->key_line;
    entry->path = string_of(section, "path");
    convert_name(conversion, entry, header, nested);
    convert_ssh_key(conversion, entry, section, starts);
    drop_unknown_keys(conversion, entry, section, starts);
    if (entry->path) {
        convert_branches(conversion, entry, section);
    }
    g_ptr_array_add(conversion->original->entries, entry);
}

struct visit {
    const struct toml_value *table;
    char *name;
    unsigned depth;
};

/* [app.git] is the table "git" within "app": each table that has a path is a section. */
static void add_entries(struct conversion *conversion, const struct toml_value *top,
                        const GArray *starts)
{
    g_autoptr(GArray) pending = g_array_new(FALSE, FALSE, sizeof(struct visit));
    struct visit first = {top, g_strdup(top->key), 0};
    g_array_append_val(pending, first);
    while (pending->len > 0) {
        struct visit visit = g_array_index(pending, struct visit, pending->len - 1);
        g_array_set_size(pending, pending->len - 1);
        bool implied = false;
        for (size_t i = visit.table->as.children.count; i > 0; i--) {
            const struct toml_value *child = visit.table->as.children.items[i - 1];
            if (child->type == TOML_TABLE && !is_known_key(child->key) &&
                visit.depth < NESTED_MAX) {
                struct visit next = {child, g_strconcat(visit.name, ".", child->key, NULL),
                                     visit.depth + 1};
                g_array_append_val(pending, next);
                implied = true;
            }
        }
        if (toml_find(visit.table, "path") || !implied) {
            add_entry(conversion, visit.table, visit.name, visit.depth > 0, starts);
        }
        g_free(visit.name);
    }
}

/* ---------------------------------------------------------------- the check */

/* The line of the file from which line `line` of the result came. */
static unsigned source_line(const GPtrArray *lines, unsigned line)
{
    unsigned at = 0;
    for (unsigned i = 0; i < lines->len; i++) {
        for (const char *c = g_ptr_array_index(lines, i); *c; c++) {
            at += *c == '\n';
        }
        if (at >= line) {
            return i + 1;
        }
    }
    return lines->len;
}

static struct original_entry *entry_at(const struct original *original, unsigned line)
{
    struct original_entry *found = NULL;
    for (unsigned i = 0; i < original->entries->len; i++) {
        struct original_entry *entry = g_ptr_array_index(original->entries, i);
        if (entry->line <= line && (!found || entry->line > found->line)) {
            found = entry;
        }
    }
    return found;
}

/* A key whose absence only makes the fetch fail; without any other, another branch or another
 * repository could run. */
static bool is_dispensable(const char *line)
{
    line += strspn(line, " \t");
    return g_str_has_prefix(line, "ssh_key_path");
}

static void leave_out(struct conversion *conversion, const struct diagnostic *diagnostic,
                      const GArray *starts)
{
    unsigned line = source_line(conversion->lines, diagnostic->line);
    struct original_entry *entry = entry_at(conversion->original, line);
    if (!entry) {
        comment_out(conversion->lines, line, last_line_of(conversion->lines, starts, line));
    } else if (is_dispensable(line_at(conversion->lines, line))) {
        comment_out(conversion->lines, line, line);
        g_clear_pointer(&entry->ssh_key_path, g_free);
        original_note(entry, "ssh_key_path can't be used and is a comment now: %s",
                      diagnostic->message);
    } else if (!entry->left_out) {
        entry->left_out = true;
        comment_out(conversion->lines, entry->line,
                    last_line_of(conversion->lines, starts, entry->line));
        original_note(entry, "it can't be used, and its lines are comments now: %s",
                      diagnostic->message);
    }
}

/* What this version refuses all the same is taken out, section by section. */
static bool leave_out_refused(struct conversion *conversion, const GArray *starts, GError **error)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        struct diagnostics *diagnostics = diagnostics_new();
        g_autofree char *text = join_lines(conversion->lines);
        config_check_text("Repo.toml", text, strlen(text), diagnostics);
        bool good = !diagnostics_any(diagnostics);
        for (unsigned i = 0; i < diagnostics->items->len; i++) {
            leave_out(conversion, g_ptr_array_index(diagnostics->items, i), starts);
        }
        g_autofree char *report = good ? NULL : diagnostics_format(diagnostics);
        diagnostics_free(diagnostics);
        if (good) {
            conversion->original->text = g_steal_pointer(&text);
            return true;
        }
        if (round + 1 == ROUNDS_MAX) {
            g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                        "%s can't be converted; mend these by hand:\n%s", conversion->file, report);
        }
    }
    return false;
}

/* The tree of the file; NULL with `error` when even with names told apart it is no TOML. */
static struct toml_value *parse_original(struct conversion *conversion, GError **error)
{
    struct toml_error problem;
    struct toml_error ignored;
    struct toml_value *root = parse(conversion->lines, &problem);
    if (!root) {
        tell_headers_apart(conversion->lines);
        root = parse(conversion->lines, &ignored);
    }
    if (!root) {
        g_autofree char *message = text_escape(problem.message);
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID,
                    "%s:%u:%u: %s; the original could not read this file either, mend it first",
                    conversion->file, problem.line, problem.column, message);
    }
    return root;
}

static bool convert(struct conversion *conversion, GError **error)
{
    struct toml_value *root = parse_original(conversion, error);
    if (!root) {
        return false;
    }
    g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(unsigned));
    collect_starts(root, starts);
    for (size_t i = 0; i < root->as.children.count; i++) {
        if (root->as.children.items[i]->type == TOML_TABLE) {
            add_entries(conversion, root->as.children.items[i], starts);
        }
    }
    toml_free(root);
    return leave_out_refused(conversion, starts, error);
}

struct original *original_convert(const char *file, const char *bytes, size_t length,
                                  original_branch_of branch_of, void *data, GError **error)
{
    /* Refuses a NUL, too. */
    if (length > 0 && !g_utf8_validate_len(bytes, length, NULL)) {
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID, "%s is not UTF-8 text", file);
        return NULL;
    }
    g_autoptr(GPtrArray) lines = split_lines(bytes, length);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct original *original = g_new0(struct original, 1);
    original->entries = g_ptr_array_new_with_free_func(free_entry);
    struct conversion conversion = {file, lines, names, original, branch_of, data};
    if (!convert(&conversion, error)) {
        original_free(original);
        return NULL;
    }
    original->changed = strlen(original->text) != length ||
                        (length > 0 && memcmp(original->text, bytes, length) != 0);
    return original;
}
