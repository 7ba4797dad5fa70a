/*
 * Where things are. Linux: XDG directories; macOS: Library directories. Overridden by --config-dir,
 * --state-dir, --cache-dir or PHANTOM_CI_CONFIG_DIR, PHANTOM_CI_STATE_DIR, PHANTOM_CI_CACHE_DIR (in
 * that order). HOME is honoured and never guessed: without it and without overrides there is an
 * error. No user database is asked (that could open a socket).
 */
#ifndef PHANTOM_CI_BASE_PATHS_H
#define PHANTOM_CI_BASE_PATHS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct paths {
    char *config; /* absolute; Repo.toml, config.toml, .env */
    char *state;  /* absolute; state.db, logs/, lock, wake, jobs/, looks */
    char *cache;  /* absolute; mirrors/, workspaces/, checkouts/, trash/, tmp/ */
};

/* NULL overrides mean "not given". Makes no directory. */
bool paths_init(struct paths *paths, const char *config, const char *state, const char *cache,
                GError **error);
/* Those of a user with this home (absolute) whose environment says nothing of them. */
void paths_init_default(struct paths *paths, const char *home);
void paths_clear(struct paths *paths);

/* Makes the state directory and the ones in it that everybody needs (logs/, jobs/), and the cache
 * directory, all private. */
bool paths_ensure(const struct paths *paths, GError **error);

/* Names of things; free with g_free(). */
char *paths_repo_toml(const struct paths *paths);
char *paths_config_toml(const struct paths *paths);
char *paths_dotenv(const struct paths *paths); /* config/.env */
char *paths_database(const struct paths *paths);
char *paths_daemon_lock(const struct paths *paths);
char *paths_gc_lock(const struct paths *paths);
char *paths_wake_fifo(const struct paths *paths);
char *paths_look_status(const struct paths *paths);
char *paths_job_log_directory(const struct paths *paths, int64_t job); /* state/logs/12 */
char *paths_job_lock(const struct paths *paths, int64_t job);          /* state/jobs/12.lock */
char *paths_job_control(const struct paths *paths, int64_t job); /* state/jobs/12.control, a FIFO */
char *paths_job_groups(const struct paths *paths, int64_t job);  /* state/jobs/12.groups */
char *paths_job_temporary(const struct paths *paths, int64_t job); /* cache/tmp/12 */

#endif
