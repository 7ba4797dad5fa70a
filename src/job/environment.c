#include "job/environment.h"

#include <string.h>

#include "base/job_token.h"
#include "base/refkey.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool may_pass(const char *entry)
{
    static const char *const names[] = {"PATH",  "HOME", "USER", "LOGNAME",
                                        "SHELL", "LANG", "TZ",   "SSH_AUTH_SOCK"};
    const char *end = strchr(entry, '=');
    size_t length = end ? (size_t)(end - entry) : 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (length == strlen(names[i]) && strncmp(entry, names[i], length) == 0) {
            return true;
        }
    }
    return length > 0 && g_str_has_prefix(entry, "LC_");
}

static char **set_number(char **environment, const char *name, int64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
    return g_environ_setenv(environment, name, text, TRUE);
}

static char **set(char **environment, const char *name, const char *value)
{
    return g_environ_setenv(environment, name, value ? value : "", TRUE);
}

char **environment_of_job(const struct job *job, char **environment)
{
    environment = set(environment, "PHANTOM_CI_REPO", job->repo);
    environment = set(environment, "PHANTOM_CI_BRANCH", refkey_branch(job->branch));
    environment = set(environment, "PHANTOM_CI_TAG", refkey_tag(job->branch));
    environment = set(environment, "PHANTOM_CI_TRIGGER", job_trigger_name(job->trigger));
    environment = set(environment, "PHANTOM_CI_SHA", job->sha);
    environment = set(environment, "PHANTOM_CI_PREVIOUS_SHA", job->previous_sha);
    return set_number(environment, "PHANTOM_CI_JOB", job->id);
}

char **environment_for_step(const struct environment_source *source, uint64_t step)
{
    char **environment = g_new0(char *, 1);
    environment = set(environment, "PATH", DEFAULT_PATH);
    environment = set(environment, "LANG", "C.UTF-8");
    const char *const *const inherited = source->inherited;
    for (size_t i = 0; inherited && inherited[i]; i++) {
        if (may_pass(inherited[i])) {
            g_auto(GStrv) parts = g_strsplit(inherited[i], "=", 2);
            environment = set(environment, parts[0], parts[1]);
        }
    }
    environment = set(environment, "TMPDIR", source->temporary);
    environment = set(environment, "CI", "true");
    environment = set(environment, "PHANTOM_CI", "true");
    environment = environment_of_job(source->job, environment);
    environment = set(environment, "PHANTOM_CI_WORKSPACE", source->workspace);
    environment = set_number(environment, "PHANTOM_CI_STEP", (int64_t)step);
    environment = secrets_add(source->secrets, environment, source->repo->env);
    for (char **entry = source->repo->env; *entry; entry++) {
        g_auto(GStrv) parts = g_strsplit(*entry, "=", 2);
        environment = set(environment, parts[0], parts[1]);
    }
    g_autofree char *token = job_token(source->paths->state, source->job->id);
    g_auto(GStrv) token_parts = g_strsplit(token, "=", 2);
    return set(environment, token_parts[0], token_parts[1]);
}
