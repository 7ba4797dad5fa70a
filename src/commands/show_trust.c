/* The rules of a section that say what may run, and whose steps. */
#include "commands/show.h"
#include "config/host_steps.h"

json_t *show_json_list(char *const *texts)
{
    json_t *list = json_array();
    for (; *texts; texts++) {
        json_array_append_new(list, show_json_text(*texts));
    }
    return list;
}

json_t *show_json_trust(const struct repo_config *repo)
{
    json_t *object = json_object();
    json_object_set_new(object, "allowed_signers", show_json_text(repo->allowed_signers));
    json_object_set_new(object, "allowed_gpg_keys", show_json_list(repo->allowed_gpg_keys));
    json_object_set_new(object, "gpg_keyring", show_json_text(repo->gpg_keyring));
    json_object_set_new(object, "verify", json_string(config_verify_name(repo->verify)));
    json_object_set_new(object, "strict_signatures", json_boolean(repo->strict_signatures));
    json_object_set_new(object, "workflow_approval",
                        json_string(config_approval_name(repo->workflow_approval)));
    json_object_set_new(object, "approve_paths", show_json_list(repo->approve_paths));
    json_object_set_new(object, "steps", show_json_list(repo->steps));
    json_object_set_new(object, "workflow_file", show_json_text(repo->workflow_file));
    return object;
}

static void add(GString *text, const char *words)
{
    g_string_append_printf(text, "%s%s", text->len ? ", " : "", words);
}

static void add_signatures(GString *text, const struct repo_config *repo)
{
    if (repo_config_wants_signatures(repo)) {
        add(text, repo->verify == VERIFY_CHOICE_RANGE ? "signed range" : "signed");
        g_string_append(text, repo->strict_signatures ? " (strict)" : "");
    }
}

static void add_approval(GString *text, const struct repo_config *repo, bool has_host_steps)
{
    if (repo->workflow_approval != APPROVAL_ON_CHANGE) {
        return;
    }
    if (!has_host_steps) {
        add(text, "approved workflow");
    }
    if (*repo->approve_paths) {
        g_autofree char *paths = g_strjoinv(" ", repo->approve_paths);
        add(text, "approved ");
        g_string_append(text, paths);
    }
}

char *show_trust(const struct repo_config *repo)
{
    GString *text = g_string_new(NULL);
    add_signatures(text, repo);
    add_approval(text, repo, host_steps_are_set(repo));
    if (repo->workflow_file) {
        add(text, "steps of ");
        g_string_append(text, repo->workflow_file);
    } else if (*repo->steps) {
        unsigned count = g_strv_length(repo->steps);
        g_autofree char *words =
            g_strdup_printf("%u step%s of the host", count, count == 1 ? "" : "s");
        add(text, words);
    }
    return g_string_free(text, FALSE);
}
