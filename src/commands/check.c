#include <jansson.h>
#include <stdio.h>

#include "commands/all.h"
#include "commands/show.h"
#include "config/host_steps.h"

static json_t *diagnostics_to_json(const struct diagnostics *diagnostics)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *diagnostic = g_ptr_array_index(diagnostics->items, i);
        json_t *object = json_object();
        json_object_set_new(object, "file", show_json_text(diagnostic->file));
        json_object_set_new(object, "line", show_json_number(diagnostic->line));
        json_object_set_new(object, "column", show_json_number(diagnostic->column));
        json_object_set_new(object, "message", show_json_text(diagnostic->message));
        json_array_append_new(list, object);
    }
    return list;
}

static void check_directory(struct command_context *context, struct diagnostics *diagnostics)
{
    g_autofree char *repo_toml = paths_repo_toml(&context->paths);
    context->config = config_load(context->paths.config, diagnostics);
    if (!context->config) {
        return;
    }
    host_steps_check(context->config, repo_toml, diagnostics);
    if (!diagnostics_any(diagnostics) && !context->json) {
        unsigned count = context->config->repos->len;
        printf("ok: %u repositor%s in %s\n", count, count == 1 ? "y" : "ies",
               context->paths.config);
    }
}

static int report(const struct command_context *context, const struct diagnostics *diagnostics)
{
    if (context->json) {
        g_free(diagnostics_format(diagnostics)); /* it sorts them */
        show_json_print(diagnostics_to_json(diagnostics));
    } else if (diagnostics_any(diagnostics)) {
        g_autofree char *text = diagnostics_format(diagnostics);
        fputs(text, stderr);
    }
    return diagnostics_any(diagnostics) ? EXIT_CODE_CONFIG : EXIT_CODE_OK;
}

int command_check(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct diagnostics *diagnostics = diagnostics_new();
    int code = command_parse(command, &context, NULL, COMMAND_JSON, &argc, &argv, 0, -1);
    if (code < 0 && argc == 1) {
        check_directory(&context, diagnostics);
    }
    for (int i = 1; code < 0 && i < argc; i++) {
        unsigned before = diagnostics->items->len;
        config_check_file(argv[i], diagnostics);
        if (!context.json && diagnostics->items->len == before) {
            printf("ok: %s\n", argv[i]);
        }
    }
    if (code < 0) {
        code = report(&context, diagnostics);
    }
    diagnostics_free(diagnostics);
    command_context_clear(&context);
    return code;
}
