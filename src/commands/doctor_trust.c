/* The files that decide what may run: can they be believed, and can a step write them? */
#include <string.h>

#include "base/file.h"
#include "commands/doctor.h"
#include "config/host_steps.h"
#include "git/verify.h"

static void report_error(struct doctor *doctor, const char *key, const char *path,
                         const char *message)
{
    g_autofree char *mend = NULL;
    g_autofree char *what = doctor_split_mend(message, &mend);
    doctor_add(doctor, DOCTOR_FAIL, "trust", path, mend,
               "%s: %s; its jobs end as error, none of their steps runs", key, what);
}

static bool lies_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    while (length > 0 && directory[length - 1] == '/') {
        length--;
    }
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* A step that can write the file says what the next job does. */
static void report_writable(struct doctor *doctor, const struct repo_config *repo, const char *key,
                            const char *path)
{
    for (char **writable = repo->writable; repo->sandbox != SANDBOX_CHOICE_OFF && *writable;
         writable++) {
        if (lies_in(path, *writable)) {
            doctor_add(doctor, DOCTOR_WARN, "trust", path, "move it to another directory",
                       "%s of [%s] lies in \"%s\", which \"writable\" lets the steps change", key,
                       repo->name, *writable);
        }
    }
}

static void check_keys(struct doctor *doctor, const struct repo_config *repo, const char *key,
                       const char *path)
{
    size_t length = 0;
    g_autoptr(GError) error = NULL;
    if (!path) {
        return;
    }
    doctor_look_at(doctor, path);
    g_autofree char *bytes = file_read_trusted(path, VERIFY_MAX_KEYS_BYTES, &length, &error);
    if (!bytes) {
        report_error(doctor, key, path, error->message);
    } else if (length == 0) {
        doctor_add(doctor, DOCTOR_WARN, "trust", path, "write the keys into it",
                   "%s of [%s] is empty: every commit is blocked", key, repo->name);
    } else {
        doctor_add(doctor, DOCTOR_OK, "trust", path, NULL, "%s of [%s]: nobody else can write it",
                   key, repo->name);
    }
    report_writable(doctor, repo, key, path);
}

static void report_diagnostics(struct doctor *doctor, const struct diagnostics *diagnostics)
{
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *item = g_ptr_array_index(diagnostics->items, i);
        g_autofree char *where = g_strdup_printf("%s:%u:%u", item->file, item->line, item->column);
        doctor_add(doctor, DOCTOR_FAIL, "trust", where,
                   "edit the file; phantom_ci check tells when it is right", "%s", item->message);
    }
}

static void check_workflow_file(struct doctor *doctor, const struct repo_config *repo)
{
    static const char key[] = "workflow_file";
    const char *path = repo->workflow_file;
    g_autoptr(GError) error = NULL;
    if (!path) {
        return;
    }
    doctor_look_at(doctor, path);
    struct diagnostics *diagnostics = diagnostics_new();
    struct workflow *workflow = host_steps_read_file(path, NULL, diagnostics, &error);
    if (error) {
        report_error(doctor, key, path, error->message);
    } else if (!workflow) {
        report_diagnostics(doctor, diagnostics);
    } else {
        doctor_add(doctor, DOCTOR_OK, "trust", path, NULL,
                   "%s of [%s]: %u step%s, nobody else can write it", key, repo->name,
                   workflow->steps->len, workflow->steps->len == 1 ? "" : "s");
    }
    workflow_free(workflow);
    diagnostics_free(diagnostics);
    report_writable(doctor, repo, key, path);
}

void doctor_check_trust(struct doctor *doctor)
{
    const struct config *config = doctor->context->config;
    for (unsigned i = 0; config && i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (doctor_is_asked_for(doctor, repo->name)) {
            check_keys(doctor, repo, "allowed_signers", repo->allowed_signers);
            check_keys(doctor, repo, "gpg_keyring", repo->gpg_keyring);
            check_workflow_file(doctor, repo);
        }
    }
}
