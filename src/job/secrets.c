#include "job/secrets.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mask_forms.h"
#include "base/spawn.h"
#include "base/text.h"
#include "base/units.h"
#include "base/wipe.h"
#include "config/dotenv.h"
#include "config/env_file.h"
#include "job/reap.h"
#include "job/stop.h"

enum { COMMAND_ERROR_BYTES = 500, ERRORS_MAX_BYTES = 2000 };

struct secrets {
    GHashTable *values; /* name to value, which is wiped when it goes */
    struct mask *mask;
    char *unhidden;
};

bool secrets_are_wanted(const struct repo_config *repo)
{
    return *repo->env_file || *repo->secret_command;
}

static void wipe_value(void *value)
{
    mask_wipe(value);
}

/* ----------------------------------------------------------------- sources */

/* Later sources win. */
static void take(struct secrets *secrets, const GPtrArray *entries)
{
    for (unsigned i = 0; i < entries->len; i++) {
        struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        g_hash_table_insert(secrets->values, g_strdup(entry->key), g_steal_pointer(&entry->value));
    }
}

static bool read_files(struct secrets *secrets, char *const *places,
                       struct diagnostics *diagnostics)
{
    for (; *places; places++) {
        g_autoptr(GPtrArray) entries = env_file_load(*places, diagnostics);
        if (entries) {
            take(secrets, entries);
        }
    }
    return !diagnostics_any(diagnostics);
}

/* What the command said last, on one line. */
static char *describe_failure(const char *program, const struct spawn_result *result)
{
    g_autofree char *status = spawn_format_status(result->wait_status);
    g_strstrip(result->err);
    g_autofree char *said = text_escape(result->err);
    return g_strdup_printf("secret_command (%s) failed: %s%s%s", program, status, *said ? ": " : "",
                           said);
}

static bool run_command(const struct secrets_request *request, struct spawn_result *result,
                        GError **error)
{
    int64_t left_ms = clock_left_ms(request->deadline_ms);
    const char *program = request->repo->secret_command[0];
    struct spawn_run_options options = {
        .spawn = SPAWN_OPTIONS_INIT,
        .out_limit_bytes = DOTENV_MAX_BYTES,
        .out_is_secret = true,
        .err_limit_bytes = COMMAND_ERROR_BYTES,
        .timeout_ms = (int)MIN(request->repo->secret_timeout_ms, left_ms),
        .cancel_fd = request->cancel_fd,
    };
    options.spawn.argv = (const char *const *)request->repo->secret_command;
    options.spawn.envp = request->envp;
    options.spawn.directory = "/";
    options.spawn.parent_death_signal = SIGKILL;
    g_autoptr(GError) trouble = NULL;
    bool ended = spawn_run(&options, result, &trouble);
    /* Also what left its process group: gpg, say, leaves an agent behind. */
    reap_everything(0, NULL, NULL);
    if (error_has_code(trouble, ERROR_LIMIT)) {
        g_autofree char *limit = units_format_duration(request->repo->secret_timeout_ms);
        g_set_error(error, JOB_ERROR_DOMAIN, ERROR_LIMIT,
                    "secret_command (%s) did not end within %s and was killed", program, limit);
    } else if (!ended) {
        g_propagate_prefixed_error(error, g_steal_pointer(&trouble), "secret_command: ");
    } else if (!WIFEXITED(result->wait_status) || WEXITSTATUS(result->wait_status) != 0) {
        g_autofree char *what = describe_failure(program, result);
        g_set_error_literal(error, JOB_ERROR_DOMAIN, ERROR_INVALID, what);
    } else if (result->out_truncated) {
        g_set_error(error, JOB_ERROR_DOMAIN, ERROR_INVALID,
                    "secret_command (%s) wrote more than %d bytes", program, DOTENV_MAX_BYTES);
    } else {
        return true;
    }
    return false;
}

static bool ask_command(struct secrets *secrets, const struct secrets_request *request,
                        struct diagnostics *diagnostics, GError **error)
{
    struct spawn_result result = {.out = NULL};
    g_autoptr(GPtrArray) entries = NULL;
    bool good = run_command(request, &result, error);
    if (good) {
        entries = env_file_parse(result.out, result.out_length, "secret_command", diagnostics);
    }
    wipe_free(&result.out, result.out_length);
    spawn_result_clear(&result);
    if (entries) {
        take(secrets, entries);
    }
    return good;
}

/* -------------------------------------------------------------------- mask */

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

static bool make_mask(struct secrets *secrets, GError **error)
{
    g_autoptr(GPtrArray) forms = mask_forms_new();
    g_autoptr(GPtrArray) unhidden = g_ptr_array_new();
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(secrets->values), compare_names);
    for (const GList *name = names; name; name = name->next) {
        const char *value = g_hash_table_lookup(secrets->values, name->data);
        if (strlen(value) >= MASK_MIN_BYTES) {
            mask_forms_add(forms, value);
        } else if (*value) {
            g_ptr_array_add(unhidden, name->data);
        }
    }
    g_ptr_array_add(forms, NULL);
    g_ptr_array_add(unhidden, NULL);
    secrets->unhidden = unhidden->len > 1 ? g_strjoinv(", ", (char **)unhidden->pdata) : NULL;
    unsigned refused = 0;
    secrets->mask = mask_new((const char *const *)forms->pdata, &refused);
    if (refused > 0) {
        g_set_error_literal(error, JOB_ERROR_DOMAIN, ERROR_INVALID,
                            "they are too large to be hidden in the log; hand over large ones as "
                            "files, and only their paths in env");
    }
    return refused == 0;
}

/* ------------------------------------------------------------------------- */

static bool fail(const struct diagnostics *diagnostics, GError **error)
{
    g_autofree char *text = diagnostics_format(diagnostics);
    g_strchomp(text);
    if (strlen(text) > ERRORS_MAX_BYTES) {
        *(char *)g_utf8_find_prev_char(text, text + ERRORS_MAX_BYTES) = '\0';
    }
    g_set_error_literal(error, JOB_ERROR_DOMAIN, ERROR_INVALID, text);
    return false;
}

static bool read_all(struct secrets *secrets, const struct secrets_request *request, GError **error)
{
    struct diagnostics *diagnostics = diagnostics_new();
    bool good =
        read_files(secrets, request->repo->env_file, diagnostics) &&
        (!*request->repo->secret_command || ask_command(secrets, request, diagnostics, error));
    if (diagnostics_any(diagnostics)) {
        good = fail(diagnostics, error);
    }
    diagnostics_free(diagnostics);
    return good;
}

struct secrets *secrets_load(const struct secrets_request *request, GError **error)
{
    struct secrets *secrets = g_new0(struct secrets, 1);
    secrets->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wipe_value);
    wipe_forbid_cores();
    if (!read_all(secrets, request, error) || !make_mask(secrets, error)) {
        g_clear_pointer(&secrets, secrets_free);
    }
    return secrets;
}

void secrets_free(struct secrets *secrets)
{
    if (secrets) {
        g_hash_table_unref(secrets->values);
        mask_free(secrets->mask);
        g_free(secrets->unhidden);
        g_free(secrets);
    }
}

const char *secrets_unhidden(const struct secrets *secrets)
{
    return secrets->unhidden;
}

const struct mask *secrets_mask(const struct secrets *secrets)
{
    return secrets->mask;
}

char **secrets_add(const struct secrets *secrets, char **environment, char *const *stronger)
{
    GHashTableIter iterator;
    void *name = NULL, *value = NULL;
    if (!secrets) {
        return environment;
    }
    g_hash_table_iter_init(&iterator, secrets->values);
    while (g_hash_table_iter_next(&iterator, &name, &value)) {
        if (!g_environ_getenv((char **)stronger, name)) {
            environment = g_environ_setenv(environment, name, value, TRUE);
        }
    }
    return environment;
}
