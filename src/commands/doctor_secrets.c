/* What sections give to their steps in confidence: can it be read, by this user alone? */
#include <string.h>

#include "base/mask.h"
#include "base/wipe.h"
#include "commands/doctor.h"
#include "config/dotenv.h"
#include "config/env_file.h"

static void report_short(struct doctor *doctor, const char *place, const GPtrArray *entries)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (unsigned i = 0; i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        if (*entry->value && strlen(entry->value) < MASK_MIN_BYTES) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", entry->key);
        }
    }
    if (names->len > 0) {
        doctor_add(doctor, DOCTOR_WARN, "secrets", place,
                   "what is no secret belongs into env, what is one should be longer",
                   "values of less than %d bytes are not hidden in logs: %s", MASK_MIN_BYTES,
                   names->str);
    }
}

/* A message may end in the command that mends it (config/dotenv.h). */
static void report_error(struct doctor *doctor, const char *where, const char *message)
{
    static const char separator[] = "; mend it with: ";
    const char *mend = strstr(message, separator);
    int length = mend ? (int)(mend - message) : (int)strlen(message);
    doctor_add(doctor, DOCTOR_FAIL, "secrets", where,
               mend ? mend + strlen(separator) : "see env_file in phantom_ci-repo.toml(5)", "%.*s",
               length, message);
}

static void report_errors(struct doctor *doctor, const struct diagnostics *diagnostics)
{
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *item = g_ptr_array_index(diagnostics->items, i);
        g_autofree char *where =
            item->line == 0 ? g_strdup(item->file)
                            : g_strdup_printf("%s:%u:%u", item->file, item->line, item->column);
        report_error(doctor, where, item->message);
    }
}

static void check_file(struct doctor *doctor, const char *place)
{
    doctor_look_at(doctor, place);
    if (g_str_has_prefix(place, CONFIG_CREDENTIAL_PREFIX) && !g_getenv("CREDENTIALS_DIRECTORY")) {
        doctor_add(doctor, DOCTOR_SKIPPED, "secrets", place, NULL,
                   "credentials are seen by the service alone");
        return;
    }
    struct diagnostics *diagnostics = diagnostics_new();
    g_autoptr(GPtrArray) entries = env_file_load(place, diagnostics);
    if (entries) {
        doctor_add(doctor, DOCTOR_OK, "secrets", place, NULL, "%u variable%s, for this user alone",
                   entries->len, entries->len == 1 ? "" : "s");
        report_short(doctor, place, entries);
    } else {
        report_errors(doctor, diagnostics);
    }
    diagnostics_free(diagnostics);
}

/* It may ask a person, or count: only a job runs it. */
static void check_command(struct doctor *doctor, const struct repo_config *repo)
{
    const char *program = repo->secret_command[0];
    doctor_look_at(doctor, program);
    g_autofree char *path = g_find_program_in_path(program);
    if (path) {
        doctor_add(doctor, DOCTOR_INFO, "secrets", repo->name, NULL,
                   "secret_command is there, and not run here: %s", path);
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "secrets", repo->name,
                   "install it, or name it with its whole path", "secret_command: no program %s",
                   program);
    }
}

void doctor_check_secrets(struct doctor *doctor)
{
    const GPtrArray *repos = doctor->context->config ? doctor->context->config->repos : NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    wipe_forbid_cores();
    for (unsigned i = 0; repos && i < repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(repos, i);
        if (!doctor_is_asked_for(doctor, repo->name)) {
            continue;
        }
        for (char **place = repo->env_file; *place; place++) {
            if (g_hash_table_add(seen, *place)) {
                check_file(doctor, *place);
            }
        }
        if (*repo->secret_command) {
            check_command(doctor, repo);
        }
    }
}
