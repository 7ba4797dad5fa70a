#include "base/paths.h"

#include "base/error.h"
#include "base/file.h"

#ifdef __APPLE__
#define CONFIG_DEFAULT "Library/Application Support/com.helloimalemur.phantom_ci"
#define STATE_DEFAULT  "Library/Application Support/com.helloimalemur.phantom_ci/state"
#define CACHE_DEFAULT  "Library/Caches/com.helloimalemur.phantom_ci"
#else
#define CONFIG_DEFAULT ".config/phantom_ci"
#define STATE_DEFAULT  ".local/state/phantom_ci"
#define CACHE_DEFAULT  ".cache/phantom_ci"
#endif

struct place {
    const char *override;     /* from the command line */
    const char *variable;     /* names the directory itself */
    const char *xdg_variable; /* names its parent */
    const char *below_home;
};

/* Relative values of the XDG variables are to be ignored (XDG Base Directory Specification). */
static char *find_place(const struct place *place, GError **error)
{
    const char *named = place->override ? place->override : g_getenv(place->variable);
    if (named && *named) {
        return g_canonicalize_filename(named, NULL);
    }
#ifndef __APPLE__
    const char *parent = g_getenv(place->xdg_variable);
    if (parent && g_path_is_absolute(parent)) {
        return g_build_filename(parent, "phantom_ci", NULL);
    }
#endif
    const char *home = g_getenv("HOME");
    if (!home || !g_path_is_absolute(home)) {
        g_set_error(error, BASE_ERROR, ERROR_INVALID,
                    "HOME is not set to a directory; set it, or name the directories with "
                    "--config-dir, --state-dir and --cache-dir");
        return NULL;
    }
    return g_build_filename(home, place->below_home, NULL);
}

bool paths_init(struct paths *paths, const char *config, const char *state, const char *cache,
                GError **error)
{
    const struct place places[] = {
        {config, "PHANTOM_CI_CONFIG_DIR", "XDG_CONFIG_HOME", CONFIG_DEFAULT},
        {state, "PHANTOM_CI_STATE_DIR", "XDG_STATE_HOME", STATE_DEFAULT},
        {cache, "PHANTOM_CI_CACHE_DIR", "XDG_CACHE_HOME", CACHE_DEFAULT},
    };
    *paths = (struct paths){NULL, NULL, NULL};
    paths->config = find_place(&places[0], error);
    paths->state = paths->config ? find_place(&places[1], error) : NULL;
    paths->cache = paths->state ? find_place(&places[2], error) : NULL;
    if (!paths->cache) {
        paths_clear(paths);
        return false;
    }
    return true;
}

void paths_init_default(struct paths *paths, const char *home)
{
    *paths = (struct paths){.config = g_build_filename(home, CONFIG_DEFAULT, NULL),
                            .state = g_build_filename(home, STATE_DEFAULT, NULL),
                            .cache = g_build_filename(home, CACHE_DEFAULT, NULL)};
}

void paths_clear(struct paths *paths)
{
    g_clear_pointer(&paths->config, g_free);
    g_clear_pointer(&paths->state, g_free);
    g_clear_pointer(&paths->cache, g_free);
}

bool paths_ensure(const struct paths *paths, GError **error)
{
    g_autofree char *logs = g_build_filename(paths->state, "logs", NULL);
    g_autofree char *jobs = g_build_filename(paths->state, "jobs", NULL);
    return file_ensure_private_directory(paths->state, error) &&
           file_ensure_private_directory(logs, error) &&
           file_ensure_private_directory(jobs, error) &&
           file_ensure_private_directory(paths->cache, error);
}

char *paths_repo_toml(const struct paths *paths)
{
    return g_build_filename(paths->config, "Repo.toml", NULL);
}

char *paths_config_toml(const struct paths *paths)
{
    return g_build_filename(paths->config, "config.toml", NULL);
}

char *paths_dotenv(const struct paths *paths)
{
    return g_build_filename(paths->config, ".env", NULL);
}

char *paths_database(const struct paths *paths)
{
    return g_build_filename(paths->state, "state.db", NULL);
}

char *paths_daemon_lock(const struct paths *paths)
{
    return g_build_filename(paths->state, "lock", NULL);
}

char *paths_gc_lock(const struct paths *paths)
{
    return g_build_filename(paths->state, "gc.lock", NULL);
}

char *paths_wake_fifo(const struct paths *paths)
{
    return g_build_filename(paths->state, "wake", NULL);
}

char *paths_look_status(const struct paths *paths)
{
    return g_build_filename(paths->state, "looks", NULL);
}

char *paths_job_log_directory(const struct paths *paths, int64_t job)
{
    return g_strdup_printf("%s/logs/%" G_GINT64_FORMAT, paths->state, job);
}

char *paths_job_lock(const struct paths *paths, int64_t job)
{
    return g_strdup_printf("%s/jobs/%" G_GINT64_FORMAT ".lock", paths->state, job);
}

char *paths_job_control(const struct paths *paths, int64_t job)
{
    return g_strdup_printf("%s/jobs/%" G_GINT64_FORMAT ".control", paths->state, job);
}

char *paths_job_groups(const struct paths *paths, int64_t job)
{
    return g_strdup_printf("%s/jobs/%" G_GINT64_FORMAT ".groups", paths->state, job);
}

char *paths_job_temporary(const struct paths *paths, int64_t job)
{
    return g_strdup_printf("%s/tmp/%" G_GINT64_FORMAT, paths->cache, job);
}
