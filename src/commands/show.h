/* How jobs, steps and times are shown, as text and as JSON, alike in all commands. */
#ifndef PHANTOM_CI_COMMANDS_SHOW_H
#define PHANTOM_CI_COMMANDS_SHOW_H

#include <jansson.h>
#include <stdint.h>

#include "base/tty.h"
#include "config/config.h"
#include "store/store.h"

enum tty_colour show_state_colour(enum job_state state);

/* How long it took or has been running; "-" before it began. Free with g_free(). */
char *show_elapsed(int64_t started_ms, int64_t finished_ms);

/* A JSON string of any bytes (what is not UTF-8 is escaped); null for NULL. */
json_t *show_json_text(const char *text);

/* Times and numbers of which 0 means "none" become null. */
json_t *show_json_number(int64_t number);

/* "branch" and "tag" of a key (base/refkey.h), one of which is null. */
void show_json_set_ref(json_t *object, const char *key);

/* "main", "tag v1", of a key; escaped. Free with g_free(). */
char *show_ref(const char *key);

/* What the steps of a job took: the time of all, and the most that one had at a time (0 = unknown).
 */
struct show_taken {
    int64_t cpu_us, memory_peak_bytes, pids_peak;
};
struct show_taken show_taken(const GPtrArray *steps);

/* A job with its steps, names as in the store. */
json_t *show_json_job(const struct job *job, const GPtrArray *steps);

/* An array of strings. */
json_t *show_json_list(char *const *texts);

/* The rules of a section that say what may run, and whose steps: "signed, steps of FILE", or ""
 * without any; free with g_free(). As JSON all of them are there. */
char *show_trust(const struct repo_config *repo);
json_t *show_json_trust(const struct repo_config *repo);

/* When the schedule of a section is due next (UTC), as the daemon reckons it; INT64_MAX = never. */
int64_t show_next_schedule_ms(struct store *store, const struct repo_config *repo);

/* Prints and frees; the exit code. */
int show_json_print(json_t *root);

#endif
