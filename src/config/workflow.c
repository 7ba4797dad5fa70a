#include "config/workflow.h"

#include <string.h>

#include "base/refkey.h"
#include "base/text.h"
#include "config/schema.h"
#include "config/toml.h"

#define STEP_NUMBER_MAX 2147483648U

struct parsing {
    const char *file;
    struct diagnostics *diagnostics;
    GPtrArray *steps;
    GHashTable *lines; /* number -> line of its header + 1 */
};

static void step_free(void *data)
{
    struct workflow_step *step = data;
    g_strfreev(step->argv);
    g_free(step);
}

void workflow_free(struct workflow *workflow)
{
    if (workflow) {
        g_ptr_array_unref(workflow->steps);
        g_free(workflow);
    }
}

static char **split_words(const struct parsing *parsing, const struct toml_value *run)
{
    g_autoptr(GError) error = NULL;
    char **argv = NULL;
    if (!schema_check_text(run, "\"run\"", parsing->file, parsing->diagnostics)) {
        return NULL;
    }
    if (!g_shell_parse_argv(run->as.string.bytes, NULL, &argv, &error)) {
        bool empty = g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING);
        diagnostics_add(parsing->diagnostics, parsing->file, run->line, run->column, "\"run\" %s",
                        empty ? "names no command"
                              : "has a quote without its partner, or a backslash at its end");
        return NULL;
    }
    return argv;
}

static char **copy_words(const struct parsing *parsing, const struct toml_value *run)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    bool good = true;
    for (size_t i = 0; i < run->as.children.count; i++) {
        const struct toml_value *word = run->as.children.items[i];
        if (word->type != TOML_STRING) {
            diagnostics_add(parsing->diagnostics, parsing->file, word->line, word->column,
                            "\"run\" must be an array of strings, found %s",
                            toml_type_name(word->type));
            good = false;
        } else if (!schema_check_text(word, "\"run\"", parsing->file, parsing->diagnostics)) {
            good = false;
        } else {
            g_ptr_array_add(argv, g_strdup(word->as.string.bytes));
        }
    }
    g_ptr_array_add(argv, NULL);
    if (!good) {
        g_ptr_array_unref(argv);
        return NULL;
    }
    return (char **)g_ptr_array_free(argv, FALSE);
}

/* The words of `run`, or NULL with a diagnostic. */
static char **read_run(const struct parsing *parsing, const struct toml_value *run)
{
    char **argv = NULL;
    if (run->type == TOML_STRING) {
        argv = split_words(parsing, run);
    } else if (run->type == TOML_ARRAY) {
        argv = copy_words(parsing, run);
    } else {
        diagnostics_add(parsing->diagnostics, parsing->file, run->line, run->column,
                        "\"run\" must be a string or an array of strings, found %s",
                        toml_type_name(run->type));
    }
    if (argv && (!argv[0] || !*argv[0])) {
        diagnostics_add(parsing->diagnostics, parsing->file, run->line, run->column,
                        "\"run\" names no command");
        g_clear_pointer(&argv, g_strfreev);
    }
    return argv;
}

static bool read_number(const struct parsing *parsing, const struct toml_value *table,
                        guint64 *number)
{
    bool good = strlen(table->key) == table->key_length &&
                strspn(table->key, "0123456789") == table->key_length &&
                g_ascii_string_to_unsigned(table->key, 10, 0, STEP_NUMBER_MAX, number, NULL);
    if (!good) {
        diagnostics_add(
            parsing->diagnostics, parsing->file, table->key_line, table->key_column,
            "\"%s\" is not the number of a step; steps are tables [0], [1], ... up to [%u]",
            table->key, STEP_NUMBER_MAX);
    }
    return good;
}

static bool note_number(const struct parsing *parsing, const struct toml_value *table,
                        guint64 number)
{
    unsigned earlier =
        GPOINTER_TO_UINT(g_hash_table_lookup(parsing->lines, GUINT_TO_POINTER((unsigned)number)));
    if (earlier) {
        diagnostics_add(parsing->diagnostics, parsing->file, table->key_line, table->key_column,
                        "step %" G_GUINT64_FORMAT " stands here again; it is in line %u already",
                        number, earlier - 1);
        return false;
    }
    g_hash_table_insert(parsing->lines, GUINT_TO_POINTER((unsigned)number),
                        GUINT_TO_POINTER(table->key_line + 1));
    return true;
}

/* The words of a table with the keys of a step, which `name` stands for in messages. */
static char **read_table(const struct parsing *parsing, const struct toml_value *table,
                         const char *name, unsigned line, unsigned column)
{
    static const struct schema_key keys[] = {{"run", .type = SCHEMA_ANY}, {NULL}};
    schema_read(keys, table, parsing->file, NULL, parsing->diagnostics);
    const struct toml_value *run = toml_find(table, "run");
    if (!run) {
        diagnostics_add(parsing->diagnostics, parsing->file, line, column, "%s has no \"run\"",
                        name);
        return NULL;
    }
    return read_run(parsing, run);
}

static void add_step(GPtrArray *steps, uint64_t number, char **argv, unsigned line)
{
    struct workflow_step *step = g_new0(struct workflow_step, 1);
    step->number = number;
    step->argv = argv;
    step->line = line;
    g_ptr_array_add(steps, step);
}

static void read_step(const struct parsing *parsing, const struct toml_value *table)
{
    guint64 number = 0;
    if (table->type != TOML_TABLE) {
        diagnostics_add(
            parsing->diagnostics, parsing->file, table->key_line, table->key_column,
            "\"%s\" stands outside of a step; a workflow is made of tables [0], [1], ... with "
            "the key \"run\"",
            table->key);
        return;
    }
    bool good = read_number(parsing, table, &number) && note_number(parsing, table, number);
    g_autofree char *name = g_strdup_printf("step %s", table->key);
    char **argv = read_table(parsing, table, name, table->key_line, table->key_column);
    if (argv && good) {
        add_step(parsing->steps, number, argv, table->key_line);
    } else {
        g_strfreev(argv);
    }
}

static int compare_steps(const void *left, const void *right)
{
    const struct workflow_step *a = *(const struct workflow_step *const *)left;
    const struct workflow_step *b = *(const struct workflow_step *const *)right;
    return (a->number > b->number) - (a->number < b->number);
}

static void read_steps(const struct parsing *parsing, const struct toml_value *root)
{
    if (root->as.children.count == 0) {
        diagnostics_add(
            parsing->diagnostics, parsing->file, 0, 0,
            "the workflow has no steps; write for example: [0] and below it: run = \"make\"");
    } else if (root->as.children.count > WORKFLOW_MAX_STEPS) {
        diagnostics_add(parsing->diagnostics, parsing->file, 0, 0, "more than %d steps",
                        WORKFLOW_MAX_STEPS);
        return;
    }
    for (size_t i = 0; i < root->as.children.count; i++) {
        read_step(parsing, root->as.children.items[i]);
    }
}

struct workflow *workflow_parse(const char *bytes, size_t length, const char *file,
                                struct diagnostics *diagnostics)
{
    if (length > WORKFLOW_MAX_BYTES) {
        diagnostics_add(diagnostics, file, 0, 0, "larger than %d bytes", WORKFLOW_MAX_BYTES);
        return NULL;
    }
    unsigned before = diagnostics->items->len + diagnostics->dropped;
    struct toml_error problem;
    struct toml_value *root = toml_parse(bytes, length, &problem);
    if (!root) {
        diagnostics_add(diagnostics, file, problem.line, problem.column, "%s", problem.message);
        return NULL;
    }
    g_autoptr(GHashTable) lines = g_hash_table_new(g_direct_hash, g_direct_equal);
    struct workflow *workflow = g_new0(struct workflow, 1);
    workflow->steps = g_ptr_array_new_with_free_func(step_free);
    const struct parsing parsing = {file, diagnostics, workflow->steps, lines};
    read_steps(&parsing, root);
    toml_free(root);
    g_ptr_array_sort(workflow->steps, compare_steps);
    if (diagnostics->items->len + diagnostics->dropped != before) {
        workflow_free(workflow);
        return NULL;
    }
    return workflow;
}

char *workflow_read_line(const struct toml_value *step, const char *file,
                         struct diagnostics *diagnostics)
{
    const struct parsing parsing = {file, diagnostics, NULL, NULL};
    unsigned before = diagnostics->items->len + diagnostics->dropped;
    g_auto(GStrv) argv = step->type == TOML_TABLE
                             ? read_table(&parsing, step, "the step", step->line, step->column)
                             : read_run(&parsing, step);
    bool good = argv && diagnostics->items->len + diagnostics->dropped == before;
    return good ? text_join_words(argv) : NULL;
}

struct workflow *workflow_from_lines(char *const *lines)
{
    struct workflow *workflow = g_new0(struct workflow, 1);
    workflow->steps = g_ptr_array_new_with_free_func(step_free);
    for (unsigned i = 0; lines[i]; i++) {
        char **argv = NULL;
        if (!g_shell_parse_argv(lines[i], NULL, &argv, NULL)) {
            workflow_free(workflow);
            return NULL;
        }
        add_step(workflow->steps, i, argv, 0);
    }
    return workflow;
}

char *workflow_path_for_ref(const char *key)
{
    const char *branch = refkey_branch(key);
    return branch ? workflow_path_for_branch(branch) : g_strdup(WORKFLOW_PATH_OF_TAGS);
}

char *workflow_path_for_branch(const char *branch)
{
    g_auto(GStrv) parts = g_strsplit(branch, "/", -1);
    for (char **part = parts; *part; part++) {
        if (!**part || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0) {
            return NULL;
        }
    }
    return *parts ? g_strdup_printf("workflow/%s.toml", branch) : NULL;
}
