/* Repo.toml and config.toml, as the daemon would load them. */
#include <errno.h>
#include <sys/stat.h>

#include "commands/doctor.h"

static void report(struct doctor *doctor, const struct diagnostic *diagnostic)
{
    g_autofree char *where =
        diagnostic->line == 0
            ? g_strdup(diagnostic->file)
            : g_strdup_printf("%s:%u:%u", diagnostic->file, diagnostic->line, diagnostic->column);
    g_autofree char *mend = NULL;
    g_autofree char *what = doctor_split_mend(diagnostic->message, &mend);
    if (!mend) {
        mend =
            g_strdup_printf("edit %s; phantom_ci check tells when it is right", diagnostic->file);
    }
    doctor_add(doctor, DOCTOR_FAIL, "config", where, mend, "%s", what);
}

static void report_file(struct doctor *doctor, const char *path, bool is_repos)
{
    struct stat status;
    const struct config *config = doctor->context->config;
    if (stat(path, &status) < 0) {
        doctor_add(doctor, is_repos ? DOCTOR_INFO : DOCTOR_OK, "config", path,
                   is_repos ? "phantom_ci add URL BRANCH" : NULL, "%s",
                   is_repos ? "not there yet: no repositories" : "not there: the defaults count");
        return;
    }
    unsigned mode = (unsigned)(status.st_mode & 07777);
    if (is_repos) {
        doctor_add(doctor, DOCTOR_OK, "config", path, NULL, "valid, %u repositor%s, mode %04o",
                   config->repos->len, config->repos->len == 1 ? "y" : "ies", mode);
    } else {
        doctor_add(doctor, DOCTOR_OK, "config", path, NULL, "valid, mode %04o", mode);
    }
}

void doctor_check_configuration(struct doctor *doctor)
{
    const struct paths *paths = &doctor->context->paths;
    g_autofree char *config_toml = paths_config_toml(paths);
    g_autofree char *repo_toml = paths_repo_toml(paths);
    struct diagnostics *diagnostics = diagnostics_new();
    doctor_look_at(doctor, repo_toml);
    doctor->context->config = config_load(paths->config, diagnostics);
    if (doctor->context->config) {
        report_file(doctor, config_toml, false);
        report_file(doctor, repo_toml, true);
    } else {
        /* The list is in the order of finding; formatting sorts it. */
        g_free(diagnostics_format(diagnostics));
        for (unsigned i = 0; i < diagnostics->items->len; i++) {
            report(doctor, g_ptr_array_index(diagnostics->items, i));
        }
    }
    if (diagnostics->dropped > 0) {
        doctor_add(doctor, DOCTOR_FAIL, "config", paths->config, "mend the ones above first",
                   "%u more errors", diagnostics->dropped);
    }
    diagnostics_free(diagnostics);
}
