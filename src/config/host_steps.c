#include "config/host_steps.h"

#include "base/error.h"
#include "base/file.h"

bool host_steps_are_set(const struct repo_config *repo)
{
    return repo->workflow_file || *repo->steps;
}

struct workflow *host_steps_read_file(const char *path, char **digest,
                                      struct diagnostics *diagnostics, GError **error)
{
    size_t length = 0;
    g_autofree char *bytes = file_read_trusted(path, WORKFLOW_MAX_BYTES, &length, error);
    if (!bytes) {
        return NULL;
    }
    if (digest) {
        *digest =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, (gsize)length);
    }
    return workflow_parse(bytes, length, path, diagnostics);
}

struct workflow *host_steps_load(const struct repo_config *repo, char **origin,
                                 struct diagnostics *diagnostics, GError **error)
{
    g_autofree char *digest = NULL;
    struct workflow *workflow;
    if (repo->workflow_file) {
        workflow = host_steps_read_file(repo->workflow_file, &digest, diagnostics, error);
        *origin = g_strdup_printf("the steps are the host's: workflow_file %s, SHA-256 %s",
                                  repo->workflow_file, digest ? digest : "unknown");
        return workflow;
    }
    *origin = g_strdup("the steps are the host's: \"steps\" of the section");
    workflow = workflow_from_lines(repo->steps);
    if (!workflow) {
        g_set_error_literal(error, CONFIG_ERROR, ERROR_INVALID,
                            "the section that phantom_ci handed over has no steps that can be run");
    }
    return workflow;
}

void host_steps_check(const struct config *config, const char *repo_toml,
                      struct diagnostics *diagnostics)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        g_autoptr(GError) error = NULL;
        if (!repo->workflow_file || !g_hash_table_add(seen, repo->workflow_file)) {
            continue;
        }
        workflow_free(host_steps_read_file(repo->workflow_file, NULL, diagnostics, &error));
        if (error) {
            diagnostics_add(diagnostics, repo_toml, repo->line, 1, "\"workflow_file\" of [%s]: %s",
                            repo->name, error->message);
        }
    }
}
