/* Workflows come from whoever may push: whatever the bytes, there are steps in order, each with a
 * command, or diagnostics, never both. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/workflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_steps(const struct workflow *workflow)
{
    require(workflow->steps->len > 0 && workflow->steps->len <= WORKFLOW_MAX_STEPS);
    for (unsigned i = 0; i < workflow->steps->len; i++) {
        const struct workflow_step *step = g_ptr_array_index(workflow->steps, i);
        const struct workflow_step *before =
            i > 0 ? g_ptr_array_index(workflow->steps, i - 1) : NULL;
        require(!before || before->number < step->number);
        require(step->argv && step->argv[0] && step->argv[0][0] != '\0' && step->line > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics *diagnostics = diagnostics_new();
    struct workflow *workflow =
        workflow_parse((const char *)data, size, "workflow/main.toml", diagnostics);
    require((workflow == NULL) == diagnostics_any(diagnostics));
    if (workflow) {
        check_steps(workflow);
    }
    g_autofree char *text = diagnostics_format(diagnostics);
    for (const char *p = text; *p; p++) {
        require(*p == '\n' || (unsigned char)*p >= 0x20);
    }
    workflow_free(workflow);
    diagnostics_free(diagnostics);

    g_autofree char *branch = g_strndup((const char *)data, size);
    g_autofree char *path = workflow_path_for_branch(branch);
    require(!path || (g_str_has_prefix(path, "workflow/") && !strstr(path, "/../")));
    return 0;
}
